//! The banana: a Gaussian bent along a parabola.

use crate::density::Pointwise;
use crate::num::ln;
use crate::rng::{Stream, fill_normal};
use std::f64::consts::TAU;

/// Standard deviation of x₁.
const SPREAD: f64 = 10.0;

/// Curvature b.
const TWIST: f64 = 0.03;

/// (x₁, x₂ + b (x₁² - 100)) ~ N(0, diag(100, 1)) with b = 0.03; normalised, log Z = 0, d = 2.
///
/// Source: the twisted Gaussian of Haario, Saksman and Tamminen, "Adaptive proposal distribution for random walk Metropolis
/// algorithm" (Computational Statistics 14, 1999). The map has Jacobian 1. E x = 0, Var x₁ = 100, Var x₂ = 1 + 2 b² 10⁴ = 19.
#[derive(Debug, Clone, Copy, Default)]
pub struct Banana;

impl Pointwise for Banana {
    const HAS_SAMPLER: bool = true;

    fn dim(&self) -> usize {
        2
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let u = x[0] / SPREAD;
        let v = x[1] + TWIST * (x[0] * x[0] - SPREAD * SPREAD);
        score[0] = -u / SPREAD - mutant!("banana-chain-rule", 1.0, 2.0) * TWIST * x[0] * v;
        score[1] = -v;
        -0.5 * (u * u + v * v) - ln(SPREAD) - ln(TAU)
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(0.0)
    }

    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        fill_normal(rng, x);
        x[0] *= SPREAD;
        x[1] -= TWIST * (x[0] * x[0] - SPREAD * SPREAD);
    }
}
