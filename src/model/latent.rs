//! Latent laws: what goes into a generator.

use crate::linalg::Matrix;
use crate::num::{Real, exp, ln, log_sum_exp, softmax};
use crate::rng::{Purpose, fill_uniform, normal_matrix, stream_beside};
use std::ops::Range;
use std::sync::Arc;

/// Least probability of a code, in 1/K: none dies out.
const LEAST: f64 = 1e-3;

/// The law of a generator's input.
#[derive(Debug, Clone, PartialEq)]
pub enum Latent {
    /// z ~ N(0, I). A continuous map of it leaves bridges between separated modes.
    Gaussian,
    /// A code k with probability softmax(logits)_k, and z ~ N(0, I): as many pieces as codes, so no bridges.
    Codes {
        /// Logits of the K codes.
        logits: Vec<f64>,
    },
    /// z is one of these points (N×d, in units of the frame) with equal chances: samples of one law that are carried to another.
    Points(Arc<Matrix>),
}

/// n latent points: Gaussian noise or given points, and the code of each row where the law has codes.
#[derive(Debug, Clone)]
pub struct LatentBatch<T: Real> {
    /// z, n×d.
    pub noise: Matrix<T>,
    /// ξ, n×d, for generators with noise.
    pub jitter: Option<Matrix<T>>,
    /// k, n.
    pub codes: Option<Vec<usize>>,
    /// w, of all rows: for generators with classes.
    pub guidance: f64,
}

impl Latent {
    /// The codes that `keeps`, in their proportions.
    pub(crate) fn only(&self, keeps: impl Fn(usize) -> bool) -> Self {
        let Latent::Codes { logits } = self else { return self.clone() };
        let kept = |(k, l): (usize, &f64)| if keeps(k) { *l } else { f64::NEG_INFINITY };
        Latent::Codes { logits: logits.iter().enumerate().map(kept).collect() }
    }

    /// Number of codes; 0 where there are none.
    pub fn codes(&self) -> usize {
        match self {
            Latent::Gaussian | Latent::Points(_) => 0,
            Latent::Codes { logits } => logits.len(),
        }
    }

    /// π, summing to 1; one entry without codes.
    pub fn probabilities(&self) -> Vec<f64> {
        match self {
            Latent::Gaussian | Latent::Points(_) => vec![1.0],
            Latent::Codes { logits } => softmax(logits),
        }
    }

    /// n independent latent points of dimension d under the key (seed, purpose, unit).
    pub fn sample<T: Real>(&self, n: usize, d: usize, key: (u64, Purpose, u64)) -> LatentBatch<T> {
        self.draw(n, d, key, |rng| {
            let mut u = vec![0.0; n];
            fill_uniform(rng, &mut u);
            u
        })
    }

    /// n latent points whose codes are stratified: code k appears n π_k times, rounded up or down. The same law for each point,
    /// less variance for the batch.
    pub fn stratified<T: Real>(&self, n: usize, d: usize, key: (u64, Purpose, u64)) -> LatentBatch<T> {
        self.draw(n, d, key, |rng| {
            let mut u0 = [0.0];
            fill_uniform(rng, &mut u0);
            (0..n).map(|i| (i as f64 + u0[0]) / n as f64).collect()
        })
    }

    /// log π_k += η E[g | k] over a batch with codes `codes` and growth rates `growth`: a multiplicative-weights step of the
    /// reaction (T15). No probability falls below [`LEAST`]/K.
    pub(crate) fn react(&mut self, codes: &[usize], growth: &[f64], rate: f64) {
        let Latent::Codes { logits } = self else { return };
        let mut sums = vec![(0.0, 0usize); logits.len()];
        for (&k, g) in codes.iter().zip(growth) {
            sums[k].0 += g;
            sums[k].1 += 1;
        }
        for (logit, (sum, count)) in logits.iter_mut().zip(sums) {
            *logit += mutant!("reaction-of-codes", -rate * sum, rate * sum) / count.max(1) as f64;
        }
        let (total, least) = (log_sum_exp(logits), ln(LEAST / logits.len() as f64));
        logits.iter_mut().for_each(|l| *l = (*l - total).max(least));
    }

    fn draw<T: Real>(
        &self,
        n: usize,
        d: usize,
        (seed, purpose, unit): (u64, Purpose, u64),
        quantiles: impl FnOnce(&mut crate::rng::Stream) -> Vec<f64>,
    ) -> LatentBatch<T> {
        let codes = match self {
            Latent::Gaussian | Latent::Points(_) => None,
            Latent::Codes { logits } => Some(invert(logits, &quantiles(&mut stream_beside(seed, purpose, unit)))),
        };
        let noise = match self {
            Latent::Points(x) => {
                let mut u = vec![0.0; n];
                fill_uniform(&mut stream_beside(seed, purpose, unit), &mut u);
                let row = |u: &f64| ((u * x.rows() as f64) as usize).min(x.rows() - 1);
                x.gather_rows(&u.iter().map(row).collect::<Vec<_>>()).cast()
            }
            _ => normal_matrix(seed, purpose, unit, n, d),
        };
        LatentBatch { noise, jitter: None, codes, guidance: 0.0 }
    }
}

/// For each u in [0, 1): the smallest k with π_0 + … + π_k > u.
fn invert(logits: &[f64], u: &[f64]) -> Vec<usize> {
    let total = log_sum_exp(logits);
    let mut sum = 0.0;
    let cumulative: Vec<f64> = logits
        .iter()
        .map(|l| {
            sum += exp(l - total);
            sum
        })
        .collect();
    u.iter().map(|u| cumulative.partition_point(|c| c <= u).min(logits.len() - 1)).collect()
}

impl<T: Real> LatentBatch<T> {
    /// Some rows: the noise and the codes as tape operations take them.
    pub(crate) fn slice(&self, rows: Range<usize>) -> (Matrix<T>, Option<Arc<[usize]>>) {
        (self.noise.slice_rows(rows.clone()), self.codes.as_ref().map(|k| Arc::from(&k[rows])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a step of the reaction by hand: π ∝ π₀ exp(η E[g | code]) for the means 2, -1 and, of a code without samples, 0, to rounding.
    #[test]
    fn codes_grow_where_g_is_positive() {
        let mut latent = Latent::Codes { logits: [0.5f64, 0.3, 0.2].iter().map(|p| p.ln()).collect() };
        latent.react(&[0, 1, 0, 1], &[1.0, -3.0, 3.0, 1.0], 0.1);
        let raw = [0.5 * 0.2f64.exp(), 0.3 * (-0.1f64).exp(), 0.2];
        let total: f64 = raw.iter().sum();
        for (found, raw) in latent.probabilities().iter().zip(raw) {
            assert!((found - raw / total).abs() < 1e-15, "{found} {}", raw / total);
        }
    }
}
