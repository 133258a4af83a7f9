//! Small matrices of dual numbers with every operation as an obvious formula for entry (i, j).

use crate::autodiff::{Dual, Path, Scalar};

/// A number with two derivatives (`value.slope` and `slope.value` first, `slope.slope` second) and the path sum of each.
pub type Number = Dual<Dual<Path>>;

/// A rows×cols table of numbers.
#[derive(Debug, Clone)]
pub struct Grid {
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// The entries, row after row.
    pub entries: Vec<Number>,
}

impl Grid {
    /// Entry (i, j) is `f(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, f: impl Fn(usize, usize) -> Number) -> Self {
        let entries = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j))).map(|(i, j)| f(i, j)).collect();
        Self { rows, cols, entries }
    }

    /// (rows, cols).
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }

    /// Entry (i, j).
    pub fn at(&self, i: usize, j: usize) -> Number {
        assert!(i < self.rows && j < self.cols);
        self.entries[i * self.cols + j]
    }

    /// Entry (i, j) of the grid repeated along its axes of length 1.
    pub fn spread(&self, i: usize, j: usize) -> Number {
        self.at(if self.rows == 1 { 0 } else { i }, if self.cols == 1 { 0 } else { j })
    }

    /// f(a_ij).
    pub fn map(&self, f: impl Fn(Number) -> Number) -> Self {
        Self { entries: self.entries.iter().map(|&x| f(x)).collect(), ..*self }
    }

    /// f(a_ij, b_ij) with broadcasting.
    pub fn zip(&self, b: &Self, f: impl Fn(Number, Number) -> Number) -> Self {
        let axis = |m, n| if m == 1 { n } else { m };
        let (rows, cols) = (axis(self.rows, b.rows), axis(self.cols, b.cols));
        Self::from_fn(rows, cols, |i, j| f(self.spread(i, j), b.spread(i, j)))
    }

    /// The transpose.
    pub fn t(&self) -> Self {
        Self::from_fn(self.cols, self.rows, |i, j| self.at(j, i))
    }

    /// Σ_k a_ik b_kj.
    pub fn matmul(&self, b: &Self) -> Self {
        assert_eq!(self.cols, b.rows);
        Self::from_fn(self.rows, b.cols, |i, j| total((0..self.cols).map(|k| self.at(i, k) * b.at(k, j))))
    }

    /// For each row f(row), as a column.
    pub fn by_row(&self, f: impl Fn(&[Number]) -> Number) -> Self {
        Self::from_fn(self.rows, 1, |i, _| f(&self.entries[i * self.cols..(i + 1) * self.cols]))
    }
}

/// Σ of numbers, in order; 0 for none.
pub fn total(x: impl Iterator<Item = Number>) -> Number {
    x.reduce(|a, b| a + b).unwrap_or(Number::constant(0.0))
}

/// log Σ e^x; the shift is a constant, because it cancels. -inf for an empty row.
pub fn log_sum_exp(x: &[Number]) -> Number {
    if x.is_empty() {
        return Number::constant(f64::NEG_INFINITY);
    }
    let top = x.iter().map(|x| x.real()).fold(f64::NEG_INFINITY, |a, b| if a >= b || a.is_nan() { a } else { b });
    let top = Number::constant(if top.is_infinite() { 0.0 } else { top });
    total(x.iter().map(|&x| (x - top).exp())).ln() + top
}
