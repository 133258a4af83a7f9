//! The many-well density: d/2 independent double wells, 2^(d/2) modes.

use crate::density::Pointwise;
use crate::num::{exp, ln};
use crate::rng::{Stream, fill_normal, uniform};
use crate::{Error, Result};
use std::f64::consts::TAU;

/// log ∫ exp(u/2 + 6u² - u⁴) du = log 11784.50926512783: trapezium rule, the same 15 digits at steps 0.05, 0.02 and 0.01.
const LOG_WELL: f64 = 9.374_541_173_869_195;

/// log p~(x) = Σ_k ( u_k/2 + 6 u_k² - u_k⁴ - ½ v_k² ), (u_k, v_k) = (x_{2k}, x_{2k+1}), k < d/2.
///
/// Source: Noé et al., "Boltzmann generators" (Science, 2019), repeated d/2 times in FAB (Midgley et al., ICLR 2023), `fab-torch`
/// with a = -0.5, b = -6, c = 1. log Z = (d/2) (log 11784.509 + ½ log 2π) = 164.695675 for d = 32; P(u_k > 0) = 0.844307.
#[derive(Debug, Clone, Copy)]
pub struct ManyWell {
    dim: usize,
}

impl ManyWell {
    /// The density in an even number d = `dim` ≥ 2 of dimensions; `Error::Parameter` otherwise.
    pub fn new(dim: usize) -> Result<Self> {
        if dim == 0 || !dim.is_multiple_of(2) {
            let name = "dimension of many-well".into();
            return Err(Error::Parameter { name, value: dim as f64, expected: "an even integer, at least 2" });
        }
        Ok(Self { dim })
    }
}

impl Pointwise for ManyWell {
    const HAS_SAMPLER: bool = true;

    fn dim(&self) -> usize {
        self.dim
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let mut total = 0.0;
        for (x, score) in x.chunks_exact(2).zip(score.chunks_exact_mut(2)) {
            let (u, v) = (x[0], x[1]);
            score[0] = 0.5 + u * (12.0 - 4.0 * u * u);
            score[1] = -v;
            total += log_well(u) - 0.5 * v * v;
        }
        total
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some((self.dim / 2) as f64 * (LOG_WELL + 0.5 * ln(TAU)))
    }

    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        fill_normal(rng, x);
        x.iter_mut().step_by(2).for_each(|u| *u = draw_well(rng, *u));
    }
}

/// u/2 + 6u² - u⁴, in an order that cannot give ∞ - ∞.
fn log_well(u: f64) -> f64 {
    u * (0.5 + u * (6.0 - u * u))
}

/// log of the proposal density 0.2 N(u; -1.7, 0.5²) + 0.8 N(u; 1.7, 0.5²), as in `fab-torch`.
fn log_proposal(u: f64) -> f64 {
    let side = |weight: f64, centre: f64| weight * exp(-2.0 * (u - centre) * (u - centre));
    ln(side(0.2, -1.7) + side(0.8, 1.7)) - 0.5 * ln(TAU * 0.25)
}

/// log of the largest exp(log_well)/Z / proposal, 2.5912 at u = 1.762, rounded up.
const LOG_BOUND: f64 = 0.955_511_445_027_436_2;

/// One exact sample of the double well by rejection, starting from the normal variate `normal`.
fn draw_well(rng: &mut Stream, mut normal: f64) -> f64 {
    loop {
        let centre = if uniform(rng) < 0.8 { 1.7 } else { -1.7 };
        let u = centre + 0.5 * normal;
        if uniform(rng) < exp(log_well(u) - LOG_WELL - LOG_BOUND - log_proposal(u)) {
            return u;
        }
        let mut fresh = [0.0];
        fill_normal(rng, &mut fresh);
        normal = fresh[0];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the rejection bound 2.6 holds. On a grid of step 1e-4 over [-2.5, 2.5] the ratio stays below 2.5913; the slope of
    /// its logarithm is at most 33 + 17 there, so between grid points it exceeds its neighbour by a factor below e^0.0025. Outside,
    /// the quartic falls faster than the Gaussians, from a ratio below 0.01 (second assertion).
    #[test]
    fn proposal_dominates() {
        let ratio = |u: f64| (log_well(u) - LOG_WELL - log_proposal(u)).exp();
        let largest = (-25_000..=25_000).map(|i| ratio(f64::from(i) * 1e-4)).fold(0.0, f64::max);
        assert!(largest * 0.0025f64.exp() < LOG_BOUND.exp(), "{largest}");
        assert!(ratio(2.5) < 0.01 && ratio(-2.5) < 0.01);
    }

    /// Checks log Z(32) against the published 164.695675 (half a printed digit).
    #[test]
    fn published_normaliser() {
        let log_z = Pointwise::log_normaliser(&ManyWell::new(32).unwrap()).unwrap();
        assert!((log_z - 164.695675).abs() < 0.6e-6, "{log_z}");
    }
}
