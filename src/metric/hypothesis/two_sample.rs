//! MMD as a test: do two samples have the same law?

use super::forms::{quadratic_forms, rank_p_value};
use crate::linalg::{Matrix, shape_mismatch};
use crate::metric::median_distance;
use crate::metric::transport::squared_distances_to;
use crate::num::exp_slice;
use crate::rng::{Purpose, stream, uniform};
use crate::{Error, Result};
use rayon::prelude::*;

/// Unit of the streams behind the permutations, one a column.
const PERMUTATION_UNIT: u64 = 1 << 59;

/// A two-sample statistic with its permutation p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MmdTest {
    /// MMD², the V-statistic of [`mmd2`](crate::metric::mmd2).
    pub mmd2: f64,
    /// h of the kernel: the median distance of the pooled sample.
    pub bandwidth: f64,
    /// The rank of MMD² among `permutations` random splits of the pooled sample, itself counted: exact for every n, m.
    pub p_value: f64,
}

/// Tests whether x (n×d) and y (m×d), n, m ≥ 2, have one law by MMD² with k = exp(-|x - y|²/(2h²)), h the median pooled distance.
///
/// Under the null all splits of the pooled points into n and m are equally likely, and h does not depend on the split, so
/// P(p ≤ α) ≤ α for every α (Gretton et al., JMLR 2012; the bandwidth as in Schrab et al., JMLR 2023, must be a function of the pooled
/// sample). Keyed by `seed`. O((n + m)² (d + permutations)) time. `Error::Parameter` where half of all pairs coincide (h = 0).
pub fn mmd_test(x: &Matrix, y: &Matrix, permutations: usize, seed: u64) -> Result<MmdTest> {
    if x.cols() != y.cols() || x.rows() < 2 || y.rows() < 2 {
        shape_mismatch("mmd_test (at least two points each)", x.shape(), y.shape());
    }
    let pooled = Matrix::from_vec(x.rows() + y.rows(), x.cols(), [x.as_slice(), y.as_slice()].concat());
    let bandwidth = median_distance(&pooled, seed);
    if !(bandwidth > 0.0 && bandwidth.is_finite()) {
        let (name, expected) =
            ("median distance of the pooled samples".into(), "a positive number: half of all pairs of points coincide");
        return Err(Error::Parameter { name, value: bandwidth, expected });
    }
    let (points, factor) = (pooled.transpose(), -0.5 / (bandwidth * bandwidth));
    let forms = quadratic_forms(&splits(x.rows(), y.rows(), permutations, seed), |i, out| {
        squared_distances_to(pooled.row(i), &points, 0, out);
        out.iter_mut().for_each(|s| *s *= factor);
        exp_slice(out);
    });
    Ok(MmdTest { mmd2: forms[0], bandwidth, p_value: rank_p_value(&forms) })
}

/// (n+m)×(1 + permutations): 1/n on the first n points and -1/m on the others, then shuffled.
fn splits(n: usize, m: usize, permutations: usize, seed: u64) -> Matrix {
    let size = n + m;
    let observed: Vec<f64> = (0..size).map(|i| if i < n { 1.0 / n as f64 } else { -1.0 / m as f64 }).collect();
    let mut columns = Matrix::zeros(permutations + 1, size);
    columns.as_mut_slice().par_chunks_mut(size).enumerate().for_each(|(b, column)| {
        column.copy_from_slice(&observed);
        if b > 0 {
            let mut rng = stream(seed, Purpose::Metric, PERMUTATION_UNIT + b as u64);
            // Fisher–Yates
            (1..size).rev().for_each(|i| column.swap(i, (uniform(&mut rng) * (i + 1) as f64) as usize));
        }
    });
    columns.transpose()
}
