//! Searches at several weights of a geometric mixture.

use crate::density::{Corner, Density, Geometric, Preferences};
use crate::error::Result;
use crate::linalg::Matrix;
use crate::search::{SearchSettings, search};
use std::sync::Arc;

/// Particles of each search: log Z to some per cent, which is the evenness of the law of the weights and nothing else.
const PARTICLES: usize = 2048;

/// Parts of an edge of the simplex of K weights: 5, 15 and 20 nodes for K = 2, 3, 4, and K (K + 1)/2 beyond.
fn parts_of_edge(k: usize) -> usize {
    match k {
        2 | 3 => 4,
        4 => 3,
        _ => 2,
    }
}

/// All K-tuples of whole numbers that add to `sum`.
fn tuples(k: usize, sum: usize) -> Vec<Vec<usize>> {
    if k == 1 {
        return vec![vec![sum]];
    }
    let first = |m: usize| tuples(k - 1, sum - m).into_iter().map(move |rest| [vec![m], rest].concat());
    (0..=sum).flat_map(first).collect()
}

/// The family Π_k p~_k^{λ_k} of `targets`, with log Z(λ) and its first two derivatives by a search at each λ of a lattice on the simplex.
///
/// Errors of [`search`] where it fails at one of them, and of [`Preferences::new`], such as for a part that is 0 where another one is not.
pub fn preferences(targets: &[Arc<dyn Density>], seed: u64) -> Result<Preferences> {
    let (k, parts) = (targets.len(), parts_of_edge(targets.len()));
    let node = |tuple: Vec<usize>| -> Result<Corner> {
        let weights: Vec<f64> = tuple.into_iter().map(|m| m as f64 / parts as f64).collect();
        let mixture = Geometric::new(targets.to_vec(), weights.clone())?;
        let found = search(&mixture, &SearchSettings { particles: PARTICLES, seed, start: None })?;
        let logs: Vec<Vec<f64>> = targets.iter().map(|p| p.log_density(&found.particles)).collect();
        let logs = Matrix::from_fn(found.particles.rows(), k, |i, j| logs[j][i]);
        let (means, covariance) = (logs.column_means(), logs.column_covariance().into_vec());
        Ok(Corner { weights, log_z: found.log_z, means, covariance })
    };
    Preferences::new(targets.to_vec(), tuples(k, parts).into_iter().map(node).collect::<Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::GaussianMixture;
    use crate::num::ln;
    use std::f64::consts::TAU;

    /// Checks log Z(λ) of three Gaussians N(b_k, s_k²) on the line against ½ log 2π/Λ - ½ Σ λ_k [log 2π s_k² + b_k²/s_k²] + ½ B²/Λ, Λ = Σ λ_k/s_k²,
    /// B = Σ λ_k b_k/s_k²: to 0.16, of which exact nodes leave 0.06 at these λ and searches some hundredths; log Z is down to -1.9. Its
    /// gradient agrees with differences, to 1e-6.
    #[test]
    fn three_gaussians() {
        let laws = [(-2.0, 1.0), (1.0, 0.5), (2.0, 1.5)];
        let gaussian = |(b, s): (f64, f64)| {
            Arc::new(GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[[b]]), s).unwrap()) as Arc<dyn Density>
        };
        let family = preferences(&laws.map(gaussian), 1).unwrap();
        assert_eq!(family.nodes().len(), 15);
        for lambda in [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.2, 0.3, 0.5], [0.6, 0.1, 0.3], [0.1, 0.8, 0.1]] {
            let sum =
                |f: &dyn Fn(f64, f64) -> f64| laws.iter().zip(&lambda).map(|((b, s), l)| l * f(*b, s * s)).sum::<f64>();
            let (precision, pull) = (sum(&|_, v| 1.0 / v), sum(&|b, v| b / v));
            let rest = sum(&|b, v| ln(TAU * v) + b * b / v);
            let exact = 0.5 * (ln(TAU / precision) + pull * pull / precision - rest);
            let (found, slope) = family.log_z(&lambda);
            assert!((found - exact).abs() < 0.16, "{lambda:?}: {found} {exact}");
            for j in 0..3 {
                let at = |h: f64| {
                    let mut l = lambda;
                    l[j] += h;
                    family.log_z(&l).0
                };
                let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                assert!((difference - slope[j]).abs() < 1e-6 * (1.0 + slope[j].abs()), "{difference} {}", slope[j]);
            }
        }
    }
}
