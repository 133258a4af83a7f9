//! Neal's funnel: one coordinate sets the scale of all the others.

use crate::density::Pointwise;
use crate::num::{exp, ln};
use crate::rng::{Stream, fill_normal};
use crate::{Error, Result};
use std::f64::consts::TAU;

/// Standard deviation of x₀.
const SPREAD: f64 = 3.0;

/// x₀ ~ N(0, 9), x_i | x₀ ~ N(0, e^x₀) for 0 < i < d; normalised, log Z = 0.
///
/// Source: Neal, "Slice sampling" (Annals of Statistics 31, 2003), section 8, with d = 10; the same constants in "Beyond ELBOs"
/// (Blessing et al., ICML 2024), which clips its reference samples to [-30, 30]; here nothing is clipped.
#[derive(Debug, Clone, Copy)]
pub struct Funnel {
    dim: usize,
}

impl Funnel {
    /// The funnel in d = `dim` ≥ 2 dimensions; `Error::Parameter` below.
    pub fn new(dim: usize) -> Result<Self> {
        if dim < 2 {
            let name = "dimension of funnel".into();
            return Err(Error::Parameter { name, value: dim as f64, expected: "an integer, at least 2" });
        }
        Ok(Self { dim })
    }
}

impl Pointwise for Funnel {
    const HAS_SAMPLER: bool = true;

    fn dim(&self) -> usize {
        self.dim
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let others = (self.dim - 1) as f64;
        // 1/σ of the others; finite, so that x_i = 0 stays 0
        let inverse = exp(-0.5 * x[0]).min(f64::MAX);
        let mut squares = 0.0;
        for (s, &xi) in score.iter_mut().zip(x).skip(1) {
            let z = xi * inverse;
            squares += z * z;
            *s = -z * inverse;
        }
        let u = x[0] / SPREAD;
        score[0] = -u / SPREAD - 0.5 * mutant!("funnel-determinant", 0.0, others) + 0.5 * squares;
        -0.5 * (u * u + squares + others * x[0] + self.dim as f64 * ln(TAU)) - ln(SPREAD)
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(0.0)
    }

    fn draw(&self, rng: &mut Stream, x: &mut [f64]) {
        fill_normal(rng, x);
        x[0] *= SPREAD;
        let scale = exp(0.5 * x[0]);
        x[1..].iter_mut().for_each(|v| *v *= scale);
    }
}
