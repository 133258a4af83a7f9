//! The target smoothed at a bandwidth: in closed form, or estimated from draws around each point.

use crate::density::{Density, Evaluation, SmoothedEstimate, evaluate, evaluate_log_density};
use crate::error::Result;
use crate::linalg::Matrix;
use std::sync::Arc;

/// p~ ∗ φ_h at one bandwidth (T11): the closed form where the target has one, else estimates from draws.
pub enum SmoothedTarget {
    /// The closed form.
    Exact(Arc<dyn Density>),
    /// An estimate from many draws, and one from few for log-densities that need not be sharp; the same first draws.
    Estimated {
        /// From many draws.
        full: SmoothedEstimate,
        /// From few.
        scout: SmoothedEstimate,
    },
}

impl SmoothedTarget {
    /// `target` smoothed at bandwidth h from `draws` (many and few, both even) under the key (`seed`, `step`). Errors as
    /// [`SmoothedEstimate::new`].
    pub fn new(target: &Arc<dyn Density>, bandwidth: f64, draws: [usize; 2], (seed, step): (u64, u64)) -> Result<Self> {
        if let Some(closed) = target.smoothed(bandwidth) {
            return Ok(Self::Exact(closed));
        }
        let estimate = |draws| SmoothedEstimate::new(Arc::clone(target), bandwidth, draws, seed, step);
        Ok(Self::Estimated { full: estimate(draws[0])?, scout: estimate(draws[1])? })
    }

    /// log (p~ ∗ φ_h)(x_i) and its gradient, checked; [`SmoothedEstimate::evaluate_controlled`] where it is estimated.   x: n×d.
    pub fn evaluate(&self, x: &Matrix) -> Result<Evaluation> {
        match self {
            Self::Exact(p) => evaluate(&**p, x),
            Self::Estimated { full, .. } => full.evaluate_controlled(x),
        }
    }

    /// log (p~ ∗ φ_h)(x_i) alone, from the few draws, checked.   x: n×d.
    pub fn scout(&self, x: &Matrix) -> Result<Vec<f64>> {
        match self {
            Self::Exact(p) => evaluate_log_density(&**p, x),
            Self::Estimated { scout, .. } => evaluate_log_density(scout, x),
        }
    }
}
