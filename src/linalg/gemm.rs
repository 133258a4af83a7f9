//! Matrix products over row blocks in parallel: own tiles for the small factors of training, `matrixmultiply` for the rest.
//!
//! In training B is a weight, or a block of cotangents, that fits the second-level cache. Then only B is packed, in panels of two vectors,
//! and A is read where it is, by rows or by columns: a general product spends a fifth of its time on packing A. Which way a product goes is a
//! table, [`strategies`]; each way is one file. The tests compare all of them with three plain loops.
#![allow(unsafe_code)]

mod factor;
mod general;
mod once;
mod own;
mod packed;
mod strategy;
mod thin;
#[cfg(target_arch = "x86_64")]
mod tiles;
mod transposed;

pub use factor::Factor;
pub(crate) use packed::Packed;
pub use strategy::strategies;

use crate::linalg::matrix::{Matrix, View, shape_mismatch};
use crate::num::Real;
use crate::parallel;
use general::general;
use once::once;
use own::{Panels, own};
use strategy::{Case, Machine, Strategy, choose};
use transposed::transposed;

/// Whether small factors have tiles of their own where the machine has vectors: the feature `own-kernels`. Else every product goes through
/// `matrixmultiply`.
pub const OWN_KERNELS: bool = cfg!(feature = "own-kernels");

/// Below this many operations (2mnk) the product stays on one thread. In training products come from chunks of a batch that run in
/// parallel already: blocks of those of the slowest threads are then taken over by those that are ready.
const PARALLEL_FLOPS: usize = 8_000_000;

/// Fewest rows of a block: 11 tiles of AVX2, 5 of AVX-512.
const MIN_BLOCK_ROWS: usize = 66;

/// What A B is added to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a, T> {
    /// β C; with β = 0 the old entries are not read.
    Scaled(T),
    /// A row, the same for all rows of C.
    Row(&'a [T]),
}

impl<T: Real> Start<'_, T> {
    /// start + sum at column j, where C was `old`.
    #[inline(always)]
    fn add<const FMA: bool>(&self, j: usize, old: T, sum: T) -> T {
        match self {
            Start::Scaled(beta) if *beta == T::ZERO => sum,
            Start::Scaled(beta) => beta.fused::<FMA>(old, sum),
            Start::Row(row) => row[j] + sum,
        }
    }
}

/// C ← α A B + β C.   A: m×k, B: k×n, C: m×n. With β = 0 the old entries of C are not read.
///
/// Cut into row blocks for rayon; the bits do not depend on the number of blocks, because each entry of C is summed
/// over k in the same order whichever block its row is in. Panics where the shapes do not fit.
#[track_caller]
pub fn gemm<T: Real>(alpha: T, a: View<'_, T>, b: View<'_, T>, beta: T, c: &mut Matrix<T>) {
    let shape = (a.rows, b.cols);
    if b.rows != a.cols || c.shape() != shape {
        shape_mismatch("gemm", a.shape(), b.shape());
    }
    by_rows(alpha, a, b, None, Start::Scaled(beta), c);
}

/// C ← A B + b, b a row added to each row.   A: m×k, B: k×n, b: n, C: m×n. As [`gemm`] in all else.
#[track_caller]
pub(crate) fn affine<T: Real>(a: View<'_, T>, b: View<'_, T>, row: &[T], c: &mut Matrix<T>) {
    if b.rows != a.cols || c.shape() != (a.rows, b.cols) || row.len() != b.cols {
        shape_mismatch("affine", a.shape(), b.shape());
    }
    by_rows(T::ONE, a, b, None, Start::Row(row), c);
}

/// C ← α A B + start, with what is prepared for B where there is something.
fn by_rows<T: Real>(
    alpha: T,
    a: View<'_, T>,
    b: View<'_, T>,
    prepared: Option<&Packed<T>>,
    start: Start<'_, T>,
    c: &mut Matrix<T>,
) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let threads = rayon::current_num_threads();
    let small = 2 * m * n * k < PARALLEL_FLOPS || !parallel::worth_cutting();
    let alone = small || m < 2 * MIN_BLOCK_ROWS;
    let fresh;
    let packed = match choose(&Case::of(&a, &b, prepared.is_some()), Machine::here::<T>()) {
        Strategy::Transposed => return transposed(alpha, b.t(), Panels::in_place(a.t()), start, c),
        Strategy::InPlace => return own(alpha, a, Panels::in_place(b), start, c.as_mut_slice()),
        Strategy::Once => return once(alpha, a, b, start, c.as_mut_slice(), small),
        Strategy::InnerProducts | Strategy::Panels if prepared.is_none() => {
            fresh = Packed::new(b);
            Some(&fresh)
        }
        Strategy::InnerProducts | Strategy::Panels | Strategy::General => prepared,
    };
    let one = |a: View<'_, T>, c: &mut [T]| match packed {
        Some(packed) => packed.product(alpha, a, start, c),
        None => general(alpha, a, b, start, c),
    };
    if alone {
        return one(a, c.as_mut_slice());
    }
    let rows = m.div_ceil(2 * threads).max(MIN_BLOCK_ROWS);
    parallel::pieces(c.as_mut_slice().chunks_mut(rows * n).enumerate(), |(block, out)| {
        let data = &a.data[block * rows * a.row_stride..];
        one(View { data, rows: out.len() / n, ..a }, out);
    });
}

/// A B as a new matrix.
#[track_caller]
pub fn matmul<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> Matrix<T> {
    let mut c = Matrix::zeros(a.rows(), b.cols());
    gemm(T::ONE, a.view(), b.view(), T::ZERO, &mut c);
    c
}

/// Whether a view lies inside its data.
fn fits<T>(v: &View<'_, T>) -> bool {
    v.rows == 0 || v.cols == 0 || (v.rows - 1) * v.row_stride + (v.cols - 1) * v.col_stride < v.data.len()
}

#[cfg(test)]
mod tests {
    use super::general::plain;
    use super::*;

    fn naive(a: &Matrix, b: &Matrix) -> Matrix {
        Matrix::from_fn(a.rows(), b.cols(), |i, j| (0..a.cols()).map(|k| a[(i, k)] * b[(k, j)]).sum())
    }

    /// Checks every shape up to 7, empty ones too, with small integers (exact) and poisoned output.
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
                    affine(a.view(), b.view(), &vec![2.0; n], &mut c);
                    assert_eq!(c, naive(&a, &b).map(|x| x + 2.0));
                }
            }
        }
    }

    /// Checks own tiles and the general product on integers (exact) around the edges of tiles, panels and blocks, in both precisions.
    #[test]
    fn packed_products_are_exact() {
        fn check<T: Real>() {
            let integers =
                |r, c, s: usize| Matrix::from_fn(r, c, |i, j| T::from_f64(((i * 7 + j * 3 + s) % 11) as f64 - 5.0));
            for (m, k, n) in [(6, 4, 16), (13, 9, 17), (5, 256, 8), (97, 3, 33), (193, 5, 7), (7, 257, 40)] {
                let (a, b): (Matrix<T>, Matrix<T>) = (integers(m, k, 1), integers(k, n, 4));
                let exact = naive(&a.cast(), &b.cast());
                let (at, bt) = (a.transpose(), b.transpose());
                for (a, b) in [(a.view(), b.view()), (at.t(), b.view()), (a.view(), bt.t()), (at.t(), bt.t())] {
                    let (mut c, row) = (Matrix::filled(m, n, T::NAN), vec![T::ONE; n]);
                    gemm(T::from_f64(3.0), a, b, T::ZERO, &mut c);
                    assert_eq!(c.cast(), exact.map(|x| 3.0 * x), "{m}×{k}·{k}×{n}");
                    Packed::new(b).product(T::ONE, a, Start::Row(&row), c.as_mut_slice());
                    assert_eq!(c.cast(), exact.map(|x| x + 1.0), "{m}×{k}·{k}×{n}");
                    general(T::ONE, a, b, Start::Scaled(-T::ONE), c.as_mut_slice());
                    assert_eq!(c, Matrix::filled(m, n, -T::ONE), "{m}×{k}·{k}×{n}");
                    plain(T::from_f64(2.0), a, b, T::ONE, c.as_mut_slice());
                    assert_eq!(c.cast(), exact.map(|x| 2.0 * x - 1.0), "{m}×{k}·{k}×{n}");
                    c.as_mut_slice().fill(T::NAN);
                    plain(T::ONE, a, b, T::ZERO, c.as_mut_slice());
                    assert_eq!(c.cast(), exact, "{m}×{k}·{k}×{n}");
                }
            }
        }
        check::<f32>();
        check::<f64>();
    }

    /// Checks that the bits are those of one thread for 2, 3 and 8 threads, in both precisions.
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
