//! The frame of a target: the units in which a network works on it.

use crate::density::{Affine, Density, evaluate};
use crate::error::Result;
use crate::linalg::dot;
use crate::num::sum_of_squares;
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

/// τ = 1/λ, λ the largest eigenvalue of E_p[∇ log p ∇ log pᵀ] = -E_p[∇² log p]: the square of the length over which p changes, where it
/// changes most, and the time in which a flow of scores settles there. It is σ² for N(m, σ² I), and scales like x². From exact samples where
/// the target has them, else from the particles of a [`search`]. Errors as there.
pub fn time_scale(target: &dyn Density, seed: u64) -> Result<f64> {
    let x = match target.sample(PARTICLES, seed) {
        Some(x) => x,
        None => search(target, &SearchSettings { particles: PARTICLES, seed, start: None })?.particles,
    };
    let score = evaluate(target, &x)?.score;
    // the longest score, turned to the eigenvector by powers of the matrix
    let longest = score.iter_rows().max_by(|a, b| sum_of_squares(a).total_cmp(&sum_of_squares(b)));
    let mut v = longest.expect("a search has particles").to_vec();
    let mut eigenvalue = 0.0;
    for _ in 0..POWERS {
        let mut next = vec![0.0; v.len()];
        for g in score.iter_rows() {
            let along = dot(g, &v);
            next.iter_mut().zip(g).for_each(|(n, g)| *n += along * g);
        }
        let length = sum_of_squares(&next).sqrt();
        eigenvalue = length / sum_of_squares(&v).sqrt() / x.rows() as f64;
        v = next.iter().map(|n| n / length).collect();
    }
    Ok(eigenvalue.recip())
}

/// Steps of the power method: a number near the eigenvalue will do.
const POWERS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{BlackBox, GaussianMixture, Standardised, by_name};
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

    /// Checks the time scale of Gaussians of condition 100, as a mixture (2,048 exact samples: a relative error of √(2/2048) = 0.031, here four
    /// of them) and as a black box (dependent particles: three times that), in units 2^-20 and 2^20 too, where it is scaled to the last bit.
    #[test]
    fn the_time_scale_is_the_narrowest_variance() {
        for (exact, tolerance) in [(true, 0.125), (false, 0.375)] {
            let of = |unit: f64| {
                let p: Arc<dyn Density> = Arc::new(
                    GaussianMixture::new(
                        &[1.0],
                        Matrix::from_vec(1, 2, vec![3.0 * unit, 0.0]),
                        vec![Matrix::from_vec(2, 2, vec![unit * unit, 0.0, 0.0, 0.01 * unit * unit])],
                    )
                    .unwrap(),
                );
                if exact { time_scale(&*p, 1).unwrap() } else { time_scale(&BlackBox(p), 1).unwrap() }
            };
            let tau = of(1.0);
            assert!((tau / 0.01).ln().abs() < tolerance, "{tau}");
            for k in [-20, 20].into_iter().filter(|_| exact) {
                let unit = 2f64.powi(k);
                assert_eq!(of(unit), tau * unit * unit, "units of 2^{k}");
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
