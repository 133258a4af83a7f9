//! Gaussian smoothing p_h = p ∗ N(0, h² I): in closed form, or by target-score importance estimates.

use crate::density::mixture::bandwidth_error;
use crate::density::{Density, Evaluation, evaluate, rows};
use crate::linalg::Matrix;
use crate::num::{exp_slice, ln};
use crate::parallel;
use crate::rng::{Purpose, normal_matrix, stream, uniform};
use crate::{Error, Result};
use std::sync::Arc;

/// Points in one block of [`SmoothedEstimate::evaluate_controlled`]; bounds the memory, not the result.
const BLOCK: usize = 32;

/// Numbers in the points of one call of a density that wants whole batches: 32 MiB.
const WHOLE: usize = 1 << 22;

/// The density of X + hξ, ξ ~ N(0, I): the closed form where `inner` has one, else a [`SmoothedEstimate`] of `draws` draws
/// under the key (`seed`, `step`).
///
/// `Error::Parameter` for a bandwidth h that is negative or not finite, or a number of draws that is odd or 0.
pub fn smooth(
    inner: &Arc<dyn Density>,
    bandwidth: f64,
    draws: usize,
    seed: u64,
    step: u64,
) -> Result<Arc<dyn Density>> {
    match inner.smoothed(bandwidth) {
        Some(closed_form) => Ok(closed_form),
        None => Ok(Arc::new(SmoothedEstimate::new(Arc::clone(inner), bandwidth, draws, seed, step)?)),
    }
}

/// log p_h(x) ≈ log (1/K) Σ_k p~(x + h ε_k), score ≈ Σ_k softmax_k( log p~(x + h ε_k) ) ∇ log p~(x + h ε_k), ε_k ~ N(0, I).
///
/// The draws come in antithetic pairs ε, -ε and are shared by all points, so the estimate is itself a smooth density: the exact
/// one of X - h ε_k with k uniform. It has that density's score, the normaliser of p~ and exact samples where p~ has them. The
/// estimate of p_h is unbiased, that of the score has bias O(1/K); both need many draws where h is large against the features of p.
/// Source: theory.md T11, the target-score identity.
#[derive(Clone)]
pub struct SmoothedEstimate {
    inner: Arc<dyn Density>,
    /// h.
    bandwidth: f64,
    /// h ε_k, K×d.
    shifts: Matrix,
}

impl SmoothedEstimate {
    /// `inner` smoothed at bandwidth h with K = `draws` draws under the key (`seed`, `step`). Errors as [`smooth`].
    pub fn new(inner: Arc<dyn Density>, bandwidth: f64, draws: usize, seed: u64, step: u64) -> Result<Self> {
        if !(bandwidth >= 0.0 && bandwidth.is_finite()) {
            return Err(bandwidth_error(bandwidth));
        }
        if draws == 0 || !draws.is_multiple_of(2) {
            return Err(Error::Parameter {
                name: "number of smoothing draws".into(),
                value: draws as f64,
                expected: "an even number, at least 2 (the draws come in pairs)",
            });
        }
        let half: Matrix = normal_matrix(seed, Purpose::Smoothing, step, draws / 2, inner.dim());
        let sign = |k: usize| {
            if k.is_multiple_of(2) { mutant!("smoothing-jitter", 1.1 * bandwidth, bandwidth) } else { -bandwidth }
        };
        let shifts = Matrix::from_fn(draws, inner.dim(), |k, j| sign(k) * half[(k / 2, j)]);
        Ok(Self { inner, bandwidth, shifts })
    }

    /// log p_h(x_i) as the density itself has it, and a score of less variance, checked as [`evaluate`] does:
    ///
    /// ∇ log p_h ≈ Σ_k π_k [b_k + c (a_k - b_k)], π = softmax_k log p~(y_k), a_k = ∇ log p~(y_k), b_k = ε_k/h, y_k = x + h ε_k.
    ///
    /// Both E_π a (target-score identity) and E_π b (Tweedie) are the score, so a - b is a control variate; c is its regression
    /// coefficient at each point, kept in [0, 1]: near 1 where h is small against the features of p, near 0 where it is large.
    /// On a Gaussian it is exact up to the weights. Cost n K evaluations.   x: n×d. Source: theory.md T11.
    pub fn evaluate_controlled(&self, x: &Matrix) -> Result<Evaluation> {
        if self.bandwidth == 0.0 {
            return evaluate(self, x);
        }
        let (n, d) = x.shape();
        let mut out = Evaluation { log_density: vec![0.0; n], score: Matrix::zeros(n, d) };
        let rows = if self.inner.wants_whole_batches() { self.rows_of_a_call() } else { BLOCK };
        let points = x.as_slice().chunks(rows * d).zip(out.log_density.chunks_mut(rows));
        let blocks = points.zip(out.score.as_mut_slice().chunks_mut(rows * d));
        let done: Vec<Result<()>> = parallel::collect(blocks, |((x, log_p), score)| self.controlled(x, log_p, score));
        done.into_iter().collect::<Result<()>>()?;
        Ok(out)
    }

    /// Rows that one call of a density takes which wants whole batches, with the draws of each.
    fn rows_of_a_call(&self) -> usize {
        (WHOLE / self.shifts.as_slice().len().max(1)).max(1)
    }

    /// One block of [`SmoothedEstimate::evaluate_controlled`].
    fn controlled(&self, x: &[f64], log_p: &mut [f64], score: &mut [f64]) -> Result<()> {
        let (draws, d) = self.shifts.shape();
        let mut at = evaluate(&*self.inner, &self.shifted(x))?;
        let each = at.log_density.chunks_exact_mut(draws).zip(at.score.as_slice().chunks_exact(draws * d));
        for ((log_p, score), (weights, a)) in log_p.iter_mut().zip(score.chunks_exact_mut(d)).zip(each) {
            *log_p = softmax_in_place(weights);
            if *log_p > f64::NEG_INFINITY {
                combine(weights, a, &self.shifts, self.bandwidth.powi(-2), score);
            }
        }
        Ok(())
    }

    /// The points x_i + h ε_k, k fastest.   x: the entries of r rows → (r K)×d.
    fn shifted(&self, x: &[f64]) -> Matrix {
        let (draws, d) = self.shifts.shape();
        let mut points = Vec::with_capacity(x.len() * draws);
        for x in x.chunks_exact(d) {
            self.shifts.iter_rows().for_each(|shift| points.extend(x.iter().zip(shift).map(|(x, e)| x + e)));
        }
        Matrix::from_vec(points.len() / d, d, points)
    }
}

/// score ← Σ_k π_k [b_k + c (a_k - b_k)] with the c that has the least weighted variance.   b_k = (h ε_k)/h².
fn combine(weights: &[f64], a: &[f64], shifts: &Matrix, precision: f64, score: &mut [f64]) {
    let d = score.len();
    let mut mean_gap = vec![0.0; d];
    for (k, &w) in weights.iter().enumerate() {
        for j in 0..d {
            let b = shifts[(k, j)] * precision;
            score[j] += w * b;
            mean_gap[j] += w * (a[k * d + j] - b);
        }
    }
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (k, &w) in weights.iter().enumerate() {
        for j in 0..d {
            let b = shifts[(k, j)] * precision;
            let gap = a[k * d + j] - b - mean_gap[j];
            covariance += w * (b - score[j]) * gap;
            variance += w * gap * gap;
        }
    }
    // one draw with all the weight says nothing about c: its b is bounded, its a need not be
    let c = if variance > 0.0 { (-covariance / variance).clamp(0.0, 1.0) } else { 0.0 };
    score.iter_mut().zip(&mean_gap).for_each(|(s, gap)| *s += mutant!("control-variate-sign", -c * gap, c * gap));
}

/// log of the mean of exp(l_k), with l_k ← exp(l_k) / Σ exp(l), or 0 where all l_k are -inf.
fn softmax_in_place(l: &mut [f64]) -> f64 {
    let largest = l.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shift = if largest == f64::NEG_INFINITY { 0.0 } else { largest };
    l.iter_mut().for_each(|v| *v -= shift);
    exp_slice(l);
    let sum: f64 = l.iter().sum();
    if sum != 0.0 {
        l.iter_mut().for_each(|v| *v /= sum);
    }
    shift + ln(sum / l.len() as f64)
}

impl Density for SmoothedEstimate {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        let chunk = |x: &[f64], out: &mut [f64]| {
            let mut l = self.inner.log_density(&self.shifted(x));
            out.iter_mut().zip(l.chunks_exact_mut(self.shifts.rows())).for_each(|(o, l)| *o = softmax_in_place(l));
        };
        if !self.inner.wants_whole_batches() {
            return rows::for_chunks(x, self.dim(), out, 1, chunk);
        }
        let (rows, d) = (self.rows_of_a_call(), self.dim());
        rows::check(x, d, out.len());
        x.as_slice().chunks(rows * d).zip(out.chunks_mut(rows)).for_each(|(x, out)| chunk(x, out));
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let (draws, d) = self.shifts.shape();
        let chunk = |x: &[f64], out: &mut [f64], score: &mut [f64]| {
            let points = self.shifted(x);
            let (mut l, mut s) = (vec![0.0; points.rows()], Matrix::zeros(points.rows(), d));
            self.inner.evaluate_into(&points, &mut l, &mut s);
            let each = l.chunks_exact_mut(draws).zip(s.as_slice().chunks_exact(draws * d));
            for ((out, score), (weights, s)) in out.iter_mut().zip(score.chunks_exact_mut(d)).zip(each) {
                *out = softmax_in_place(weights);
                score.fill(0.0);
                // a draw without weight may lie outside the support, where the score means nothing
                for (&w, s) in weights.iter().zip(s.chunks_exact(d)).filter(|(w, _)| **w != 0.0) {
                    score.iter_mut().zip(s).for_each(|(a, &b)| *a += w * b);
                }
            }
        };
        if !self.inner.wants_whole_batches() {
            return rows::evaluate(x, d, log_density, score, chunk);
        }
        rows::check(x, d, log_density.len());
        let rows = self.rows_of_a_call();
        let parts = x.as_slice().chunks(rows * d).zip(score.as_mut_slice().chunks_mut(rows * d));
        log_density.chunks_mut(rows).zip(parts).for_each(|(out, (x, score))| chunk(x, out, score));
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.inner.log_normaliser()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        let mut x = self.inner.sample(n, seed)?;
        let mut rng = stream(seed, Purpose::Jitter, 0);
        for i in 0..n {
            let k = (uniform(&mut rng) * self.shifts.rows() as f64) as usize;
            x.row_mut(i).iter_mut().zip(self.shifts.row(k)).for_each(|(v, &e)| *v -= e);
        }
        Some(x)
    }
}
