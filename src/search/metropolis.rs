//! Metropolis chains for particles: what stands in for exact samples of a cluster that has no exact sampler.

use crate::density::{NBody, Pair};
use crate::linalg::Matrix;
use crate::num::{exp, powf};
use crate::parallel;
use crate::rng::{Purpose, Stream, fill_normal, stream, uniform};

/// Lengths of chains, in sweeps: a sweep proposes a move of each particle once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sweeps {
    /// Chains; samples are dealt out among them.
    pub chains: usize,
    /// Sweeps before the first sample; over the first fifth the inverse temperature rises from 1e-3 to 1 by equal factors.
    pub burn_in: usize,
    /// Sweeps from one sample of a chain to its next.
    pub between: usize,
}

impl Default for Sweeps {
    /// What the figures of the reference are made with.
    fn default() -> Self {
        Self { chains: 200, burn_in: 4_000, between: 200 }
    }
}

/// Inverse temperature at the start.
const HOT: f64 = 1e-3;
/// Streams of rows that are moved, beside those of chains.
const MOVED: u64 = 1 << 40;

/// N samples of p in the coordinates of [`NBody`], N×d, by independent chains of single-particle Metropolis moves; equal in law to p but for
/// the finite burn-in, and correlated within a chain. The same for any number of threads.
///
/// A move adds δ ~ N(0, ℓ² I) to one particle, ℓ one of three lengths at random, and is accepted with probability min(1, exp(-ΔE)).
/// Each sample is turned, reflected and renumbered at random, which leaves p unchanged. Row i N_c + c is sample i of chain c of N_c.
pub fn metropolis(p: &NBody, sweeps: Sweeps, n: usize, seed: u64) -> Matrix {
    let d = p.space().free_dim();
    let chains = sweeps.chains.clamp(1, n.max(1));
    let runs = parallel::collect(0..chains, |c| {
        let mut chain = Chain::new(p, stream(seed, Purpose::Chain, c as u64));
        for sweep in 0..sweeps.burn_in {
            let risen = (5.0 * sweep as f64 / sweeps.burn_in as f64).min(1.0);
            chain.sweep(powf(HOT, 1.0 - risen));
        }
        let mut rows = Vec::new();
        for _ in (c..n).step_by(chains) {
            (0..sweeps.between).for_each(|_| chain.sweep(1.0));
            rows.push(chain.sample());
        }
        rows
    });
    let mut out = Matrix::zeros(n, d);
    for (c, rows) in runs.iter().enumerate() {
        rows.iter().enumerate().for_each(|(i, row)| out.row_mut(i * chains + c).copy_from_slice(row));
    }
    out
}

/// Moves each row of y (N×d) by so many sweeps at temperature 1, which leave p invariant; row i has numbers of its own under `seed`.
pub fn sweep(p: &NBody, y: &mut Matrix, sweeps: usize, seed: u64) {
    let x = p.space().positions(y);
    let ends = parallel::collect(0..y.rows(), |i| {
        let mut chain = Chain::at(p, stream(seed, Purpose::Chain, MOVED | i as u64), x.row(i).to_vec());
        (0..sweeps).for_each(|_| chain.sweep(1.0));
        chain.x
    });
    *y = p.space().coordinates(&Matrix::from_vec(y.rows(), x.cols(), ends.concat()));
}

/// One chain; its mean wanders, and only differences of positions count.
struct Chain<'a> {
    p: &'a NBody,
    rng: Stream,
    x: Vec<f64>,
    /// The mean of the particles: k.
    mean: Vec<f64>,
    lengths: [f64; 3],
}

impl<'a> Chain<'a> {
    fn new(p: &'a NBody, mut rng: Stream) -> Self {
        let mut x = vec![0.0; p.space().positions_dim()];
        fill_normal(&mut rng, &mut x);
        Self::at(p, rng, x)
    }

    fn at(p: &'a NBody, rng: Stream, x: Vec<f64>) -> Self {
        let lengths = match p.pair() {
            Pair::DoubleWell => [0.5, 1.5, 4.0],
            Pair::LennardJones => [0.12, 0.3, 0.9],
        };
        let mut chain = Self { p, rng, x, mean: vec![0.0; p.space().dim], lengths };
        chain.find_mean();
        chain
    }

    /// Afresh, so that rounding does not add up.
    fn find_mean(&mut self) {
        let k = self.mean.len();
        for (c, mean) in self.mean.iter_mut().enumerate() {
            *mean = self.x.iter().skip(c).step_by(k).sum::<f64>() / (self.x.len() / k) as f64;
        }
    }

    /// Proposes a move of each particle at inverse temperature `beta`.
    fn sweep(&mut self, beta: f64) {
        let (k, n) = (self.mean.len(), self.x.len() / self.mean.len());
        let mut noise = [0.0; 64];
        let mut left: &[f64] = &[];
        for i in 0..n {
            if left.len() < k {
                fill_normal(&mut self.rng, &mut noise);
                left = &noise;
            }
            let (mine, rest) = left.split_at(k);
            left = rest;
            let length = self.lengths[((uniform(&mut self.rng) * 3.0) as usize).min(2)];
            let mut moved = [0.0; 3];
            let mut spring = 0.0;
            for c in 0..k {
                let (at, step) = (self.x[i * k + c], length * mine[c]);
                moved[c] = at + step;
                // Σ |x - mean|² changes by 2 (x_i - mean)·δ + |δ|² (1 - 1/n)
                spring += step * (2.0 * (at - self.mean[c]) + step * (1.0 - 1.0 / n as f64));
            }
            let rise = self.energy_at(i, &moved[..k]) - self.energy_at(i, &self.x[i * k..(i + 1) * k])
                + 0.5 * self.p.trap() * spring;
            if uniform(&mut self.rng) < exp(-beta * rise) {
                for c in 0..k {
                    self.mean[c] += (moved[c] - self.x[i * k + c]) / n as f64;
                    self.x[i * k + c] = moved[c];
                }
            }
        }
    }

    /// Σ_j v(|at - x_j|) over j ≠ i.
    fn energy_at(&self, i: usize, at: &[f64]) -> f64 {
        let pair = self.p.pair();
        let one = |(j, x): (usize, &[f64])| {
            let square = x.iter().zip(at).map(|(a, b)| (a - b) * (a - b)).sum();
            if i == j { 0.0 } else { pair.energy(square) }
        };
        self.x.chunks_exact(at.len()).enumerate().map(one).sum()
    }

    /// Coordinates of the state, turned or reflected and renumbered at random.
    fn sample(&mut self) -> Vec<f64> {
        let (k, n) = (self.mean.len(), self.x.len() / self.mean.len());
        let turn = orthogonal(&mut self.rng, k);
        let mut order: Vec<usize> = (0..n).collect();
        for i in 0..n {
            let j = i + ((uniform(&mut self.rng) * (n - i) as f64) as usize).min(n - i - 1);
            order.swap(i, j);
        }
        self.find_mean();
        let x: Vec<f64> = order
            .iter()
            .flat_map(|&i| turn.iter().map(move |row| (i, row)))
            .map(|(i, row)| (0..k).map(|c| row[c] * (self.x[i * k + c] - self.mean[c])).sum())
            .collect();
        let mut y = vec![0.0; self.p.space().free_dim()];
        self.p.space().coordinates_of(&x, &mut y);
        y
    }
}

/// A k×k orthogonal matrix, uniform: Gram and Schmidt on normal rows.
fn orthogonal(rng: &mut Stream, k: usize) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(k);
    for _ in 0..k {
        let mut row = vec![0.0; k];
        fill_normal(rng, &mut row);
        for other in &rows {
            let along: f64 = row.iter().zip(other).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        row.iter_mut().for_each(|a| *a /= norm);
        rows.push(row);
    }
    rows
}
