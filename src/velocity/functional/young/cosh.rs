//! g₀*(s) = cosh s - 1: the velocity is sinh s, faster far out than that of any power.

use super::Shape;
use crate::autodiff::Var;
use crate::num::{hypot, ln_1p, sinh};

/// g₀(f) = f arsinh f - √(1 + f²) + 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cosh;

/// arsinh f, without cancellation at either sign.
pub(super) fn arsinh(f: f64) -> f64 {
    let size = f.abs();
    ln_1p(size + size * size / (1.0 + hypot(size, 1.0))).copysign(f)
}

impl Shape for Cosh {
    fn name(&self) -> &'static str {
        "cosh"
    }
    fn cost(&self, f: f64) -> f64 {
        // √(1 + f²) - 1
        f * arsinh(f) - f * f / (1.0 + hypot(f, 1.0))
    }
    fn gradient(&self, f: f64) -> f64 {
        arsinh(f)
    }
    fn curvature(&self, f: f64) -> f64 {
        1.0 / hypot(f, 1.0)
    }
    fn velocity(&self, s: f64) -> f64 {
        mutant!("young-hyperbolic", s, sinh(s))
    }
    fn on_tape<'t>(&self, f: Var<'t>, _: Var<'t>) -> Var<'t> {
        let (size, root) = (f.abs(), (f.square() + 1.0).sqrt());
        size * (size + root).ln() - root + 1.0
    }
}
