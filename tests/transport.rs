//! Entropic optimal transport against closed forms, symmetries, marginals and differences.

use approx::assert_abs_diff_eq;
use pushforward::Error;
use pushforward::density::{Density, gmm9, gmm40};
use pushforward::linalg::Matrix;
use pushforward::num::observed_order;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::transport::{Cloud, Cost, Sinkhorn, couple, couple_with_itself, divergence};

fn normals(unit: u64, n: usize, d: usize) -> Matrix {
    normal_matrix(11, Purpose::Check, unit, n, d)
}

/// N(mean, deviation²) on a grid of `n` points that reaches 8 deviations.
fn gaussian_on_a_grid(mean: f64, deviation: f64, n: usize) -> Cloud {
    let z = |i: usize| 16.0 * (i as f64 / (n - 1) as f64) - 8.0;
    let points = Matrix::from_fn(n, 1, |i, _| mean + deviation * z(i));
    let weights: Vec<f64> = (0..n).map(|i| -0.5 * z(i) * z(i)).collect();
    Cloud::new(&points, Some(&weights)).unwrap()
}

/// Checks plans of two Gaussians against their closed forms (Janati et al., 2020), cost ½ |x - y|²: with c = ½ (√(ε² + 4 s²t²) - ε),
/// T(x) = m₂ + (c/s²)(x - m₁) and OT_ε = ½ (m₁ - m₂)² + ½ (s² + t² - 2c) - ½ ε log(1 - c²/(st)²). The trapezium rule on these grids is
/// exact to e^-30 in the weights; the plan has width √ε, so that step 0.03 is good to 1e-4 by far, and 1e-9 is what is found.
#[test]
fn gaussians_have_closed_forms() {
    let (m1, s, m2, t) = (0.7, 1.1, -0.4, 0.6);
    let (a, b) = (gaussian_on_a_grid(m1, s, 500), gaussian_on_a_grid(m2, t, 500));
    for epsilon in [0.05, 0.5, 5.0] {
        let plan = couple(&a, &b, &Sinkhorn::new(epsilon)).unwrap();
        let c = 0.5 * ((epsilon * epsilon + 4.0 * s * s * t * t).sqrt() - epsilon);
        let exact = 0.5 * (m1 - m2) * (m1 - m2) + 0.5 * (s * s + t * t - 2.0 * c)
            - 0.5 * epsilon * (1.0 - c * c / (s * s * t * t)).ln();
        assert!((plan.value - exact).abs() < 1e-9, "ε = {epsilon}: {} {exact}", plan.value);
        let to = plan.projection(&a, &b);
        for (x, to) in a.points().as_slice().iter().zip(to.as_slice()).filter(|(x, _)| (*x - m1).abs() < 4.0 * s) {
            assert!((to - m2 - c / (s * s) * (x - m1)).abs() < 1e-7, "ε = {epsilon}, x = {x}: {to}");
        }
        assert!(plan.converged(), "{}", plan.marginal_error);
    }
}

/// Checks S_ε(a, a) = 0 to 1e-10, S_ε(a, b) = S_ε(b, a) to the last bit, S_ε > 0 between different clouds, and both marginals of the plan
/// within 1e-9, for ε from 0.01 diameter² upwards, both costs and weights on both sides, one of them 0.
#[test]
fn symmetry_and_marginals() {
    let (x, y) = (normals(0, 150, 2), normals(1, 170, 2).map(|y| 0.5 * y + 1.0));
    let weights: Vec<f64> = (0..150).map(|i| if i == 7 { f64::NEG_INFINITY } else { (i % 5) as f64 * 0.4 }).collect();
    let (a, b) = (Cloud::new(&x, Some(&weights)).unwrap(), Cloud::<f64>::new(&y, None).unwrap());
    for (cost, epsilon) in [(Cost::HalfSquare, 0.36), (Cost::HalfSquare, 3.0), (Cost::Distance, 0.3)] {
        let settings = Sinkhorn { cost, ..Sinkhorn::new(epsilon) };
        let there = divergence(&a, &b, &settings).unwrap();
        assert_eq!(there.value.to_bits(), divergence(&b, &a, &settings).unwrap().value.to_bits());
        assert!(there.value > 0.1, "{}", there.value);
        let own = divergence(&a, &a, &settings).unwrap().value;
        assert!(own.abs() < 1e-10, "{cost:?} {epsilon}: {own}");
        let plan = there.cross.plan(&a, &b);
        let columns = plan.transpose();
        let rows = plan.iter_rows().zip(a.weights()).map(|(p, w)| (p.iter().sum::<f64>() - w).abs());
        let columns = columns.iter_rows().zip(b.weights()).map(|(p, w)| (p.iter().sum::<f64>() - w).abs());
        let (rows, columns) = (rows.sum::<f64>(), columns.sum::<f64>());
        assert!(rows < 1e-9 && columns < 1e-9, "{cost:?} {epsilon}: {rows} {columns}");
        // what is said is what is found
        assert_abs_diff_eq!(columns, there.cross.marginal_error, epsilon = 1e-12);
    }
}

/// Checks the gradient of S_ε in a point against differences of S_ε: central ones of order 2 and 4 joined by Richardson's rule, at h = 1e-2,
/// leave h⁶ and a rounding error of 1e-14/h; both are below 1e-9. The order of the plain difference is fitted too. With relaxed marginals too.
#[test]
fn gradient_against_differences() {
    let (x, y) = (normals(2, 12, 2), normals(3, 15, 2).map(|y| 0.7 * y - 0.5));
    let weights: Vec<f64> = (0..12).map(|i| 0.1 * i as f64).collect();
    let b = Cloud::<f64>::new(&y, None).unwrap();
    for (cost, epsilon, relax) in
        [(Cost::HalfSquare, 0.3, None), (Cost::Distance, 0.4, None), (Cost::HalfSquare, 0.3, Some(0.8))]
    {
        let settings = Sinkhorn { cost, relax, tolerance: 1e-13, ..Sinkhorn::new(epsilon) };
        let a = Cloud::<f64>::new(&x, Some(&weights)).unwrap();
        let gradient = divergence(&a, &b, &settings).unwrap().gradient(&a, &b);
        for (i, j) in [(0, 0), (5, 1), (11, 0)] {
            let at = |h: f64| {
                let mut moved = x.clone();
                moved[(i, j)] += h;
                divergence(&Cloud::new(&moved, Some(&weights)).unwrap(), &b, &settings).unwrap().value
            };
            let central = |h: f64| (at(h) - at(-h)) / (2.0 * h) / a.weights()[i];
            let fine = |h: f64| (4.0 * central(0.5 * h) - central(h)) / 3.0;
            let joined = (16.0 * fine(0.5e-2) - fine(1e-2)) / 15.0;
            assert!((joined - gradient[(i, j)]).abs() < 1e-9, "{cost:?} {i},{j}: {joined} {}", gradient[(i, j)]);
            let steps = [0.08, 0.04, 0.02, 0.01];
            let errors = steps.map(|h| (central(h) - gradient[(i, j)]).abs());
            let order = observed_order(&steps, &errors, 0.0).unwrap();
            assert!(order.is(2.0, 0.1), "{order:?}");
        }
    }
}

/// Checks the limits of cost ½ |x - y|²: for ε = 10⁶ the divergence is ½ |mean difference|² and its gradient minus that difference, to 1/ε of
/// the fourth moments; for small ε it is ½ W₂² of the sorted points, to ε.
#[test]
fn limits_of_epsilon() {
    let (x, y) = (normals(4, 60, 1), normals(5, 60, 1).map(|y| 1.5 * y + 2.0));
    let (a, b) = (Cloud::<f64>::new(&x, None).unwrap(), Cloud::<f64>::new(&y, None).unwrap());
    let gap = y.column_means()[0] - x.column_means()[0];
    let wide = divergence(&a, &b, &Sinkhorn::new(1e6)).unwrap();
    assert!((wide.value - 0.5 * gap * gap).abs() < 2e-5, "{} {}", wide.value, 0.5 * gap * gap);
    assert!(wide.gradient(&a, &b).as_slice().iter().all(|g| (g + gap).abs() < 1e-4));
    let sorted = |m: &Matrix| {
        let mut v = m.as_slice().to_vec();
        v.sort_by(f64::total_cmp);
        v
    };
    let exact = sorted(&x).iter().zip(sorted(&y)).map(|(a, b)| 0.5 * (a - b) * (a - b)).sum::<f64>() / 60.0;
    let narrow = divergence(&a, &b, &Sinkhorn { tolerance: 1e-6, ..Sinkhorn::new(2e-3) }).unwrap();
    assert!((narrow.value - exact).abs() < 2e-3 && narrow.converged(), "{} {exact}", narrow.value);
}

/// Checks that weights are multiplicities: a point of weight 3 is three points, and a weight of 0 is no point.
#[test]
fn weights_are_multiplicities() {
    let (x, y) = (normals(6, 20, 2), normals(7, 25, 2));
    let b = Cloud::<f64>::new(&y, None).unwrap();
    let mut weights: Vec<f64> = vec![0.0; 20];
    (weights[4], weights[9]) = (3f64.ln(), f64::NEG_INFINITY);
    let rows: Vec<usize> = (0..20).filter(|i| *i != 9).chain([4, 4]).collect();
    let (a, c) = (Cloud::new(&x, Some(&weights)).unwrap(), Cloud::new(&x.gather_rows(&rows), None).unwrap());
    let settings = Sinkhorn::new(0.5);
    let value = |a: &Cloud| divergence(a, &b, &settings).unwrap().value;
    assert_abs_diff_eq!(value(&a), value(&c), epsilon = 1e-12);
}

/// Checks the closed form of two points with masses m and n at cost c under relaxed marginals: the plan has the mass
/// log π = ((ε + ρ) log(mn) - c)/(ε + 2ρ), and OT = ε mn + ρ (m + n) - (ε + 2ρ) π, to 1e-12; and that S of a point and itself is 0.
#[test]
fn relaxed_points() {
    let point = |x: f64, mass: f64| Cloud::<f64>::new(&Matrix::from_rows(&[[x]]), None).unwrap().of_mass(mass).unwrap();
    for (m, n, x, epsilon, rho) in
        [(2.0f64, 0.7f64, 1.5, 0.5, 3.0), (1.0, 1.0, 4.0, 0.01, 0.2), (0.3, 5.0, 0.0, 2.0, 0.1)]
    {
        let settings = Sinkhorn { relax: Some(rho), tolerance: 1e-14, ..Sinkhorn::new(epsilon) };
        let (a, b) = (point(0.0, m), point(x, n));
        let plan = (((epsilon + rho) * (m * n).ln() - 0.5 * x * x) / (epsilon + 2.0 * rho)).exp();
        let exact = epsilon * m * n + rho * (m + n) - (epsilon + 2.0 * rho) * plan;
        let found = couple(&a, &b, &settings).unwrap();
        assert_abs_diff_eq!(found.value, exact, epsilon = 1e-12);
        assert_abs_diff_eq!(found.plan(&a, &b)[(0, 0)], plan, epsilon = 1e-12);
        assert!(found.converged());
        assert!(divergence(&a, &a, &settings).unwrap().value.abs() < 1e-12);
    }
}

/// Checks relaxed plans between weighted clouds of different masses against the plain scaling iteration u ← (a/Kv)^(ρ/(ρ+ε)) with the matrix
/// K = a⊗b exp(-c/ε), and the primal objective of its plan: values to 1e-10, plans to 1e-12; that S_ε,ρ is symmetric to the last bit and
/// positive; and that block truncation of no pair changes nothing to 1e-10.
#[test]
fn relaxed_against_plain_loops() {
    let (x, y) = (normals(14, 17, 2), normals(15, 23, 2).map(|y| 0.8 * y + 1.5));
    let weights: Vec<f64> = (0..17).map(|i| 0.07 * i as f64).collect();
    let a = Cloud::<f64>::new(&x, Some(&weights)).unwrap().of_mass(1.7).unwrap();
    let b = Cloud::<f64>::new(&y, None).unwrap().of_mass(0.6).unwrap();
    for (cost, epsilon, rho) in
        [(Cost::HalfSquare, 0.5, 1.0), (Cost::HalfSquare, 0.2, 40.0), (Cost::Distance, 0.3, 0.5)]
    {
        let settings = Sinkhorn { cost, relax: Some(rho), tolerance: 1e-13, ..Sinkhorn::new(epsilon) };
        let c = Matrix::from_fn(17, 23, |i, j| {
            cost.at_square((x[(i, 0)] - y[(j, 0)]).powi(2) + (x[(i, 1)] - y[(j, 1)]).powi(2))
        });
        let k = Matrix::from_fn(17, 23, |i, j| a.weights()[i] * b.weights()[j] * (-c[(i, j)] / epsilon).exp());
        let (mut u, mut v) = (vec![1.0f64; 17], vec![1.0f64; 23]);
        for _ in 0..20_000 {
            for i in 0..17 {
                let sum: f64 = (0..23).map(|j| k[(i, j)] * v[j]).sum();
                u[i] = (a.weights()[i] / sum).powf(rho / (rho + epsilon));
            }
            for j in 0..23 {
                let sum: f64 = (0..17).map(|i| k[(i, j)] * u[i]).sum();
                v[j] = (b.weights()[j] / sum).powf(rho / (rho + epsilon));
            }
        }
        let plan = Matrix::from_fn(17, 23, |i, j| u[i] * k[(i, j)] * v[j]);
        let kl = |p: f64, q: f64| p * (p / q).ln() - p + q;
        let mut value = 0.0;
        for i in 0..17 {
            value += rho * kl(plan.row(i).iter().sum(), a.weights()[i]);
            for j in 0..23 {
                let p = plan[(i, j)];
                value += p * c[(i, j)] + epsilon * kl(p, a.weights()[i] * b.weights()[j]);
            }
        }
        value += (0..23).map(|j| rho * kl((0..17).map(|i| plan[(i, j)]).sum(), b.weights()[j])).sum::<f64>();
        let found = couple(&a, &b, &settings).unwrap();
        assert!(found.converged() && (found.value - value).abs() < 1e-10, "{cost:?} {rho}: {} {value}", found.value);
        let gap =
            found.plan(&a, &b).as_slice().iter().zip(plan.as_slice()).fold(0.0, |m: f64, (p, q)| m.max((p - q).abs()));
        assert!(gap < 1e-12, "{gap}");
        let there = divergence(&a, &b, &settings).unwrap().value;
        assert!(there > 0.01 && there.to_bits() == divergence(&b, &a, &settings).unwrap().value.to_bits(), "{there}");
        let blocks = divergence(&a, &b, &Sinkhorn { truncate: Some(1e-12), ..settings }).unwrap();
        assert_eq!(blocks.cross.skipped, 0.0);
        assert_abs_diff_eq!(blocks.value, there, epsilon = 1e-10);
    }
}

/// Checks that relaxed marginals become exact ones at order 1 in 1/ρ, and that plans with exact marginals between different masses are refused.
#[test]
fn relaxed_towards_exact() {
    let (a, b) =
        (Cloud::<f64>::new(&normals(16, 30, 2), None).unwrap(), Cloud::new(&normals(17, 40, 2), None).unwrap());
    let value = |relax| divergence(&a, &b, &Sinkhorn { relax, ..Sinkhorn::new(0.4) }).unwrap().value;
    let exact = value(None);
    let steps = [1e-2, 5e-3, 2.5e-3, 1.25e-3];
    let errors = steps.map(|step| (value(Some(1.0 / step)) - exact).abs());
    let order = observed_order(&steps, &errors, 0.0).unwrap();
    assert!(order.is(1.0, 0.05), "{order:?} {errors:?}");
    let heavy = b.of_mass(2.0).unwrap();
    assert!(matches!(couple(&a, &heavy, &Sinkhorn::new(0.4)), Err(Error::Parameter { value: 2.0, .. })));
    for mass in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(a.clone().of_mass(mass), Err(Error::Parameter { .. })), "{mass}");
    }
}

/// Checks that a value is as near to the exact one as it says wherever iterations stop: tolerances from 0.3 to 1e-6, both costs, weights,
/// exact and relaxed marginals, by all pairs and by blocks; and that bounds follow the tolerance, so that they say something.
#[test]
fn values_are_as_near_as_they_say() {
    for (cost, epsilon, relax) in
        [(Cost::HalfSquare, 0.3, None), (Cost::Distance, 0.2, None), (Cost::HalfSquare, 0.3, Some(1.0))]
    {
        let (a, b) = (modes(22, 150), modes(23, 120));
        let exact = divergence(&a, &b, &Sinkhorn { cost, relax, tolerance: 1e-12, ..Sinkhorn::new(epsilon) }).unwrap();
        assert!(exact.converged() && exact.error_bound() < 1e-8, "{}", exact.error_bound());
        for truncate in [None, Some(1e-9)] {
            let mut loose = 0;
            for tolerance in [0.3, 1e-2, 1e-4, 1e-6] {
                let settings = Sinkhorn { cost, relax, tolerance, truncate, ..Sinkhorn::new(epsilon) };
                let found = divergence(&a, &b, &settings).unwrap();
                let (error, bound) = ((found.value - exact.value).abs(), found.error_bound());
                println!("{cost:?} {relax:?} {truncate:?} {tolerance:.0e}: error {error:.1e}, bound {bound:.1e}");
                assert!(error <= bound + exact.error_bound() + 1e-10, "{error} {bound}");
                assert!(bound < 300.0 * tolerance, "{bound}");
                for (part, whole) in [(&found.cross, &exact.cross), (&found.first, &exact.first)] {
                    let (low, high) = (part.value - epsilon * part.skipped, part.above);
                    assert!(low <= whole.above + 1e-10 && high >= whole.value - 1e-10, "{low} {high} {}", whole.value);
                }
                loose += usize::from(error > 1e-6);
            }
            assert!(loose > 0, "no error was seen");
        }
    }
}

/// Draws of gmm9, half of them with the weight e^½.
fn modes(unit: u64, n: usize) -> Cloud {
    let x = gmm9().sample(n, unit).unwrap();
    let weights: Vec<f64> = (0..n).map(|i| 0.5 * (i % 2) as f64).collect();
    Cloud::new(&x, Some(&weights)).unwrap()
}

/// Checks that leaving out blocks of pairs changes S_ε by no more than both bounds say, for both costs, relaxed
/// marginals and two levels, at a limit at which pairs are left out for certain and a small one; that gradients, so potentials in their places, agree to
/// √limit where little is; and that what is left out is within the limit.
#[test]
fn truncation_keeps_its_bound() {
    for (cost, epsilon, relax, n) in
        [(Cost::HalfSquare, 1.0, None, 820), (Cost::HalfSquare, 0.5, Some(2.0), 400), (Cost::Distance, 0.5, None, 400)]
    {
        let (a, b) = (modes(20, n), modes(21, n + 50));
        let settings = Sinkhorn { cost, relax, tolerance: 1e-8, ..Sinkhorn::new(epsilon) };
        let all = divergence(&a, &b, &settings).unwrap();
        let gradient = all.gradient(&a, &b);
        for limit in [0.5, 1e-8] {
            let part = divergence(&a, &b, &Sinkhorn { truncate: Some(limit), ..settings }).unwrap();
            let (change, bound, exact) = ((part.value - all.value).abs(), part.error_bound(), all.error_bound());
            println!("{cost:?} {relax:?} limit {limit:.0e}: change {change:.1e}, bounds {bound:.1e} {exact:.1e}");
            let skipped = part.cross.skipped;
            assert!(part.converged() && skipped <= limit && bound < epsilon * limit + 1e-5, "{skipped} {bound}");
            // costs that grow slowly have weight everywhere at the small limit
            assert!(skipped > 0.0 || limit < 0.1, "nothing is left out at {limit}");
            assert!(change <= bound + exact && exact < 1e-5, "{change} {bound} {exact}");
            assert!(n < 800 || limit < 0.1 || change > 1e-7, "nothing is seen to be left out: {change}");
            let pairs = part.gradient(&a, &b);
            let gaps = pairs.as_slice().iter().zip(gradient.as_slice()).map(|(p, q)| (p - q).abs());
            assert!(limit > 1e-3 || gaps.fold(0.0, f64::max) < limit.sqrt());
        }
    }
}

/// Checks that mass between far modes takes few iterations on all points by blocks, a third or less of those by all pairs, to the same value; and
/// that so many points that no two are one at this ε, more than there are groups for Newton's step, are coupled right in five dimensions.
#[test]
fn few_iterations_by_blocks() {
    let draws = |unit: u64| Cloud::<f64>::new(&gmm40().sample(800, unit).unwrap(), None).unwrap();
    let scattered = |unit: u64| Cloud::<f64>::new(&normals(unit, 4200, 5), None).unwrap();
    for (a, b, epsilon, many) in [(draws(0), draws(1), 1.7, true), (scattered(30), scattered(31), 0.5, false)] {
        let all = Sinkhorn { tolerance: 1e-7, ..Sinkhorn::new(epsilon) };
        let (part, whole) = (couple(&a, &b, &Sinkhorn { truncate: Some(1e-9), ..all }), couple(&a, &b, &all));
        let (part, whole) = (part.unwrap(), whole.unwrap());
        println!("{} iterations by blocks, {} by all pairs", part.iterations, whole.iterations);
        assert!(part.converged() && whole.converged());
        assert!(!many || 3 * part.iterations < whole.iterations, "{} {}", part.iterations, whole.iterations);
        // both are duals, below the optimum by a second order of the marginals' errors
        let gap = (part.value - whole.value).abs();
        assert!(gap <= (part.above - part.value) + (whole.above - whole.value) + epsilon * part.skipped, "{gap}");
    }
}

/// Prints, for draws of gmm40 against as many others at ε = 1.7 (the modes' variance), S_ε by blocks and, for 2,500 and 10,000, by all pairs,
/// with their bounds, and checks the one against the other; then 100,000 draws by blocks alone. `--ignored`: minutes.
#[test]
#[ignore = "a measurement"]
fn many_points_by_blocks() {
    let draws = |unit: u64, n: usize| Cloud::<f64>::new(&gmm40().sample(n, unit).unwrap(), None).unwrap();
    let measured = |n: usize, settings: &Sinkhorn| {
        let (a, b) = (draws(0, n), draws(1, n));
        let start = std::time::Instant::now();
        let found = divergence(&a, &b, settings).unwrap();
        let (seconds, bound) = (start.elapsed().as_secs_f64(), found.error_bound());
        let counts = [&found.cross, &found.first, &found.second].map(|c| (c.iterations, c.skipped));
        let marginals = found.marginal_error();
        println!(
            "n = {n}: {:?} within {bound:.1e}, marginals {marginals:.1e}, iterations and left out {counts:?}, {seconds:.1} s",
            found.value
        );
        found
    };
    let blocks = Sinkhorn { truncate: Some(1e-6), tolerance: 1e-9, ..Sinkhorn::new(1.7) };
    for n in [2500, 10_000, 100_000] {
        let part = measured(n, &blocks);
        assert!(part.converged());
        if n <= 10_000 {
            let all = measured(n, &Sinkhorn { truncate: None, ..blocks });
            let gap = (part.value - all.value).abs();
            println!("n = {n}: they differ by {gap:.1e}");
            assert!(gap <= part.error_bound() + all.error_bound(), "{gap}");
        }
    }
}

/// Checks that a plan without own pairs has none, keeps its marginals, and that three points on the corners of an equilateral triangle
/// are then sent to the middle of the other two.
#[test]
fn own_pairs_left_out() {
    let corners = Matrix::from_rows(&[[0.0, 0.0], [1.0, 0.0], [0.5, 0.75f64.sqrt()]]);
    let a = Cloud::<f64>::new(&corners, None).unwrap();
    let plan = couple_with_itself(&a, &Sinkhorn::new(0.1), true).unwrap();
    let to = plan.projection(&a, &a);
    assert_abs_diff_eq!(to[(0, 0)], 0.75, epsilon = 1e-9);
    assert_abs_diff_eq!(to[(2, 0)], 0.5, epsilon = 1e-9);
    let x = normals(8, 40, 2);
    let a = Cloud::<f64>::new(&x, None).unwrap();
    let plan = couple_with_itself(&a, &Sinkhorn::new(1.0), true).unwrap();
    assert!(plan.converged() && plan.marginal_error < 1e-9);
    let p = plan.plan(&a, &a);
    assert!((0..40).all(|i| p[(i, i)] == 0.0 && (p.row(i).iter().sum::<f64>() - 1.0 / 40.0).abs() < 1e-10));
    let lone = Cloud::<f64>::new(&Matrix::zeros(1, 2), None).unwrap();
    assert!(matches!(couple_with_itself(&lone, &Sinkhorn::new(1.0), true), Err(Error::Dimension { .. })));
}

/// Checks that f32 agrees with f64 to its own rounding of potentials (1e-4 of the value), and that bits do not depend on the number of threads.
#[test]
fn precisions_and_threads() {
    let (x, y) = (normals(9, 200, 3), normals(10, 300, 3).map(|y| y + 1.0));
    let settings = Sinkhorn::new(0.5);
    let double = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (a, b) = (Cloud::<f64>::new(&x, None).unwrap(), Cloud::new(&y, None).unwrap());
            let s = divergence(&a, &b, &settings).unwrap();
            (s.value, s.gradient(&a, &b))
        })
    };
    let one = double(1);
    assert!(one == double(2) && one == double(3));
    let (a, b) = (Cloud::<f32>::new(&x, None).unwrap(), Cloud::new(&y, None).unwrap());
    let single = divergence(&a, &b, &settings).unwrap();
    assert!(single.converged() && (single.value / one.0 - 1.0).abs() < 1e-4, "{} {}", single.value, one.0);
    let gaps = single.gradient(&a, &b);
    assert!(gaps.as_slice().iter().zip(one.1.as_slice()).all(|(s, d)| (f64::from(*s) - d).abs() < 1e-3));
}

/// Checks that costs far beyond the range of 2^x are met: clouds that are 10⁴ apart at ε = 1, where costs are rounded at 10⁻⁸, and two
/// that are 10⁻⁶ wide.
#[test]
fn far_apart_and_close_together() {
    let (x, y) = (normals(12, 30, 2), normals(13, 30, 2).map(|y| y + 1e4));
    let of = |x: &Matrix| Cloud::<f64>::new(x, None).unwrap();
    let far = divergence(&of(&x), &of(&y), &Sinkhorn { tolerance: 1e-6, ..Sinkhorn::new(1.0) }).unwrap();
    let mean = |m: &Matrix| m.column_means();
    let gap: f64 = mean(&x).iter().zip(mean(&y)).map(|(a, b)| (a - b) * (a - b)).sum();
    // at most the spreads' own cost more
    assert!(far.value >= 0.5 * gap && far.value < 0.5 * gap + 5.0 && far.converged(), "{} {gap}", far.value);
    let tiny = |m: &Matrix| of(&m.map(|x| 1e-6 * x));
    let near = divergence(&tiny(&x), &tiny(&x.map(|x| x + 2.0)), &Sinkhorn::new(1e-12)).unwrap();
    assert!((near.value / 4e-12 - 1.0).abs() < 1e-6, "{}", near.value);
}

/// Checks that what has no answer is refused with the value: points that are not finite, no points, weights that are none, other dimensions,
/// and an ε that is not positive.
#[test]
fn refusals() {
    let of = |rows: &[[f64; 2]], w: Option<&[f64]>| Cloud::<f64>::new(&Matrix::from_rows(rows), w);
    assert!(matches!(of(&[[0.0, f64::NAN]], None), Err(Error::BadSample { row: 0, column: 1, .. })));
    assert!(matches!(of(&[], None), Err(Error::Dimension { .. })));
    assert!(matches!(of(&[[0.0, 0.0]], Some(&[0.0, 0.0])), Err(Error::Dimension { expected: 1, found: 2, .. })));
    for w in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(of(&[[0.0, 0.0]], Some(&[w])), Err(Error::Parameter { .. })), "{w}");
    }
    let (plane, line) = (of(&[[0.0, 1.0]], None).unwrap(), Cloud::<f64>::new(&Matrix::zeros(2, 1), None).unwrap());
    assert!(matches!(couple(&plane, &line, &Sinkhorn::new(1.0)), Err(Error::Dimension { expected: 2, found: 1, .. })));
    for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(couple(&plane, &plane, &Sinkhorn::new(epsilon)), Err(Error::Parameter { .. })), "{epsilon}");
    }
    assert_eq!(divergence(&plane, &plane, &Sinkhorn::new(1.0)).unwrap().value, 0.0);
}
