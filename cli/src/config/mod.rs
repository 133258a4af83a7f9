//! The configuration of a training run: defaults, then a file, then flags, then `--set key=value`; the later one wins.

mod merge;
mod settings;

pub use merge::merge;

use crate::failure::{Failure, Outcome};
use serde::{Deserialize, Serialize};

/// Everything that decides what a run computes; what config.toml holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A registry's name, or the content of a target file.
    pub target: toml::Value,
    /// Short name of a target that is given by its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the sampler is trained.
    #[serde(default)]
    pub method: Training,
    /// A registry's name.
    #[serde(default = "reverse_kl")]
    pub divergence: String,
    /// Kind of a flow's couplings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Couplings>,
    /// Reference of the log-variance divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lv_reference: Option<String>,
    /// Number of a flow's couplings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub couplings: Option<usize>,
    /// Components of a flow's base; chosen by the likelihood of held-out particles of the search where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
    /// Inverse temperature at the start of a flow's training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temper: Option<f64>,
    /// Training steps; chosen from the target where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Particles of a step; chosen from the target where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Key of every random number.
    #[serde(default)]
    pub seed: u64,
    /// Precision of the network.
    #[serde(default)]
    pub precision: Precision,
    /// Threads; the results do not depend on it. All cores where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
    /// Independent particles behind the density estimate of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<usize>,
    /// Codes of the latent; 0 for a plain Gaussian latent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<usize>,
    /// Widths of the hidden layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<usize>>,
    /// Adam's rate at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Bandwidth at the start, in units of the scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_start: Option<f64>,
    /// Bandwidth at the end, in units of the scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_end: Option<f64>,
    /// Fraction of the steps over which the bandwidth falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anneal: Option<f64>,
    /// Effective neighbours that the density estimate must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<f64>,
    /// Largest |log r| that enters a weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Draws behind a smoothed target without closed form; even.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<usize>,
    /// Rate of the reaction on the code probabilities (T15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<f64>,
    /// Centre of the target; found where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre: Option<Vec<f64>>,
    /// Overall scale of the target; found where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
}

/// Precision of the network's numbers; densities are always f64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single.
    #[default]
    F32,
    /// Double.
    F64,
}

/// How a sampler is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Training {
    /// A generator, by the smoothed drift on a density estimate.
    #[default]
    Kde,
    /// A normalizing flow, by the drift with its exact density.
    Flow,
    /// A normalizing flow, by the log-variance divergence.
    FlowLv,
}

/// Kinds of couplings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Couplings {
    /// Affine.
    Realnvp,
    /// Rational-quadratic splines.
    Spline,
}

/// The keys of [`Config`].
const KEYS: &[&str] = &[
    "target",
    "name",
    "method",
    "divergence",
    "flow",
    "lv_reference",
    "couplings",
    "components",
    "temper",
    "steps",
    "batch",
    "seed",
    "precision",
    "threads",
    "reference",
    "codes",
    "hidden",
    "learning_rate",
    "bandwidth_start",
    "bandwidth_end",
    "anneal",
    "neighbours",
    "clip",
    "draws",
    "reaction",
    "centre",
    "scale",
];

fn reverse_kl() -> String {
    "reverse-kl".into()
}

impl Config {
    fn check(&self) -> Outcome<()> {
        let positive = [("steps", self.steps), ("batch", self.batch), ("threads", self.threads)];
        if let Some((key, _)) = positive.iter().find(|(_, v)| *v == Some(0)) {
            return Err(Failure::input(format!(
                "{key} = 0; give at least 1, or leave {key} out for a choice by the program"
            )));
        }
        // TOML's whole numbers end at 2^63 - 1, and config.toml must be able to hold the seed.
        if i64::try_from(self.seed).is_err() {
            return Err(Failure::input(format!("seed = {}; give a number below 2^63", self.seed)));
        }
        Ok(())
    }

    /// The text of config.toml.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is made of numbers, strings and tables")
    }
}
