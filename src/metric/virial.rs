//! Whether points are as wide as their target says, in any units.

use crate::density::Density;
use crate::linalg::{Matrix, dot};
use crate::num::Summary;

/// v_i = -(x_i - m)·∇ log p(x_i)/d about the mean m of the points: its mean is 1 under p (Stein's identity for x - m), and q's variance over
/// p's for Gaussians of one centre, whatever the units are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Virial {
    /// Mean of v.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Median of v.
    pub median: f64,
}

impl Virial {
    /// At the rows of x (n×d); those where the score is not finite are left out. None where there are fewer than two others.
    pub fn of(p: &dyn Density, x: &Matrix) -> Option<Self> {
        let (n, d) = x.shape();
        let (mut log_density, mut score) = (vec![0.0; n], Matrix::zeros(n, d));
        p.evaluate_into(x, &mut log_density, &mut score);
        let mean = x.column_means();
        let at = |(x, g): (&[f64], &[f64])| {
            let moved: Vec<f64> = x.iter().zip(&mean).map(|(x, m)| x - m).collect();
            -dot(&moved, g) / d as f64
        };
        let mut v: Vec<f64> = x.iter_rows().zip(score.iter_rows()).map(at).filter(|v| v.is_finite()).collect();
        v.sort_by(f64::total_cmp);
        let median = *v.get(v.len() / 2).filter(|_| v.len() > 1)?;
        let all = Summary::of(&v);
        Some(Self { mean: all.mean, standard_error: all.standard_error(), median })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{by_name, gmm9};
    use crate::rng::{Purpose, normal_matrix};

    /// Checks the mean under exact samples (z below 5) of Gaussian mixtures and of banana, and that samples of twice and half the width about
    /// the one centre of a Gaussian give 4 and 1/4.
    #[test]
    fn one_under_the_target() {
        for name in ["gmm9", "ring8", "banana"] {
            let p = by_name(name).unwrap();
            let v = Virial::of(&*p, &p.sample(20_000, 3).unwrap()).unwrap();
            assert!((v.mean - 1.0).abs() < 5.0 * v.standard_error, "{name}: {v:?}");
        }
        let unit = crate::density::GaussianMixture::new(&[1.0], Matrix::zeros(1, 2), vec![Matrix::identity(2)]);
        let (p, z) = (unit.unwrap(), normal_matrix::<f64>(1, Purpose::Check, 1, 20_000, 2));
        for width in [0.5, 1.0, 2.0] {
            let v = Virial::of(&p, &z.map(|z| width * z)).unwrap();
            assert!((v.mean - width * width).abs() < 5.0 * v.standard_error, "{v:?}");
        }
        assert_eq!(Virial::of(&gmm9(), &Matrix::filled(1, 2, 0.0)), None);
    }
}
