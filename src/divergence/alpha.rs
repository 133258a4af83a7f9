use super::Divergence;
use super::elementary::{expm1_over, phi2};
use crate::num::{exp, exp_m1};

/// Alpha (Cressie–Read), f(u) = (u^α - αu - (1-α))/(α(α-1)), w = r^α; continuous in α, with f'(1) = 0.
///
/// α → 0 is reverse KL (f = u - 1 - log u), α → 1 forward KL (f = u log u - u + 1): the divergences of [`super::ReverseKl`]
/// and [`super::ForwardKl`], whose own f differ by c (u - 1). α = 2, ½, -1 are half Pearson's, four times Hellinger's and half
/// Neyman's. Swapping the arguments takes α to 1 - α. (Cressie and Read, 1984, with λ = -α.)
#[derive(Debug, Clone)]
pub struct Alpha {
    alpha: f64,
    name: String,
}

impl Alpha {
    /// The member with exponent `alpha` (any finite number); panics where it is not finite.
    pub fn new(alpha: f64) -> Self {
        assert!(alpha.is_finite(), "alpha divergence: alpha = {alpha} is not finite");
        Self { alpha, name: format!("alpha:{alpha}") }
    }

    /// α.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }
}

/// f for α ≤ ½ (β = 1 - α ≥ ½), where only the pole at α = 0 has to be removed.
fn f_lower(alpha: f64, l: f64) -> f64 {
    let (beta, whole) = (1.0 - alpha, exp_m1(l));
    if l.abs() < 2.0 {
        l * l * (phi2(l) - alpha * phi2(alpha * l)) / beta
    } else if whole == f64::INFINITY {
        whole // u dominates u^α
    } else {
        (whole - expm1_over(alpha, l)) / beta
    }
}

impl Divergence for Alpha {
    fn name(&self) -> &str {
        &self.name
    }
    fn formula(&self) -> String {
        "D_f(p‖q) = (∫ p^α q^(1-α) - 1)/(α(α-1)) = (1-α)-divergence of (q‖p), f(u) = (u^α - αu - (1-α))/(α(α-1))".into()
    }
    fn weight_formula(&self) -> String {
        "r^α".into()
    }
    fn elasticity_formula(&self) -> String {
        "α".into()
    }
    fn f(&self, l: f64) -> f64 {
        let (alpha, beta) = (self.alpha, 1.0 - self.alpha);
        if alpha <= 0.5 {
            f_lower(alpha, l)
        } else if l.abs() < 2.0 {
            exp(l) * f_lower(beta, -l) // f_α(u) = u f_β(1/u)
        } else if exp(l) == f64::INFINITY {
            f64::INFINITY // u log u and u^α, α > ½, grow faster than what is taken off them
        } else {
            (self.u_df(l) - exp_m1(l)) / alpha
        }
    }
    fn u_df(&self, l: f64) -> f64 {
        // (u^α - u)/(α - 1), with the larger of the two powers taken out
        let beta = 1.0 - self.alpha;
        if beta * l <= 0.0 { exp(self.alpha * l) * expm1_over(beta, l) } else { -exp(l) * expm1_over(beta, -l) }
    }
    fn first_variation(&self, l: f64) -> f64 {
        -expm1_over(self.alpha, l)
    }
    fn log_weight(&self, l: f64) -> f64 {
        if self.alpha == 0.0 { 0.0 } else { self.alpha * l }
    }
    fn elasticity(&self, _l: f64) -> f64 {
        mutant!("alpha-elasticity", 1.0 - self.alpha, self.alpha)
    }
}
