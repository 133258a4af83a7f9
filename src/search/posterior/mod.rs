//! Draws of x_0 given x_t = a x_0 + s ξ, and what they say of the score of the noised density.

mod chains;
mod draw;
mod gate;

pub(crate) use chains::BEST_ACCEPTANCE;
pub use chains::PosteriorChains;
pub use draw::{Annealing, Importance, ais, exact, importance};
pub use gate::{Gate, Posterior};

use crate::{Error, Result};

/// The noise of x_t = a x_0 + s ξ, ξ ~ N(0, I).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Factor of x_0, positive.
    pub a: f64,
    /// Deviation of the noise, positive.
    pub s: f64,
}

impl Level {
    /// `Error::Parameter` unless both are positive and finite.
    pub fn new(a: f64, s: f64) -> Result<Self> {
        for (name, value) in [("a", a), ("s", s)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Parameter { name: name.into(), value, expected: "a positive finite number" });
            }
        }
        Ok(Self { a, s })
    }

    /// s = √(1 - a²), a in (0, 1): the variance of a unit law stays.
    pub fn preserving(a: f64) -> Result<Self> {
        Self::new(a, (1.0 - a * a).max(0.0).sqrt())
    }

    /// s/a, the deviation of x_t/a about x_0.
    pub fn bandwidth(&self) -> f64 {
        self.s / self.a
    }
}
