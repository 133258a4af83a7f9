//! A density that is told its symmetries.

use crate::Result;
use crate::density::{Density, GaussianMixture, Group, NBody};
use crate::linalg::Matrix;
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
        group.acts_on(&*inner)?;
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

    fn is_known(&self) -> bool {
        self.inner.is_known()
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
