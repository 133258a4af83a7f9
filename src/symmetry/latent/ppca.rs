//! Probabilistic principal components, in closed form.

use crate::linalg::{Matrix, SymmetricEigen};
use crate::num::ln;
use crate::{Error, Result};

/// x = W t + μ + ε, t ~ N(0, I_k), ε ~ N(0, σ² I), at its greatest likelihood.
#[derive(Debug, Clone, PartialEq)]
pub struct Ppca {
    /// μ, d.
    pub mean: Vec<f64>,
    /// W = U (Λ - σ²)^½, d×k; its columns are orthogonal, so that the exact posterior of t factorises.
    pub loadings: Matrix,
    /// σ², the mean of the eigenvalues that are left out.
    pub noise: f64,
    /// Log-likelihood of a point, in the mean: -½ (d log 2π + Σ_{i≤k} log λ_i + (d - k) log σ² + d).
    pub log_evidence: f64,
}

/// Fits k components to the rows of x (n×d, k < d). Source: Tipping and Bishop (JRSS B, 1999). `Error::Parameter` for another k, and for
/// points in a plane of k dimensions.
pub fn ppca(x: &Matrix, k: usize) -> Result<Ppca> {
    let d = x.cols();
    let parameter = |name: &str, value: f64, expected| Err(Error::Parameter { name: name.into(), value, expected });
    if k == 0 || k >= d {
        return parameter("number of components", k as f64, "at least 1 and below the dimension");
    }
    let eigen = SymmetricEigen::of(&x.column_covariance(), "covariance")?;
    let noise = eigen.values[..d - k].iter().sum::<f64>() / (d - k) as f64;
    if noise <= 0.0 {
        return parameter("variance beyond the components", noise, "positive");
    }
    // eigenvalues ascend
    let top = |c: usize| (eigen.values[d - 1 - c], eigen.vectors.row(d - 1 - c));
    let loadings = Matrix::from_fn(d, k, |i, c| top(c).1[i] * (top(c).0 - noise).max(0.0).sqrt());
    let logs: f64 = (0..k).map(|c| ln(top(c).0)).sum();
    let d = d as f64;
    let log_evidence = -0.5 * (d * ln(std::f64::consts::TAU) + logs + (d - k as f64) * ln(noise) + d);
    Ok(Ppca { mean: x.column_means(), loadings, noise, log_evidence })
}
