//! A density that is told its symmetries.

use crate::Result;
use crate::density::{Density, Group};
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

    fn wrapped(&self) -> Option<&dyn Density> {
        Some(&*self.inner)
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(x, log_density, score);
    }

    fn symmetries(&self) -> Option<Group> {
        Some(self.group.clone())
    }
}
