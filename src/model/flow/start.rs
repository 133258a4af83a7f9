//! Where a flow starts: at the law of particles that a search found.

use crate::density::Affine;
use crate::density::Density;
use crate::linalg::{Cholesky, Matrix};
use crate::model::flow::model::{MARGINAL_BINS, MARGINAL_REACH};
use crate::model::flow::{Architecture, CouplingKind, Flow, SplineCoupling};
use crate::num::{Real, exp, ln, log_sum_exp, powf};
use crate::search::spread_seeds;
use std::sync::Arc;

/// Rounds of expectation and maximisation.
const ROUNDS: usize = 60;
/// Components of a mixture base that is chosen: 128 particles of the search for each.
const COMPONENTS: usize = 64;

/// 1 or 64: the base, a Gaussian copula or a mixture, that fits one half of the particles y (N×d, units of the frame) and gives the other
/// half the greater mean log-likelihood.
///
/// Copulas hold any number of modes that are a product over coordinates, mixtures modes and widths that depend on each other.
pub(crate) fn likelier_components(y: &Matrix, frame: &Affine, seed: u64) -> usize {
    let half = y.rows() / 2;
    let (seen, unseen) = (y.slice_rows(0..half), frame.restore(&y.slice_rows(half..y.rows())));
    let likelihood = |components: usize| {
        let none =
            Architecture { coupling: CouplingKind::Affine, couplings: 0, hidden: Vec::new(), components, given: 0 };
        let mut flow: Flow<f64> = Flow::new(frame.clone(), none, seed);
        flow.start_at(&seen, seed);
        flow.log_density(&unseen).iter().sum::<f64>()
    };
    if likelihood(1) >= likelihood(COMPONENTS) { 1 } else { COMPONENTS }
}

impl<T: Real> Flow<T> {
    /// Starts at the law of particles y (N×d, units of the frame): one Gaussian becomes their Gaussian copula with
    /// their marginals, by the last three layers, a mixture base is fitted to them by expectation–maximisation. The couplings stay the identity.
    pub fn start_at(&mut self, y: &Matrix, seed: u64) {
        let new = if self.base().is_mixture() {
            Mixture::fit(y, self.base().components, seed).parameters()
        } else {
            copula(y)
        };
        let from = if self.base().is_mixture() { 0 } else { self.parameters.len() - new.len() };
        for (p, m) in self.parameters[from..].iter_mut().zip(new) {
            *p = Arc::new(m.cast().into());
        }
    }
}

/// Parameters of the last three layers (lower, upper, log diagonal; splines; log scale, shift) with which N(0, I) becomes the Gaussian
/// copula of the rows: their marginals by quantiles, and the correlations of their normal scores.
fn copula(y: &Matrix) -> Vec<Matrix> {
    let (n, d) = y.shape();
    let mean = y.column_means();
    let variance = |j: usize| y.iter_rows().map(|r| (r[j] - mean[j]).powi(2)).sum::<f64>() / n as f64;
    let scale: Vec<f64> = (0..d).map(|j| variance(j).sqrt().max(1e-6)).collect();
    let spline = SplineCoupling::new(d, &[], &[], MARGINAL_BINS, MARGINAL_REACH);
    let (mut scores, mut row) = (Matrix::zeros(n, d), Vec::new());
    let normal = normal_scores(n);
    for j in 0..d {
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| y[(a, j)].total_cmp(&y[(b, j)]));
        order.iter().zip(&normal).for_each(|(&i, z)| scores[(i, j)] = *z);
        let sorted: Vec<f64> = order.iter().map(|&i| (y[(i, j)] - mean[j]) / scale[j]).collect();
        row.extend(spline.through(&quantile_knots(&sorted, &normal)));
    }
    let [lower, upper, log_diagonal] = correlation_factor(&scores);
    let width = row.len();
    let log_scale = Matrix::from_fn(1, d, |_, j| ln(scale[j]));
    vec![lower, upper, log_diagonal, Matrix::from_vec(1, width, row), log_scale, Matrix::from_vec(1, d, mean)]
}

/// z with Φ(z) = (i + ½)/n for i < n, by the trapezium rule on the density: its error, of order 1e-6 at this step, is nothing beside
/// that of n particles.
fn normal_scores(n: usize) -> Vec<f64> {
    const STEP: f64 = 1e-3;
    let density = |z: f64| exp(-0.5 * z * z) / std::f64::consts::TAU.sqrt();
    let (mut z, mut below) = (-9.0, 0.0);
    let next = |i: usize| {
        while below < (i as f64 + 0.5) / n as f64 && z < 9.0 {
            below += 0.5 * STEP * (density(z) + density(z + STEP));
            z += STEP;
        }
        z
    };
    (0..n).map(next).collect()
}

/// Inner knots (z, quantile of the particles where the normal's is z) of the marginal spline, z equally spaced between the third
/// lowest and the third highest score; kept in order and inside the interval.
fn quantile_knots(sorted: &[f64], normal: &[f64]) -> Vec<(f64, f64)> {
    let (b, bins) = (MARGINAL_REACH, MARGINAL_BINS);
    let edge = normal[normal.len().saturating_sub(3)].min(0.9 * b);
    let least = 4e-3 * b;
    let mut last = -b;
    let knot = |k: usize| {
        let z = edge * (2.0 * k as f64 / bins as f64 - 1.0);
        let y = sorted[normal.partition_point(|&s| s < z).min(sorted.len() - 1)];
        last = y.clamp(last + least, b - least * (bins - k) as f64);
        (z, last)
    };
    (1..bins).map(knot).collect()
}

/// (lower, upper, log diagonal) of A = Lᵀ with L Lᵀ the covariance of the rows; of the identity where they are singular.
fn correlation_factor(scores: &Matrix) -> [Matrix; 3] {
    let d = scores.cols();
    let c = scores.column_covariance();
    let factor =
        Cholesky::factor(&c, "correlation of the particles").map_or(Matrix::identity(d), |l| l.lower().clone());
    let upper = Matrix::from_fn(d, d, |i, j| if i < j { factor[(j, i)] } else { 0.0 });
    [Matrix::zeros(d, d), upper, Matrix::from_fn(1, d, |_, i| ln(factor[(i, i)]))]
}

/// Σ_k π_k N(m_k, diag s_k²).
struct Mixture {
    means: Matrix,
    scales: Matrix,
    log_weights: Vec<f64>,
}

impl Mixture {
    /// Expectation–maximisation (Dempster, Laird and Rubin, 1977) from spread-out seeds.
    fn fit(y: &Matrix, k: usize, seed: u64) -> Self {
        let d = y.cols();
        let means = y.gather_rows(&spread_seeds(y, k, seed));
        // K balls that share the volume of a particle cloud of scale 1
        let size = powf(k as f64, -1.0 / d as f64);
        let mut out = Self { means, scales: Matrix::filled(k, d, size), log_weights: vec![-ln(k as f64); k] };
        for _ in 0..ROUNDS {
            let shares = out.shares(y);
            out.maximise(y, &shares, size);
        }
        out
    }

    /// P(k | y_i), N×K.
    fn shares(&self, y: &Matrix) -> Matrix {
        let k = self.log_weights.len();
        let volume: Vec<f64> =
            (0..k).map(|k| self.log_weights[k] - self.scales.row(k).iter().map(|s| ln(*s)).sum::<f64>()).collect();
        let (means, scales) = (self.means.transpose(), self.scales.transpose());
        let mut out = Matrix::zeros(y.rows(), k);
        for (i, row) in y.iter_rows().enumerate() {
            let shares = out.row_mut(i);
            // all components at once, coordinate by coordinate: the compiler vectorises it, and each sum keeps its order
            for ((y, m), s) in row.iter().zip(means.iter_rows()).zip(scales.iter_rows()) {
                for ((share, m), s) in shares.iter_mut().zip(m).zip(s) {
                    *share += ((y - m) / s).powi(2);
                }
            }
            shares.iter_mut().zip(&volume).for_each(|(share, v)| *share = v - 0.5 * *share);
            let total = log_sum_exp(shares);
            shares.iter_mut().for_each(|s| *s = exp(*s - total));
        }
        out
    }

    /// Weighted means and variances, with one particle of size `size`/10 added to each component, so that none collapses onto
    /// copies of one particle.
    fn maximise(&mut self, y: &Matrix, shares: &Matrix, size: f64) {
        let (n, d) = y.shape();
        let k = self.log_weights.len();
        // d×K: particle by particle for all components at once, as above
        let (mut counts, mut mean, mut square) = (vec![0.0; k], Matrix::<f64>::zeros(d, k), Matrix::<f64>::zeros(d, k));
        for (s, y) in shares.iter_rows().zip(y.iter_rows()) {
            counts.iter_mut().zip(s).for_each(|(count, s)| *count += s);
            for (j, y) in y.iter().enumerate() {
                mean.row_mut(j).iter_mut().zip(s).for_each(|(m, s)| *m += s * y);
            }
        }
        for (j, c) in (0..d).flat_map(|j| (0..k).map(move |c| (j, c))) {
            mean[(j, c)] = (mean[(j, c)] + self.means[(c, j)]) / (counts[c] + 1.0);
        }
        for (s, y) in shares.iter_rows().zip(y.iter_rows()) {
            for (j, y) in y.iter().enumerate() {
                for ((square, s), m) in square.row_mut(j).iter_mut().zip(s).zip(mean.row(j)) {
                    *square += s * (y - m) * (y - m);
                }
            }
        }
        self.log_weights = counts.iter().map(|count| ln((count + 1.0) / (n + k) as f64)).collect();
        let scale = |c: usize, j: usize| ((square[(j, c)] + (0.1 * size).powi(2)) / (counts[c] + 1.0)).sqrt();
        self.scales = Matrix::from_fn(k, d, scale);
        self.means = mean.transpose();
    }

    /// As the base takes them.
    fn parameters(self) -> Vec<Matrix> {
        let k = self.log_weights.len();
        vec![self.means, self.scales.map(ln), Matrix::from_vec(1, k, self.log_weights)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::by_name;

    /// Checks the choice of the base where it is known: a mixture for a ring of modes, one Gaussian with marginals for the product of
    /// wells, whose 2^8 modes no mixture of 64 holds.
    #[test]
    fn base_by_held_out_likelihood() {
        for (name, components) in [("ring8", 64), ("many-well-16", 1)] {
            let x = by_name(name).unwrap().sample(2048, 1).unwrap();
            let frame = Affine::of_particles(&x).unwrap();
            assert_eq!(likelier_components(&frame.standardise(&x), &frame, 0), components, "{name}");
        }
    }
}
