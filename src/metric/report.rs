//! All metrics of a sample, each beside its floor.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::metric::figures::{Examination, FIGURES, Figures, Metric, unit};
use crate::metric::hypothesis::Battery;
use crate::metric::{ModeReport, ModeTruth, Test, random_rows};
use crate::{Error, Result};

/// What [`evaluate`] computes, and how large.
#[derive(Debug, Clone)]
pub struct Options {
    /// Seed of exact samples, projections and subsamples.
    pub seed: u64,
    /// Exact samples behind true mode masses.
    pub truth_size: usize,
    /// Exact samples behind the true mean of log p.
    pub log_density_size: usize,
    /// Points a side in exact W2, each its own figure.
    pub transport_sizes: Vec<usize>,
    /// Most points a side in sliced W2.
    pub sliced_size: usize,
    /// Directions of sliced W2.
    pub projections: usize,
    /// Most points a side in MMD and energy distance.
    pub pair_size: usize,
    /// Most configurations a side in distances of particles.
    pub n_body_size: usize,
    /// Repeats of these, at least 2.
    pub n_body_repeats: usize,
    /// Most configurations a side in the distance up to symmetry.
    pub aligned_size: usize,
    /// Most points of the sample in KSD and MMD as tests; 0 for no tests.
    pub test_size: usize,
    /// Resampled copies behind a p-value, which is at least 1/(resamples + 1).
    pub resamples: usize,
    /// Repeats of each comparison (at least 2) and five times as many for mode figures; exact W2 of n points has `repeats`·1000/n.
    pub repeats: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            truth_size: 1_000_000,
            log_density_size: 200_000,
            transport_sizes: vec![1_000, 2_000],
            sliced_size: 10_000,
            projections: 128,
            pair_size: 4_000,
            n_body_size: 2_000,
            n_body_repeats: 10,
            aligned_size: 1_000,
            test_size: 1_000,
            resamples: 499,
            repeats: 4,
        }
    }
}

/// All figures of a sample, and its modes where the target is a mixture.
#[derive(Debug, Clone)]
pub struct Report {
    /// Every figure that applies.
    pub metrics: Vec<Metric>,
    /// Masses mode by mode, for a Gaussian mixture.
    pub modes: Option<ModeReport>,
    /// Tests with p-values: mode masses (for a mixture) and MMD (with exact samples) beside KSD, which is blind to masses.
    pub tests: Vec<Test>,
}

impl Report {
    /// The figure with this key; the first where several sizes were computed.
    pub fn metric(&self, key: &str) -> Option<&Metric> {
        self.metrics.iter().find(|m| m.kind.key == key)
    }
}

/// Every metric of `samples` (n×d, n ≥ 2) that applies to the target, each beside its floor.
///
/// The floor is the same metric between independent sets of exact samples of the same size; for mode figures and the mean
/// log-density it is their value on exact samples. A target without an exact sampler has its mean log p~ only. Keyed by
/// `options.seed`: the same input gives the same report on any number of threads.
///
/// Errors: `BadSample` naming the first row with a NaN or a coordinate beyond ±1e150, `Dimension`, `Parameter` for fewer than two rows, `NonFinite`
/// where log p~ is NaN or +∞ at a sample.
pub fn evaluate(target: &dyn Density, samples: &Matrix, options: &Options) -> Result<Report> {
    evaluate_by(FIGURES, target, samples, options)
}

/// Most numbers of exact samples that are drawn at once, 1 GiB of them: in many dimensions there are fewer behind true masses and levels.
const EXACT: usize = 1 << 27;

impl Options {
    /// The same with as many exact samples as are drawn at once in d dimensions.
    fn bounded(&self, d: usize) -> Self {
        let least = |size: usize| size.min((EXACT / d.max(1)).max(2));
        Self { truth_size: least(self.truth_size), log_density_size: least(self.log_density_size), ..self.clone() }
    }
}

/// As [`evaluate`], with figures of one's choice; the tests are the same.
pub fn evaluate_by(figures: &[Figures], target: &dyn Density, samples: &Matrix, options: &Options) -> Result<Report> {
    check_samples(target.dim(), samples)?;
    let options = &options.bounded(target.dim());
    let shuffled = random_rows(samples, samples.rows(), options.seed);
    let mut job = Examination { target, samples: shuffled, options, truth: None };
    job.truth = target.mixture().map(|m| ModeTruth::new(m, options.truth_size, job.seed(unit::TRUTH)));
    let found: Vec<Vec<Metric>> = figures.iter().map(|compute| compute(&job)).collect::<Result<_>>()?;
    let size = options.test_size.min(samples.rows());
    let exact = (size > 1).then(|| target.sample(size, job.seed(unit::TESTS))).flatten();
    let battery = Battery { target, samples: &job.samples, truth: job.truth.as_ref(), exact, size, options };
    let tests = if size > 1 { battery.tests() } else { Vec::new() };
    Ok(Report { metrics: found.concat(), modes: job.truth.map(|t| t.report(samples)), tests })
}

/// Coordinates beyond this would overflow when squared and summed.
const LARGEST: f64 = 1e150;

/// Whether rows are finite and of the right length, and at least two.
fn check_samples(dim: usize, samples: &Matrix) -> Result<()> {
    if samples.cols() != dim {
        return Err(Error::Dimension { what: "a row of the samples".into(), expected: dim, found: samples.cols() });
    }
    if samples.rows() < 2 {
        let (name, value) = ("number of samples".into(), samples.rows() as f64);
        return Err(Error::Parameter { name, value, expected: "at least 2" });
    }
    match samples.as_slice().iter().position(|v| v.is_nan() || v.abs() > LARGEST) {
        None => Ok(()),
        Some(k) => Err(Error::BadSample { row: k / dim, column: k % dim, value: samples.as_slice()[k] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that sizes are those that were asked for up to 100 dimensions, and in any number of them no more numbers than fit.
    #[test]
    fn exact_samples_fit() {
        let all = Options::default();
        for d in [1, 2, 32, 100] {
            let here = all.bounded(d);
            assert_eq!((here.truth_size, here.log_density_size), (all.truth_size, all.log_density_size));
        }
        for d in [3_000, 200_000, usize::MAX] {
            let here = all.bounded(d);
            assert!(here.truth_size >= 2 && (here.truth_size == 2 || here.truth_size * d <= EXACT), "{d}");
            assert!(here.log_density_size <= here.truth_size);
        }
    }
}
