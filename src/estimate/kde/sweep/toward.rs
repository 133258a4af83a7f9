//! Sums of shifts among points, weighted by the kernel, with no logarithm and no normaliser: each kernel value serves both of its points.

use super::lanes::{BLOCK, LANES, Lanes, Tile, exponents, shift};
use crate::estimate::kde::FEW;
use crate::linalg::Matrix;
use crate::num::{Kernel, Real, dispatch};
use crate::parallel;

/// Points of a square of pairs, a task: whole panels and blocks.
const SQUARE: usize = 256;

/// Σ_j 2^-|x_i - x_j|² (z_j - x_i), for x and z (n×d each), 1 ≤ d ≤ [`FEW`]; n×d. Sums over some 64 points are T, sums of these f64.
/// Memory O(n²d/256 + n d).
pub(crate) fn shifts<T: Real>(x: &Matrix<T>, z: &Matrix<T>) -> Matrix {
    let (n, d) = x.shape();
    let rows = |k: usize| SQUARE * k..n.min(SQUARE * (k + 1));
    let squares: Vec<[usize; 2]> = (0..n.div_ceil(SQUARE)).flat_map(|j| (0..=j).map(move |i| [i, j])).collect();
    let part = |k: usize| {
        let rows = rows(k).start * d..rows(k).end * d;
        Points { d, x: &x.as_slice()[rows.clone()], z: &z.as_slice()[rows] }
    };
    let mut sums = vec![[Vec::new(), Vec::new()]; squares.len()];
    parallel::for_each(squares.iter().zip(&mut sums), |([i, j], out)| {
        *out = dispatch(Square { lanes: part(*i), samples: part(*j), both: i != j });
    });
    let mut out = Matrix::zeros(n, d);
    for (square, sums) in squares.iter().zip(&sums) {
        for (&k, sum) in square.iter().zip(sums) {
            let rows = rows(k).start * d..rows(k).end * d;
            out.as_mut_slice()[rows].iter_mut().zip(sum).for_each(|(o, s)| *o += s);
        }
    }
    out
}

/// Some points, and where they pull.
struct Points<'a, T> {
    d: usize,
    x: &'a [T],
    z: &'a [T],
}

impl<T: Real> Points<'_, T> {
    /// Rows `first` to `first` + 31 of x or z, coordinate by coordinate; beyond the last row the last.
    #[inline(always)]
    fn panel(&self, of: &[T], first: usize) -> [Lanes<T>; FEW] {
        let (last, mut out) = (of.len() / self.d - 1, [Lanes([T::ZERO; LANES]); FEW]);
        for l in 0..LANES {
            for c in 0..self.d {
                out[c].0[l] = of[(first + l).min(last) * self.d + c];
            }
        }
        out
    }
}

/// All pairs of points in lanes and samples; where `both`, what points in lanes add to samples too, and then the panels are full.
struct Square<'a, T> {
    lanes: Points<'a, T>,
    samples: Points<'a, T>,
    both: bool,
}

impl<T: Real> Kernel for Square<'_, T> {
    /// The sums at the points in lanes, and those at the samples, empty unless `both`.
    type Output = [Vec<f64>; 2];
    #[inline(always)]
    fn run<const FMA: bool>(self) -> [Vec<f64>; 2] {
        let (d, zero) = (self.lanes.d, Lanes([T::ZERO; LANES]));
        let firsts = || (0..self.lanes.x.len() / d).step_by(LANES);
        let x: Vec<[Lanes<T>; FEW]> = firsts().map(|first| self.lanes.panel(self.lanes.x, first)).collect();
        let z: Vec<[Lanes<T>; FEW]> = firsts().map(|first| self.lanes.panel(self.lanes.z, first)).collect();
        let mut totals = vec![Lanes([0.0; LANES]); x.len() * d];
        let (mut tile, mut part) = (Tile::zeros(), [Lanes([T::ZERO; LANES]); FEW]);
        let mut back: Vec<Tile<T>> = (0..if self.both { d } else { 0 }).map(|_| Tile::zeros()).collect();
        let mut at_samples = vec![0.0; back.len() * self.samples.x.len() / d];
        let samples = self.samples.x.chunks(BLOCK * d).zip(self.samples.z.chunks(BLOCK * d));
        for (b, (y, to)) in samples.enumerate() {
            let size = y.len() / d;
            back.iter_mut().for_each(|t| t.0 = [[T::ZERO; LANES]; BLOCK]);
            for (p, (x, z)) in x.iter().zip(&z).enumerate() {
                let k = &mut tile.0[..size];
                exponents::<FMA, T>(y, &x[..d], &zero, k);
                for k in k.as_flattened_mut() {
                    *k = k.exp2_body::<FMA>();
                }
                shift::<FMA, T>(to, &x[..d], k, &mut part[..d]);
                for (total, part) in totals[p * d..].iter_mut().zip(&part[..d]) {
                    for l in 0..LANES {
                        total.0[l] += part.0[l].to_f64();
                    }
                }
                for (c, back) in back.iter_mut().enumerate() {
                    toward::<FMA, T>(&y[c..], d, &z[c], k, &mut back.0);
                }
            }
            for (c, back) in back.iter().enumerate() {
                for (j, row) in back.0[..size].iter().enumerate() {
                    at_samples[(b * BLOCK + j) * d + c] = sum(*row).to_f64();
                }
            }
        }
        let row = |i: usize| (0..d).map(move |c| (i / LANES * d + c, i % LANES));
        let at_lanes = (0..self.lanes.x.len() / d).flat_map(row).map(|(t, l)| totals[t].0[l]).collect();
        [at_lanes, at_samples]
    }
}

/// The sum of all lanes, halves upon halves.
#[inline(always)]
fn sum<T: Real>(mut row: [T; LANES]) -> T {
    for half in [16, 8, 4, 2, 1] {
        for l in 0..half {
            row[l] += row[l + half];
        }
    }
    row[0]
}

/// out_j ← out_j + k_j (z - y_j), one coordinate; that of sample j stands at y[j d].
#[inline(always)]
fn toward<const FMA: bool, T: Real>(y: &[T], d: usize, z: &Lanes<T>, k: &[[T; LANES]], out: &mut [[T; LANES]]) {
    let z = z.0;
    for ((&y, k), out) in y.iter().step_by(d).zip(k).zip(out) {
        // a copy, which the compiler knows to be no part of y or z
        let mut sum = *out;
        for l in 0..LANES {
            sum[l] = k[l].fused::<FMA>(z[l] - y, sum[l]);
        }
        *out = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::exp2;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks the sums against a plain loop in f64, for numbers of points about the ends of panels, blocks and squares, in 1, 2, 3 and 11 dimensions:
    /// to rounding of the terms, of size below 10, 100 ε of their sum in f64 and in f32; and that they have the same bits on 1 and 3 threads.
    #[test]
    fn sums_by_a_plain_loop() {
        for (n, d) in [(1, 1), (31, 2), (33, 3), (255, 2), (257, 2), (300, 11), (800, 2)] {
            let (x, z) = (normal_matrix::<f64>(1, Purpose::Check, 1, n, d), normal_matrix(1, Purpose::Check, 2, n, d));
            let found = shifts(&x, &z);
            let single: Matrix = shifts(&x.cast::<f32>(), &z.cast::<f32>());
            for i in 0..n {
                let kernel =
                    |j: usize| exp2(-x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>());
                for c in 0..d {
                    let term = |j: usize| kernel(j) * (z[(j, c)] - x[(i, c)]);
                    let exact: f64 = (0..n).map(term).sum();
                    let size: f64 = (0..n).map(|j| 10.0 * kernel(j)).sum();
                    let (gap, gap32) = ((found[(i, c)] - exact).abs(), (single[(i, c)] - exact).abs());
                    assert!(gap < 100.0 * f64::EPSILON * size, "{n}, {d}: {gap:e}");
                    assert!(gap32 < 100.0 * f64::from(f32::EPSILON) * size, "{n}, {d}: {gap32:e}");
                }
            }
            let on = |threads: usize| {
                rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| shifts(&x, &z))
            };
            assert!(on(1) == found && on(3) == found);
        }
    }
}
