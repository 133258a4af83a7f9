use super::Divergence;

/// Reverse KL, `D_f(p‖q) = KL(q‖p) = E_q[log q/p]`: f(u) = -log u, w = 1. Mode-seeking; the drift is the plain score difference.
#[derive(Debug, Clone, Copy)]
pub struct ReverseKl;

impl Divergence for ReverseKl {
    fn name(&self) -> &str {
        "reverse-kl"
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = KL(q‖p), f(u) = -log u".into()
    }
    fn weight_formula(&self) -> String {
        "1".into()
    }
    fn elasticity_formula(&self) -> String {
        "0".into()
    }
    fn f(&self, l: f64) -> f64 {
        -l
    }
    fn u_df(&self, _l: f64) -> f64 {
        -1.0
    }
    fn first_variation(&self, l: f64) -> f64 {
        1.0 - l
    }
    fn log_weight(&self, _l: f64) -> f64 {
        0.0
    }
    fn elasticity(&self, _l: f64) -> f64 {
        0.0
    }
}
