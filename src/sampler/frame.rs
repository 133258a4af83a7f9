//! The units in which a network works, found from the target.

use crate::density::{Density, GaussianMixture};
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::sampler::search::search;

/// The units in which a network works: x = centre + scale · y.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Centre of the target, d.
    pub centre: Vec<f64>,
    /// Its overall scale: root mean square of the coordinates' standard deviations, > 0.
    pub scale: f64,
}

/// Particles of the search: enough to set units.
pub(super) const PARTICLES: usize = 2048;

impl Frame {
    /// The frame of `target`: its exact mean and variance where it is a Gaussian mixture, else those of the particles of a
    /// sequential Monte Carlo search from wide Gaussians around the origin.
    ///
    /// `Error::NonFinite` where the target returns NaN or +inf, `Error::Unsupported` where no particle finds its support.
    pub fn of(target: &dyn Density, seed: u64) -> Result<Self> {
        match target.mixture() {
            Some(p) => Ok(Self::of_mixture(p)),
            None => Self::of_particles(&search(target, PARTICLES, seed)?),
        }
    }

    /// x_i = centre + scale · y_i.   y: n×d → n×d.
    pub fn restore<T: Real>(&self, y: &Matrix<T>) -> Matrix {
        let mut x: Matrix = y.cast();
        for row in x.as_mut_slice().chunks_exact_mut(self.centre.len()) {
            row.iter_mut().zip(&self.centre).for_each(|(x, c)| *x = c + self.scale * *x);
        }
        x
    }

    /// y_i = (x_i - centre)/scale, the inverse of [`Frame::restore`].   x: n×d → n×d.
    pub fn standardise(&self, x: &Matrix) -> Matrix {
        Matrix::from_fn(x.rows(), x.cols(), |i, j| (x[(i, j)] - self.centre[j]) / self.scale)
    }

    fn of_mixture(p: &GaussianMixture) -> Self {
        let covariance = p.covariance();
        let d = covariance.rows();
        let trace: f64 = (0..d).map(|i| covariance[(i, i)]).sum();
        Self { centre: p.mean(), scale: (trace / d as f64).sqrt() }
    }

    /// Mean and scale of particles (n×d); `Error::Unsupported` where they are one point or not finite.
    pub(crate) fn of_particles(x: &Matrix) -> Result<Self> {
        let centre = x.column_means();
        let square = |row: &[f64]| row.iter().zip(&centre).map(|(x, c)| (x - c) * (x - c)).sum::<f64>();
        let scale = (x.iter_rows().map(square).sum::<f64>() / x.as_slice().len() as f64).sqrt();
        if scale > 0.0 && scale.is_finite() {
            return Ok(Self { centre, scale });
        }
        Err(Error::Unsupported {
            what: format!("the search for the target's scale ended at {scale}"),
            remedy: "give its centre and scale",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{Standardised, by_name};
    use std::sync::Arc;

    /// The target without its mixture, so that the search is used.
    struct Hidden(Arc<dyn Density>);
    impl Density for Hidden {
        fn dim(&self) -> usize {
            self.0.dim()
        }
        fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
            self.0.log_density_into(x, out)
        }
        fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
            self.0.evaluate_into(x, log_density, score)
        }
    }

    /// Proves that the search finds centre and scale of separated modes to a fifth of the scale, near the origin and
    /// 360 away from it: enough for a frame, whose role is to set units.
    #[test]
    fn search_agrees_with_the_exact_moments() {
        for name in ["gmm9u", "gmm40", "ring8"] {
            for shift in [0.0, 300.0] {
                let inner = by_name(name).unwrap();
                let p: Arc<dyn Density> = Arc::new(Standardised::new(inner, vec![-shift, 0.6 * shift], 1.0).unwrap());
                let exact = Frame::of(&*p, 0).unwrap();
                let found = Frame::of(&Hidden(p), 0).unwrap();
                let distance: f64 = exact.centre.iter().zip(&found.centre).map(|(a, b)| (a - b).powi(2)).sum();
                assert!(distance.sqrt() < 0.2 * exact.scale, "{name}: {exact:?} {found:?}");
                assert!((found.scale / exact.scale).ln().abs() < 0.2, "{name}: {exact:?} {found:?}");
            }
        }
    }

    /// Proves that a target without mass near the search is an error with a remedy, and NaN one with the point.
    #[test]
    fn targets_without_an_answer() {
        struct Constant(f64);
        impl Density for Constant {
            fn dim(&self) -> usize {
                2
            }
            fn log_density_into(&self, _: &Matrix, out: &mut [f64]) {
                out.fill(self.0)
            }
            fn evaluate_into(&self, _: &Matrix, log_density: &mut [f64], _: &mut Matrix) {
                log_density.fill(self.0)
            }
        }
        assert!(matches!(Frame::of(&Constant(f64::NEG_INFINITY), 0), Err(Error::Unsupported { .. })));
        assert!(matches!(Frame::of(&Constant(f64::NAN), 0), Err(Error::NonFinite { .. })));
    }
}
