//! General matrix product on `matrixmultiply`, over row blocks in parallel.
#![allow(unsafe_code)]

use crate::linalg::matrix::{Matrix, View, shape_mismatch};
use crate::num::Real;
use rayon::prelude::*;
use std::any::TypeId;

/// Below this many operations (2mnk) the product stays on one thread. Fork and join pay from 4 million, but products of that size
/// come from chunks of a batch that already run in parallel, where a second level only repeats the packing of B.
const PARALLEL_FLOPS: usize = 32_000_000;

/// Fewest rows of a block: the packing of B is repeated for each block.
const MIN_BLOCK_ROWS: usize = 32;

/// C ← α A B + β C.   A: m×k, B: k×n, C: m×n. With β = 0 the old entries of C are not read.
///
/// Cut into row blocks for rayon; the bits do not depend on the number of blocks, because each entry of C is summed
/// over k in the same order whichever block its row is in. Panics where the shapes do not fit.
#[track_caller]
pub fn gemm<T: Real>(alpha: T, a: View<'_, T>, b: View<'_, T>, beta: T, c: &mut Matrix<T>) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    if b.rows != k || c.shape() != (m, n) {
        shape_mismatch("gemm", a.shape(), b.shape());
    }
    let threads = rayon::current_num_threads();
    if threads == 1 || 2 * m * n * k < PARALLEL_FLOPS || m < 2 * MIN_BLOCK_ROWS {
        return serial(alpha, a, b, beta, c.as_mut_slice(), m);
    }
    let rows = m.div_ceil(2 * threads).max(MIN_BLOCK_ROWS);
    c.as_mut_slice().par_chunks_mut(rows * n).enumerate().for_each(|(block, out)| {
        let start = block * rows;
        let part = View { data: &a.data[start * a.row_stride..], ..a };
        serial(alpha, part, b, beta, out, out.len() / n);
    });
}

/// A B as a new matrix.
#[track_caller]
pub fn matmul<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    let mut c = Matrix::zeros(a.rows(), b.cols());
    gemm(T::ONE, a.view(), b.view(), T::ZERO, &mut c);
    c
}

/// The first `m` rows of C ← α A B + β C on this thread, C contiguous.
fn serial<T: Real>(alpha: T, a: View<'_, T>, b: View<'_, T>, beta: T, c: &mut [T], m: usize) {
    let (k, n) = (a.cols, b.cols);
    assert!(fits(&a, m) && fits(&b, k) && c.len() >= m * n, "gemm: a view reaches outside its data");
    let strides = |v: &View<'_, T>| (v.row_stride as isize, v.col_stride as isize);
    let ((rsa, csa), (rsb, csb)) = (strides(&a), strides(&b));
    let (pa, pb, pc) = (a.data.as_ptr(), b.data.as_ptr(), c.as_mut_ptr());
    // SAFETY: the assertion above bounds every address that the strides reach; T is exactly f32 or f64 in each branch,
    // because `Real` is sealed; C is uniquely borrowed and does not overlap A or B.
    unsafe {
        if TypeId::of::<T>() == TypeId::of::<f32>() {
            let (alpha, beta) = (alpha.to_f64() as f32, beta.to_f64() as f32);
            matrixmultiply::sgemm(
                m,
                k,
                n,
                alpha,
                pa.cast(),
                rsa,
                csa,
                pb.cast(),
                rsb,
                csb,
                beta,
                pc.cast(),
                n as isize,
                1,
            );
        } else {
            let (alpha, beta) = (alpha.to_f64(), beta.to_f64());
            matrixmultiply::dgemm(
                m,
                k,
                n,
                alpha,
                pa.cast(),
                rsa,
                csa,
                pb.cast(),
                rsb,
                csb,
                beta,
                pc.cast(),
                n as isize,
                1,
            );
        }
    }
}

/// Whether the first `rows` rows of a view lie inside its data.
fn fits<T>(v: &View<'_, T>, rows: usize) -> bool {
    rows == 0 || v.cols == 0 || (rows - 1) * v.row_stride + (v.cols - 1) * v.col_stride < v.data.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(a: &Matrix, b: &Matrix) -> Matrix {
        Matrix::from_fn(a.rows(), b.cols(), |i, j| (0..a.cols()).map(|k| a[(i, k)] * b[(k, j)]).sum())
    }

    /// Proves every shape up to 7, empty ones too, with small integers (exact) and poisoned output.
    #[test]
    fn exact_on_integers_for_all_small_shapes() {
        let integers = |r, c, s: usize| Matrix::from_fn(r, c, |i, j| ((i * 7 + j * 3 + s) % 11) as f64 - 5.0);
        for m in 0..8 {
            for k in 0..8 {
                for n in 0..8 {
                    let (a, b) = (integers(m, k, 1), integers(k, n, 4));
                    let mut c = Matrix::filled(m, n, f64::NAN);
                    gemm(1.0, a.view(), b.view(), 0.0, &mut c);
                    assert_eq!(c, naive(&a, &b), "{m}×{k}·{k}×{n}");
                    let (at, bt) = (a.transpose(), b.transpose());
                    gemm(2.0, at.t(), bt.t(), 1.0, &mut c);
                    assert_eq!(c, naive(&a, &b).map(|x| 3.0 * x));
                }
            }
        }
    }

    /// Proves that the bits are those of one thread for 2, 3 and 8 threads, in both precisions.
    #[test]
    fn bits_do_not_depend_on_threads() {
        fn run<T: Real>(threads: usize) -> Matrix<T> {
            let a: Matrix<T> = crate::rng::normal_matrix(1, crate::rng::Purpose::Check, 1, 1001, 129);
            let b: Matrix<T> = crate::rng::normal_matrix(1, crate::rng::Purpose::Check, 2, 129, 177);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| matmul(&a, &b))
        }
        for threads in [2, 3, 8] {
            assert_eq!(run::<f64>(1), run::<f64>(threads));
            assert_eq!(run::<f32>(1), run::<f32>(threads));
        }
    }
}
