//! Which way a product goes: one table, by shape and storage.

use super::packed::Layout;
use super::{OWN_KERNELS, thin};
use crate::linalg::matrix::View;
use crate::num::{InstructionSet, instruction_set, instruction_sets};
use std::fmt::Write;

/// Most rows of B for own tiles: a panel then takes half of the first-level cache, or two thirds where vectors have 512 bits.
const MOST_TERMS: usize = 256;
/// Most bytes of B for own tiles: half of a second-level cache.
const MOST_BYTES: usize = 1 << 18;

/// Most rows of A for which B is not worth packing where it can be read in place.
const FEW_ROWS: usize = 72;

/// The ways of a product, each with its file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Strategy {
    /// Own tiles for Cᵀ = Bᵀ Aᵀ, Aᵀ where it is: A with few columns would leave most of a vector empty.
    Transposed,
    /// Own tiles, B where it is: for so few rows packing does not pay.
    InPlace,
    /// Own tiles, B packed panel by panel for this product alone.
    Once,
    /// Rows of A times the few columns of B.
    InnerProducts,
    /// Own tiles, B packed in panels beforehand.
    Panels,
    /// `matrixmultiply`: large factors, and machines without tiles of ours.
    General,
}

impl Strategy {
    fn name(self) -> &'static str {
        match self {
            Self::Transposed => "own tiles, transposed",
            Self::InPlace => "own tiles, B in place",
            Self::Once => "own tiles, B packed once",
            Self::InnerProducts => "inner products",
            Self::Panels => "own tiles, B prepared",
            Self::General => "matrixmultiply",
        }
    }
}

/// A product A B, A: m×k, B: k×n.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    /// Whether B is prepared already.
    pub prepared: bool,
    /// Whether rows of A, columns of A, rows of B are contiguous.
    pub a_rows: bool,
    pub a_columns: bool,
    pub b_rows: bool,
}

impl Case {
    pub fn of<T>(a: &View<'_, T>, b: &View<'_, T>, prepared: bool) -> Self {
        let (a_rows, a_columns, b_rows) = (a.col_stride == 1, a.row_stride == 1, b.col_stride == 1);
        Self { m: a.rows, k: a.cols, n: b.cols, prepared, a_rows, a_columns, b_rows }
    }
}

/// What own tiles have to work with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Machine {
    /// Whether there are own tiles; without the feature `own-kernels` there are none.
    pub tiles: bool,
    /// Numbers in a vector.
    pub lanes: usize,
    /// Bytes of a number.
    pub bytes: usize,
}

impl Machine {
    /// For the instruction set of this process.
    pub fn here<T>() -> Self {
        Self::of::<T>(instruction_set())
    }

    pub fn of<T>(set: InstructionSet) -> Self {
        let (vector, bytes) = (if set == InstructionSet::Avx512 { 64 } else { 32 }, size_of::<T>());
        Self { tiles: OWN_KERNELS && set != InstructionSet::Portable, lanes: vector / bytes, bytes }
    }

    /// Whether own tiles are the fastest way for sums of k terms with one factor of n rows or columns in the second-level cache.
    fn stays_in_cache(&self, k: usize, n: usize) -> bool {
        self.tiles && (1..=MOST_TERMS).contains(&k) && k * n * self.bytes <= MOST_BYTES
    }

    /// The fastest way for a right factor of k×n that is prepared once.
    pub fn layout(&self, k: usize, n: usize) -> Layout {
        if !self.tiles {
            Layout::Rows
        } else if n <= thin::FEW {
            Layout::Columns
        } else if self.stays_in_cache(k, n) {
            Layout::Panels
        } else {
            Layout::Rows
        }
    }
}

/// The way of a product, the same whatever the numbers and the threads are.
pub(super) fn choose(case: &Case, machine: Machine) -> Strategy {
    let Case { m, k, n, prepared, a_rows, a_columns, b_rows } = *case;
    let a_in_cache = machine.stays_in_cache(k, m);
    if n <= thin::FEW && a_in_cache && a_columns && m.is_multiple_of(machine.lanes) {
        return Strategy::Transposed;
    }
    if n > thin::FEW && a_in_cache && !prepared {
        let in_place = m <= FEW_ROWS && b_rows && n.is_multiple_of(machine.lanes);
        return if in_place { Strategy::InPlace } else { Strategy::Once };
    }
    match machine.layout(k, n) {
        Layout::Columns if a_rows => Strategy::InnerProducts,
        Layout::Panels => Strategy::Panels,
        _ => Strategy::General,
    }
}

/// The ways of typical products C = A B in f32 on each instruction set of this machine, as a table: forward and backward through a network
/// 2-128-128-2 with a chunk of 64 rows, a whole batch of 4096 rows, and factors too large for a cache.
pub fn strategies() -> String {
    let sets: Vec<_> = instruction_sets().into_iter().map(|set| (set.name(), Machine::of::<f32>(set))).collect();
    table(&sets)
}

/// The table for some machines.
fn table(machines: &[(&str, Machine)]) -> String {
    let case =
        |m, k, n, prepared, a_columns: bool| Case { m, k, n, prepared, a_rows: !a_columns, a_columns, b_rows: true };
    let cases = [
        case(64, 2, 128, true, false),
        case(64, 128, 128, true, false),
        case(64, 128, 2, true, false),
        case(4096, 128, 128, true, false),
        case(4096, 128, 128, false, false),
        case(4096, 128, 2, false, false),
        case(64, 128, 128, false, false),
        case(128, 64, 128, false, true),
        case(128, 64, 2, false, true),
        case(100, 64, 2, false, true),
        case(128, 4096, 128, false, true),
        case(2048, 1024, 1024, false, false),
    ];
    let mut text = format!("{:>5} {:>5} {:>5}  {:<10} {:<9}", "m", "k", "n", "A", "B");
    machines.iter().for_each(|(name, _)| write!(text, " {name:<25}").expect("a string grows"));
    for case in cases {
        text.truncate(text.trim_end().len());
        let (a, b) =
            (if case.a_columns { "by columns" } else { "by rows" }, if case.prepared { "prepared" } else { "" });
        write!(text, "\n{:>5} {:>5} {:>5}  {a:<10} {b:<9}", case.m, case.k, case.n).expect("a string grows");
        for (_, machine) in machines {
            write!(text, " {:<25}", choose(&case, *machine).name()).expect("a string grows");
        }
    }
    text.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the way of each product of the table on the three kinds of machines, against the table as it was decided by timings.
    #[test]
    fn the_table() {
        let on = |lanes| Machine { tiles: true, lanes, bytes: 4 };
        let none = Machine { tiles: false, ..on(8) };
        let expected = "    \
    m     k     n  A          B         portable                  avx2                      avx512
   64     2   128  by rows    prepared  matrixmultiply            own tiles, B prepared     own tiles, B prepared
   64   128   128  by rows    prepared  matrixmultiply            own tiles, B prepared     own tiles, B prepared
   64   128     2  by rows    prepared  matrixmultiply            inner products            inner products
 4096   128   128  by rows    prepared  matrixmultiply            own tiles, B prepared     own tiles, B prepared
 4096   128   128  by rows              matrixmultiply            own tiles, B prepared     own tiles, B prepared
 4096   128     2  by rows              matrixmultiply            inner products            inner products
   64   128   128  by rows              matrixmultiply            own tiles, B in place     own tiles, B in place
  128    64   128  by columns           matrixmultiply            own tiles, B packed once  own tiles, B packed once
  128    64     2  by columns           matrixmultiply            own tiles, transposed     own tiles, transposed
  100    64     2  by columns           matrixmultiply            matrixmultiply            matrixmultiply
  128  4096   128  by columns           matrixmultiply            matrixmultiply            matrixmultiply
 2048  1024  1024  by rows              matrixmultiply            matrixmultiply            matrixmultiply
";
        assert!(OWN_KERNELS || !Machine::here::<f32>().tiles);
        assert_eq!(table(&[("portable", none), ("avx2", on(8)), ("avx512", on(16))]), expected);
    }
}
