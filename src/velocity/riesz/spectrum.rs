//! The flux ∇ρ - ρ ∇ log p of particles on a torus in Fourier space, and what a Riesz kernel makes of it.

use crate::linalg::Matrix;
use crate::num::{powf, sin_cos};
use crate::parallel;
use std::f64::consts::TAU;

/// Particles of one task.
const CHUNK: usize = 64;

/// Half of the wave vectors with |n_j| ≤ M, the other half being their negatives; without 0.
pub(super) struct Waves {
    /// n, each d whole numbers.
    frequencies: Vec<Vec<i64>>,
    /// 2π n_j/L_j.
    vectors: Vec<Vec<f64>>,
    /// |k|².
    squares: Vec<f64>,
    period: Vec<f64>,
    modes: usize,
}

/// F̂(k) = i k ρ̂(k) - (ρ ∇ log p)^(k), ρ̂(k) = (1/N) Σ_j e^{-ik·x_j}: real and imaginary part for each wave and coordinate.
pub(super) struct Flux(Vec<Vec<[f64; 2]>>);

impl Waves {
    pub(super) fn new(period: &[f64], modes: usize) -> Self {
        let (d, m) = (period.len(), modes as i64);
        let side = 2 * m + 1;
        let all =
            (0..side.pow(d as u32)).map(|at| (0..d).map(|j| at / side.pow(j as u32) % side - m).collect::<Vec<_>>());
        // the first that is not 0, from the last coordinate on, is positive
        let frequencies: Vec<Vec<i64>> =
            all.filter(|n| n.iter().rev().find(|n| **n != 0).is_some_and(|n| *n > 0)).collect();
        let vector = |n: &Vec<i64>| n.iter().zip(period).map(|(&n, l)| TAU * n as f64 / l).collect::<Vec<f64>>();
        let vectors: Vec<Vec<f64>> = frequencies.iter().map(vector).collect();
        let squares = vectors.iter().map(|k| k.iter().map(|k| k * k).sum()).collect();
        Self { frequencies, vectors, squares, period: period.to_vec(), modes }
    }

    /// e^{i 2π n x_j/L_j}, n = 0 … M, for each coordinate of a particle.
    fn powers(&self, x: &[f64]) -> Vec<[f64; 2]> {
        let one = |(x, l): (&f64, &f64)| {
            let turn = x / l;
            (0..=self.modes).map(move |n| {
                // the fraction of a turn keeps its digits
                let (sin, cos) = sin_cos(TAU * (n as f64 * turn).rem_euclid(1.0));
                [cos, sin]
            })
        };
        x.iter().zip(&self.period).flat_map(one).collect()
    }

    /// e^{ik·x} from the powers.
    fn wave(&self, powers: &[[f64; 2]], which: usize) -> [f64; 2] {
        let mut z = [1.0, 0.0];
        for (j, &n) in self.frequencies[which].iter().enumerate() {
            let [c, s] = powers[j * (self.modes + 1) + n.unsigned_abs() as usize];
            let s = if n < 0 { -s } else { s };
            z = [z[0] * c - z[1] * s, z[0] * s + z[1] * c];
        }
        z
    }

    /// The flux of particles x with scores (both N×d). Chunks of particles are summed in their order.
    pub(super) fn flux(&self, x: &Matrix, score: &Matrix) -> Flux {
        let (n, d) = x.shape();
        let chunks: Vec<usize> = (0..n.div_ceil(CHUNK)).collect();
        let parts = parallel::collect(chunks.into_iter(), |chunk| {
            let mut sums = vec![vec![[0.0; 2]; d]; self.vectors.len()];
            for i in chunk * CHUNK..((chunk + 1) * CHUNK).min(n) {
                let powers = self.powers(x.row(i));
                for (which, sums) in sums.iter_mut().enumerate() {
                    let [c, s] = self.wave(&powers, which);
                    for (j, sum) in sums.iter_mut().enumerate() {
                        // (i k_j - s_j) e^{-ik·x}
                        let (k, p) = (self.vectors[which][j], score[(i, j)]);
                        sum[0] += k * s - mutant!("riesz-phase", -p, p) * c;
                        sum[1] += k * c + p * s;
                    }
                }
            }
            sums
        });
        let mut all = vec![vec![[0.0; 2]; d]; self.vectors.len()];
        for part in parts {
            for (all, part) in all.iter_mut().flatten().zip(part.iter().flatten()) {
                (0..2).for_each(|e| all[e] += part[e] / n as f64);
            }
        }
        Flux(all)
    }

    /// 1/V with V = Π L_j.
    fn density(&self) -> f64 {
        1.0 / self.period.iter().product::<f64>()
    }

    /// v(x_i) = -(1/V) Σ_k |k|^{-2s} F̂(k) e^{ik·x_i}, both halves; N×d.
    pub(super) fn velocity(&self, flux: &Flux, x: &Matrix, order: f64) -> Matrix {
        let (n, d) = x.shape();
        let weights: Vec<f64> = self
            .squares
            .iter()
            .map(|k| -2.0 * self.density() * powf(*k, -mutant!("riesz-order", 0.5 * order, order)))
            .collect();
        let mut out = Matrix::zeros(n, d);
        parallel::for_each(out.as_mut_slice().chunks_mut(CHUNK * d).zip(x.as_slice().chunks(CHUNK * d)), |(out, x)| {
            for (out, x) in out.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
                let powers = self.powers(x);
                for (which, weight) in weights.iter().enumerate() {
                    let [c, s] = self.wave(&powers, which);
                    out.iter_mut().zip(&flux.0[which]).for_each(|(o, [re, im])| *o += weight * (re * c - im * s));
                }
            }
        });
        out
    }

    /// KSD² = (1/V) Σ_k |k|^{-2s} |F̂(k)|², both halves.
    pub(super) fn discrepancy(&self, flux: &Flux, order: f64) -> f64 {
        let one = |(f, k): (&Vec<[f64; 2]>, &f64)| {
            2.0 * powf(*k, -order) * f.iter().map(|[re, im]| re * re + im * im).sum::<f64>()
        };
        self.density() * flux.0.iter().zip(&self.squares).map(one).sum::<f64>()
    }
}
