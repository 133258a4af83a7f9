//! Identities between a density and its smoothed, tempered and rescaled forms, each by two computations; moments; refusals.

use pushforward::Error;
use pushforward::density::*;
use pushforward::estimate::{Clock, Noise, NoisedTarget, Query, SmoothedTarget};
use pushforward::linalg::Matrix;
use pushforward::num::Summary;
use pushforward::rng::{Purpose, normal_matrix};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Points spread over a target of the given scale.
fn probes(n: usize, d: usize, scale: f64) -> Matrix {
    normal_matrix(31, Purpose::Check, 0, n, d).map(|v: f64| scale * v)
}

/// ∫ p(x - hz) N(z; 0, I) dz and ∫ ∇p(x - hz) N(z; 0, I) dz by the trapezium rule of step `step` over [-9, 9]^d, d ≤ 2.
fn convolution(p: &dyn Density, x: &[f64], h: f64, step: f64) -> (f64, Vec<f64>) {
    let d = x.len();
    let side = (18.0 / step).round() as usize + 1;
    let total = side.pow(d as u32);
    let z = Matrix::from_fn(total, d, |i, j| -9.0 + step * ((i / side.pow(j as u32)) % side) as f64);
    let at = evaluate(p, &Matrix::from_fn(total, d, |i, j| x[j] - h * z[(i, j)])).unwrap();
    let log_normal = |z: &[f64]| -0.5 * z.iter().map(|v| v * v + std::f64::consts::TAU.ln()).sum::<f64>();
    let mut sum = (0.0, vec![0.0; d]);
    for i in 0..total {
        let w = (at.log_density[i] + log_normal(z.row(i))).exp() * step.powi(d as i32);
        sum.0 += w;
        sum.1.iter_mut().zip(at.score.row(i)).for_each(|(g, s)| *g += w * s);
    }
    sum
}

/// Checks that the closed form of a smoothed mixture is the convolution, density and gradient, in 1-D and 2-D. The integrand has
/// standard deviation s ≥ 0.5 in z (1/s² = 1 + h²/0.3, h ≤ 0.9) and step 0.2, so the trapezium rule errs by 2 exp(-2π² s²/0.04) < 1e-50; what
/// remains are roundings of sums of 91^d terms: 1e-11 of the density's largest value.
#[test]
fn smoothing_is_convolution() {
    let line = GaussianMixture::isotropic(&[1.0, 3.0], Matrix::from_rows(&[[-1.0], [2.0]]), 0.3f64.sqrt()).unwrap();
    for (p, scale) in [(&line, 2.0), (&gmm9u(), 4.0), (&ring8(), 4.0)] {
        for h in [0.2, 0.5, 0.9] {
            let smooth = p.smoothed(h).unwrap();
            let x = probes(6, p.dim(), scale);
            let at = evaluate(&*smooth, &x).unwrap();
            for i in 0..6 {
                let (value, gradient) = convolution(p, x.row(i), h, 0.2);
                let closed = at.log_density[i].exp();
                assert!((closed - value).abs() < 1e-11, "h = {h}: {closed} against {value}");
                for (s, g) in at.score.row(i).iter().zip(gradient) {
                    assert!((closed * s - g).abs() < 1e-10, "h = {h}: {} against {g}", closed * s);
                }
            }
        }
    }
}

/// Checks that the importance estimate of the smoothed density is unbiased, and its gradient too: means over 200 independent keys
/// against the closed form at 8 points. |z| < 5.2 on 24 tests fails by chance in 5e-6.
#[test]
fn smoothed_estimate_is_unbiased() {
    let inner: Arc<dyn Density> = Arc::new(gmm9u());
    let (h, keys) = (0.6, 200);
    let x = inner.sample(8, 33).unwrap();
    let exact = evaluate(&*inner.smoothed(h).unwrap(), &x).unwrap();
    let runs: Vec<Evaluation> = (0..keys)
        .map(|step| evaluate(&SmoothedEstimate::new(Arc::clone(&inner), h, 64, 34, step).unwrap(), &x).unwrap())
        .collect();
    let z = |values: Vec<f64>, mean: f64| {
        let s = Summary::of(&values);
        (s.mean - mean) / s.standard_error()
    };
    for i in 0..8 {
        let ratio = |run: &Evaluation| (run.log_density[i] - exact.log_density[i]).exp();
        let z0 = z(runs.iter().map(ratio).collect(), 1.0);
        assert!(z0.abs() < 5.2, "point {i}: z = {z0}");
        for j in 0..2 {
            let zj = z(runs.iter().map(|r| ratio(r) * r.score[(i, j)]).collect(), exact.score[(i, j)]);
            assert!(zj.abs() < 5.2, "point {i}, gradient {j}: z = {zj}");
        }
    }
}

/// Checks that the controlled score is exact on an isotropic Gaussian for any draws (b + c (a - b) is then the same for all of them), up to
/// roundings of terms of size ε/h ≤ 40 whose regression coefficient is a ratio of sums of 16 terms; that on a mixture its squared error, over
/// 100 keys and 8 points, is below half of the plain estimate's, from small to large h; and that h = 0 is the density itself.
#[test]
fn controlled_score_has_less_variance() {
    let gaussian: Arc<dyn Density> = Arc::new(GaussianMixture::standard(2).unwrap());
    let x = probes(20, 2, 1.5);
    for h in [0.1, 1.0, 10.0] {
        let at = SmoothedEstimate::new(Arc::clone(&gaussian), h, 16, 8, 1).unwrap().evaluate_controlled(&x).unwrap();
        let exact = evaluate(&*gaussian.smoothed(h).unwrap(), &x).unwrap().score;
        for (a, b) in at.score.as_slice().iter().zip(exact.as_slice()) {
            assert!((a - b).abs() < 16.0 * 40.0 * f64::EPSILON, "h = {h}: {a} against {b}");
        }
    }
    let mixture: Arc<dyn Density> = Arc::new(gmm9u());
    let x = mixture.sample(8, 33).unwrap();
    for h in [0.2, 0.6, 2.0] {
        let exact = evaluate(&*mixture.smoothed(h).unwrap(), &x).unwrap().score;
        let square = |s: &Matrix| s.as_slice().iter().zip(exact.as_slice()).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let (mut plain, mut controlled) = (0.0, 0.0);
        for step in 0..100 {
            let estimate = SmoothedEstimate::new(Arc::clone(&mixture), h, 64, 35, step).unwrap();
            plain += square(&evaluate(&estimate, &x).unwrap().score);
            controlled += square(&estimate.evaluate_controlled(&x).unwrap().score);
        }
        assert!(controlled < 0.5 * plain, "h = {h}: {controlled} against {plain}");
    }
    let still = SmoothedEstimate::new(Arc::clone(&mixture), 0.0, 8, 1, 1).unwrap();
    assert_eq!(still.evaluate_controlled(&x).unwrap(), evaluate(&still, &x).unwrap());
}

/// Checks that `smooth` takes the closed form where there is one, that h = 0 is the identity of the estimate, that draws come in
/// opposite pairs (the estimate at the centre of symmetry has score 0 to rounding), and that the key decides the draws.
#[test]
fn smoothing_estimate_keys_and_pairs() {
    let moons = by_name("two-moons").unwrap();
    let x = probes(20, 2, 2.0);
    let estimate = |h: f64, seed: u64, step: u64| evaluate(&*smooth(&moons, h, 8, seed, step).unwrap(), &x).unwrap();
    let (plain, still) = (evaluate(&*moons, &x).unwrap(), estimate(0.0, 1, 1));
    for i in 0..20 {
        // the mean of 8 equal terms: the rounding of log and exp around l
        let tolerance = 8.0 * f64::EPSILON * (1.0 + plain.log_density[i].abs());
        assert!((plain.log_density[i] - still.log_density[i]).abs() <= tolerance);
    }
    assert_eq!(estimate(0.3, 1, 1), estimate(0.3, 1, 1));
    assert_ne!(estimate(0.3, 1, 1), estimate(0.3, 2, 1));
    assert_ne!(estimate(0.3, 1, 1), estimate(0.3, 1, 2));
    let centre = SmoothedEstimate::new(moons, 1.0, 64, 5, 5).unwrap();
    let score = evaluate(&centre, &Matrix::zeros(1, 2)).unwrap().score;
    // 64 terms of size at most |s| < 100, in pairs of opposite sign
    assert!(score.as_slice().iter().all(|s| s.abs() < 64.0 * 100.0 * f64::EPSILON), "{score:?}");
    let mixture: Arc<dyn Density> = Arc::new(gmm9());
    let closed = smooth(&mixture, 0.4, 8, 1, 1).unwrap();
    assert_eq!(closed.mixture().unwrap().covariances()[0][(0, 0)], 0.3f64.sqrt().powi(2) + 0.4 * 0.4);
}

/// Checks that tempering a Gaussian is dividing its covariance by β: equal scores, log-densities that differ by a constant.
#[test]
fn tempered_gaussian_is_gaussian() {
    let covariance = Matrix::from_rows(&[[2.0, 0.6], [0.6, 0.5]]);
    let hot =
        Tempered::new(Arc::new(GaussianMixture::gaussian(&[1.0, -1.0], covariance.clone()).unwrap()), 0.25).unwrap();
    let wide = GaussianMixture::gaussian(&[1.0, -1.0], covariance.map(|c| c / 0.25)).unwrap();
    let x = probes(50, 2, 5.0);
    let (a, b) = (evaluate(&hot, &x).unwrap(), evaluate(&wide, &x).unwrap());
    let constant = a.log_density[0] - b.log_density[0];
    for i in 0..50 {
        // condition number 9 of the covariance times a few roundings of |l|
        let tolerance = 100.0 * f64::EPSILON * (1.0 + b.log_density[i].abs());
        assert!((a.log_density[i] - b.log_density[i] - constant).abs() < tolerance);
        for j in 0..2 {
            assert!((a.score[(i, j)] - b.score[(i, j)]).abs() < tolerance);
        }
    }
}

/// Checks that rescaling by the wrapper and rescaling the mixture agree, that there and back is the identity, and that smoothing
/// commutes with rescaling (h in units of the scale). Tolerance: means of size 40 in units of s = 0.06 amplify a rounding 40/0.06 times.
#[test]
fn standardised_by_two_roads() {
    let inner: Arc<dyn Density> = Arc::new(gmm40());
    let units = Standardised::new(Arc::clone(&inner), Affine::new(vec![-2.0, 1.2], 23.0).unwrap()).unwrap();
    let y = units.sample(200, 35).unwrap();
    let close = |a: &dyn Density, b: &dyn Density, y: &Matrix| {
        let (a, b) = (evaluate(a, y).unwrap(), evaluate(b, y).unwrap());
        let pairs = a.log_density.iter().zip(&b.log_density).chain(a.score.as_slice().iter().zip(b.score.as_slice()));
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e4 * f64::EPSILON * (1.0 + b.abs()), "{a} against {b}"));
    };
    close(&units, units.mixture().unwrap(), &y);
    let smoothed_inner =
        Standardised::new(inner.smoothed(0.1 * 23.0).unwrap(), Affine::new(vec![-2.0, 1.2], 23.0).unwrap()).unwrap();
    close(&*units.smoothed(0.1).unwrap(), &smoothed_inner, &y);
    let back = units.mixture().unwrap().affine_image(&[-2.0, 1.2], 23.0).unwrap();
    close(&back, &*inner, &units.frame().restore(&y));
    assert_eq!(units.log_normaliser(), Some(0.0));
}

/// Checks mean and covariance of a mixture against its samples (z-scores, |z| < 5 on 5 tests: chance 3e-6), and that responsibilities
/// sum to 1, average to the weights (z), and are the score's weights: s = -Σ γ_k C_k⁻¹ (x - m_k), to rounding.
#[test]
fn mixture_moments_and_responsibilities() {
    let weights = [0.2, 0.3, 0.5];
    let means = Matrix::from_rows(&[[-2.0, 0.0], [0.0, 1.0], [1.0, -1.0]]);
    let c = |a: f64, b: f64, c: f64| Matrix::from_rows(&[[a, b], [b, c]]);
    let p = GaussianMixture::new(&weights, means, vec![c(1.0, 0.5, 0.8), c(0.3, 0.0, 2.0), c(0.5, -0.3, 0.5)]).unwrap();
    let (mean, covariance, n) = (p.mean(), p.covariance(), 50_000);
    let x = p.sample(n, 36).unwrap();
    let z = |f: &dyn Fn(&[f64]) -> f64, exact: f64| {
        let s = Summary::of(&x.iter_rows().map(f).collect::<Vec<_>>());
        (s.mean - exact) / s.standard_error()
    };
    for i in 0..2 {
        assert!(z(&|x| x[i], mean[i]).abs() < 5.0, "mean {i}");
        for j in 0..=i {
            assert!(z(&|x| (x[i] - mean[i]) * (x[j] - mean[j]), covariance[(i, j)]).abs() < 5.0, "covariance {i} {j}");
        }
    }
    let gamma = p.responsibilities(&x);
    assert!(gamma.iter_rows().all(|g| (g.iter().sum::<f64>() - 1.0).abs() < 4.0 * f64::EPSILON));
    for k in 0..3 {
        let s = Summary::of(&gamma.iter_rows().map(|g| g[k]).collect::<Vec<_>>());
        assert!(((s.mean - weights[k]) / s.standard_error()).abs() < 5.0, "responsibility of {k}");
    }
    let score = evaluate(&p, &x.slice_rows(0..100)).unwrap().score;
    for i in 0..100 {
        let mut sum = [0.0; 2];
        for k in 0..3 {
            let (c, m) = (&p.covariances()[k], p.means().row(k));
            let (u, v, det) = (x[(i, 0)] - m[0], x[(i, 1)] - m[1], c[(0, 0)] * c[(1, 1)] - c[(0, 1)].powi(2));
            sum[0] -= gamma[(i, k)] * (c[(1, 1)] * u - c[(0, 1)] * v) / det;
            sum[1] -= gamma[(i, k)] * (c[(0, 0)] * v - c[(0, 1)] * u) / det;
        }
        // condition numbers below 10, three terms of size below 40
        assert!((0..2).all(|j| (score[(i, j)] - sum[j]).abs() < 10.0 * 3.0 * 40.0 * f64::EPSILON));
    }
}

/// Checks the facts that literature states of the wells: P(u > 0) = 0.844307 in each of 16 wells (z-scores: chance of |z| > 5 in 16 is
/// 1e-5), and mean energy -137.1985 with standard deviation 4.8374 (half a printed digit beside the z-score).
#[test]
fn many_well_facts() {
    let (p, n) = (by_name("many-well-32").unwrap(), 20_000);
    let x = p.sample(n, 37).unwrap();
    for k in 0..16 {
        let right = x.iter_rows().filter(|row| row[2 * k] > 0.0).count() as f64 / n as f64;
        let z = (right - 0.844307) / (0.844307 * 0.155693 / n as f64).sqrt();
        assert!(z.abs() < 5.0, "well {k}: z = {z}");
    }
    let energy = Summary::of(&p.log_density(&x));
    assert!((energy.mean - 137.1985).abs() < 5.0 * 4.8374 / (n as f64).sqrt() + 5e-5, "{}", energy.mean);
    // the standard error of a standard deviation is s √((κ - 1)/4n), κ ≈ 3 for a sum of 32 terms
    assert!((energy.standard_deviation() - 4.8374).abs() < 5.0 * 4.8374 / (2.0 * n as f64).sqrt() + 5e-5);
}

/// Checks that the first offending point is reported with its value, and that -inf is no offence and has score 0.
#[test]
fn evaluation_reports_the_first_offender() {
    let root = Handwritten::new(1, |x| x[0].sqrt(), |x, s| s[0] = if x[0] < 4.0 { 1.0 } else { f64::INFINITY });
    let error = |x: &[f64]| evaluate(&root, &Matrix::from_vec(x.len(), 1, x.to_vec())).unwrap_err();
    assert!(
        matches!(error(&[1.0, -2.0, -3.0]), Error::NonFinite { point, value, .. } if point == [-2.0] && value.is_nan())
    );
    assert!(
        matches!(error(&[1.0, 5.0, -3.0]), Error::NonFinite { point, what, .. } if point == [5.0] && what == "score coordinate 0")
    );
    assert!(matches!(error(&[f64::INFINITY]), Error::NonFinite { what, .. } if what == "log-density"));
    let half_line =
        Handwritten::new(1, |x| if x[0] < 0.0 { f64::NEG_INFINITY } else { -x[0] }, |x, s| s[0] = x[0].signum() / 0.0);
    let at = evaluate(&half_line, &Matrix::from_vec(1, 1, vec![-1.0])).unwrap();
    assert_eq!((at.log_density[0], at.score[(0, 0)]), (f64::NEG_INFINITY, 0.0));
}

/// Checks that wrappers refuse parameters outside their range.
#[test]
fn wrappers_refuse_bad_parameters() {
    let p: Arc<dyn Density> = Arc::new(gmm9());
    let moons = by_name("two-moons").unwrap();
    let refused = |r: bool| assert!(r);
    refused(Tempered::new(Arc::clone(&p), 0.0).is_err());
    refused(Tempered::new(Arc::clone(&p), f64::NAN).is_err());
    refused(Standardised::new(Arc::clone(&p), Affine::new(vec![0.0], 1.0).unwrap()).is_err());
    refused(Affine::new(vec![0.0, f64::NAN], 1.0).is_err());
    refused(Affine::new(vec![0.0, 0.0], -1.0).is_err());
    refused(smooth(&moons, -0.1, 8, 0, 0).is_err());
    refused(smooth(&moons, 0.1, 7, 0, 0).is_err());
    refused(smooth(&p, f64::NAN, 8, 0, 0).is_err());
    refused(gmm9().affine_image(&[0.0, 0.0], 0.0).is_err());
}

/// Two moons, which want whole batches or not, with the number of their calls.
struct Counted {
    inner: Arc<dyn Density>,
    whole: bool,
    calls: Arc<AtomicUsize>,
}

impl Density for Counted {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.log_density_into(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.inner.evaluate_into(x, log_density, score);
    }

    fn wants_whole_batches(&self) -> bool {
        self.whole
    }
}

/// Checks that a density which wants whole batches gets them from every estimate around it, also in other units, tempered or as a black
/// box: one call a noise level, with the bits of the same density in pieces, which takes more.
#[test]
fn whole_batches() {
    let x = probes(300, 2, 2.0);
    let noise: Vec<Noise> = (0..300).map(|i| Noise { a: 1.0, s: if i % 2 == 0 { 0.3 } else { 0.5 } }).collect();
    let frame = Affine::new(vec![0.5, -1.0], 2.0).unwrap();
    type Wrap = fn(Arc<dyn Density>, &Affine) -> Arc<dyn Density>;
    let wrappers: [Wrap; 4] = [
        |p, _| p,
        |p, frame| Arc::new(Standardised::new(p, frame.clone()).unwrap()),
        |p, _| Arc::new(Tempered::new(p, 0.5).unwrap()),
        |p, _| Arc::new(BlackBox(p)),
    ];
    for wrap in wrappers {
        let answers = |whole: bool| {
            let calls = Arc::new(AtomicUsize::new(0));
            let inner = by_name("two-moons").unwrap();
            let density = wrap(Arc::new(Counted { inner, whole, calls: Arc::clone(&calls) }), &frame);
            let estimate = SmoothedEstimate::new(Arc::clone(&density), 0.4, 8, 1, 2).unwrap();
            let mut target = SmoothedTarget::new(density, 8);
            target.refresh(Clock { step: 3, steps: 10 }, 4).unwrap();
            let law = target.at(&Query { x: &x, noise: &noise }).unwrap();
            let of_target = calls.swap(0, Ordering::Relaxed);
            let values =
                (evaluate(&estimate, &x), estimate.evaluate_controlled(&x), evaluate_log_density(&estimate, &x));
            ((law, values), of_target, calls.load(Ordering::Relaxed))
        };
        let ((whole, two, three), (pieces, many, more)) = (answers(true), answers(false));
        assert_eq!(whole, pieces);
        assert_eq!((two, three), (2, 3));
        assert!(many > 2 && more > 3, "{many}, {more}");
    }
}
