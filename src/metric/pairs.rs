//! The two-sample statistic of a kernel, behind MMD and the energy distance.

use crate::linalg::Matrix;
use crate::linalg::shape_mismatch;
use crate::metric::transport::squared_distances_to;
use rayon::prelude::*;

/// E k(X, X') + E k(Y, Y') - 2 E k(X, Y), estimated from samples in two ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairStatistic {
    /// The U-statistic, without the pairs i = j: mean 0 where the laws agree, so it may be negative.
    pub unbiased: f64,
    /// The V-statistic, with them: the distance of the two empirical measures, at least 0, and 0 where they are equal.
    pub biased: f64,
}

/// Rows of one task; fixed, so that the sums do not depend on the number of threads.
const ROWS: usize = 32;

/// The statistic of a kernel given as a map of squared distances, in place.   x: n×d, y: m×d, n, m ≥ 2.
///
/// O((n² + nm + m²) d) time, O(n + m) memory a thread.
pub(super) fn pair_statistic(x: &Matrix, y: &Matrix, kernel: impl Fn(&mut [f64]) + Sync) -> PairStatistic {
    if x.cols() != y.cols() || x.rows() < 2 || y.rows() < 2 {
        shape_mismatch("a pair statistic (at least two points each)", x.shape(), y.shape());
    }
    let mut diagonal = [0.0];
    kernel(&mut diagonal);
    let (n, m) = (x.rows() as f64, y.rows() as f64);
    let (xx, yy) = (2.0 * pair_sum(x, x, true, &kernel), 2.0 * pair_sum(y, y, true, &kernel));
    let cross = 2.0 * pair_sum(x, y, false, &kernel) / (n * m);
    PairStatistic {
        unbiased: xx / (n * (n - mutant!("pairs-own-term", 0.0, 1.0))) + yy / (m * (m - 1.0)) - cross,
        biased: (xx / n + diagonal[0]) / n + (yy / m + diagonal[0]) / m - cross,
    }
}

/// Σ_i Σ_j k(|x_i - y_j|²), over j > i only where `above_diagonal`.
fn pair_sum(x: &Matrix, y: &Matrix, above_diagonal: bool, kernel: &(impl Fn(&mut [f64]) + Sync)) -> f64 {
    let columns = y.transpose();
    let partial: Vec<f64> = (0..x.rows().div_ceil(ROWS))
        .into_par_iter()
        .map(|block| {
            let mut buffer = vec![0.0; y.rows()];
            let rows = block * ROWS..((block + 1) * ROWS).min(x.rows());
            rows.map(|i| {
                let first = if above_diagonal { i + 1 } else { 0 };
                let values = &mut buffer[first..];
                squared_distances_to(x.row(i), &columns, first, values);
                kernel(values);
                values.iter().sum::<f64>()
            })
            .sum()
        })
        .collect();
    partial.iter().sum()
}
