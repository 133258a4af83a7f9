//! Posteriors of regressions: coefficients given data.

use crate::density::mixture::same_size;
use crate::density::{Density, GaussianMixture, rows};
use crate::linalg::{Cholesky, Matrix, gemm};
use crate::num::{ln, sigmoid_slice, softplus_slice};
use crate::{Error, Result};

/// Logistic regression: log p~(β) = Σ_i ( y_i η_i - log(1 + e^η_i) ) - |β|²/(2 s²), η = X β, y_i in {0, 1}, prior β ~ N(0, s² I).
///
/// X: N×d (a column of ones where there is an intercept). One matrix product for the log-density of a batch, another for its score.
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    design: Matrix,
    response: Vec<f64>,
    /// s.
    prior_scale: f64,
}

impl LogisticRegression {
    /// The posterior of the coefficients of `design` (N×d) for `response` (N numbers, each 0 or 1) and a prior of standard
    /// deviation `prior_scale` > 0. `Error::Dimension` or `Error::Parameter` where they do not fit.
    pub fn new(design: Matrix, response: Vec<f64>, prior_scale: f64) -> Result<Self> {
        checked(&design, &response, &[("prior scale", prior_scale)])?;
        if let Some(&value) = response.iter().find(|y| **y != 0.0 && **y != 1.0) {
            return Err(Error::Parameter { name: "response".into(), value, expected: "0 or 1" });
        }
        Ok(Self { design, response, prior_scale })
    }

    /// log p~ of one chunk of rows β, and where asked the score.
    fn chunk(&self, beta: &[f64], out: &mut [f64], score: Option<&mut [f64]>) {
        let (n, d) = (out.len(), self.design.cols());
        let beta = Matrix::from_vec(n, d, beta.to_vec());
        let eta = linear(&beta, &self.design);
        let mut partition = eta.clone();
        softplus_slice(partition.as_mut_slice());
        for (i, l) in out.iter_mut().enumerate() {
            let data: f64 = (0..self.response.len()).map(|k| self.response[k] * eta[(i, k)] - partition[(i, k)]).sum();
            *l = data - 0.5 * square(beta.row(i)) / (self.prior_scale * self.prior_scale);
        }
        let Some(score) = score else { return };
        let mut residual = eta;
        sigmoid_slice(residual.as_mut_slice());
        for row in residual.as_mut_slice().chunks_exact_mut(self.response.len()) {
            row.iter_mut().zip(&self.response).for_each(|(r, y)| *r = y - *r);
        }
        let mut gradient = beta;
        let shrink = -1.0 / (self.prior_scale * self.prior_scale);
        gemm(1.0, residual.view(), self.design.view(), shrink, &mut gradient);
        score.copy_from_slice(gradient.as_slice());
    }
}

impl Density for LogisticRegression {
    fn dim(&self) -> usize {
        self.design.cols()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        rows::for_chunks(x, self.dim(), out, 1, |x, out| self.chunk(x, out, None));
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        rows::evaluate(x, self.dim(), log_density, score, |x, out, score| self.chunk(x, out, Some(score)));
    }

    /// That of the prior, 1/s²: the likelihood is log-concave.
    fn log_concavity(&self) -> Option<f64> {
        Some(1.0 / (self.prior_scale * self.prior_scale))
    }
}

/// Linear regression with unknown noise: log p~(β, σ) = -N log σ - |y - X β|²/(2 σ²) - |β|²/(2 s²) - σ²/(2 t²) for σ > 0, else -inf;
/// priors β ~ N(0, s² I) and σ half-normal of scale t. d = columns of X + 1, σ last.
#[derive(Debug, Clone)]
pub struct LinearRegression {
    design: Matrix,
    response: Vec<f64>,
    prior_scale: f64,
    noise_scale: f64,
}

impl LinearRegression {
    /// The posterior of coefficients and noise for `design` (N×k) and `response` (N numbers); both scales > 0. `Error::Dimension` or
    /// `Error::Parameter` where they do not fit.
    pub fn new(design: Matrix, response: Vec<f64>, prior_scale: f64, noise_scale: f64) -> Result<Self> {
        checked(&design, &response, &[("prior scale", prior_scale), ("noise scale", noise_scale)])?;
        Ok(Self { design, response, prior_scale, noise_scale })
    }

    /// The posterior of the coefficients alone where σ = `noise` is known: N(C Xᵀy/σ², C), C = (XᵀX/σ² + I/s²)⁻¹.
    pub fn with_known_noise(
        design: &Matrix,
        response: &[f64],
        prior_scale: f64,
        noise: f64,
    ) -> Result<GaussianMixture> {
        checked(design, response, &[("prior scale", prior_scale), ("noise", noise)])?;
        let d = design.cols();
        let ridge = 1.0 / (prior_scale * prior_scale);
        let mut precision = Matrix::from_fn(d, d, |i, j| if i == j { ridge } else { 0.0 });
        gemm(1.0 / (noise * noise), design.t(), design.view(), 1.0, &mut precision);
        let factor = Cholesky::factor(&precision, "precision of the coefficients")?;
        let moment =
            |j: usize| (0..response.len()).map(|i| design[(i, j)] * response[i]).sum::<f64>() / (noise * noise);
        let mean = factor.solve(&(0..d).map(moment).collect::<Vec<_>>());
        let inverse = factor.inverse();
        let covariance = Matrix::from_fn(d, d, |i, j| 0.5 * (inverse[(i, j)] + inverse[(j, i)]));
        GaussianMixture::gaussian(&mean, covariance)
    }

    fn chunk(&self, x: &[f64], out: &mut [f64], score: Option<&mut [f64]>) {
        let (n, d, k) = (out.len(), self.design.cols() + 1, self.design.cols());
        let sigma: Vec<f64> = x.chunks_exact(d).map(|x| x[k]).collect();
        let beta = Matrix::from_fn(n, k, |i, j| x[i * d + j]);
        let mut residual = linear(&beta, &self.design);
        for row in residual.as_mut_slice().chunks_exact_mut(self.response.len()) {
            row.iter_mut().zip(&self.response).for_each(|(r, y)| *r = y - *r);
        }
        let count = self.response.len() as f64;
        let (s2, t2) = (self.prior_scale * self.prior_scale, self.noise_scale * self.noise_scale);
        let squares: Vec<f64> = residual.iter_rows().map(square).collect();
        for i in 0..n {
            let v = sigma[i] * sigma[i];
            let fit = -count * ln(sigma[i]) - 0.5 * squares[i] / v;
            out[i] = if sigma[i] > 0.0 { fit - 0.5 * (square(beta.row(i)) / s2 + v / t2) } else { f64::NEG_INFINITY };
        }
        let Some(score) = score else { return };
        let mut gradient = Matrix::zeros(n, k);
        gemm(1.0, residual.view(), self.design.view(), 0.0, &mut gradient);
        for (i, score) in score.chunks_exact_mut(d).enumerate() {
            let v = sigma[i] * sigma[i];
            (0..k).for_each(|j| score[j] = gradient[(i, j)] / v - beta[(i, j)] / s2);
            score[k] = (squares[i] / v - count) / sigma[i] - sigma[i] / t2;
        }
    }
}

impl Density for LinearRegression {
    fn dim(&self) -> usize {
        self.design.cols() + 1
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        rows::for_chunks(x, self.dim(), out, 1, |x, out| self.chunk(x, out, None));
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        rows::evaluate(x, self.dim(), log_density, score, |x, out, score| self.chunk(x, out, Some(score)));
    }
}

/// η = B Xᵀ: n×N.
fn linear(beta: &Matrix, design: &Matrix) -> Matrix {
    let mut eta = Matrix::zeros(beta.rows(), design.rows());
    gemm(1.0, beta.view(), design.t(), 0.0, &mut eta);
    eta
}

fn square(x: &[f64]) -> f64 {
    x.iter().map(|v| v * v).sum()
}

/// Data that fit together, and positive scales.
fn checked(design: &Matrix, response: &[f64], scales: &[(&str, f64)]) -> Result<()> {
    same_size("response", design.rows(), response.len())?;
    let empty = Error::Parameter { name: "rows of data".into(), value: design.rows() as f64, expected: "at least 1" };
    if design.rows() == 0 || design.cols() == 0 {
        return Err(empty);
    }
    for &(name, value) in scales {
        if !(value > 0.0 && value.is_finite()) {
            return Err(Error::Parameter { name: name.into(), value, expected: "a positive finite number" });
        }
    }
    match design.as_slice().iter().chain(response).find(|v| !v.is_finite()) {
        Some(&value) => Err(Error::Parameter { name: "data".into(), value, expected: "finite numbers" }),
        None => Ok(()),
    }
}
