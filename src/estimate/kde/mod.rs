//! Gaussian kernel density estimates: log-density and score in one pass, without an N×N matrix.

mod expansion;
mod grid;
mod sweep;
mod task;
mod tiles;

use crate::error::{Error, Result};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::Real;
use rayon::prelude::*;
use task::Task;

pub use grid::{KdeGrid, Tolerance};

/// Queries that one task handles; fixed, so that the bits do not depend on the number of threads.
const QUERIES_PER_TASK: usize = 64;

/// Samples that bound the distance to the nearest one from above.
const PILOTS: usize = 64;

/// Most dimensions that [`sweep`] does; from here on the matrix products of [`tiles`] are faster.
const FEW: usize = 11;

/// The kernel density estimate q̂_h(x) = (1/N) Σ_j φ_h(x - y_j), φ_h the density of N(0, h² I).
///
/// It estimates `q ∗ φ_h` without bias (T10), not q; match it against a target smoothed by the same h (T11). Leaving the own
/// point out makes isolated particles explode: give an independent batch instead.
///
/// The values are those of samples and queries moved by one rounding of (y - centre)/h, up to a few units in the last place of
/// the energy ½|x - y|²/h²: nothing is lost at any distance, because the largest kernel value of a query is kept in range.
#[derive(Debug, Clone)]
pub struct Kde<T: Real = f64> {
    /// Samples about their centre, in units in which the kernel is 2^-|x - y|², N×d.
    samples: Vec<T>,
    /// |y|² of each, where [`tiles`] needs it.
    squares: Vec<T>,
    /// Some of them, spread over the sample.
    pilots: Vec<T>,
    /// Mean of the samples, d: subtracted so that samples far from the origin keep their digits.
    centre: Vec<f64>,
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
        let centre = samples.column_means().iter().map(|m| m.to_f64()).collect();
        let mut kde = Self { samples: vec![], squares: vec![], pilots: vec![], centre, n, d, bandwidth };
        kde.samples = samples.iter_rows().flat_map(|y| kde.scaled(y)).collect();
        if d > FEW {
            kde.squares = kde.samples.chunks_exact(d).map(tiles::square).collect();
        }
        let step = n.div_ceil(PILOTS);
        kde.pilots = kde.samples.chunks_exact(d).step_by(step).flatten().copied().collect();
        Ok(kde)
    }

    /// √(½ log₂ e)/h: in this unit of length the kernel is 2^-|x - y|².
    fn scale(&self) -> f64 {
        (0.5 * std::f64::consts::LOG2_E).sqrt() / self.bandwidth
    }

    /// (y - centre) √(½ log₂ e)/h.
    fn scaled(&self, y: &[T]) -> impl Iterator<Item = T> {
        let scale = self.scale();
        y.iter().zip(&self.centre).map(move |(&y, c)| T::from_f64((y.to_f64() - c) * scale))
    }

    /// h.
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// log q̂_h, its gradient and the effective number of neighbours at the rows of `x` (n×d). Cost O(n N d), memory O(n d + N d).
    #[track_caller]
    pub fn evaluate(&self, x: &Matrix<T>) -> KdeValues<T> {
        let mut out = KdeValues {
            log_density: vec![T::ZERO; x.rows()],
            score: Matrix::zeros(x.rows(), self.d),
            neighbours: vec![T::ZERO; x.rows()],
            score_correction: Matrix::zeros(x.rows(), self.d),
        };
        let rows = QUERIES_PER_TASK * self.d;
        let tasks = self
            .tasks(x, &mut out.log_density, &mut out.score)
            .zip(out.neighbours.par_chunks_mut(QUERIES_PER_TASK))
            .zip(out.score_correction.as_mut_slice().par_chunks_mut(rows));
        tasks
            .for_each(|((task, neighbours), correction)| Task { second: Some((neighbours, correction)), ..task }.run());
        out
    }

    /// (log q̂_h, its gradient) at the rows of `x` (n×d), as [`Kde::evaluate`] but without the moments of k²: about 2/3 of its cost.
    #[track_caller]
    pub fn log_density_and_score(&self, x: &Matrix<T>) -> (Vec<T>, Matrix<T>) {
        let (mut log_density, mut score) = (vec![T::ZERO; x.rows()], Matrix::zeros(x.rows(), self.d));
        self.tasks(x, &mut log_density, &mut score).for_each(Task::run);
        (log_density, score)
    }

    /// The queries in fixed portions.
    #[track_caller]
    fn tasks<'a>(
        &'a self,
        x: &'a Matrix<T>,
        log_density: &'a mut [T],
        score: &'a mut Matrix<T>,
    ) -> impl IndexedParallelIterator<Item = Task<'a, T>> {
        if x.cols() != self.d {
            shape_mismatch("Kde::evaluate", x.shape(), (self.n, self.d));
        }
        let rows = QUERIES_PER_TASK * self.d;
        let outputs = log_density.par_chunks_mut(QUERIES_PER_TASK).zip(score.as_mut_slice().par_chunks_mut(rows));
        outputs.zip(x.as_slice().par_chunks(rows)).map(|((log_density, score), queries)| Task {
            kde: self,
            queries,
            log_density,
            score,
            second: None,
        })
    }
}
