//! The figures of a sample: each file declares what its figures are and computes them.

mod copies;
mod distances;
mod level;
mod modes;
mod n_body;

use crate::Result;
use crate::density::Density;
use crate::linalg::Matrix;
use crate::metric::{ModeTruth, Options};
use crate::num::Summary;
use crate::rng::{Purpose, stream};
use rand::Rng;
use rayon::prelude::*;

/// Computes figures of a sample; none where they do not apply to the target.
pub type Figures = fn(&Examination) -> Result<Vec<Metric>>;

/// Every figure of [`evaluate`](crate::metric::evaluate), in the order in which they are reported.
pub const FIGURES: &[Figures] = &[level::figures, modes::figures, n_body::figures, distances::figures, copies::figures];

/// Units of the seeds of exact samples, a different one for each use; pairs of comparisons count from 0.
pub(in crate::metric) mod unit {
    pub const TRUTH: u64 = 1 << 40;
    pub const LOG_DENSITY: u64 = TRUTH + 1;
    pub const BANDWIDTH: u64 = TRUTH + 2;
    pub const TESTS: u64 = TRUTH + 3;
    pub const CONFIGURATIONS: u64 = TRUTH + 4;
    /// And those after it, one for each repeat.
    pub const COPIES: u64 = 1 << 41;
}

/// How a figure is judged against its floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judge {
    /// A distance: value / floor, best near 1.
    Ratio,
    /// A level such as mean log p or a variance ratio: value - floor, best near 0.
    Difference,
}

/// What a figure is. Declared once, beside the code that computes it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its key in files; never changes.
    pub key: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// What it says, in a sentence.
    pub meaning: &'static str,
    /// How it is judged against its floor.
    pub judge: Judge,
    /// Whether its value depends on the number of points, which then belongs to its name.
    pub sized: bool,
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

impl Floor {
    /// Mean and spread over repeats.
    pub fn of(values: &[f64]) -> Self {
        let summary = Summary::of(values);
        Self { mean: summary.mean, spread: summary.standard_deviation(), repeats: values.len() }
    }
}

/// One figure of a sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// What it is.
    pub kind: &'static Kind,
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
    /// Name, such as "W2 at 1000".
    pub fn name(&self) -> String {
        let Kind { name, sized, .. } = self.kind;
        if *sized { format!("{name} at {}", self.size) } else { name.to_string() }
    }

    /// z = (value - floor)/(spread √(1/blocks + 1/repeats)): how many standard deviations from an exact sample.
    /// With few repeats the spread is itself uncertain: read it as Student's t with repeats - 1 degrees of freedom.
    pub fn z(&self) -> Option<f64> {
        let floor = self.floor.as_ref()?;
        let difference = self.value - floor.mean;
        let scale = (1.0 / self.blocks as f64 + 1.0 / floor.repeats as f64).sqrt();
        Some(if self.value == floor.mean { 0.0 } else { difference / (floor.spread * scale) })
    }
}

/// A sample under examination, beside what it is compared with.
pub struct Examination<'a> {
    /// What the sample should be of.
    pub target: &'a dyn Density,
    /// The sample in random order (n×d), so that any block of rows is a fair sample of it.
    pub samples: Matrix,
    /// What is computed, and how large.
    pub options: &'a Options,
    /// The modes of the target, for a Gaussian mixture.
    pub truth: Option<ModeTruth>,
}

impl Examination<'_> {
    /// A seed of its own for each set of exact samples, unlike any that a user would type.
    pub(in crate::metric) fn seed(&self, unit: u64) -> u64 {
        stream(self.options.seed, Purpose::Metric, (1 << 62) + unit).next_u64()
    }

    /// n exact samples, others for each `unit`. Panics where the target has no exact sampler.
    pub fn exact(&self, n: usize, unit: u64) -> Matrix {
        self.target.sample(n, self.seed(unit)).expect("the target has an exact sampler")
    }

    /// Whether the target has an exact sampler.
    pub fn has_exact(&self) -> bool {
        self.target.sample(2, 0).is_some()
    }

    /// The mean of `distance` between blocks of the samples and exact sets, and the same for other exact sets in place of the blocks.
    pub fn compare(
        &self,
        kind: &'static Kind,
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
        Metric { kind, value, floor: Some(Floor::of(&floor)), size, blocks, note: note + &used }
    }
}
