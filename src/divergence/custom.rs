use super::Divergence;
use crate::num::GaussLegendre;
use crate::{Error, Result};

type Function = Box<dyn Fn(f64) -> f64 + Send + Sync>;

/// A divergence of the user's own, from its weight or from `f''` alone.
///
/// f is recovered by Taylor's formula, f(eˡ) = ∫₀ˡ w(eˢ)(eˡ⁻ˢ - 1) ds, and u f' = ∫₀ˡ w(eˢ) eˡ⁻ˢ ds, φ = -∫₀ˡ w(eˢ) ds: the
/// member with f(1) = f'(1) = 0 (a term c (u - 1) changes no D_f). Integrands of one sign, so no cancellation; 16-point
/// Gauss–Legendre on panels of length ≤ 1 in l, at rounding level where log w is smooth on that scale.
/// The cost of f, u f', φ is 16 evaluations a unit of |l|; training uses `log_weight` alone.
///
/// ```
/// use pushforward::divergence::{Custom, Divergence, check};
///
/// // w = r/(1 + r)², largest where p = q: the repair weight of T13 at level 0
/// let mid = Custom::from_log_weight("mid", "w = r/(1+r)^2", |l| {
///     -l.abs() - 2.0 * (-l.abs()).exp().ln_1p()
/// })?;
/// assert!(check(&mid).passed());
/// assert_eq!(mid.f(0.0), 0.0);
/// # Ok::<(), pushforward::Error>(())
/// ```
pub struct Custom {
    name: String,
    formula: String,
    log_weight: Function,
    rule: GaussLegendre,
}

impl Custom {
    /// From `l ↦ log w(eˡ)`, w > 0. `formula` is shown to people.
    ///
    /// Error: log w not finite at one of the integers l in [-30, 30].
    pub fn from_log_weight(
        name: impl Into<String>,
        formula: impl Into<String>,
        log_weight: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Result<Self> {
        for l in (-30..=30).map(f64::from) {
            let value = log_weight(l);
            if !value.is_finite() {
                return Err(Error::NonFinite {
                    what: "log w, as a function of l = log r,".into(),
                    value,
                    point: vec![l],
                });
            }
        }
        let rule = GaussLegendre::new(16);
        Ok(Self { name: name.into(), formula: formula.into(), log_weight: Box::new(log_weight), rule })
    }

    /// From `l ↦ log f''(eˡ)`: log w = 2l + log f''. (The logarithm, because f'' itself overflows long before w does.)
    ///
    /// Error: as for [`Custom::from_log_weight`].
    pub fn from_log_second_derivative(
        name: impl Into<String>,
        formula: impl Into<String>,
        log_ddf: impl Fn(f64) -> f64 + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::from_log_weight(name, formula, move |l| 2.0 * l + log_ddf(l))
    }

    /// ∫₀ˡ g(log w(eˢ), s) ds.
    fn integral(&self, l: f64, g: impl Fn(f64, f64) -> f64) -> f64 {
        let panels = l.abs().ceil().max(1.0) as usize;
        self.rule.integrate(0.0, l, panels, |s| g((self.log_weight)(s), s))
    }
}

impl Divergence for Custom {
    fn name(&self) -> &str {
        &self.name
    }
    fn formula(&self) -> String {
        format!("D_f(p‖q) with f(1) = f'(1) = 0 and {}", self.formula)
    }
    fn weight_formula(&self) -> String {
        self.formula.clone()
    }
    fn elasticity_formula(&self) -> String {
        "d log w / d log r, by differences".into()
    }
    fn f(&self, l: f64) -> f64 {
        self.integral(l, |log_w, s| times_expm1(log_w, l - s))
    }
    fn u_df(&self, l: f64) -> f64 {
        self.integral(l, |log_w, s| (log_w + l - s).exp())
    }
    fn first_variation(&self, l: f64) -> f64 {
        -self.integral(l, |log_w, _| log_w.exp())
    }
    fn log_weight(&self, l: f64) -> f64 {
        (self.log_weight)(l)
    }
    fn elasticity(&self, l: f64) -> f64 {
        // central difference of order 6; at h = 1/64 truncation h⁶/140 = 1e-13 times the 7th derivative
        let h = 1.0 / 64.0;
        let pair = |k: f64| self.log_weight(l + k * h) - self.log_weight(l - k * h);
        (45.0 * pair(1.0) - 9.0 * pair(2.0) + pair(3.0)) / (60.0 * h)
    }
}

/// w (eˣ - 1) from log w, overflowing only where the product does.
pub(super) fn times_expm1(log_w: f64, x: f64) -> f64 {
    if x > 0.0 { -(log_w + x).exp() * (-x).exp_m1() } else { log_w.exp() * x.exp_m1() }
}
