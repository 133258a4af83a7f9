//! f-divergences `D_f(p‖q) = ∫ q f(p/q)`: one small file each, everything as a function of `l = log(p/q)`.
//!
//! The Wasserstein gradient flow of `q ↦ D_f(p‖q)` has velocity `w(r) ∇ log(p/q)` with `w(r) = r² f''(r)` (T1); a divergence
//! enters training through `w` alone.
//!
//! Integrating `dφ/dl = -w`, `d(u f')/dl = u f' + w` and `df/dl = u f'` from `l = 0` gives, with `c = f'(1)`,
//! ```text
//! φ(l)    = -c - ∫₀ˡ w(eˢ) ds
//! u f'(u) =  c u + ∫₀ˡ w(eˢ) eˡ⁻ˢ ds
//! f(u)    =  c (u - 1) + ∫₀ˡ w(eˢ) (eˡ⁻ˢ - 1) ds
//! ```
//! (the last is Taylor's formula of order 2). So `w` fixes `f` up to `c (u - 1)`, which integrates to nothing against q.
//! [`Custom`] is built on these integrals, and [`check()`] tests every divergence against them.
//!
//! Total variation is not here: `|u - 1|/2` has no second derivative at 1 and a vanishing one elsewhere, hence no weight.

mod alpha;
mod check;
mod custom;
mod elementary;
mod expression;
mod formula;
mod forward_kl;
mod gan;
mod hellinger;
mod jeffreys;
mod jensen_shannon;
mod le_cam;
mod lv_surrogate;
mod neyman;
mod pearson;
mod registry;
mod reverse_kl;

use crate::num::exp;
pub use alpha::Alpha;
pub use check::{LawReport, Violation, check};
pub use custom::Custom;
pub use formula::parse;
pub use forward_kl::ForwardKl;
pub use gan::Gan;
pub use hellinger::Hellinger;
pub use jeffreys::Jeffreys;
pub use jensen_shannon::JensenShannon;
pub use le_cam::LeCam;
pub use lv_surrogate::LvSurrogate;
pub use neyman::Neyman;
pub use pearson::Pearson;
pub use registry::{all_divergences, by_name};
pub use reverse_kl::ReverseKl;

use std::sync::Arc;

/// An f-divergence `D_f(p‖q) = ∫ q f(u)`, u = p/q, f convex, f(1) = 0, in terms of `l = log u`.
///
/// Every method takes `l`, so that nothing overflows before the returned quantity itself does, and keeps its relative
/// accuracy near `l = 0`, where f is of order l² or l. `l` is finite; `log_weight` also takes ±∞.
pub trait Divergence: Send + Sync {
    /// The registry's name, such as "reverse-kl".
    fn name(&self) -> &str;

    /// The divergence in both argument orders and its f, in plain characters: "D_f(p‖q) = KL(q‖p), f(u) = -log u".
    fn formula(&self) -> String;

    /// w(r) in plain characters, such as "r/(1+r)".
    fn weight_formula(&self) -> String;

    /// e(r) = d log w / d log r in plain characters, such as "1/(1+r)".
    fn elasticity_formula(&self) -> String;

    /// f(eˡ).
    fn f(&self, l: f64) -> f64;

    /// u f'(u) at u = eˡ. (f' alone would over- or underflow first.)
    fn u_df(&self, l: f64) -> f64;

    /// φ = δD_f/δq = f(u) - u f'(u) at u = eˡ, without the cancellation of that difference; dφ/dl = -w.
    /// (T15: the growth rate of the reaction is -(φ - E_q φ).)
    fn first_variation(&self, l: f64) -> f64;

    /// log w(eˡ), with w(u) = u² f''(u) > 0.
    fn log_weight(&self, l: f64) -> f64;

    /// e(u) = d log w / d log u at u = eˡ.
    fn elasticity(&self, l: f64) -> f64;

    /// The divergence that this one is where the mean of l over q is `mean_log_ratio`, for one that depends on it ([`LvSurrogate`]).
    fn centred(&self, _mean_log_ratio: f64) -> Option<Arc<dyn Divergence>> {
        None
    }

    /// w(eˡ) = u² f''(u).
    fn weight(&self, l: f64) -> f64 {
        exp(self.log_weight(l))
    }
}
