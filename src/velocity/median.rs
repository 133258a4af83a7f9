//! The median rule for the width of a kernel.

use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::num::{Kernel, Real, dispatch, ln};
use crate::parallel;
use std::ops::Range;

/// Pairs whose squares bracket the median of all, at least; and for each particle, as more of them leave fewer squares between the brackets.
const SAMPLE: usize = 4096;
const EACH: usize = 8;
/// How far from the wanted rank the brackets lie, in √(size of the sample): two standard deviations of the rank of a median, then ten, then
/// all squares.
const REACHES: [f64; 3] = [1.0, 5.0, f64::INFINITY];
/// Rows of one task, and squares that are computed side by side.
const LANES: usize = 64;
/// Squares that are looked at together for one between the brackets.
const GROUP: usize = 8;

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
    let (n, d) = x.shape();
    // room for whole vectors behind each column
    let columns = Matrix::from_fn(d, n + LANES, |c, i| if i < n { x[(i, c)] } else { T::ZERO });
    let parts = parallel::collect((0..n).step_by(LANES), |first| {
        dispatch(Between { columns: &columns, rows: first..n.min(first + LANES), low, high })
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
}

impl<T: Real> Kernel for Between<'_, T> {
    type Output = (usize, Vec<T>);
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
        let Self { columns, rows, low, high } = self;
        let (n, mut below, mut kept) = (columns.cols() - LANES, 0, vec![]);
        for i in rows {
            let mut count = [T::ZERO; LANES];
            for at in (i + 1..n).step_by(LANES) {
                let mut squares = [T::ZERO; LANES];
                for c in 0..columns.rows() {
                    let (x, y) = (columns[(c, i)], &columns.row(c)[at..at + LANES]);
                    for l in 0..LANES {
                        let gap = x - y[l];
                        squares[l] += gap * gap;
                    }
                }
                // behind the last pair nothing counts, not even beside an infinite bracket
                let used = LANES.min(n - at);
                for square in &mut squares[used..] {
                    *square = T::NAN;
                }
                for l in 0..LANES {
                    count[l] += if squares[l] < low { T::ONE } else { T::ZERO };
                }
                for (g, group) in squares.chunks_exact(GROUP).enumerate() {
                    let mut some = false;
                    for l in 0..GROUP {
                        some |= !((group[l] < low) | (group[l] > high));
                    }
                    if some {
                        let used = used.saturating_sub(g * GROUP).min(GROUP);
                        kept.extend(group[..used].iter().filter(|&&s| !(s < low || s > high)));
                    }
                }
            }
            below += count.iter().map(|c| c.to_f64() as usize).sum::<usize>();
        }
        (below, kept)
    }
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
