//! [`sweep`](super::lanes::sweep) on 512-bit vectors, for a few coordinates: one pass over the samples, all sums in registers.
//!
//! 17 instructions for a vector of pairs in the plane, where passes take 22 and their loads. Each query is summed in the same order with the
//! same roundings, so the bits are those of the passes.

use super::lanes::{BLOCK, LANES, Lanes, MASS, MASS2, SHIFT, block};
use crate::num::{Avx512, Real, Wide};

/// Most coordinates for which the sums fit the registers.
pub(super) const MOST: usize = 4;

/// As [`sweep`](super::lanes::sweep), for at most [`MOST`] coordinates.
#[inline(always)]
pub(super) fn sweep<const SECOND: bool, T: Real>(
    machine: Avx512,
    samples: &[T],
    blocks: &[u32],
    x: &[Lanes<T>],
    offset: &Lanes<T>,
    totals: &mut [Lanes<f64>],
) {
    match x.len() {
        1 => columns::<1, SECOND, T>(machine, samples, blocks, x, offset, totals),
        2 => columns::<2, SECOND, T>(machine, samples, blocks, x, offset, totals),
        3 => columns::<3, SECOND, T>(machine, samples, blocks, x, offset, totals),
        _ => columns::<MOST, SECOND, T>(machine, samples, blocks, x, offset, totals),
    }
}

/// [`sweep`] for `C` coordinates.
#[inline(always)]
fn columns<const C: usize, const SECOND: bool, T: Real>(
    machine: Avx512,
    samples: &[T],
    blocks: &[u32],
    x: &[Lanes<T>],
    offset: &Lanes<T>,
    totals: &mut [Lanes<f64>],
) {
    let zero = T::Wide::splat(machine, T::ZERO);
    for &b in blocks {
        for first in (0..LANES).step_by(T::Wide::WIDTH) {
            let (offset, x) = (T::Wide::load(machine, &offset.0[first..]), places::<C, T>(machine, x, first));
            let (mut mass, mut shift) = ([zero; 2], [[zero; C]; 2]);
            for y in block(samples, C, b).chunks_exact(C) {
                let (k, gap) = kernel(machine, y, &x, offset);
                let powers = [k, if SECOND { k.times(k) } else { zero }];
                for p in 0..1 + usize::from(SECOND) {
                    mass[p] = mass[p].plus(powers[p]);
                    for c in 0..C {
                        shift[p][c] = powers[p].times_plus(gap[c], shift[p][c]);
                    }
                }
            }
            for p in 0..1 + usize::from(SECOND) {
                add(mass[p], &mut totals[[MASS, MASS2][p]].0[first..]);
                for c in 0..C {
                    add(shift[p][c], &mut totals[SHIFT + p * C + c].0[first..]);
                }
            }
        }
    }
}

/// Adds Σ_j k_j b_j and Σ_j k_j (y_j - x), k = 2^-|x - y|², to the totals, for at most [`MOST`] coordinates.
#[inline(always)]
pub(super) fn weighted<T: Real>(machine: Avx512, samples: &[T], b: &[T], x: &[Lanes<T>], totals: &mut [Lanes<f64>]) {
    match x.len() {
        1 => weighted_columns::<1, T>(machine, samples, b, x, totals),
        2 => weighted_columns::<2, T>(machine, samples, b, x, totals),
        3 => weighted_columns::<3, T>(machine, samples, b, x, totals),
        _ => weighted_columns::<MOST, T>(machine, samples, b, x, totals),
    }
}

/// [`weighted`] for `C` coordinates.
#[inline(always)]
fn weighted_columns<const C: usize, T: Real>(
    machine: Avx512,
    samples: &[T],
    b: &[T],
    x: &[Lanes<T>],
    totals: &mut [Lanes<f64>],
) {
    let zero = T::Wide::splat(machine, T::ZERO);
    for (samples, b) in samples.chunks(BLOCK * C).zip(b.chunks(BLOCK * C)) {
        for first in (0..LANES).step_by(T::Wide::WIDTH) {
            let x = places::<C, T>(machine, x, first);
            let (mut carried, mut shift) = ([zero; C], [zero; C]);
            for (y, b) in samples.chunks_exact(C).zip(b.chunks_exact(C)) {
                let (k, gap) = kernel(machine, y, &x, zero);
                for c in 0..C {
                    carried[c] = k.times_plus(T::Wide::splat(machine, b[c]), carried[c]);
                    shift[c] = k.times_plus(gap[c], shift[c]);
                }
            }
            for (total, part) in totals.iter_mut().zip(carried.iter().chain(&shift)) {
                add(*part, &mut total.0[first..]);
            }
        }
    }
}

/// A vector of queries from the lane `first` on.
#[inline(always)]
fn places<const C: usize, T: Real>(machine: Avx512, x: &[Lanes<T>], first: usize) -> [T::Wide; C] {
    // plain loops: a closure might not be compiled for these vectors
    let mut out = [T::Wide::splat(machine, T::ZERO); C];
    for c in 0..C {
        out[c] = T::Wide::load(machine, &x[c].0[first..]);
    }
    out
}

/// 2^(offset - |x - y|²) and y - x.
#[inline(always)]
fn kernel<const C: usize, T: Real>(
    machine: Avx512,
    y: &[T],
    x: &[T::Wide; C],
    offset: T::Wide,
) -> (T::Wide, [T::Wide; C]) {
    let (mut gap, mut energy) = (*x, offset);
    for c in 0..C {
        gap[c] = T::Wide::splat(machine, y[c]).minus(x[c]);
        energy = gap[c].times_from(gap[c], energy);
    }
    (energy.exp2(), gap)
}

/// total ← total + part in f64.
#[inline(always)]
fn add<V: Wide<Number: Real>>(part: V, total: &mut [f64]) {
    let mut numbers = [V::Number::ZERO; LANES];
    part.store(&mut numbers);
    for (total, part) in total.iter_mut().zip(&numbers[..V::WIDTH]) {
        *total += part.to_f64();
    }
}
