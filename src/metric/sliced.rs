//! Sliced Wasserstein distance.

use crate::linalg::Matrix;
use crate::linalg::shape_mismatch;
use crate::rng::{Purpose, fill_normal, stream};
use rayon::prelude::*;

/// SW₂(x, y) = √(E_θ W₂²(θ·x, θ·y)), θ uniform on the unit sphere.   x: n×d, y: m×d; n and m may differ.
///
/// The expectation is a mean over `projections` directions from the stream (`seed`, Metric, index): the same directions for
/// every pair of samples. In one dimension the only direction is used once and the distance is W₂ itself. Cost:
/// O(projections (n log n + m log m)). In units of length; about W₂/√d for a pure shift. (Bonneel, Rabin, Peyré and Pfister, 2015.)
pub fn sliced_wasserstein2(x: &Matrix, y: &Matrix, projections: usize, seed: u64) -> f64 {
    if x.cols() != y.cols() || x.rows() == 0 || y.rows() == 0 {
        shape_mismatch("sliced_wasserstein2", x.shape(), y.shape());
    }
    let projections = if x.cols() == 1 { 1 } else { projections.max(1) };
    let squares: Vec<f64> = (0..projections)
        .into_par_iter()
        .map(|index| {
            let direction = unit_vector(x.cols(), seed, index as u64);
            let distance = wasserstein2_sorted(&project(x, &direction), &project(y, &direction));
            mutant!("sliced-power", distance, distance.powi(2))
        })
        .collect();
    (squares.iter().sum::<f64>() / projections as f64).sqrt()
}

/// W₂ on the line between sorted samples: √(∫₀¹ (F⁻¹(t) - G⁻¹(t))² dt), the coupling of equal quantiles.   a: n, b: m, sorted.
///
/// Exact for any two sizes: both quantile functions are steps, with breaks at i/n and j/m. Panics on an empty sample.
pub fn wasserstein2_sorted(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (a.len() as u64, b.len() as u64);
    assert!(n > 0 && m > 0, "wasserstein2_sorted: an empty sample");
    // mass in units of 1/(nm): a_i ends at (i+1) m, b_j at (j+1) n
    let (mut i, mut j, mut done, mut sum) = (0u64, 0u64, 0u64, 0.0);
    while done < n * m {
        let next = ((i + 1) * m).min((j + 1) * n);
        sum += (next - done) as f64 * (a[i as usize] - b[j as usize]).powi(2);
        (i, j, done) = (next / m, next / n, next);
    }
    (sum / (n * m) as f64).sqrt()
}

/// A uniform direction: a normalised Gaussian vector.
fn unit_vector(d: usize, seed: u64, index: u64) -> Vec<f64> {
    let mut direction = vec![0.0; d];
    fill_normal(&mut stream(seed, Purpose::Metric, index), &mut direction);
    let norm = direction.iter().map(|c| c * c).sum::<f64>().sqrt();
    direction.iter_mut().for_each(|c| *c /= norm);
    direction
}

/// θ·x_i, sorted.
fn project(x: &Matrix, direction: &[f64]) -> Vec<f64> {
    let dot = |row: &[f64]| row.iter().zip(direction).map(|(a, b)| a * b).sum::<f64>();
    let mut values: Vec<f64> = x.iter_rows().map(dot).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}
