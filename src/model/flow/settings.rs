//! Settings of a flow's training.

use crate::density::Affine;
use crate::density::Density;
use crate::error::{Error, Result};
use crate::model::flow::{Architecture, CouplingKind};
use crate::nn::cosine_rate;

/// Everything that decides what a flow's training computes; two equal settings give equal bits. Lengths are in units of the frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowSettings {
    /// Training steps.
    pub steps: u64,
    /// Points of a step.
    pub batch: usize,
    /// The kind of the couplings.
    pub coupling: CouplingKind,
    /// Their number.
    pub couplings: usize,
    /// Widths of the hidden layers of their networks.
    pub hidden: Vec<usize>,
    /// Components of the base; where absent 64 or 1, whichever is likelier at particles of the search that it has not seen.
    pub components: Option<usize>,
    /// Adam's rate: it rises over the first 5 % of the steps, then falls to 0 along a half cosine.
    pub learning_rate: f64,
    /// Inverse temperature at the start: p is replaced by p^β, β rising geometrically to 1. 1 for none.
    pub temper: f64,
    /// Fraction of the steps over which β rises.
    pub anneal: f64,
    /// Largest |log r| that enters a weight.
    pub clip: f64,
    /// Rate of the reaction on the weights of the base's components (T15), at the start; it falls with Adam's.
    pub reaction: f64,
    /// Units; those of the particles of the search where absent.
    pub frame: Option<Affine>,
    /// Seed of everything.
    pub seed: u64,
}

/// Fraction of the steps over which Adam's rate rises: its first steps have the length of the rate whatever the gradient, and a start
/// that is good already would be lost.
const WARM_UP: f64 = 0.05;

impl Default for FlowSettings {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch: 1024,
            coupling: CouplingKind::Affine,
            couplings: 8,
            hidden: vec![64; 2],
            components: None,
            learning_rate: 3e-3,
            temper: 1.0,
            anneal: 0.3,
            clip: 6.0,
            reaction: 0.1,
            frame: None,
            seed: 0,
        }
    }
}

impl FlowSettings {
    /// The default for two dimensions, where a mixture base does most of the work; in more, more steps.
    pub fn for_target(target: &dyn Density) -> Self {
        let d = Self::default();
        if target.dim() <= 2 { Self { couplings: 4, ..d } } else { Self { steps: 2 * d.steps, ..d } }
    }

    /// What a flow with `components` in its base is made of.
    pub(crate) fn architecture(&self, components: usize) -> Architecture {
        let (coupling, couplings, hidden) = (self.coupling, self.couplings, self.hidden.clone());
        Architecture { coupling, couplings, hidden, components }
    }

    /// β at a step.
    pub fn scheduled_temper(&self, step: u64) -> f64 {
        let t = (step as f64 / (self.anneal * self.steps as f64)).min(1.0);
        self.temper.powf(1.0 - t)
    }

    /// Adam's rate at a step: `learning_rate` min(1, 20 t) (1 + cos πt)/2 at t = step/steps.
    pub fn scheduled_rate(&self, step: u64) -> f64 {
        let warm = ((step + 1) as f64 / (WARM_UP * self.steps as f64)).min(1.0);
        warm * cosine_rate(self.learning_rate, step, self.steps)
    }

    /// `Error::Parameter` with the first value that is out of range.
    pub fn check(&self) -> Result<()> {
        let whole = "a whole number, at least 1";
        let mut counts = vec![("steps", self.steps as usize), ("components", self.components.unwrap_or(1))];
        counts.extend(self.hidden.iter().map(|&w| ("hidden", w)));
        if let CouplingKind::Spline { bins, reach } = self.coupling {
            counts.push(("bins", bins));
            require("bins", bins as f64, bins <= 100, "at most 100")?;
            require("reach", reach, reach > 0.0 && reach.is_finite(), "a positive finite number")?;
        }
        for (name, value) in counts {
            require(name, value as f64, value >= 1, whole)?;
        }
        require("batch", self.batch as f64, self.batch >= 2, "a whole number, at least 2")?;
        for (name, value) in [("learning_rate", self.learning_rate), ("clip", self.clip)] {
            require(name, value, value > 0.0 && value.is_finite(), "a positive finite number")?;
        }
        for (name, value) in [("temper", self.temper), ("anneal", self.anneal)] {
            require(name, value, value > 0.0 && value <= 1.0, "a number in (0, 1]")?;
        }
        require("reaction", self.reaction, (0.0..=1.0).contains(&self.reaction), "a number in [0, 1]")
    }
}

fn require(name: &str, value: f64, holds: bool, expected: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Parameter { name: name.into(), value, expected }) }
}
