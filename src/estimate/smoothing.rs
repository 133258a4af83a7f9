//! The target smoothed at a bandwidth: in closed form, or estimated from draws around each point.

use crate::density::{Density, Evaluation, SmoothedEstimate, evaluate};
use crate::error::Result;
use crate::linalg::Matrix;
use std::sync::Arc;

/// log (p~ ∗ φ_h)(x_i) and its gradient (T11): the closed form where `target` has one, else
/// [`SmoothedEstimate::evaluate_controlled`] from `draws` (even) draws under the key (`seed`, `step`). Errors as there.
pub fn smoothed_evaluation(
    target: &Arc<dyn Density>,
    x: &Matrix,
    bandwidth: f64,
    draws: usize,
    (seed, step): (u64, u64),
) -> Result<Evaluation> {
    match target.smoothed(bandwidth) {
        Some(smoothed) => evaluate(&*smoothed, x),
        None => SmoothedEstimate::new(Arc::clone(target), bandwidth, draws, seed, step)?.evaluate_controlled(x),
    }
}
