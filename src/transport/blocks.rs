//! Blocks of near points: pairs of blocks between which a plan has no mass worth reading are left out together.

use crate::linalg::Matrix;
use crate::num::{Real, exp2};
use crate::parallel;
use crate::transport::sweep::{LANES, ROWS};
use crate::transport::{Cloud, Cost};
use std::ops::Range;

/// Points of a block: whole tasks of rows and whole lanes of columns.
pub(super) const BLOCK: usize = 64;
const _: () = assert!(BLOCK.is_multiple_of(ROWS) && BLOCK.is_multiple_of(LANES));

/// An order in which each aligned run of 2^k points is a cell of a tree that cuts the longest side.
pub(super) fn order<T: Real>(x: &Matrix<T>) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..x.rows()).collect();
    cut(x, &mut rows);
    rows
}

fn cut<T: Real>(x: &Matrix<T>, rows: &mut [usize]) {
    if rows.len() <= 1 {
        return;
    }
    let (low, high) = bounds(x, rows.iter().copied());
    let length = |j: &usize| high[*j] - low[*j];
    let axis = (0..x.cols()).max_by(|a, b| length(a).total_cmp(&length(b))).unwrap_or(0);
    // the largest power of 2 below, so that all runs but the last are full
    let half = rows.len().next_power_of_two() / 2;
    let at = |i: usize| x[(i, axis)].to_f64();
    rows.select_nth_unstable_by(half, |&i, &j| at(i).total_cmp(&at(j)).then(i.cmp(&j)));
    let (left, right) = rows.split_at_mut(half);
    cut(x, left);
    cut(x, right);
}

/// Runs of at most `size` points of a cloud in [`order`], a power of 2, cut until the mean squared distance from the mean is at most `spread`.
pub(super) fn runs<T: Real>(a: &Cloud<T>, size: usize, spread: f64) -> Vec<Range<usize>> {
    let mut open: Vec<Range<usize>> = (0..a.len()).step_by(size).map(|from| from..(from + size).min(a.len())).collect();
    open.reverse();
    let mut out = Vec::new();
    while let Some(run) = open.pop() {
        if run.len() == 1 || a.mean_of(&run).1 <= spread {
            out.push(run);
        } else {
            let half = run.start + run.len().next_power_of_two() / 2;
            open.extend([half..run.end, run.start..half]);
        }
    }
    out
}

/// Groups of rows and of columns.
pub(super) struct Groups {
    /// The rows of each group.
    pub rows: Vec<Range<usize>>,
    /// The group of each column.
    pub columns: Vec<usize>,
    /// Groups of columns.
    pub count: usize,
}

/// The smallest box around rows of x: lower and upper corner.
pub(super) fn bounds<T: Real>(x: &Matrix<T>, rows: impl Iterator<Item = usize>) -> (Vec<f64>, Vec<f64>) {
    let (mut low, mut high) = (vec![f64::INFINITY; x.cols()], vec![f64::NEG_INFINITY; x.cols()]);
    for i in rows {
        for (j, x) in x.row(i).iter().enumerate() {
            low[j] = low[j].min(x.to_f64());
            high[j] = high[j].max(x.to_f64());
        }
    }
    (low, high)
}

/// The blocks of a cloud in [`order`], with what bounds the plan there.
pub(super) struct Blocks {
    corners: Vec<(Vec<f64>, Vec<f64>)>,
    /// Σ a of the block.
    masses: Vec<f64>,
    /// Largest potential of the block.
    potentials: Vec<f64>,
    /// Number of points, up to whole lanes.
    padded: usize,
}

impl Blocks {
    pub fn of<T: Real>(a: &Cloud<T>, potentials: &[T]) -> Self {
        let ranges = (0..a.len()).step_by(BLOCK).map(|from| from..(from + BLOCK).min(a.len()));
        let largest = |of: &[T]| of.iter().map(|p| p.to_f64()).fold(f64::NEG_INFINITY, f64::max);
        Self {
            corners: ranges.map(|rows| bounds(a.points(), rows)).collect(),
            masses: a.weights().chunks(BLOCK).map(|w| w.iter().sum()).collect(),
            potentials: potentials.chunks(BLOCK).map(largest).collect(),
            padded: a.padded(),
        }
    }

    fn len(&self) -> usize {
        self.masses.len()
    }

    /// log₂ of the largest density of the plan over a⊗b that a pair of points of two blocks can have.
    fn exponent(&self, i: usize, other: &Self, j: usize, kappa: f64, cost: Cost) -> f64 {
        let ((low, high), (l, h)) = (&self.corners[i], &other.corners[j]);
        let gaps = (0..low.len()).map(|k| (low[k] - h[k]).max(l[k] - high[k]).max(0.0));
        self.potentials[i] + other.potentials[j] - kappa * cost.at_square(gaps.map(|g| g * g).sum())
    }
}

/// Which columns each block of rows reads: ranges (from, to), of whole blocks.
pub(super) struct Kept {
    /// The blocks of columns that each block of rows reads, in order.
    blocks: Vec<Vec<usize>>,
    starts: Vec<usize>,
    ranges: Vec<(usize, usize)>,
}

impl Kept {
    /// The columns of a row.
    pub fn of(&self, row: usize) -> &[(usize, usize)] {
        let block = row / BLOCK;
        &self.ranges[self.starts[block]..self.starts[block + 1]]
    }

    /// From the blocks that each block reads, in order.
    fn joined(blocks: Vec<Vec<usize>>, padded: usize) -> Self {
        let mut out = Self { blocks: Vec::new(), starts: vec![0], ranges: Vec::new() };
        for near in &blocks {
            let begin = out.ranges.len();
            for &j in near {
                let (from, to) = (j * BLOCK, ((j + 1) * BLOCK).min(padded));
                match out.ranges[begin..].last_mut() {
                    Some(last) if last.1 == from => last.1 = to,
                    _ => out.ranges.push((from, to)),
                }
            }
            out.starts.push(out.ranges.len());
        }
        Self { blocks, ..out }
    }
}

/// The pairs of blocks of a plan that are read.
pub(super) struct Near {
    /// What rows read.
    pub rows: Kept,
    /// What columns read.
    pub columns: Kept,
}

impl Near {
    /// All pairs of blocks whose density can exceed 2^`least`, and for each block on either side the pair with the largest.
    pub fn choose(a: &Blocks, b: &Blocks, kappa: f64, cost: Cost, least: f64) -> Self {
        let best = |x: &Blocks, y: &Blocks| {
            parallel::collect(0..x.len(), |i| {
                let each = (0..y.len()).map(|j| (j, x.exponent(i, y, j, kappa, cost)));
                each.max_by(|(_, e), (_, f)| e.total_cmp(f)).expect("a cloud has points").0
            })
        };
        let (of_rows, of_columns) = (best(a, b), best(b, a));
        let near = parallel::collect(0..a.len(), |i| {
            let reads =
                |j: &usize| of_rows[i] == *j || of_columns[*j] == i || a.exponent(i, b, *j, kappa, cost) > least;
            (0..b.len()).filter(reads).collect::<Vec<_>>()
        });
        let mut turned = vec![Vec::new(); b.len()];
        near.iter().enumerate().for_each(|(i, near)| near.iter().for_each(|&j| turned[j].push(i)));
        Self { rows: Kept::joined(near, b.padded), columns: Kept::joined(turned, a.padded) }
    }

    /// An upper bound of the mass of the plan in the pairs that are not read.
    pub fn skipped(&self, a: &Blocks, b: &Blocks, kappa: f64, cost: Cost) -> f64 {
        let of_block = |i: usize| {
            let mut near = self.rows.blocks[i].iter().peekable();
            let mut sum = 0.0;
            for j in 0..b.len() {
                if near.next_if_eq(&&j).is_none() {
                    sum += a.masses[i] * b.masses[j] * exp2(a.exponent(i, b, j, kappa, cost));
                }
            }
            sum
        };
        parallel::collect(0..a.len(), of_block).iter().sum()
    }
}
