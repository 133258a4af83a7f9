//! The sums of rows on 512-bit vectors, for half squares in a few coordinates: 18 instructions for a vector of pairs in the plane.
//!
//! Lanes are those of the plain loops, and each operation rounds as theirs, so the bits are the same.

use super::{CUT, LANES, Row, total};
use crate::num::{Avx512, Real, Wide};

/// Rows side by side: what they read of the columns is loaded once.
const GROUP: usize = 4;

/// out_i ← Σ_j 2^(shift_i + h_j - κ c_ij) for rows `x` of D coordinates, of which `row` tells the columns.
#[inline(always)]
pub(super) fn sums<const D: usize, T: Real>(machine: Avx512, row: &Row<T>, x: &[T], shift: &[T], out: &mut [T]) {
    let rows = x.chunks(GROUP * D).zip(shift.chunks(GROUP)).zip(out.chunks_mut(GROUP));
    for ((x, shift), out) in rows {
        if out.len() == GROUP {
            group::<D, GROUP, T>(machine, row, x, shift, out);
        } else {
            for i in 0..out.len() {
                group::<D, 1, T>(machine, row, &x[i * D..], &shift[i..], &mut out[i..]);
            }
        }
    }
}

/// [`sums`] of R rows.
#[inline(always)]
fn group<const D: usize, const R: usize, T: Real>(machine: Avx512, row: &Row<T>, x: &[T], shift: &[T], out: &mut [T]) {
    // plain loops: a closure might not be compiled for these vectors
    let zero = T::Wide::splat(machine, T::ZERO);
    let (factor, cut) = (T::Wide::splat(machine, row.factor), T::Wide::splat(machine, T::from_f64(CUT)));
    let (mut places, mut shifts) = ([[zero; D]; R], [zero; R]);
    for i in 0..R {
        shifts[i] = T::Wide::splat(machine, shift[i]);
        for j in 0..D {
            places[i][j] = T::Wide::splat(machine, x[i * D + j]);
        }
    }
    // f64 takes two vectors for the lanes
    let mut sums = [[zero; 2]; R];
    for &(from, to) in row.ranges {
        let h = &row.h[from..to];
        let mut y = [h; D];
        for j in 0..D {
            y[j] = &row.columns[j * row.padded + from..j * row.padded + to];
        }
        let mut at = 0;
        while at + LANES <= h.len() {
            for part in 0..LANES / T::Wide::WIDTH {
                let first = at + part * T::Wide::WIDTH;
                let h = T::Wide::load(machine, &h[first..]);
                let mut columns = [zero; D];
                for j in 0..D {
                    columns[j] = T::Wide::load(machine, &y[j][first..]);
                }
                for i in 0..R {
                    let gap = places[i][0].minus(columns[0]);
                    let mut cost = gap.times(gap);
                    for j in 1..D {
                        let gap = places[i][j].minus(columns[j]);
                        cost = gap.times_plus(gap, cost);
                    }
                    let exponent = factor.times_plus(cost, h.plus(shifts[i]));
                    sums[i][part] = sums[i][part].plus(exponent.at_most(cut).exp2());
                }
            }
            at += LANES;
        }
    }
    for i in 0..R {
        let mut lanes = [T::ZERO; LANES];
        for (lanes, sum) in lanes.chunks_exact_mut(T::Wide::WIDTH).zip(&sums[i]) {
            sum.store(lanes);
        }
        out[i] = total(&lanes);
    }
}
