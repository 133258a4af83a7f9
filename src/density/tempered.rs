//! Tempering: a power of a density.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::{Error, Result};
use std::sync::Arc;

/// log p~_β(x) = β log p~(x), score β ∇ log p~(x): flatter for β < 1, sharper for β > 1; the normaliser is not known.
#[derive(Clone)]
pub struct Tempered {
    inner: Arc<dyn Density>,
    beta: f64,
}

impl Tempered {
    /// `inner` to the power `beta` (the inverse temperature β > 0, finite); `Error::Parameter` otherwise.
    pub fn new(inner: Arc<dyn Density>, beta: f64) -> Result<Self> {
        if !(beta > 0.0 && beta.is_finite()) {
            return Err(Error::Parameter { name: "beta".into(), value: beta, expected: "a positive finite number" });
        }
        Ok(Self { inner, beta })
    }
}

impl Density for Tempered {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn wants_whole_batches(&self) -> bool {
        self.inner.wants_whole_batches()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(x, out);
        out.iter_mut().for_each(|l| *l *= self.beta);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(x, log_density, score);
        log_density.iter_mut().chain(score.as_mut_slice()).for_each(|v| *v *= self.beta);
    }
}
