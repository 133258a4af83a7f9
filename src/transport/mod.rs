//! Entropic optimal transport between weighted points: plans, the debiased divergence S_ε and its gradient.
//!
//! For laws a = Σ a_i δ(x_i) and b = Σ b_j δ(y_j) and a cost c,
//!
//! OT_ε(a, b) = min_P Σ P_ij c(x_i, y_j) + ε KL(P‖a⊗b)   over plans P with marginals a and b
//!            = max_{f,g} Σ a_i f_i + Σ b_j g_j - ε Σ a_i b_j (exp((f_i + g_j - c_ij)/ε) - 1),
//!
//! P_ij = a_i b_j exp((f_i + g_j - c_ij)/ε), and S_ε(a, b) = OT_ε(a, b) - ½ OT_ε(a, a) - ½ OT_ε(b, b), which is 0 for a = b and at least 0
//! (Feydy et al., AISTATS 2019).
//!
//! With relaxed marginals of strength ρ masses may differ, and what is far away is given up at a cost (Chizat et al., 2018; Séjourné et al.,
//! 2019):
//!
//! OT_ε,ρ(a, b) = min_P Σ P_ij c(x_i, y_j) + ε KL(P‖a⊗b) + ρ KL(P1‖a) + ρ KL(Pᵀ1‖b)   over P ≥ 0, KL(p‖q) = Σ p log(p/q) - p + q,
//!
//! whose dual has Σ a_i ρ (1 - exp(-f_i/ρ)) in place of Σ a_i f_i, and S_ε,ρ has + ½ ε (Σ a - Σ b)² behind it.
//!
//! No n×m matrix is kept: each sweep computes the costs again, so memory is O((n + m) d). Sums run in an order that does not depend on the
//! number of threads. With [`Sinkhorn::truncate`] blocks of pairs in which the plan has next to no mass are not read, and the bound of what
//! this changes is known ([`Divergence::error_bound`]).
//!
//! ```
//! use pushforward::linalg::Matrix;
//! use pushforward::transport::{Cloud, Sinkhorn, divergence};
//!
//! let a: Cloud<f64> = Cloud::new(&Matrix::from_rows(&[[0.0], [1.0]]), None)?;
//! let b: Cloud<f64> = Cloud::new(&Matrix::from_rows(&[[3.0], [4.0]]), None)?;
//! // a translation by 3 costs ½ · 3² whatever ε is
//! let s = divergence(&a, &b, &Sinkhorn::new(0.5))?;
//! assert!((s.value - 4.5).abs() < 1e-12);
//! # Ok::<(), pushforward::Error>(())
//! ```

mod anderson;
mod ascent;
mod blocks;
mod cloud;
mod coupling;
mod divergence;
mod newton;
mod relaxation;
mod solve;
mod sweep;
mod truncated;

pub use cloud::Cloud;
pub use coupling::Coupling;
pub use divergence::{Divergence, divergence};
pub use solve::{couple, couple_with_itself};

use crate::error::{Error, Result};

/// The cost c(x, y).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cost {
    /// ½ |x - y|².
    #[default]
    HalfSquare,
    /// |x - y|.
    Distance,
}

impl Cost {
    /// c at |x - y|².
    pub fn at_square(self, square: f64) -> f64 {
        match self {
            Cost::HalfSquare => 0.5 * square,
            Cost::Distance => square.sqrt(),
        }
    }
}

/// How a plan is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sinkhorn {
    /// ε > 0, in units of the cost.
    pub epsilon: f64,
    /// c.
    pub cost: Cost,
    /// Where iterations stop: the larger of Σ_i |Σ_j P_ij - a_i| and Σ_j |Σ_i P_ij - b_j|, both at most 2. In f32 not less than 400 times
    /// its rounding unit.
    pub tolerance: f64,
    /// Where they stop at the latest; each reads all pairs twice. [`Coupling::marginal_error`] says what was reached.
    pub max_iterations: usize,
    /// ρ > 0 of relaxed marginals, in units of the cost; None where the marginals of a plan are a and b.
    pub relax: Option<f64>,
    /// The largest mass of a plan in pairs that may be left out, for many points in few dimensions: the plan is found from coarse to fine, and
    /// blocks of pairs without mass are not read. None reads all pairs.
    pub truncate: Option<f64>,
}

impl Sinkhorn {
    /// Cost ½ |x - y|², tolerance 1e-10, at most 10,000 iterations, exact marginals, all pairs.
    pub fn new(epsilon: f64) -> Self {
        let (tolerance, max_iterations) = (1e-10, 10_000);
        Self { epsilon, cost: Cost::HalfSquare, tolerance, max_iterations, relax: None, truncate: None }
    }

    /// `Error::Parameter` where a number is out of its range.
    pub fn check(&self) -> Result<()> {
        let optional = [("relax", self.relax), ("truncate", self.truncate)].map(|(name, v)| (name, v.unwrap_or(1.0)));
        for (name, value) in [("epsilon", self.epsilon), ("tolerance", self.tolerance)].into_iter().chain(optional) {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::Parameter { name: name.into(), value, expected: "a positive number" });
            }
        }
        Ok(())
    }
}
