//! [`Strategy::Once`](super::Strategy): own tiles, one panel of B packed after the other, for one product.

use super::Start;
use super::own::{Panels, Shared, own_columns};
use super::packed::{pack_panel, width};
use crate::linalg::matrix::View;
use crate::num::{Real, instruction_set};
use crate::parallel;

/// Panels of a block.
const BLOCK_PANELS: usize = 4;

/// C ← α A B + start, by blocks of columns in parallel, or `alone` on this thread.
pub(super) fn once<T: Real>(alpha: T, a: View<'_, T>, b: View<'_, T>, start: Start<'_, T>, c: &mut [T], alone: bool) {
    let (k, n, w) = (b.rows, b.cols, width::<T>());
    let c = Shared::of(c);
    let block = if alone { n } else { BLOCK_PANELS * w };
    parallel::pieces((0..n).step_by(block), |low| {
        let mut panel = vec![T::ZERO; k * w];
        for first in (low..(low + block).min(n)).step_by(w) {
            pack_panel(&b, first, &mut panel);
            let columns = first..(first + w).min(n);
            let panels = Panels { data: &panel, shape: (k, n), steps: (0, w), columns };
            // SAFETY: C is ours, and no other task has these columns.
            unsafe { own_columns(instruction_set(), alpha, a, panels, start, &c) };
        }
    });
}
