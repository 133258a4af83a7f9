//! A density in other units.

use crate::Result;
use crate::density::mixture::same_size;
use crate::density::{Affine, Density, GaussianMixture};
use crate::linalg::Matrix;
use std::sync::Arc;

/// The density of y, x = c + L y ([`Affine`]): log p~_Y(y) = log p~(c + L y) + log |det L|, score Lᵀ ∇ log p~(c + L y); the same normaliser.
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
        let image = inner.mixture().map(|m| m.standardised(&frame)).transpose()?;
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
        log_density.iter_mut().for_each(|l| *l += mutant!("standardised-jacobian", 0.0, self.frame.log_jacobian()));
        self.frame.standardise_score(score);
    }

    fn wants_whole_batches(&self) -> bool {
        self.inner.wants_whole_batches()
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.inner.log_normaliser()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        Some(self.frame.standardise(&self.inner.sample(n, seed)?))
    }

    /// Y + hξ = L⁻¹(X + h L ξ - c): a closed form where X is a mixture, or where L = s I and X + s h ξ has one.
    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        if let Some(image) = &self.image {
            return image.smoothed(bandwidth);
        }
        let inner = self.inner.smoothed(self.frame.one_scale()? * bandwidth)?;
        Self::new(inner, self.frame.clone()).ok().map(|p| Arc::new(p) as Arc<dyn Density>)
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        self.image.as_ref()
    }
}
