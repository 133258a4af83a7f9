//! Methods by name.

use crate::density::Target;
use crate::settings::Value;

/// A method by name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Its model, velocity and estimator.
    pub parts: [&'static str; 3],
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// Settings that differ from the parts' defaults.
    pub(super) overrides: &'static [(&'static str, Choice)],
    /// Whether its lengths are those of the target, in whose own units it works.
    pub(super) own_units: bool,
}

/// A preset's value of a setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Choice {
    Number(f64),
    Whole(u64),
    Wholes(&'static [u64]),
    Word(&'static str),
    /// [n, k] of the n particles in R^k of the target; [] where it is not made of particles.
    Particles,
}

/// Forward KL weighs most what q misses; docs/flows.md has the measurements.
const FLOW: &[(&str, Choice)] =
    &[("velocity.divergence", Choice::Word("forward-kl")), ("velocity.clip", Choice::Number(6.0))];

/// The search has done the work; a step of MALA leaves p as it is.
const SMC: &[(&str, Choice)] = &[
    ("model.start", Choice::Word("search")),
    ("model.particles", Choice::Whole(4096)),
    ("run.steps", Choice::Whole(1)),
];

/// Seconds of training for easy targets in two dimensions.
const SMALL: &[(&str, Choice)] = &[
    ("run.steps", Choice::Whole(400)),
    ("model.batch", Choice::Whole(256)),
    ("model.codes", Choice::Whole(64)),
    ("model.search_particles", Choice::Whole(1024)),
    ("model.hidden", Choice::Wholes(&[48, 48])),
    ("model.learning_rate", Choice::Number(1e-2)),
    ("velocity.draws", Choice::Whole(16)),
    ("estimator.sample", Choice::Whole(1024)),
    ("estimator.neighbours", Choice::Number(20.0)),
];

/// The constants that DiKL ships for 40 modes: its step of HMC by one leapfrog step of 1 is a step of MALA of ½, and its batch of noised points
/// is here one of 512 with both signs of the noise.
const DIKL: &[(&str, Choice)] = &[
    ("run.steps", Choice::Whole(100_000)),
    ("model.batch", Choice::Whole(1024)),
    ("model.codes", Choice::Whole(0)),
    ("model.hidden", Choice::Wholes(&[400, 400, 400, 400])),
    ("model.learning_rate", Choice::Number(1e-3)),
    ("velocity.draws", Choice::Whole(1)),
    ("velocity.ais_particles", Choice::Whole(10)),
    ("velocity.ais_rungs", Choice::Whole(15)),
    ("velocity.ais_step", Choice::Number(0.5)),
    ("velocity.proposal", Choice::Number(0.0)),
    ("velocity.chain_length", Choice::Whole(5)),
    ("velocity.chain_step", Choice::Number(0.01)),
    ("velocity.gate", Choice::Word("mixed")),
    ("estimator.levels", Choice::Whole(29)),
    ("estimator.beta_end", Choice::Number(0.7)),
    ("estimator.score_layers", Choice::Wholes(&[400, 400, 400, 400])),
    ("estimator.score_rate", Choice::Number(1e-4)),
    ("estimator.score_steps", Choice::Whole(50)),
    ("estimator.score_batch", Choice::Whole(512)),
    ("estimator.sample", Choice::Whole(8192)),
];

/// A batch as small as its pairs are many.
const EQUIVARIANT: &[(&str, Choice)] = &[
    ("run.steps", Choice::Whole(1500)),
    ("model.codes", Choice::Whole(0)),
    ("model.batch", Choice::Whole(256)),
    ("model.hidden", Choice::Wholes(&[64, 64, 64, 64])),
    ("model.learning_rate", Choice::Number(1e-3)),
    ("model.equivariant", Choice::Particles),
    ("estimator.equivariant", Choice::Particles),
    ("estimator.score_layers", Choice::Wholes(&[64, 64, 64, 64])),
    ("estimator.sample", Choice::Whole(320)),
    ("estimator.score_rate", Choice::Number(2e-3)),
    ("estimator.score_steps", Choice::Whole(3)),
    ("estimator.score_batch", Choice::Whole(128)),
];

/// The method of who names none.
pub const DEFAULT: &str = "generator";

/// All presets.
pub const PRESETS: &[Preset] = &[
    preset("generator", ["generator", "drift", "exact"], "a generator by the drift with its own density", &[]),
    preset("kde", ["generator", "drift", "kde"], "a generator by the smoothed drift on a kernel estimate", &[]),
    preset(
        "score",
        ["generator", "drift", "score"],
        "a generator by the drift on a learnt score, in any dimension",
        &[],
    ),
    preset(
        "equivariant",
        ["generator", "matching", "score"],
        "networks that exchange, turn and reflect with the target's particles, from samples of the search",
        EQUIVARIANT,
    ),
    preset(
        "kde-small",
        ["generator", "drift", "kde"],
        "the same with a small network and few steps: for lessons and tests",
        SMALL,
    ),
    preset("flow", ["flow", "drift", "exact"], "a normalizing flow by the drift with its exact density", FLOW),
    preset("flow-lv", ["flow", "log-variance", "exact"], "a normalizing flow by the log-variance divergence", &[]),
    preset(
        "particles",
        ["particles", "drift", "kde"],
        "particles by the smoothed drift on their own kernel estimate",
        &[],
    ),
    preset(
        "sbtm",
        ["particles", "drift", "score"],
        "particles by the drift on a learnt score: score-based transport",
        &[],
    ),
    preset(
        "smc",
        ["particles", "mala", "kde"],
        "the particles of the search, by sequential Monte Carlo, after a step of MALA, with log Z and its error",
        SMC,
    ),
    preset("svgd", ["particles", "stein", "kde"], "Stein variational gradient descent", &[]),
    preset("gwg", ["particles", "functional", "kde"], "generalised Wasserstein gradients with a trained field", &[]),
    preset("ula", ["particles", "ula", "kde"], "unadjusted Langevin particles", &[]),
    preset("mala", ["particles", "mala", "kde"], "Metropolis-adjusted Langevin particles", &[]),
    preset(
        "diffusive",
        ["generator", "diffusive", "kde"],
        "a generator by the drift at many noise levels at once, the noised target by draws of its posterior",
        &[],
    ),
    Preset {
        own_units: true,
        ..preset(
            "dikl",
            ["generator", "diffusive", "score"],
            "the same by reverse KL with a learnt score and the constants that DiKL ships for 40 modes",
            DIKL,
        )
    },
    preset("amortised-svgd", ["generator", "stein", "kde"], "a generator by Stein's velocity", &[]),
];

const fn preset(
    name: &'static str,
    parts: [&'static str; 3],
    summary: &'static str,
    overrides: &'static [(&'static str, Choice)],
) -> Preset {
    Preset { name, parts, summary, overrides, own_units: false }
}

impl Choice {
    /// Its value on a target.
    pub(super) fn on(self, target: &Target) -> Value {
        match self {
            Choice::Number(x) => x.into(),
            Choice::Whole(x) => x.into(),
            Choice::Wholes(x) => x.into(),
            Choice::Word(word) => word.into(),
            Choice::Particles => {
                let space = target.densities.first().and_then(|p| p.n_body()).map(|p| p.space());
                space.map_or_else(Vec::new, |space| vec![space.particles, space.dim]).into()
            }
        }
    }
}
