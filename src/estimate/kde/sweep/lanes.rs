//! The inner loops: a panel of queries in the lanes of the vectors against a block of samples.
//!
//! Every number of a query stays in its lane, so no sum runs across lanes, no sample is padded, and the bits of a query do not depend
//! on the width of the vectors; of its companions only on the middle of the panel and on which blocks are near enough to be summed. Energies,
//! kernel values and moments are three passes over a block that
//! stays in the first-level cache: each is a plain loop with many independent chains. One fused loop is slower, because its
//! chain of some 15 dependent operations is longer than what the processor looks ahead.

use super::place::{Place, Rows, Samples};
use crate::estimate::kde::FEW;
use crate::num::Real;
use std::hint::black_box;

/// Queries of a panel: four vectors of 256 bits in f32, eight in f64.
pub(in crate::estimate::kde) const LANES: usize = 32;

/// Samples of a block; they are summed in the working precision before the sum goes to f64: the rounding is that of 64 terms, not of N.
pub(super) const BLOCK: usize = 64;

/// Row of Σ k in the totals; Σ k² follows, then d rows of Σ k v and d rows of Σ k² v, v what the samples carry.
pub(super) const MASS: usize = 0;
/// Row of Σ k².
pub(super) const MASS2: usize = 1;
/// First row of Σ k v.
pub(super) const SHIFT: usize = 2;

/// One number for each query of a panel, aligned to a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Lanes<T>(pub [T; LANES]);

impl<T: Real> Lanes<T> {
    /// f of all numbers, by halves: for an f that may take them in any order.
    #[inline(always)]
    pub fn fold(&self, f: impl Fn(T, T) -> T) -> T {
        let mut x = self.0;
        for half in [16, 8, 4, 2, 1] {
            for l in 0..half {
                x[l] = f(x[l], x[l + half]);
            }
        }
        x[0]
    }
}

const _: () = assert!(LANES == 32, "halves of 32");

/// The smaller one; NaN where there is NaN.
#[inline(always)]
pub(super) fn least<T: Real>(a: T, b: T) -> T {
    if b < a || b.is_nan() { b } else { a }
}

/// The larger one; NaN where there is NaN.
#[inline(always)]
pub(super) fn greatest<T: Real>(a: T, b: T) -> T {
    if b > a || b.is_nan() { b } else { a }
}

/// One number for each query and each sample of a block, aligned to a cache line.
#[repr(C, align(64))]
pub(super) struct Tile<T>(pub [[T; LANES]; BLOCK]);

impl<T: Real> Tile<T> {
    #[inline(always)]
    pub fn zeros() -> Self {
        Self([[T::ZERO; LANES]; BLOCK])
    }

    /// Its rows for the first `n` samples.
    #[inline(always)]
    pub fn first(&mut self, n: usize) -> &mut [[T; LANES]] {
        &mut self.0[..n]
    }
}

/// e_j ← offset - |x - y_j|² for the samples of a block, of `C` coordinates; e_j ← start_j + 2 x·y_j where `PRODUCTS`.
#[inline(always)]
fn energies<const FMA: bool, const PRODUCTS: bool, const C: usize, T: Real>(
    rows: &Rows<T>,
    place: &Place<T>,
    e: &mut [[T; LANES]],
) {
    let x = if PRODUCTS { &place.twice } else { &place.x };
    for (j, e) in e.iter_mut().enumerate() {
        // a compiler that knew that samples follow each other would put several of them into one vector, not several queries
        let j = black_box(j);
        let mut sum = if PRODUCTS { [rows.start[j]; LANES] } else { place.offset.0 };
        for c in 0..C {
            let y = rows.y[c][j];
            for l in 0..LANES {
                let t = y - x[c].0[l];
                let (a, b) = if PRODUCTS { (y, x[c].0[l]) } else { (-t, t) };
                sum[l] = a.fused::<FMA>(b, sum[l]);
            }
        }
        *e = sum;
    }
}

/// [`energies`] for any number of coordinates; with the number in the type, no sum leaves the registers.
#[inline(always)]
fn exponents<const FMA: bool, const PRODUCTS: bool, T: Real>(rows: &Rows<T>, place: &Place<T>, e: &mut [[T; LANES]]) {
    match place.d {
        1 => energies::<FMA, PRODUCTS, 1, T>(rows, place, e),
        2 => energies::<FMA, PRODUCTS, 2, T>(rows, place, e),
        3 => energies::<FMA, PRODUCTS, 3, T>(rows, place, e),
        4 => energies::<FMA, PRODUCTS, 4, T>(rows, place, e),
        5 => energies::<FMA, PRODUCTS, 5, T>(rows, place, e),
        6 => energies::<FMA, PRODUCTS, 6, T>(rows, place, e),
        7 => energies::<FMA, PRODUCTS, 7, T>(rows, place, e),
        8 => energies::<FMA, PRODUCTS, 8, T>(rows, place, e),
        9 => energies::<FMA, PRODUCTS, 9, T>(rows, place, e),
        10 => energies::<FMA, PRODUCTS, 10, T>(rows, place, e),
        _ => energies::<FMA, PRODUCTS, FEW, T>(rows, place, e),
    }
}

/// min_j |x - y_j|² over the samples of some blocks for each query.
#[inline(always)]
pub(super) fn nearest<const FMA: bool, T: Real>(
    samples: &Samples<'_, T>,
    blocks: &[u32],
    x: &[Lanes<T>],
    rows: &mut Rows<T>,
    e: &mut Tile<T>,
) -> Lanes<T> {
    let place = Place::unmoved(x, Lanes([T::ZERO; LANES]), T::EXP2_LOW);
    let mut largest = [T::NEG_INFINITY; LANES];
    for &b in blocks {
        rows.take::<FMA>(samples, x.len(), b, &place);
        let e = e.first(rows.n);
        exponents::<FMA, false, T>(rows, &place, e);
        for e in e {
            for l in 0..LANES {
                largest[l] = if e[l] > largest[l] { e[l] } else { largest[l] };
            }
        }
    }
    Lanes(largest.map(|e| -e))
}

/// Adds the sums over the samples of some blocks to the totals; those of k² only where `SECOND`.
#[inline(always)]
pub(super) fn sweep<const FMA: bool, const SECOND: bool, T: Real>(
    samples: &Samples<'_, T>,
    blocks: &[u32],
    place: &Place<T>,
    rows: &mut Rows<T>,
    k: &mut Tile<T>,
    totals: &mut [Lanes<f64>],
) {
    let (d, low) = (samples.d, place.low);
    let mut part = [Lanes([T::ZERO; LANES]); SHIFT + 2 * FEW];
    for &b in blocks {
        rows.take::<FMA>(samples, d, b, place);
        let k = k.first(rows.n);
        if place.start.is_some() {
            exponents::<FMA, true, T>(rows, place, k);
        } else {
            exponents::<FMA, false, T>(rows, place, k);
        }
        // no rows here: a plain loop keeps the coefficients in registers
        for k in k.as_flattened_mut() {
            let e = if *k < low { low } else { *k };
            *k = e.exp2_body::<FMA>();
        }
        mass(k, &mut part[MASS]);
        carry::<FMA, T>(rows, k, &mut part[SHIFT..SHIFT + d]);
        if SECOND {
            for k in k.as_flattened_mut() {
                *k = *k * *k;
            }
            mass(k, &mut part[MASS2]);
            carry::<FMA, T>(rows, k, &mut part[SHIFT + d..SHIFT + 2 * d]);
        }
        // in a loop of its own, or the conversion to f64 halves the vectors of the sums
        for (total, part) in totals.iter_mut().zip(&part[..SHIFT + (1 + usize::from(SECOND)) * d]) {
            for l in 0..LANES {
                total.0[l] += part.0[l].to_f64();
            }
        }
    }
}

/// Σ_j k_j.
#[inline(always)]
fn mass<T: Real>(k: &[[T; LANES]], out: &mut Lanes<T>) {
    let mut sum = [T::ZERO; LANES];
    for k in k {
        for l in 0..LANES {
            sum[l] += k[l];
        }
    }
    out.0 = sum;
}

/// out_c ← Σ_j k_j v_jc.
#[inline(always)]
fn carry<const FMA: bool, T: Real>(rows: &Rows<T>, k: &[[T; LANES]], out: &mut [Lanes<T>]) {
    for (out, v) in out.iter_mut().zip(rows.carried()) {
        let mut sum = [T::ZERO; LANES];
        for (v, k) in v.iter().zip(k) {
            for l in 0..LANES {
                sum[l] = k[l].fused::<FMA>(*v, sum[l]);
            }
        }
        out.0 = sum;
    }
}
