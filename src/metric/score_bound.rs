//! From the error of a score to nats (T22).

use crate::Result;
use crate::density::{Density, evaluate};
use crate::linalg::Matrix;
use crate::metric::{Estimate, shown};

/// KL(q‖p) ≤ I/(2ρ), I = E_q|∇log q - ∇log p|² the relative Fisher information and ρ the log-concavity of p (T22 a).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlBound {
    /// I/(2ρ).
    pub nats: Estimate,
    /// ρ ([`Density::log_concavity`]).
    pub log_concavity: f64,
}

impl KlBound {
    /// From samples x of q (n×d); None where ρ is not known.
    ///
    /// Z is not needed. Attained where p and q are Gaussians of one covariance I/ρ; a shift of p along its largest curvature is overstated by
    /// the ratio of that to ρ, and roughness of q costs I more than KL. q must be positive and C¹ on the whole space. Errors of [`evaluate`].
    pub fn of(q: &dyn Density, p: &dyn Density, x: &Matrix) -> Result<Option<Self>> {
        let Some(log_concavity) = p.log_concavity() else { return Ok(None) };
        let (q, p) = (evaluate(q, x)?.score, evaluate(p, x)?.score);
        let square = |(a, b): (&[f64], &[f64])| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let factor = mutant!("score-bound", 1.0, 0.5) / log_concavity;
        let each: Vec<f64> = q.iter_rows().zip(p.iter_rows()).map(|rows| factor * square(rows)).collect();
        Ok(Some(Self { nats: Estimate::mean(&each), log_concavity }))
    }

    /// Name, value and meaning.
    pub fn row(&self) -> (&'static str, String, &'static str) {
        (
            "KL(q‖p), at most",
            shown(self.nats),
            "nats, from scores and the target's log-concavity (T22); Z is not needed",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{GaussianMixture, LogisticRegression, gmm9};
    use crate::num::GaussLegendre;

    /// Checks the bound where it is attained, p and q of one covariance I/ρ: ρ|m|²/2 at every sample, to rounding; and for two other covariances
    /// the closed form Σ v (1/v - 1/u)²/(2ρ) within 4 standard errors (6e-5), which is above the divergence, with 1/ρ the largest u.
    #[test]
    fn gaussians() {
        let diagonal =
            |m: &[f64], u: f64, v: f64| GaussianMixture::gaussian(m, Matrix::from_rows(&[[u, 0.0], [0.0, v]])).unwrap();
        let bound = |q: &GaussianMixture, p: &GaussianMixture| {
            KlBound::of(q, p, &q.sample(20_000, 3).unwrap()).unwrap().unwrap().nats
        };
        let shifted = bound(&diagonal(&[0.3, -1.0], 0.4, 0.4), &diagonal(&[0.0, 0.0], 0.4, 0.4));
        assert!((shifted.value - 1.09 / 0.8).abs() < 1e-12 && shifted.standard_error < 1e-12, "{shifted:?}");
        let other = bound(&diagonal(&[0.0, 0.0], 0.5, 3.0), &diagonal(&[0.0, 0.0], 1.0, 4.0));
        let exact = 2.0 * (0.5 * (1.0f64 / 0.5 - 1.0).powi(2) + 3.0 * (1.0f64 / 3.0 - 0.25).powi(2));
        assert!((other.value - exact).abs() < 4.0 * other.standard_error, "{other:?} {exact}");
        assert!(exact > 0.5 * (0.5 - 1.0 - 0.5f64.ln() + 0.75 - 1.0 - 0.75f64.ln()));
        assert_eq!(gmm9().log_concavity(), None);
    }

    /// Checks a logistic regression of one coefficient on six cases, prior N(0, 1.5²): -(log p)'' by differences is at least
    /// 1/1.5² everywhere, and that far out; and KL(q‖p) by quadrature for three normals q is below the bound.
    #[test]
    fn logistic_regression() {
        let design = Matrix::from_rows(&[[0.5], [-1.0], [2.0], [0.3], [-0.7], [1.1]]);
        let p = LogisticRegression::new(design, vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 1.5).unwrap();
        let rho = p.log_concavity().unwrap();
        let score = |x: f64| evaluate(&p, &Matrix::filled(1, 1, x)).unwrap().score[(0, 0)];
        let curvature = |x: f64| (score(x - 1e-4) - score(x + 1e-4)) / 2e-4;
        assert!((-20..=20).all(|k| curvature(0.5 * f64::from(k)) > rho - 1e-8));
        assert!(curvature(-60.0) < rho + 1e-6);
        let rule = GaussLegendre::new(16);
        let log_p = |x: f64| p.log_density(&Matrix::filled(1, 1, x))[0];
        let log_z = rule.integrate(-12.0, 14.0, 60, |x| log_p(x).exp()).ln();
        for (mean, deviation) in [(1.0, 0.8), (0.5, 1.2), (2.0, 0.5)] {
            let q = GaussianMixture::gaussian(&[mean], Matrix::filled(1, 1, deviation * deviation)).unwrap();
            let log_q = |x: f64| q.log_density(&Matrix::filled(1, 1, x))[0];
            let (low, high) = (mean - 9.0 * deviation, mean + 9.0 * deviation);
            let kl = rule.integrate(low, high, 60, |x| log_q(x).exp() * (log_q(x) - log_p(x) + log_z));
            let bound = KlBound::of(&q, &p, &q.sample(4_000, 1).unwrap()).unwrap().unwrap().nats;
            assert!(kl > 0.0 && kl < bound.value - 4.0 * bound.standard_error, "{kl} {bound:?}");
        }
    }
}
