//! What a run leads to: densities, samples, and the space in which they live.

use crate::density::{Affine, Density, Domain, Orientation, Oriented, Standardised};
use crate::linalg::Matrix;
use crate::{Error, Result};
use std::sync::Arc;

/// Weighted points of a law.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedSamples {
    /// N×d.
    pub points: Matrix,
    /// log of the weights up to a constant, N; equal where None.
    pub log_weights: Option<Vec<f64>>,
    /// The classes of the points, where they have any.
    pub labels: Option<Labels>,
}

/// Classes of points.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// The class of each point, N.
    pub of: Vec<usize>,
    /// What the classes are called, C.
    pub names: Vec<f64>,
}

impl Labels {
    /// The points of a class.
    pub fn rows(&self, class: usize) -> Vec<usize> {
        (0..self.of.len()).filter(|&i| self.of[i] == class).collect()
    }

    /// Those of some points.
    pub fn gather(&self, rows: &[usize]) -> Self {
        Self { of: rows.iter().map(|&i| self.of[i]).collect(), names: self.names.clone() }
    }
}

impl WeightedSamples {
    /// Points with equal weights.
    pub fn equal(points: Matrix) -> Self {
        Self { points, log_weights: None, labels: None }
    }
}

/// What a run leads to. Most methods take exactly one density; some take several, some take samples and no density.
#[derive(Clone, Default)]
pub struct Target {
    /// The densities, all of one dimension.
    pub densities: Vec<Arc<dyn Density>>,
    /// Samples of the law.
    pub samples: Option<WeightedSamples>,
    /// Where the points live.
    pub domain: Domain,
}

impl Target {
    /// One density on R^d.
    pub fn of(density: Arc<dyn Density>) -> Self {
        Self { densities: vec![density], ..Self::default() }
    }

    /// Samples alone, on R^d.
    pub fn of_samples(samples: WeightedSamples) -> Self {
        Self { samples: Some(samples), ..Self::default() }
    }

    /// d.
    pub fn dim(&self) -> usize {
        let of_samples = self.samples.as_ref().map_or(0, |s| s.points.cols());
        self.densities.first().map_or(of_samples, |p| p.dim())
    }

    /// `Error::Dimension` where its parts have different dimensions, `Error::Unsupported` where it has none.
    pub fn check(&self) -> Result<()> {
        let d = self.dim();
        if d == 0 {
            return Err(Error::Unsupported { what: "the target is empty".into(), remedy: "give a density or samples" });
        }
        let mut sizes = self.densities.iter().map(|p| p.dim()).chain(self.samples.iter().map(|s| s.points.cols()));
        match sizes.find(|&found| found != d) {
            Some(found) => Err(Error::Dimension { what: "a part of the target".into(), expected: d, found }),
            None => self.domain.check(d),
        }
    }

    /// With every density p replaced by p s ([`Oriented`]); its samples, if there are any, are dropped.
    pub fn oriented(&self, orientation: &Arc<Orientation>) -> Result<Self> {
        let one = |p: &Arc<dyn Density>| {
            Oriented::new(Arc::clone(p), Arc::clone(orientation)).map(|p| Arc::new(p) as Arc<dyn Density>)
        };
        let densities = self.densities.iter().map(one).collect::<Result<_>>()?;
        Ok(Self { densities, samples: None, domain: self.domain.clone() })
    }

    /// The same law in the units of `frame`. On a domain other than R^d the frame must be the identity (`Error::Mismatch`).
    pub fn standardised(&self, frame: &Affine) -> Result<Self> {
        if *frame == Affine::identity(self.dim()) {
            return Ok(self.clone());
        }
        if self.domain != Domain::Euclidean {
            return Err(Error::Mismatch {
                what: "a frame other than the identity does not keep the domain of this target".into(),
                remedy: "leave the frame out".into(),
            });
        }
        let one = |p: &Arc<dyn Density>| {
            Standardised::new(Arc::clone(p), frame.clone()).map(|p| Arc::new(p) as Arc<dyn Density>)
        };
        let densities = self.densities.iter().map(one).collect::<Result<_>>()?;
        let units = |s: &WeightedSamples| WeightedSamples { points: frame.standardise(&s.points), ..s.clone() };
        Ok(Self { densities, samples: self.samples.as_ref().map(units), domain: Domain::Euclidean })
    }
}
