use super::Divergence;
use crate::num::{exp, exp_m1};
use std::f64::consts::LN_2;

/// Squared Hellinger, `D_f(p‖q) = ∫ (√p - √q)²`, symmetric: f(u) = (√u-1)², w = √r/2.
#[derive(Debug, Clone, Copy)]
pub struct Hellinger;

impl Divergence for Hellinger {
    fn name(&self) -> &str {
        "hellinger"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = ∫ (√p - √q)² = D_f(q‖p), f(u) = (√u-1)²".into()
    }
    fn weight_formula(&self) -> String {
        "√r/2".into()
    }
    fn elasticity_formula(&self) -> String {
        "1/2".into()
    }
    fn f(&self, l: f64) -> f64 {
        exp_m1(0.5 * l).powi(2)
    }
    fn u_df(&self, l: f64) -> f64 {
        exp(0.5 * l) * exp_m1(0.5 * l)
    }
    fn first_variation(&self, l: f64) -> f64 {
        -exp_m1(0.5 * l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        0.5 * l - LN_2
    }
    fn elasticity(&self, _l: f64) -> f64 {
        mutant!("hellinger-elasticity", 1.0, 0.5)
    }
}
