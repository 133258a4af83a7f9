use super::Divergence;
use super::elementary::{sigmoid, softplus, times_u};
use crate::num::{exp_m1, tanh};
use std::f64::consts::LN_2;

/// Le Cam (triangular discrimination), `D_f(p‖q) = ∫ (p-q)²/(p+q)`, symmetric, at most 2: f(u) = (u-1)²/(u+1), w = 8 r²/(1+r)³.
#[derive(Debug, Clone, Copy)]
pub struct LeCam;

impl Divergence for LeCam {
    fn name(&self) -> &str {
        "le-cam"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = ∫ (p-q)²/(p+q) = D_f(q‖p), f(u) = (u-1)²/(u+1)".into()
    }
    fn weight_formula(&self) -> String {
        "8 r²/(1+r)³".into()
    }
    fn elasticity_formula(&self) -> String {
        "(2-r)/(1+r)".into()
    }
    fn f(&self, l: f64) -> f64 {
        exp_m1(l) * tanh(0.5 * l) // (u-1)/(u+1) = tanh(l/2)
    }
    fn u_df(&self, l: f64) -> f64 {
        times_u(l, tanh(0.5 * l) * (1.0 + 2.0 * sigmoid(-l)))
    }
    fn first_variation(&self, l: f64) -> f64 {
        -tanh(0.5 * l) * (1.0 + 2.0 * sigmoid(l))
    }
    fn log_weight(&self, l: f64) -> f64 {
        3.0 * LN_2 - 2.0 * softplus(-l) - softplus(l)
    }
    fn elasticity(&self, l: f64) -> f64 {
        3.0 * sigmoid(mutant!("le-cam-elasticity", l, -l)) - 1.0
    }
}
