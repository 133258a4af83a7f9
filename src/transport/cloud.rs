//! Weighted points, laid out for sweeps.

use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::num::{Real, exp, log_sum_exp, log2};
use crate::transport::Cost;
use crate::transport::sweep::LANES;
use std::cmp::Ordering;
use std::ops::Range;

/// log₂ of a weight that no sum notices, in place of -∞.
const NOTHING: f64 = -1e30;

/// Σ_i a_i δ(x_i), Σ a_i = 1 unless [`Cloud::of_mass`] says another sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Cloud<T = f64> {
    /// x, n×d.
    points: Matrix<T>,
    /// xᵀ, d rows of `padded` numbers, zeros at the end.
    columns: Vec<T>,
    /// n up to a whole number of lanes.
    padded: usize,
    /// a, n.
    weights: Vec<f64>,
    /// Σ a.
    mass: f64,
    /// log₂ a, `padded`; [`NOTHING`] at the end.
    log2_weights: Vec<T>,
}

impl<T: Real> Cloud<T> {
    /// Points x (n×d, n and d at least 1) with weights ∝ exp(`log_weights`) (n, -∞ allowed), equal where none are given.
    ///
    /// `Error::BadSample` with the place of a point that is not finite, `Error::Dimension` for no points or another number of weights,
    /// `Error::Parameter` for log-weights that are NaN, +∞ or all -∞.
    pub fn new(points: &Matrix, log_weights: Option<&[f64]>) -> Result<Self> {
        let (n, d) = points.shape();
        if n == 0 || d == 0 {
            return Err(Error::Dimension { what: "a set of points".into(), expected: 1, found: 0 });
        }
        let bad = |x: &f64| !x.is_finite() || !T::from_f64(*x).is_finite() || !(x * x).is_finite();
        if let Some(k) = points.as_slice().iter().position(bad) {
            return Err(Error::BadSample { row: k / d, column: k % d, value: points.as_slice()[k] });
        }
        Ok(Self::of(points.cast(), normalised(n, log_weights)?, 1.0))
    }

    /// Points with weights whose sum is `mass`.
    fn of(points: Matrix<T>, weights: Vec<f64>, mass: f64) -> Self {
        let (n, d) = points.shape();
        let padded = n.next_multiple_of(LANES);
        let mut columns = vec![T::ZERO; d * padded];
        for (i, row) in points.iter_rows().enumerate() {
            row.iter().enumerate().for_each(|(j, &x)| columns[j * padded + i] = x);
        }
        let mut log2_weights = vec![T::from_f64(NOTHING); padded];
        log2_weights.iter_mut().zip(&weights).for_each(|(l, w)| *l = T::from_f64(log2(*w).max(NOTHING)));
        Self { points, columns, padded, weights, mass, log2_weights }
    }

    /// The same points with Σ a_i = `mass`, for plans with relaxed marginals. `Error::Parameter` where it is not a positive number.
    pub fn of_mass(self, mass: f64) -> Result<Self> {
        if !(mass > 0.0 && mass.is_finite()) {
            return Err(Error::Parameter {
                name: "the mass of the points".into(),
                value: mass,
                expected: "a positive number",
            });
        }
        let factor = mass / self.mass;
        let weights = self.weights.iter().map(|w| w * factor).collect();
        Ok(Self::of(self.points, weights, mass))
    }

    /// Its points in the order `rows`, all of them.
    pub(super) fn in_order(&self, rows: &[usize]) -> Self {
        Self::of(self.points.gather_rows(rows), rows.iter().map(|&i| self.weights[i]).collect(), self.mass)
    }

    /// Each of these runs of points at its mean.
    pub(super) fn grouped(&self, runs: &[Range<usize>]) -> Self {
        let mut means = Matrix::zeros(runs.len(), self.dim());
        for (k, run) in runs.iter().enumerate() {
            let mean = self.mean_of(run).0;
            means.row_mut(k).iter_mut().zip(mean).for_each(|(m, x)| *m = T::from_f64(x));
        }
        let weights = runs.iter().map(|run| self.weights[run.clone()].iter().sum()).collect();
        Self::of(means, weights, self.mass)
    }

    /// E[c(X, Y)] for independent points with weights ∝ `of`, and ∝ `others` in `b`; for |x - y| the root of E|X - Y|², which is not less.
    pub(super) fn mean_cost(&self, of: &[f64], b: &Self, others: &[f64], cost: Cost) -> f64 {
        let moments = |c: &Self, w: &[f64], j: usize| {
            let total: f64 = w.iter().sum();
            let mean = |f: &dyn Fn(f64) -> f64| -> f64 {
                c.points.iter_rows().zip(w).map(|(x, w)| w / total * f(x[j].to_f64())).sum()
            };
            let middle = mean(&|x| x);
            (middle, mean(&|x| (x - middle) * (x - middle)))
        };
        let square = (0..self.dim()).map(|j| {
            let ((m, v), (n, u)) = (moments(self, of, j), moments(b, others, j));
            (m - n) * (m - n) + v + u
        });
        cost.at_square(square.sum())
    }

    /// The mean of a run of points, and the mean squared distance from it.
    pub(super) fn mean_of(&self, run: &Range<usize>) -> (Vec<f64>, f64) {
        let of = &self.weights[run.clone()];
        let total: f64 = of.iter().sum();
        // points without weight still have a place
        let share = |i: usize| if total > 0.0 { of[i] / total } else { 1.0 / of.len() as f64 };
        let sum = |f: &dyn Fn(f64) -> f64, j: usize| -> f64 {
            (0..of.len()).map(|i| share(i) * f(self.points[(run.start + i, j)].to_f64())).sum()
        };
        let mean: Vec<f64> = (0..self.dim()).map(|j| sum(&|x| x, j)).collect();
        let spread = (0..self.dim()).map(|j| sum(&|x| (x - mean[j]) * (x - mean[j]), j)).sum();
        (mean, spread)
    }

    /// n.
    pub fn len(&self) -> usize {
        self.points.rows()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.points.cols()
    }

    /// x, n×d.
    pub fn points(&self) -> &Matrix<T> {
        &self.points
    }

    /// a, n.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Σ a.
    pub fn mass(&self) -> f64 {
        self.mass
    }

    pub(super) fn columns(&self) -> &[T] {
        &self.columns
    }

    pub(super) fn padded(&self) -> usize {
        self.padded
    }

    pub(super) fn log2_weights(&self) -> &[T] {
        &self.log2_weights
    }

    /// An order of clouds, so that what is symmetric in them can be computed in one order.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let key = |c: &Self| (c.len(), c.dim());
        let numbers = |c: &Self| {
            let points: Vec<f64> = c.points.as_slice().iter().map(|x| x.to_f64()).collect();
            points.into_iter().chain(c.weights.clone())
        };
        let by_numbers = || {
            let pairs = numbers(self).zip(numbers(other));
            pairs.map(|(a, b)| a.total_cmp(&b)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        };
        key(self).cmp(&key(other)).then_with(by_numbers)
    }
}

/// n weights ∝ exp(`log_weights`) with sum 1.
fn normalised(n: usize, log_weights: Option<&[f64]>) -> Result<Vec<f64>> {
    let Some(l) = log_weights else { return Ok(vec![1.0 / n as f64; n]) };
    if l.len() != n {
        return Err(Error::Dimension { what: "the weights of the points".into(), expected: n, found: l.len() });
    }
    let total = log_sum_exp(l);
    if let Some(&value) = l.iter().find(|l| l.is_nan() || **l == f64::INFINITY) {
        return Err(Error::Parameter { name: "a log-weight".into(), value, expected: "a number, or -inf" });
    }
    if total == f64::NEG_INFINITY {
        let expected = "at least one positive weight";
        return Err(Error::Parameter { name: "the sum of the weights".into(), value: 0.0, expected });
    }
    let raw: Vec<f64> = l.iter().map(|l| exp(l - total)).collect();
    let sum: f64 = crate::num::sum(&raw);
    Ok(raw.into_iter().map(|w| w / sum).collect())
}
