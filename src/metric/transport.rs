//! Exact Wasserstein distance between two samples of equal size.

use crate::linalg::Matrix;
use crate::linalg::shape_mismatch;
use crate::metric::{Assignment, assign};
use rayon::prelude::*;

/// W₂ between two empirical measures, with the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Transport {
    /// W₂ = √(min_π (1/n) Σ_i |x_i - y_π(i)|²), in units of length.
    pub distance: f64,
    /// The optimal π with its certificate; costs are |x_i - y_j|².
    pub assignment: Assignment,
}

/// W₂(x, y) = √(min_π (1/n) Σ_i |x_i - y_π(i)|²).   x, y: n×d, finite.
///
/// For two uniform measures on n points each an optimal plan is a permutation (Birkhoff), so this is the exact distance of
/// the samples; as an estimate between the laws it is biased upwards, by far where d is large: read it beside its floor.
/// Cost: n² doubles of memory, O(n³) time at worst, about a second at n = 2,000. Panics where shapes differ or a point is not finite.
pub fn wasserstein2(x: &Matrix, y: &Matrix) -> Transport {
    if x.shape() != y.shape() {
        shape_mismatch("wasserstein2", x.shape(), y.shape());
    }
    let assignment = assign(&squared_distances(x, y));
    Transport {
        distance: (assignment.cost / mutant!("wasserstein-mean", 1.0, x.rows().max(1) as f64)).sqrt(),
        assignment,
    }
}

/// |x_i - y_j|².   x: n×d, y: m×d → n×m.
pub fn squared_distances(x: &Matrix, y: &Matrix) -> Matrix {
    if x.cols() != y.cols() {
        shape_mismatch("squared_distances", x.shape(), y.shape());
    }
    let columns = y.transpose();
    let mut out = Matrix::zeros(x.rows(), y.rows());
    out.as_mut_slice().par_chunks_mut(y.rows().max(1)).enumerate().for_each(|(i, row)| {
        squared_distances_to(x.row(i), &columns, 0, row);
    });
    out
}

/// out_j ← |x - y_{first+j}|² with the points y in the columns of a d×m matrix, so that the loops run along points.
pub(super) fn squared_distances_to(x: &[f64], columns: &Matrix, first: usize, out: &mut [f64]) {
    out.fill(0.0);
    for (c, &a) in x.iter().enumerate() {
        let y = &columns.row(c)[first..first + out.len()];
        out.iter_mut().zip(y).for_each(|(out, b)| *out += (a - b) * (a - b));
    }
}
