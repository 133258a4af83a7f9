use super::Divergence;
use crate::num::{exp, exp_m1};
use std::f64::consts::LN_2;

/// Pearson chi², `D_f(p‖q) = χ²(p‖q) = E_q[(p/q - 1)²]`: f(u) = (u-1)², w = 2 r².
#[derive(Debug, Clone, Copy)]
pub struct Pearson;

impl Divergence for Pearson {
    fn name(&self) -> &str {
        "pearson"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = χ²(p‖q) = ∫ (p-q)²/q, f(u) = (u-1)²".into()
    }
    fn weight_formula(&self) -> String {
        "2 r²".into()
    }
    fn elasticity_formula(&self) -> String {
        "2".into()
    }
    fn f(&self, l: f64) -> f64 {
        exp_m1(l).powi(2)
    }
    fn u_df(&self, l: f64) -> f64 {
        mutant!("pearson-slope", 1.0, 2.0) * exp(l) * exp_m1(l)
    }
    fn first_variation(&self, l: f64) -> f64 {
        -exp_m1(2.0 * l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        LN_2 + 2.0 * l
    }
    fn elasticity(&self, _l: f64) -> f64 {
        2.0
    }
}
