//! Mixtures of multivariate Student's t, whose tails are heavier than those of any Gaussian mixture.

use crate::density::{Density, GaussianMixture, rows};
use crate::linalg::Matrix;
use crate::num::{exp, ln, ln_1p, log_sum_exp};
use crate::rng::{Stream, fill_normal, pick};
use std::f64::consts::PI;

/// Degrees of freedom ν: with three the variance is finite and the density falls like |x|^-(3+d).
pub const FREEDOM: usize = 3;

/// Σ_k w_k t(x; m_k, C_k),  t(x; m, C) ∝ |C|^(-1/2) (1 + (x-m)ᵀC⁻¹(x-m)/ν)^(-(ν+d)/2),  ν = 3: the places of a Gaussian mixture with
/// tails that a proposal can have in place of its own (defensive importance sampling, Hesterberg 1995).
#[derive(Debug, Clone)]
pub struct StudentMixture {
    places: GaussianMixture,
    /// log w_k |C_k|^(-1/2) and the constant of t.
    log_constants: Vec<f64>,
}

impl StudentMixture {
    /// With the weights, means and covariances of `places`.
    pub fn new(places: GaussianMixture) -> Self {
        let d = places.dim();
        let log_det = |w: &Matrix| (0..d).map(|i| ln(w[(i, i)])).sum::<f64>();
        let one = |(w, l): (&f64, &Matrix)| ln(*w) + log_det(l) + log_constant(d);
        let log_constants = places.weights().iter().zip(places.whiteners()).map(one).collect();
        Self { places, log_constants }
    }

    /// log w_k t_k(x) for each k in `terms`, and W_k (x - m_k) for each in the rows of `local`, where W_kᵀ W_k = C_k⁻¹.
    fn terms(&self, x: &[f64], terms: &mut [f64], local: &mut Matrix) {
        for (k, (term, whitener)) in terms.iter_mut().zip(self.places.whiteners()).enumerate() {
            let mean = self.places.means().row(k);
            let v = &mut local.as_mut_slice()[k * x.len()..(k + 1) * x.len()];
            for (a, v) in v.iter_mut().enumerate() {
                *v = (0..=a).map(|b| whitener[(a, b)] * (x[b] - mean[b])).sum();
            }
            *term = self.log_constants[k] + log_tail(v);
        }
    }
}

impl Density for StudentMixture {
    fn dim(&self) -> usize {
        self.places.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        let (k, d) = (self.places.components(), self.dim());
        rows::for_chunks(x, d, out, 1, |x, out| {
            let (mut terms, mut local) = (vec![0.0; k], Matrix::zeros(k, d));
            for (x, out) in x.chunks_exact(d).zip(out) {
                self.terms(x, &mut terms, &mut local);
                *out = log_sum_exp(&terms);
            }
        });
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let (k, d) = (self.places.components(), self.dim());
        rows::evaluate(x, d, log_density, score, |x, out, score| {
            let (mut terms, mut local) = (vec![0.0; k], Matrix::zeros(k, d));
            for ((x, out), score) in x.chunks_exact(d).zip(out).zip(score.chunks_exact_mut(d)) {
                self.terms(x, &mut terms, &mut local);
                *out = log_sum_exp(&terms);
                score.fill(0.0);
                for (k, whitener) in self.places.whiteners().iter().enumerate() {
                    // ∇ log t = -(ν+d)/(ν+|v|²) Wᵀ v
                    let v = local.row(k);
                    let square: f64 = v.iter().map(|v| v * v).sum();
                    let factor = -exp(terms[k] - *out) * (FREEDOM + d) as f64 / (FREEDOM as f64 + square);
                    for (b, score) in score.iter_mut().enumerate() {
                        *score += factor * (b..d).map(|a| whitener[(a, b)] * v[a]).sum::<f64>();
                    }
                }
            }
        });
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        let weights = self.places.weights();
        Some(rows::sample(n, self.dim(), seed, |rng, row| {
            let k = pick(rng, weights);
            draw_standard(rng, row);
            self.places.place(k, row);
        }))
    }
}

/// A draw of t(0, I): z √(ν/χ²_ν).
pub(crate) fn draw_standard(rng: &mut Stream, row: &mut [f64]) {
    let mut squares = [0.0; FREEDOM];
    fill_normal(rng, row);
    fill_normal(rng, &mut squares);
    let scale = (FREEDOM as f64 / squares.iter().map(|z: &f64| z * z).sum::<f64>()).sqrt();
    row.iter_mut().for_each(|v| *v *= scale);
}

/// log t(y; 0, I).
pub(crate) fn log_standard(y: &[f64]) -> f64 {
    log_constant(y.len()) + log_tail(y)
}

/// -(ν+d)/2 log(1 + |v|²/ν).
fn log_tail(v: &[f64]) -> f64 {
    let (d, nu) = (v.len() as f64, FREEDOM as f64);
    let square: f64 = v.iter().map(|v| v * v).sum();
    -0.5 * (nu + d) * ln_1p(square / nu)
}

/// log t(0; 0, I) in d dimensions: Γ((ν+d)/2) / (Γ(ν/2) (νπ)^(d/2)).
fn log_constant(d: usize) -> f64 {
    ln_gamma_half(FREEDOM + d) - ln_gamma_half(FREEDOM) - 0.5 * d as f64 * ln(FREEDOM as f64 * PI)
}

/// log Γ(k/2), k ≥ 1.
fn ln_gamma_half(k: usize) -> f64 {
    let start = if k.is_multiple_of(2) { 0.0 } else { 0.5 * ln(PI) };
    (1..k.div_ceil(2)).fold(start, |sum, j| sum + ln(0.5 * k as f64 - j as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the constant by an integral in one dimension, and that the score is the gradient: central differences with h = 1e-5, whose
    /// error is of the order h² = 1e-10 and rounding 1e-11.
    #[test]
    fn a_density_and_its_score() {
        let covariance = |a, b, c| Matrix::from_vec(2, 2, vec![a, b, b, c]);
        let means = Matrix::from_vec(2, 2, vec![0.0, 1.0, -2.0, 0.5]);
        let covariances = vec![covariance(1.0, 0.3, 0.5), covariance(2.0, -0.8, 1.0)];
        let t = StudentMixture::new(GaussianMixture::new(&[0.3, 0.7], means, covariances).unwrap());
        let (h, x) = (1e-5, Matrix::from_vec(2, 2, vec![0.3, -0.4, 6.0, 2.0]));
        let (mut value, mut score) = (vec![0.0; 2], Matrix::zeros(2, 2));
        t.evaluate_into(&x, &mut value, &mut score);
        assert_eq!(value, t.log_density(&x));
        for j in 0..2 {
            let moved = |s: f64| Matrix::from_fn(2, 2, |i, k| x[(i, k)] + if k == j { s } else { 0.0 });
            let (up, down) = (t.log_density(&moved(h)), t.log_density(&moved(-h)));
            (0..2).for_each(|i| assert!(((up[i] - down[i]) / (2.0 * h) - score[(i, j)]).abs() < 1e-8));
        }
        let one = GaussianMixture::isotropic(&[1.0], Matrix::from_vec(1, 1, vec![0.5]), 2.0).unwrap();
        // x = 0.5 + tan θ maps the line to an interval; the midpoint rule on 20,000 cells, error of the order 1e-8
        let n = 20_000;
        let theta = |i: usize| PI * ((i as f64 + 0.5) / n as f64 - 0.5);
        let x = Matrix::from_fn(n, 1, |i, _| 0.5 + theta(i).tan());
        let total: f64 = StudentMixture::new(one)
            .log_density(&x)
            .iter()
            .enumerate()
            .map(|(i, l)| l.exp() / theta(i).cos().powi(2))
            .sum();
        assert!((total * PI / n as f64 - 1.0).abs() < 1e-6);
    }
}
