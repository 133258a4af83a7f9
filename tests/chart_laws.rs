//! One set of laws for every chart: the Jacobian, the inverse, the score, and the mass of densities with known integrals.

use pushforward::Error;
use pushforward::autodiff::{Dual, check_score};
use pushforward::density::{Chart, Constrained, Density, Extended, Handwritten, Support, evaluate};
use pushforward::linalg::{Matrix, log_abs_det};
use pushforward::rng::{Purpose, normal_matrix};
use std::sync::Arc;

/// Every kind of block, alone and in one product.
fn charts() -> Vec<Vec<Support>> {
    let blocks = [
        Support::Real,
        Support::Interval { low: 0.0, high: f64::INFINITY },
        Support::Interval { low: -1.5, high: f64::INFINITY },
        Support::Interval { low: f64::NEG_INFINITY, high: 3.0 },
        Support::Interval { low: f64::NEG_INFINITY, high: f64::INFINITY },
        Support::Interval { low: -2.0, high: 5.0 },
        Support::Simplex(2),
        Support::Simplex(5),
        Support::Ordered(1),
        Support::Ordered(4),
    ];
    blocks.iter().map(|&b| vec![b]).chain([blocks.to_vec()]).collect()
}

/// Points u of spread 2, and with the seventh coordinate and on far out.
fn points(m: usize) -> Matrix {
    normal_matrix(3, Purpose::Check, 0, 40, m).map(|v: f64| 2.0 * v)
}

/// ∂x_i/∂u_j by dual numbers through the shipped chart, only the free coordinates of x (a simplex without its last).
fn jacobian(blocks: &[Support], chart: &Chart, u: &[f64]) -> Matrix {
    let mut kept = Vec::new();
    let mut at = 0;
    for block in blocks {
        kept.extend(at..at + block.free_width());
        at += block.width();
    }
    let m = u.len();
    let mut out = Matrix::zeros(m, m);
    for j in 0..m {
        let seed = |k: usize| Dual { value: u[k], slope: if k == j { 1.0 } else { 0.0 } };
        let mut x = vec![Dual::variable(0.0); chart.dim()];
        chart.constrain_point(&(0..m).map(seed).collect::<Vec<_>>(), &mut x);
        kept.iter().enumerate().for_each(|(row, &i)| out[(row, j)] = x[i].slope);
    }
    out
}

/// Checks for every chart that its log-Jacobian is the logarithm of the determinant of its dense Jacobian by dual numbers, by LU: 8 steps of
/// elimination on entries down to e^-8 err by far less than 1e-11 of 1 + |log|.
#[test]
fn log_jacobians_are_log_determinants() {
    for blocks in charts() {
        let chart = Chart::new(blocks.clone()).unwrap();
        for u in points(chart.free_dim()).iter_rows() {
            let claimed = chart.constrain_point(u, &mut vec![0.0; chart.dim()]);
            let dense = log_abs_det(&jacobian(&blocks, &chart, u));
            assert!((claimed - dense).abs() < 1e-11 * (1.0 + dense.abs()), "{blocks:?} at {u:?}: {claimed} {dense}");
        }
    }
}

/// Checks for every chart that points land inside and `free` undoes `constrain`. |u| < 9 here, so 1 - σ(u) > 1e-4 keeps 12 digits.
#[test]
fn charts_are_one_to_one() {
    for blocks in charts() {
        let chart = Chart::new(blocks.clone()).unwrap();
        let u = points(chart.free_dim());
        let x = chart.constrain(&u);
        let back = chart.free(&x).unwrap();
        let worst = back.as_slice().iter().zip(u.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-10, "{blocks:?}: {worst:e}");
    }
}

/// Checks for every chart, around a density that couples all coordinates, that the score is the gradient of the log-density.
#[test]
fn scores_are_gradients() {
    for blocks in charts() {
        let chart = Chart::new(blocks.clone()).unwrap();
        let (d, m) = (chart.dim(), chart.free_dim());
        let coupled = Handwritten::new(
            d,
            |x| -0.1 * x.iter().sum::<f64>().powi(2) + x[0].sin(),
            |x, s| {
                let sum: f64 = x.iter().sum();
                s.fill(-0.2 * sum);
                s[0] += x[0].cos();
            },
        );
        let p = Constrained::new(Arc::new(coupled), chart).unwrap();
        let direction = normal_matrix(3, Purpose::Check, 1, 40, m);
        let score = |u: &Matrix| evaluate(&p, u).unwrap().score;
        let x = points(m).map(|u| u.clamp(-2.0, 2.0));
        let check = check_score(|u| p.log_density(u), score, &x, &direction).unwrap();
        assert!(check.passed(), "{blocks:?}: {check}");
    }
}

/// ∫ p~ over [-60, 60]^m in u by the trapezium rule with step 0.25, m ≤ 2.
fn mass(p: &dyn Density) -> f64 {
    let (m, side) = (p.dim(), 481);
    let at = |k: usize| -60.0 + 0.25 * k as f64;
    let u = Matrix::from_fn(usize::pow(side, m as u32), m, |i, j| at(if j == 0 { i % side } else { i / side }));
    p.log_density(&u).iter().map(|l| l.exp()).sum::<f64>() * 0.25f64.powi(m as i32)
}

/// Checks that constrained densities keep their mass: Gamma(3) = 2 on x > 0, Beta(2, 3) on (1, 3), Dirichlet(2, 3, 4) on the simplex, two normals in order, against
/// the closed forms. In u they are analytic in a strip of half-width above 1, so step 1/4 errs by less than e^(-8π) = 1e-11;
/// the gap of two ordered normals by e^(-2π²) = 3e-9, because exp(-e^2u) is bounded for |Im u| < π/4.
#[test]
fn masses_are_kept() {
    let gamma = Handwritten::new(1, |x| 2.0 * x[0].ln() - x[0], |x, s| s[0] = 2.0 / x[0] - 1.0);
    let beta = Handwritten::new(
        1,
        |x| ((x[0] - 1.0) / 2.0).ln() + 2.0 * ((3.0 - x[0]) / 2.0).ln() - 2f64.ln(),
        |x, s| s[0] = 1.0 / (x[0] - 1.0) - 2.0 / (3.0 - x[0]),
    );
    let dirichlet = Handwritten::new(
        3,
        |x| x[0].ln() + 2.0 * x[1].ln() + 3.0 * x[2].ln(),
        |x, s| (0..3).for_each(|k| s[k] = (k + 1) as f64 / x[k]),
    );
    let pair = Handwritten::new(
        2,
        |x| -0.5 * (x[0] * x[0] + x[1] * x[1]),
        |x, s| s.iter_mut().zip(x).for_each(|(s, x)| *s = -x),
    );
    let on = |p: Arc<dyn Density>, block| mass(&Constrained::new(p, Chart::new(vec![block]).unwrap()).unwrap());
    let positive = Support::Interval { low: 0.0, high: f64::INFINITY };
    for (name, found, exact) in [
        ("gamma", on(Arc::new(gamma), positive), 2.0),
        ("beta", on(Arc::new(beta), Support::Interval { low: 1.0, high: 3.0 }), 1.0 / 12.0),
        // Γ(2) Γ(3) Γ(4) / Γ(9)
        ("dirichlet", on(Arc::new(dirichlet), Support::Simplex(3)), 12.0 / 40320.0),
        // two independent normals in their order: half of all
        ("ordered", on(Arc::new(pair), Support::Ordered(2)), std::f64::consts::PI),
    ] {
        assert!((found / exact - 1.0).abs() < 1e-8, "{name}: {found} {exact}");
    }
}

/// Checks that far out, where x rounds to the edge of its support, log p~ is -inf with score 0 even for a density that is 0/0 there.
#[test]
fn edges_are_outside() {
    let wild = Handwritten::new(1, |x| (x[0] / x[0]).ln() - x[0], |x, s| s[0] = -x[0] / x[0]);
    let chart = Chart::new(vec![Support::Interval { low: 0.0, high: f64::INFINITY }]).unwrap();
    let p = Constrained::new(Arc::new(wild), chart).unwrap();
    let at = evaluate(&p, &Matrix::from_rows(&[[-800.0], [800.0], [0.0]])).unwrap();
    assert_eq!(at.log_density, [f64::NEG_INFINITY, f64::NEG_INFINITY, -1.0]);
    assert_eq!(at.score.as_slice(), [0.0, 0.0, 0.0]);
    assert_eq!(p.log_density(&Matrix::from_rows(&[[-800.0], [800.0], [0.0]])), at.log_density);
}

/// Checks that samples from far out, whose x is rounded to the edge or beyond the largest number, are kept at the nearest numbers inside, so that
/// they can be read again; that nothing else is moved; and that a u that is no number stays one that no reader takes.
#[test]
fn samples_stay_inside() {
    let narrow = vec![Support::Interval { low: 1e6, high: 1e6 + 1e-3 }];
    for blocks in charts().into_iter().chain([narrow]) {
        let chart = Chart::new(blocks.clone()).unwrap();
        let m = chart.free_dim();
        for size in [25.0, 40.0, 750.0, 1e5] {
            let u = points(m).map(|v| size * v.signum());
            let x = chart.constrain(&u);
            assert!(x.is_finite() && chart.free(&x).is_ok_and(|u| u.is_finite()), "{blocks:?} at ±{size}: {x:?}");
        }
        for u in points(m).iter_rows() {
            let mut plain = vec![0.0; chart.dim()];
            chart.constrain_point(u, &mut plain);
            let kept = chart.constrain(&Matrix::from_rows(&[u]));
            assert_eq!(kept.as_slice(), plain, "{blocks:?}");
        }
        let x = chart.constrain(&Matrix::filled(1, m, f64::NAN));
        assert!(!x.is_finite(), "{blocks:?}: {x:?}");
    }
}

/// Checks that the score of u is finite where x is a number below 1e-308, of which one over it is none: for Gamma(a), Beta and Dirichlet, whose scores
/// in u tend to a (with the other sign at upper ends) and whose log-densities are finite as far as there are numbers.
#[test]
fn scores_near_an_edge_have_their_limit() {
    let on = |p: Arc<dyn Density>, block| Constrained::new(p, Chart::new(vec![block]).unwrap()).unwrap();
    let gamma = Handwritten::new(1, |x| -0.999 * x[0].ln() - x[0], |x, s| s[0] = -0.999 / x[0] - 1.0);
    let mirrored = Handwritten::new(1, |x| -0.999 * (-x[0]).ln() + x[0], |x, s| s[0] = -0.999 / x[0] + 1.0);
    let dirichlet = Handwritten::new(
        3,
        |x| -0.98 * x.iter().map(|x| x.ln()).sum::<f64>(),
        |x, s| s.iter_mut().zip(x).for_each(|(s, x)| *s = -0.98 / x),
    );
    let (positive, negative) =
        (Support::Interval { low: 0.0, high: f64::INFINITY }, Support::Interval { low: f64::NEG_INFINITY, high: 0.0 });
    for (p, u, limit) in [
        (on(Arc::new(gamma), positive), vec![-720.0], vec![0.001]),
        (on(Arc::new(mirrored), negative), vec![-720.0], vec![0.001]),
        // d/du_j Σ 0.02 log x = 0.02 (1 - 3 x_j)
        (on(Arc::new(dirichlet), Support::Simplex(3)), vec![720.0, 715.0], {
            let first = 1.0 / (1.0 + (-5f64).exp());
            vec![0.02 * (1.0 - 3.0 * first), 0.02 * (1.0 - 3.0 * (1.0 - first))]
        }),
    ] {
        let at = evaluate(&p, &Matrix::from_rows(&[u])).unwrap();
        assert!(at.log_density[0].is_finite());
        // a subnormal number of 2^-1040 has 34 digits of 2 left
        at.score.as_slice().iter().zip(limit).for_each(|(s, l)| assert!((s - l).abs() < 1e-9, "{s} {l}"));
    }
}

/// Checks that the density by which samples are judged has no point outside where a u is finite: around p = 1 it is the Jacobian, whose logarithm the
/// chart says at any distance, and for Beta(0.1, 0.1) the closed form; that it is the constrained density to the last bit where that is finite; and
/// that it stays -inf where p is no number near the edge.
///
/// The tangent begins where log p~ differs from a straight line by e^-36 and sums ten numbers below 1e6 of 16 digits: 1e-12 of their sizes.
#[test]
fn far_samples_are_judged_inside() {
    let judged = |p: Arc<dyn Density>, chart: &Chart| {
        let p: Arc<dyn Density> = Arc::new(Constrained::new(p, chart.clone()).unwrap());
        (Extended::new(Arc::clone(&p), chart.clone()).unwrap(), p)
    };
    // the numbers of this one end at 1e-7 of its width
    let narrow = (vec![Support::Interval { low: 1e6, high: 1e6 + 1e-3 }], 1e-6);
    for (blocks, tolerance) in charts().into_iter().map(|blocks| (blocks, 1e-12)).chain([narrow]) {
        let chart = Chart::new(blocks.clone()).unwrap();
        let flat = Handwritten::new(chart.dim(), |_| 0.0, |_, s| s.fill(0.0));
        let (extended, plain) = judged(Arc::new(flat), &chart);
        for size in [1.0, 25.0, 40.0, 700.0, 750.0, 1e5] {
            // not all equally far
            let u = points(chart.free_dim()).map(|v| size * v.signum() + v);
            let (found, before) = (evaluate(&extended, &u).unwrap(), evaluate(&*plain, &u).unwrap());
            for (i, u) in u.iter_rows().enumerate() {
                let jacobian = chart.constrain_point(u, &mut vec![0.0; chart.dim()]);
                let scale: f64 = 1.0 + u.iter().map(|u| u.abs()).sum::<f64>();
                let error = (found.log_density[i] - jacobian).abs();
                assert!(error < tolerance * scale, "{blocks:?} at {u:?}: {jacobian} {error:e}");
                if before.log_density[i].is_finite() {
                    assert_eq!(found.log_density[i], before.log_density[i]);
                    assert_eq!(found.score.row(i), before.score.row(i));
                }
            }
            assert_eq!(extended.log_density(&u), found.log_density);
        }
    }
    let unit = Chart::new(vec![Support::Interval { low: 0.0, high: 1.0 }]).unwrap();
    let beta =
        Handwritten::new(1, |x| -0.9 * (x[0].ln() + (1.0 - x[0]).ln()), |x, s| s[0] = -0.9 / x[0] + 0.9 / (1.0 - x[0]));
    let far = Matrix::from_rows(&[[-1e4], [-800.0], [-40.0], [38.0], [800.0], [1e4]]);
    let (extended, plain) = judged(Arc::new(beta), &unit);
    assert!(plain.log_density(&far)[3..].iter().all(|l| *l == f64::NEG_INFINITY));
    let found = evaluate(&extended, &far).unwrap();
    for ((u, l), s) in far.as_slice().iter().zip(&found.log_density).zip(found.score.as_slice()) {
        assert!(
            (l + 0.1 * u.abs()).abs() < 1e-12 * (1.0 + u.abs()) && (s + 0.1 * u.signum()).abs() < 1e-12,
            "{u}: {l} {s}"
        );
    }
    let hole = Handwritten::new(1, |x| (x[0] - 0.5).abs().ln() + (0.9 - x[0]).ln(), |_, s| s.fill(0.0));
    let (extended, _) = judged(Arc::new(hole), &unit);
    assert_eq!(extended.log_density(&Matrix::from_rows(&[[800.0], [f64::INFINITY]])), [f64::NEG_INFINITY; 2]);
}

/// Checks that points outside, charts without inside, and sizes that do not fit are errors that say so.
#[test]
fn bad_charts_and_points() {
    let interval = |low, high| Chart::new(vec![Support::Interval { low, high }]);
    for bad in [
        interval(1.0, 1.0),
        interval(2.0, 1.0),
        interval(f64::NAN, 1.0),
        interval(f64::INFINITY, f64::INFINITY),
        Chart::new(vec![Support::Simplex(1)]),
        Chart::new(vec![Support::Ordered(0)]),
        Chart::new(vec![]),
    ] {
        assert!(matches!(bad, Err(Error::Parameter { .. })), "{bad:?}");
    }
    let chart = Chart::new(vec![Support::Real, Support::Simplex(2)]).unwrap();
    let error = chart.free(&Matrix::from_rows(&[[7.0, 0.5, 0.5], [7.0, 0.5, 0.6]])).unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("coordinate 2"), "{error}");
    assert!(interval(0.0, 1.0).unwrap().free(&Matrix::from_rows(&[[1.0]])).is_err());
    let flat = Arc::new(Handwritten::new(2, |_: &[f64]| 0.0, |_: &[f64], s: &mut [f64]| s.fill(0.0)));
    assert!(matches!(Constrained::new(flat, chart).err(), Some(Error::Dimension { .. })));
}
