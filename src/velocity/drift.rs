//! The universal drift `V = w(r) ∇ log(p/q)` (T1).

use crate::divergence::Divergence;
use crate::linalg::Matrix;
use crate::num::Real;
use std::sync::Arc;

/// Bounds on the centred log-ratio before it enters a weight.
///
/// An estimate of log r is wrong in the tails by more than its own size. A weight that grows with r would follow one lucky
/// particle, and one that vanishes with r would let particles outside the support escape. Since w > 0 either way, the fixed
/// point p stays (T2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogRatioClip {
    /// Smallest l.
    pub low: f64,
    /// Largest l.
    pub high: f64,
}

impl LogRatioClip {
    /// l itself: for exact ratios.
    pub const NONE: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };
}

/// v_i ← w(e^{l_i}) β_i, row by row, with β = ∇ log(p/q).   log_ratio: n, beta, v: n×d.
///
/// A particle with l = -∞ (no support in reach) stays: there is nothing to follow.
pub fn drift_into<T: Real>(
    divergence: &dyn Divergence,
    clip: LogRatioClip,
    log_ratio: &[f64],
    beta: &Matrix,
    v: &mut Matrix<T>,
) {
    for (i, &l) in log_ratio.iter().enumerate() {
        let w = if l == f64::NEG_INFINITY { 0.0 } else { divergence.weight(l.clamp(clip.low, clip.high)) };
        v.row_mut(i)
            .iter_mut()
            .zip(beta.row(i))
            .for_each(|(v, b)| *v = T::from_f64(mutant!("drift-sign", -w * b, w * b)));
    }
}

/// g_i = -(φ_i - mean φ), φ = f(r) - r f'(r) = δD_f/δq: the growth rate of particle i under the reaction (T15).   n in, n out.
pub fn growth(divergence: &dyn Divergence, clip: LogRatioClip, log_ratio: &[f64]) -> Vec<f64> {
    let phi: Vec<f64> = log_ratio.iter().map(|l| divergence.first_variation(l.clamp(clip.low, clip.high))).collect();
    let mean = phi.iter().sum::<f64>() / phi.len().max(1) as f64;
    phi.iter().map(|phi| mutant!("growth-sign", phi - mean, mean - phi)).collect()
}

/// The divergence whose weight depends on l - E_q l, at the mean of these log-ratios; none for all others ([`Divergence::centred`]).
pub(crate) fn centred(divergence: &dyn Divergence, log_ratio: &[f64]) -> Option<Arc<dyn Divergence>> {
    let finite = || log_ratio.iter().filter(|l| l.is_finite());
    divergence.centred(finite().sum::<f64>() / finite().count().max(1) as f64)
}

/// Shortens a vector to `largest`.
pub(crate) fn shorten<T: Real>(v: &mut [T], largest: f64) {
    let size = v.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>().sqrt();
    if size > largest {
        let factor = T::from_f64(largest / size);
        v.iter_mut().for_each(|x| *x *= factor);
    }
}
