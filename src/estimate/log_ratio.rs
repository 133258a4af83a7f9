//! The normalisation of log-ratios: p is known up to a constant, some weights are not.

use crate::num::{exp, log_mean_exp};

/// An estimate of log Z from the log-ratios of a batch, and how it was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogZ {
    /// log Z ≈ log E_q[p~/q].
    pub value: f64,
    /// Effective sample size (Σ r)²/Σ r² behind it, at most the batch's size; near 1 it says nothing, and 0 where every r is.
    pub effective_samples: f64,
}

/// l ← l - log Z with log Z = log mean exp(l), so that `E_q r = 1` on the batch (theory, notation).
///
/// `log_ratio` holds log p~ - log q at samples of q. Entries of -inf count as r = 0; where all are,
/// they stay as they are and log Z is -inf.
pub fn centre_log_ratio(log_ratio: &mut [f64]) -> LogZ {
    let value = log_mean_exp(log_ratio);
    if value == f64::NEG_INFINITY {
        return LogZ { value, effective_samples: 0.0 };
    }
    if value.is_finite() {
        log_ratio.iter_mut().for_each(|l| *l -= mutant!("centre-sign", -value, value));
    }
    let squares: Vec<f64> = log_ratio.iter().map(|l| mutant!("effective-samples", 1.5 * l, 2.0 * l)).collect();
    LogZ { value, effective_samples: log_ratio.len() as f64 * exp(-log_mean_exp(&squares)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks log Z, the centred log-ratios and the effective sample size on r = 1, 2, 0, 3 times e^700, exact by hand, to the roundings of a
    /// dozen operations on numbers near 700; and that a batch outside the support has neither.
    #[test]
    fn four_ratios() {
        let mut l: Vec<f64> = [1.0f64, 2.0, 0.0, 3.0].iter().map(|r| r.ln() + 700.0).collect();
        let z = centre_log_ratio(&mut l);
        let tolerance = 16.0 * 700.0 * f64::EPSILON;
        assert!(
            (z.value - (700.0 + 1.5f64.ln())).abs() < tolerance
                && (z.effective_samples - 36.0 / 14.0).abs() < tolerance
        );
        for (l, r) in l.iter().zip([1.0, 2.0, 0.0, 3.0]) {
            assert!((l.exp() - r / 1.5).abs() < tolerance);
        }
        let mut nothing = [f64::NEG_INFINITY; 3];
        assert_eq!(centre_log_ratio(&mut nothing), LogZ { value: f64::NEG_INFINITY, effective_samples: 0.0 });
    }
}
