//! The frame of a target: the units in which a network works on it.

use crate::density::{Affine, Density};
use crate::error::Result;
use crate::search::{SearchSettings, search};

/// Particles of the search: enough to set units.
pub(crate) const PARTICLES: usize = 2048;

/// The frame of `target`: of its exact mean and covariance where it is a Gaussian mixture, else of the particles of a [`search`]. Errors
/// as there.
pub fn frame_of(target: &dyn Density, seed: u64) -> Result<Affine> {
    match target.mixture() {
        Some(p) => Ok(Affine::of_mixture(p)),
        None => search(target, &SearchSettings { particles: PARTICLES, seed, start: None })?.frame(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{BlackBox, Standardised, by_name};
    use crate::error::Error;
    use crate::linalg::Matrix;
    use std::sync::Arc;

    /// Checks that the search finds centre and scale of separated modes to a fifth of the scale, near the origin and
    /// 360 away from it: enough for a frame, whose role is to set units.
    #[test]
    fn search_agrees_with_the_exact_moments() {
        for name in ["gmm9u", "gmm40", "ring8"] {
            for shift in [0.0, 300.0] {
                let inner = by_name(name).unwrap();
                let p: Arc<dyn Density> =
                    Arc::new(Standardised::new(inner, Affine::new(vec![-shift, 0.6 * shift], 1.0).unwrap()).unwrap());
                let exact = frame_of(&*p, 0).unwrap();
                let found = frame_of(&BlackBox(p), 0).unwrap();
                let distance: f64 = exact.centre().iter().zip(found.centre()).map(|(a, b)| (a - b).powi(2)).sum();
                assert!(distance.sqrt() < 0.2 * exact.scale(), "{name}: {exact:?} {found:?}");
                assert!((found.scale() / exact.scale()).ln().abs() < 0.2, "{name}: {exact:?} {found:?}");
            }
        }
    }

    /// Checks that a target without mass near the search is an error with a remedy, and NaN one with the point.
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
        assert!(matches!(frame_of(&Constant(f64::NEG_INFINITY), 0), Err(Error::Unsupported { .. })));
        assert!(matches!(frame_of(&Constant(f64::NAN), 0), Err(Error::NonFinite { .. })));
    }
}
