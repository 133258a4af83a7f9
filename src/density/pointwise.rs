//! Densities written one point at a time.

use crate::density::{Density, rows};
use crate::linalg::Matrix;
use crate::rng::Stream;

/// A density given point by point; it is a [`Density`] at once, run over batches in parallel.
pub trait Pointwise: Send + Sync {
    /// Whether [`Pointwise::draw`] gives exact samples.
    const HAS_SAMPLER: bool = false;

    /// d.
    fn dim(&self) -> usize;

    /// Returns log p~(x) and writes ∇ log p~(x), which is ignored where log p~ = -inf.   x: d, score: d.
    fn at(&self, x: &[f64], score: &mut [f64]) -> f64;

    /// log Z, where it is known.
    fn log_normaliser(&self) -> Option<f64> {
        None
    }

    /// log ∫ p~^β, where it is known.
    fn log_normaliser_of_power(&self, beta: f64) -> Option<f64> {
        if beta == 1.0 { Pointwise::log_normaliser(self) } else { None }
    }

    /// x ← one exact sample from the numbers of `rng`; called only where `HAS_SAMPLER` is true.
    fn draw(&self, _rng: &mut Stream, _x: &mut [f64]) {}
}

impl<P: Pointwise> Density for P {
    fn dim(&self) -> usize {
        Pointwise::dim(self)
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        let d = Pointwise::dim(self);
        rows::for_chunks(x, d, out, 1, |x, out| {
            let mut unused = vec![0.0; d];
            x.chunks_exact(d).zip(out).for_each(|(x, l)| *l = self.at(x, &mut unused));
        });
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let d = Pointwise::dim(self);
        rows::evaluate(x, d, log_density, score, |x, out, score| {
            for ((x, l), score) in x.chunks_exact(d).zip(out).zip(score.chunks_exact_mut(d)) {
                *l = self.at(x, score);
                if *l == f64::NEG_INFINITY {
                    score.fill(0.0);
                }
            }
        });
    }

    fn log_normaliser(&self) -> Option<f64> {
        Pointwise::log_normaliser(self)
    }

    fn log_normaliser_of_power(&self, beta: f64) -> Option<f64> {
        Pointwise::log_normaliser_of_power(self, beta)
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        P::HAS_SAMPLER.then(|| rows::sample(n, Pointwise::dim(self), seed, |rng, x| self.draw(rng, x)))
    }
}
