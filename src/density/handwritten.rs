//! A user's density from two closures.

use crate::density::{Density, rows};
use crate::linalg::Matrix;

/// log p~ and ∇ log p~ written by hand, point by point: `log_density(x)` and `score(x, out)`, x and out of length d.
///
/// [`check_score`](crate::autodiff::check_score) tells whether the two belong together.
pub struct Handwritten<L, S> {
    dim: usize,
    log_density: L,
    score: S,
}

impl<L: Fn(&[f64]) -> f64 + Send + Sync, S: Fn(&[f64], &mut [f64]) + Send + Sync> Handwritten<L, S> {
    /// The density on R^d, d = `dim` ≥ 1, with these two functions. Panics where `dim` is 0.
    #[track_caller]
    pub fn new(dim: usize, log_density: L, score: S) -> Self {
        assert!(dim > 0, "Handwritten::new: a density needs at least one dimension");
        Self { dim, log_density, score }
    }
}

impl<L: Fn(&[f64]) -> f64 + Send + Sync, S: Fn(&[f64], &mut [f64]) + Send + Sync> Density for Handwritten<L, S> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        rows::for_chunks(x, self.dim, out, 1, |x, out| {
            x.chunks_exact(self.dim).zip(out).for_each(|(x, l)| *l = (self.log_density)(x));
        });
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        rows::evaluate(x, self.dim, log_density, score, |x, out, score| {
            for ((x, l), score) in x.chunks_exact(self.dim).zip(out).zip(score.chunks_exact_mut(self.dim)) {
                *l = (self.log_density)(x);
                (self.score)(x, score);
            }
        });
    }
}
