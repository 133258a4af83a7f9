//! Which modes of a Gaussian mixture a sample has, with which masses and widths.

use crate::density::{Density, GaussianMixture};
use crate::linalg::Matrix;
use crate::linalg::shape_mismatch;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A mode is covered where its mass is above this fraction of the true one.
const COVERED: f64 = 0.2;

/// Mahalanobis distance beyond which a point is outside a mode.
const SIGMAS: f64 = 4.0;

/// Rows of one task; fixed, so that the sums do not depend on the number of threads.
const ROWS: usize = 1_024;

/// What a sample is compared with: the cells of a mixture, their masses and widths under the mixture itself.
///
/// The cell of mode k is the set where component k has the largest responsibility w_k N(x; m_k, C_k)/p(x). Its true mass is
/// measured on a large exact sample and is not w_k where components overlap, so overlapping and unequal components cause no bias.
#[derive(Debug, Clone)]
pub struct ModeTruth {
    mixture: GaussianMixture,
    masses: Vec<f64>,
    width: f64,
    size: usize,
}

/// A sample against the modes of a mixture.
#[derive(Debug, Clone, PartialEq)]
pub struct ModeReport {
    /// Number of modes with positive weight.
    pub modes: usize,
    /// How many of them have more than 0.2 of their true mass.
    pub covered: usize,
    /// ½ (Σ_k |mass_k - truth_k| + the share of points in no cell), between 0 and 1.
    pub total_variation: f64,
    /// Fraction of points beyond Mahalanobis distance 4 of every mode.
    pub outside: f64,
    /// Mean of Mahalanobis²/d to the mode of the own cell, over points within distance 4 of it, divided by the same mean over exact
    /// samples: 1 for the truth, below 1 for modes that are too narrow. NaN where no point is within distance 4.
    pub variance_ratio: f64,
    /// Points within distance 4 of the mode of their cell, which the variance ratio is about.
    pub near: usize,
    /// Points so far off that every Mahalanobis distance overflows, which are in no cell.
    pub nowhere: usize,
    /// Fraction of the sample in each cell: K.
    pub masses: Vec<f64>,
    /// True mass of each cell: K.
    pub truths: Vec<f64>,
}

/// What is counted over a set of points.
#[derive(Default)]
struct Tally {
    cells: Vec<u64>,
    /// Points within 4σ of the mode of their cell, and the sum of their Mahalanobis².
    near: u64,
    squares: f64,
    /// Points in no cell.
    nowhere: u64,
    /// Points beyond 4σ of every mode.
    outside: u64,
}

impl ModeTruth {
    /// Measures the cells of `mixture` on `size` exact samples under `seed`; a mass m is known to ±√(m/size).
    pub fn new(mixture: &GaussianMixture, size: usize, seed: u64) -> Self {
        let exact = mixture.sample(size, seed).expect("a mixture has an exact sampler");
        let tally = Tally::of(mixture, &exact);
        let masses = tally.masses(size);
        Self { mixture: mixture.clone(), masses, width: tally.squares / tally.near as f64, size }
    }

    /// The number of exact samples behind the true masses.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Compares `samples` (n×d) with the mixture. O(n K d²). Panics where d differs.
    pub fn report(&self, samples: &Matrix) -> ModeReport {
        if samples.cols() != self.mixture.dim() {
            shape_mismatch("ModeTruth::report", samples.shape(), (samples.rows(), self.mixture.dim()));
        }
        let tally = Tally::of(&self.mixture, samples);
        let masses = tally.masses(samples.rows());
        let pairs = || masses.iter().zip(&self.masses);
        ModeReport {
            modes: self.mixture.weights().iter().filter(|&&w| w > 0.0).count(),
            covered: pairs().filter(|&(mass, truth)| *mass > COVERED * truth).count(),
            total_variation: 0.5
                * (pairs().map(|(mass, truth)| (mass - truth).abs()).sum::<f64>()
                    + tally.nowhere as f64 / samples.rows() as f64),
            outside: tally.outside as f64 / samples.rows() as f64,
            variance_ratio: tally.squares / tally.near as f64 / self.width,
            near: tally.near as usize,
            nowhere: tally.nowhere as usize,
            masses,
            truths: self.masses.clone(),
        }
    }
}

impl Tally {
    /// Over all rows of x, in chunks of fixed size; the cells, which may be many, are counted by all of them together.
    fn of(mixture: &GaussianMixture, x: &Matrix) -> Self {
        let cells: Vec<AtomicU64> = (0..mixture.components()).map(|_| AtomicU64::new(0)).collect();
        let rows = x.as_slice().par_chunks(ROWS * x.cols());
        let parts: Vec<Tally> = rows.map(|rows| Self::of_rows(mixture, rows, &cells)).collect();
        let cells = cells.into_iter().map(AtomicU64::into_inner).collect();
        parts.into_iter().fold(Tally { cells, ..Tally::default() }, |mut all, part| {
            (all.near, all.outside) = (all.near + part.near, all.outside + part.outside);
            all.nowhere += part.nowhere;
            all.squares += part.squares;
            all
        })
    }

    /// Over one chunk of rows, the cells apart.
    fn of_rows(mixture: &GaussianMixture, rows: &[f64], cells: &[AtomicU64]) -> Self {
        let d = mixture.dim();
        let mut tally = Tally::default();
        for point in rows.chunks_exact(d) {
            // log w_k N(x; m_k, C_k) differs from log_constant - ½ Mahalanobis² by nothing that depends on k
            let (mut cell, mut best, mut own, mut nearest) = (0, f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY);
            for k in (0..mixture.components()).filter(|&k| mixture.weights()[k] > 0.0) {
                let square = mahalanobis_squared(mixture, k, point);
                let score = mixture.log_constants[k] - mutant!("modes-exponent", square, 0.5 * square);
                nearest = nearest.min(square);
                if score > best {
                    (cell, best, own) = (k, score, square);
                }
            }
            if best > f64::NEG_INFINITY {
                cells[cell].fetch_add(1, Relaxed);
            } else {
                tally.nowhere += 1;
            }
            tally.outside += u64::from(nearest > SIGMAS * SIGMAS);
            if own <= SIGMAS * SIGMAS {
                tally.near += 1;
                tally.squares += mutant!("modes-width", own.sqrt(), own) / d as f64;
            }
        }
        tally
    }

    /// cells / n.
    fn masses(&self, n: usize) -> Vec<f64> {
        self.cells.iter().map(|&count| count as f64 / n as f64).collect()
    }
}

/// |W (x - m)|² of component k, W = L⁻¹ lower triangular.
fn mahalanobis_squared(mixture: &GaussianMixture, k: usize, x: &[f64]) -> f64 {
    let (whitener, mean) = (&mixture.whiteners()[k], mixture.means().row(k));
    let first = |i: usize| if mixture.diagonal[k] { i } else { 0 };
    let row = |i: usize| (first(i)..=i).map(|j| whitener[(i, j)] * (x[j] - mean[j])).sum::<f64>();
    (0..x.len()).map(|i| row(i).powi(2)).sum()
}
