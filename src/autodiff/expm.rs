//! The exponential of matrices: one composite operation, whose vector–Jacobian product is again an exponential.

use crate::autodiff::op::Op;
use crate::autodiff::tape::Var;
use crate::linalg::{Matrix, expm, shape_mismatch};
use crate::num::{Real, log2};
use std::sync::Arc;

impl<T: Real> Var<'_, T> {
    /// exp(A) of a square matrix.
    #[track_caller]
    pub fn expm(self) -> Self {
        let (n, cols) = self.shape();
        self.reshape(1, n * cols).expm_rows().reshape(n, cols)
    }

    /// exp(A_i) where row i holds the entries of A_i, row after row.   m×n² → m×n².
    #[track_caller]
    pub fn expm_rows(self) -> Self {
        self.tape.apply(Op::ExpmRows, &[self])
    }
}

/// n for rows of n² entries.
#[track_caller]
pub(super) fn side(shape: (usize, usize)) -> usize {
    let n = shape.1.isqrt();
    if n * n == shape.1 { n } else { shape_mismatch("expm", shape, (shape.0, n * n)) }
}

/// out_i ← exp(A_i), by scaling and squaring.
pub(super) fn values<T: Real>(a: &Matrix<T>, out: &mut Matrix<T>) {
    let n = side(a.shape());
    for i in 0..a.rows() {
        let one = expm(&Matrix::from_vec(n, n, a.row(i).to_vec()));
        out.row_mut(i).copy_from_slice(one.as_slice());
    }
}

/// L(Aᵀ, G), where the derivative of exp at A along E is L(A, E), the upper right block of exp [A E; 0 A].
///
/// It is written with tape operations, so that it can be differentiated again. Source: Najfeld and Havel (Adv. Appl. Math., 1995).
pub(super) fn pull_back<'t, T: Real>(a: Var<'t, T>, g: Var<'t, T>) -> Var<'t, T> {
    let (m, n) = (a.shape().0, side(a.shape()));
    // L is linear in G; a large G would make the exponential scale A by more than it needs
    let largest = g.with(|g| g.as_slice().iter().fold(0.0, |most, x| x.abs().to_f64().max(most)));
    let power = if largest > 0.0 && largest.is_finite() { log2(largest).ceil().clamp(-100.0, 100.0) } else { 0.0 };
    let size = T::from_f64(2f64.powi(power as i32));
    // columns of [A G 0] in the places of [Aᵀ G; 0 Aᵀ]
    let entry = |k: usize| match (k / (2 * n), k % (2 * n)) {
        (i, j) if i < n && j >= n => n * n + i * n + j - n,
        (i, j) if (i < n) == (j < n) => (j % n) * n + i % n,
        _ => 2 * n * n,
    };
    let places: Arc<[usize]> = (0..4 * n * n).map(entry).collect();
    let upper_right: Arc<[usize]> = (0..n * n).map(|k| 2 * n * (k / n) + n + k % n).collect();
    let parts = a.concat_columns(g / size).concat_columns(a.tape().filled(m, 1, T::ZERO));
    let blocks = parts.t().gather_rows(&places).t();
    blocks.expm_rows().t().gather_rows(&upper_right).t() * size
}
