//! The inner loops: a panel of queries in the lanes of the vectors against a block of samples.
//!
//! Every number of a query stays in its lane, so no sum runs across lanes, no sample is padded, and the bits of a query do not depend
//! on the width of the vectors; of its companions only on which blocks are near enough to be summed. Energies, kernel values and moments are three passes over a block that
//! stays in the first-level cache: each is a plain loop with many independent chains. One fused loop is slower, because its
//! chain of some 15 dependent operations is longer than what the processor looks ahead.

use super::FEW;
use crate::num::Real;

/// Queries of a panel: four vectors of 256 bits in f32, eight in f64.
pub(super) const LANES: usize = 32;

/// Samples of a block; they are summed in the working precision before the sum goes to f64: the rounding is that of 64 terms, not of N.
pub(super) const BLOCK: usize = 64;

/// Most coordinates that one pass of the energies takes.
const COORDINATES: usize = 8;

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
struct Tile<T>([[T; LANES]; BLOCK]);

/// e_j ← start - |x - y_j|² over `C` coordinates, the first ones of `x` and of the rows y_j, which are `d` apart; without a start from e_j.
#[inline(always)]
fn subtract<const FMA: bool, const C: usize, T: Real>(
    y: &[T],
    d: usize,
    x: &[Lanes<T>],
    start: Option<&Lanes<T>>,
    e: &mut [[T; LANES]],
) {
    let x: &[Lanes<T>; C] = x.first_chunk().expect("C coordinates");
    for (y, e) in y.chunks(d).zip(e) {
        let y: &[T; C] = y.first_chunk().expect("C coordinates");
        let mut sum = start.map_or(*e, |start| start.0);
        for c in 0..C {
            for l in 0..LANES {
                let t = y[c] - x[c].0[l];
                sum[l] = (-t).fused::<FMA>(t, sum[l]);
            }
        }
        *e = sum;
    }
}

/// e_j ← offset - |x - y_j|² for the samples of a block.
#[inline(always)]
fn exponents<const FMA: bool, T: Real>(y: &[T], x: &[Lanes<T>], offset: &Lanes<T>, e: &mut [[T; LANES]]) {
    let d = x.len();
    for first in (0..d).step_by(COORDINATES) {
        let (y, x, start) = (&y[first..], &x[first..], (first == 0).then_some(offset));
        match x.len() {
            1 => subtract::<FMA, 1, T>(y, d, x, start, e),
            2 => subtract::<FMA, 2, T>(y, d, x, start, e),
            3 => subtract::<FMA, 3, T>(y, d, x, start, e),
            4 => subtract::<FMA, 4, T>(y, d, x, start, e),
            5 => subtract::<FMA, 5, T>(y, d, x, start, e),
            6 => subtract::<FMA, 6, T>(y, d, x, start, e),
            7 => subtract::<FMA, 7, T>(y, d, x, start, e),
            _ => subtract::<FMA, 8, T>(y, d, x, start, e),
        }
    }
}

/// The samples of block b.
#[inline(always)]
fn block<T>(samples: &[T], d: usize, b: u32) -> &[T] {
    let first = b as usize * BLOCK * d;
    &samples[first..samples.len().min(first + BLOCK * d)]
}

/// min_j |x - y_j|² over the samples of some blocks for each query.
#[inline(always)]
pub(super) fn nearest<const FMA: bool, T: Real>(samples: &[T], blocks: &[u32], x: &[Lanes<T>]) -> Lanes<T> {
    let zero = Lanes([T::ZERO; LANES]);
    let mut largest = [T::NEG_INFINITY; LANES];
    let mut e = Tile([[T::ZERO; LANES]; BLOCK]);
    for &b in blocks {
        let block = block(samples, x.len(), b);
        let e = &mut e.0[..block.len() / x.len()];
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
    totals: &mut [Lanes<f64>],
) {
    let d = x.len();
    let zero = Lanes([T::ZERO; LANES]);
    let (mut k, mut part) = (Tile([zero.0; BLOCK]), [zero; SHIFT + 2 * FEW]);
    for &b in blocks {
        let block = block(samples, d, b);
        let k = &mut k.0[..block.len() / d];
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
fn shift<const FMA: bool, T: Real>(y: &[T], x: &[Lanes<T>], k: &[[T; LANES]], out: &mut [Lanes<T>]) {
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
