//! Gaussian kernel density estimates: log-density and score in one pass, without an N×N matrix.

use crate::error::{Error, Result};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{Kernel, Real, dispatch};
use rayon::prelude::*;

/// Queries that one task handles; fixed, so that the bits do not depend on the number of threads.
const QUERIES_PER_TASK: usize = 64;

/// Samples whose distances are held at a time: they stay in the first-level cache.
const BLOCK: usize = 256;

/// Partial sums of a reduction; fixed, so that instruction sets of different width add in the same order.
const LANES: usize = 16;

/// The kernel density estimate q̂_h(x) = (1/N) Σ_j φ_h(x - y_j), φ_h the density of N(0, h² I).
///
/// It estimates `q ∗ φ_h` without bias (T10), not q; match it against a target smoothed by the same h (T11). Leaving the own
/// point out makes isolated particles explode: give an independent batch instead.
#[derive(Debug, Clone)]
pub struct Kde<T: Real = f64> {
    /// Samples in units of h, column after column: coordinate k of sample j is `columns[k * padded + j]`.
    columns: Vec<T>,
    padded: usize,
    n: usize,
    d: usize,
    bandwidth: f64,
}

/// Values at n queries.
#[derive(Debug, Clone)]
pub struct KdeValues<T: Real = f64> {
    /// log q̂_h(x_i), n.
    pub log_density: Vec<T>,
    /// ∇ log q̂_h(x_i), n×d.
    pub score: Matrix<T>,
    /// m_i = (Σ_j k_ij)² / Σ_j k_ij², the effective number of samples behind the estimate at x_i, n.
    pub neighbours: Vec<T>,
    /// ∇ (1/2m)(x_i), n×d: what [`KdeValues::debiased`] adds to the score.
    pub score_correction: Matrix<T>,
}

impl<T: Real> KdeValues<T> {
    /// (log q̂_h + ½(1/m - 1/N), its gradient): free of the bias of the logarithm to first order in 1/m (T10).
    ///
    /// q̂_h is unbiased for q ∗ φ_h, its logarithm is low by half its relative variance, which is 1/m - 1/N: most where samples are
    /// rare, so that the plain score pushes outwards there. N is the number of samples.
    pub fn debiased(mut self, samples: usize) -> (Vec<T>, Matrix<T>) {
        let half = T::from_f64(0.5);
        let rest = T::from_f64(1.0 / samples as f64);
        for (l, &m) in self.log_density.iter_mut().zip(&self.neighbours) {
            *l += half * (T::ONE / m - rest);
        }
        let corrections = self.score_correction.as_slice();
        self.score.as_mut_slice().iter_mut().zip(corrections).for_each(|(s, &c)| *s += c);
        (self.log_density, self.score)
    }
}

impl<T: Real> Kde<T> {
    /// The estimate from `samples` (N×d, N ≥ 1) with bandwidth h > 0. Cost O(N d).
    pub fn new(samples: &Matrix<T>, bandwidth: f64) -> Result<Self> {
        let (n, d) = samples.shape();
        if !(bandwidth > 0.0 && bandwidth.is_finite()) {
            let name = "bandwidth".to_string();
            return Err(Error::Parameter { name, value: bandwidth, expected: "a positive finite number" });
        }
        if n == 0 || d == 0 {
            let what = "the sample of a kernel density estimate".to_string();
            return Err(Error::Dimension { what, expected: 1, found: 0 });
        }
        let padded = n.next_multiple_of(LANES);
        // the padding is infinitely far away: its kernel is exactly 0
        let mut columns = vec![T::INFINITY; padded * d];
        let scale = T::from_f64(1.0 / bandwidth);
        for (j, row) in samples.iter_rows().enumerate() {
            row.iter().enumerate().for_each(|(k, &y)| columns[k * padded + j] = y * scale);
        }
        Ok(Self { columns, padded, n, d, bandwidth })
    }

    /// h.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// log q̂_h, its gradient and the effective number of neighbours at the rows of `x` (n×d). Cost O(n N d), memory O(n d + N d).
    #[track_caller]
    pub fn evaluate(&self, x: &Matrix<T>) -> KdeValues<T> {
        if x.cols() != self.d {
            shape_mismatch("Kde::evaluate", x.shape(), (self.n, self.d));
        }
        let mut out = KdeValues {
            log_density: vec![T::ZERO; x.rows()],
            score: Matrix::zeros(x.rows(), self.d),
            neighbours: vec![T::ZERO; x.rows()],
            score_correction: Matrix::zeros(x.rows(), self.d),
        };
        let rows = QUERIES_PER_TASK * self.d;
        let tasks = out
            .log_density
            .par_chunks_mut(QUERIES_PER_TASK)
            .zip(out.score.as_mut_slice().par_chunks_mut(rows))
            .zip(out.neighbours.par_chunks_mut(QUERIES_PER_TASK))
            .zip(out.score_correction.as_mut_slice().par_chunks_mut(rows))
            .zip(x.as_slice().par_chunks(rows));
        tasks.for_each(|((((log_density, score), neighbours), correction), queries)| {
            dispatch(Sweep { kde: self, queries, log_density, score, neighbours, correction });
        });
        out
    }
}

/// One task: its queries against all samples.
struct Sweep<'a, T: Real> {
    kde: &'a Kde<T>,
    queries: &'a [T],
    log_density: &'a mut [T],
    score: &'a mut [T],
    neighbours: &'a mut [T],
    correction: &'a mut [T],
}

/// Running sums of one query, relative to the nearest sample met so far.
struct Sums<'a, T> {
    /// Smallest ½|x - y|² so far.
    nearest: T,
    /// Σ k and Σ k².
    mass: T,
    mass2: T,
    /// Σ k (y - x), d.
    shift: &'a mut [T],
    /// Σ k² (y - x), d.
    shift2: &'a mut [T],
}

impl<T: Real> Kernel for Sweep<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let (d, h) = (self.kde.d, T::from_f64(self.kde.bandwidth));
        let log_norm = 0.5 * d as f64 * (2.0 * std::f64::consts::PI).ln() + d as f64 * self.kde.bandwidth.ln();
        let constant = T::from_f64(-(self.kde.n as f64).ln() - log_norm);
        let mut x = vec![T::ZERO; d];
        for (i, query) in self.queries.chunks_exact(d).enumerate() {
            for k in 0..d {
                x[k] = query[k] / h;
            }
            let row = i * d..(i + 1) * d;
            let (shift, shift2) = (&mut self.score[row.clone()], &mut self.correction[row]);
            let mut sums = Sums { nearest: T::INFINITY, mass: T::ZERO, mass2: T::ZERO, shift, shift2 };
            for start in (0..self.kde.padded).step_by(BLOCK) {
                block::<FMA, T>(self.kde, start, &x, &mut sums);
            }
            self.log_density[i] = sums.mass.ln() - sums.nearest + constant;
            self.neighbours[i] = sums.mass * sums.mass / sums.mass2;
            for k in 0..d {
                // means of y - x (in units of h) under k and under k²; ∇k = k (y - x)/h² brings one more 1/h
                let (m1, m2) = (sums.shift[k] / sums.mass, sums.shift2[k] / sums.mass2);
                sums.shift[k] = m1 / h;
                sums.shift2[k] = (m2 - m1) / (self.neighbours[i] * h);
            }
        }
    }
}

/// Adds the samples of one block to the sums of the query `x`: online log-sum-exp (Milakov and Gimelshein, 2018, algorithm 3).
#[inline(always)]
fn block<const FMA: bool, T: Real>(kde: &Kde<T>, start: usize, x: &[T], sums: &mut Sums<'_, T>) {
    let len = BLOCK.min(kde.padded - start);
    let mut e = [T::ZERO; BLOCK];
    let e = &mut e[..len];
    for (k, &xk) in x.iter().enumerate() {
        let y = &kde.columns[k * kde.padded + start..][..len];
        for j in 0..len {
            let t = y[j] - xk;
            e[j] = t.fused::<FMA>(t, e[j]);
        }
    }
    let half = T::from_f64(0.5);
    let nearest = half * minimum(e);
    if nearest < sums.nearest {
        // an infinite old distance has empty sums: exp(-inf) = 0 keeps them so
        let factor = (nearest - sums.nearest).exp();
        sums.mass *= factor;
        sums.mass2 *= factor * factor;
        sums.shift.iter_mut().for_each(|s| *s *= factor);
        sums.shift2.iter_mut().for_each(|s| *s *= factor * factor);
        sums.nearest = nearest;
    }
    for j in 0..len {
        e[j] = (sums.nearest - half * e[j]).exp_body::<FMA>();
    }
    let (mass, mass2) = masses::<FMA, T>(e);
    sums.mass += mass;
    sums.mass2 += mass2;
    for (k, &xk) in x.iter().enumerate() {
        let y = &kde.columns[k * kde.padded + start..][..len];
        let (m1, m2) = moment::<FMA, T>(e, y, xk);
        sums.shift[k] += m1;
        sums.shift2[k] += m2;
    }
}

#[inline(always)]
fn minimum<T: Real>(e: &[T]) -> T {
    let mut lanes = [T::INFINITY; LANES];
    for chunk in e.chunks_exact(LANES) {
        for l in 0..LANES {
            lanes[l] = if chunk[l] < lanes[l] { chunk[l] } else { lanes[l] };
        }
    }
    lanes.iter().copied().fold(T::INFINITY, |m, v| if v < m { v } else { m })
}

/// (Σ k, Σ k²).
#[inline(always)]
fn masses<const FMA: bool, T: Real>(k: &[T]) -> (T, T) {
    let mut one = [T::ZERO; LANES];
    let mut two = [T::ZERO; LANES];
    for chunk in k.chunks_exact(LANES) {
        for l in 0..LANES {
            one[l] += chunk[l];
            two[l] = chunk[l].fused::<FMA>(chunk[l], two[l]);
        }
    }
    (one.iter().copied().sum(), two.iter().copied().sum())
}

/// (Σ k (y - x), Σ k² (y - x)); the padding, where k = 0 and y = ∞, counts nothing.
#[inline(always)]
fn moment<const FMA: bool, T: Real>(k: &[T], y: &[T], x: T) -> (T, T) {
    let mut lanes = [T::ZERO; LANES];
    let mut lanes2 = [T::ZERO; LANES];
    for (k, y) in k.chunks_exact(LANES).zip(y.chunks_exact(LANES)) {
        for l in 0..LANES {
            let t = if k[l] > T::ZERO { y[l] - x } else { T::ZERO };
            lanes[l] = k[l].fused::<FMA>(t, lanes[l]);
            lanes2[l] = (k[l] * k[l]).fused::<FMA>(t, lanes2[l]);
        }
    }
    (lanes.iter().copied().sum(), lanes2.iter().copied().sum())
}
