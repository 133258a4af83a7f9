//! [`Strategy::General`](super::Strategy): `matrixmultiply`, or plain loops in strict mode.

use super::{Start, fits};
use crate::linalg::matrix::View;
use crate::num::{Real, strict};
use std::any::TypeId;

/// C ← α A B + start on this thread by `matrixmultiply`, C contiguous.
pub(super) fn general<T: Real>(alpha: T, a: View<'_, T>, b: View<'_, T>, start: Start<'_, T>, c: &mut [T]) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let beta = match start {
        Start::Scaled(beta) => beta,
        Start::Row(row) => {
            c.chunks_exact_mut(n.max(1)).for_each(|c| c.copy_from_slice(row));
            T::ONE
        }
    };
    assert!(fits(&a) && fits(&b) && c.len() >= m * n, "gemm: a view reaches outside its data");
    if strict() {
        return plain(alpha, a, b, beta, c);
    }
    let strides = |v: &View<'_, T>| (v.row_stride as isize, v.col_stride as isize);
    let ((ra, ca), (rb, cb)) = (strides(&a), strides(&b));
    let (pa, pb, pc, rc) = (a.data.as_ptr(), b.data.as_ptr(), c.as_mut_ptr(), n as isize);
    let (x, y) = (alpha.to_f64(), beta.to_f64());
    // SAFETY: the assertion above bounds every address that the strides reach; T is exactly f32 or f64 in each branch,
    // because `Real` is sealed; C is uniquely borrowed and does not overlap A or B.
    unsafe {
        if TypeId::of::<T>() == TypeId::of::<f32>() {
            let (pa, pb, pc) = (pa.cast(), pb.cast(), pc.cast());
            matrixmultiply::sgemm(m, k, n, x as f32, pa, ra, ca, pb, rb, cb, y as f32, pc, rc, 1);
        } else {
            let (pa, pb, pc) = (pa.cast(), pb.cast(), pc.cast());
            matrixmultiply::dgemm(m, k, n, x, pa, ra, ca, pb, rb, cb, y, pc, rc, 1);
        }
    }
}

/// C ← α A B + β C as three loops, each product and each sum rounded once, over k in order: the same bits on every machine.
pub(super) fn plain<T: Real>(alpha: T, a: View<'_, T>, b: View<'_, T>, beta: T, c: &mut [T]) {
    let (k, n) = (a.cols, b.cols);
    let rows: Vec<T> = (0..k * n).map(|e| b.data[e / n * b.row_stride + e % n * b.col_stride]).collect();
    for (i, out) in c.chunks_exact_mut(n.max(1)).enumerate() {
        out.iter_mut().for_each(|c| *c = if beta == T::ZERO { T::ZERO } else { beta * *c });
        for (p, row) in rows.chunks_exact(n.max(1)).enumerate() {
            let x = alpha * a.data[i * a.row_stride + p * a.col_stride];
            out.iter_mut().zip(row).for_each(|(c, &b)| *c += x * b);
        }
    }
}
