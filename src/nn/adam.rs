//! The Adam optimiser.

use crate::linalg::{Factor, Matrix};
use crate::nn::Parameters;
use crate::num::{Kernel, Real, cos, dispatch};
use crate::parallel;
use std::sync::Arc;

/// Adam (Kingma and Ba, 2015, algorithm 1): θ ← θ - η m̂ / (√v̂ + ε), with bias-corrected running means m̂ of the gradient
/// and v̂ of its square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Decay β₁ of the mean.
    pub beta1: f64,
    /// Decay β₂ of the mean square.
    pub beta2: f64,
    /// ε, which keeps the step finite where the gradient vanishes.
    pub epsilon: f64,
}

impl Default for Adam {
    /// The paper's constants: 0.9, 0.999, 1e-8.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The running means, one pair for each parameter matrix, and the number of steps taken.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamState<T: Real> {
    /// Steps taken.
    pub step: u64,
    /// m.
    pub mean: Vec<Matrix<T>>,
    /// v.
    pub mean_square: Vec<Matrix<T>>,
}

impl<T: Real> AdamState<T> {
    /// Zero means of the shapes of `parameters`.
    pub fn new(parameters: &Parameters<T>) -> Self {
        let zeros: Vec<_> = parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
        Self { step: 0, mean: zeros.clone(), mean_square: zeros }
    }
}

/// Numbers that one thread moves at a time.
const BLOCK: usize = 1 << 13;

impl Adam {
    /// One step of rate η = `rate` along `gradient` (one matrix for each parameter, the same shapes).
    pub fn step<T: Real>(
        &self,
        parameters: &mut Parameters<T>,
        gradient: &[Matrix<T>],
        state: &mut AdamState<T>,
        rate: f64,
    ) {
        state.step += 1;
        let correct = |beta: f64| 1.0 - beta.powi(state.step.min(i32::MAX as u64) as i32);
        let root = correct(self.beta2).sqrt();
        let means = state.mean.iter_mut().zip(&mut state.mean_square);
        let blocks = parameters.iter_mut().zip(gradient).zip(means).flat_map(|((p, g), (m, v))| {
            let means = m.as_mut_slice().chunks_mut(BLOCK).zip(v.as_mut_slice().chunks_mut(BLOCK));
            let numbers = Arc::make_mut(p).update(|p| p.as_mut_slice().chunks_mut(BLOCK));
            numbers.zip(g.as_slice().chunks(BLOCK)).zip(means)
        });
        let updates = blocks.map(|((x, g), (m, v))| Update {
            x,
            g,
            m,
            v,
            beta1: T::from_f64(self.beta1),
            beta2: T::from_f64(self.beta2),
            // η m̂/(√v̂ + ε) = rate·m/(√v + epsilon) with both corrections taken into the constants
            rate: T::from_f64(rate * root / correct(self.beta1)),
            epsilon: T::from_f64(self.epsilon * root),
        });
        parallel::for_each(updates, dispatch);
        Factor::prepare(parameters.iter_mut().map(Arc::make_mut));
    }
}

/// Some of the numbers, with what moves them.
struct Update<'a, T> {
    x: &'a mut [T],
    g: &'a [T],
    m: &'a mut [T],
    v: &'a mut [T],
    beta1: T,
    beta2: T,
    rate: T,
    epsilon: T,
}

impl<T: Real> Kernel for Update<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (((x, &g), m), v) in self.x.iter_mut().zip(self.g).zip(self.m).zip(self.v) {
            *m = self.beta1.fused::<FMA>(*m - g, g);
            *v = self.beta2.fused::<FMA>(*v - g * g, g * g);
            *x -= self.rate * *m / (v.sqrt() + self.epsilon);
        }
    }
}

/// `rate` (1 + cos πt)/2 at t = `step`/`steps`.
pub(crate) fn cosine_rate(rate: f64, step: u64, steps: u64) -> f64 {
    let t = step as f64 / steps as f64;
    rate * 0.5 * (1.0 + cos(std::f64::consts::PI * t))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the first two steps against the recursion of the paper, written out by hand in f64.
    #[test]
    fn follows_the_paper() {
        let (b1, b2, eps, rate) = (0.9, 0.999, 1e-8, 0.1);
        let mut parameters = vec![Arc::new(Matrix::filled(1, 1, 1.0f64).into())];
        let mut state = AdamState::new(&parameters);
        let (mut x, mut m, mut v) = (1.0f64, 0.0f64, 0.0f64);
        for t in 1..=2 {
            let g = 2.0 * x + 0.3;
            (m, v) = (b1 * m + (1.0 - b1) * g, b2 * v + (1.0 - b2) * g * g);
            x -= rate * (m / (1.0 - b1.powi(t))) / ((v / (1.0 - b2.powi(t))).sqrt() + eps);
            let gradient = parameters[0].map(|x| 2.0 * x + 0.3);
            Adam::default().step(&mut parameters, &[gradient], &mut state, rate);
            // without fused multiply-adds v = (1 - β₂) g² is a difference of numbers near g²: its rounding, halved by the root, of a step of 0.1
            assert!((parameters[0][(0, 0)] - x).abs() < rate * f64::EPSILON / (1.0 - b2));
        }
    }
}
