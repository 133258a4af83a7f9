//! The inner loops: a panel of queries in the lanes of the vectors against a block of samples.
//!
//! Every number of a query stays in its lane, so no sum runs across lanes, no sample is padded, and the bits of a query do not depend
//! on the width of the vectors; of its companions only on which blocks are near enough to be summed. Energies, kernel values and moments are three passes over a block that
//! stays in the first-level cache: each is a plain loop with many independent chains. One fused loop is slower, because its
//! chain of some 15 dependent operations is longer than what the processor looks ahead.

use crate::estimate::kde::FEW;
use crate::num::Real;
use std::hint::black_box;

/// Queries of a panel: four vectors of 256 bits in f32, eight in f64.
pub(in crate::estimate::kde) const LANES: usize = 32;

/// Samples of a block; they are summed in the working precision before the sum goes to f64: the rounding is that of 64 terms, not of N.
pub(super) const BLOCK: usize = 64;

/// Row of Σ k in the totals; Σ k² follows, then d rows of Σ k (y - x) and d rows of Σ k² (y - x).
pub(super) const MASS: usize = 0;
/// Row of Σ k².
pub(super) const MASS2: usize = 1;
/// First row of Σ k (y - x).
pub(super) const SHIFT: usize = 2;

/// One number for each query of a panel, aligned to a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Lanes<T>(pub [T; LANES]);

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

/// e_j ← offset - |x - y_j|² for the samples of a block, of `C` coordinates.
#[inline(always)]
fn energies<const FMA: bool, const C: usize, T: Real>(
    y: &[T],
    x: &[Lanes<T>],
    offset: &Lanes<T>,
    e: &mut [[T; LANES]],
) {
    let x: &[Lanes<T>; C] = x.first_chunk().expect("C coordinates");
    // a compiler that knew the stride would put several samples into one vector, not several queries
    for (y, e) in y.chunks(black_box(C)).zip(e) {
        let y: &[T; C] = y.first_chunk().expect("C coordinates");
        let mut sum = offset.0;
        for c in 0..C {
            for l in 0..LANES {
                let t = y[c] - x[c].0[l];
                sum[l] = (-t).fused::<FMA>(t, sum[l]);
            }
        }
        *e = sum;
    }
}

/// [`energies`] for any number of coordinates; with the number in the type, no sum leaves the registers.
#[inline(always)]
pub(super) fn exponents<const FMA: bool, T: Real>(y: &[T], x: &[Lanes<T>], offset: &Lanes<T>, e: &mut [[T; LANES]]) {
    match x.len() {
        1 => energies::<FMA, 1, T>(y, x, offset, e),
        2 => energies::<FMA, 2, T>(y, x, offset, e),
        3 => energies::<FMA, 3, T>(y, x, offset, e),
        4 => energies::<FMA, 4, T>(y, x, offset, e),
        5 => energies::<FMA, 5, T>(y, x, offset, e),
        6 => energies::<FMA, 6, T>(y, x, offset, e),
        7 => energies::<FMA, 7, T>(y, x, offset, e),
        8 => energies::<FMA, 8, T>(y, x, offset, e),
        9 => energies::<FMA, 9, T>(y, x, offset, e),
        10 => energies::<FMA, 10, T>(y, x, offset, e),
        _ => energies::<FMA, FEW, T>(y, x, offset, e),
    }
}

/// The samples of block b.
#[inline(always)]
pub(super) fn block<T>(samples: &[T], d: usize, b: u32) -> &[T] {
    let first = b as usize * BLOCK * d;
    &samples[first..samples.len().min(first + BLOCK * d)]
}

/// min_j |x - y_j|² over the samples of some blocks for each query.
#[inline(always)]
pub(super) fn nearest<const FMA: bool, T: Real>(
    samples: &[T],
    blocks: &[u32],
    x: &[Lanes<T>],
    e: &mut Tile<T>,
) -> Lanes<T> {
    let zero = Lanes([T::ZERO; LANES]);
    let mut largest = [T::NEG_INFINITY; LANES];
    for &b in blocks {
        let block = block(samples, x.len(), b);
        let e = e.first(block.len() / x.len());
        exponents::<FMA, T>(block, x, &zero, e);
        for e in e {
            for l in 0..LANES {
                largest[l] = if e[l] > largest[l] { e[l] } else { largest[l] };
            }
        }
    }
    Lanes(largest.map(|e| -e))
}

/// Adds the sums over the samples of some blocks, k = 2^(offset - |x - y|²), to the totals; those of k² only where `SECOND`.
#[inline(always)]
pub(super) fn sweep<const FMA: bool, const SECOND: bool, T: Real>(
    samples: &[T],
    blocks: &[u32],
    x: &[Lanes<T>],
    offset: &Lanes<T>,
    k: &mut Tile<T>,
    totals: &mut [Lanes<f64>],
) {
    let d = x.len();
    let mut part = [Lanes([T::ZERO; LANES]); SHIFT + 2 * FEW];
    for &b in blocks {
        let block = block(samples, d, b);
        let k = k.first(block.len() / d);
        exponents::<FMA, T>(block, x, offset, k);
        // no rows here: a plain loop keeps the coefficients in registers
        for k in k.as_flattened_mut() {
            *k = k.exp2_body::<FMA>();
        }
        mass(k, &mut part[MASS]);
        shift::<FMA, T>(block, x, k, &mut part[SHIFT..SHIFT + d]);
        if SECOND {
            for k in k.as_flattened_mut() {
                *k = *k * *k;
            }
            mass(k, &mut part[MASS2]);
            shift::<FMA, T>(block, x, k, &mut part[SHIFT + d..SHIFT + 2 * d]);
        }
        // in a loop of its own, or the conversion to f64 halves the vectors of the sums
        for (total, part) in totals.iter_mut().zip(&part[..SHIFT + 2 * d]) {
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

/// out_c ← Σ_j k_j (y_jc - x_c).
#[inline(always)]
pub(super) fn shift<const FMA: bool, T: Real>(y: &[T], x: &[Lanes<T>], k: &[[T; LANES]], out: &mut [Lanes<T>]) {
    let d = x.len();
    for c in 0..d {
        let (x, mut sum) = (x[c].0, [T::ZERO; LANES]);
        for (y, k) in y.chunks_exact(d).zip(k) {
            let y = y[c];
            for l in 0..LANES {
                sum[l] = k[l].fused::<FMA>(y - x[l], sum[l]);
            }
        }
        out[c].0 = sum;
    }
}
