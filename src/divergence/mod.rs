//! f-divergences `D_f(p‖q) = ∫ q f(p/q)`: one small file each, everything as a function of `l = log(p/q)`.
//!
//! The Wasserstein gradient flow of `q ↦ D_f(p‖q)` has velocity `w(r) ∇ log(p/q)` with `w(r) = r² f''(r)` (T1); a divergence
//! enters training through `w` alone.

/// An f-divergence `D_f(p‖q) = ∫ q f(u)`, u = p/q, f convex, f(1) = 0, in terms of `l = log u`.
///
/// Every method takes `l`, so that nothing overflows before the returned quantity itself does.
pub trait Divergence: Send + Sync {
    /// The registry's name, such as "reverse-kl".
    fn name(&self) -> &str;

    /// The formula of f and the argument order in plain characters, such as "KL(q‖p), f(u) = -log u".
    fn formula(&self) -> String;

    /// f(eˡ).
    fn f(&self, l: f64) -> f64;

    /// u f'(u) at u = eˡ. (f' alone would over- or underflow first; `f(u) - u f'(u)` is the first variation of D_f in q.)
    fn u_df(&self, l: f64) -> f64;

    /// log w(eˡ), with w(u) = u² f''(u) > 0.
    fn log_weight(&self, l: f64) -> f64;

    /// e(u) = d log w / d log u at u = eˡ.
    fn elasticity(&self, l: f64) -> f64;

    /// w(eˡ) = u² f''(u).
    fn weight(&self, l: f64) -> f64 {
        self.log_weight(l).exp()
    }

    /// φ = δD_f/δq = f(u) - u f'(u) at u = eˡ (T15: the growth rate of the reaction is -(φ - E_q φ)).
    fn first_variation(&self, l: f64) -> f64 {
        self.f(l) - self.u_df(l)
    }
}
