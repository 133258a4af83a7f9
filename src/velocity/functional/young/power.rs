//! g₀(f) = |f|^p/p, with conjugate |s|^q/q.

use super::Shape;
use crate::autodiff::Var;
use crate::num::powf;

#[derive(Debug, Clone, Copy)]
pub(super) struct Power {
    /// p > 1.
    pub p: f64,
}

impl Shape for Power {
    fn name(&self) -> &'static str {
        "power"
    }
    fn cost(&self, f: f64) -> f64 {
        powf(f.abs(), self.p) / self.p
    }
    fn gradient(&self, f: f64) -> f64 {
        powf(f.abs(), self.p - 1.0).copysign(f)
    }
    fn curvature(&self, f: f64) -> f64 {
        (self.p - 1.0) * self.gradient(f) / f
    }
    fn velocity(&self, s: f64) -> f64 {
        let q = self.p / (self.p - 1.0);
        powf(s.abs(), q - mutant!("young-exponent", 0.0, 1.0)).copysign(s)
    }
    fn on_tape<'t>(&self, f: Var<'t>, floor: Var<'t>) -> Var<'t> {
        (f.square() + floor).powf(0.5 * self.p) * (1.0 / self.p)
    }
    fn exponent(&self) -> Option<f64> {
        Some(self.p)
    }
}
