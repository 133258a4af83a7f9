//! What a step sees of a model's law.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::num::powf;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The step, from 0.
    pub step: u64,
    /// All steps of the run.
    pub steps: u64,
}

impl Clock {
    /// step/steps, in [0, 1].
    pub fn progress(&self) -> f64 {
        self.step as f64 / self.steps.max(1) as f64
    }

    /// The value that falls from `start` to `end` geometrically over the first `fraction` of the steps.
    pub fn geometric(&self, start: f64, end: f64, fraction: f64) -> f64 {
        let t = (self.step as f64 / (fraction * self.steps as f64)).min(1.0);
        start * powf(end / start, t)
    }
}

/// The sample that an estimate of q is made from.
#[derive(Debug, Clone, Copy)]
pub enum Reference<'a> {
    /// The particles themselves: a query near particle i sees that particle's own term (T16).
    Own,
    /// An independent sample of the same law, N×d.
    Independent(&'a Matrix),
}

/// The classes of a step of a conditional model.
#[derive(Debug, Clone, PartialEq)]
pub struct Classed {
    /// Of the particles, n.
    pub x: Vec<usize>,
    /// Of the sample for estimates of q, N.
    pub reference: Vec<usize>,
    /// Guidance w ≥ 0: how far beyond its class a particle should go, away from all others.
    pub guidance: f64,
}

/// The particles of a step, and what is known of their law q. All in the units of the model's frame.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// The particles x, n×d.
    pub x: &'a Matrix,
    /// The sample for estimates of q.
    pub reference: Reference<'a>,
    /// The classes of particles and sample, where the model has any.
    pub classes: Option<&'a Classed>,
    /// log q and ∇ log q at the particles, where the model has them and the velocity asked for them.
    pub at_x: Option<&'a Law>,
    /// q itself, where the model has a density: it can be asked anywhere.
    pub law: Option<&'a dyn Density>,
    /// Length of the model's step in time; 0 where it has none.
    pub dt: f64,
    /// Where the run stands; with `seed` the key of all randomness.
    pub clock: Clock,
    /// Key of all randomness.
    pub seed: u64,
}

impl Scene<'_> {
    /// The sample for estimates, N×d: the particles themselves where it is [`Reference::Own`].
    pub fn sample(&self) -> &Matrix {
        match self.reference {
            Reference::Own => self.x,
            Reference::Independent(sample) => sample,
        }
    }
}

/// Whether and where a method asks for the exact density of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LawUse {
    /// Not at all.
    None,
    /// log q and its score at the particles: cheap where they are made together.
    AtParticles,
    /// log q at points of its own choice.
    Anywhere,
}

/// A noise level: x becomes a x + s ξ, ξ ~ N(0, I). A kernel estimate of bandwidth h has a = 1 and s = h.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// a > 0.
    pub a: f64,
    /// s ≥ 0.
    pub s: f64,
}

impl Noise {
    /// a = 1, s = h.
    pub fn of_bandwidth(h: f64) -> Self {
        Self { a: 1.0, s: h }
    }
}

/// Points at which a noised law is wanted, with the noise level of each.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// n×d.
    pub x: &'a Matrix,
    /// n.
    pub noise: &'a [Noise],
}

/// A law at n points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Law {
    /// log of its density, up to a constant that is the same for all points; n, or empty where the score alone is known.
    pub log_density: Vec<f64>,
    /// Its gradient, n×d.
    pub score: Matrix,
}

/// Particles moved to a noise level each, y_i = a_i x_i + s_i ξ_i, with the noised law of q there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Noised {
    /// y, n×d.
    pub y: Matrix,
    /// The levels, n.
    pub noise: Vec<Noise>,
    /// log q_t and its score at y.
    pub q: Law,
    /// log p~_t and its score at y, where the estimator had to ask for them.
    pub p: Option<Law>,
    /// How far the score of q can be relied on, in [0, 1]; n. 1 for an exact law.
    pub trust: Vec<f64>,
}
