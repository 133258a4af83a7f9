use super::Divergence;
use super::elementary::{sigmoid, softplus, times_u};
use crate::num::exp_m1;

/// Jeffreys, `D_f(p‖q) = KL(p‖q) + KL(q‖p)`: f(u) = (u-1) log u, w = 1 + r.
#[derive(Debug, Clone, Copy)]
pub struct Jeffreys;

impl Divergence for Jeffreys {
    fn name(&self) -> &str {
        "jeffreys"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = KL(p‖q) + KL(q‖p) = D_f(q‖p), f(u) = (u-1) log u".into()
    }
    fn weight_formula(&self) -> String {
        "1 + r".into()
    }
    fn elasticity_formula(&self) -> String {
        "r/(1+r)".into()
    }
    fn f(&self, l: f64) -> f64 {
        l * exp_m1(l)
    }
    fn u_df(&self, l: f64) -> f64 {
        times_u(l, l) + exp_m1(l)
    }
    fn first_variation(&self, l: f64) -> f64 {
        mutant!("jeffreys-variation", l - exp_m1(l), -l - exp_m1(l))
    }
    fn log_weight(&self, l: f64) -> f64 {
        softplus(l)
    }
    fn elasticity(&self, l: f64) -> f64 {
        sigmoid(l)
    }
}
