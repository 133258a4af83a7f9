//! Targets on the way to a target.

use crate::density::{Affine, Bridge, Density, Standardised, Tempered};
use crate::error::Result;
use crate::estimate::Clock;
use crate::num::powf;
use std::sync::Arc;

/// What an annealing can be called.
pub(crate) const ANNEALINGS: &[&str] = &["none", "temper", "bridge", "dilate"];

/// p_t, which is p from a fraction of the steps on:
///
/// - temper: p^β, β rising geometrically from the start to 1, score β ∇ log p(x);
/// - bridge: N(0, I)^(1-λ) p^λ, λ rising linearly, score λ ∇ log p(x) - (1 - λ) x;
/// - dilate: the law of λX, X ~ p, λ rising linearly, score ∇ log p(x/λ)/λ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Annealing {
    path: Path,
    start: f64,
    fraction: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Path {
    None,
    Temper,
    Bridge,
    Dilate,
}

impl Annealing {
    /// "temper", "bridge" or "dilate" from `start` on, over the first `fraction` of the steps, both in (0, 1]; p itself for another name, and
    /// for a start of 1.
    pub fn new(name: &str, start: f64, fraction: f64) -> Self {
        let path = match name {
            _ if start >= 1.0 => Path::None,
            "temper" => Path::Temper,
            "bridge" => Path::Bridge,
            "dilate" => Path::Dilate,
            _ => Path::None,
        };
        Self { path, start, fraction }
    }

    /// β or λ at a step; none for p itself.
    pub fn level(&self, clock: Clock) -> Option<f64> {
        let t = (clock.progress() / self.fraction).min(1.0);
        match self.path {
            Path::None => None,
            Path::Temper => Some(powf(self.start, 1.0 - t)),
            Path::Bridge | Path::Dilate => Some(self.start + (1.0 - self.start) * t),
        }
    }

    /// p_t of p = `density` at a step.
    pub fn at(&self, density: &Arc<dyn Density>, clock: Clock) -> Result<Arc<dyn Density>> {
        let Some(level) = self.level(clock).filter(|level| *level < 1.0) else { return Ok(Arc::clone(density)) };
        let inner = Arc::clone(density);
        Ok(match self.path {
            Path::None => inner,
            Path::Temper => Arc::new(Tempered::new(inner, level)?),
            Path::Bridge => Arc::new(Bridge::new(inner, level)?),
            Path::Dilate => {
                let origin = vec![0.0; density.dim()];
                Arc::new(Standardised::new(
                    inner,
                    Affine::new(origin, mutant!("dilation-jacobian", 1.0, 1.0 / level))?,
                )?)
            }
        })
    }
}
