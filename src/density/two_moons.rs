//! Two moons: the left and the right side of a ring.

use crate::density::Pointwise;
use crate::num::{exp, hypot, ln_1p, sin_cos, tanh};
use crate::rng::{Stream, fill_normal, uniform};
use std::f64::consts::TAU;

/// Radius of the ring and distance of the moons from the vertical axis.
const RADIUS: f64 = 2.0;

/// Standard deviation across the ring.
const WIDTH: f64 = 0.2;

/// Standard deviation of x₁ around ±2.
const REACH: f64 = 0.3;

/// log ∫ p~: trapezium rule on [-6, 6]², the same 16 digits at steps 0.05, 0.025 and 0.02.
const LOG_NORMALISER: f64 = 0.804_214_448_632_119_9;

/// log p~(x) = -½ ((|x| - 2)/0.2)² + log( e^(-½ ((x₁ - 2)/0.3)²) + e^(-½ ((x₁ + 2)/0.3)²) ), d = 2.
///
/// Source: `TwoMoons` of VincentStimper/normalizing-flows (Stimper et al., 2023); Rezende and Mohamed (2015) have the same
/// form with 0.4 and 0.6. Not the simulator of the same name in simulation-based inference. log Z = 0.8042144486321199 by quadrature.
#[derive(Debug, Clone, Copy, Default)]
pub struct TwoMoons;

impl Pointwise for TwoMoons {
    const HAS_SAMPLER: bool = true;

    fn dim(&self) -> usize {
        2
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let radius = hypot(x[0], x[1]);
        let across = (radius - RADIUS) / WIDTH;
        // the point at the centre of the ring has no direction; the moons' density is 1e-31 there
        let slope = if radius > 0.0 { -across / (WIDTH * radius) } else { 0.0 };
        // the two moons' weights have the ratio e^(4 x₁/0.09), so their mean score is a tanh
        let tilt = tanh(RADIUS * x[0] / (REACH * REACH));
        score[0] = slope * x[0] - (x[0] - RADIUS * tilt) / (REACH * REACH);
        score[1] = slope * x[1];
        -0.5 * across * across + log_sides(x[0])
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(LOG_NORMALISER)
    }

    /// Rejection in polar coordinates. The radius has density ∝ r e^(-½ ((r - 2)/0.2)²) and the angle is uniform before the
    /// factor of the two sides, which is at most 1 (to 40 digits). With z = (r - 2)/0.2, r/2 = 1 + z/10 ≤ e^(z/10), and
    /// e^(z/10 - z²/2) is a normal density of mean 1/10.
    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        loop {
            let mut normal = [0.0];
            fill_normal(rng, &mut normal);
            let tilt = WIDTH / RADIUS;
            let z = normal[0] + tilt;
            let radius = RADIUS + WIDTH * z;
            let (sin, cos) = sin_cos(TAU * uniform(rng));
            let accept = (1.0 + tilt * z) * exp(log_sides(radius * cos) - tilt * z);
            if uniform(rng) < accept {
                (x[0], x[1]) = (radius * cos, radius * sin);
                return;
            }
        }
    }
}

/// log( e^(-½ ((x - 2)/0.3)²) + e^(-½ ((x + 2)/0.3)²) ), the nearer side first.
fn log_sides(x: f64) -> f64 {
    let near = (x.abs() - RADIUS) / REACH;
    -0.5 * near * near + ln_1p(exp(-2.0 * RADIUS * x.abs() / (REACH * REACH)))
}
