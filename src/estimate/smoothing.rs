//! The target smoothed at a bandwidth: in closed form, or estimated from draws around each point.

use crate::density::{Density, Evaluation, evaluate};
use crate::error::Result;
use crate::linalg::Matrix;
use crate::num::log_sum_exp;
use crate::rng::{Purpose, normal_matrix};

/// Evaluations of the target in one block; bounds the memory, not the result.
const BLOCK: usize = 1 << 15;

/// log (p~ ∗ φ_h)(x_i) and its gradient (T11), checked as [`evaluate`] does: the closed form where `target` has one, else
/// estimates from K = `draws` (even) draws y_k = x + h ε_k in antithetic pairs under the key (`seed`, `step`):
///
/// - log p_h ≈ log mean_k p~(y_k);
/// - ∇ log p_h ≈ Σ_k π_k [b_k + c (a_k - b_k)], π = softmax(log p~(y)), a_k = ∇ log p~(y_k), b_k = ε_k/h.
///
/// Both E_π a (target score identity) and E_π b (Tweedie) are the score, so a - b is a control variate; c is its regression
/// coefficient at each point, kept in [0, 1]: near 1 where h is small against the features of p, near 0 where it is large.
/// On a Gaussian the estimate is exact up to the weights. Cost n K evaluations of the target.
pub fn smoothed_evaluation(
    target: &dyn Density,
    x: &Matrix,
    bandwidth: f64,
    draws: usize,
    (seed, step): (u64, u64),
) -> Result<Evaluation> {
    if let Some(smoothed) = target.smoothed(bandwidth) {
        return evaluate(&*smoothed, x);
    }
    let (n, d) = x.shape();
    let half: Matrix = normal_matrix(seed, Purpose::Smoothing, step, draws / 2, d);
    let sign = |k: usize| if k.is_multiple_of(2) { 1.0 } else { -1.0 };
    let noise = Matrix::from_fn(2 * (draws / 2), d, |k, j| sign(k) * half[(k / 2, j)]);
    let mut out = Evaluation { log_density: Vec::with_capacity(n), score: Matrix::zeros(n, d) };
    for start in (0..n).step_by((BLOCK / draws).max(1)) {
        let rows = start..(start + (BLOCK / draws).max(1)).min(n);
        let shifted = |r: usize, j: usize| x[(start + r / noise.rows(), j)] + bandwidth * noise[(r % noise.rows(), j)];
        let y = Matrix::from_fn(rows.len() * noise.rows(), d, shifted);
        let at_draws = evaluate(target, &y)?;
        for (block, i) in rows.enumerate() {
            let range = block * noise.rows()..(block + 1) * noise.rows();
            let log_p = &at_draws.log_density[range.clone()];
            let total = log_sum_exp(log_p);
            out.log_density.push(total - (noise.rows() as f64).ln());
            if total > f64::NEG_INFINITY {
                let weights: Vec<f64> = log_p.iter().map(|l| (l - total).exp()).collect();
                let scores = &at_draws.score.as_slice()[range.start * d..range.end * d];
                combine(&weights, scores, &noise, bandwidth, out.score.row_mut(i));
            }
        }
    }
    Ok(out)
}

/// score ← Σ_k π_k [b_k + c (a_k - b_k)] with the c that has the least weighted variance.
fn combine(weights: &[f64], a: &[f64], noise: &Matrix, h: f64, score: &mut [f64]) {
    let d = score.len();
    let mut mean_gap = vec![0.0; d];
    for (k, &w) in weights.iter().enumerate() {
        for j in 0..d {
            let b = noise[(k, j)] / h;
            score[j] += w * b;
            mean_gap[j] += w * (a[k * d + j] - b);
        }
    }
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (k, &w) in weights.iter().enumerate() {
        for j in 0..d {
            let b = noise[(k, j)] / h;
            let gap = a[k * d + j] - b - mean_gap[j];
            covariance += w * (b - score[j]) * gap;
            variance += w * gap * gap;
        }
    }
    // one draw with all the weight says nothing about c: its b is bounded, its a need not be
    let c = if variance > 0.0 { (-covariance / variance).clamp(0.0, 1.0) } else { 0.0 };
    score.iter_mut().zip(&mean_gap).for_each(|(s, gap)| *s += c * gap);
}
