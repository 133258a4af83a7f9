//! Products by own tiles, and what they need of their right factor.

#[cfg(target_arch = "x86_64")]
use super::tiles;
use super::{Start, fits, packed::width};
use crate::linalg::matrix::View;
use crate::num::{Real, Shell, shell};
use std::any::TypeId;
use std::ops::Range;

/// Columns of B for own tiles: entry (p, j) of the panel at column q at q steps.0 + p steps.1 + j.
pub(super) struct Panels<'a, T> {
    pub data: &'a [T],
    /// k×n.
    pub shape: (usize, usize),
    pub steps: (usize, usize),
    /// From the first one of a panel to the last one of a panel, or of B.
    pub columns: Range<usize>,
}

impl<'a, T: Real> Panels<'a, T> {
    /// B where it is: its rows are contiguous, and whole vectors.
    pub fn of(b: &View<'a, T>) -> Option<Self> {
        let whole = b.col_stride == 1 && b.cols.is_multiple_of(width::<T>() / 2);
        whole.then_some(Self { data: b.data, shape: b.shape(), steps: (1, b.row_stride), columns: 0..b.cols })
    }

    /// Whether the panels, the last one of whole vectors, lie inside the data.
    fn fit(&self) -> bool {
        let ((k, n), vector) = (self.shape, width::<T>() / 2);
        let Range { start, end } = self.columns;
        if k == 0 || start >= end {
            return true;
        }
        let last = end - 1 - (end - 1 - start) % (2 * vector);
        let vectors = if n - last > vector { 2 * vector } else { vector };
        end <= n && last * self.steps.0 + (k - 1) * self.steps.1 + vectors <= self.data.len()
    }
}

/// C ← α A B + start in the columns of B that are there, on this thread by own tiles, for a machine with AVX2 and FMA.
pub(super) fn own<T: Real>(alpha: T, a: View<'_, T>, b: Panels<'_, T>, start: Start<'_, T>, c: &mut [T]) {
    // SAFETY: all of C is ours.
    unsafe { own_columns(alpha, a, b, start, &Shared::of(c)) }
}

/// C, of which several tasks write, each its own columns.
pub(super) struct Shared<T>(*mut T, usize);

impl<T> Shared<T> {
    pub fn of(c: &mut [T]) -> Self {
        Self(c.as_mut_ptr(), c.len())
    }
}

// SAFETY: who writes to it says that nobody else has the columns.
unsafe impl<T: Send> Sync for Shared<T> {}

/// [`own`] for columns of C.
///
/// # Safety
/// Nobody else reads or writes these columns of C, a pointer to so many numbers.
pub(super) unsafe fn own_columns<T: Real>(
    alpha: T,
    a: View<'_, T>,
    b: Panels<'_, T>,
    start: Start<'_, T>,
    c: &Shared<T>,
) {
    let (k, n) = b.shape;
    assert!(fits(&a) && a.cols == k && c.1 == a.rows * n && b.fit(), "gemm: a view reaches outside its data");
    assert!(shell() != Shell::Portable, "gemm: own tiles need vectors");
    let (beta, row) = match start {
        Start::Scaled(beta) => (beta, std::ptr::null()),
        Start::Row(row) => (T::ZERO, row[..n].as_ptr()),
    };
    #[cfg(target_arch = "x86_64")]
    {
        let (View { row_stride, col_stride, .. }, (column_step, row_step)) = (a, b.steps);
        let (pa, panels) = (a.data.as_ptr(), b.data.as_ptr());
        let x = tiles::Factors { a: pa, row_stride, col_stride, panels, column_step, row_step, k, n, alpha, beta, row };
        // SAFETY: the machine has AVX2 and FMA, A has m rows and k columns inside its data, and B's panels are inside theirs, by the
        // assertions; the row has n numbers and C m·n; T is exactly f32 or f64 in each branch, because `Real` is sealed.
        unsafe {
            if TypeId::of::<T>() == TypeId::of::<f32>() {
                tiles::single::product(&x.cast(), a.rows, b.columns, c.0.cast());
            } else {
                tiles::double::product(&x.cast(), a.rows, b.columns, c.0.cast());
            }
        }
    }
}
