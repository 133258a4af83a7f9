//! The median rule for the width of a kernel.

use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::num::{Kernel, Real, dispatch, ln};
use crate::parallel;

/// Pairs whose squares bracket the median of all, at least; and for each particle, as more of them leave fewer squares between the brackets.
const SAMPLE: usize = 4096;
const EACH: usize = 4;
/// How far from the wanted rank the brackets lie, in √(size of the sample): ten standard deviations of the rank of a median.
const REACH: f64 = 5.0;
/// Rows of one task, and squares that are computed side by side.
const LANES: usize = 64;

/// w by the median rule: the median of |x_i - x_j|² over all ordered pairs, i = j too, over log n (Liu and Wang, 2016). O(n² d); of the squares
/// it keeps those near the median, a sixth of them up to 1,024 particles and 5/√n beyond. `Error::Unsupported` where it is 0 or no number.
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
    let mut at = |reach: f64| {
        let place = rank as f64 / pairs as f64 * size as f64 + reach * (size as f64).sqrt();
        (0.0..size as f64).contains(&place).then(|| nth(&mut sample, place as usize))
    };
    let (low, high) = (at(-REACH).unwrap_or(T::NEG_INFINITY), at(REACH).unwrap_or(T::INFINITY));
    let (below, mut kept) = between(x, low, high);
    match rank.checked_sub(below) {
        Some(rank) if rank < kept.len() => nth(&mut kept, rank),
        _ => {
            let (below, mut all) = between(x, T::NEG_INFINITY, T::INFINITY);
            nth(&mut all, rank - below)
        }
    }
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
    let columns = x.transpose();
    let parts = parallel::collect((0..x.rows()).step_by(LANES), |first| {
        dispatch(Between { x, columns: &columns, first, low, high })
    });
    parts.into_iter().fold((0, vec![]), |(below, mut kept), (count, part)| {
        kept.extend(part);
        (below + count, kept)
    })
}

/// [`between`] for the rows from `first` on, [`LANES`] of them.
struct Between<'a, T: Real> {
    x: &'a Matrix<T>,
    columns: &'a Matrix<T>,
    first: usize,
    low: T,
    high: T,
}

impl<T: Real> Kernel for Between<'_, T> {
    type Output = (usize, Vec<T>);
    #[inline(always)]
    fn run<const FMA: bool>(self) -> Self::Output {
        let Self { x, columns, first, low, high } = self;
        let (n, d) = x.shape();
        let (mut below, mut kept) = (0, vec![]);
        for i in first..n.min(first + LANES) {
            for at in (i + 1..n).step_by(LANES) {
                let mut squares = [T::ZERO; LANES];
                let used = LANES.min(n - at);
                for c in 0..d {
                    let (x, y) = (x[(i, c)], &columns.row(c)[at..at + used]);
                    for (square, y) in squares.iter_mut().zip(y) {
                        *square += (x - *y) * (x - *y);
                    }
                }
                let squares = &squares[..used];
                below += squares.iter().filter(|&&s| s < low).count();
                kept.extend(squares.iter().filter(|&&s| !(s < low || s > high)));
            }
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
