//! A Gaussian that observes.

use crate::Result;
use crate::linalg::{Cholesky, Matrix, gemm, matmul};
use crate::num::ln;

/// N(m, P).
#[derive(Debug, Clone, PartialEq)]
pub struct Gaussian {
    /// m, p.
    pub mean: Vec<f64>,
    /// P, p×p.
    pub covariance: Matrix,
}

impl Gaussian {
    /// p.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// X m.   x: n×p → n.
    pub fn predict(&self, x: &Matrix) -> Vec<f64> {
        matmul(x, &Matrix::from_vec(self.dim(), 1, self.mean.clone())).into_vec()
    }

    /// log N(y; X m, X P Xᵀ + R), and this law given y = X w + N(0, R): m + K (y - X m), (I - K X) P (I - K X)ᵀ + K R Kᵀ with
    /// K = P Xᵀ (X P Xᵀ + R)⁻¹.   x: n×p, y: n, noise R: n×n.
    ///
    /// `Error::NotPositiveDefinite` where X P Xᵀ + R is singular. Joseph's form of the covariance, which rounding leaves positive.
    pub fn observe(&self, x: &Matrix, y: &[f64], noise: &Matrix) -> Result<(f64, Self)> {
        let (p, n) = (self.dim(), y.len());
        let xp = matmul(x, &self.covariance);
        let mut s = noise.clone();
        gemm(1.0, xp.view(), x.t(), 1.0, &mut s);
        let factor = Cholesky::factor(&s, "covariance of the observations")?;
        let left: Vec<f64> = y.iter().zip(self.predict(x)).map(|(y, m)| y - m).collect();
        let square = factor.inverse_quadratic_form(&left);
        let scale = mutant!("evidence-determinant", -factor.log_det(), factor.log_det());
        let log_evidence = -0.5 * (n as f64 * ln(std::f64::consts::TAU) + scale + square);
        // the rows of K
        let mut gain = xp.transpose();
        factor.solve_rows(&mut gain);
        let moved = matmul(&gain, &Matrix::from_vec(n, 1, left));
        let mean = self.mean.iter().zip(moved.as_slice()).map(|(m, d)| m + d).collect();
        let mut rest = Matrix::identity(p);
        gemm(-1.0, gain.view(), x.view(), 1.0, &mut rest);
        let mut covariance = matmul(&matmul(&gain, noise), &gain.transpose());
        gemm(1.0, matmul(&rest, &self.covariance).view(), rest.t(), 1.0, &mut covariance);
        let covariance = Matrix::from_fn(p, p, |i, j| 0.5 * (covariance[(i, j)] + covariance[(j, i)]));
        Ok((log_evidence, Self { mean, covariance }))
    }

    /// KL(self‖other).
    pub fn kl(&self, other: &Self) -> Result<f64> {
        let (a, b) =
            (Cholesky::factor(&self.covariance, "covariance")?, Cholesky::factor(&other.covariance, "covariance")?);
        let mut ratio = self.covariance.clone();
        b.solve_rows(&mut ratio);
        let trace: f64 = (0..self.dim()).map(|i| ratio[(i, i)]).sum();
        let apart: Vec<f64> = self.mean.iter().zip(&other.mean).map(|(a, b)| a - b).collect();
        Ok(0.5 * (trace - self.dim() as f64 + b.inverse_quadratic_form(&apart) + b.log_det() - a.log_det()))
    }
}
