//! Matrices that are the right factor of many products.

use super::packed::{Packed, Piece};
use super::{Start, by_rows};
use crate::linalg::Matrix;
use crate::linalg::matrix::{View, shape_mismatch};
use crate::num::Real;
use crate::parallel;
use std::ops::Deref;
use std::sync::OnceLock;

/// A matrix that remembers what was prepared for products with it from the right, until it is changed: a trainable weight, with which
/// every chunk of a batch is multiplied, forward and backward.
///
/// It is read as the [`Matrix`] that it holds, and written by [`Factor::update`].
#[derive(Debug, Default)]
pub struct Factor<T = f64> {
    matrix: Matrix<T>,
    /// The matrix and its transpose, from the first product on.
    packed: [OnceLock<Packed<T>>; 2],
    /// The same of the matrix before its last change, for their memory.
    stale: [Option<Packed<T>>; 2],
}

impl<T> From<Matrix<T>> for Factor<T> {
    fn from(matrix: Matrix<T>) -> Self {
        Self { matrix, packed: [OnceLock::new(), OnceLock::new()], stale: [None, None] }
    }
}

impl<T: Clone> Clone for Factor<T> {
    fn clone(&self) -> Self {
        self.matrix.clone().into()
    }
}

impl<T: PartialEq> PartialEq for Factor<T> {
    fn eq(&self, other: &Self) -> bool {
        self.matrix == other.matrix
    }
}

impl<T> Deref for Factor<T> {
    type Target = Matrix<T>;
    fn deref(&self) -> &Matrix<T> {
        &self.matrix
    }
}

impl<T> Factor<T> {
    /// Changes the matrix, and forgets what was prepared for it.
    pub fn update<'a, R>(&'a mut self, change: impl FnOnce(&'a mut Matrix<T>) -> R) -> R {
        for (packed, stale) in self.packed.iter_mut().zip(&mut self.stale) {
            *stale = packed.take().or(stale.take());
        }
        change(&mut self.matrix)
    }
}

impl<T: Real> Factor<T> {
    /// C ← A B + start, or A Bᵀ + start where `transposed`, B this matrix.
    #[track_caller]
    pub(crate) fn product(&self, a: View<'_, T>, transposed: bool, start: Start<'_, T>, c: &mut Matrix<T>) {
        let b = if transposed { self.t() } else { self.view() };
        if b.rows != a.cols || c.shape() != (a.rows, b.cols) {
            shape_mismatch("product with a factor", a.shape(), b.shape());
        }
        by_rows(T::ONE, a, b, Some(self.packed(transposed)), start, c);
    }

    /// Prepares again what was prepared before the last change, by tasks over all factors: whoever came first to a product would leave the
    /// others waiting.
    pub(crate) fn prepare<'a>(factors: impl Iterator<Item = &'a mut Self>) {
        let mut factors: Vec<_> = factors.collect();
        let pieces = factors.iter_mut().flat_map(|Self { matrix, stale, .. }| {
            let views = [matrix.view(), matrix.t()];
            let fitting = stale.iter_mut().zip(views).filter_map(|(stale, b)| {
                // a matrix of another shape may have taken the place
                *stale = stale.take().filter(|stale| stale.shape() == b.shape());
                Some(stale.as_mut()?.pieces(b))
            });
            fitting.flatten()
        });
        parallel::for_each(pieces, Piece::fill);
        for Self { packed, stale, .. } in factors {
            for (packed, stale) in packed.iter().zip(stale) {
                // where it is not in use again already
                stale.take().map(|stale| packed.set(stale));
            }
        }
    }

    /// What is prepared for products with this matrix, or with its transpose.
    pub(crate) fn packed(&self, transposed: bool) -> &Packed<T> {
        self.packed[usize::from(transposed)]
            .get_or_init(|| Packed::new(if transposed { self.t() } else { self.view() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::matmul;

    /// Checks that products are those of the matrix as it is after each change, from the right as it is and transposed, on integers (exact).
    #[test]
    fn forgets_what_it_prepared() {
        let integers = |r, c| Matrix::from_fn(r, c, |i, j| ((i * 5 + j * 3) % 7) as f64 - 3.0);
        let mut factor = Factor::from(integers(9, 21));
        for change in 0..3 {
            for transposed in [false, true] {
                let b = if transposed { factor.transpose() } else { factor.clone().matrix };
                let a = integers(100, b.rows());
                let mut c = Matrix::filled(100, b.cols(), f64::NAN);
                factor.product(a.view(), transposed, Start::Scaled(0.0), &mut c);
                assert_eq!(c, matmul(&a, &b), "after {change} changes");
            }
            factor.update(|m| m.as_mut_slice()[change] += 10.0);
            if change == 1 {
                Factor::prepare(std::iter::once(&mut factor));
            }
        }
        factor.update(|m| *m = integers(21, 4));
        Factor::prepare(std::iter::once(&mut factor));
        let (a, mut c) = (integers(100, 21), Matrix::zeros(100, 4));
        factor.product(a.view(), false, Start::Scaled(0.0), &mut c);
        assert_eq!(c, matmul(&a, &factor), "of another shape");
    }
}
