//! The law at the start of a flow: one Gaussian, or a mixture for separated modes.

use crate::autodiff::Var;
use crate::linalg::Matrix;
use crate::model::latent::Latent;
use crate::nn::Parameters;
use crate::num::{Real, ln};
use std::f64::consts::TAU;
use std::sync::Arc;

/// z ~ N(0, I), or z ~ Σ_k π_k N(m_k, diag e^{2 a_k}), k < K, with trainable m, a and π.
///
/// A continuous bijection of one Gaussian leaves bridges of mass between separated modes; K Gaussians need no bridges.
/// Parameters where K > 1: means m (K×d), log-scales a (K×d), logits of π (1×K).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// d.
    pub dim: usize,
    /// K ≥ 1.
    pub components: usize,
}

impl Base {
    /// Whether there is more than one component.
    pub fn is_mixture(&self) -> bool {
        self.components > 1
    }

    pub(crate) fn parameter_names(&self) -> Vec<String> {
        if self.is_mixture() { ["means", "log_scales", "logits"].map(String::from).to_vec() } else { Vec::new() }
    }

    /// Means 0, scales 1, equal weights.
    pub(crate) fn initialise<T: Real>(&self) -> Vec<Matrix<T>> {
        let (k, d) = (self.components, self.dim);
        if self.is_mixture() { vec![Matrix::zeros(k, d), Matrix::zeros(k, d), Matrix::zeros(1, k)] } else { Vec::new() }
    }

    /// The law of the component and of the noise.
    pub(crate) fn latent<T: Real>(&self, parameters: &Parameters<T>) -> Latent {
        if !self.is_mixture() {
            return Latent::Gaussian;
        }
        Latent::Codes { logits: parameters[2].as_slice().iter().map(|l| l.to_f64()).collect() }
    }

    /// Moves the logits along the reaction (T15) of a batch with these codes and growth rates.
    pub(crate) fn react<T: Real>(&self, parameters: &mut Parameters<T>, codes: &[usize], growth: &[f64], rate: f64) {
        let mut latent = self.latent(parameters);
        latent.react(codes, growth, rate);
        if let Latent::Codes { logits } = latent {
            Arc::make_mut(&mut parameters[2]).update(|own| {
                own.as_mut_slice().iter_mut().zip(logits).for_each(|(o, l)| *o = T::from_f64(l));
            });
        }
    }

    /// z = m_k + e^{a_k} ε.   noise ε: n×d, codes k: n.
    pub(crate) fn place<'t, T: Real>(
        &self,
        p: &[Var<'t, T>],
        noise: Var<'t, T>,
        codes: Option<&[Arc<[usize]>]>,
    ) -> Var<'t, T> {
        match codes {
            Some([k, ..]) => p[0].gather_rows(k) + noise * p[1].exp().gather_rows(k),
            _ => noise,
        }
    }

    /// log q₀(z), n×1.
    pub(crate) fn log_density<'t, T: Real>(&self, p: &[Var<'t, T>], z: Var<'t, T>) -> Var<'t, T> {
        let half = T::from_f64(-0.5);
        let constant = T::from_f64(-0.5 * self.dim as f64 * ln(TAU));
        if !self.is_mixture() {
            return z.square().row_sums() * half + constant;
        }
        // (log π_k - Σ_j a_kj) as a row, and the standardised squares coordinate by coordinate
        let weights = p[2] - p[2].log_sum_exp() - p[1].row_sums().t();
        let (means, inverse) = (p[0].t(), (-p[1]).exp().t());
        let square = |j: usize| ((z.column(j) - means.rows(j..j + 1)) * inverse.rows(j..j + 1)).square();
        let squares = (1..self.dim).fold(square(0), |sum, j| sum + square(j));
        (squares * half + weights).log_sum_exp() + constant
    }
}
