//! Gaussian mixtures with full covariances: log-density, score, exact samples, smoothing and affine images in closed form.

use crate::density::{Affine, Density, rows};
use crate::linalg::{Cholesky, Matrix, SymmetricEigen, multiply_lower, solve_lower, solve_lower_transposed_rows};
use crate::num::ln;
use crate::rng::{fill_normal, uniform};
use crate::{Error, Result};
use std::f64::consts::TAU;
use std::sync::Arc;

/// p(x) = Σ_k w_k N(x; m_k, C_k) on R^d, k < K; normalised, so log Z = 0.
///
/// The log-density is a log-sum-exp over components of `log w_k - ½ |L_k⁻¹(x - m_k)|² - log det L_k - (d/2) log 2π`, C_k = L_k L_kᵀ.
#[derive(Debug, Clone)]
pub struct GaussianMixture {
    pub(crate) weights: Vec<f64>,
    pub(crate) means: Matrix,
    covariances: Vec<Matrix>,
    /// L_k.
    factors: Vec<Cholesky>,
    /// L_k⁻¹, lower triangular.
    pub(crate) whiteners: Vec<Matrix>,
    /// Whether L_k is diagonal.
    pub(crate) diagonal: Vec<bool>,
    /// log w_k - log det L_k - (d/2) log 2π.
    pub(crate) log_constants: Vec<f64>,
    cumulative: Vec<f64>,
}

impl GaussianMixture {
    /// Σ_k w_k N(m_k, C_k).   weights: K non-negative numbers, normalised here; means: K×d; covariances: K of d×d.
    ///
    /// `Error::Dimension` where sizes disagree or K or d is 0, `Error::Parameter` for a weight, mean or covariance entry out of range
    /// or an asymmetric covariance, `Error::NotPositiveDefinite` naming the component.
    pub fn new(weights: &[f64], means: Matrix, covariances: Vec<Matrix>) -> Result<Self> {
        let (count, d) = means.shape();
        at_least_one("number of components", count)?;
        at_least_one("dimension of the means", d)?;
        same_size("list of weights", count, weights.len())?;
        same_size("list of covariances", count, covariances.len())?;
        let weights = normalised(weights)?;
        for (k, mean) in means.iter_rows().enumerate() {
            finite(&format!("mean of component {k}"), mean)?;
        }
        let mut factors = Vec::with_capacity(count);
        for (k, covariance) in covariances.iter().enumerate() {
            let what = format!("covariance of component {k}");
            same_size(&format!("number of rows of the {what}"), d, covariance.rows())?;
            same_size(&format!("number of columns of the {what}"), d, covariance.cols())?;
            factors.push(Cholesky::factor(covariance, &what)?);
        }
        Ok(Self::from_factors(weights, means, covariances, factors))
    }

    /// Σ_k w_k N(m_k, s² I).   weights: K, means: K×d, `std` s > 0. Errors as [`GaussianMixture::new`].
    pub fn isotropic(weights: &[f64], means: Matrix, std: f64) -> Result<Self> {
        if !(std > 0.0 && std.is_finite()) {
            return Err(Error::Parameter { name: "std".into(), value: std, expected: "a positive finite number" });
        }
        let (count, d) = means.shape();
        let covariance = Matrix::from_fn(d, d, |i, j| if i == j { std * std } else { 0.0 });
        Self::new(weights, means, vec![covariance; count])
    }

    /// Assembles checked parts.
    fn from_factors(weights: Vec<f64>, means: Matrix, covariances: Vec<Matrix>, factors: Vec<Cholesky>) -> Self {
        let d = means.cols();
        let constant = |(w, l): (&f64, &Cholesky)| ln(*w) - 0.5 * (l.log_det() + d as f64 * ln(TAU));
        let log_constants = weights.iter().zip(&factors).map(constant).collect();
        let whiteners: Vec<Matrix> = factors.iter().map(whitener).collect();
        let diagonal = whiteners.iter().map(is_diagonal).collect();
        let cumulative = weights
            .iter()
            .scan(0.0, |sum, w| {
                *sum += w;
                Some(*sum)
            })
            .collect();
        Self { weights, means, covariances, factors, whiteners, diagonal, log_constants, cumulative }
    }

    /// K.
    pub fn components(&self) -> usize {
        self.weights.len()
    }

    /// w_k, summing to 1: K.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// m_k in the rows: K×d.
    pub fn means(&self) -> &Matrix {
        &self.means
    }

    /// C_k: K of d×d.
    pub fn covariances(&self) -> &[Matrix] {
        &self.covariances
    }

    /// v ← m_k + L_k v: a draw of component k where v is one of N(0, I).   v: d.
    pub(crate) fn place(&self, k: usize, v: &mut [f64]) {
        multiply_lower(self.factors[k].lower().as_slice(), v);
        v.iter_mut().zip(self.means.row(k)).for_each(|(v, m)| *v += m);
    }

    /// The Cholesky factorisations C_k = L_k L_kᵀ: K.
    pub fn factors(&self) -> &[Cholesky] {
        &self.factors
    }

    /// Whitening matrices L_k⁻¹ (lower triangular): |L_k⁻¹(x - m_k)| is the Mahalanobis distance to component k. K of d×d.
    pub fn whiteners(&self) -> &[Matrix] {
        &self.whiteners
    }

    /// E X = Σ_k w_k m_k: d.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.dim()];
        for (w, m) in self.weights.iter().zip(self.means.iter_rows()) {
            mean.iter_mut().zip(m).for_each(|(a, b)| *a += w * b);
        }
        mean
    }

    /// Cov X = Σ_k w_k (C_k + (m_k - E X)(m_k - E X)ᵀ): d×d.
    pub fn covariance(&self) -> Matrix {
        let (mean, d) = (self.mean(), self.dim());
        let mut out = Matrix::zeros(d, d);
        for ((w, m), c) in self.weights.iter().zip(self.means.iter_rows()).zip(&self.covariances) {
            for i in 0..d {
                for j in 0..d {
                    out[(i, j)] += w * (c[(i, j)] + (m[i] - mean[i]) * (m[j] - mean[j]));
                }
            }
        }
        out
    }

    /// The law of X + hξ, ξ ~ N(0, I): the same mixture with h² I added to every covariance (T11). `bandwidth` h ≥ 0 and finite.
    pub fn smoothed_mixture(&self, bandwidth: f64) -> Result<Self> {
        if !(bandwidth >= 0.0 && bandwidth.is_finite()) {
            return Err(bandwidth_error(bandwidth));
        }
        let mut covariances = self.covariances.clone();
        for c in &mut covariances {
            (0..self.dim())
                .for_each(|i| c[(i, i)] += mutant!("blur-of-a-mixture", 0.9 * bandwidth, bandwidth) * bandwidth);
        }
        Self::new(&self.weights, self.means.clone(), covariances)
    }

    /// The law of centre + scale·X: means centre + scale·m_k, covariances scale²·C_k.   centre: d, `scale` ≠ 0.
    ///
    /// `Error::Dimension` or `Error::Parameter` where the arguments do not fit.
    pub fn affine_image(&self, centre: &[f64], scale: f64) -> Result<Self> {
        same_size("centre", self.dim(), centre.len())?;
        if !(scale.is_finite() && scale != 0.0) {
            return Err(Error::Parameter {
                name: "scale".into(),
                value: scale,
                expected: "a finite number other than 0",
            });
        }
        let means = Matrix::from_fn(self.components(), self.dim(), |k, j| centre[j] + scale * self.means[(k, j)]);
        Self::new(&self.weights, means, self.covariances.iter().map(|c| c.map(|v| v * scale * scale)).collect())
    }
}

impl GaussianMixture {
    /// The law of y, X = c + L y ([`Affine`]): means L⁻¹(m_k - c), Cholesky factors L⁻¹ L_k. `Error::Dimension` where they do not fit.
    pub fn standardised(&self, frame: &Affine) -> Result<Self> {
        same_size("centre", self.dim(), frame.dim())?;
        if let Some(scale) = frame.one_scale() {
            let shift: Vec<f64> = frame.centre().iter().map(|c| -c / scale).collect();
            return self.affine_image(&shift, 1.0 / scale);
        }
        let (d, factor) = (self.dim(), frame.parts().1);
        // the factors, not the covariances, so that a condition number is not squared
        let image = |l: &Cholesky| {
            let mut columns = l.lower().transpose();
            columns.as_mut_slice().chunks_exact_mut(d).for_each(|column| solve_lower(&factor, column));
            columns.transpose()
        };
        let factors: Vec<Matrix> = self.factors.iter().map(image).collect();
        let covariances = factors.iter().map(covariance_of).collect();
        let factors = factors.into_iter().map(Cholesky::of_lower).collect();
        Ok(Self::from_factors(self.weights.clone(), frame.standardise(&self.means), covariances, factors))
    }

    /// Σ_k w_k N(m_k, L_k L_kᵀ), with factors L_k that are lower triangular with a positive diagonal; w_k and m_k finite, Σ w_k = 1.
    pub(crate) fn of_lower_factors(weights: Vec<f64>, means: Matrix, factors: Vec<Matrix>) -> Self {
        let covariances = factors.iter().map(covariance_of).collect();
        Self::from_factors(weights, means, covariances, factors.into_iter().map(Cholesky::of_lower).collect())
    }
}

/// L Lᵀ, symmetric to the last bit.
fn covariance_of(l: &Matrix) -> Matrix {
    let entry = |i: usize, j: usize| (0..=i.min(j)).map(|k| l[(i, k)] * l[(j, k)]).sum();
    Matrix::from_fn(l.rows(), l.rows(), entry)
}

impl Density for GaussianMixture {
    fn dim(&self) -> usize {
        self.means.cols()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        rows::for_chunks(x, self.dim(), out, 1, |x, out| self.log_density_chunk(x, out));
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        rows::evaluate(x, self.dim(), log_density, score, |x, out, score| self.evaluate_chunk(x, out, score));
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(0.0)
    }

    /// One over the largest variance of a Gaussian; a mixture of several has none.
    fn log_concavity(&self) -> Option<f64> {
        let [covariance] = self.covariances() else { return None };
        let variances = SymmetricEigen::of(covariance, "covariance").ok()?.values;
        Some(1.0 / variances.into_iter().fold(0.0, f64::max))
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        let last = self.components() - 1;
        Some(rows::sample(n, self.dim(), seed, |rng, row| {
            let u = uniform(rng) * self.cumulative[last];
            let k = self.cumulative.partition_point(|&c| c <= u).min(last);
            fill_normal(rng, row);
            self.place(k, row);
        }))
    }

    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        self.smoothed_mixture(bandwidth).ok().map(|m| Arc::new(m) as Arc<dyn Density>)
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        Some(self)
    }
}

/// The error of a bandwidth that is negative or not finite.
pub(crate) fn bandwidth_error(bandwidth: f64) -> Error {
    Error::Parameter { name: "bandwidth".into(), value: bandwidth, expected: "a finite number, at least 0" }
}

/// `Error::Dimension` where a size is 0.
fn at_least_one(what: &str, found: usize) -> Result<()> {
    if found == 0 { Err(Error::Dimension { what: what.into(), expected: 1, found }) } else { Ok(()) }
}

/// `Error::Dimension` unless the two sizes agree.
pub(crate) fn same_size(what: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Dimension { what: what.into(), expected, found }) }
}

/// `Error::Parameter` at the first entry that is not finite.
fn finite(what: &str, values: &[f64]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(j) => {
            Err(Error::Parameter { name: format!("{what}, entry {j}"), value: values[j], expected: "a finite number" })
        }
        None => Ok(()),
    }
}

/// w_k / Σ w_j.
fn normalised(weights: &[f64]) -> Result<Vec<f64>> {
    for (k, &w) in weights.iter().enumerate() {
        if !(w >= 0.0 && w.is_finite()) {
            let name = format!("weight of component {k}");
            return Err(Error::Parameter { name, value: w, expected: "a finite number, at least 0" });
        }
    }
    let total: f64 = weights.iter().sum();
    if !(total > 0.0 && total.is_finite()) {
        return Err(Error::Parameter {
            name: "sum of weights".into(),
            value: total,
            expected: "a positive finite number",
        });
    }
    Ok(weights.iter().map(|w| w / total).collect())
}

/// L⁻¹, lower triangular: the rows of I L⁻¹.
fn whitener(factor: &Cholesky) -> Matrix {
    let mut inverse = Matrix::identity(factor.lower().rows());
    solve_lower_transposed_rows(factor.lower(), &mut inverse);
    inverse
}

/// Whether a lower triangular matrix has nothing below its diagonal.
fn is_diagonal(l: &Matrix) -> bool {
    l.iter_rows().enumerate().all(|(i, row)| row[..i].iter().all(|v| *v == 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that each kind of bad input gives its own error, naming the component and the value.
    #[test]
    fn bad_mixtures_are_refused() {
        let means = || Matrix::from_rows(&[[0.0, 0.0], [1.0, 1.0]]);
        let good = || Matrix::identity(2);
        let build = |w: &[f64], c: Vec<Matrix>| GaussianMixture::new(w, means(), c).unwrap_err().to_string();
        let indefinite = Matrix::from_rows(&[[1.0, 2.0], [2.0, 1.0]]);
        let message = build(&[1.0, 1.0], vec![good(), indefinite]);
        assert!(message.starts_with("covariance of component 1 is not positive definite"), "{message}");
        let asymmetric = Matrix::from_rows(&[[1.0, 0.5], [0.4, 1.0]]);
        assert!(
            build(&[1.0, 1.0], vec![asymmetric, good()])
                .contains("entry (1, 0) minus entry (0, 1) of covariance of component 0")
        );
        assert!(build(&[1.0, -0.5], vec![good(), good()]).starts_with("weight of component 1 = -0.5"));
        assert!(build(&[f64::NAN, 1.0], vec![good(), good()]).starts_with("weight of component 0 = NaN"));
        assert!(build(&[0.0, 0.0], vec![good(), good()]).starts_with("sum of weights = 0"));
        assert!(build(&[1.0], vec![good(), good()]).starts_with("list of weights has size 1"));
        assert!(build(&[1.0, 1.0], vec![good(), Matrix::identity(3)]).contains("component 1 has size 3"));
        let empty = GaussianMixture::new(&[], Matrix::zeros(0, 2), vec![]).unwrap_err();
        assert!(empty.to_string().starts_with("number of components has size 0"));
        let nan = Matrix::from_rows(&[[0.0, f64::NAN]]);
        let message = GaussianMixture::isotropic(&[1.0], nan, 1.0).unwrap_err().to_string();
        assert!(message.starts_with("mean of component 0, entry 1 = NaN"), "{message}");
    }

    /// Checks that a point too far away for any component gives -inf with score 0, and that NaN is not swallowed.
    #[test]
    fn far_points_and_nan() {
        let p = GaussianMixture::standard(2).unwrap();
        let x = Matrix::from_rows(&[[1e200, 0.0], [f64::NAN, 0.0]]);
        let (mut l, mut s) = (vec![0.0; 2], Matrix::zeros(2, 2));
        p.evaluate_into(&x, &mut l, &mut s);
        assert!(l[0] == f64::NEG_INFINITY && s[(0, 1)] == 0.0 && l[1].is_nan(), "{l:?} {s:?}");
    }
}
