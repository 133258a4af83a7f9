//! The best iterate of a training.

use crate::error::Result;
use crate::linalg::Matrix;
use crate::model::Latent;
use crate::nn::Parameters;
use crate::num::{Real, Summary};
use crate::state::State;
use std::sync::Arc;

/// Windows of a run: the objective is averaged over each.
const WINDOWS: u64 = 20;
/// Standard errors above the best window from which a later one is worse.
const WORSE: f64 = 3.0;
/// Nats above the best window from which a training has gone astray: it goes back, and on at a tenth of the rate.
const ASTRAY: f64 = 0.5;
const SLOWER: f64 = 0.1;

/// The parameters and the latent law at the end of the window of steps with the least mean of an objective.
pub(crate) struct Best<T: Real> {
    /// Values of the window so far.
    values: Vec<f64>,
    /// Mean of the best window; +∞ before the first.
    value: f64,
    kept: (Parameters<T>, Latent),
    /// Factor of the learning rate.
    pub rate: f64,
}

impl<T: Real> Best<T> {
    /// With the parameters of the start.
    pub fn new(parameters: &Parameters<T>, latent: &Latent) -> Self {
        Self { values: Vec::new(), value: f64::INFINITY, kept: (parameters.clone(), latent.clone()), rate: 1.0 }
    }

    /// Takes the objective of a step into account, with what the step led to; what to go back to, where that is better. `left` steps follow.
    pub fn after(
        &mut self,
        objective: f64,
        steps: u64,
        left: u64,
        parameters: &Parameters<T>,
        latent: &Latent,
    ) -> Option<(Parameters<T>, Latent)> {
        self.values.push(objective);
        if (self.values.len() as u64) < (steps / WINDOWS).max(1) && left > 0 {
            return None;
        }
        let window = Summary::of(&self.values);
        let (mean, error) = (window.mean, window.standard_error());
        self.values.clear();
        if mean <= self.value {
            self.value = mean;
            self.kept = (parameters.clone(), latent.clone());
            return None;
        }
        // also where the mean is NaN
        let astray = !(mean <= self.value + ASTRAY);
        let worse = left == 0 && mean > self.value + WORSE * if error.is_finite() { error } else { 0.0 };
        if astray {
            self.rate *= SLOWER;
        }
        (astray || worse).then(|| self.kept.clone())
    }

    pub fn save(&self, to: &mut State, names: &[String]) {
        to.put_row("best.window", &self.values);
        to.put_row("best.value", &[self.value.min(f64::MAX), self.rate]);
        for (name, p) in names.iter().zip(&self.kept.0) {
            to.put::<T>(&format!("best.{name}"), p);
        }
        if let Latent::Codes { logits } = &self.kept.1 {
            to.put_row("best.logits", logits);
        }
    }

    pub fn restore(from: &State, names: &[String], like: &Parameters<T>, codes: usize) -> Result<Self> {
        let count = from.tensors.get("best.window").map_or(0, |m| m.shape().1);
        let values = from.matrix::<f64>("best.window", (1, count))?.row(0).to_vec();
        let numbers: &Matrix = from.matrix("best.value", (1, 2))?;
        let value = if numbers[(0, 0)] == f64::MAX { f64::INFINITY } else { numbers[(0, 0)] };
        let each = names.iter().zip(like);
        let parameters: Result<Vec<Matrix<T>>> =
            each.map(|(name, p)| from.matrix(&format!("best.{name}"), p.shape()).cloned()).collect();
        let parameters = parameters?.into_iter().map(|m| Arc::new(m.into())).collect();
        let latent = match codes {
            0 => Latent::Gaussian,
            k => Latent::Codes { logits: from.matrix::<f64>("best.logits", (1, k))?.row(0).to_vec() },
        };
        Ok(Self { values, value, kept: (parameters, latent), rate: numbers[(0, 1)] })
    }
}
