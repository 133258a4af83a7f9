//! Exact draws and means without bias, from proposals that are wrong.

use pushforward::Error;
use pushforward::density::{Affine, Density, GaussianMixture, Handwritten};
use pushforward::linalg::Matrix;
use pushforward::model::{Exact, Unbiased};
use std::sync::Arc;

/// z-scores above this have probability 7e-6 each; about a hundred are looked at.
const Z: f64 = 4.5;

fn mixture(weights: &[f64], means: &[[f64; 2]], stds: &[f64]) -> GaussianMixture {
    let one = |s: &f64| Matrix::from_rows(&[[s * s, 0.2 * s * s], [0.2 * s * s, s * s]]);
    GaussianMixture::new(weights, Matrix::from_rows(means), stds.iter().map(one).collect()).unwrap()
}

/// p, and a proposal with other masses, places and widths, in the frame of a user.
fn pair() -> (Arc<dyn Density>, Exact) {
    let p = mixture(&[0.3, 0.7], &[[3.0, -2.0], [9.0, 1.0]], &[1.0, 0.5]);
    let q = mixture(&[0.6, 0.4], &[[3.3, -2.2], [8.8, 1.1]], &[1.1, 0.6]);
    let frame = Affine::new(vec![6.0, 0.0], 3.0).unwrap();
    let places = q.standardised(&frame).unwrap();
    let p: Arc<dyn Density> = Arc::new(p);
    let exact = Exact::new(&p, Arc::new(q), &frame, places, 7).unwrap();
    (p, exact)
}

/// x, y, x², y², xy, and whether x > 6: the mass of the second mode.
fn features(x: &Matrix) -> Matrix {
    let one = |r: &[f64]| [r[0], r[1], r[0] * r[0], r[1] * r[1], r[0] * r[1], f64::from(u8::from(r[0] > 6.0))];
    let rows: Vec<[f64; 6]> = x.iter_rows().map(one).collect();
    Matrix::from_rows(&rows)
}

/// Means of the columns and their standard errors.
fn averages(h: &Matrix) -> Vec<(f64, f64)> {
    let n = h.rows() as f64;
    let means = h.column_means();
    let square = |j: usize| h.iter_rows().map(|r| (r[j] - means[j]).powi(2)).sum::<f64>() / n;
    (0..h.cols()).map(|j| (means[j], (square(j) / n).sqrt())).collect()
}

/// The truth by a quarter of a million exact draws of p, which leave a tenth of the variance of a test.
fn truth(p: &dyn Density) -> Vec<(f64, f64)> {
    averages(&features(&p.sample(250_000, 3).unwrap()))
}

fn largest_z(found: &[(f64, f64)], truth: &[(f64, f64)]) -> f64 {
    found.iter().zip(truth).map(|((a, s), (b, t))| (a - b).abs() / s.hypot(*t)).fold(0.0, f64::max)
}

/// Checks that 20,000 draws have the moments and masses of p, that lag-one products do not correlate, that more draws begin with the same
/// ones, and that the cost is the bound. Control: the proposals themselves do not pass.
#[test]
fn draws_are_from_the_target() {
    let (p, mut exact) = pair();
    let (x, report) = exact.draw(20_000, &mut |_| {}).unwrap();
    let truth = truth(&*p);
    let z = largest_z(&averages(&features(&x)), &truth);
    assert!(z < Z, "{z}");
    let lagged: Vec<[f64; 1]> =
        (1..x.rows()).map(|i| [(x[(i, 0)] - truth[0].0) * (x[(i - 1, 0)] - truth[0].0)]).collect();
    let (mean, error) = averages(&Matrix::from_rows(&lagged))[0];
    assert!((mean / error).abs() < Z);
    let cost = report.proposals as f64 / 20_000.0;
    assert!(
        report.raised == 0 && report.largest <= report.bound && (cost / report.bound - 1.0).abs() < 0.05,
        "{report:?}"
    );
    let (again, _) = pair().1.draw(100, &mut |_| {}).unwrap();
    assert_eq!(again, x.slice_rows(0..100));
    let q = mixture(&[0.6, 0.4], &[[3.3, -2.2], [8.8, 1.1]], &[1.1, 0.6]);
    assert!(largest_z(&averages(&features(&q.sample(20_000, 1).unwrap())), &truth) > 3.0 * Z);
}

/// Checks that means by pairs of coupled chains are those of p, by their own windows and by one step alone, and that the signed weights of
/// a repeat sum to 1. Control: one step without the correction is not enough.
#[test]
fn coupled_chains_have_no_bias() {
    let (p, exact) = pair();
    let truth = truth(&*p);
    let z = |unbiased: &Unbiased| {
        let means = unbiased.means(&features(&unbiased.points));
        largest_z(&means.iter().map(|e| (e.value, e.standard_error)).collect::<Vec<_>>(), &truth)
    };
    let (long, mut short) = (exact.unbiased(4_000).unwrap(), exact.unbiased_by(20_000, 1, 1).unwrap());
    for unbiased in [&long, &short] {
        assert!(z(unbiased) < Z, "{}", z(unbiased));
        let ones = unbiased.means(&Matrix::from_fn(unbiased.weights.len(), 1, |_, _| 1.0))[0];
        assert!((ones.value - 1.0).abs() < 1e-12 && ones.standard_error < 1e-12);
        let (mean, most) = unbiased.meeting;
        assert!(mean >= 2.0 && mean <= most as f64, "{:?}", unbiased.meeting);
    }
    // the first point of each repeat alone, X_1
    let first = |i: usize| i == 0 || short.repeat[i] != short.repeat[i - 1];
    short.weights = (0..short.weights.len()).map(|i| f64::from(u8::from(first(i)))).collect();
    assert!(z(&short) > 2.0 * Z);
}

/// Checks that a weight above the bound raises it and that the earlier draws are thinned to it: a spike of mass 0.0005, a hundred times narrower
/// than the proposals near it, that the pilots of these seeds did not see. Its mass in the draws is right; draws that were not thinned
/// would hold a tenth of it.
#[test]
fn a_bound_is_raised() {
    let p: Arc<dyn Density> = Arc::new(mixture(&[0.9995, 0.0005], &[[0.0, 0.0], [2.5, 0.0]], &[1.0, 0.01]));
    let q = mixture(&[1.0], &[[0.0, 0.0]], &[1.0]);
    let build = |seed| Exact::new(&p, Arc::new(q.clone()), &Affine::identity(2), q.clone(), seed).ok();
    let (mut runs, mut inside, mut all) = (0, 0.0, 0.0);
    for mut exact in (0..12).filter_map(build) {
        let (x, report) = exact.draw(20_000, &mut |_| {}).unwrap();
        if report.raised > 0 {
            runs += 1;
            inside += x.iter_rows().filter(|r| (r[0] - 2.5).hypot(r[1]) < 0.05).count() as f64;
            all += x.rows() as f64;
        }
    }
    // the broad component has a mass of 5e-5 there
    let expected = 0.00055 * all;
    assert!(runs >= 2 && (inside - expected).abs() < Z * expected.sqrt(), "{runs} {inside} {expected}");
}

/// Checks the refusals: a law with tails heavier than the proposal's, a spike that would take too many proposals, a proposal without a
/// sampler.
#[test]
fn refusals() {
    let score = |x: &[f64], s: &mut [f64]| s[0] = -2.0 * x[0] / (1.0 + x[0] * x[0]);
    let cauchy = Handwritten::new(1, |x: &[f64]| -(x[0] * x[0]).ln_1p(), score);
    let q = GaussianMixture::isotropic(&[1.0], Matrix::zeros(1, 1), 1.0).unwrap();
    let cauchy: Arc<dyn Density> = Arc::new(cauchy);
    let refused = |p: &Arc<dyn Density>, q: Arc<dyn Density>, places: GaussianMixture| {
        let error = Exact::new(p, q, &Affine::identity(places.dim()), places, 1).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        error.to_string()
    };
    assert!(refused(&cauchy, Arc::new(q.clone()), q.clone()).contains("k-hat"));
    assert!(refused(&(Arc::new(q.clone()) as _), Arc::clone(&cauchy), q.clone()).contains("sampler"));
    let spike: Arc<dyn Density> = Arc::new(GaussianMixture::isotropic(&[1.0], Matrix::zeros(1, 1), 1e-4).unwrap());
    let said = refused(&spike, Arc::new(q.clone()), q);
    assert!(said.contains("proposals") || said.contains("k-hat"), "{said}");
}
