//! The best iterate of a training.

use crate::error::Result;
use crate::linalg::Matrix;
use crate::model::Latent;
use crate::nn::Parameters;
use crate::num::Real;
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
    /// Number, sum and sum of squares of the values of the window so far, less the first of them.
    window: [f64; 3],
    first: f64,
    /// Mean of the best window; +∞ before the first.
    value: f64,
    kept: (Parameters<T>, Latent),
    /// Factor of the learning rate.
    pub rate: f64,
}

impl<T: Real> Best<T> {
    /// With the parameters of the start.
    pub fn new(parameters: &Parameters<T>, latent: &Latent) -> Self {
        Self {
            window: [0.0; 3],
            first: 0.0,
            value: f64::INFINITY,
            kept: (parameters.clone(), latent.clone()),
            rate: 1.0,
        }
    }

    /// Whether no window has ended yet.
    pub fn is_first(&self) -> bool {
        self.value == f64::INFINITY
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
        if self.window[0] == 0.0 {
            self.first = objective;
        }
        let v = objective - self.first;
        self.window = [self.window[0] + 1.0, self.window[1] + v, self.window[2] + v * v];
        let [count, sum, squares] = self.window;
        if count < (steps / WINDOWS).max(1) as f64 && left > 0 {
            return None;
        }
        let mean = self.first + sum / count;
        let error = ((squares - sum * sum / count).max(0.0) / (count - 1.0).max(1.0) / count).sqrt();
        self.window = [0.0; 3];
        if mean <= self.value {
            self.value = mean;
            self.kept = (parameters.clone(), latent.clone());
            return None;
        }
        let astray = mean.is_nan() || mean > self.value + ASTRAY;
        let worse = left == 0 && mean > self.value + WORSE * error;
        if astray {
            self.rate *= SLOWER;
        }
        (astray || worse).then(|| self.kept.clone())
    }

    pub fn save(&self, to: &mut State, names: &[String]) {
        let [count, sum, squares] = self.window;
        to.put_row("best.window", &[count, sum, squares, self.first, self.value.min(f64::MAX), self.rate]);
        for (name, p) in names.iter().zip(&self.kept.0) {
            to.put::<T>(&format!("best.{name}"), p);
        }
        if let Some((logits, _)) = self.kept.1.blocks() {
            to.put_row("best.logits", logits);
        }
    }

    pub fn restore(from: &State, names: &[String], like: &Parameters<T>, law: &Latent) -> Result<Self> {
        let row = from.matrix::<f64>("best.window", (1, 6))?.row(0);
        let value = if row[4] == f64::MAX { f64::INFINITY } else { row[4] };
        let each = names.iter().zip(like);
        let parameters: Result<Vec<Matrix<T>>> =
            each.map(|(name, p)| from.matrix(&format!("best.{name}"), p.shape()).cloned()).collect();
        let parameters = parameters?.into_iter().map(|m| Arc::new(m.into())).collect();
        let latent = match law.blocks() {
            None => Latent::Gaussian,
            Some((logits, counts)) => {
                Latent::of_blocks(from.matrix::<f64>("best.logits", (1, logits.len()))?.row(0).to_vec(), counts)
            }
        };
        Ok(Self { window: [row[0], row[1], row[2]], first: row[3], value, kept: (parameters, latent), rate: row[5] })
    }
}
