//! The laws every f-divergence obeys, over all members, and the relations between them.

use pushforward::Error;
use pushforward::divergence::*;
use std::sync::Arc;

/// Every named divergence, a range of alphas with both poles and their neighbourhoods, powers, and one built from w alone.
fn members() -> Vec<Arc<dyn Divergence>> {
    let mut all = all_divergences();
    for alpha in [-1.0, -1e-9, 0.0, 1e-9, 0.5, 0.7, 1.0 - 1e-9, 1.0, 1.0 + 1e-9, 2.0, 3.0] {
        all.push(Arc::new(Alpha::new(alpha)));
    }
    for text in ["w(r) = 2.5*r^0.7", "f(u) = u*log(u) - (1+u)*log(1+u)"] {
        all.push(by_name(text).unwrap());
    }
    all.push(Arc::new(custom_le_cam()));
    all.push(Arc::new(LvSurrogate::new(0.5)));
    all
}

/// Le Cam from its f'' = 8/(1+u)³ alone.
fn custom_le_cam() -> Custom {
    let log_ddf = |l: f64| 8.0f64.ln() - 3.0 * (l.max(0.0) + (-l.abs()).exp().ln_1p());
    Custom::from_log_second_derivative("le-cam again", "f'' = 8/(1+u)^3", log_ddf).unwrap()
}

/// Points from 1e-12 to 700, both signs, and 0.
fn grid() -> impl Iterator<Item = f64> {
    let sizes = (-24..=5).map(|k| 10f64.powf(f64::from(k) * 0.5)).chain([400.0, 700.0]);
    sizes.flat_map(|l| [-l, l]).chain([0.0])
}

/// Whether a and b agree to `ulps` epsilons relatively (equal infinities count as equal).
fn close(a: f64, b: f64, ulps: f64) -> bool {
    a == b || (a - b).abs() <= ulps * f64::EPSILON * a.abs().max(b.abs())
}

/// Checks for every member that f, u f', φ, w and e belong together: integrals of w to rounding for |l| in [1e-12, 700],
/// second differences of f at order 2, differences of log w.
#[test]
fn formulas_belong_together() {
    for d in members() {
        let report = check(d.as_ref());
        assert!(report.passed(), "{report}");
        assert!(report.order.is_none_or(|order| (1.9..2.5).contains(&order)), "{report}");
    }
}

/// Checks each weight and f against the plain formula of the table in r, where that does not overflow or cancel.
#[test]
#[allow(clippy::type_complexity)]
fn table_of_theory() {
    let table: [(&str, fn(f64) -> f64, fn(f64) -> f64); 10] = [
        ("reverse-kl", |u| -u.ln(), |_| 1.0),
        ("forward-kl", |u| u * u.ln(), |r| r),
        ("jeffreys", |u| (u - 1.0) * u.ln(), |r| 1.0 + r),
        ("pearson", |u| (u - 1.0).powi(2), |r| 2.0 * r * r),
        ("neyman", |u| (1.0 - u).powi(2) / u, |r| 2.0 / r),
        ("hellinger", |u| (u.sqrt() - 1.0).powi(2), |r| r.sqrt() / 2.0),
        ("jensen-shannon", |u| 0.5 * (u * u.ln() - (1.0 + u) * ((1.0 + u) / 2.0).ln()), |r| r / (2.0 * (1.0 + r))),
        ("gan", |u| u * u.ln() - (u + 1.0) * (u + 1.0).ln() + 4f64.ln(), |r| r / (1.0 + r)),
        ("le-cam", |u| (u - 1.0).powi(2) / (u + 1.0), |r| 8.0 * r * r / (1.0 + r).powi(3)),
        ("alpha:0.3", |u| (u.powf(0.3) - 0.3 * u - 0.7) / (0.3 * (0.3 - 1.0)), |r| r.powf(0.3)),
    ];
    assert_eq!(table.len(), all_divergences().len());
    for (name, f, w) in table {
        let d = by_name(name).unwrap();
        for l in [-9.0, -3.0, -1.0, -0.3, 0.3, 1.0, 3.0, 9.0f64] {
            let u = l.exp();
            // the plain f subtracts terms up to (1+u)(1+|log u|) and loses that many ulps, here divided by 0.21 at most
            let tolerance = 64.0 * f64::EPSILON * (1.0 + u) * (1.0 + l.abs()) * (1.0 + 1.0 / u);
            assert!((d.f(l) - f(u)).abs() <= tolerance, "{name} f at {l}: {} against {}", d.f(l), f(u));
            assert!(close(d.weight(l), w(u), 64.0), "{name} w at {l}: {} against {}", d.weight(l), w(u));
        }
    }
}

/// Checks that nothing is NaN for |l| up to 1e4, that log w is finite there, and that log w at ±∞ is not NaN.
#[test]
fn nothing_is_nan() {
    for d in members().iter().filter(|d| d.name() != "le-cam again") {
        for l in grid().chain([-1e4, -745.0, -709.0, 709.0, 745.0, 1e4]) {
            let values = [d.f(l), d.u_df(l), d.first_variation(l), d.weight(l), d.elasticity(l)];
            assert!(values.iter().all(|v| !v.is_nan()), "{} at {l}: {values:?}", d.name());
            assert!(d.log_weight(l).is_finite(), "{} at {l}", d.name());
        }
        assert!(!d.log_weight(f64::INFINITY).is_nan() && !d.log_weight(f64::NEG_INFINITY).is_nan(), "{}", d.name());
    }
}

/// Checks that f is convex in u: f at a midpoint is at most the mean, for all pairs of a grid over 14 decades of u.
#[test]
fn convex() {
    let points: Vec<f64> = (-16..=16).map(f64::from).collect();
    for d in members() {
        for &a in &points {
            for &b in points.iter().filter(|&&b| b > a) {
                let midpoint = b + (0.5 * (1.0 + (a - b).exp())).ln();
                let (mean, slack) = (0.5 * (d.f(a) + d.f(b)), d.f(a).abs() + d.f(b).abs());
                assert!(d.f(midpoint) <= mean + 64.0 * f64::EPSILON * slack, "{} on [{a}, {b}]", d.name());
            }
        }
    }
}

/// Checks the exchange of arguments: D_f(p‖q) = D_g(q‖p) with g(u) = u f(1/u) and w_g(r) = r w_f(1/r).
#[test]
fn exchange_of_arguments() {
    let pairs = [
        ("reverse-kl", "forward-kl"),
        ("pearson", "neyman"),
        ("jeffreys", "jeffreys"),
        ("hellinger", "hellinger"),
        ("jensen-shannon", "jensen-shannon"),
        ("le-cam", "le-cam"),
        ("alpha:0.3", "alpha:0.7"),
        ("alpha:-1", "alpha:2"),
        ("alpha:0", "alpha:1"),
    ];
    for (f, g) in pairs {
        let (f, g) = (by_name(f).unwrap(), by_name(g).unwrap());
        for l in grid().filter(|l| l.abs() <= 300.0) {
            let ulps = 64.0 + 8.0 * l.abs();
            assert!(close(g.f(l), l.exp() * f.f(-l), ulps), "{} / {} at {l}", f.name(), g.name());
            assert!((g.log_weight(l) - (l + f.log_weight(-l))).abs() <= ulps * f64::EPSILON, "{} at {l}", f.name());
        }
    }
}

/// Checks the known multiples: GAN's is twice Jensen–Shannon's up to (u-1) log 2, alpha at 2, ½ and -1 is half Pearson,
/// four Hellinger, half Neyman, and a power is its multiple of alpha.
#[test]
fn multiples() {
    let relations = [("gan", "jensen-shannon", 2.0), ("alpha:2", "pearson", 0.5), ("alpha:0.5", "hellinger", 2.0)];
    for (f, g, factor) in relations.into_iter().chain([("alpha:-1", "neyman", 0.5)]) {
        let (f, g) = (by_name(f).unwrap(), by_name(g).unwrap());
        for l in grid() {
            let difference = f.log_weight(l) - g.log_weight(l) - f64::ln(factor);
            assert!(difference.abs() <= 8.0 * f64::EPSILON * (1.0 + l.abs() * 4.0), "{} at {l}", f.name());
        }
    }
    for l in grid().filter(|l| l.abs() < 300.0) {
        let (gan, js) = (Gan.f(l), JensenShannon.f(l));
        let affine = std::f64::consts::LN_2 * l.exp_m1();
        assert!((gan - (2.0 * js - affine)).abs() <= 64.0 * f64::EPSILON * (2.0 * js + affine.abs()), "{l}");
    }
}

/// Checks that alpha is continuous at 0 and 1: from w_α/w_0 = e^{αs}, |s| ≤ |l|, follows |f_α - f_0| ≤ |αl| e^{|αl|} f_0, so at
/// α = 1e-9 the relative change is below that and a few ulps: no cancellation in 1/α.
#[test]
fn alpha_is_continuous_at_its_poles() {
    for (pole, delta) in [(0.0, 1e-9), (0.0, -1e-9), (1.0, 1e-9), (1.0, -1e-9), (0.0, 1e-300), (0.0, 1e-4), (1.0, 1e-4)]
    {
        let (near, at) = (Alpha::new(pole + delta), Alpha::new(pole));
        let delta = near.alpha() - pole; // as rounded
        for l in grid() {
            let change = (delta * l).abs() * (delta * l).abs().exp() + 64.0 * f64::EPSILON;
            let pairs = [
                ("f", near.f(l), at.f(l)),
                ("u f'", near.u_df(l), at.u_df(l)),
                ("φ", near.first_variation(l), at.first_variation(l)),
                ("w", near.weight(l), at.weight(l)),
            ];
            for (what, a, b) in pairs {
                let allowed = a == b || (a - b).abs() <= change * b.abs();
                assert!(allowed, "{what} at α = {pole} + {delta:e}, l = {l}: {a:e} against {b:e}");
            }
        }
    }
    for l in grid().filter(|l| l.abs() <= 300.0) {
        assert_eq!(Alpha::new(0.0).log_weight(l), ReverseKl.log_weight(l));
        assert_eq!(Alpha::new(1.0).log_weight(l), ForwardKl.log_weight(l));
    }
}

/// Checks that a divergence built from f'' alone has the f of the closed form (both have f'(1) = 0).
#[test]
fn custom_recovers_f() {
    let custom = custom_le_cam();
    for l in grid() {
        let ulps = 64.0 + 16.0 * l.abs();
        assert!(close(custom.f(l), LeCam.f(l), ulps), "f at {l}: {:e} {:e}", custom.f(l), LeCam.f(l));
        assert!(close(custom.u_df(l), LeCam.u_df(l), ulps), "u f' at {l}");
        assert!(close(custom.first_variation(l), LeCam.first_variation(l), ulps), "φ at {l}");
    }
    let negative = Custom::from_log_weight("bad", "w = -r", |l: f64| (-l.exp()).ln());
    assert!(matches!(negative, Err(Error::NonFinite { .. })));
}

/// A reverse KL with one wrong formula.
#[derive(Clone, Copy)]
struct Wrong {
    weight: f64,
    elasticity: f64,
    f: f64,
    /// u f' with a pole at r = 1.
    pole: bool,
}

impl Divergence for Wrong {
    fn name(&self) -> &str {
        "wrong"
    }
    fn formula(&self) -> String {
        String::new()
    }
    fn weight_formula(&self) -> String {
        String::new()
    }
    fn elasticity_formula(&self) -> String {
        String::new()
    }
    fn f(&self, l: f64) -> f64 {
        -l + self.f * l * l * l
    }
    fn u_df(&self, l: f64) -> f64 {
        if self.pole { -1.0 / l } else { -1.0 }
    }
    fn first_variation(&self, l: f64) -> f64 {
        1.0 - l
    }
    fn log_weight(&self, _l: f64) -> f64 {
        self.weight
    }
    fn elasticity(&self, _l: f64) -> f64 {
        self.elasticity
    }
}

/// Checks that the check has teeth: a weight off by 1e-6 (integrals) or 0.05 (differences too), an elasticity off by 1e-6 and
/// an f off by 1e-6 l³ are each caught, by the laws concerned, and the right formulas pass.
#[test]
fn planted_errors_are_caught() {
    let right = Wrong { weight: 0.0, elasticity: 0.0, f: 0.0, pole: false };
    assert!(check(&right).passed());
    let broken = |d: Wrong, law: &str| check(&d).violations.iter().any(|v| v.law.starts_with(law));
    assert!(broken(Wrong { weight: 1e-6, ..right }, "f = c(u-1) + ∫"));
    assert!(broken(Wrong { weight: 1e-6, ..right }, "f - u f'"));
    assert!(broken(Wrong { weight: 0.05, ..right }, "w = u² f''"));
    assert!(broken(Wrong { elasticity: 1e-6, ..right }, "e ="));
    assert!(!broken(Wrong { elasticity: 1e-6, ..right }, "f"));
    assert!(broken(Wrong { f: 1e-6, ..right }, "f = c(u-1)"));
    assert!(broken(Wrong { pole: true, ..right }, "u f'"), "an infinite f'(1) must not make every law hold");
}

/// Checks that members with a parameter have it in their name and their formulas.
#[test]
fn names_with_parameters() {
    let power = by_name("w(r) =  2.5*r^0.7").unwrap();
    assert_eq!((power.name(), &*power.weight_formula()), ("w(r) = 2.5*r^0.7", "w(r) = 2.5*r^0.7"));
    assert!(power.elasticity_formula().ends_with("0.7000 where r → 0 and 0.7000 where r → ∞ (T7)"));
    assert_eq!(by_name("f(u)=-log(u)").unwrap().weight_formula(), "r² f''(r), f(u)=-log(u)");
    assert_eq!(by_name("alpha:0.3").unwrap().name(), "alpha:0.3");
    let custom = custom_le_cam();
    assert_eq!((custom.name(), &*custom.weight_formula()), ("le-cam again", "f'' = 8/(1+u)^3"));
    assert!(custom.formula().contains("f'' = 8/(1+u)^3") && custom.elasticity_formula().contains("by differences"));
    let surrogate = by_name("lv-surrogate").unwrap();
    assert_eq!(surrogate.name(), "lv-surrogate");
    let words = [surrogate.formula(), surrogate.weight_formula(), surrogate.elasticity_formula()];
    assert!(words[0].contains(&words[1]) && words[2].contains('σ'), "{words:?}");
}

/// Checks that every member is found by its name, that a slip of the pen is answered with the near names, and that total
/// variation is explained.
#[test]
fn registry() {
    for d in all_divergences() {
        let found = by_name(d.name()).unwrap();
        assert_eq!(found.formula(), d.formula());
        assert!([d.formula(), d.weight_formula(), d.elasticity_formula()].iter().all(|s| !s.is_empty()));
        assert!(d.formula().starts_with("D_f(p‖q) = "), "{}", d.name());
    }
    let Err(Error::UnknownName { near, .. }) = by_name("revers-kl") else { panic!("found") };
    assert_eq!(near[0], "reverse-kl");
    let Err(Error::UnknownName { near, .. }) = by_name("kl") else { panic!("found") };
    assert!(near.contains(&"reverse-kl".to_string()) && near.contains(&"forward-kl".to_string()));
    let message = by_name("total-variation").err().unwrap().to_string();
    assert!(message.contains("f''"), "{message}");
    assert!(by_name("alpha").is_err() && by_name("alpha:x").is_err() && by_name("alpha:inf").is_err());
    assert_eq!(by_name("alpha:-0.25").unwrap().elasticity(1.0), -0.25);
}
