//! Sums over pairs of particles, row by row.

use crate::linalg::Matrix;
use crate::parallel;

/// Particles of one task.
const CHUNK: usize = 16;

/// A matrix of the shape of x (N×d), its row i by `f`, side by side.
pub(super) fn rows(x: &Matrix, f: impl Fn(usize, &mut [f64]) + Sync) -> Matrix {
    let (n, d) = x.shape();
    let mut out = Matrix::zeros(n, d);
    parallel::for_each(out.as_mut_slice().chunks_mut(CHUNK * d).enumerate(), |(chunk, rows)| {
        rows.chunks_exact_mut(d).enumerate().for_each(|(k, row)| f(chunk * CHUNK + k, row));
    });
    out
}
