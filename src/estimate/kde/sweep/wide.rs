//! [`sweep`](super::lanes::sweep) on 512-bit vectors, for a few coordinates: one pass over the samples, all sums in registers.
//!
//! In the plane a vector of pairs takes 12 instructions, in f64 18, where passes take more and their loads. Each query is summed in the same
//! order with the same roundings, so the bits are those of the passes.

use super::lanes::{BLOCK, LANES, Lanes, MASS, MASS2, SHIFT};
use super::place::{Place, Rows, Samples};
use crate::num::{Avx512, Real, Wide};

/// Most coordinates for which the sums fit the registers.
pub(super) const MOST: usize = 4;

/// As [`sweep`](super::lanes::sweep), for at most [`MOST`] coordinates.
#[inline(always)]
pub(super) fn sweep<const SECOND: bool, T: Real>(
    machine: Avx512,
    samples: &Samples<'_, T>,
    blocks: &[u32],
    place: &Place<T>,
    rows: &mut Rows<T>,
    totals: &mut [Lanes<f64>],
) {
    match samples.d {
        1 => columns::<1, SECOND, T>(machine, samples, blocks, place, rows, totals),
        2 => columns::<2, SECOND, T>(machine, samples, blocks, place, rows, totals),
        3 => columns::<3, SECOND, T>(machine, samples, blocks, place, rows, totals),
        _ => columns::<MOST, SECOND, T>(machine, samples, blocks, place, rows, totals),
    }
}

/// [`sweep`] for `C` coordinates.
#[inline(always)]
fn columns<const C: usize, const SECOND: bool, T: Real>(
    machine: Avx512,
    samples: &Samples<'_, T>,
    blocks: &[u32],
    place: &Place<T>,
    rows: &mut Rows<T>,
    totals: &mut [Lanes<f64>],
) {
    for &b in blocks {
        rows.take::<true>(samples, C, b, place);
        // exponents are cut where some may be too low
        let cut = !place.stays_above(samples, C, b);
        if C <= 2 {
            tiles::<C, 2, SECOND, T>(machine, rows, place, cut, totals);
        } else {
            tiles::<C, 1, SECOND, T>(machine, rows, place, cut, totals);
        }
    }
}

/// A block, with `V` vectors of queries at a time.
#[inline(always)]
fn tiles<const C: usize, const V: usize, const SECOND: bool, T: Real>(
    machine: Avx512,
    rows: &Rows<T>,
    place: &Place<T>,
    cut: bool,
    totals: &mut [Lanes<f64>],
) {
    for first in (0..LANES).step_by(V * T::Wide::WIDTH) {
        match (place.start.is_some(), cut) {
            (true, false) => pass::<C, V, SECOND, true, false, T>(machine, rows, place, first, totals),
            (true, true) => pass::<C, V, SECOND, true, true, T>(machine, rows, place, first, totals),
            _ => pass::<C, V, SECOND, false, true, T>(machine, rows, place, first, totals),
        }
    }
}

/// A block against `V` vectors of queries from the lane `first` on, exponents as products where `PRODUCTS` and cut where `CUT`.
#[inline(always)]
fn pass<const C: usize, const V: usize, const SECOND: bool, const PRODUCTS: bool, const CUT: bool, T: Real>(
    machine: Avx512,
    rows: &Rows<T>,
    place: &Place<T>,
    first: usize,
    totals: &mut [Lanes<f64>],
) {
    let (zero, low) = (T::Wide::splat(machine, T::ZERO), T::Wide::splat(machine, place.low));
    // plain loops: a closure might not be compiled for these vectors
    let (mut x, mut offset) = ([[zero; V]; C], [zero; V]);
    for v in 0..V {
        let from = first + v * T::Wide::WIDTH;
        offset[v] = T::Wide::load(machine, &place.offset.0[from..]);
        for c in 0..C {
            x[c][v] = T::Wide::load(machine, &(if PRODUCTS { &place.twice } else { &place.x })[c].0[from..]);
        }
    }
    let (mut mass, mut sum) = ([[zero; V]; 2], [[[zero; V]; C]; 2]);
    let carried = rows.carried();
    for j in 0..rows.n.min(BLOCK) {
        for v in 0..V {
            let mut e = if PRODUCTS { T::Wide::splat(machine, rows.start[j]) } else { offset[v] };
            for c in 0..C {
                let y = T::Wide::splat(machine, rows.y[c][j]);
                if PRODUCTS {
                    e = y.times_plus(x[c][v], e);
                } else {
                    let gap = y.minus(x[c][v]);
                    e = gap.times_from(gap, e);
                }
            }
            if CUT {
                e = e.at_least(low);
            }
            let k = if PRODUCTS { e.exp2_within() } else { e.exp2() };
            let powers = [k, if SECOND { k.times(k) } else { zero }];
            for p in 0..1 + usize::from(SECOND) {
                mass[p][v] = mass[p][v].plus(powers[p]);
                for c in 0..C {
                    sum[p][c][v] = powers[p].times_plus(T::Wide::splat(machine, carried[c][j]), sum[p][c][v]);
                }
            }
        }
    }
    for p in 0..1 + usize::from(SECOND) {
        for v in 0..V {
            let from = first + v * T::Wide::WIDTH;
            add(mass[p][v], &mut totals[[MASS, MASS2][p]].0[from..]);
            for c in 0..C {
                add(sum[p][c][v], &mut totals[SHIFT + p * C + c].0[from..]);
            }
        }
    }
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
