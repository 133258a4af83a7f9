//! The normalisation of log-ratios: p is known up to a constant, some weights are not.

use crate::num::log_mean_exp;

/// An estimate of log Z from the log-ratios of a batch, and how it was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogZ {
    /// log Z ≈ log E_q[p~/q].
    pub value: f64,
    /// Effective sample size (Σ r)²/Σ r² behind it, at most the batch's size; near 1 it says nothing.
    pub effective_samples: f64,
}

/// l ← l - log Z with log Z = log mean exp(l), so that `E_q r = 1` on the batch (theory, notation).
///
/// `log_ratio` holds log p~ - log q at samples of q. Entries of -inf count as r = 0; where all are,
/// they stay as they are and log Z is -inf.
pub fn centre_log_ratio(log_ratio: &mut [f64]) -> LogZ {
    let value = log_mean_exp(log_ratio);
    if value.is_finite() {
        log_ratio.iter_mut().for_each(|l| *l -= value);
    }
    let squares: Vec<f64> = log_ratio.iter().map(|l| 2.0 * l).collect();
    LogZ { value, effective_samples: log_ratio.len() as f64 * (-log_mean_exp(&squares)).exp() }
}
