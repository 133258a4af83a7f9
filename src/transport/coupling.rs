//! A plan by its potentials.

use crate::linalg::Matrix;
use crate::num::{Real, exp2};
use crate::transport::solve::{Problem, reachable, weighted};
use crate::transport::sweep::{Mean, means};
use crate::transport::{Cloud, Sinkhorn};
use std::f64::consts::LN_2;

/// A plan P between a and b by its potentials: P_ij = a_i b_j exp((f_i + g_j - c_ij)/ε).
#[derive(Debug, Clone)]
pub struct Coupling<T = f64> {
    /// OT_ε(a, b) by its dual, at most the optimum (and ε·[`Coupling::skipped`]); its error is of second order in that of the marginals.
    pub value: f64,
    /// What a plan with the wanted marginals costs, so that OT_ε(a, b) is at most this; ∞ where own pairs are left out.
    pub above: f64,
    /// Iterations at the last ε; each reads all pairs twice (once where a is coupled with itself).
    pub iterations: usize,
    /// The larger of Σ_i |Σ_j P_ij - a_i|/Σ a and Σ_j |Σ_i P_ij - b_j|/Σ b of this plan; with relaxed marginals a_i exp(-f_i/ρ) stands
    /// for a_i, b_j exp(-g_j/ρ) for b_j: what they are at the optimum.
    pub marginal_error: f64,
    /// An upper bound of the mass of the plan in pairs that were left out; 0 without [`Sinkhorn::truncate`].
    pub skipped: f64,
    pub(super) settings: Sinkhorn,
    pub(super) masked: bool,
    /// f and g in units of ε log 2.
    pub(super) phi: Vec<T>,
    pub(super) gamma: Vec<T>,
}

impl<T: Real> Coupling<T> {
    /// The plan between b and a.
    pub(super) fn transposed(self) -> Self {
        Self { phi: self.gamma, gamma: self.phi, ..self }
    }

    /// Whether the marginals are within the tolerance, and what was left out within its limit.
    pub fn converged(&self) -> bool {
        let left_out = self.settings.truncate.is_none_or(|limit| self.skipped <= limit);
        left_out && self.marginal_error <= reachable::<T>(&self.settings)
    }

    /// ε, in units of the cost.
    pub fn epsilon(&self) -> f64 {
        self.settings.epsilon
    }

    /// f, in units of the cost; n.
    pub fn row_potentials(&self) -> Vec<f64> {
        self.phi.iter().map(|p| p.to_f64() * self.settings.epsilon * LN_2).collect()
    }

    /// g, in units of the cost; m.
    pub fn column_potentials(&self) -> Vec<f64> {
        self.gamma.iter().map(|p| p.to_f64() * self.settings.epsilon * LN_2).collect()
    }

    /// T(x_i) = Σ_j P_ij y_j / Σ_j P_ij, the barycentric projection of the plan between `a` and `b`; n×d.
    pub fn projection(&self, a: &Cloud<T>, b: &Cloud<T>) -> Matrix<T> {
        let mut out = self.mean(a, b, Mean::Displacement);
        out.as_mut_slice().iter_mut().zip(a.points().as_slice()).for_each(|(o, x)| *o = *x - *o);
        out
    }

    /// Σ_j P_ij ∇₁c(x_i, y_j)/a_i: the gradient of OT_ε(a, b) in x_i over a_i, by the envelope theorem; x - T(x) for ½ |x - y|², and
    /// exp(-f(x)/ρ) (x - T(x)) where marginals are relaxed. n×d.
    pub fn gradient(&self, a: &Cloud<T>, b: &Cloud<T>) -> Matrix<T> {
        let mut out = self.mean(a, b, Mean::Gradient);
        if let Some(rho) = self.settings.relax {
            let leak = self.settings.epsilon / rho;
            for (i, p) in self.phi.iter().enumerate() {
                let mass = T::from_f64(exp2(-leak * p.to_f64()));
                out.row_mut(i).iter_mut().for_each(|g| *g *= mass);
            }
        }
        out
    }

    /// Reads all pairs.
    fn mean(&self, a: &Cloud<T>, b: &Cloud<T>, what: Mean) -> Matrix<T> {
        let (settings, masked) = (&self.settings, self.masked);
        let problem = Problem { a, b, settings, epsilon: settings.epsilon, masked, kept: None };
        means(a.points(), problem.side(&weighted(b, &self.gamma)), &self.phi, what)
    }

    /// P, n×m: for plans that are to be looked at.
    pub fn plan(&self, a: &Cloud<T>, b: &Cloud<T>) -> Matrix {
        let mut out = Matrix::zeros(a.len(), b.len());
        (0..a.len()).for_each(|i| out.row_mut(i).copy_from_slice(&self.row(a, b, i)));
        out
    }

    /// P_ij for one i: m.
    pub fn row(&self, a: &Cloud<T>, b: &Cloud<T>, i: usize) -> Vec<f64> {
        let kappa = 1.0 / (self.settings.epsilon * LN_2);
        let x = a.points().row(i);
        let mass = |(j, y): (usize, &[T])| {
            if self.masked && i == j {
                return 0.0;
            }
            let square: f64 = x.iter().zip(y).map(|(x, y)| (x.to_f64() - y.to_f64()).powi(2)).sum();
            let exponent = self.phi[i].to_f64() + self.gamma[j].to_f64() - kappa * self.settings.cost.at_square(square);
            a.weights()[i] * b.weights()[j] * exp2(exponent)
        };
        b.points().iter_rows().enumerate().map(mass).collect()
    }
}
