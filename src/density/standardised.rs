//! A density in other units.

use crate::density::mixture::same_size;
use crate::density::{Density, GaussianMixture};
use crate::linalg::Matrix;
use crate::{Error, Result};
use std::sync::Arc;

/// The density of Y = (X - c)/s: log p~_Y(y) = log p~(c + s y) + d log s, score s ∇ log p~(c + s y); the same normaliser.
///
/// Training works in these units, where the target has centre 0 and overall scale 1.
#[derive(Clone)]
pub struct Standardised {
    inner: Arc<dyn Density>,
    centre: Vec<f64>,
    scale: f64,
    /// The same law as a mixture, where `inner` is one.
    image: Option<GaussianMixture>,
}

impl Standardised {
    /// `inner` in units of `scale` s > 0 around `centre` c (d numbers). `Error::Dimension` or `Error::Parameter` where they do not fit.
    pub fn new(inner: Arc<dyn Density>, centre: Vec<f64>, scale: f64) -> Result<Self> {
        same_size("centre", inner.dim(), centre.len())?;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::Parameter { name: "scale".into(), value: scale, expected: "a positive finite number" });
        }
        if let Some(&value) = centre.iter().find(|c| !c.is_finite()) {
            return Err(Error::Parameter { name: "centre".into(), value, expected: "finite numbers" });
        }
        let shift: Vec<f64> = centre.iter().map(|c| -c / scale).collect();
        let image = inner.mixture().map(|m| m.affine_image(&shift, 1.0 / scale)).transpose()?;
        Ok(Self { inner, centre, scale, image })
    }

    /// x_i = c + s y_i: from units of the scale back to the original ones.   y: n×d → n×d.
    pub fn restore(&self, y: &Matrix) -> Matrix {
        let d = self.centre.len();
        Matrix::from_fn(y.rows(), d, |i, j| self.centre[j] + self.scale * y[(i, j)])
    }

    /// c.
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// s.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// d log s, the logarithm of the Jacobian of y ↦ c + s y.
    fn log_jacobian(&self) -> f64 {
        self.centre.len() as f64 * self.scale.ln()
    }
}

impl Density for Standardised {
    fn dim(&self) -> usize {
        self.centre.len()
    }

    fn log_density_into(&self, y: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(&self.restore(y), out);
        out.iter_mut().for_each(|l| *l += self.log_jacobian());
    }

    fn evaluate_into(&self, y: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(&self.restore(y), log_density, score);
        log_density.iter_mut().for_each(|l| *l += self.log_jacobian());
        score.as_mut_slice().iter_mut().for_each(|s| *s *= self.scale);
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.inner.log_normaliser()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        let x = self.inner.sample(n, seed)?;
        Some(Matrix::from_fn(n, self.dim(), |i, j| (x[(i, j)] - self.centre[j]) / self.scale))
    }

    /// Y + hξ = (X + s h ξ - c)/s.
    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        if let Some(image) = &self.image {
            return image.smoothed(bandwidth);
        }
        let inner = self.inner.smoothed(self.scale * bandwidth)?;
        Self::new(inner, self.centre.clone(), self.scale).ok().map(|p| Arc::new(p) as Arc<dyn Density>)
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        self.image.as_ref()
    }
}
