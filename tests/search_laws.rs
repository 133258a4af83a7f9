//! Laws of the search: mass is found wherever it lies and however it is scaled, or the search fails in words; a start is used; the bits
//! do not depend on units or threads.
//!
//! Tolerances: the last resampling leaves at least half of 2,048 particles effective, and the last moves only bring them closer to
//! independence; so a mean has a standard error of at most 1/√1,024 sd, a standard deviation 1/√2,048 of itself, a share s
//! √(s (1 - s)/1,024). Each is compared at 5 standard errors (6e-7 by chance), log Z at 5 of its own stated ones.

use pushforward::Error;
use pushforward::density::{Affine, BlackBox, Density, GaussianMixture, Pointwise, by_name};
use pushforward::linalg::{Matrix, SymmetricEigen, gemm};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::search::{Found, SearchSettings, search};
use std::sync::Arc;

const EFFECTIVE: f64 = 1024.0;

fn found(p: &dyn Density, seed: u64, start: Option<Affine>) -> Result<Found, Error> {
    search(p, &SearchSettings { particles: 2048, seed, start })
}

/// N(mean, diag(std²)).
fn gaussian(mean: &[f64], std: &[f64]) -> Arc<GaussianMixture> {
    let d = mean.len();
    let covariance = Matrix::from_fn(d, d, |i, j| if i == j { std[i] * std[i] } else { 0.0 });
    Arc::new(GaussianMixture::new(&[1.0], Matrix::from_rows(&[mean]), vec![covariance]).unwrap())
}

/// Asserts means and standard deviations to `errors` standard errors.
fn close_to(what: &str, x: &Matrix, mean: &[f64], std: &[f64], errors: f64) {
    let (m, c) = (x.column_means(), x.column_covariance());
    for j in 0..mean.len() {
        let z = (m[j] - mean[j]) / std[j] * EFFECTIVE.sqrt();
        assert!(z.abs() <= errors, "{what}: mean of coordinate {j} is {}, exact {} ({z:.1} errors)", m[j], mean[j]);
        let z = (c[(j, j)].sqrt() / std[j] - 1.0) * (2.0 * EFFECTIVE).sqrt();
        assert!(z.abs() <= errors, "{what}: sd of coordinate {j} is {}, exact {}", c[(j, j)].sqrt(), std[j]);
    }
}

/// Asserts log Z to 5 stated errors, and that the statement is worth something.
fn right_log_z(what: &str, f: &Found, exact: f64) {
    assert!(f.log_z_error < 0.2, "{what}: log Z {} ± {}", f.log_z, f.log_z_error);
    assert!((f.log_z - exact).abs() <= 5.0 * f.log_z_error, "{what}: log Z {} ± {}", f.log_z, f.log_z_error);
    assert!(f.disagreement.is_none(), "{what}: {}", f.disagreement.as_ref().unwrap());
}

/// Checks that Gaussians are found that lie a million units away or have coordinates of scales 1e-8 to 1e8, as formulas and as mixtures.
#[test]
fn mass_is_found_far_away_and_at_any_scale() {
    let cases: [(&[f64], &[f64]); 7] = [
        (&[3.0, 0.0], &[0.01, 100.0]),
        (&[1e6], &[1.0]),
        (&[-1e6], &[0.01]),
        (&[1e6, -3e4, 7.0], &[1.0, 100.0, 1e-3]),
        (&[0.0], &[1e8]),
        (&[0.0], &[1e-8]),
        (&[1e4, 1e4], &[1e-3, 1e3]),
    ];
    for (mean, std) in cases {
        let p = gaussian(mean, std);
        for (what, p) in [("formula", Arc::new(BlackBox(p.clone())) as Arc<dyn Density>), ("mixture", p)] {
            let what = format!("{what} N({mean:?}, {std:?}²)");
            let f = found(&*p, 1, None).unwrap_or_else(|e| panic!("{what}: {e}"));
            close_to(&what, &f.particles, mean, std, 5.0);
            right_log_z(&what, &f, 0.0);
        }
    }
}

/// A Gaussian with geometric variances of condition 10^e along random axes, ten units from the origin.
fn skewed(d: usize, e: i32) -> GaussianMixture {
    let a: Matrix = normal_matrix(5, Purpose::Check, (100 * d) as u64 + e as u64, d + 1, d);
    let symmetric = |m: &Matrix| Matrix::from_fn(d, d, |i, j| m[(i.max(j), i.min(j))]);
    let mut gram = Matrix::zeros(d, d);
    gemm(1.0, a.t(), a.view(), 0.0, &mut gram);
    let v = SymmetricEigen::of(&symmetric(&gram), "random").unwrap().vectors;
    let power = |k: usize| f64::from(e) * (k as f64 / (d - 1) as f64 - 0.5);
    let entry = |i: usize, j: usize| (0..d).map(|k| 10f64.powf(power(k)) * v[(k, i)] * v[(k, j)]).sum();
    let covariance = symmetric(&Matrix::from_fn(d, d, entry));
    let mean = Matrix::from_fn(1, d, |_, j| 10.0 * a[(d, j)]);
    GaussianMixture::new(&[1.0], mean, vec![covariance]).unwrap()
}

fn condition(d: usize, e: i32, seed: u64) {
    let p = skewed(d, e);
    let frame = Affine::from_parts(p.means().row(0).to_vec(), p.factors()[0].lower().clone()).unwrap();
    let what = format!("d = {d}, condition 1e{e}, seed {seed}");
    let f = found(&BlackBox(Arc::new(p)), seed, None).unwrap_or_else(|e| panic!("{what}: {e}"));
    close_to(&what, &frame.standardise(&f.particles), &vec![0.0; d], &vec![1.0; d], 5.0 + (d as f64).ln().sqrt());
    assert!(f.log_z.abs() <= 5.0 * f.log_z_error, "{what}: log Z {} ± {}", f.log_z, f.log_z_error);
}

/// Checks that random Gaussians of a covariance of condition up to 1e10 are found, in whitened coordinates.
#[test]
fn conditions_up_to_1e10() {
    [(2, 4), (2, 10), (5, 7), (5, 10), (10, 10)].into_iter().for_each(|(d, e)| condition(d, e, 0));
}

/// The same in more dimensions and over seeds: minutes.
#[test]
#[ignore = "a study of some minutes"]
fn conditions_in_30_dimensions() {
    for seed in 0..3 {
        [(10, 4), (10, 7), (20, 10), (30, 4), (30, 7), (30, 10)].into_iter().for_each(|(d, e)| condition(d, e, seed));
    }
}

/// The posterior of a straight line y = a + b t + s ξ, t = 1952…2013 not centred, priors a ~ N(0, 100²), b ~ N(0, 10²), half-Cauchy(2.5)
/// of s: in (a, b, log s), up to a constant. y is periodic with the slope 0.0148 and amplitude 1.3.
#[derive(Clone, Copy)]
struct Line;

impl Line {
    fn data() -> impl Iterator<Item = (f64, f64)> {
        (0..62).map(|k| {
            (1952.0 + f64::from(k), -21.6 + 0.0148 * (1952.0 + f64::from(k)) + 1.3 * (2.3 * f64::from(k)).sin())
        })
    }
}

impl Pointwise for Line {
    fn dim(&self) -> usize {
        3
    }
    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let s = x[2].exp();
        let ratio = (s / 2.5).powi(2);
        let mut log_p = -0.5 * (x[0] / 100.0).powi(2) - 0.5 * (x[1] / 10.0).powi(2) - ratio.ln_1p() - 61.0 * x[2];
        score[0] = -x[0] / 1e4;
        score[1] = -x[1] / 1e2;
        score[2] = -2.0 * ratio / (1.0 + ratio) - 61.0;
        for (t, y) in Line::data() {
            let r = (y - x[0] - x[1] * t) / s;
            log_p -= 0.5 * r * r;
            score[0] += r / s;
            score[1] += r * t / s;
            score[2] += r * r;
        }
        log_p
    }
}

/// Checks that the posterior of a straight line with an uncentred covariate (correlation -0.99996, deviations 13 and 0.007) has the means
/// and deviations of least squares, to 5 standard errors and to 2 % for priors and the t law of the coefficients (60 degrees of freedom:
/// √(60/58) = 1.017).
#[test]
fn a_straight_line_with_an_uncentred_covariate() {
    let n = 62.0;
    let (mt, my) = Line::data().fold((0.0, 0.0), |(a, b), (t, y)| (a + t / n, b + y / n));
    let stt: f64 = Line::data().map(|(t, _)| (t - mt).powi(2)).sum();
    let slope = Line::data().map(|(t, y)| (t - mt) * (y - my)).sum::<f64>() / stt;
    let intercept = my - slope * mt;
    let residual: f64 = Line::data().map(|(t, y)| (y - intercept - slope * t).powi(2)).sum::<f64>() / 60.0;
    let std = [(residual * (1.0 / n + mt * mt / stt)).sqrt(), (residual / stt).sqrt()];
    for seed in 0..3 {
        let f = found(&Line, seed, None).unwrap();
        let (m, c) = (f.particles.column_means(), f.particles.column_covariance());
        for (j, exact) in [intercept, slope].into_iter().enumerate() {
            // the prior of the intercept, sd 100, pulls by (13/100)² of the mean
            let tolerance = 5.0 / EFFECTIVE.sqrt() + 0.02 * exact.abs() / std[j];
            assert!((m[j] - exact).abs() / std[j] < tolerance, "seed {seed}: mean {j} {} {exact}", m[j]);
            let ratio = c[(j, j)].sqrt() / std[j];
            assert!((ratio - 1.0).abs() < 5.0 / (2.0 * EFFECTIVE).sqrt() + 0.02, "seed {seed}: sd ratio {ratio}");
        }
        let correlation = c[(0, 1)] / (c[(0, 0)] * c[(1, 1)]).sqrt();
        assert!((-1.0..-0.9999).contains(&correlation), "{correlation}");
    }
}

/// The shares of the particles at the components of `p` against its weights, at 5 standard errors of each.
fn right_masses(what: &str, p: &GaussianMixture, x: &Matrix) {
    let shares = p.responsibilities(x).column_means();
    for (k, (share, w)) in shares.iter().zip(p.weights()).enumerate() {
        let error = (w * (1.0 - w) / EFFECTIVE).sqrt();
        assert!((share - w).abs() <= 5.0 * error, "{what}: mode {k} has {share}, exact {w}");
    }
}

/// Checks the masses of two modes a hundred deviations apart (0.9 and 0.1), of a 5×5 grid of modes twenty deviations apart, and of three
/// widths in one dimension, as formulas, over three seeds.
#[test]
fn separated_modes_have_their_masses() {
    let grid = Matrix::from_fn(25, 2, |k, j| 2.0 * (if j == 0 { k % 5 } else { k / 5 }) as f64 - 4.0);
    let one = |s: f64| Matrix::from_rows(&[[s * s]]);
    let cases = [
        ("far modes", GaussianMixture::isotropic(&[0.9, 0.1], Matrix::from_rows(&[[-50.0, 0.0], [50.0, 0.0]]), 1.0)),
        ("grid", GaussianMixture::isotropic(&[1.0; 25], grid, 0.1)),
        (
            "widths",
            GaussianMixture::new(
                &[0.2, 0.5, 0.3],
                Matrix::from_rows(&[[-4.0], [0.0], [6.0]]),
                vec![one(0.1), one(0.5), one(1.0)],
            ),
        ),
    ];
    for (what, p) in cases {
        let p = Arc::new(p.unwrap());
        for seed in 0..3 {
            let f = found(&BlackBox(p.clone()), seed, None).unwrap();
            right_masses(&format!("{what}, seed {seed}"), &p, &f.particles);
            assert!(f.log_z.abs() <= 5.0 * f.log_z_error, "{what}, seed {seed}: {} ± {}", f.log_z, f.log_z_error);
        }
    }
}

/// Checks that half of the mass in a needle (deviation 0.01 beside 5) is found over five seeds, with log Z = 0 to 5 stated errors.
#[test]
fn a_needle_is_found() {
    let one = |s: f64| Matrix::from_rows(&[[s * s]]);
    let p = GaussianMixture::new(&[0.5, 0.5], Matrix::from_rows(&[[0.0], [3.0]]), vec![one(5.0), one(0.01)]).unwrap();
    for seed in 0..5 {
        let f = found(&BlackBox(Arc::new(p.clone())), seed, None).unwrap();
        let share = p.responsibilities(&f.particles).column_means()[1];
        // the needle's particles descend from few: what the two populations say of log Z is the error of its share too
        let tolerance = 5.0 * f.log_z_error.max(0.5 / EFFECTIVE.sqrt());
        assert!((share - 0.5).abs() < tolerance, "seed {seed}: {share} ± {tolerance}");
        assert!(f.log_z.abs() <= 5.0 * f.log_z_error, "seed {seed}: log Z {} ± {}", f.log_z, f.log_z_error);
    }
}

/// p(x/a), without the Jacobian: the same numbers at the same points.
struct Scaled(Arc<dyn Density>, f64);

impl Density for Scaled {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.0.log_density_into(&x.map(|v| v / self.1), out)
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.0.evaluate_into(&x.map(|v| v / self.1), log_density, score);
        score.as_mut_slice().iter_mut().for_each(|s| *s /= self.1);
    }
}

/// Checks that a change of units by a power of two, with the start scaled along, gives the same particles in these units and log Z + d log a,
/// bit for bit but for that sum.
#[test]
fn powers_of_two_change_no_bit() {
    for name in ["gmm9u", "banana", "funnel-2"] {
        let p: Arc<dyn Density> = Arc::new(BlackBox(by_name(name).unwrap()));
        let start = |a: f64| Some(Affine::new(vec![0.5 * a, -a], 4.0 * a).unwrap());
        let one = search(&*p, &SearchSettings { particles: 1024, seed: 3, start: start(1.0) }).unwrap();
        for power in [-30, 20] {
            let a = 2f64.powi(power);
            let settings = SearchSettings { particles: 1024, seed: 3, start: start(a) };
            let scaled = search(&Scaled(p.clone(), a), &settings).unwrap();
            assert_eq!(scaled.particles.map(|v| v / a), one.particles, "{name}, 2^{power}");
            let gap = scaled.log_z - one.log_z - 2.0 * a.ln();
            assert!(gap.abs() < 1e-12 * 40.0, "{name}, 2^{power}: {gap}");
            assert_eq!((scaled.calls, scaled.stages), (one.calls, one.stages));
        }
    }
}

/// Checks that one thread and three give the same bits.
#[test]
fn threads_change_no_bit() {
    let p: Arc<dyn Density> = Arc::new(BlackBox(by_name("banana").unwrap()));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| found(&*p, 2, None).unwrap())
    };
    let (one, three) = (with(1), with(3));
    assert_eq!(one.particles, three.particles);
    assert_eq!((one.log_z, one.log_z_error, one.calls), (three.log_z, three.log_z_error, three.calls));
}

/// N(100, 10²) in one dimension, NaN beyond a point.
struct NanBeyond(f64);

impl Pointwise for NanBeyond {
    fn dim(&self) -> usize {
        1
    }
    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        if x[0] > self.0 {
            score[0] = f64::NAN;
            return f64::NAN;
        }
        score[0] = -(x[0] - 100.0) / 100.0;
        -0.5 * ((x[0] - 100.0) / 10.0).powi(2)
    }
}

/// Checks that NaN four deviations from the mass are rejected points, counted, the first named in the target's coordinates, and that NaN
/// over half of the mass are an error with the point.
#[test]
fn values_that_are_no_numbers() {
    let f = found(&NanBeyond(140.0), 0, None).unwrap();
    close_to("NaN beyond 140", &f.particles, &[100.0], &[10.0], 5.0);
    assert!(f.rejected > 0 && f.rejected < f.calls / 2);
    match f.first_rejected {
        Some(Error::NonFinite { value, point, .. }) => assert!(value.is_nan() && point[0] > 140.0),
        other => panic!("{other:?}"),
    }
    match found(&NanBeyond(100.0), 0, None) {
        Err(Error::NonFinite { point, .. }) => assert!(point[0] > 100.0),
        other => panic!("{other:?}"),
    }
}

/// 1 in a ball of radius 0.01 around (1e7, …), without a slope that leads there.
struct Ball;

impl Pointwise for Ball {
    fn dim(&self) -> usize {
        3
    }
    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        score.fill(0.0);
        let r2: f64 = x.iter().map(|v| (v - 1e7).powi(2)).sum();
        if r2 < 1e-4 { 0.0 } else { f64::NEG_INFINITY }
    }
}

/// Checks that a target that nothing leads to is an error that says so, and that its centre and scale are enough to find it: its mean
/// to 5 standard errors (deviation of a ball's coordinate: r/√5), its volume (4/3) π r³ to 5 errors.
#[test]
fn a_start_is_used() {
    let error = found(&Ball, 0, None).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    assert!(error.to_string().contains("give the target's centre and scale"), "{error}");
    let start = Affine::new(vec![1e7 + 0.002; 3], 0.01).unwrap();
    let f = found(&Ball, 0, Some(start)).unwrap();
    close_to("ball", &f.particles, &[1e7; 3], &[0.01 / 5f64.sqrt(); 3], 5.0);
    right_log_z("ball", &f, (4.0 / 3.0 * std::f64::consts::PI * 1e-6).ln());
}

/// N(0, 1) in the first coordinate, constant in the others.
struct Endless(usize);

impl Pointwise for Endless {
    fn dim(&self) -> usize {
        self.0
    }
    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        score.fill(0.0);
        score[0] = -x[0];
        -0.5 * x[0] * x[0]
    }
}

/// Checks that a p~ without a finite integral is an error, and that a mode of nine tenths of the mass a million units away is not.
#[test]
fn mass_without_end_is_refused() {
    for d in [2, 3] {
        let error = found(&Endless(d), 0, None).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
    }
    let means = Matrix::from_rows(&[[0.0], [1e6]]);
    let p = Arc::new(GaussianMixture::isotropic(&[0.1, 0.9], means, 1.0).unwrap());
    let f = found(&BlackBox(p.clone()), 0, None).unwrap();
    right_masses("a mode at 1e6", &p, &f.particles);
}

/// Checks that a start far from the mass is refused with the centre and scale that the search found instead.
#[test]
fn a_start_far_from_the_mass_is_refused() {
    let p = BlackBox(gaussian(&[5.0, 5.0], &[1.0, 1.0]));
    let start = Affine::new(vec![1e6, 0.0], 1.0).unwrap();
    let error = found(&p, 0, Some(start)).unwrap_err().to_string();
    assert!(error.starts_with("the given centre and scale are not the target's: the search found centre ["), "{error}");
    assert!(found(&p, 0, Some(Affine::new(vec![0.0, 0.0], 30.0).unwrap())).is_ok());
}
