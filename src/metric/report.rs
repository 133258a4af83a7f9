//! All metrics of a sample, each beside its floor.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::metric::hypothesis::Battery;
use crate::metric::*;
use crate::num::Summary;
use crate::rng::{Purpose, stream};
use crate::{Error, Result};
use rand::Rng;
use rayon::prelude::*;

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
            test_size: 1_000,
            resamples: 499,
            repeats: 4,
        }
    }
}

/// The same figure for exact samples of the same size.
#[derive(Debug, Clone, PartialEq)]
pub struct Floor {
    /// Mean over the repeats.
    pub mean: f64,
    /// Standard deviation of a single repeat.
    pub spread: f64,
    /// Number of repeats.
    pub repeats: usize,
}

/// One figure of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Name, such as "W2 at 1000".
    pub name: String,
    /// The figure, a mean over `blocks` disjoint parts of the sample (and over fresh exact samples).
    pub value: f64,
    /// What exact samples reach; None where the target has no exact sampler.
    pub floor: Option<Floor>,
    /// Points of the sample in one comparison; `note` says what became of the others where there are any.
    pub size: usize,
    /// Disjoint parts of the sample that were used.
    pub blocks: usize,
    /// Kernel, number of projections, points left out: what is needed to read the figure.
    pub note: String,
}

impl Metric {
    /// z = (value - floor)/(spread √(1/blocks + 1/repeats)): how many standard deviations from an exact sample.
    /// With few repeats the spread is itself uncertain: read it as Student's t with repeats - 1 degrees of freedom.
    pub fn z(&self) -> Option<f64> {
        let floor = self.floor.as_ref()?;
        let difference = self.value - floor.mean;
        let scale = (1.0 / self.blocks as f64 + 1.0 / floor.repeats as f64).sqrt();
        Some(if self.value == floor.mean { 0.0 } else { difference / (floor.spread * scale) })
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

/// Every metric of `samples` (n×d, n ≥ 2) that applies to the target, each beside its floor.
///
/// The floor is the same metric between independent sets of exact samples of the same size; for mode figures and the mean
/// log-density it is their value on exact samples. A target without an exact sampler has its mean log p~ only. Keyed by
/// `options.seed`: the same input gives the same report on any number of threads.
///
/// Errors: `BadSample` naming the first row with a NaN or a coordinate beyond ±1e150, `Dimension`, `Parameter` for fewer than two rows, `NonFinite`
/// where log p~ is NaN or +∞ at a sample.
pub fn evaluate(target: &dyn Density, samples: &Matrix, options: &Options) -> Result<Report> {
    check_samples(target.dim(), samples)?;
    let job = Job { target, samples: random_rows(samples, samples.rows(), options.seed), options };
    let mut metrics = if target.is_known() { job.log_density()? } else { Vec::new() };
    let truth = target.mixture().map(|m| ModeTruth::new(m, options.truth_size, job.seed(TRUTH)));
    if let Some(truth) = &truth {
        metrics.extend(job.mode_metrics(truth));
    }
    if target.sample(2, 0).is_some() {
        metrics.extend(job.distances()?);
    }
    let size = options.test_size.min(samples.rows());
    let exact = (size > 1).then(|| target.sample(size, job.seed(TESTS))).flatten();
    let battery = Battery { target, samples: &job.samples, truth: truth.as_ref(), exact, size, options };
    let tests = if size > 1 { battery.tests() } else { Vec::new() };
    Ok(Report { metrics, modes: truth.map(|t| t.report(samples)), tests })
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

/// Units of the seeds of exact samples: pairs of comparisons count from 0.
const TRUTH: u64 = 1 << 40;
const LOG_DENSITY: u64 = TRUTH + 1;
const BANDWIDTH: u64 = TRUTH + 2;
const TESTS: u64 = TRUTH + 3;

/// One evaluation at work.
struct Job<'a> {
    target: &'a dyn Density,
    /// In random order, so that any block of rows is a fair sample of them.
    samples: Matrix,
    options: &'a Options,
}

impl Job<'_> {
    /// A seed of its own for each set of exact samples, unlike any that a user would type.
    fn seed(&self, unit: u64) -> u64 {
        stream(self.options.seed, Purpose::Metric, (1 << 62) + unit).next_u64()
    }

    /// n exact samples; only called where there is a sampler.
    fn exact(&self, n: usize, unit: u64) -> Matrix {
        self.target.sample(n, self.seed(unit)).expect("the target has an exact sampler")
    }

    /// The mean of log p (log p~ where Z is unknown) over all samples: -∞ where log p~ is at one of them, and then also the share of
    /// such samples, outside the support.
    fn log_density(&self) -> Result<Vec<Metric>> {
        let log_z = self.target.log_normaliser();
        let values = self.target.log_density(&self.samples);
        if let Some(i) = values.iter().position(|v| v.is_nan() || *v == f64::INFINITY) {
            let point = self.samples.row(i).to_vec();
            return Err(Error::NonFinite { what: "log-density".into(), value: values[i], point });
        }
        let inside = |values: Vec<f64>| -> Vec<f64> { values.into_iter().filter(|v| v.is_finite()).collect() };
        let (n, values) = (values.len(), inside(values));
        let (outside, shift) = (n - values.len(), log_z.unwrap_or(0.0));
        let mut floors = None;
        if let Some(exact) = self.target.sample(self.options.log_density_size, self.seed(LOG_DENSITY)) {
            let size = exact.rows();
            // an exact sample is outside by rounding only
            let exact = Summary::of(&inside(self.target.log_density(&exact)));
            let (share, repeats) = ((size - exact.count) as f64 / size as f64, (size / n).max(1));
            let level = (exact.mean - shift, (exact.variance / n as f64).sqrt());
            let floor = |(mean, spread)| Floor { mean, spread, repeats };
            floors = Some([level, (share, (share * (1.0 - share) / n as f64).sqrt())].map(floor));
        }
        let [level, share] = floors.map_or([None, None], |both| both.map(Some));
        let mut notes = Vec::new();
        if log_z.is_none() {
            notes.push("up to the unknown log Z".to_string());
        }
        let mean = Summary::of(&values).mean - shift;
        if outside > 0 {
            let others = if outside < n { format!("; the mean of the others is {mean:.6}") } else { String::new() };
            notes.push(format!("{outside} of {n} samples are outside the support, where log p = -inf{others}"));
        }
        if level.is_none() {
            notes.push("no exact sampler, hence no floor".into());
        }
        let name = if log_z.is_some() { "mean log p" } else { "mean log p~" }.to_string();
        let value = if outside > 0 { f64::NEG_INFINITY } else { mean };
        let level = Metric { name, value, floor: level, size: n, blocks: 1, note: notes.join("; ") };
        let (name, value) = ("outside the support".to_string(), outside as f64 / n as f64);
        let note = format!("{outside} of {n} samples with log p = -inf; exact samples are never there");
        let share = Metric { name, value, floor: share, size: n, blocks: 1, note };
        Ok(if outside > 0 { vec![level, share] } else { vec![level] })
    }

    /// The four mode figures, on all samples at once.
    fn mode_metrics(&self, truth: &ModeTruth) -> Vec<Metric> {
        let (n, repeats) = (self.samples.rows(), 5 * self.options.repeats.max(2));
        let found = truth.report(&self.samples);
        let exact: Vec<ModeReport> = (0..repeats).map(|r| truth.report(&self.exact(n, r as u64))).collect();
        let metric = |name: &str, note: String, figure: fn(&ModeReport) -> f64| {
            let floor = floor_of(&exact.iter().map(figure).collect::<Vec<_>>());
            Metric { name: name.into(), value: figure(&found), floor: Some(floor), size: n, blocks: 1, note }
        };
        let mut cells = format!("cells of largest responsibility; true masses from {} exact samples", truth.size());
        if found.nowhere > 0 {
            cells += &format!("; {} of {n} samples are too far off for any cell and count as misplaced", found.nowhere);
        }
        let mut inside = "Mahalanobis²/d within 4 sigma of the own mode, relative to exact samples".to_string();
        if found.near < n {
            inside += &format!("; {} of {n} samples, the others are beyond 4 sigma", found.near);
        }
        let mut metrics = vec![
            metric("modes covered", format!("of {}; mass above 0.2 of the true one", found.modes), |m| {
                m.covered as f64
            }),
            metric("mode-mass TV", cells, |m| m.total_variation),
            metric("beyond 4 sigma", "Mahalanobis distance above 4 to every mode".into(), |m| m.outside),
            metric("variance ratio", inside, |m| m.variance_ratio),
        ];
        metrics[3].size = found.near;
        metrics
    }

    /// Distances to exact samples.
    fn distances(&self) -> Result<Vec<Metric>> {
        let o = self.options;
        let mut metrics = Vec::new();
        for &size in &o.transport_sizes {
            let repeats = (o.repeats * 1_000 / size.max(1)).clamp(2, o.repeats.max(2));
            let note = "exact optimal assignment".to_string();
            metrics.push(self.compare("W2 at", size, repeats, note, |x, y| wasserstein2(x, y).distance));
        }
        let h = median_distance(&self.exact(o.pair_size.clamp(2, 1_000), BANDWIDTH), self.seed(BANDWIDTH));
        mmd2(&self.samples.slice_rows(0..2), &self.samples.slice_rows(0..2), h)?; // the bandwidth is usable
        let mmd = move |x: &Matrix, y: &Matrix| mmd2(x, y, h).expect("the bandwidth was checked").biased;
        let sliced = |x: &Matrix, y: &Matrix| sliced_wasserstein2(x, y, o.projections, o.seed);
        let directions = format!("{} projections", o.projections);
        let kernel = format!("exp(-|x-y|²/(2h²)), h = {h:.4} (median distance of exact samples); V-statistic");
        let v_statistic = "2E|X-Y| - E|X-X'| - E|Y-Y'|; V-statistic".to_string();
        metrics.push(self.compare("sliced W2 at", o.sliced_size, o.repeats, directions, sliced));
        metrics.push(self.compare("MMD² at", o.pair_size, o.repeats, kernel, mmd));
        metrics.push(
            self.compare("energy distance at", o.pair_size, o.repeats, v_statistic, |x, y| {
                energy_distance(x, y).biased
            }),
        );
        Ok(metrics)
    }

    /// The mean of `distance` between blocks of the samples and exact sets, and the same for other exact sets in place of the blocks.
    fn compare(
        &self,
        name: &str,
        size: usize,
        repeats: usize,
        note: String,
        distance: impl Fn(&Matrix, &Matrix) -> f64 + Sync,
    ) -> Metric {
        let (n, repeats) = (self.samples.rows(), repeats.max(2));
        let size = size.clamp(2, n);
        let blocks = (n / size).min(repeats);
        let used = match size * blocks {
            used if used < n => format!("; {used} of {n} samples, drawn at random, in {blocks} sets"),
            _ => String::new(),
        };
        let (values, floor): (Vec<f64>, Vec<f64>) = (0..repeats)
            .into_par_iter()
            .map(|r| {
                let reference = self.exact(size, 2 * r as u64);
                let block = r % blocks * size;
                let value = distance(&self.samples.slice_rows(block..block + size), &reference);
                (value, distance(&self.exact(size, 2 * r as u64 + 1), &reference))
            })
            .unzip();
        let value = Summary::of(&values).mean;
        Metric {
            name: format!("{name} {size}"),
            value,
            floor: Some(floor_of(&floor)),
            size,
            blocks,
            note: note + &used,
        }
    }
}

/// Mean and spread over repeats.
fn floor_of(values: &[f64]) -> Floor {
    let summary = Summary::of(values);
    Floor { mean: summary.mean, spread: summary.standard_deviation(), repeats: values.len() }
}
