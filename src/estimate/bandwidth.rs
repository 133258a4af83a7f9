//! Rules for the bandwidth.

use crate::error::Result;
use crate::estimate::Kde;
use crate::linalg::Matrix;
use crate::num::{Real, powf};

/// h = σ n^{-1/(d+4)}, σ² the mean variance of the coordinates: Scott's rule (Scott, 1992, eq. 6.44), right for one Gaussian
/// and too wide for separated modes.
pub fn scott_bandwidth<T: Real>(samples: &Matrix<T>) -> f64 {
    let (n, d) = samples.shape();
    let mean = samples.column_means();
    let square = |row: &[T]| row.iter().zip(&mean).map(|(&x, &m)| (x - m).to_f64().powi(2)).sum::<f64>();
    let variance = samples.iter_rows().map(square).sum::<f64>() / ((n.max(2) - 1) * d.max(1)) as f64;
    variance.sqrt() * powf(n as f64, -1.0 / (d as f64 + 4.0))
}

/// The smallest h in [low, high] at which the KDE from `samples` has at least `neighbours` effective neighbours at the given
/// `fraction` of the `queries`, to 5 % by bisection; `high` where none has.
///
/// Below it the estimate follows single points, and particles run away from each other.
pub fn resolved_bandwidth<T: Real>(
    samples: &Matrix<T>,
    queries: &Matrix<T>,
    neighbours: f64,
    fraction: f64,
    low: f64,
    high: f64,
) -> Result<f64> {
    let kde = Kde::new(samples, low)?;
    let enough = |h: f64| {
        let mut n = kde.with_bandwidth(h).evaluate(queries).neighbours;
        n.sort_by(|a, b| a.to_f64().total_cmp(&b.to_f64()));
        let rank = ((1.0 - fraction) * n.len() as f64) as usize;
        n[rank.min(n.len() - 1)].to_f64() >= neighbours
    };
    if enough(low) {
        return Ok(low);
    }
    let (mut low, mut high) = (low, high);
    while high > 1.05 * low {
        let middle = (low * high).sqrt();
        *(if enough(middle) { &mut high } else { &mut low }) = middle;
    }
    Ok(high)
}
