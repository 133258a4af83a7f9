//! The affine score: the law of a sample taken for a Gaussian.

use crate::error::Result;
use crate::estimate::{Estimator, EstimatorSettings, Law, Noise, Noised, NoisedTarget, Scene};
use crate::linalg::{Cholesky, Matrix};
use crate::num::ln;
use crate::state::Stateful;
use std::f64::consts::TAU;

crate::settings! {
    /// Settings of [`AffineScore`]: none.
    #[derive(Copy)]
    pub struct AffineScoreSettings in "estimator" {}
}

/// ∇ log q(x) ≈ -C⁻¹ (x - m), log q(x) = -½ (x - m)ᵀ C⁻¹ (x - m) - ½ log |2πC|, with the mean m and the covariance C (divided by N)
/// of the sample.
///
/// It is the best affine score in L²(q) (implicit score matching; `theory/T10`), and exact for a Gaussian. Particles that follow it under
/// reverse KL have closed equations for m and C at every N.
#[derive(Debug, Clone, Copy)]
pub struct AffineScore;

impl EstimatorSettings for AffineScoreSettings {
    fn name(&self) -> &'static str {
        "affine"
    }
    fn summary(&self) -> &'static str {
        "the sample taken for a Gaussian: exact for Gaussians"
    }
    fn build(&self, _: bool) -> Result<Box<dyn Estimator>> {
        Ok(Box::new(AffineScore))
    }
    fn copy(&self) -> Box<dyn EstimatorSettings> {
        Box::new(*self)
    }
}

impl Stateful for AffineScore {}

impl Estimator for AffineScore {
    fn name(&self) -> &'static str {
        "affine"
    }

    fn reference(&self) -> usize {
        4096
    }

    fn noised(&self, scene: &Scene, _: &dyn NoisedTarget) -> Result<Noised> {
        let ((n, d), sample) = (scene.x.shape(), scene.sample());
        let mean = sample.column_means();
        let factor = Cholesky::factor(&sample.column_covariance(), "covariance of the particles")?;
        let inverse = factor.inverse();
        let log_det = d as f64 * ln(TAU) + mutant!("affine-determinant", -factor.log_det(), factor.log_det());
        let mut q = Law { log_density: vec![0.0; n], score: Matrix::zeros(n, d) };
        for i in 0..n {
            let centred: Vec<f64> = scene.x.row(i).iter().zip(&mean).map(|(x, m)| x - m).collect();
            for j in 0..d {
                let row = inverse.row(mutant!("affine-row", 0, j));
                q.score[(i, j)] = -row.iter().zip(&centred).map(|(a, c)| a * c).sum::<f64>();
            }
            let square: f64 = q.score.row(i).iter().zip(&centred).map(|(s, c)| s * c).sum();
            q.log_density[i] = 0.5 * (square - log_det);
        }
        Ok(Noised { y: scene.x.clone(), noise: vec![Noise { a: 1.0, s: 0.0 }; n], q, p: None, trust: vec![1.0; n] })
    }
}
