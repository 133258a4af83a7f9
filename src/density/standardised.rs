//! A density in other units.

use crate::Result;
use crate::density::mixture::same_size;
use crate::density::{Affine, Density, GaussianMixture};
use crate::linalg::Matrix;
use std::sync::Arc;

/// The density of y, x = c + s y ([`Affine`]): log p~_Y(y) = log p~(c + s y) + log |det|, score s ∇ log p~(c + s y); the same normaliser.
///
/// Training works in these units, where the target has centre 0 and overall scale 1.
#[derive(Clone)]
pub struct Standardised {
    inner: Arc<dyn Density>,
    frame: Affine,
    /// The same law as a mixture, where `inner` is one.
    image: Option<GaussianMixture>,
}

impl Standardised {
    /// `inner` in the units of `frame`. `Error::Dimension` where they do not fit.
    pub fn new(inner: Arc<dyn Density>, frame: Affine) -> Result<Self> {
        same_size("centre", inner.dim(), frame.dim())?;
        let shift: Vec<f64> = frame.centre().iter().map(|c| -c / frame.scale()).collect();
        let image = inner.mixture().map(|m| m.affine_image(&shift, 1.0 / frame.scale())).transpose()?;
        Ok(Self { inner, frame, image })
    }

    /// The map from y to x.
    pub fn frame(&self) -> &Affine {
        &self.frame
    }
}

impl Density for Standardised {
    fn dim(&self) -> usize {
        self.frame.dim()
    }

    fn log_density_into(&self, y: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(&self.frame.restore(y), out);
        out.iter_mut().for_each(|l| *l += self.frame.log_jacobian());
    }

    fn evaluate_into(&self, y: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(&self.frame.restore(y), log_density, score);
        log_density.iter_mut().for_each(|l| *l += self.frame.log_jacobian());
        self.frame.standardise_score(score);
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.inner.log_normaliser()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        Some(self.frame.standardise(&self.inner.sample(n, seed)?))
    }

    /// Y + hξ = (X + s h ξ - c)/s.
    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        if let Some(image) = &self.image {
            return image.smoothed(bandwidth);
        }
        let inner = self.inner.smoothed(self.frame.scale() * bandwidth)?;
        Self::new(inner, self.frame.clone()).ok().map(|p| Arc::new(p) as Arc<dyn Density>)
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        self.image.as_ref()
    }
}
