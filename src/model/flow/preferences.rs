//! A flow at one weight of a family of geometric mixtures.

use crate::density::{Geometric, Preferences};
use crate::error::Result;
use crate::linalg::Matrix;
use crate::metric::{Certificate, Estimate, weighted_means};
use crate::model::flow::Flow;
use crate::num::Real;

/// What samples of a flow given λ say of p~_λ = Π_k p~_k^{λ_k}.
#[derive(Debug, Clone)]
pub struct AtPreference {
    /// λ, K.
    pub weights: Vec<f64>,
    /// log Z(λ) = log ∫ p~_λ, by weights p~_λ/q(·|λ).
    pub log_z: Estimate,
    /// The fraction of the samples that the weights leave effective.
    pub ess: f64,
    /// E_λ[log p~_k], K, by the same weights: the gradient of log Z.
    pub means: Vec<Estimate>,
}

impl AtPreference {
    /// From n samples given λ = `weights` of a flow on (u, x), where u = `condition` are the flow's coordinates of λ. Errors of [`Flow::given`] and of
    /// [`Certificate::of`].
    pub fn of<T: Real>(
        flow: &Flow<T>,
        family: &Preferences,
        condition: &[f64],
        weights: &[f64],
        (n, seed): (usize, u64),
    ) -> Result<Self> {
        let (points, log_q) = flow.given(condition)?.sample(n, seed, 0);
        let more = condition.len();
        let x = Matrix::from_fn(points.rows(), points.cols() - more, |i, j| points[(i, j + more)]);
        let each: Vec<Vec<f64>> = family.parts().iter().map(|p| p.log_density(&x)).collect();
        let log_p = Geometric::new(family.parts().to_vec(), weights.to_vec())?.of_parts(&each);
        let log_weights: Vec<f64> = log_p.iter().zip(&log_q).map(|(p, q)| p - q).collect();
        let means = weighted_means(&log_weights, &Matrix::from_fn(n, each.len(), |i, k| each[k][i]))?;
        let certificate = Certificate::of(&log_weights, None)?;
        let (log_z, ess) = (certificate.log_z, certificate.reverse_ess);
        Ok(Self { weights: weights.to_vec(), log_z, ess, means })
    }
}
