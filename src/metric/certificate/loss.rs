//! What a user of importance weights loses by them.

use super::{effective_fraction, pareto_k};
use crate::num::{exp, hypot, ln, ln_1p, log_mean_exp, powf};

/// Parts of the sample that are compared.
const BATCHES: usize = 10;
/// A weight that comes once in so many samples of this size is the largest that counts.
const HORIZON: f64 = 10.0;
/// How far from the mean, in standard deviations, the mass is taken to lie that no sample has shown yet.
pub(super) const DISTANCE: f64 = 3.0;

/// Implied errors of reweighted figures, in units of the mean weight and of posterior standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// √(1/(n ESS)), the relative standard error of Z and that of a mean in standard deviations; ESS is that of the sample, or of the worst
    /// of ten parts of it where that is less.
    pub noise: f64,
    /// The part of Z that the sample has not seen: ∫ w dP over the probabilities P between 1/n and 1/(10 n), in units of the mean weight, where
    /// w(P) is the largest weight times (n P)^-k. The mean of p/q exists, so the index of its tail is 1 at most: k = min(k-hat, 1).
    pub unseen: f64,
    /// The part of Z that particles of the target saw and the weights do not have ([`Bridge`](super::Bridge)), in the same
    /// units; 0 without particles.
    pub missing: f64,
    /// How far from the mean that part lies, in posterior standard deviations.
    pub distance: f64,
    /// Share of the largest weight in the sum of all.
    pub largest: f64,
    /// The least and the greatest ESS of ten parts of the sample, of 1.
    pub batches: [f64; 2],
}

impl Loss {
    /// From n log-weights, none of them NaN or +∞. All is 1 where no weight is positive.
    pub(super) fn of(log_weights: &[f64]) -> Self {
        let (n, log_mean) = (log_weights.len() as f64, log_mean_exp(log_weights));
        if log_mean == f64::NEG_INFINITY {
            return Self { noise: 1.0, unseen: 1.0, missing: 0.0, distance: DISTANCE, largest: 1.0, batches: [0.0; 2] };
        }
        let parts = log_weights.chunks(log_weights.len().div_ceil(BATCHES)).map(effective_fraction);
        let batches = parts.fold([1.0, 0.0], |[low, high], ess| [ess.min(low), ess.max(high)]);
        let ess = effective_fraction(log_weights).min(batches[0]);
        let top = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let largest = exp(top - log_mean) / n;
        let k = pareto_k(log_weights).min(1.0) - 1.0;
        let factor =
            if k.abs() < 1e-9 { ln(HORIZON) } else { (powf(HORIZON, k) - 1.0) / mutant!("loss-horizon", 1.0, k) };
        Self {
            noise: (1.0 / (n * ess)).sqrt(),
            unseen: largest * factor,
            missing: 0.0,
            distance: DISTANCE,
            largest,
            batches,
        }
    }

    /// The implied error of a reweighted mean, in posterior standard deviations: noise, and the larger of what the unseen part moves, three
    /// deviations away, and the missing part, where it is.
    pub fn mean(&self) -> f64 {
        // nothing that is missing is nowhere
        let missing = if self.missing > 0.0 { self.distance * self.missing } else { 0.0 };
        hypot(self.noise, missing.max(DISTANCE * self.unseen))
    }

    /// The implied error of log Z.
    pub fn log_z(&self) -> f64 {
        hypot(self.noise, ln_1p(self.unseen.max(self.missing)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the part that the sample has not seen, w₁ ∫ (nP)^-k dP over 1/(10 n) ≤ P ≤ 1/n in units of the mean weight, by the midpoint rule in log P, for
    /// quantiles of Pareto's law of indices 0.3, 0.6 and 0.9, with k as it is estimated: to 1e-6, the error of the rule.
    #[test]
    fn unseen_is_the_integral_of_the_tail() {
        for index in [0.3, 0.6, 0.9] {
            let n = 4000;
            let l: Vec<f64> = (0..n).map(|i| -index * ((i as f64 + 0.5) / n as f64).ln()).collect();
            let (k, loss) = (pareto_k(&l).min(1.0), Loss::of(&l));
            let cells = 1000;
            let step = 10f64.ln() / f64::from(cells);
            // P = e^-t/n
            let integral: f64 =
                (0..cells).map(|c| (f64::from(c) + 0.5) * step).map(|t| step * ((k - 1.0) * t).exp()).sum();
            assert!((loss.unseen / (loss.largest * integral) - 1.0).abs() < 1e-6, "{index}: {loss:?}");
        }
    }
}
