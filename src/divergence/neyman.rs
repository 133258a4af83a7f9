use super::Divergence;
use crate::num::{exp_m1, sinh};
use std::f64::consts::LN_2;

/// Neyman chi², `D_f(p‖q) = χ²(q‖p) = E_p[(q/p - 1)²]`: f(u) = (1-u)²/u, w = 2/r. Needs tails of q lighter than p's (T7).
#[derive(Debug, Clone, Copy)]
pub struct Neyman;

impl Divergence for Neyman {
    fn name(&self) -> &str {
        "neyman"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = χ²(q‖p) = ∫ (p-q)²/p, f(u) = (1-u)²/u".into()
    }
    fn weight_formula(&self) -> String {
        "2/r".into()
    }
    fn elasticity_formula(&self) -> String {
        "-1".into()
    }
    fn f(&self, l: f64) -> f64 {
        -exp_m1(l) * exp_m1(-l)
    }
    fn u_df(&self, l: f64) -> f64 {
        2.0 * sinh(l) // u - 1/u
    }
    fn first_variation(&self, l: f64) -> f64 {
        2.0 * exp_m1(-l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        mutant!("neyman-weight", LN_2 + l, LN_2 - l)
    }
    fn elasticity(&self, _l: f64) -> f64 {
        -1.0
    }
}
