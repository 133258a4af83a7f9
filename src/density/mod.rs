//! Densities: what we sample from, known through `log p~ = log p + const` and the score `∇ log p`.
//!
//! One file a target. Everything here runs in f64: a density is a small part of a training step, and its tails decide.

use crate::linalg::Matrix;
use std::sync::Arc;

/// A density on R^d, known up to a constant.
///
/// `log p~(x)` may be -inf outside the support; NaN and +inf are caught by the caller with the point that caused them.
pub trait Density: Send + Sync {
    /// d.
    fn dim(&self) -> usize;

    /// out_i ← log p~(x_i).   x: n×d, out: n.
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]);

    /// log_density_i ← log p~(x_i) and score_i ← ∇ log p~(x_i).   x: n×d, log_density: n, score: n×d.
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix);

    /// log Z = log ∫ p~(x) dx, where it is known.
    fn log_normaliser(&self) -> Option<f64> {
        None
    }

    /// n exact independent samples (n×d) under `seed`, where an exact sampler is known.
    fn sample(&self, _n: usize, _seed: u64) -> Option<Matrix> {
        None
    }

    /// The density of X + hξ, ξ ~ N(0, I), where it has a closed form; the same normaliser as this one.
    fn smoothed(&self, _bandwidth: f64) -> Option<Arc<dyn Density>> {
        None
    }
}
