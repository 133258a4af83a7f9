//! Many dimensions: energies and moments of a block of samples as two matrix products, the exponentials between them in cache.

use super::task::{Task, Values};
use crate::linalg::{Matrix, Packed, Start, View};
use crate::num::{Kernel, Real, dispatch};

/// Samples of a block: with 48 queries the tile stays close to the first-level cache, and the products are long enough.
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
    /// -|y|² of each sample.
    squares: Vec<T>,
}

impl<T: Real> Blocks<T> {
    pub fn new(samples: &[T], d: usize) -> Self {
        let block = |y: &[T]| Block {
            transposed: Packed::new(view(y, d).t()),
            samples: Packed::new(view(y, d)),
            squares: y.chunks_exact(d).map(|y| -square(y)).collect(),
        };
        Self(samples.chunks(BLOCK * d).map(block).collect())
    }
}

/// Sums of one query, relative to the nearest sample so far.
#[derive(Clone, Copy)]
struct Row<T> {
    /// The largest 2 x·y_j - |y_j|² = |x|² - |x - y_j|² so far.
    top: T,
    mass: f64,
    mass2: f64,
}

/// One row of a tile: e_j = 2 x·y_j - |y_j|² comes in, 2^(e_j - top) goes out, after the top has been brought up to date.
struct Exponentials<'a, T> {
    row: &'a mut Row<T>,
    tile: &'a mut [T],
}

impl<T: Real> Kernel for Exponentials<'_, T> {
    /// By how much the old sums shrink, as the top is higher: 2^(old - new).
    type Output = f64;
    #[inline(always)]
    fn run<const FMA: bool>(self) -> f64 {
        let Self { row, tile } = self;
        let top = highest(tile, row.top);
        let factor = (row.top - top).to_f64().exp2();
        row.top = top;
        let (chunks, rest) = tile.as_chunks_mut::<LANES>();
        for e in chunks {
            for e in e {
                *e = (*e - top).exp2_body::<FMA>();
            }
        }
        for e in rest {
            *e = (*e - top).exp2_body::<FMA>();
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

/// The largest element, or `start` where that is larger.
#[inline(always)]
fn highest<T: Real>(e: &[T], start: T) -> T {
    let mut lanes = [start; LANES];
    let (chunks, rest) = e.as_chunks::<LANES>();
    for e in chunks.iter() {
        for l in 0..LANES {
            lanes[l] = if e[l] > lanes[l] { e[l] } else { lanes[l] };
        }
    }
    for (e, top) in rest.iter().zip(&mut lanes) {
        *top = if *e > *top { *e } else { *top };
    }
    folded(lanes, |a, b| if b > a { b } else { a })
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
    rest.iter().zip(&mut lanes).for_each(|(&k, sum)| *sum += k);
    folded(lanes, |a, b| a + b).to_f64()
}

/// One number of the lanes, by halves: a chain of 5 operations and not of 32.
#[inline(always)]
fn folded<T: Real>(mut lanes: [T; LANES], f: impl Fn(T, T) -> T) -> T {
    for half in [16, 8, 4, 2, 1] {
        for l in 0..half {
            lanes[l] = f(lanes[l], lanes[l + half]);
        }
    }
    lanes[0]
}

/// All queries of the task.
pub(super) fn run<T: Real>(task: &mut Task<'_, T>) {
    let (kde, d, rows) = (task.kde, task.kde.d, task.log_density.len());
    let x = kde.scaled(task.queries);
    let twice: Vec<T> = x.iter().map(|&x| x + x).collect();
    let mut sums = vec![Row { top: T::NEG_INFINITY, mass: 0.0, mass2: 0.0 }; rows];
    let moments = if task.second.is_some() { 2 } else { 1 };
    let mut shifts = vec![Matrix::<f64>::zeros(rows, d); moments];
    let (mut tile, mut part) = (Matrix::zeros(0, 0), Matrix::zeros(rows, d));
    let zero = Start::Scaled(T::ZERO);
    for Block { transposed, samples, squares } in &kde.blocks.0 {
        tile.reshape_reuse(rows, squares.len());
        transposed.product(T::ONE, view(&twice, d), Start::Row(squares), tile.as_mut_slice());
        for (i, row) in sums.iter_mut().enumerate() {
            let factor = dispatch(Exponentials { row, tile: tile.row_mut(i) });
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
        let offset = (square(x) - row.top).to_f64();
        let values = Values { offset, mass: row.mass, mass2: row.mass2 };
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
