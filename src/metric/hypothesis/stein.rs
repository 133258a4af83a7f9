//! Kernel Stein discrepancy: does a sample fit a score?

use super::forms::{quadratic_forms, rank_p_value};
use crate::linalg::{Matrix, shape_mismatch};
use crate::metric::PairStatistic;
use crate::metric::transport::squared_distances_to;
use crate::rng::{Purpose, stream};
use crate::{Error, Result};
use rand::Rng;
use rayon::prelude::*;

/// Unit of the streams behind the signs, one a column.
const SIGNS_UNIT: u64 = 1 << 60;

/// A kernel Stein discrepancy with its bootstrap p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SteinTest {
    /// KSD²: mean of u over pairs i ≠ j, and over all pairs.
    pub discrepancy: PairStatistic,
    /// P(KSD² at least as large | the sample follows p), by the wild bootstrap; at least 1/(resamples + 1).
    pub p_value: f64,
}

/// KSD²(q, p) = E u(X, X'), X, X' ~ q, with the Stein kernel of k(x, y) = 1/√(c² + |x - y|²).   samples, scores: n×d, n ≥ 2.
///
/// With g = c² + |x - y|² and s = ∇ log p,
/// `u(x, y) = s(x)·s(y) g^-½ + [(s(x) - s(y))·(x - y) + d] g^-3/2 - 3 |x - y|² g^-5/2`; E_p u(x, ·) = 0 for every x. This kernel
/// detects non-convergence where p has tails like a Gaussian's (Gorham and Mackey, ICML 2017), but *not* wrong
/// masses of far modes: the score does not depend on them (Wenliang and Kanagawa, 2020). `scale` c > 0: a length, [`stein_scale`].
///
/// p-value: the n×n matrix u with independent signs ε_i, Σ ε_i ε_j u_ij, `resamples` times (Chwialkowski, Strathmann and Gretton,
/// ICML 2016): right as n → ∞. Keyed by `seed`. O(n² (d + resamples)) time.
pub fn stein_test(samples: &Matrix, scores: &Matrix, scale: f64, resamples: usize, seed: u64) -> Result<SteinTest> {
    let (n, d) = samples.shape();
    if scores.shape() != (n, d) || n < 2 {
        shape_mismatch("stein_test (at least two points)", samples.shape(), scores.shape());
    }
    if !(scale > 0.0 && scale.is_finite()) {
        let name = "scale of the Stein kernel".into();
        return Err(Error::Parameter { name, value: scale, expected: "a positive finite number" });
    }
    let (points, slopes) = (samples.transpose(), scores.transpose());
    let forms = quadratic_forms(&signs(n, resamples, seed), |i, out| {
        stein_row(samples.row(i), scores.row(i), &points, &slopes, scale, out);
    });
    let diagonal: f64 = scores
        .iter_rows()
        .map(|s| {
            s.iter().map(|s| s * s).sum::<f64>() / scale + mutant!("stein-diagonal", 1.0, d as f64) / scale.powi(3)
        })
        .sum();
    let n = n as f64;
    let discrepancy = PairStatistic { unbiased: (forms[0] - diagonal) / (n * (n - 1.0)), biased: forms[0] / (n * n) };
    // the diagonal is the same under all signs: comparing the forms compares either statistic
    Ok(SteinTest { discrepancy, p_value: rank_p_value(&forms) })
}

/// c = d/√(median |s(x_i)|²): a Gaussian N(m, σ² I) has c ≈ σ √d, a mixture of far modes the same with the width of its modes. None where
/// the median score is 0.   scores: n×d.
pub fn stein_scale(scores: &Matrix) -> Option<f64> {
    let mut squares: Vec<f64> = scores.iter_rows().map(|s| s.iter().map(|s| s * s).sum()).collect();
    let middle = squares.len() / 2;
    let median = *squares.select_nth_unstable_by(middle, f64::total_cmp).1;
    let scale = scores.cols() as f64 / median.sqrt();
    (scale > 0.0 && scale.is_finite()).then_some(scale)
}

/// out_j ← u(x, y_j); points and scores of the y in the columns of d×n matrices.
fn stein_row(x: &[f64], s: &[f64], points: &Matrix, slopes: &Matrix, scale: f64, out: &mut [f64]) {
    let n = out.len();
    let (mut squares, mut cross) = (vec![0.0; n], vec![x.len() as f64; n]);
    squared_distances_to(x, points, 0, &mut squares);
    out.fill(0.0);
    for (c, (&x, &s)) in x.iter().zip(s).enumerate() {
        for (j, (y, t)) in points.row(c).iter().zip(slopes.row(c)).enumerate() {
            out[j] += s * t;
            cross[j] += mutant!("stein-cross-sign", (s + t) * (x - y), (s - t) * (x - y));
        }
    }
    for (out, (square, cross)) in out.iter_mut().zip(squares.iter().zip(cross)) {
        let inverse = 1.0 / (scale * scale + square);
        *out = inverse.sqrt() * (*out + inverse * (cross - 3.0 * square * inverse));
    }
}

/// n×(1 + resamples): a column of ones, then columns of independent signs.
fn signs(n: usize, resamples: usize, seed: u64) -> Matrix {
    let mut columns = Matrix::filled(resamples + 1, n, 1.0);
    columns.as_mut_slice().par_chunks_mut(n).enumerate().skip(1).for_each(|(b, column)| {
        let mut rng = stream(seed, Purpose::Metric, SIGNS_UNIT + b as u64);
        for part in column.chunks_mut(64) {
            let bits = rng.next_u64();
            part.iter_mut().enumerate().for_each(|(k, sign)| *sign = if bits >> k & 1 == 1 { 1.0 } else { -1.0 });
        }
    });
    columns.transpose()
}
