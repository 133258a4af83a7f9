//! Many dimensions: energies and moments of a block of samples as two matrix products, the exponentials between them in cache.

use super::task::{Task, Values};
use crate::linalg::{Matrix, Packed, Start, View};
use crate::num::{Kernel, Real, dispatch};

/// Samples of a block: a tile of 96 queries stays in the second-level cache.
const BLOCK: usize = 256;

/// Partial sums of a reduction; fixed, so that instruction sets of different width add in the same order.
const LANES: usize = 32;

/// The samples as right factors of products, block by block: packed once for all queries.
#[derive(Debug, Clone, Default)]
pub(super) struct Blocks<T>(Vec<Block<T>>);

#[derive(Debug, Clone)]
struct Block<T> {
    /// Yᵀ and Y.
    transposed: Packed<T>,
    samples: Packed<T>,
    /// |y|² of each sample.
    squares: Vec<T>,
}

impl<T: Real> Blocks<T> {
    pub fn new(samples: &[T], d: usize) -> Self {
        let block = |y: &[T]| Block {
            transposed: Packed::new(view(y, d).t()),
            samples: Packed::new(view(y, d)),
            squares: y.chunks_exact(d).map(square).collect(),
        };
        Self(samples.chunks(BLOCK * d).map(block).collect())
    }
}

/// Sums of one query, relative to the nearest sample so far.
#[derive(Clone, Copy)]
struct Row<T> {
    /// |x|² and the smallest |x - y|² so far.
    square: T,
    nearest: T,
    mass: f64,
    mass2: f64,
}

/// One row of a tile: 2 x·y_j comes in, 2^(nearest - |x - y_j|²) goes out, after the nearest sample has been brought up to date.
struct Exponentials<'a, T> {
    row: &'a mut Row<T>,
    /// |y_j|².
    squares: &'a [T],
    tile: &'a mut [T],
}

impl<T: Real> Kernel for Exponentials<'_, T> {
    /// By how much the old sums shrink, as the nearest sample is nearer: 2^(new - old).
    type Output = f64;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> f64 {
        let Self { row, squares, tile } = self;
        let own = row.square;
        for (e, &s) in tile.iter_mut().zip(squares) {
            *e = (own + s) - *e;
        }
        let nearest = lowest(tile, row.nearest);
        let factor = (nearest - row.nearest).to_f64().exp2();
        row.nearest = nearest;
        let (chunks, rest) = tile.as_chunks_mut::<LANES>();
        for e in chunks {
            for e in e {
                *e = (nearest - *e).exp2_body::<FMA>();
            }
        }
        for e in rest {
            *e = (nearest - *e).exp2_body::<FMA>();
        }
        row.mass = row.mass * factor + total(tile);
        row.mass2 *= factor * factor;
        factor
    }
}

/// k ← k², added to the sum.
struct Squares<'a, T> {
    row: &'a mut Row<T>,
    tile: &'a mut [T],
}

impl<T: Real> Kernel for Squares<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for k in &mut *self.tile {
            *k = *k * *k;
        }
        self.row.mass2 += total(self.tile);
    }
}

/// The smallest element, or `start` where that is smaller.
#[inline(always)]
fn lowest<T: Real>(e: &[T], start: T) -> T {
    let mut lanes = [start; LANES];
    let (chunks, rest) = e.as_chunks::<LANES>();
    for e in chunks {
        for l in 0..LANES {
            lanes[l] = if e[l] < lanes[l] { e[l] } else { lanes[l] };
        }
    }
    lanes.iter().chain(rest).copied().fold(start, |m, e| if e < m { e } else { m })
}

#[inline(always)]
fn total<T: Real>(k: &[T]) -> f64 {
    let mut lanes = [T::ZERO; LANES];
    let (chunks, rest) = k.as_chunks::<LANES>();
    for k in chunks {
        for l in 0..LANES {
            lanes[l] += k[l];
        }
    }
    lanes.iter().chain(rest).copied().sum::<T>().to_f64()
}

/// All queries of the task.
pub(super) fn run<T: Real>(task: &mut Task<'_, T>) {
    let (kde, d, rows) = (task.kde, task.kde.d, task.log_density.len());
    let x = kde.scaled(task.queries);
    let row = |x: &[T]| Row { square: square(x), nearest: T::INFINITY, mass: 0.0, mass2: 0.0 };
    let mut sums: Vec<Row<T>> = x.chunks_exact(d).map(row).collect();
    let moments = if task.second.is_some() { 2 } else { 1 };
    let mut shifts = vec![Matrix::<f64>::zeros(rows, d); moments];
    let (mut tile, mut part) = (Matrix::zeros(0, 0), Matrix::zeros(rows, d));
    let zero = Start::Scaled(T::ZERO);
    for Block { transposed, samples, squares } in &kde.blocks.0 {
        tile.reshape_reuse(rows, squares.len());
        transposed.product(T::from_f64(2.0), view(&x, d), zero, tile.as_mut_slice());
        for (i, row) in sums.iter_mut().enumerate() {
            let factor = dispatch(Exponentials { row, squares, tile: tile.row_mut(i) });
            if factor != 1.0 {
                shifts[0].row_mut(i).iter_mut().for_each(|s| *s *= factor);
                shifts.get_mut(1).into_iter().for_each(|m| m.row_mut(i).iter_mut().for_each(|s| *s *= factor * factor));
            }
        }
        for (moment, shift) in shifts.iter_mut().enumerate() {
            if moment == 1 {
                for (i, row) in sums.iter_mut().enumerate() {
                    dispatch(Squares { row, tile: tile.row_mut(i) });
                }
            }
            samples.product(T::ONE, tile.view(), zero, part.as_mut_slice());
            shift.as_mut_slice().iter_mut().zip(part.as_slice()).for_each(|(s, p)| *s += p.to_f64());
        }
    }
    for (i, (row, x)) in sums.iter().zip(x.chunks_exact(d)).enumerate() {
        let values = Values { offset: row.nearest.to_f64(), mass: row.mass, mass2: row.mass2 };
        // the products gave Σ k y
        let shift = |c: usize| shifts[0][(i, c)] - row.mass * x[c].to_f64();
        let shift2 = |c: usize| shifts[moments - 1][(i, c)] - row.mass2 * x[c].to_f64();
        task.store(i, values, shift, shift2);
    }
}

/// |x|².
fn square<T: Real>(x: &[T]) -> T {
    T::from_f64(x.iter().map(|x| x.to_f64().powi(2)).sum())
}

fn view<T>(data: &[T], d: usize) -> View<'_, T> {
    View { data, rows: data.len() / d, cols: d, row_stride: d, col_stride: 1 }
}
