//! Gaussian kernel density estimates: log-density and score in one pass, without an N×N matrix.
//!
//! Two exact indices over the samples, one file each, have the same values up to rounding: [`sweep`], for few dimensions, passes over what is
//! far away; [`products`], for many, does its sums by matrix products. [`grid`] is the approximate one, with a bound on its error.

mod expansion;
mod grid;
mod output;
mod products;
mod sweep;

use crate::error::{Error, Result};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{Real, ln};
use products::Products;
pub(crate) use sweep::kernel_sums;
use sweep::{Sweep, tree_order};

pub use grid::{KdeGrid, Tolerance};

/// Most dimensions of [`Sweep`]. From 8 on [`Products`] are up to 1.7 times as fast where samples have no clusters, but not exact at any
/// distance.
pub(crate) const FEW: usize = 11;

/// Queries that [`Kde::evaluate`] takes at once at best, in d dimensions.
pub(crate) fn panel_rows(d: usize) -> usize {
    if d > FEW { 2 * products::LANES } else { sweep::LANES }
}

/// The rows of `x` in an order in which each panel of [`panel_rows`] stands close together, where that helps.
pub(crate) fn near_order<T: Real>(x: &Matrix<T>) -> Vec<usize> {
    let (n, d) = x.shape();
    if d > FEW {
        return (0..n).collect();
    }
    tree_order(x.as_slice(), d, sweep::LANES).into_iter().map(|i| i as usize).collect()
}

/// The kernel density estimate q̂_h(x) = (1/N) Σ_j φ_h(x - y_j), φ_h the density of N(0, h² I).
///
/// It estimates `q ∗ φ_h` without bias (T10), not q; match it against a target smoothed by the same h (T11). Leaving the own
/// point out makes isolated particles explode: give an independent batch instead.
///
/// The values are those of samples and queries moved by one rounding of (y - centre)/h, up to a few units in the last place of
/// the energy ½|x - y|²/h²: nothing is lost at any distance, because the largest kernel value of a query is kept in range.
///
/// In few dimensions (up to 11), many samples and their queries are put in an order that keeps neighbours together, and blocks of samples are
/// left out for a panel of queries where their kernel values, all together, are below ε/8 of the sum: most pairs, where h is small against
/// the spread of the samples. Squares about the middle of a small panel may cancel there: the exponent is right to a few
/// ε (|x - y|²/h² + 67).
#[derive(Debug, Clone)]
pub struct Kde<T: Real = f64> {
    setup: Setup,
    index: Index<T>,
}

/// The samples as one of the two computations wants them.
#[derive(Debug, Clone)]
enum Index<T: Real> {
    Sweep(Sweep<T>),
    Products(Products<T>),
}

/// What does not depend on the index.
#[derive(Debug, Clone)]
struct Setup {
    n: usize,
    d: usize,
    /// h.
    bandwidth: f64,
    /// Mean of the samples, d: subtracted so that samples far from the origin keep their digits.
    centre: Vec<f64>,
    /// log of N (√(2π) h)^d.
    log_norm: f64,
}

impl Setup {
    fn new(n: usize, centre: Vec<f64>, bandwidth: f64) -> Self {
        let d = centre.len();
        let log_norm = ln(n as f64)
            + d as f64 * ln((mutant!("kernel-normaliser", 1.0, 2.0) * std::f64::consts::PI).sqrt() * bandwidth);
        Self { n, d, bandwidth, centre, log_norm }
    }

    /// √(½ log₂ e)/h: in this unit of length the kernel is 2^-|x - y|².
    fn scale(&self) -> f64 {
        (mutant!("kernel-width", 0.45, 0.5) * std::f64::consts::LOG2_E).sqrt() / self.bandwidth
    }
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
            *l += mutant!("debias-sign", -half * (T::ONE / m - rest), half * (T::ONE / m - rest));
        }
        let corrections = self.score_correction.as_slice();
        self.score.as_mut_slice().iter_mut().zip(corrections).for_each(|(s, &c)| *s += mutant!("debias-score", -c, c));
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
        let setup = Setup::new(n, centre, bandwidth);
        let index = if d > FEW {
            Index::Products(Products::new(samples, &setup))
        } else {
            Index::Sweep(Sweep::new(samples, &setup))
        };
        Ok(Self { setup, index })
    }

    /// The estimate from the same samples with another bandwidth h > 0, finite; cheaper than a new one.
    #[track_caller]
    pub fn with_bandwidth(&self, bandwidth: f64) -> Self {
        assert!(
            bandwidth > 0.0 && bandwidth.is_finite(),
            "Kde::with_bandwidth: {bandwidth} is not positive and finite"
        );
        let setup = Setup::new(self.setup.n, self.setup.centre.clone(), bandwidth);
        let index = match &self.index {
            Index::Sweep(sweep) => Index::Sweep(sweep.rescaled(&setup)),
            Index::Products(products) => Index::Products(products.clone()),
        };
        Self { setup, index }
    }

    /// h.
    pub fn bandwidth(&self) -> f64 {
        self.setup.bandwidth
    }

    /// log q̂_h, its gradient and the effective number of neighbours at the rows of `x` (n×d). Cost O(n N d), memory O(n d + N d).
    #[track_caller]
    pub fn evaluate(&self, x: &Matrix<T>) -> KdeValues<T> {
        self.values(x, true)
    }

    /// (log q̂_h, its gradient) at the rows of `x` (n×d), as [`Kde::evaluate`] but without the moments of k²: about 2/3 of its cost.
    #[track_caller]
    pub fn log_density_and_score(&self, x: &Matrix<T>) -> (Vec<T>, Matrix<T>) {
        let values = self.values(x, false);
        (values.log_density, values.score)
    }

    /// The values, those of the moments of k² only where `second`.
    #[track_caller]
    fn values(&self, x: &Matrix<T>, second: bool) -> KdeValues<T> {
        if x.cols() != self.setup.d {
            shape_mismatch("Kde::evaluate", x.shape(), (self.setup.n, self.setup.d));
        }
        match &self.index {
            Index::Sweep(sweep) => sweep.values(&self.setup, x, second),
            Index::Products(products) => products.values(&self.setup, x, second),
        }
    }
}
