//! The mode figures and the report with floors.

use pushforward::Error;
use pushforward::density::{self, Density, Empirical, Entry, GaussianMixture, WeightedSamples, gmm9, gmm40};
use pushforward::linalg::Matrix;
use pushforward::metric::*;
use pushforward::rng::{Purpose, normal_matrix};

/// A small evaluation, for speed.
fn small() -> Options {
    Options {
        truth_size: 100_000,
        transport_sizes: vec![200],
        pair_size: 500,
        sliced_size: 2_000,
        n_body_size: 200,
        n_body_repeats: 4,
        aligned_size: 50,
        test_size: 200,
        resamples: 99,
        ..Options::default()
    }
}

/// Checks the mode figures on hand-made points: two modes at ±10 with deviations 1 and 2, equal weights.
#[test]
fn modes_by_hand() {
    let means = Matrix::from_rows(&[[-10.0, 0.0], [10.0, 0.0]]);
    let covariances = vec![Matrix::identity(2), Matrix::identity(2).map(|v| 4.0 * v)];
    let p = GaussianMixture::new(&[1.0, 1.0], means, covariances).unwrap();
    let truth = ModeTruth::new(&p, 200_000, 1);
    // in mode 0: Mahalanobis 1 and 5; in mode 1: 1, 2, 0, of its own deviation 2; none of the other five is near mode 0
    let x = Matrix::from_rows(&[[-9.0, 0.0], [-15.0, 0.0], [12.0, 0.0], [10.0, 4.0], [10.0, 0.0]]);
    let report = truth.report(&x);
    assert_eq!((report.masses.as_slice(), report.modes, report.covered), ([0.4, 0.6].as_slice(), 2, 2));
    assert_eq!(report.outside, 0.2);
    // the truths are binomial around ½ (the cells overlap by less than 1e-6): 6 sd = 0.0067
    assert!((report.total_variation - 0.1).abs() < 0.0067, "{report:?}");
    // four near points with Mahalanobis²/2 of ½, ½, 2, 0; truth E[χ²₂/2 | < 16] = 1 - 8e⁻⁸/(1 - e⁻⁸) = 0.99732, sd of a mean of 2e5 0.0022
    assert!((report.variance_ratio - 0.75 / 0.99732).abs() < 0.0135 * 0.75, "{report:?}");
    let one = truth.report(&x.slice_rows(0..2));
    assert!(one.covered == 1 && (one.total_variation - 0.5).abs() < 0.0067, "{one:?}");
    // 6.77² = 45.83 in mode 0 and 13.23²/4 + 4 log 2 = 46.53 in mode 1, whose cell ends at -3.195
    assert_eq!(truth.report(&Matrix::from_rows(&[[-3.23, 0.0], [-3.16, 0.0]])).masses, [0.5, 0.5]);
    let nowhere = truth.report(&Matrix::filled(3, 2, 1e3));
    assert!(nowhere.outside == 1.0 && nowhere.variance_ratio.is_nan());
}

/// Checks that overlapping, unequal and correlated components cause no bias: exact samples have a variance ratio of 1 and a TV at
/// the multinomial scale E ½ Σ |a_k - m_k| ≈ Σ √(m_k (1 - m_k)/(2 π n)), within 5 and 8 of their standard deviations (below).
#[test]
fn overlapping_components_are_unbiased() {
    let means = Matrix::from_rows(&[[0.0, 0.0], [1.0, 0.5], [4.0, -1.0]]);
    let tilted = Matrix::from_rows(&[[1.0, 0.8], [0.8, 1.0]]);
    let covariances = vec![tilted, Matrix::identity(2).map(|v| 0.3 * v), Matrix::identity(2).map(|v| 2.0 * v)];
    let p = GaussianMixture::new(&[0.6, 0.1, 0.3], means, covariances).unwrap();
    let truth = ModeTruth::new(&p, 1_000_000, 1);
    let n = 20_000;
    let report = truth.report(&p.sample(n, 2).unwrap());
    // the mass of a cell is far from its weight here
    assert!((report.truths[1] - 0.1).abs() > 0.02, "{report:?}");
    let scale: f64 = report.truths.iter().map(|m| (m * (1.0 - m) / n as f64).sqrt()).sum();
    // each |a_k - m_k| is below 5 standard deviations but for 1 in 6e5
    assert!(report.total_variation < 2.5 * scale, "{report:?}");
    // the mean of Mahalanobis²/2, of variance at most 1 with both samples: sd below √(1/n + 1e-6)
    assert!((report.variance_ratio - 1.0).abs() < 5.0 * (1.0 / n as f64 + 1e-6).sqrt() / 0.8, "{report:?}");
}

/// Checks the known floors of gmm40: TV of mode masses near 0.025 at 10,000, W2 near 4.4 ± 0.7 at 1,000, mean log p near -6.859
/// (figures measured outside this code), and that exact samples lie at their floors: |z| < 7 on 9 figures
/// with at least 8 repeats each fails for less than 1 seed in 500 (Student's t with 7 degrees of freedom).
#[test]
fn floors_of_gmm40() {
    let p = gmm40();
    let options = Options { transport_sizes: vec![1_000], pair_size: 1_000, repeats: 8, ..Options::default() };
    let report = evaluate(&p, &p.sample(10_000, 3).unwrap(), &options).unwrap();
    let get = |name: &str| report.metric(name).unwrap();
    let floor = |name: &str| get(name).floor.clone().unwrap().mean;
    assert!((floor("mode_mass_tv") - 0.025).abs() < 0.003, "{:?}", get("mode_mass_tv"));
    assert!((floor("w2") - 4.4).abs() < 1.5, "{:?}", get("w2"));
    assert!((floor("mean_log_density") + 6.859).abs() < 0.01, "{:?}", get("mean_log_density"));
    assert_eq!((get("modes_covered").value, floor("modes_covered")), (40.0, 40.0));
    for metric in &report.metrics {
        let z = metric.z().unwrap();
        assert!(z.abs() < 7.0, "{}: z = {z}, {metric:?}", metric.name());
    }
}

/// Checks that each fault is seen by the figures made for it, at |z| > 6: a missing mode, modes too narrow, points between modes.
#[test]
fn faults_are_seen() {
    let p = gmm9();
    let exact = p.sample(4_000, 5).unwrap();
    let seen = |x: &Matrix, names: &[&str]| {
        let report = evaluate(&p, x, &small()).unwrap();
        for name in names {
            let metric = report.metric(name).unwrap();
            assert!(metric.z().unwrap().abs() > 6.0, "{metric:?}");
        }
    };
    let kept: Vec<usize> = (0..4_000).filter(|&i| !(exact[(i, 0)] > 2.5 && exact[(i, 1)] > 2.5)).collect();
    seen(&exact.gather_rows(&kept), &["modes_covered", "mode_mass_tv", "sliced_w2", "energy_distance"]);
    let narrow = Matrix::from_fn(4_000, 2, |i, j| {
        let centre = (exact[(i, j)] / 5.0).round() * 5.0;
        centre + 0.8 * (exact[(i, j)] - centre)
    });
    seen(&narrow, &["variance_ratio", "mean_log_density"]);
    let noise: Matrix = normal_matrix(1, Purpose::Check, 1, 4_000, 2);
    let blurred = Matrix::from_fn(4_000, 2, |i, j| exact[(i, j)] + noise[(i, j)]);
    seen(&blurred, &["beyond_4_sigma", "variance_ratio", "mean_log_density"]);
}

/// A density without sampler or normaliser, cut off at x = 1.
struct Half;

impl Density for Half {
    fn dim(&self) -> usize {
        1
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        let value = |x: f64| {
            if x == -77.0 {
                f64::NAN
            } else if x > 1.0 {
                f64::NEG_INFINITY
            } else {
                x
            }
        };
        out.iter_mut().zip(x.as_slice()).for_each(|(out, &x)| *out = value(x));
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.log_density_into(x, log_density);
        score.as_mut_slice().fill(1.0);
    }
}

/// Checks that a target without a sampler has its mean log p~ without a floor, and that a sample outside the support makes
/// it -inf and is counted.
#[test]
fn target_without_sampler() {
    let x = Matrix::from_vec(4, 1, vec![0.0, -2.0, 0.5, -1.0]);
    let report = evaluate(&Half, &x, &small()).unwrap();
    let [metric] = report.metrics.as_slice() else { panic!("{report:?}") };
    assert_eq!((metric.name().as_str(), metric.value, &metric.floor), ("mean log p~", -0.625, &None));
    assert!(metric.note.contains("no floor") && !metric.note.contains("outside"), "{}", metric.note);
    assert!(report.modes.is_none() && metric.z().is_none());

    let x = Matrix::from_vec(4, 1, vec![0.0, -2.0, 5.0, -1.0]);
    let report = evaluate(&Half, &x, &small()).unwrap();
    let [mean, share] = report.metrics.as_slice() else { panic!("{report:?}") };
    assert_eq!((mean.name().as_str(), mean.value, mean.size), ("mean log p~", f64::NEG_INFINITY, 4));
    assert!(mean.note.contains("1 of 4") && mean.note.contains("others is -1.0"), "{}", mean.note);
    assert_eq!((share.kind.key, share.value, share.size), ("outside_support", 0.25, 4));
}

/// The length of a normal vector in space: log p~ = 2 log x - x²/2 for x > 0, else -inf; it vanishes at the wall, as KSD asks.
struct Wall;

impl Density for Wall {
    fn dim(&self) -> usize {
        1
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        out.iter_mut()
            .zip(x.as_slice())
            .for_each(|(l, &x)| *l = if x > 0.0 { 2.0 * x.ln() - 0.5 * x * x } else { f64::NEG_INFINITY });
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.log_density_into(x, log_density);
        score
            .as_mut_slice()
            .iter_mut()
            .zip(x.as_slice())
            .for_each(|(s, &x)| *s = if x > 0.0 { 2.0 / x - x } else { 0.0 });
    }
    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        let z: Matrix = normal_matrix(seed, Purpose::Check, 2, n, 3);
        Some(Matrix::from_fn(n, 1, |i, _| z.row(i).iter().map(|z| z * z).sum::<f64>().sqrt()))
    }
}

/// Checks that samples of which a tenth is impossible look perfect in no figure about the density: mean log p~ is -inf and
/// beyond every floor, their share has a floor of 0, and KSD is infinite with the least p-value, while the others alone
/// would pass.
#[test]
fn impossible_samples_are_not_left_out() {
    let x = Wall.sample(1_000, 3).unwrap();
    let options = Options { test_size: 1_000, ..small() };
    let exact = evaluate(&Wall, &x, &options).unwrap();
    let ksd = |report: &Report| report.tests.iter().find(|t| t.kind.key == "ksd").unwrap().clone();
    assert!(exact.metrics.iter().all(|m| m.kind.key != "outside_support" && m.z().unwrap().abs() < 10.0));
    assert!(ksd(&exact).p_value > 0.01 && ksd(&exact).statistic.is_finite());
    let moved = Matrix::from_fn(1_000, 1, |i, _| if i % 10 == 0 { -x[(i, 0)] } else { x[(i, 0)] });
    let report = evaluate(&Wall, &moved, &options).unwrap();
    let found = |name: &str| report.metric(name).unwrap();
    assert_eq!(
        (found("mean_log_density").value, found("mean_log_density").z()),
        (f64::NEG_INFINITY, Some(f64::NEG_INFINITY))
    );
    let share = found("outside_support");
    assert_eq!((share.value, share.floor.as_ref().unwrap().mean, share.z()), (0.1, 0.0, Some(f64::INFINITY)));
    let test = ksd(&report);
    assert_eq!((test.statistic, test.p_value), (f64::INFINITY, 1.0 / (options.resamples + 1) as f64));
    assert!(test.size == 1_000 && test.note.contains("100 of 1000 samples are outside the support"), "{}", test.note);
}

/// Checks that the note of KSD says where one sample's own term is most of it: no sign changes that term, so the p-value stays where it is for
/// the others, however far off that sample lies.
#[test]
fn one_sample_far_off_is_said() {
    let target = GaussianMixture::standard(2).unwrap();
    let mut x = target.sample(200, 3).unwrap();
    let judge = |x: &Matrix| {
        let report = evaluate(&target, x, &small()).unwrap();
        report.tests.into_iter().find(|t| t.kind.key == "ksd").unwrap()
    };
    let exact = judge(&x);
    assert!(!exact.note.contains("own term"), "{}", exact.note);
    x[(17, 0)] = 1e6;
    let far = judge(&x);
    assert!(far.statistic > 1e3 * exact.statistic && far.note.contains("100.00 % of KSD² is one sample's own term"));
}

/// Checks that points so far off that their distances overflow are in no mode, and that figures about a part of the sample
/// say which: a sample of exact points of which half is far away has TV of at least ½, half of it behind the variance
/// ratio, and the least p-value for its masses.
#[test]
fn points_in_no_mode() {
    let target = gmm9();
    let exact = target.sample(2_000, 5).unwrap();
    let x = Matrix::from_fn(2_000, 2, |i, j| if i < 1_000 { 1e150 } else { exact[(i, j)] });
    let options = Options { truth_size: 50_000, resamples: 99, ..small() };
    let truth = ModeTruth::new(&target, 50_000, 1).report(&x);
    // 1e300 is finite, and far beyond every mode; in a mixture of narrow modes its square overflows
    assert_eq!((truth.nowhere, truth.near <= 1_000, truth.outside >= 0.5), (0, true, true));
    let narrow = GaussianMixture::isotropic(&[0.5, 0.5], Matrix::from_rows(&[[0.0, 0.0], [1e-3, 0.0]]), 1e-5).unwrap();
    let exact = narrow.sample(2_000, 5).unwrap();
    let x = Matrix::from_fn(2_000, 2, |i, j| if i < 1_000 { 1e150 } else { exact[(i, j)] });
    let truth = ModeTruth::new(&narrow, 50_000, 1).report(&x);
    assert!(truth.nowhere == 1_000 && truth.outside >= 0.5, "{truth:?}");
    // the masses are half of what they should be, and so is the share in no cell: ½ (½ + ½)
    assert!((truth.total_variation - 0.5).abs() < 0.05 && (truth.masses.iter().sum::<f64>() - 0.5).abs() < 1e-12);
    let report = evaluate(&narrow, &x, &options).unwrap();
    let ratio = report.metric("variance_ratio").unwrap();
    assert!(ratio.size <= 1_000 && ratio.note.contains("of 2000 samples, the others are beyond 4 sigma"), "{ratio:?}");
    let masses = report.tests.iter().find(|t| t.kind.key == "mode_masses").unwrap();
    assert_eq!(masses.p_value, 0.01);
}

/// Checks that bad samples are refused with the place: NaN, infinity, wrong width, too few, a density that is NaN there.
#[test]
fn bad_samples_are_refused() {
    let judge = |x: Matrix| evaluate(&gmm9(), &x, &small()).unwrap_err();
    let mut x = gmm9().sample(50, 1).unwrap();
    x[(17, 1)] = f64::NAN;
    assert!(judge(x).to_string().starts_with("row 17, column 1 of the samples is NaN"));
    assert!(matches!(judge(Matrix::filled(9, 2, -1e200)), Error::BadSample { row: 0, column: 0, .. }));
    assert!(matches!(judge(Matrix::zeros(9, 3)), Error::Dimension { expected: 2, found: 3, .. }));
    assert!(matches!(judge(Matrix::zeros(1, 2)), Error::Parameter { .. }));
    let bad = evaluate(&Half, &Matrix::filled(3, 1, -77.0), &small()).unwrap_err();
    assert!(matches!(bad, Error::NonFinite { .. }));
}

/// Checks that few samples are enough for a report, and that it has the same bits on 1 and 3 threads.
#[test]
fn small_samples_and_threads() {
    let x = gmm9().sample(150, 1).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| evaluate(&gmm9(), &x, &small()).unwrap().metrics)
    };
    let metrics = run(1);
    assert_eq!(metrics, run(3));
    assert!(metrics.iter().all(|m| m.size <= 150 && m.value.is_finite() && m.floor.is_some()), "{metrics:?}");
}

/// Checks that every target of the registry can be reported on: exact samples have finite figures, all with a floor, and lie
/// within 20 spreads of it (with 4 repeats Student's t with 3 degrees of freedom, beyond 20 for 1 figure in 3,600).
#[test]
fn every_target_has_a_report() {
    for name in density::all_densities().iter().flat_map(Entry::names) {
        let target = density::by_name(&name).unwrap();
        let Some(exact) = target.sample(1_000, 9) else { continue };
        let options = Options { truth_size: 50_000, log_density_size: 50_000, ..small() };
        let report = evaluate(target.as_ref(), &exact, &options).unwrap();
        assert_eq!(report.modes.is_some(), target.mixture().is_some(), "{name}");
        for metric in &report.metrics {
            let z = metric.z().unwrap();
            assert!(metric.value.is_finite() && z.abs() < 20.0, "{name}: z = {z}, {metric:?}");
        }
    }
}

/// Checks that fresh samples of the law of the training points are as far from them as held-out points (within 5 spreads of a mean over
/// sets, and a share of copies below 0.1 where 0.05 ± 0.01 is expected), that copies are found out (distance 0, share 1), half of each is a
/// share near ½, and that a law that nobody learned from has neither figure.
#[test]
fn copies_are_found() {
    let draws = |unit: u64, n: usize| normal_matrix(41, Purpose::Check, unit, n, 2);
    let training = draws(0, 3000);
    let plain = Empirical::new(&WeightedSamples::equal(draws(1, 1500))).unwrap();
    let law = plain.clone().with_training(training.clone());
    let small = Options {
        transport_sizes: Vec::new(),
        sliced_size: 100,
        pair_size: 100,
        test_size: 0,
        repeats: 4,
        ..Options::default()
    };
    let figures = |law: &Empirical, x: &Matrix| {
        let report = evaluate(law, x, &small).unwrap();
        let of = |key: &str| report.metric(key).map(|m| (m.value, m.floor.clone().unwrap()));
        of("nearest_training").zip(of("training_copies"))
    };
    let fresh = draws(2, 1500);
    let ((mean, floor), (share, _)) = figures(&law, &fresh).unwrap();
    assert!((mean - floor.mean).abs() < 5.0 * floor.spread.max(1e-3) && share < 0.1, "{mean} {floor:?} {share}");
    let ((mean, floor), (share, _)) = figures(&law, &training.slice_rows(0..1500)).unwrap();
    assert!(mean == 0.0 && floor.mean > 0.01 && share == 1.0, "{mean} {share}");
    let half = Matrix::from_fn(1500, 2, |i, j| if i % 2 == 0 { fresh[(i, j)] } else { training[(i, j)] });
    let (_, (share, _)) = figures(&law, &half).unwrap();
    assert!((share - 0.525).abs() < 0.03, "{share}");
    assert!(figures(&plain, &fresh).is_none());
}
