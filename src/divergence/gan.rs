use super::elementary::{log_mean_exp, sigmoid, softplus, times_u};
use super::{Divergence, JensenShannon};
use crate::num::{exp, exp_m1, ln_1p};
use std::f64::consts::LN_2;

/// The divergence of the original GAN, `D_f(p‖q) = KL(p‖m) + KL(q‖m) = 2 JS` with m = (p+q)/2:
/// f(u) = u log u - (u+1) log(u+1) + 2 log 2, w = r/(1+r).
///
/// Its f is 2 JS's minus (u-1) log 2, which makes it bounded below by the tail at u = 0 and not symmetric, though D_f is.
#[derive(Debug, Clone, Copy)]
pub struct Gan;

impl Divergence for Gan {
    fn name(&self) -> &str {
        "gan"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = KL(p‖m) + KL(q‖m) = 2 JS(p,q), m = (p+q)/2, f(u) = u log u - (u+1) log(u+1) + 2 log 2".into()
    }
    fn weight_formula(&self) -> String {
        "r/(1+r)".into()
    }
    fn elasticity_formula(&self) -> String {
        "1/(1+r)".into()
    }
    fn f(&self, l: f64) -> f64 {
        if l.abs() < 1.0 { 2.0 * JensenShannon.f(l) - LN_2 * exp_m1(l) } else { self.u_df(l) + self.first_variation(l) }
    }
    fn u_df(&self, l: f64) -> f64 {
        let v = exp(-l);
        // -u log(1 + 1/u); for u so large that 1/u is 0, its limit
        if v == 0.0 {
            -1.0
        } else if l > 0.0 {
            -ln_1p(v) / v
        } else {
            -times_u(l, softplus(-l))
        }
    }
    fn first_variation(&self, l: f64) -> f64 {
        LN_2 - log_mean_exp(l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        mutant!("gan-weight", -softplus(l), -softplus(-l))
    }
    fn elasticity(&self, l: f64) -> f64 {
        sigmoid(-l)
    }
}
