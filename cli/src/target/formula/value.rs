//! Values in a formula: numbers along named axes, known now or computed at every point.
//!
//! A value with axes of lengths l₁, …, l_k is a row of l₁ ⋯ l_k numbers for each point, the last axis fastest. The axes are the loop
//! indices in the order in which the loops were opened, then the rows of a matrix, then the components of a vector.

/// An axis: a loop index by its number, or one of the two below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    pub(super) id: usize,
    pub(super) len: usize,
}

/// Rows of a matrix.
pub(super) const ROWS: usize = usize::MAX - 1;
/// Components of a vector.
pub(super) const COMPONENTS: usize = usize::MAX;

/// Where the numbers of a value are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// Here: they are the same for every point.
    Known(Vec<f64>),
    /// The result of this step of the program.
    Computed(usize),
}

/// A number, a vector or a matrix, along loops.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    pub(super) axes: Vec<Axis>,
    pub(super) data: Data,
}

impl Value {
    /// A number.
    pub fn number(x: f64) -> Self {
        Self { axes: vec![], data: Data::Known(vec![x]) }
    }

    /// A vector.
    pub fn vector(entries: Vec<f64>) -> Self {
        Self { axes: vec![Axis { id: COMPONENTS, len: entries.len() }], data: Data::Known(entries) }
    }

    /// A matrix of `rows` rows.
    pub fn matrix(rows: usize, entries: Vec<f64>) -> Self {
        let cols = entries.len() / rows;
        let axes = vec![Axis { id: ROWS, len: rows }, Axis { id: COMPONENTS, len: cols }];
        Self { axes, data: Data::Known(entries) }
    }

    /// How many numbers it has for each point.
    pub(super) fn width(&self) -> usize {
        width(&self.axes)
    }

    pub(super) fn has(&self, id: usize) -> bool {
        self.axes.iter().any(|a| a.id == id)
    }

    pub(super) fn components(&self) -> Option<usize> {
        self.axes.last().filter(|a| a.id == COMPONENTS).map(|a| a.len)
    }

    /// The one number, where it is known now and the same in every loop.
    pub(super) fn as_number(&self) -> Option<f64> {
        match &self.data {
            Data::Known(entries) if self.axes.is_empty() => Some(entries[0]),
            _ => None,
        }
    }

    /// "a number", "a vector of 3 numbers", "a 2×3 matrix".
    pub(super) fn words(&self) -> String {
        let len = |id| self.axes.iter().find(|a| a.id == id).map(|a| a.len);
        match (len(ROWS), len(COMPONENTS)) {
            (Some(m), n) => format!("a {m}×{} matrix", n.unwrap_or(1)),
            (None, Some(n)) => format!("a vector of {n} numbers"),
            (None, None) => "a number".into(),
        }
    }
}

/// How many numbers values with these axes have.
pub(super) fn width(axes: &[Axis]) -> usize {
    axes.iter().map(|a| a.len).fold(1, usize::saturating_mul)
}

/// The union of two lists of axes, in their order; None where an axis has two lengths.
pub(super) fn union(a: &[Axis], b: &[Axis]) -> Option<Vec<Axis>> {
    let mut all = a.to_vec();
    for axis in b {
        match all.iter().find(|x| x.id == axis.id) {
            Some(x) if x.len != axis.len => return None,
            Some(_) => {}
            None => all.push(*axis),
        }
    }
    all.sort_by_key(|a| a.id);
    Some(all)
}

/// For each position of `wide` the position of `narrow`, whose axes are among those of `wide`.
pub(super) fn positions(narrow: &[Axis], wide: &[Axis]) -> Vec<usize> {
    let stride = |id: usize| {
        let at = narrow.iter().position(|a| a.id == id)?;
        Some(width(&narrow[at + 1..]))
    };
    let steps: Vec<(usize, usize)> = wide.iter().map(|a| (a.len, stride(a.id).unwrap_or(0))).collect();
    let one = |mut k: usize| {
        steps.iter().rev().fold(0, |sum, (len, stride)| {
            let digit = k % len;
            k /= len;
            sum + digit * stride
        })
    };
    (0..width(wide)).map(one).collect()
}
