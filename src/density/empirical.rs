//! A law that is known by samples alone.

use crate::density::{Density, WeightedSamples};
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::num::{exp, log_sum_exp};
use crate::rng::{Purpose, stream, uniform};

/// The empirical law of weighted points, in place of the unknown law that they come from.
///
/// It has samples, drawn with replacement by weight, and no density: [`Density::is_known`] is false and log p~ is NaN, which every method
/// that asks for it refuses. For metrics and their floors; floors do not count the error of the N points themselves, of order N^-½.
#[derive(Debug, Clone, PartialEq)]
pub struct Empirical {
    points: Matrix,
    /// Sums of the weights up to each point; the last is 1.
    cumulative: Vec<f64>,
    /// N×d.
    training: Option<Matrix>,
}

impl Empirical {
    /// Of N ≥ 1 finite points. `Error::Dimension` or `Error::BadSample` otherwise, `Error::Parameter` where no weight is positive.
    pub fn new(samples: &WeightedSamples) -> Result<Self> {
        let (n, d) = samples.points.shape();
        let what = || "the samples of a law".to_string();
        if n == 0 || d == 0 {
            return Err(Error::Dimension { what: what(), expected: 1, found: 0 });
        }
        if let Some(k) = samples.points.as_slice().iter().position(|x| !x.is_finite()) {
            return Err(Error::BadSample { row: k / d, column: k % d, value: samples.points.as_slice()[k] });
        }
        let l = samples.log_weights.clone().unwrap_or_else(|| vec![0.0; n]);
        if l.len() != n {
            return Err(Error::Dimension { what: "the weights of the samples".into(), expected: n, found: l.len() });
        }
        let total = log_sum_exp(&l);
        if !total.is_finite() {
            let (name, expected) = ("log of the sum of the weights".into(), "a finite number");
            return Err(Error::Parameter { name, value: total, expected });
        }
        let mut sum = 0.0;
        let cumulative = l.iter().map(|l| {
            sum += exp(l - total);
            sum
        });
        let cumulative: Vec<f64> = cumulative.collect();
        Ok(Self { points: samples.points.clone(), cumulative, training: None })
    }

    /// With the points that models learn from, as these were held out: what tells a model that repeats them.
    pub fn with_training(self, points: Matrix) -> Self {
        Self { training: Some(points), ..self }
    }
}

impl Density for Empirical {
    fn dim(&self) -> usize {
        self.points.cols()
    }

    fn is_known(&self) -> bool {
        false
    }

    fn learned_from(&self) -> Option<&Matrix> {
        self.training.as_ref()
    }

    fn log_density_into(&self, _: &Matrix, out: &mut [f64]) {
        out.fill(f64::NAN);
    }

    fn evaluate_into(&self, _: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        log_density.fill(f64::NAN);
        score.as_mut_slice().fill(f64::NAN);
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        let mut rng = stream(seed, Purpose::Exact, 0);
        let last = self.points.rows() - 1;
        let mut row = || {
            let u = uniform(&mut rng) * self.cumulative[last];
            self.cumulative.partition_point(|c| *c <= u).min(last)
        };
        let rows: Vec<usize> = (0..n).map(|_| row()).collect();
        Some(self.points.gather_rows(&rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that draws follow the weights: of three points with weights 0.2, 0 and 0.8, the second never comes, and the share of the third among
    /// 40,000 is within 5 standard errors (5 · √(0.16/40,000) = 0.01; false alarm 6e-7); that the law has no density; and refusals.
    #[test]
    fn draws_follow_weights() {
        let points = Matrix::from_rows(&[[0.0], [1.0], [2.0]]);
        let log_weights = Some(vec![0.2f64.ln(), f64::NEG_INFINITY, 0.8f64.ln()]);
        let law = Empirical::new(&WeightedSamples { points: points.clone(), log_weights, labels: None }).unwrap();
        let x = law.sample(40_000, 5).unwrap();
        assert!(x.as_slice().iter().all(|x| *x != 1.0));
        let share = x.as_slice().iter().filter(|x| **x == 2.0).count() as f64 / 40_000.0;
        assert!((share - 0.8).abs() < 0.01, "{share}");
        assert!(!law.is_known() && law.log_density(&points).iter().all(|l| l.is_nan()));
        let none = Some(vec![f64::NEG_INFINITY; 3]);
        let error = Empirical::new(&WeightedSamples { points, log_weights: none, labels: None }).unwrap_err();
        assert!(matches!(error, Error::Parameter { .. }));
        let nan = WeightedSamples::equal(Matrix::from_rows(&[[f64::NAN]]));
        assert!(matches!(Empirical::new(&nan), Err(Error::BadSample { row: 0, column: 0, .. })));
    }
}
