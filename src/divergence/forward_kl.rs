use super::Divergence;
use super::elementary::times_u;
use crate::num::exp;

/// Forward KL, `D_f(p‖q) = KL(p‖q) = E_p[log p/q]`: f(u) = u log u, w = r. Mass-covering.
#[derive(Debug, Clone, Copy)]
pub struct ForwardKl;

impl Divergence for ForwardKl {
    fn name(&self) -> &str {
        "forward-kl"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = KL(p‖q), f(u) = u log u".into()
    }
    fn weight_formula(&self) -> String {
        "r".into()
    }
    fn elasticity_formula(&self) -> String {
        "1".into()
    }
    fn f(&self, l: f64) -> f64 {
        times_u(l, l)
    }
    fn u_df(&self, l: f64) -> f64 {
        times_u(l, l + 1.0)
    }
    fn first_variation(&self, l: f64) -> f64 {
        -exp(l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        mutant!("forward-kl-weight", 0.9 * l, l)
    }
    fn elasticity(&self, _l: f64) -> f64 {
        1.0
    }
}
