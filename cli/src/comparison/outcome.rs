//! What a comparison leaves: trials, their spread, the floors.

use super::measure::Settled;
use pushforward::density::Counts;
use pushforward::num::Summary;
use std::collections::BTreeMap;

/// A figure of the comparison.
pub struct Column {
    /// Key in JSON; that of `words` where the figure is a metric.
    pub key: &'static str,
    /// Short title.
    pub title: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// By what people see it multiplied: 100 for percent.
    pub factor: f64,
    /// Whether it is of the certificate, which only models with a density have.
    pub certificate: bool,
}

const fn column(key: &'static str, title: &'static str, factor: f64, meaning: &'static str) -> Column {
    Column { key, title, meaning, factor, certificate: false }
}

const fn certificate(key: &'static str, title: &'static str, meaning: &'static str) -> Column {
    Column { key, title, meaning, factor: 1.0, certificate: true }
}

/// All figures of a finished trial, in the order of the table; those that do not apply to the target are left out.
pub const COLUMNS: &[Column] = &[
    column("modes_covered", "modes", 1.0, "modes with a fifth of their mass or more"),
    column("mode_mass_tv", "mode-mass TV", 1.0, "share of samples in the wrong mode"),
    column("beyond_4_sigma", "beyond 4σ, %", 100.0, "share of samples outside every mode"),
    column("variance_ratio", "variance ratio", 1.0, "spread within modes; 1 is right"),
    column("sliced_w2", "sliced W2", 1.0, "distance to exact samples over projections"),
    column("w2", "W2", 1.0, "exact transport to exact samples"),
    column("energy_distance", "energy distance", 1.0, "sees the large scale first"),
    column("mean_log_density", "mean log p", 1.0, "above the floor: too narrow; below: strays"),
    column("settled", "steps to 2× floor", 1.0, "step from which sliced W2 stays within twice its floor"),
    column(
        "log_density_calls",
        "calls of log p",
        1.0,
        "points at which log p~ alone was asked for, by search and training",
    ),
    column("score_calls", "of the score", 1.0, "points at which the score was asked for, which log p~ comes with"),
    column("seconds", "seconds", 1.0, "wall time of training"),
    certificate("reverse_ess", "ESS, reverse", "effective share of the model's samples as importance samples, of 1"),
    certificate("forward_ess", "ESS, forward", "the same at exact samples: near 0 where the model misses a part"),
    certificate("log_z_error", "log Z error", "log Z from the model's samples, less the exact one"),
    certificate("log_z", "log Z", "from the model's samples"),
    certificate("log_z_spread", "stated error", "of log Z"),
    certificate("pareto_k", "k-hat", "tail of the weights; below 0.7 is usable"),
];

/// (mean, spread) of exact samples, by key.
pub type Floors = BTreeMap<&'static str, (f64, f64)>;

/// Mean and spread over seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation; NaN for one seed.
    pub deviation: f64,
    /// Seeds behind it.
    pub count: usize,
}

/// A moment of a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Steps taken.
    pub step: u64,
    /// Evaluations of the target until then.
    pub calls: u64,
    /// The transient figures of the [`Ruler`](super::Ruler), in its order.
    pub figures: Vec<f64>,
}

/// One training.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its seed.
    pub seed: u64,
    /// Steps taken.
    pub steps: u64,
    /// Wall time of training alone.
    pub seconds: f64,
    /// Evaluations of the target by search and training.
    pub counts: Counts,
    /// Why it was given up.
    pub failure: Option<String>,
    /// Metrics of the final samples by key; none after a failure.
    pub metrics: Vec<(&'static str, f64)>,
    /// Mean of -(x - m)·∇ log p/d over the final samples, which is 1 under the target; none after a failure.
    pub virial: Option<f64>,
    /// Coverage during training.
    pub transient: Vec<Point>,
}

/// All seeds of one method and divergence.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Name of the method.
    pub method: String,
    /// What it was trained by: the name of a divergence, or log-variance with its reference.
    pub divergence: String,
    /// One a seed.
    pub trials: Vec<Trial>,
}

/// Everything.
pub struct Comparison {
    /// In the order of the plan.
    pub cells: Vec<Cell>,
    /// What exact samples reach.
    pub floors: Floors,
    /// Whether Ctrl-C ended it early.
    pub interrupted: bool,
}

/// A mean of -(x - m)·∇ log p/d from which samples have strays that decide every mean: squares of distances are off by this factor.
const STRAYED: f64 = 25.0;

impl Trial {
    /// Why it did not sample the target: it was given up, or some of its samples were thrown far out.
    pub fn lost(&self) -> Option<String> {
        let strayed = |v: f64| {
            let v = crate::style::number(v, 2);
            format!("has samples far out: -(x - m)·∇log p/d has the mean {v}, and samples of the target have 1")
        };
        match &self.failure {
            Some(why) => Some(format!("was given up at step {}: {why}", self.steps)),
            None => self.virial.filter(|v| *v > STRAYED).map(strayed),
        }
    }

    /// The figure of a column, where it applies and the trial was not given up.
    pub fn figure(&self, key: &str, settled: Option<&Settled>) -> Option<f64> {
        if self.failure.is_some() {
            return None;
        }
        match key {
            "seconds" => Some(self.seconds),
            "log_density_calls" => Some(self.counts.all().log_density as f64),
            "score_calls" => Some(self.counts.all().score as f64),
            "settled" => settled.and_then(|s| s.step(&self.transient)).map(|k| k as f64),
            _ => self.metrics.iter().find(|m| m.0 == key).map(|m| m.1),
        }
    }
}

impl Spread {
    /// In the unit of a column.
    pub fn times(self, factor: f64) -> Self {
        Self { mean: factor * self.mean, deviation: factor * self.deviation, ..self }
    }
}

impl Cell {
    /// Mean and spread of a column over the trials that have it.
    pub fn spread(&self, key: &str, settled: Option<&Settled>) -> Option<Spread> {
        let values: Vec<f64> = self.trials.iter().filter_map(|t| t.figure(key, settled)).collect();
        let summary = Summary::of(&values);
        (summary.count > 0).then(|| Spread {
            mean: summary.mean,
            deviation: summary.standard_deviation(),
            count: summary.count,
        })
    }

    /// Trials that were given up.
    pub fn failures(&self) -> usize {
        self.trials.iter().filter(|t| t.failure.is_some()).count()
    }
}

impl Comparison {
    /// The columns that some trial has a figure for.
    pub fn columns(&self, settled: Option<&Settled>) -> Vec<&'static Column> {
        COLUMNS.iter().filter(|c| !self.cells_with(&[c], settled).is_empty()).collect()
    }

    /// The cells that have a figure in one of the columns.
    fn cells_with(&self, columns: &[&Column], settled: Option<&Settled>) -> Vec<&Cell> {
        let has = |cell: &&Cell| columns.iter().any(|c| cell.spread(c.key, settled).is_some());
        self.cells.iter().filter(has).collect()
    }

    /// The tables: all cells with the figures of their samples, and those with a density with the figures of their certificates.
    pub fn parts(&self, settled: Option<&Settled>) -> Vec<Part<'_>> {
        let (certificate, samples): (Vec<_>, Vec<_>) = self.columns(settled).into_iter().partition(|c| c.certificate);
        let certified = self.cells_with(&certificate, settled);
        let all = Part { columns: samples, cells: self.cells.iter().collect() };
        let rest = (!certified.is_empty()).then_some(Part { columns: certificate, cells: certified });
        std::iter::once(all).chain(rest).collect()
    }
}

/// A table of a comparison.
pub struct Part<'a> {
    /// Its figures.
    pub columns: Vec<&'static Column>,
    /// Its rows.
    pub cells: Vec<&'a Cell>,
}
