//! A density that is told its symmetries.

use crate::density::{Density, GaussianMixture, Group, NBody};
use crate::linalg::Matrix;
use crate::{Error, Result};
use std::sync::Arc;

/// The inner density, whose [`Density::symmetries`] are the group that was said. Whether it is invariant is for who uses the group to try.
#[derive(Clone)]
pub struct Symmetric {
    inner: Arc<dyn Density>,
    group: Group,
}

impl Symmetric {
    /// `inner` with this group. `Error::Dimension` where sizes differ.
    pub fn new(inner: Arc<dyn Density>, group: Group) -> Result<Self> {
        let (expected, found) = (inner.dim(), group.dim());
        if found != expected {
            return Err(Error::Dimension { what: "group of symmetries".into(), expected, found });
        }
        Ok(Self { inner, group })
    }
}

impl Density for Symmetric {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(x, log_density, score);
    }

    fn wants_whole_batches(&self) -> bool {
        self.inner.wants_whole_batches()
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.inner.log_normaliser()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        self.inner.sample(n, seed)
    }

    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        self.inner.smoothed(bandwidth)
    }

    fn mixture(&self) -> Option<&GaussianMixture> {
        self.inner.mixture()
    }

    fn log_concavity(&self) -> Option<f64> {
        self.inner.log_concavity()
    }

    fn symmetries(&self) -> Option<Group> {
        Some(self.group.clone())
    }

    fn n_body(&self) -> Option<&NBody> {
        self.inner.n_body()
    }
}
