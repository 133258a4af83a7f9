//! g₀(f) = cosh f - 1: the velocity is arsinh s, the plain gradient where that is short, and its logarithm where it is long.

use super::Shape;
use super::cosh::arsinh;
use crate::autodiff::Var;
use crate::num::{cosh, sinh};

#[derive(Debug, Clone, Copy)]
pub(super) struct Asinh;

impl Shape for Asinh {
    fn name(&self) -> &'static str {
        "asinh"
    }
    fn cost(&self, f: f64) -> f64 {
        // without cancellation near 0
        2.0 * sinh(0.5 * f).powi(2)
    }
    fn gradient(&self, f: f64) -> f64 {
        sinh(f)
    }
    fn curvature(&self, f: f64) -> f64 {
        cosh(f)
    }
    fn velocity(&self, s: f64) -> f64 {
        arsinh(s)
    }
    fn on_tape<'t>(&self, f: Var<'t>, _: Var<'t>) -> Var<'t> {
        (f.exp() + (-f).exp()) * 0.5 - 1.0
    }
}
