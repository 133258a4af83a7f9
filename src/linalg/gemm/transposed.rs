//! [`Strategy::Transposed`](super::Strategy): own tiles for Cᵀ = Bᵀ Aᵀ.

use super::Start;
use super::own::{Panels, own};
use crate::linalg::Matrix;
use crate::linalg::matrix::View;
use crate::num::Real;

/// C ← α A B + start, where C has few columns and Aᵀ whole vectors in its rows.
pub(super) fn transposed<T: Real>(
    alpha: T,
    bt: View<'_, T>,
    at: Panels<'_, T>,
    start: Start<'_, T>,
    c: &mut Matrix<T>,
) {
    let m = c.rows();
    let mut product = vec![T::ZERO; c.as_slice().len()];
    own(alpha, bt, at, Start::Scaled(T::ZERO), &mut product);
    for i in 0..m {
        for (j, c) in c.row_mut(i).iter_mut().enumerate() {
            let sum = product[j * m + i];
            *c = start.add::<false>(j, *c, sum);
        }
    }
}
