//! Quadratic forms of a kernel, many at once: the statistic and its resampled copies.

use crate::linalg::{Matrix, matmul};
use rayon::prelude::*;

/// Rows of one task; fixed, so that the sums do not depend on the number of threads.
const ROWS: usize = 32;

/// q_b = Σ_i Σ_j a_ib K_ij a_jb for each column b of `weights` a (n×B); `kernel_row(i, out)` writes K_i1 … K_in.
///
/// O(n² (cost of a kernel value + B)) time; O(ROWS (n + B)) memory a task beside the weights: K itself is never stored.
pub(super) fn quadratic_forms(weights: &Matrix, kernel_row: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f64> {
    let n = weights.rows();
    let parts: Vec<Vec<f64>> = (0..n.div_ceil(ROWS))
        .into_par_iter()
        .map(|block| {
            let rows = block * ROWS..((block + 1) * ROWS).min(n);
            let mut kernel = Matrix::zeros(rows.len(), n);
            rows.clone().for_each(|i| kernel_row(i, kernel.row_mut(i - rows.start)));
            let product = matmul(&kernel, weights);
            let mut sums = vec![0.0; weights.cols()];
            for (i, row) in rows.zip(product.iter_rows()) {
                sums.iter_mut().zip(row).zip(weights.row(i)).for_each(|((q, p), a)| *q += p * a);
            }
            sums
        })
        .collect();
    parts.into_iter().fold(vec![0.0; weights.cols()], |mut total, part| {
        total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        total
    })
}

/// p = (1 + #{b ≥ 1: q_b ≥ q_0})/B: the rank of the observed q_0 among B statistics, itself counted.
///
/// A q_0 that is not finite (a place that exact samples never reach, an overflow) is beyond every statistic of exact samples,
/// whatever its resampled copies are: 1/B. Beside a finite q_0 a copy that is none counts as larger.
pub(super) fn rank_p_value(statistics: &[f64]) -> f64 {
    let observed = statistics[0];
    let larger = |q: &&f64| observed.is_finite() && (q.is_nan() || **q >= observed);
    (1 + statistics[1..].iter().filter(larger).count()) as f64 / statistics.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks ranks, and that an infinite or undefined statistic has the least p-value also beside infinite copies, while
    /// copies that are undefined never make a finite one look large.
    #[test]
    fn ranks() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        for (statistics, p) in [
            ([3.0, 1.0, 2.0, 4.0], 0.5),
            ([1.0, 1.0, 1.0, 1.0], 1.0),
            ([5.0, 1.0, 2.0, 4.0], 0.25),
            ([inf, inf, inf, 1.0], 0.25),
            ([nan, 1.0, inf, nan], 0.25),
            ([3.0, nan, inf, 1.0], 0.75),
        ] {
            assert_eq!(rank_p_value(&statistics), p, "{statistics:?}");
        }
    }
}
