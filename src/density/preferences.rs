//! Geometric mixtures of several densities at every weight of the simplex, as one density.

use crate::density::Density;
use crate::density::mixture::same_size;
use crate::linalg::Matrix;
use crate::num::{exp, log_gamma, log_sum_exp};
use crate::{Error, Result};
use std::sync::Arc;

/// Weights may miss the sum 1 by as much as decimals that a person writes, as on a chart's simplex.
const ROUNDED: f64 = 1e-8;

/// h in units of the nodes' distance. For three Gaussians of unequal widths and 15 exact nodes the largest error of log Ẑ is 0.18 with it, 0.95 with 1.
const BLEND: f64 = 0.35;

/// log p~_λ(x) = Σ_k λ_k log p~_k(x) for one λ: for Gaussians that with precision Σ λ_k Q_k⁻¹ and mean (Σ λ_k Q_k⁻¹)⁻¹ Σ λ_k Q_k⁻¹ b_k.
#[derive(Clone)]
pub struct Geometric {
    parts: Vec<Arc<dyn Density>>,
    weights: Vec<f64>,
}

impl Geometric {
    /// `parts`, K of one dimension, with K weights λ_k ≥ 0 that add to 1. A part with the weight 0 is not asked.
    pub fn new(parts: Vec<Arc<dyn Density>>, weights: Vec<f64>) -> Result<Self> {
        same_size("weights of a geometric mixture", parts.len(), weights.len())?;
        for part in &parts {
            same_size("densities of a geometric mixture", parts[0].dim(), part.dim())?;
        }
        let sum: f64 = weights.iter().sum();
        let bad =
            weights.iter().find(|w| **w < 0.0 || w.is_nan()).copied().or(((sum - 1.0).abs() > ROUNDED).then_some(sum));
        match bad.or(parts.is_empty().then_some(0.0)) {
            Some(value) => {
                Err(Error::Parameter { name: "weights".into(), value, expected: "not negative, with sum 1" })
            }
            None => Ok(Self { parts, weights }),
        }
    }

    /// log p~_λ at points where each log p~_k is known.
    pub(crate) fn of_parts(&self, logs: &[Vec<f64>]) -> Vec<f64> {
        let mut out = vec![0.0; logs[0].len()];
        for (logs, w) in logs.iter().zip(&self.weights).filter(|(_, w)| **w > 0.0) {
            out.iter_mut().zip(logs).for_each(|(o, l)| *o += w * l);
        }
        out
    }
}

impl Density for Geometric {
    fn dim(&self) -> usize {
        self.parts[0].dim()
    }

    fn wants_whole_batches(&self) -> bool {
        self.parts.iter().any(|p| p.wants_whole_batches())
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        out.fill(0.0);
        for (p, w) in self.parts.iter().zip(&self.weights).filter(|(_, w)| **w > 0.0) {
            out.iter_mut().zip(p.log_density(x)).for_each(|(o, l)| *o += w * l);
        }
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let (mut l, mut s) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), x.cols()));
        log_density.fill(0.0);
        score.as_mut_slice().fill(0.0);
        for (p, w) in self.parts.iter().zip(&self.weights).filter(|(_, w)| **w > 0.0) {
            p.evaluate_into(x, &mut l, &mut s);
            log_density.iter_mut().zip(&l).for_each(|(o, l)| *o += w * l);
            score.add_scaled(*w, &s);
        }
        outside(log_density, score);
    }
}

/// Scores are 0 where there is no density.
fn outside(log_density: &[f64], score: &mut Matrix) {
    let nowhere = |(i, l): (usize, &f64)| (*l == f64::NEG_INFINITY).then_some(i);
    log_density.iter().enumerate().filter_map(nowhere).for_each(|i| score.row_mut(i).fill(0.0));
}

/// What is known of log Z(λ) = log ∫ p~_λ at one λ: its value, and the means and covariances of log p~_k under p_λ, which are its first and
/// second derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Corner {
    /// λ, K.
    pub weights: Vec<f64>,
    /// log Z(λ), or an estimate.
    pub log_z: f64,
    /// E_λ[log p~_k], K.
    pub means: Vec<f64>,
    /// Cov_λ(log p~_j, log p~_k), K×K by rows.
    pub covariance: Vec<f64>,
}

impl Corner {
    /// log Z(λ + δ) to second order in δ, and its gradient.
    fn near(&self, lambda: &[f64]) -> (f64, Vec<f64>) {
        let k = self.weights.len();
        let delta: Vec<f64> = lambda.iter().zip(&self.weights).map(|(l, w)| l - w).collect();
        let curved: Vec<f64> = self.covariance.chunks_exact(k).map(|row| dot(row, &delta)).collect();
        let value = self.log_z + dot(&self.means, &delta) + 0.5 * dot(&curved, &delta);
        (value, self.means.iter().zip(&curved).map(|(m, c)| m + c).collect())
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// log of (K - 1)! Π_k p~_k(x)^{λ_k}/Ẑ(λ) at the points (λ, x), λ on the simplex of K weights: λ is uniform there as far as Ẑ(λ) is Z(λ), and
/// x given λ has exactly the density Π_k p_k^{λ_k}/Z(λ), whatever Ẑ is. It minimises Σ_k λ_k KL(q‖p_k): the preference λ among K targets.
///
/// The density is one of (λ_1, …, λ_{K-1}, x); [`Constrained`](crate::density::Constrained) makes it one on R^{K-1+d}. log Ẑ is the mean of the expansions about the
/// nodes with weights that fall like exp(-|λ - node|²/2h²), h a third of the distance of the nearest two.
#[derive(Clone)]
pub struct Preferences {
    parts: Vec<Arc<dyn Density>>,
    nodes: Vec<Corner>,
    /// h.
    width: f64,
}

impl Preferences {
    /// Of `parts`, K ≥ 2 of one dimension, with what is known at `nodes`. `Error` where sizes differ, a number is not finite, or two nodes are one.
    pub fn new(parts: Vec<Arc<dyn Density>>, nodes: Vec<Corner>) -> Result<Self> {
        let k = parts.len();
        let bad = |value: f64, expected| Err(Error::Parameter { name: "nodes of weights".into(), value, expected });
        if k < 2 || nodes.len() < 2 {
            return bad(k.min(nodes.len()) as f64, "at least two, of at least two densities");
        }
        for node in &nodes {
            Geometric::new(parts.clone(), node.weights.clone())?;
            same_size("means at a node of weights", k, node.means.len())?;
            same_size("covariances at a node of weights", k * k, node.covariance.len())?;
            let numbers = [&[node.log_z][..], &node.means, &node.covariance].concat();
            if let Some(v) = numbers.iter().find(|v| !v.is_finite()) {
                return bad(*v, "finite log Z, means and covariances");
            }
        }
        let square =
            |a: &Corner, b: &Corner| a.weights.iter().zip(&b.weights).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let pairs = nodes.iter().enumerate().flat_map(|(i, a)| nodes[..i].iter().map(move |b| square(a, b)));
        let spacing = pairs.fold(f64::INFINITY, f64::min).sqrt();
        if spacing > 0.0 {
            Ok(Self { parts, nodes, width: BLEND * spacing })
        } else {
            bad(spacing, "different from each other")
        }
    }

    /// The densities.
    pub fn parts(&self) -> &[Arc<dyn Density>] {
        &self.parts
    }

    /// Where log Ẑ was given.
    pub fn nodes(&self) -> &[Corner] {
        &self.nodes
    }

    /// log Ẑ(λ) and its gradient in λ, K.
    pub fn log_z(&self, lambda: &[f64]) -> (f64, Vec<f64>) {
        let inverse = 1.0 / (self.width * self.width);
        let away = |n: &Corner| -> Vec<f64> { n.weights.iter().zip(lambda).map(|(w, l)| (w - l) * inverse).collect() };
        let pulls: Vec<Vec<f64>> = self.nodes.iter().map(away).collect();
        let logs: Vec<f64> = pulls.iter().map(|a| -0.5 * dot(a, a) / inverse).collect();
        let total = log_sum_exp(&logs);
        let values: Vec<(f64, Vec<f64>)> = self.nodes.iter().map(|n| n.near(lambda)).collect();
        let shares: Vec<f64> = logs.iter().map(|l| exp(l - total)).collect();
        let value: f64 = shares.iter().zip(&values).map(|(s, v)| s * v.0).sum();
        let mut slope = vec![0.0; lambda.len()];
        for ((share, (own, gradient)), pull) in shares.iter().zip(&values).zip(&pulls) {
            let parts = gradient.iter().zip(pull).map(|(g, a)| share * (g + a * (own - value)));
            slope.iter_mut().zip(parts).for_each(|(s, part)| *s += part);
        }
        (value, slope)
    }

    fn split(&self, x: &Matrix) -> Matrix {
        let k = self.parts.len();
        Matrix::from_fn(x.rows(), x.cols() - k, |i, j| x[(i, j + k)])
    }

    /// log (K - 1)!, the density of the uniform law on the simplex.
    fn uniform(&self) -> f64 {
        log_gamma(self.parts.len() as f64)
    }
}

impl Density for Preferences {
    fn dim(&self) -> usize {
        self.parts.len() + self.parts[0].dim()
    }

    fn wants_whole_batches(&self) -> bool {
        self.parts.iter().any(|p| p.wants_whole_batches())
    }

    /// Those of R^{K-1}: the last weight is what is left.
    fn conditions(&self) -> usize {
        self.parts.len() - 1
    }

    fn preferences(&self) -> Option<&Preferences> {
        Some(self)
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        let points = self.split(x);
        let logs: Vec<Vec<f64>> = self.parts.iter().map(|p| p.log_density(&points)).collect();
        for (i, (out, row)) in out.iter_mut().zip(x.iter_rows()).enumerate() {
            let lambda = &row[..logs.len()];
            *out = self.uniform() - self.log_z(lambda).0;
            lambda.iter().zip(&logs).filter(|(w, _)| **w > 0.0).for_each(|(w, l)| *out += w * l[i]);
        }
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let (k, points) = (self.parts.len(), self.split(x));
        let mut all = Vec::with_capacity(k);
        for p in &self.parts {
            let (mut l, mut s) = (vec![0.0; x.rows()], Matrix::zeros(points.rows(), points.cols()));
            p.evaluate_into(&points, &mut l, &mut s);
            all.push((l, s));
        }
        for (i, out) in log_density.iter_mut().enumerate() {
            let lambda = &x.row(i)[..k];
            let (log_z, slope) = self.log_z(lambda);
            *out = self.uniform() - log_z;
            let row = score.row_mut(i);
            row.fill(0.0);
            for (j, (l, s)) in all.iter().enumerate().filter(|(j, _)| lambda[*j] > 0.0) {
                *out += lambda[j] * l[i];
                row[j] = l[i] - slope[j];
                row[k..].iter_mut().zip(s.row(i)).for_each(|(o, s)| *o += lambda[j] * s);
            }
        }
        outside(log_density, score);
    }
}
