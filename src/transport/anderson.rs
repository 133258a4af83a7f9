//! Anderson's acceleration of a fixed-point iteration.

use crate::linalg::{Cholesky, Matrix};
use std::collections::VecDeque;

/// Differences that are kept.
const MEMORY: usize = 8;
/// Added to the diagonal of the normal equations, relative to it.
const RIDGE: f64 = 1e-12;

/// x ← G(x) - (ΔX + ΔR) θ with θ that makes |R - ΔR θ| least, R = G(x) - x, in a weighted norm (Walker, Ni, SIAM J. Numer. Anal. 49, 2011).
pub(super) struct Anderson<'a> {
    weights: &'a [f64],
    /// x and R before.
    last: Option<(Vec<f64>, Vec<f64>)>,
    /// Δx and ΔR.
    steps: VecDeque<(Vec<f64>, Vec<f64>)>,
}

impl<'a> Anderson<'a> {
    /// For numbers with these weights.
    pub fn new(weights: &'a [f64]) -> Self {
        Self { weights, last: None, steps: VecDeque::new() }
    }

    /// Forgets what came before.
    pub fn clear(&mut self) {
        self.last = None;
        self.steps.clear();
    }

    fn dot(&self, x: &[f64], y: &[f64]) -> f64 {
        self.weights.iter().zip(x).zip(y).map(|((w, x), y)| w * x * y).sum()
    }

    /// The next x, from x and G(x).
    pub fn next(&mut self, x: Vec<f64>, mut image: Vec<f64>) -> Vec<f64> {
        let less = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x - y).collect() };
        let residual = less(&image, &x);
        if let Some((before, old)) = &self.last {
            self.steps.push_back((less(&x, before), less(&residual, old)));
            while self.steps.len() > MEMORY {
                self.steps.pop_front();
            }
        }
        let m = self.steps.len();
        let mut normal = Matrix::from_fn(m, m, |i, j| self.dot(&self.steps[i.max(j)].1, &self.steps[i.min(j)].1));
        (0..m).for_each(|i| normal[(i, i)] *= 1.0 + RIDGE);
        let right: Vec<f64> = self.steps.iter().map(|(_, r)| self.dot(r, &residual)).collect();
        self.last = Some((x, residual));
        match Cholesky::factor(&normal, "Anderson's normal equations") {
            Ok(factor) => {
                for (theta, (dx, dr)) in factor.solve(&right).into_iter().zip(&self.steps) {
                    image.iter_mut().zip(dx).zip(dr).for_each(|((g, x), r)| *g -= theta * (x + r));
                }
            }
            // differences that say the same say no more
            Err(_) => self.steps.clear(),
        }
        image
    }
}
