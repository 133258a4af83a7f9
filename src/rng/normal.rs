//! Uniform and normal variates.

use crate::linalg::Matrix;
use crate::num::{Kernel, Real, dispatch};
use crate::parallel;
use crate::rng::{Purpose, Stream, stream};
use rand::Rng;

/// A uniform variate in [0, 1) with 53 bits.
pub fn uniform(rng: &mut Stream) -> f64 {
    // as a signed integer: one instruction
    (rng.next_u64() >> 11) as i64 as f64 * (1.0 / (1u64 << 53) as f64)
}

/// k with probability w_k; the weights are not negative and sum to 1.
pub fn pick(rng: &mut Stream, weights: &[f64]) -> usize {
    pick_at(uniform(rng), weights)
}

/// The k at which the running sum of the weights first exceeds u in [0, 1).
pub(crate) fn pick_at(u: f64, weights: &[f64]) -> usize {
    let mut rest = u;
    let below = weights.iter().position(|w| {
        rest -= w;
        rest < 0.0
    });
    // rounding can leave the sum below the uniform
    below.or_else(|| weights.iter().rposition(|w| *w > 0.0)).unwrap_or(0)
}

/// Pairs of variates that are drawn before any is transformed.
const PAIRS: usize = 64;

/// Points of the unit disc without its centre: coordinates u, v and s = u² + v².
struct Disc {
    u: [f64; PAIRS],
    v: [f64; PAIRS],
    s: [f64; PAIRS],
}

impl Disc {
    /// Draws the first `count` points. A point outside is overwritten by the next one: no branch to mispredict.
    fn draw(&mut self, rng: &mut Stream, count: usize) {
        let mut k = 0;
        while k < count {
            let (u, v) = (2.0 * uniform(rng) - 1.0, 2.0 * uniform(rng) - 1.0);
            let s = u * u + v * v;
            (self.u[k], self.v[k], self.s[k]) = (u, v, s);
            k += usize::from(s < 1.0 && s > 0.0);
        }
    }
}

/// (u, v) √(-2 log s / s) for the first `count` points: pairs of independent N(0, 1) variates (Marsaglia and Bray, 1964).
struct Polar<'a> {
    disc: &'a mut Disc,
    count: usize,
}

impl Kernel for Polar<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Disc { u, v, s } = self.disc;
        for ((u, v), s) in u.iter_mut().zip(v).zip(s).take(self.count) {
            let scale = (-2.0 * s.ln_body::<FMA>() / *s).sqrt();
            (*u, *v) = (*u * scale, *v * scale);
        }
    }
}

/// out ← independent U[0, 1) variates.
pub fn fill_uniform<T: Real>(rng: &mut Stream, out: &mut [T]) {
    out.iter_mut().for_each(|x| *x = T::from_f64(uniform(rng)));
}

/// out ← independent signs: -1 or 1, each with probability ½.
pub(crate) fn fill_signs<T: Real>(rng: &mut Stream, out: &mut [T]) {
    fill_uniform(rng, out);
    out.iter_mut().for_each(|u| *u = if *u < T::from_f64(0.5) { -T::ONE } else { T::ONE });
}

/// out ← independent N(0, 1) variates.
pub fn fill_normal<T: Real>(rng: &mut Stream, out: &mut [T]) {
    let mut disc = Disc { u: [0.0; PAIRS], v: [0.0; PAIRS], s: [0.0; PAIRS] };
    for out in out.chunks_mut(2 * PAIRS) {
        let count = out.len().div_ceil(2);
        disc.draw(rng, count);
        dispatch(Polar { disc: &mut disc, count });
        for (pair, (&a, &b)) in out.chunks_mut(2).zip(disc.u.iter().zip(&disc.v)) {
            pair[0] = T::from_f64(a);
            if let Some(second) = pair.get_mut(1) {
                *second = T::from_f64(b);
            }
        }
    }
}

/// Rows that share one stream in [`normal_matrix`]; fixed, so that the bits do not depend on the number of threads.
const ROWS_PER_STREAM: usize = 256;

/// The stream of what goes with the [`normal_matrix`] of the same key: that of a block which no matrix reaches.
pub(crate) fn stream_beside(seed: u64, purpose: Purpose, unit: u64) -> Stream {
    stream(seed, purpose, (unit << 20) | 0xf_ffff)
}

/// A rows×cols matrix of independent N(0, 1) variates under the key `(seed, purpose, unit)`; the same for any number of threads.
pub fn normal_matrix<T: Real>(seed: u64, purpose: Purpose, unit: u64, rows: usize, cols: usize) -> Matrix<T> {
    let mut out = Matrix::zeros(rows, cols);
    let blocks = out.as_mut_slice().chunks_mut((ROWS_PER_STREAM * cols).max(1));
    parallel::for_each(blocks.enumerate(), |(block, chunk)| {
        // 2^20 blocks a unit: 2.7e8 rows before two units could share a stream
        fill_normal(&mut stream(seed, purpose, (unit << 20) | block as u64), chunk);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks mean, variance, third and fourth moment of the normals by z-scores: |z| < 5 on 4 tests fails by chance in 1 of 4e5.
    #[test]
    fn normal_moments() {
        let n = 200_000;
        let x: Matrix = normal_matrix(7, Purpose::Check, 0, n, 1);
        let moment = |k: i32| x.as_slice().iter().map(|v| v.powi(k)).sum::<f64>() / n as f64;
        // variance of x^k is E x^2k - (E x^k)^2 with E x^2 = 1, x^4 = 3, x^6 = 15, x^8 = 105
        for (k, mean, var) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0f64)] {
            let z = (moment(k) - mean) / (var / n as f64).sqrt();
            assert!(z.abs() < 5.0, "moment {k}: z = {z}");
        }
    }
}
