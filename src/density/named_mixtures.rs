//! The named Gaussian mixtures of the literature.

use crate::density::GaussianMixture;
use crate::density::mt19937::Mt19937;
use crate::linalg::Matrix;
use crate::num::{ln, sin_cos};
use std::f64::consts::{E, TAU};

/// Variance of the components of `gmm9`, `gmm9u` and `ring8`.
const VARIANCE: f64 = 0.3;

/// Constants of this file are valid: a failure is a mistake here, not of the caller.
fn isotropic(weights: &[f64], means: Matrix, std: f64) -> GaussianMixture {
    GaussianMixture::isotropic(weights, means, std).expect("the constants of a named mixture are valid")
}

/// The nine points of {-5, 0, 5}², the first coordinate slowest.
fn grid() -> Matrix {
    Matrix::from_fn(9, 2, |k, j| 5.0 * (if j == 0 { k / 3 } else { k % 3 } as f64 - 1.0))
}

/// p = (1/9) Σ N(m, 0.3 I), m ∈ {-5, 0, 5}²: the "grid" mixture of Richter and Berner's `sde_sampler`.
pub fn gmm9() -> GaussianMixture {
    isotropic(&[1.0; 9], grid(), VARIANCE.sqrt())
}

/// `gmm9` with weights proportional to 1, 2, 3, 4, 5, 4, 3, 2, 1 in the order (-5,-5), (-5,0), (-5,5), (0,-5), …: unequal masses.
pub fn gmm9u() -> GaussianMixture {
    isotropic(&[1.0, 2.0, 3.0, 4.0, 5.0, 4.0, 3.0, 2.0, 1.0], grid(), VARIANCE.sqrt())
}

/// p = (1/8) Σ_k N(4 (cos 2πk/8, sin 2πk/8), 0.3 I), k < 8: a ring of radius 4.
pub fn ring8() -> GaussianMixture {
    let means = Matrix::from_fn(8, 2, |k, j| {
        let (sin, cos) = sin_cos(TAU * k as f64 / 8.0);
        4.0 * if j == 0 { cos } else { sin }
    });
    isotropic(&[1.0; 8], means, VARIANCE.sqrt())
}

/// p = (1/40) Σ N(m_k, s² I), m = (U - ½)·80 with U the first 80 uniforms of MT19937 seed 0, s = log(1 + e).
///
/// Source: Midgley et al., "Flow annealed importance sampling bootstrap" (ICLR 2023), code `fab-torch`; also used by iDEM and DiKL.
/// Facts: E_p log p = -6.8592, mean (-2.14, 1.24), standard deviations (21.0, 25.0). The target of the same name with means from
/// another generator (JAX, or torch seed 42) is a different density.
pub fn gmm40() -> GaussianMixture {
    let mut rng = Mt19937::new(0);
    // in f32, as published: the product rounds
    let means = Matrix::from_fn(40, 2, |_, _| f64::from((rng.uniform_24() as f32 - 0.5) * 80.0));
    isotropic(&[1.0; 40], means, ln(1.0 + E))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Density;

    /// The means as published, in f32 printed to 1e-6.
    #[rustfmt::skip]
    const PUBLISHED: [[f64; 2]; 40] = [
        [-0.299473, 21.457745], [-32.921806, -29.437561], [-15.406175, 10.726295], [-0.792527, 31.715580],
        [-3.549762, 10.584502], [-12.088523, -7.862616], [-38.213940, -26.491283], [-16.488924, 1.481743],
        [15.813408, 24.000912], [-27.117643, -17.418514], [14.528685, 33.215519], [-8.232007, 29.932470],
        [-6.447334, 4.232564], [36.219048, -37.106815], [-25.181519, -10.126610], [-15.591998, 34.560032],
        [-25.927185, -18.413315], [-27.945618, -37.462440], [-23.349619, 34.383923], [17.848736, 19.386902],
        [2.103662, -20.507339], [6.767387, -37.347790], [-28.902649, -20.621201], [25.237518, 23.452850],
        [-17.739801, -1.443295], [25.582428, 39.765324], [15.875287, 5.403714], [26.819454, -23.552094],
        [7.453761, -31.012220], [-27.723446, -20.663342], [18.098923, 16.086416], [-23.694099, 12.084284],
        [21.958881, -5.048695], [1.527262, 9.268188], [24.815063, 38.407764], [-30.824944, -14.658790],
        [15.720396, 33.141975], [34.808292, 35.294270], [7.960582, -34.783306], [3.679700, -25.024214],
    ];

    /// Checks the 40 means against the printed table: half a unit of the last printed digit.
    #[test]
    fn gmm40_means_are_the_published_ones() {
        let p = gmm40();
        for (mean, published) in p.means().iter_rows().zip(&PUBLISHED) {
            for (a, b) in mean.iter().zip(published) {
                assert!((a - b).abs() <= 0.51e-6, "{a} against {b}");
            }
        }
    }

    /// Checks mean, standard deviations and E log p of `gmm40` against the published figures. The moments are exact (last printed digit);
    /// E log p is an average of n = 100,000 exact samples: z-score below 4.5 plus half a printed digit, chance 1 in 1e5.
    #[test]
    fn gmm40_moments_are_the_published_ones() {
        let p = gmm40();
        let (mean, covariance) = (p.mean(), p.covariance());
        assert!((mean[0] + 2.14).abs() < 0.005 && (mean[1] - 1.24).abs() < 0.005, "{mean:?}");
        let std = [covariance[(0, 0)].sqrt(), covariance[(1, 1)].sqrt()];
        assert!((std[0] - 21.0).abs() < 0.05 && (std[1] - 25.0).abs() < 0.05, "{std:?}");
        let n = 100_000;
        let l = p.log_density(&p.sample(n, 1).unwrap());
        let average = l.iter().sum::<f64>() / n as f64;
        let variance = l.iter().map(|v| (v - average).powi(2)).sum::<f64>() / n as f64;
        assert!((average + 6.8592).abs() < 4.5 * (variance / n as f64).sqrt() + 5e-5, "{average}");
    }
}
