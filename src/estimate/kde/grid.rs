//! A kernel density estimate in time proportional to the number of points, in few dimensions, with an error bound that is checked
//! query by query.

use super::Kde;
use super::expansion::{Expansion, MAX_DIM};
use crate::error::{Error, Result};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{Real, ln};
use rayon::prelude::*;

/// Queries that one task handles; fixed, so that the bits do not depend on the number of threads.
const QUERIES_PER_TASK: usize = 1024;

/// Multiply-adds of the grid that take the time of a pair of the exact kernel, in f64 and f32: measured for N(0, I) in the plane with
/// h = N^(-1/6) and a tolerance of 1e-4, where both are equally fast at N ≈ 16,000 in f64 and 40,000 in f32.
const PAIR: [f64; 2] = [8.0, 2.0];

/// Errors that the caller allows, besides the rounding of the inputs and of the output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Largest relative error of the density: |q̂ - exact| ≤ density · exact.
    pub density: f64,
    /// Largest absolute error of each component of the score, in 1/length.
    pub score: f64,
}

/// [`Kde`] by local expansions on a grid of cells of side h (the fast Gauss transform of Greengard and Strain, 1991, in its
/// Taylor-Taylor form, axis by axis).
///
/// A pair of offset D + s - t along an axis, D the distance of the cell centres, s and t the offsets within the cells, has
/// `g(D + s - t) = Σ_{m + n < P} g⁽ᵐ⁺ⁿ⁾(D) sᵐ/m! (-t)ⁿ/n! + rest`, g(u) = exp(-u²/2), |s - t| ≤ 1 in units of h.
///
/// *Bound.* g⁽ᴾ⁾ is a Hermite function, |g⁽ᴾ⁾| ≤ 1.09 √P! (Cramér; Abramowitz and Stegun 22.14.17), so |rest| ≤ τ = 1.09/√P!, and
/// the rest of ∂/∂s at most Pτ (Taylor's theorem for g'). More than that, each of these and |g|, |g'| are at most the same times
/// v(D) = exp(-(|D| - 1)₊²/4), because the Hermite functions decay like exp(-u²/4) and |u| ≥ |D| - 1. A product over the axes errs
/// by at most (1 + Pτ)ᵈ - 1 times the product of the v. Cells with |D| > R are left out; there |u| ≥ R, so a pair and its gradient
/// are below R exp(-R²/2). With W = Σ_j Π v over the samples in reach, counted cell by cell, Σ_j k and h∇Σ_j k err by at most
///
/// `A = W ((1 + Pτ)ᵈ - 1 + rounding) + N R exp(-R²/2)`,
///
/// where the rounding of a sum is its number of terms times ε times its absolute sum, Σ_k 1.09 √(k+1)/√k! < 6 for an axis. With m̂ and
/// ĝ computed, |m̂ - m| ≤ A and |ĝ - g| ≤ A give
///
/// `|m̂ - m|/m ≤ A/(m̂ - A)`,   `|ĝ/m̂ - g/m| ≤ A (1 + |ĝ/m̂|)/(m̂ - A)`.
///
/// Each query is tested against these two. Those that fail, far from all samples, are given to the exact kernel; so is everything
/// where the grid would not pay: more than 3 dimensions, few points, or a bandwidth so small that the cells outnumber the points.
#[derive(Debug, Clone)]
pub struct KdeGrid<T: Real = f64> {
    exact: Kde<T>,
    expansion: Option<Expansion>,
    tolerance: Tolerance,
}

impl<T: Real> KdeGrid<T> {
    /// The estimate from `samples` (N×d) with bandwidth h > 0. Cost O(N Pᵈ) and O(Pᵈ⁺¹ R) for each cell; P grows like log N.
    pub fn new(samples: &Matrix<T>, bandwidth: f64, tolerance: Tolerance) -> Result<Self> {
        for (name, value) in [("density tolerance", tolerance.density), ("score tolerance", tolerance.score)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Parameter { name: name.to_string(), value, expected: "a positive finite number" });
            }
        }
        let exact = Kde::new(samples, bandwidth)?;
        let smallest = tolerance.density.min(tolerance.score * bandwidth);
        let pair = PAIR[usize::from(size_of::<T>() == 4)];
        let expansion = Expansion::new(&samples.cast(), bandwidth, smallest, pair);
        Ok(Self { exact, expansion, tolerance })
    }

    /// Whether the grid is in use, and not the exact kernel for all queries.
    pub fn uses_grid(&self) -> bool {
        self.expansion.is_some()
    }

    /// (log q̂_h, its gradient) at the rows of `x` (n×d), within the tolerance.
    #[track_caller]
    pub fn log_density_and_score(&self, x: &Matrix<T>) -> (Vec<T>, Matrix<T>) {
        let Some(expansion) = &self.expansion else {
            return self.exact.log_density_and_score(x);
        };
        let d = self.exact.setup.d;
        if x.cols() != d {
            shape_mismatch("KdeGrid::log_density_and_score", x.shape(), (self.exact.setup.n, d));
        }
        let (mut log_density, mut score) = (vec![T::NAN; x.rows()], Matrix::filled(x.rows(), d, T::NAN));
        let outputs =
            log_density.par_chunks_mut(QUERIES_PER_TASK).zip(score.as_mut_slice().par_chunks_mut(QUERIES_PER_TASK * d));
        outputs.zip(x.as_slice().par_chunks(QUERIES_PER_TASK * d)).for_each(|((log_density, score), x)| {
            for ((l, s), x) in log_density.iter_mut().zip(score.chunks_exact_mut(d)).zip(x.chunks_exact(d)) {
                self.certified(expansion, x, l, s);
            }
        });
        let failed: Vec<usize> = (0..x.rows()).filter(|&i| log_density[i].is_nan()).collect();
        let (exact_log, exact_score) = self.exact.log_density_and_score(&x.gather_rows(&failed));
        for (k, &i) in failed.iter().enumerate() {
            log_density[i] = exact_log[k];
            score.row_mut(i).copy_from_slice(exact_score.row(k));
        }
        (log_density, score)
    }

    /// Fills the values of one query if both bounds hold, and leaves them NaN otherwise.
    fn certified(&self, expansion: &Expansion, x: &[T], log_density: &mut T, score: &mut [T]) {
        let (d, h) = (x.len(), self.exact.setup.bandwidth);
        let mut point = [0.0; MAX_DIM];
        point.iter_mut().zip(x).for_each(|(p, x)| *p = x.to_f64());
        let Some(([mass, gradient @ ..], error)) = expansion.at(&point[..d]) else { return };
        let mean = gradient.map(|g| g / mass);
        let steepest = mean.iter().fold(0.0, |m: f64, g| m.max(g.abs()));
        let relative = error / (mass - error);
        let fits = relative <= self.tolerance.density && relative * (1.0 + steepest) <= self.tolerance.score * h;
        if mass > error && fits {
            *log_density = T::from_f64(ln(mass) - self.exact.setup.log_norm);
            score.iter_mut().zip(mean).for_each(|(s, m)| *s = T::from_f64(m / h));
        }
    }
}
