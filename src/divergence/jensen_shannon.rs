use super::Divergence;
use super::elementary::{log_mean_exp, sigmoid, softplus, times_u};
use crate::num::{exp, ln_1p, sinh, tanh};
use std::f64::consts::LN_2;

/// Jensen–Shannon, `D_f(p‖q) = ½ KL(p‖m) + ½ KL(q‖m)` with m = (p+q)/2, symmetric, at most log 2: w = r/(2(1+r)).
#[derive(Debug, Clone, Copy)]
pub struct JensenShannon;

/// log 2 - H(σ(l)), the deficit of the entropy of a coin of odds eˡ below a fair one; even, l²/8 near 0.
fn entropy_deficit(l: f64) -> f64 {
    let h = 0.5 * l.abs();
    if h < 0.5 {
        // h tanh h - log cosh h, with cosh h = 1 + 2 sinh²(h/2)
        h * tanh(h) - ln_1p(2.0 * sinh(0.5 * h).powi(2))
    } else {
        let e = exp(-2.0 * h);
        LN_2 - ln_1p(e) - 2.0 * h * e / (1.0 + e)
    }
}

impl Divergence for JensenShannon {
    fn name(&self) -> &str {
        "jensen-shannon"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = ½KL(p‖m) + ½KL(q‖m) = D_f(q‖p), m = (p+q)/2, f(u) = ½[u log u - (1+u) log((1+u)/2)]".into()
    }
    fn weight_formula(&self) -> String {
        "r/(2(1+r))".into()
    }
    fn elasticity_formula(&self) -> String {
        "1/(1+r)".into()
    }
    fn f(&self, l: f64) -> f64 {
        0.5 * (mutant!("jensen-shannon-f", 0.0, 1.0) + exp(l)) * entropy_deficit(l)
    }
    fn u_df(&self, l: f64) -> f64 {
        times_u(l, -0.5 * log_mean_exp(-l))
    }
    fn first_variation(&self, l: f64) -> f64 {
        -0.5 * log_mean_exp(l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        -softplus(-l) - LN_2
    }
    fn elasticity(&self, l: f64) -> f64 {
        sigmoid(-l)
    }
}
