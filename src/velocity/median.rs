//! The median rule for the width of a kernel.

use crate::error::{Error, Result};
use crate::linalg::Matrix;
#[cfg(target_arch = "x86_64")]
use crate::num::{Avx512, Wide};
use crate::num::{InstructionSet, Kernel, Real, dispatch, instruction_set, ln};
use crate::parallel;
use std::ops::Range;

/// Pairs whose squares bracket the median of all, at least; and for each particle, as more of them leave fewer squares between the brackets.
const SAMPLE: usize = 4096;
const EACH: usize = 8;
/// How far from the wanted rank the brackets lie, in √(size of the sample): two standard deviations of the rank of a median, then ten, then
/// all squares.
const REACHES: [f64; 3] = [1.0, 5.0, f64::INFINITY];
/// Rows of one task.
const ROWS: usize = 64;
/// Squares that are computed side by side.
const LANES: usize = 64;
/// Vectors of them, where there are vectors of 512 bits.
const TILE: usize = 4;

/// w by the median rule: the median of |x_i - x_j|² over all ordered pairs, i = j too, over log n (Liu and Wang, 2016). O(n² d); of the squares
/// it keeps those near the median, mostly a thirtieth of them up to 512 particles and 0.7/√n beyond. `Error::Unsupported` where it is 0 or no
/// number.
pub fn median_width<T: Real>(x: &Matrix<T>) -> Result<f64> {
    let width = median_square(x).to_f64() / ln(x.rows() as f64);
    if width > 0.0 && width.is_finite() {
        return Ok(width);
    }
    Err(Error::Unsupported {
        what: format!("the median rule gives a kernel of width {width} for {} particles", x.rows()),
        remedy: "give the kernel's width, or start at least 3 particles at different places",
    })
}

/// The number of rank n²/2, from 0, among all |x_i - x_j|².
fn median_square<T: Real>(x: &Matrix<T>) -> T {
    let n = x.rows();
    // n zeros come first, then each pair twice
    let Some(rank) = (n * n / 2).checked_sub(n).map(|rank| rank / 2) else { return T::ZERO };
    let pairs = n * (n - 1) / 2;
    if pairs <= SAMPLE {
        return nth(&mut between(x, T::NEG_INFINITY, T::INFINITY).1, rank);
    }
    let size = SAMPLE.max(EACH * n);
    let mut sample: Vec<T> = (0..size)
        .map(|k| square(x, some(k, 0.618_033_988_749_894_9, n), some(k, 0.414_213_562_373_095_1, n)))
        .collect();
    let mut bracket = |reach: f64, none: T| {
        let place = rank as f64 / pairs as f64 * size as f64 + reach * (size as f64).sqrt();
        if (0.0..size as f64).contains(&place) { nth(&mut sample, place as usize) } else { none }
    };
    for reach in REACHES {
        let (low, high) = (bracket(-reach, T::NEG_INFINITY), bracket(reach, T::INFINITY));
        let (below, mut kept) = between(x, low, high);
        if let Some(rank) = rank.checked_sub(below).filter(|&rank| rank < kept.len()) {
            return nth(&mut kept, rank);
        }
    }
    unreachable!("all squares lie between -∞ and ∞, or are no numbers")
}

/// The k-th number of a sequence of small discrepancy in 0..n.
fn some(k: usize, step: f64, n: usize) -> usize {
    (((k as f64 + 0.5) * step).fract() * n as f64) as usize
}

fn ascending<T: Real>(a: &T, b: &T) -> std::cmp::Ordering {
    a.to_f64().total_cmp(&b.to_f64())
}

fn nth<T: Real>(squares: &mut [T], rank: usize) -> T {
    *squares.select_nth_unstable_by(rank, ascending).1
}

fn square<T: Real>(x: &Matrix<T>, i: usize, j: usize) -> T {
    x.row(i).iter().zip(x.row(j)).map(|(&a, &b)| (a - b) * (a - b)).sum()
}

/// How many of the |x_i - x_j|², i < j, are below `low`, and those from there to `high`; what is no number counts as high.
fn between<T: Real>(x: &Matrix<T>, low: T, high: T) -> (usize, Vec<T>) {
    let (n, columns) = (x.rows(), x.transpose());
    let parts = parallel::collect((0..n).step_by(ROWS), |first| {
        let rows = first..n.min(first + ROWS);
        dispatch(Between { columns: &columns, rows, low, high, set: instruction_set() })
    });
    parts.into_iter().fold((0, vec![]), |(below, mut kept), (count, part)| {
        kept.extend(part);
        (below + count, kept)
    })
}

/// [`between`] for some rows.
struct Between<'a, T: Real> {
    columns: &'a Matrix<T>,
    rows: Range<usize>,
    low: T,
    high: T,
    /// Where the task runs.
    set: InstructionSet,
}

impl<T: Real> Kernel for Between<'_, T> {
    type Output = (usize, Vec<T>);
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
        let Self { columns, low, high, .. } = self;
        let n = columns.cols();
        let (mut below, mut kept) = (0, vec![]);
        let (mut room, mut filled) = ([T::ZERO; 4 * LANES], 0);
        for i in self.rows.clone() {
            let mut at = i + 1;
            while at < n {
                if filled > 3 * LANES {
                    kept.extend_from_slice(&room[..filled]);
                    filled = 0;
                }
                let used = LANES.min(n - at);
                #[cfg(target_arch = "x86_64")]
                if let (Some(machine), LANES) = (self.set.wide(), used) {
                    let (less, put) = sift(machine, columns, i, at, (low, high), &mut room[filled..]);
                    (below, filled, at) = (below + less, filled + put, at + LANES);
                    continue;
                }
                let mut squares = [T::ZERO; LANES];
                for c in 0..columns.rows() {
                    let (x, y) = (columns[(c, i)], &columns.row(c)[at..at + used]);
                    for (square, y) in squares.iter_mut().zip(y) {
                        *square += (x - *y) * (x - *y);
                    }
                }
                for &s in &squares[..used] {
                    // without a branch, which would be foretold wrongly
                    room[filled] = s;
                    filled += usize::from(!((s < low) | (s > high)));
                    below += usize::from(s < low);
                }
                at += used;
            }
        }
        kept.extend_from_slice(&room[..filled]);
        (below, kept)
    }
}

/// The squares for row i and the [`LANES`] rows from `at` on: those in the bracket at the start of `room`, (how many are below, how many there).
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn sift<T: Real>(
    machine: Avx512,
    columns: &Matrix<T>,
    i: usize,
    at: usize,
    bracket: (T, T),
    room: &mut [T],
) -> (usize, usize) {
    let (low, high) = (T::Wide::splat(machine, bracket.0), T::Wide::splat(machine, bracket.1));
    let (mut below, mut filled) = (0, 0);
    for part in (at..at + LANES).step_by(TILE * T::Wide::WIDTH) {
        let mut squares = [T::Wide::splat(machine, T::ZERO); TILE];
        for c in 0..columns.rows() {
            let column = columns.row(c);
            let (x, y) = (T::Wide::splat(machine, column[i]), &column[part..part + TILE * T::Wide::WIDTH]);
            for t in 0..TILE {
                let gap = x.minus(T::Wide::load(machine, &y[t * T::Wide::WIDTH..]));
                squares[t] = squares[t].plus(gap.times(gap));
            }
        }
        for t in 0..TILE {
            let (less, put) = squares[t].sift(low, high, &mut room[filled..]);
            (below, filled) = (below + less, filled + put);
        }
    }
    (below, filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks the median against that of the sorted list of all ordered pairs, for numbers of particles that do and do not fill a sample, for
    /// clouds in which half of the distances are equal, and for a sample that misses: particles that stand in the order of a line.
    #[test]
    fn median_is_that_of_all_pairs() {
        let normal = |n, d| normal_matrix::<f64>(1, Purpose::Check, 1, n, d);
        let line = |n: usize| Matrix::from_fn(n, 1, |i, _| (i as f64).powi(3));
        let two = Matrix::from_fn(150, 2, |i, _| f64::from(i as u32 % 2));
        for x in [normal(2, 2), normal(3, 1), normal(80, 3), normal(300, 2), normal(301, 7), line(200), two] {
            let n = x.rows();
            let mut all: Vec<f64> = (0..n * n).map(|k| square(&x, k / n, k % n)).collect();
            all.sort_by(f64::total_cmp);
            assert_eq!(median_square(&x), all[n * n / 2], "{n} particles");
        }
    }

    /// Checks that one particle, equal particles and particles that are no numbers are refused, with the width and the number of particles.
    #[test]
    fn widths_that_are_none_are_refused() {
        for x in [Matrix::zeros(1, 2), Matrix::zeros(90, 2), Matrix::from_fn(100, 2, |_, _| f64::NAN)] {
            assert!(median_width::<f64>(&x).unwrap_err().to_string().contains(&format!("{} particles", x.rows())));
        }
    }
}
