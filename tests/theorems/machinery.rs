use pushforward::Error;
use pushforward::verify::{Budget, Comparison, Ladder, Verdict, claim, registry};

/// Central differences of exp at 0, whose derivative is 1.
fn ladder() -> Ladder {
    Ladder::central(0.125, |x| vec![(x.exp(), x.exp())]).swap_remove(0)
}

/// Checks that a ladder of a smooth function holds against its derivative at order 2, and that any other number fails.
#[test]
fn ladders_decide() {
    let holds = Comparison::of_ladder("exp", &ladder(), 1.0, 1.0, 1e-8);
    assert_eq!(holds.verdict, Verdict::Holds, "{holds}");
    // error ε²/6 + rounding: at ε = 2⁻¹⁶ both are below 4e-11
    assert!(holds.relative_error < 1e-9 && holds.observed_order.unwrap().is(2.0, 0.01), "{holds}");
    for wrong in [1.0 + 1e-6, -1.0, f64::NAN] {
        assert_eq!(Comparison::of_ladder("exp", &ladder(), wrong, 1.0, 1e-8).verdict, Verdict::Fails);
    }
}

/// Checks that a ladder whose error still falls at its end, 1,500 ε² = 2.2e-8 at the last step, is judged by its limit: 1 holds, and what the last
/// rung has come to fails.
#[test]
fn a_ladder_that_ends_on_its_way_is_judged_by_its_limit() {
    let cubic = Ladder::central(0.125, |x| vec![(x + 1.5e3 * x.powi(3), x.abs())]).swap_remove(0);
    let judged = |right: f64| Comparison::of_ladder("x + 1500 x³", &cubic, right, 1.0, 1e-8);
    let last = cubic.values[cubic.values.len() - 1];
    assert!((last - 1.0 - 2.2e-8).abs() < 1e-9 && cubic.ends_falling(), "{last}");
    assert_eq!(judged(1.0).verdict, Verdict::Holds, "{}", judged(1.0));
    assert_eq!(judged(last).verdict, Verdict::Fails, "{}", judged(last));
}

/// Checks that a wrong right side which one rung meets, and which the finer rungs miss by no more than their rounding, is refuted by the limit that
/// coarser rungs foretell: 1 + 4⁻ᵏ/100 at steps 2⁻ᵏ with rounding 1e-10 2ᵏ holds for 1 and fails for its value at k = 8, 1.5e-7 away, where 1e-8 is
/// allowed. And that a false variant within that rounding counts as true here.
#[test]
fn a_side_met_by_chance_fails() {
    let at = |k: i32| 1.0 + 0.01 * 0.25f64.powi(k);
    let ladder = Ladder {
        steps: (0..16).map(|k| 0.5f64.powi(k)).collect(),
        values: (0..16).map(at).collect(),
        rounding: (0..16).map(|k| 1e-10 * 2f64.powi(k)).collect(),
        order: 2.0,
    };
    let judged = |right: f64| Comparison::of_ladder("1 + ε²/100", &ladder, right, 1.0, 1e-8);
    assert_eq!(judged(1.0).verdict, Verdict::Holds, "{}", judged(1.0));
    assert_eq!(judged(at(8)).verdict, Verdict::Fails, "{}", judged(at(8)));
    let (limit, error) = ladder.limit().unwrap();
    assert!((limit - 1.0).abs() < error && error < 1e-8, "{limit} {error}");
    let near = judged(1.0 + 2.5e-8);
    let blurred = Comparison { resolution: 1e-8, verdict: Verdict::Holds, ..near };
    assert_eq!(blurred.clone().unless_true(1.0).verdict, Verdict::TrueHere);
    assert_eq!(Comparison { resolution: 1e-10, ..blurred }.unless_true(1.0).verdict, Verdict::Holds);
}

/// Checks that x², which central differences differentiate exactly, holds without an order, and that its wrong derivatives fail.
#[test]
fn exact_differences_hold_without_an_order() {
    let square = Ladder::central(0.125, |x| vec![((1.0 + x).powi(2), 1.0)]).swap_remove(0);
    let exact = Comparison::of_ladder("square", &square, 2.0, 2.0, 1e-8);
    assert!(exact.verdict == Verdict::Holds && exact.observed_order.is_none(), "{exact}");
    assert_eq!(Comparison::of_ladder("square", &square, 2.001, 2.0, 1e-8).verdict, Verdict::Fails);
}

/// Checks that a one-sided quotient, of order 1, is not accepted for order 2 though its best step may be accurate.
#[test]
fn wrong_order_does_not_hold() {
    let mut one_sided = Ladder::quotients(1e-4, 2.0, |h| vec![(h.exp_m1() / h, 1.0 / h)]);
    let comparison = Comparison::of_ladder("one-sided", &one_sided.swap_remove(0), 1.0, 1.0, 1e-6);
    assert_eq!(comparison.verdict, Verdict::Fails, "{comparison}");
}

/// Checks that an unmet assumption spoils a comparison, and that z-scores decide at their limit.
#[test]
fn assumptions_and_scores() {
    let exact = || Comparison::exact("one", 1.0, 1.0, 1.0, 0.0);
    assert_eq!(exact().assuming("small", 0.5, 1.0).verdict, Verdict::Holds);
    assert_eq!(exact().assuming("small", 1.5, 1.0).verdict, Verdict::Fails);
    assert_eq!(exact().assuming("small", f64::NAN, 1.0).verdict, Verdict::Fails);
    assert_eq!(Comparison::monte_carlo("mean", 1.3, 0.1, 1.0, 4.0).verdict, Verdict::Holds);
    assert_eq!(Comparison::monte_carlo("mean", 1.5, 0.1, 1.0, 4.0).verdict, Verdict::Fails);
}

/// Checks that ids are in order and found in every spelling, and that a wrong one comes back with the known ones.
#[test]
fn claims_are_found() {
    let ids: Vec<&str> = registry().iter().map(|c| c.id).collect();
    assert!(ids.is_sorted());
    for spelling in ["T01", "t1", "1"] {
        assert_eq!(claim(spelling).unwrap().id, "T01");
    }
    for wrong in ["T99", "x", ""] {
        assert!(matches!(claim(wrong), Err(Error::UnknownName { kind: "theorem", .. })), "{wrong}");
    }
}

/// Checks that evidence does not depend on the number of threads, to the last bit.
#[test]
fn same_bits_on_any_number_of_threads() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let evidence = pool.install(|| claim("T01").unwrap().run(&Budget::quick().with_dim(1)));
        evidence.comparisons.iter().map(|c| c.left.to_bits()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(3));
}
