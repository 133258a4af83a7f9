use super::elementary::{sigmoid, softplus};
use super::{Custom, Divergence};
use crate::num::ln_1p;
use std::sync::Arc;

/// The log-variance surrogate of T8: w = 1 + log(1 + e^{l - c}), c the mean of l over q.
///
/// It keeps the growth of the drift of Var_p(log q - log p) where p exceeds q, without its sign change. c is 0 until
/// [`Divergence::centred`] sets it, batch by batch; at each c it is an f-divergence of its own, with f(1) = f'(1) = 0.
pub struct LvSurrogate {
    centre: f64,
    /// f, u f' and φ, by quadrature of the weight.
    integrals: Custom,
}

impl LvSurrogate {
    /// With the centre c; a number that is not finite counts as 0.
    pub fn new(centre: f64) -> Self {
        let centre = if centre.is_finite() { centre } else { 0.0 };
        let integrals = Custom::from_log_weight("lv-surrogate", FORMULA, move |l| ln_1p(softplus(l - centre)))
            .expect("log(1 + softplus) is finite for finite l");
        Self { centre, integrals }
    }
}

const FORMULA: &str = "1 + log(1 + exp(l - c)), c = E_q l";

impl Divergence for LvSurrogate {
    fn name(&self) -> &str {
        "lv-surrogate"
    }
    fn formula(&self) -> String {
        format!("D_f(p‖q) with w = {FORMULA} and f(1) = f'(1) = 0")
    }
    fn weight_formula(&self) -> String {
        FORMULA.into()
    }
    fn elasticity_formula(&self) -> String {
        "σ(l - c)/w".into()
    }
    fn f(&self, l: f64) -> f64 {
        self.integrals.f(l)
    }
    fn u_df(&self, l: f64) -> f64 {
        self.integrals.u_df(l)
    }
    fn first_variation(&self, l: f64) -> f64 {
        self.integrals.first_variation(l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        self.integrals.log_weight(l)
    }
    fn elasticity(&self, l: f64) -> f64 {
        sigmoid(mutant!("surrogate-centre", l, l - self.centre)) / (1.0 + softplus(l - self.centre))
    }
    fn centred(&self, mean_log_ratio: f64) -> Option<Arc<dyn Divergence>> {
        Some(Arc::new(Self::new(mean_log_ratio)))
    }
}
