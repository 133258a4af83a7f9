//! What a report is made of: plain data, so that the report can be drawn and tested without training anything.

use crate::curves::Curves;
use pushforward::linalg::Matrix;
use pushforward::metric::Judge;

/// Everything that the report shows.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The target in words.
    pub target: TargetCard,
    /// The model in a word.
    pub model: String,
    /// The parts of the method, each with what it is.
    pub method: Vec<(String, String)>,
    /// The divergence in words and numbers.
    pub divergence: DivergenceCard,
    /// One sentence on how the run ended and how long it took.
    pub outcome: String,
    /// The three to five numbers that matter most.
    pub headline: Vec<Tile>,
    /// Samples at the start, in the middle and at the end of training.
    pub frames: Vec<Frame>,
    /// Exact samples of the target (n×d), where it has an exact sampler.
    pub exact: Option<Matrix>,
    /// log p~ on a grid, where d = 2.
    pub field: Option<Field>,
    /// Whether the samples are particles whose way is of interest: row i of every frame is the same one.
    pub particles: bool,
    /// The share of particles in each mode at each frame; empty where the target has no named modes, or no particles.
    pub courses: Vec<ModeCourse>,
    /// Mass of each mode; empty where the target has no named modes.
    pub modes: Vec<ModeMass>,
    /// How many samples the mode masses were counted from.
    pub mode_samples: usize,
    /// The training curves.
    pub curves: Curves,
    /// The posterior: of each quantity its name, then mean, sd, three quantiles and error of the raw samples, and again of the reweighted ones.
    pub posterior: Vec<(String, Vec<f64>)>,
    /// Which file of samples to use, and why.
    pub posterior_use: String,
    /// Names and columns (n×k) of the parameters whose diagrams are asked for, in the user's coordinates.
    pub chosen: Option<(Vec<String>, Matrix)>,
    /// -log p~ of the final samples.
    pub energy: Vec<f64>,
    /// -log p~ of exact samples; empty where there are none.
    pub exact_energy: Vec<f64>,
    /// The table of metrics.
    pub metrics: Vec<MetricRow>,
    /// The table of tests.
    pub tests: Vec<TestRow>,
    /// What a model with a density proves about itself.
    pub certificate: Option<CertificateCard>,
    /// Of a flow on a family with conditions.
    pub conditions: ConditionCard,
    /// Things that happened and should be known, such as skipped steps.
    pub notes: Vec<String>,
    /// The text of config.toml.
    pub config: String,
}

/// What a flow learnt at some conditions, in a table; without rows for what has none.
#[derive(Debug, Clone, Default)]
pub struct ConditionCard {
    /// What they are.
    pub title: &'static str,
    /// What the columns say.
    pub lead: &'static str,
    /// Names of the columns.
    pub columns: [&'static str; 5],
    /// A row for each condition.
    pub rows: Vec<[String; 5]>,
}

/// A certificate in words and numbers.
#[derive(Debug, Clone, Default)]
pub struct CertificateCard {
    /// Name, value, meaning.
    pub rows: Vec<(String, String, String)>,
    /// What the figures add up to.
    pub findings: Vec<String>,
    /// What none of them can say.
    pub caveat: String,
    /// log p~ - log q - log Z at the model's samples, and at exact ones where there are any.
    pub log_weights: Vec<f64>,
    /// The same at exact samples.
    pub exact_log_weights: Vec<f64>,
    /// log q on the grid of the target's, where d = 2.
    pub field: Option<Field>,
}

/// The target in words.
#[derive(Debug, Clone, Default)]
pub struct TargetCard {
    /// Name in the registry or of the file.
    pub name: String,
    /// d.
    pub dim: usize,
    /// Formula of log p~, in plain characters.
    pub formula: String,
    /// The constants in it.
    pub constants: String,
    /// Where the constants are from.
    pub source: String,
}

/// The divergence in words and numbers.
#[derive(Debug, Clone, Default)]
pub struct DivergenceCard {
    /// Name in the registry.
    pub name: String,
    /// Formula of f and the order of its arguments.
    pub formula: String,
    /// Formula of the weight w(r) = r² f''(r).
    pub weight_formula: String,
    /// Points (l, log w(e^l)) of the weight, l = log(p/q).
    pub log_weight: Vec<(f64, f64)>,
}

/// A number in large type.
#[derive(Debug, Clone, Default)]
pub struct Tile {
    /// Such as "40 / 40".
    pub value: String,
    /// Such as "modes covered".
    pub label: String,
    /// Such as "exact samples: 0.025".
    pub beside: String,
}

/// Samples at one moment of training.
#[derive(Debug, Clone)]
pub struct Frame {
    /// After how many steps.
    pub step: usize,
    /// n×d.
    pub samples: Matrix,
}

/// log p~ on a regular grid over a box of the plane.
#[derive(Debug, Clone)]
pub struct Field {
    /// (lowest, highest) first coordinate.
    pub x: (f64, f64),
    /// (lowest, highest) second coordinate.
    pub y: (f64, f64),
    /// Entry (i, j) is log p~ at the i-th second and j-th first coordinate; -inf where p is zero.
    pub log_p: Matrix,
}

/// Mass of one mode.
#[derive(Debug, Clone)]
pub struct ModeMass {
    /// Share of the target's mass.
    pub truth: f64,
    /// Share of the samples.
    pub model: f64,
}

/// The share of a mode over the steps.
#[derive(Debug, Clone, Default)]
pub struct ModeCourse {
    /// Share of the target's mass.
    pub truth: f64,
    /// (step, share of the particles).
    pub points: Vec<(f64, f64)>,
}

/// A metric beside its floor.
#[derive(Debug, Clone)]
pub struct MetricRow {
    /// Name in words.
    pub name: String,
    /// Its value for the run's samples.
    pub value: f64,
    /// Mean and standard deviation of its value for exact samples of the same number, where there are any.
    pub floor: Option<(f64, f64)>,
    /// What it means, in a sentence.
    pub meaning: String,
    /// How to judge the value.
    pub judge: Judge,
}

/// A hypothesis test of the samples.
#[derive(Debug, Clone)]
pub struct TestRow {
    /// Name.
    pub name: String,
    /// The statistic; NaN where the test could not be done.
    pub statistic: f64,
    /// The chance of one at least as large for exact samples.
    pub p_value: f64,
    /// Points in the test.
    pub size: usize,
    /// What it asks, its constants and what it is blind to.
    pub meaning: String,
}
