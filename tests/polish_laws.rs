//! The polish after the one-step map: p stays invariant, the wrong shape is repaired, wrong masses are not.

use pushforward::density::{self, Density, GaussianMixture, Handwritten, gmm9};
use pushforward::linalg::Matrix;
use pushforward::metric::ModeTruth;
use pushforward::num::Summary;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::search::Polish;

fn normal(unit: u64, n: usize, d: usize) -> Matrix {
    normal_matrix(13, Purpose::Check, unit, n, d)
}

/// Checks that p is invariant: 20 steps at three step sizes (the tuned one, a third, three times) on 20,000 exact samples leave the means of
/// every x_j, x_j² and of log p~ as they were, by paired differences: |z| < 5 on 40 figures fails by chance in 1 of 4e4. Without the
/// accept-reject step, or with a wrong proposal ratio, the second moments move: the twin below proves that the test sees it.
#[test]
fn invariance() {
    for name in ["gmm9", "banana", "many-well-4", "two-moons"] {
        let p = density::by_name(name).unwrap();
        let exact = p.sample(20_000, 1).unwrap();
        let tuned = Polish::tune(&*p, &exact.slice_rows(0..1_000), 2).unwrap();
        for times in [0.33, 1.0, 3.0] {
            let mut moved = exact.clone();
            let polish = Polish { step: times * tuned.step, ..tuned };
            let report = polish.run(&*p, &mut moved, 20, (3, 0)).unwrap();
            let (before, after) = (features(&*p, &exact), features(&*p, &moved));
            for (f, (a, b)) in before.iter().zip(&after).enumerate() {
                let change = Summary::of(&a.iter().zip(b).map(|(a, b)| b - a).collect::<Vec<_>>());
                let z = change.mean / change.standard_error();
                assert!(z.abs() < 5.0, "{name} × {times}, feature {f}: z = {z}, {report:?}");
            }
        }
    }
}

/// x_j, x_j², log p~: each a list over samples.
fn features(p: &dyn Density, x: &Matrix) -> Vec<Vec<f64>> {
    let column = |j: usize, power: i32| x.iter_rows().map(|row| row[j].powi(power)).collect();
    let mut all: Vec<Vec<f64>> = (0..x.cols()).flat_map(|j| [column(j, 1), column(j, 2)]).collect();
    all.push(p.log_density(x));
    all
}

/// Checks that the test of invariance has teeth: a score that is wrong by a factor of 0.8 while the proposal ratio uses the same wrong score
/// is still exact (any drift is), but log p~ that is wrong by a factor of 0.9 is not (|z| > 5).
#[test]
fn invariance_has_teeth() {
    let twin = |score: f64, level: f64| {
        Handwritten::new(
            2,
            move |x: &[f64]| -0.5 * level * x.iter().map(|x| x * x).sum::<f64>(),
            move |x: &[f64], s: &mut [f64]| s.iter_mut().zip(x).for_each(|(s, x)| *s = -score * x),
        )
    };
    let exact = normal(1, 20_000, 2);
    let z = |p: &dyn Density| {
        let mut moved = exact.clone();
        Polish { step: 0.5, pilot_acceptance: 0.0 }.run(p, &mut moved, 20, (3, 0)).unwrap();
        let squares = |m: &Matrix| m.iter_rows().map(|r| r[0] * r[0] + r[1] * r[1]).collect::<Vec<f64>>();
        let change = Summary::of(&squares(&exact).iter().zip(squares(&moved)).map(|(a, b)| b - a).collect::<Vec<_>>());
        change.mean / change.standard_error()
    };
    assert!(z(&twin(0.8, 1.0)).abs() < 5.0);
    assert!(z(&twin(1.0, 0.9)).abs() > 5.0);
}

/// Checks the tuning: on exact pilots the frozen step has an acceptance within 0.05 of 0.574 on 20,000 fresh samples, for targets of
/// 2 to 50 dimensions and widths from 0.3 to 1,000.
#[test]
fn tuned_acceptance() {
    let wide = GaussianMixture::isotropic(&[1.0], Matrix::zeros(1, 50), 1_000.0).unwrap();
    let targets: Vec<(&str, std::sync::Arc<dyn Density>)> = vec![
        ("gmm9", std::sync::Arc::new(gmm9())),
        ("gmm40", density::by_name("gmm40").unwrap()),
        ("many-well-32", density::by_name("many-well-32").unwrap()),
        ("wide", std::sync::Arc::new(wide)),
    ];
    for (name, p) in targets {
        let tuned = Polish::tune(&*p, &p.sample(1_000, 1).unwrap(), 2).unwrap();
        let report = tuned.run(&*p, &mut p.sample(20_000, 3).unwrap(), 3, (4, 0)).unwrap();
        assert!((report.acceptance - 0.574).abs() < 0.05, "{name}: {tuned:?} {report:?}");
        assert!((tuned.pilot_acceptance - 0.574).abs() < 0.05, "{name}: {tuned:?}");
    }
}

/// Checks what polish repairs and what it does not: gmm9 with modes of half the width and masses 2:1 instead of 1:1. 60 steps bring
/// the variance ratio from 0.25 to 1 (binomial-like error of 9,000 points × 2: 5 sd = 0.06) and leave the masses as they were (sd of
/// a share at most 0.003: nothing crosses 5 units at width 0.3).
#[test]
fn repairs_widths_not_masses() {
    let p = gmm9();
    let truth = ModeTruth::new(&p, 100_000, 5);
    let weights: Vec<f64> = (0..9).map(|k| if k < 5 { 2.0 } else { 1.0 }).collect();
    let narrow = GaussianMixture::isotropic(&weights, p.means().clone(), 0.5 * 0.3f64.sqrt()).unwrap();
    let mut x = narrow.sample(9_000, 1).unwrap();
    let before = truth.report(&x);
    let polish = Polish::tune(&p, &x.slice_rows(0..1_000), 2).unwrap();
    let report = polish.run(&p, &mut x, 60, (3, 0)).unwrap();
    let after = truth.report(&x);
    assert!((before.variance_ratio - 0.25).abs() < 0.02 && (after.variance_ratio - 1.0).abs() < 0.06, "{after:?}");
    assert!(report.log_density_after < report.log_density_before, "narrow modes lie too high: {report:?}");
    let moved: f64 = before.masses.iter().zip(&after.masses).map(|(a, b)| (a - b).abs()).sum();
    assert!(moved < 0.02 && after.total_variation > 0.1, "{moved} {after:?}");
}

/// Checks that strays far out in steep tails come back without an overflow (|score| of a quartic well at 100 is 4e6), and that samples
/// outside a support get inside and never leave it.
#[test]
fn strays_and_supports() {
    let well = density::by_name("many-well-4").unwrap();
    let exact = well.sample(1_000, 1).unwrap();
    let polish = Polish::tune(&*well, &exact, 2).unwrap();
    let mut x = Matrix::from_fn(50, 4, |_, j| if j % 2 == 0 { 100.0 } else { 3.0 });
    let report = polish.run(&*well, &mut x, 400, (3, 0)).unwrap();
    assert!(report.log_density_after > report.log_density_before && x.is_finite(), "{report:?}");
    assert!(x.as_slice().iter().all(|v| v.abs() < 10.0), "{x:?}");
    let half = Handwritten::new(
        1,
        |x: &[f64]| if x[0] > 0.0 { -x[0] } else { f64::NEG_INFINITY },
        |_: &[f64], s: &mut [f64]| s[0] = -1.0,
    );
    let mut x = Matrix::from_fn(500, 1, |i, _| if i < 50 { -0.5 } else { i as f64 / 250.0 });
    Polish { step: 0.5, pilot_acceptance: 0.0 }.run(&half, &mut x, 200, (3, 0)).unwrap();
    assert!(x.as_slice().iter().all(|&x| x > 0.0));
}

/// Checks that a score that is not a number ends the polish with the point, and leaves the samples as they were; that threads do not
/// matter; and that reports of parts join to the report of the whole.
#[test]
fn errors_threads_and_parts() {
    let broken = Handwritten::new(
        1,
        |x: &[f64]| -0.5 * x[0] * x[0],
        |x: &[f64], s: &mut [f64]| s[0] = if x[0] > 1.0 { f64::NAN } else { -x[0] },
    );
    let start = Matrix::filled(100, 1, 0.5);
    let mut x = start.clone();
    let error = Polish { step: 0.5, pilot_acceptance: 0.0 }.run(&broken, &mut x, 10, (1, 0)).unwrap_err();
    assert!(error.to_string().contains("score coordinate 0 is NaN") && x == start, "{error}");
    let p = gmm9();
    let exact = p.sample(700, 1).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let polish = Polish::tune(&p, &exact, 2).unwrap();
            let mut x = exact.clone();
            (polish.run(&p, &mut x, 5, (3, 1)).unwrap(), x)
        })
    };
    assert_eq!(run(1), run(3));
    let polish = Polish::tune(&p, &exact, 2).unwrap();
    let mut parts = [exact.slice_rows(0..300), exact.slice_rows(300..700)];
    let [a, b] = [0, 1].map(|k| polish.run(&p, &mut parts[k], 5, (3, k as u64)).unwrap());
    let all = Matrix::from_vec(700, 2, [parts[0].as_slice(), parts[1].as_slice()].concat());
    let joined = a.join(b);
    let exact_after = Summary::of(&p.log_density(&all)).mean;
    assert!(joined.samples == 700 && (joined.log_density_after - exact_after).abs() < 1e-12, "{joined:?}");
}
