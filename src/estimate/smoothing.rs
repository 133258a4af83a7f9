//! The target smoothed at a bandwidth: in closed form, or estimated from draws around each point.

use crate::density::{Density, Evaluation, SmoothedEstimate, evaluate};
use crate::error::Result;
use crate::linalg::Matrix;
use std::sync::Arc;

/// p~ ∗ φ_h at one bandwidth (T11): the closed form where the target has one, made once, else draws under the key (seed, step).
pub struct SmoothedTarget<'a> {
    target: &'a Arc<dyn Density>,
    closed: Option<Arc<dyn Density>>,
    bandwidth: f64,
    key: (u64, u64),
}

impl<'a> SmoothedTarget<'a> {
    /// `target` smoothed at bandwidth h; `key` is (seed, step).
    pub fn new(target: &'a Arc<dyn Density>, bandwidth: f64, key: (u64, u64)) -> Self {
        Self { target, closed: target.smoothed(bandwidth), bandwidth, key }
    }

    fn estimate(&self, draws: usize) -> Result<SmoothedEstimate> {
        SmoothedEstimate::new(Arc::clone(self.target), self.bandwidth, draws, self.key.0, self.key.1)
    }

    /// log (p~ ∗ φ_h)(x_i) and its gradient, checked; without a closed form [`SmoothedEstimate::evaluate_controlled`] from `draws` (even)
    /// draws. Errors as there.   x: n×d.
    pub fn evaluate(&self, x: &Matrix, draws: usize) -> Result<Evaluation> {
        match &self.closed {
            Some(p) => evaluate(&**p, x),
            None => self.estimate(draws)?.evaluate_controlled(x),
        }
    }

    /// log (p~ ∗ φ_h)(x_i) alone, unchecked.   x: n×d.
    pub fn log_density(&self, x: &Matrix, draws: usize) -> Result<Vec<f64>> {
        Ok(match &self.closed {
            Some(p) => p.log_density(x),
            None => self.estimate(draws)?.log_density(x),
        })
    }
}
