//! Right factors prepared for own tiles.

use super::strategy::Machine;
use super::{Panels, Start, general, own, thin};
use crate::linalg::matrix::{View, shape_mismatch};
use crate::num::{Real, instruction_set};

/// The right factor of products, prepared once for many left ones.
#[derive(Debug, Clone)]
pub(crate) struct Packed<T> {
    /// k×n.
    shape: (usize, usize),
    data: Vec<T>,
    layout: Layout,
}

/// How a prepared factor lies in memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Layout {
    /// For own tiles: panels of w = [`width`] columns, entry (p, j) of panel q at (q k + p) w + j - q w, zeros beyond the last column.
    Panels,
    /// For inner products: entry (p, j) at j k + p.
    Columns,
    /// Where neither is in use.
    Rows,
}

impl<T: Real> Packed<T> {
    /// Prepares B (k×n).
    pub(crate) fn new(b: View<'_, T>) -> Self {
        let (k, n) = b.shape();
        let layout = Machine::here::<T>().layout(k, n);
        let w = match layout {
            Layout::Panels => width::<T>(),
            Layout::Columns => 1,
            Layout::Rows => n.max(1),
        };
        let mut packed = Self { shape: (k, n), data: vec![T::ZERO; n.div_ceil(w) * k * w], layout };
        packed.refill(b);
        packed
    }

    /// k×n.
    pub(super) fn shape(&self) -> (usize, usize) {
        self.shape
    }

    /// Prepares another matrix B of the same shape, in the same memory.
    #[track_caller]
    pub(crate) fn refill(&mut self, b: View<'_, T>) {
        if b.shape() != self.shape {
            shape_mismatch("another matrix in place of a packed one", b.shape(), self.shape);
        }
        self.pieces(b).for_each(Piece::fill);
    }

    /// What fills this memory with another matrix B of the same shape, piece by piece.
    pub(super) fn pieces<'a>(&'a mut self, b: View<'a, T>) -> impl Iterator<Item = Piece<'a, T>> {
        let (k, n) = self.shape;
        let (w, panels) = match self.layout {
            Layout::Panels => (width::<T>(), PANELS),
            Layout::Columns => (1, n),
            Layout::Rows => (n, 1),
        };
        let pieces = self.data.chunks_mut((panels * k * w).max(1)).enumerate();
        pieces.map(move |(piece, data)| Piece { b, first: piece * panels * w, w, data })
    }

    /// C ← α A B + start on this thread.   A: m×k, C: m×n.
    #[track_caller]
    pub(crate) fn product(&self, alpha: T, a: View<'_, T>, start: Start<'_, T>, c: &mut [T]) {
        let (k, n) = self.shape;
        if a.cols != k || c.len() != a.rows * n {
            shape_mismatch("product with a packed matrix", a.shape(), self.shape);
        }
        let (row_stride, col_stride) = match self.layout {
            Layout::Panels => {
                let steps = (k, width::<T>());
                return own(alpha, a, Panels { data: &self.data, shape: self.shape, steps, columns: 0..n }, start, c);
            }
            Layout::Columns if a.col_stride == 1 => {
                return thin::few_columns(alpha, a, &self.data, n, start, c);
            }
            Layout::Columns => (1, k),
            Layout::Rows => (n, 1),
        };
        general(alpha, a, View { data: &self.data, rows: k, cols: n, row_stride, col_stride }, start, c);
    }
}

/// Panels that one task packs.
const PANELS: usize = 4;

/// Some panels of a prepared factor.
pub(super) struct Piece<'a, T> {
    b: View<'a, T>,
    /// The first column.
    first: usize,
    /// Columns of a panel.
    w: usize,
    data: &'a mut [T],
}

impl<T: Real> Piece<'_, T> {
    /// Packs.
    pub(super) fn fill(self) {
        for (q, panel) in self.data.chunks_exact_mut((self.b.rows * self.w).max(1)).enumerate() {
            let first = self.first + q * self.w;
            if self.w == width::<T>() { pack_panel(&self.b, first, panel) } else { pack(&self.b, first, self.w, panel) }
        }
    }
}

/// Columns of a panel: two vectors.
pub(super) fn width<T>() -> usize {
    2 * Machine::of::<T>(instruction_set()).lanes
}

/// Columns [first, first + [`width`]) of B, row after row; what is beyond the last column stays.
pub(super) fn pack_panel<T: Real>(b: &View<'_, T>, first: usize, panel: &mut [T]) {
    let w = width::<T>();
    if b.col_stride == 1 && first + w <= b.cols {
        // copies of a length that the compiler knows
        for (p, row) in panel.chunks_exact_mut(w).enumerate() {
            row.copy_from_slice(&b.data[p * b.row_stride + first..][..w]);
        }
    } else {
        pack(b, first, w, panel);
    }
}

/// The columns of B from `first`, at most w, in rows of length w.
fn pack<T: Real>(b: &View<'_, T>, first: usize, w: usize, out: &mut [T]) {
    let width = w.min(b.cols - first);
    let source = &b.data[first * b.col_stride..];
    if b.col_stride == 1 {
        for (p, row) in out.chunks_exact_mut(w).enumerate() {
            row[..width].copy_from_slice(&source[p * b.row_stride..][..width]);
        }
    } else {
        for j in 0..width {
            let source = source[j * b.col_stride..].iter().step_by(b.row_stride.max(1));
            out[j..].iter_mut().step_by(w).zip(source).for_each(|(x, &y)| *x = y);
        }
    }
}
