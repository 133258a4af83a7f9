//! How a generator is trained.

use crate::density::Affine;
use crate::density::Density;
use crate::error::{Error, Result};
use crate::nn::cosine_rate;
use crate::search::PARTICLES;

/// How a generator is trained. Lengths are in units of the frame, where the target has overall scale 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Steps.
    pub steps: u64,
    /// Particles that are moved in a step.
    pub batch: usize,
    /// Independent particles behind the density estimate of a step.
    pub reference: usize,
    /// Codes of the latent; 0 for a plain Gaussian latent.
    pub codes: usize,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Adam's rate at the start; it falls to 0 along a half cosine.
    pub learning_rate: f64,
    /// Bandwidth at the start; it falls geometrically.
    pub bandwidth_start: f64,
    /// Bandwidth at the end of its fall; at each step no less than what the estimate resolves.
    pub bandwidth_end: f64,
    /// Fraction of the steps over which the bandwidth falls.
    pub anneal: f64,
    /// Effective neighbours that the density estimate must have at 3 of 4 particles.
    pub neighbours: f64,
    /// Largest |log r| that enters a weight.
    pub clip: f64,
    /// Draws behind the smoothed target where it has no closed form; even.
    pub draws: usize,
    /// Rate of the reaction on the code probabilities (T15); 0 keeps them equal.
    pub reaction: f64,
    /// Units; found from the target where absent.
    pub frame: Option<Affine>,
    /// Seed of everything.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: 2500,
            batch: 1024,
            reference: 4096,
            codes: 256,
            hidden: vec![128; 3],
            learning_rate: 2e-3,
            bandwidth_start: 1.2,
            bandwidth_end: 0.03,
            anneal: 0.4,
            neighbours: 60.0,
            clip: 4.0,
            draws: 64,
            reaction: 0.05,
            frame: None,
            seed: 0,
        }
    }
}

impl Settings {
    /// The default, with fewer steps and a smaller reference batch where `target` is a mixture of few components: what 40 modes need
    /// (2,500 steps, 100 reference particles a mode), scaled by the number of modes, no less than 1,000 steps and 2,048 particles.
    pub fn for_target(target: &dyn Density) -> Self {
        let d = Self::default();
        let Some(modes) = target.mixture().map(|m| m.components()) else { return d };
        let steps = (500 + 50 * modes as u64).clamp(1000, d.steps);
        let reference = (128 * modes).clamp(d.reference / 2, d.reference);
        Self { steps, reference, ..d }
    }

    /// A small network, small batches and few steps: seconds of training for easy targets in two dimensions, as in lessons and tests.
    pub fn small() -> Self {
        Self {
            steps: 400,
            batch: 256,
            reference: 1024,
            codes: 64,
            hidden: vec![48; 2],
            learning_rate: 1e-2,
            neighbours: 20.0,
            draws: 16,
            ..Self::default()
        }
    }

    /// h at a step: from `bandwidth_start` to `bandwidth_end`, geometrically, over the first `anneal` of the steps.
    pub fn scheduled_bandwidth(&self, step: u64) -> f64 {
        let t = (step as f64 / (self.anneal * self.steps as f64)).min(1.0);
        self.bandwidth_start * (self.bandwidth_end / self.bandwidth_start).powf(t)
    }

    /// Adam's rate at a step: `learning_rate` (1 + cos πt)/2 at t = step/steps.
    pub fn scheduled_rate(&self, step: u64) -> f64 {
        cosine_rate(self.learning_rate, step, self.steps)
    }

    /// Bytes that a training in `dim` dimensions takes at least, numbers of the network having `number_size` bytes: the parameters with
    /// their gradient and moments, the layers of both batches, the target's draws, and the search for a frame where none is given.
    ///
    /// In f64, so that sizes beyond any machine do not overflow.
    pub fn memory(&self, dim: usize, number_size: usize) -> f64 {
        let (d, size) = (dim as f64, number_size as f64);
        let inputs = if self.codes > 0 { 2.0 * d } else { d };
        let widths: Vec<f64> = [inputs].into_iter().chain(self.hidden.iter().map(|&w| w as f64)).chain([d]).collect();
        let layers: f64 = widths.windows(2).map(|w| w[0] * w[1] + w[1]).sum();
        let parameters = layers + self.codes as f64 * d;
        let rows = self.batch as f64 + self.reference as f64;
        // each hidden layer keeps its input and its output for the way back
        let batches = rows * (2.0 * widths.iter().sum::<f64>() + d);
        let search = if self.frame.is_none() { 3.0 * PARTICLES as f64 * d + 2.0 * d * d } else { 0.0 };
        size * (4.0 * parameters + batches) + 8.0 * (2.0 * self.draws as f64 * d + search)
    }

    /// `Error::Parameter` with the first value that is out of range.
    pub fn check(&self) -> Result<()> {
        let whole = "a whole number, at least 1";
        let positive = "a positive finite number";
        let counts = [("steps", self.steps as usize), ("batch", self.batch), ("reference", self.reference)];
        for (name, value) in counts.into_iter().chain(self.hidden.iter().map(|&w| ("hidden", w))) {
            require(name, value as f64, value >= 1, whole)?;
        }
        require(
            "draws",
            self.draws as f64,
            self.draws >= 2 && self.draws.is_multiple_of(2),
            "an even number, at least 2",
        )?;
        let lengths = [
            ("learning_rate", self.learning_rate),
            ("bandwidth_start", self.bandwidth_start),
            ("bandwidth_end", self.bandwidth_end),
            ("neighbours", self.neighbours),
            ("clip", self.clip),
        ];
        for (name, value) in lengths {
            require(name, value, value > 0.0 && value.is_finite(), positive)?;
        }
        let ends = self.bandwidth_end <= self.bandwidth_start;
        require("bandwidth_end", self.bandwidth_end, ends, "no more than bandwidth_start")?;
        require("anneal", self.anneal, self.anneal > 0.0 && self.anneal <= 1.0, "a number in (0, 1]")?;
        require("reaction", self.reaction, (0.0..=1.0).contains(&self.reaction), "a number in [0, 1]")
    }
}

fn require(name: &str, value: f64, holds: bool, expected: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Parameter { name: name.into(), value, expected }) }
}
