use super::Divergence;
use crate::num::{Chebyshev, GaussLegendre, exp, exp_m1};
use crate::{Error, Result};
use std::sync::OnceLock;

type Function = Box<dyn Fn(f64) -> f64 + Send + Sync>;

/// A divergence of the user's own, from its weight or from `f''` alone.
///
/// f is recovered by Taylor's formula, f(eˡ) = ∫₀ˡ w(eˢ)(eˡ⁻ˢ - 1) ds, and u f' = ∫₀ˡ w(eˢ) eˡ⁻ˢ ds, φ = -∫₀ˡ w(eˢ) ds: the
/// member with f(1) = f'(1) = 0 (a term c (u - 1) changes no D_f). Integrands of one sign, so no cancellation; 16-point
/// Gauss–Legendre on panels of length ≤ 1 in l, at rounding level where log w is smooth on that scale.
/// For |l| up to 60 they are interpolated from tables of f/l², u f'/l and φ/l, which have no zero; beyond they cost 16 evaluations a unit
/// of |l|. Training uses `log_weight` alone.
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
    /// Made when f, u f' or φ is first asked for.
    tables: OnceLock<Tables>,
    ends: Option<(f64, f64)>,
    /// Panels of integrals and tables in each unit of l.
    panels: f64,
}

/// f/l², u f'/l and -φ/l for |l| ≤ REACH, and (u f', -φ) at its ends.
struct Tables {
    quotients: [Chebyshev; 3],
    ends: [(f64, f64); 2],
}

/// Largest |l| of the tables.
const REACH: f64 = 60.0;

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
        let log_weight = Box::new(log_weight);
        Ok(Self {
            name: name.into(),
            formula: formula.into(),
            log_weight,
            rule,
            tables: OnceLock::new(),
            ends: None,
            panels: 1.0,
        })
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

    /// The exponents of w where r → 0 and r → ∞ (T7), where they are known.
    pub fn ends(&self) -> Option<(f64, f64)> {
        self.ends
    }

    pub(super) fn with_ends(self, low: f64, high: f64) -> Self {
        Self { ends: Some((low, high)), ..self }
    }

    pub(super) fn with_panels(self, panels: usize) -> Self {
        Self { panels: panels as f64, ..self }
    }

    /// ∫ₐᵇ g(log w(eˢ), s) ds.
    fn integral(&self, a: f64, b: f64, g: impl Fn(f64, f64) -> f64) -> f64 {
        let panels = (self.panels * (b - a).abs()).ceil().max(1.0) as usize;
        self.rule.integrate(a, b, panels, |s| g((self.log_weight)(s), s))
    }

    /// u f' = ∫₀ᵇ w eᵇ⁻ˢ ds and -φ = ∫₀ᵇ w ds, from those at a.
    fn continued(&self, (u_df, area): (f64, f64), a: f64, b: f64) -> (f64, f64) {
        let more = self.integral(a, b, |log_w, s| exp(log_w + b - s));
        (u_df * exp(b - a) + more, area + self.integral(a, b, |log_w, _| exp(log_w)))
    }

    /// The same from one end of the tables on, where w = w_a (u/u_a)^e.
    fn on_a_power(&self, (u_df, area): (f64, f64), a: f64, b: f64, e: f64) -> (f64, f64) {
        let (w, x) = (exp((self.log_weight)(a)), b - a);
        // ∫₀ˣ eᵏˢ eᵐ⁽ˣ⁻ˢ⁾ ds = (eᵏˣ - eᵐˣ)/(k - m), without the cancellation near k = m
        let integral = |k: f64, m: f64| match (k - m) * x {
            0.0 => x * exp(m * x),
            gap if gap > 0.0 => -exp(k * x) * exp_m1(-gap) / (k - m),
            gap => exp(m * x) * exp_m1(gap) / (k - m),
        };
        (exp(x) * u_df + w * integral(e, 1.0), area + w * integral(e, 0.0))
    }

    fn tables(&self) -> &Tables {
        self.tables.get_or_init(|| {
            let reach = REACH * self.panels;
            let nodes = Chebyshev::nodes(-reach, 2 * reach as usize);
            // at whole numbers, outwards from 0
            let whole = [1.0, -1.0].map(|sign| {
                let mut all = vec![(0.0, 0.0)];
                for k in 0..REACH as usize {
                    all.push(self.continued(all[k], sign * k as f64, sign * (k + 1) as f64));
                }
                all
            });
            let value = |l: f64| {
                let k = l.trunc();
                let (u_df, area) = self.continued(whole[usize::from(l < 0.0)][k.abs() as usize], k, l);
                // from |l| = 1 on the difference loses a bit at most
                let near = || self.integral(0.0, l, |log_w, s| times_expm1(log_w, l - s));
                (if k == 0.0 { near() } else { u_df - area }, u_df, area)
            };
            let all: Vec<_> = nodes.iter().map(|s| s / self.panels).map(|l| (l, value(l))).collect();
            let table = |part: fn(f64, (f64, f64, f64)) -> f64| {
                let values: Vec<f64> = all.iter().map(|(l, all)| part(*l, *all)).collect();
                Chebyshev::new(-reach, &values)
            };
            Tables {
                quotients: [
                    table(|l, (f, _, _)| f / (l * l)),
                    table(|l, (_, u_df, _)| u_df / l),
                    table(|l, (_, _, area)| area / l),
                ],
                ends: whole.map(|all| all[REACH as usize]),
            }
        })
    }

    /// u f' and -φ for |l| > REACH.
    fn beyond(&self, l: f64) -> (f64, f64) {
        let (side, a) = (usize::from(l < 0.0), REACH.copysign(l));
        let from = self.tables().ends[side];
        match self.ends {
            Some((low, high)) => self.on_a_power(from, a, l, if l < 0.0 { low } else { high }),
            None => self.continued(from, a, l),
        }
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
        if self.formula.starts_with("f(") { format!("r² f''(r), {}", self.formula) } else { self.formula.clone() }
    }
    fn elasticity_formula(&self) -> String {
        let differences = "d log w / d log r, by differences";
        // the slope over the last units is an exponent where log w is straight there
        let end = |slope: f64, l: f64| match (self.elasticity(l) - slope).abs() < 1e-6 {
            true => format!("{:.4}", (1e4 * slope).round() / 1e4 + 0.0),
            false => "no power of r".into(),
        };
        let ends = |(low, high)| {
            format!("{differences}; {} where r → 0 and {} where r → ∞ (T7)", end(low, -39.0), end(high, 39.0))
        };
        self.ends.map_or(differences.into(), ends)
    }
    fn f(&self, l: f64) -> f64 {
        if l.abs() > REACH {
            let (u_df, area) = self.beyond(l);
            return if u_df.is_infinite() { f64::INFINITY } else { u_df - area };
        }
        l * l * self.tables().quotients[0].at(self.panels * l)
    }
    fn u_df(&self, l: f64) -> f64 {
        if l.abs() > REACH { self.beyond(l).0 } else { l * self.tables().quotients[1].at(self.panels * l) }
    }
    fn first_variation(&self, l: f64) -> f64 {
        -if l.abs() > REACH { self.beyond(l).1 } else { l * self.tables().quotients[2].at(self.panels * l) }
    }
    fn log_weight(&self, l: f64) -> f64 {
        (self.log_weight)(l)
    }
    fn elasticity(&self, l: f64) -> f64 {
        // central difference of order 6; at h = 1/64 truncation h⁶/140 = 1e-13 times the 7th derivative
        let h = 1.0 / (64.0 * self.panels);
        let pair = |k: f64| self.log_weight(l + k * h) - self.log_weight(l - k * h);
        (45.0 * pair(1.0) - 9.0 * pair(2.0) + pair(3.0)) / (60.0 * h)
    }
}

/// w (eˣ - 1) from log w, overflowing only where the product does.
pub(super) fn times_expm1(log_w: f64, x: f64) -> f64 {
    if x > 0.0 { -exp(log_w + x) * exp_m1(-x) } else { exp(log_w) * exp_m1(x) }
}
