//! Products by own tiles, and what they need of their right factor.

#[cfg(target_arch = "x86_64")]
use super::tiles;
use super::{Start, fits, strategy::Machine};
use crate::linalg::matrix::View;
use crate::num::{InstructionSet, Real, instruction_set};
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
    pub fn in_place(b: View<'a, T>) -> Self {
        Self { data: b.data, shape: b.shape(), steps: (1, b.row_stride), columns: 0..b.cols }
    }

    /// Whether the panels, the last one of whole vectors, lie inside the data.
    fn fit(&self, set: InstructionSet) -> bool {
        let ((k, n), vector) = (self.shape, Machine::of::<T>(set).lanes);
        let Range { start, end } = self.columns;
        if k == 0 || start >= end {
            return true;
        }
        let last = end - 1 - (end - 1 - start) % (2 * vector);
        let vectors = if n - last > vector { 2 * vector } else { vector };
        end <= n && last * self.steps.0 + (k - 1) * self.steps.1 + vectors <= self.data.len()
    }
}

/// C ← α A B + start in the columns of B that are there, on this thread by own tiles, for a machine with vectors.
pub(super) fn own<T: Real>(alpha: T, a: View<'_, T>, b: Panels<'_, T>, start: Start<'_, T>, c: &mut [T]) {
    // SAFETY: all of C is ours.
    unsafe { own_columns(instruction_set(), alpha, a, b, start, &Shared::of(c)) }
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

/// [`own`] for columns of C, by the tiles of an instruction set, for whose width the panels are.
///
/// # Safety
/// Nobody else reads or writes these columns of C, a pointer to so many numbers.
pub(super) unsafe fn own_columns<T: Real>(
    set: InstructionSet,
    alpha: T,
    a: View<'_, T>,
    b: Panels<'_, T>,
    start: Start<'_, T>,
    c: &Shared<T>,
) {
    let (k, n) = b.shape;
    assert!(fits(&a) && a.cols == k && c.1 == a.rows * n && b.fit(set), "gemm: a view reaches outside its data");
    assert!(set != InstructionSet::Portable && set.is_available(), "gemm: own tiles need vectors");
    let (beta, row) = match start {
        Start::Scaled(beta) => (beta, std::ptr::null()),
        Start::Row(row) => (T::ZERO, row[..n].as_ptr()),
    };
    #[cfg(target_arch = "x86_64")]
    {
        let (View { row_stride, col_stride, .. }, (column_step, row_step)) = (a, b.steps);
        let (pa, panels) = (a.data.as_ptr(), b.data.as_ptr());
        let x = tiles::Factors { a: pa, row_stride, col_stride, panels, column_step, row_step, k, n, alpha, beta, row };
        // SAFETY: the machine has the features of the instruction set, A has m rows and k columns inside its data, and B's panels are inside theirs, by the
        // assertions; the row has n numbers and C m·n; T is exactly f32 or f64 in each branch, because `Real` is sealed.
        unsafe {
            let (single, c) = (TypeId::of::<T>() == TypeId::of::<f32>(), c.0);
            match (set, single) {
                (InstructionSet::Avx512, true) => tiles::single512::product(&x.cast(), a.rows, b.columns, c.cast()),
                (InstructionSet::Avx512, false) => tiles::double512::product(&x.cast(), a.rows, b.columns, c.cast()),
                (_, true) => tiles::single256::product(&x.cast(), a.rows, b.columns, c.cast()),
                (_, false) => tiles::double256::product(&x.cast(), a.rows, b.columns, c.cast()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::instruction_sets;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks that the tiles of all vector instruction sets give the same bits: every height of a tile, panels of one and two vectors, an odd last
    /// one, A by rows and by columns, all starts, both precisions. B is read where it is, with zeros beyond its columns.
    #[test]
    fn tiles_of_every_width_give_the_same_bits() {
        fn check<T: Real>() {
            for (m, k, n) in (1..32).flat_map(|m| [(m, 7, 32), (m, 33, 19), (m, 64, 81), (m, 1, 5)]) {
                let draw = |unit, rows, cols| normal_matrix::<T>(1, Purpose::Check, unit, rows, cols);
                let (a, mut b, row, old) = (draw(1, m, k), draw(2, k, n + 64), draw(3, 1, n), draw(4, m, n));
                (0..k).for_each(|p| b.row_mut(p)[n..].fill(T::ZERO));
                let at = a.transpose();
                let alpha = T::from_f64(1.7);
                for (a, alpha) in [(a.view(), T::ONE), (a.view(), alpha), (at.t(), T::ONE), (at.t(), alpha)] {
                    for start in [Start::Scaled(T::ZERO), Start::Scaled(alpha), Start::Row(row.as_slice())] {
                        let on = |set: InstructionSet| {
                            let mut c = old.clone();
                            let panels =
                                Panels { data: b.as_slice(), shape: (k, n), steps: (1, n + 64), columns: 0..n };
                            // SAFETY: all of C is ours.
                            unsafe { own_columns(set, alpha, a, panels, start, &Shared::of(c.as_mut_slice())) };
                            c.into_vec().iter().map(|x| x.to_f64().to_bits()).collect::<Vec<_>>()
                        };
                        let all: Vec<_> = instruction_sets()[1..].iter().map(|&set| on(set)).collect();
                        assert!(all.windows(2).all(|two| two[0] == two[1]), "{m}×{k}·{k}×{n} {}", T::NAME);
                    }
                }
            }
        }
        check::<f32>();
        check::<f64>();
    }
}
