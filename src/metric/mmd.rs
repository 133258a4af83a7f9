//! Maximum mean discrepancy with a Gaussian kernel.

use crate::linalg::Matrix;
use crate::metric::pairs::{PairStatistic, pair_statistic};
use crate::metric::{random_rows, transport::squared_distances_to};
use crate::num::exp_slice;
use crate::{Error, Result};

/// MMD²(x, y) = E k(X, X') + E k(Y, Y') - 2 E k(X, Y), k(x, y) = exp(-|x - y|²/(2h²)).   x: n×d, y: m×d, n, m ≥ 2.
///
/// `bandwidth` h > 0 in units of length ([`median_distance`] of the truth is customary; differences much finer than h are
/// invisible). No unit, at most 2. Cost O((n² + nm + m²) d). (Gretton et al., JMLR 2012, equations 3 and 5.)
pub fn mmd2(x: &Matrix, y: &Matrix, bandwidth: f64) -> Result<PairStatistic> {
    if !(bandwidth > 0.0 && bandwidth.is_finite()) {
        let expected = "a positive number (the median distance is 0 where half the points coincide)";
        return Err(Error::Parameter { name: "bandwidth of the MMD kernel".into(), value: bandwidth, expected });
    }
    let factor = mutant!("mmd-kernel", -1.0, -0.5) / (bandwidth * bandwidth);
    Ok(pair_statistic(x, y, |squares| {
        squares.iter_mut().for_each(|s| *s *= factor);
        exp_slice(squares);
    }))
}

/// Points among which [`median_distance`] takes its pairs.
const MEDIAN_POINTS: usize = 1_000;

/// median_{i<j} |x_i - x_j|, the median heuristic for h, over at most 1,000 rows drawn under `seed`.   x: n×d, n ≥ 2.
pub fn median_distance(x: &Matrix, seed: u64) -> f64 {
    assert!(x.rows() >= 2, "median_distance: needs two points, has {}", x.rows());
    let chosen = random_rows(x, MEDIAN_POINTS, seed);
    let (n, columns) = (chosen.rows(), chosen.transpose());
    let mut squares = vec![0.0; n * (n - 1) / 2];
    let mut rest = squares.as_mut_slice();
    for i in 0..n - 1 {
        let (row, tail) = rest.split_at_mut(n - 1 - i);
        squared_distances_to(chosen.row(i), &columns, i + 1, row);
        rest = tail;
    }
    let middle = squares.len() / 2;
    squares.select_nth_unstable_by(middle, f64::total_cmp).1.sqrt()
}
