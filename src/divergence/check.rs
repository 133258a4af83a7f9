//! The laws of a divergence as a function for the user's own.

use super::Divergence;
use super::custom::times_expm1;
use crate::num::{GaussLegendre, exp, exp_m1, fit_line, ln, ln_1p};
use std::fmt;

/// One law broken at one point.
#[derive(Debug, Clone)]
pub struct Violation {
    /// The law, as an equation.
    pub law: &'static str,
    /// l = log u.
    pub l: f64,
    /// What the divergence returned.
    pub found: f64,
    /// What the law requires.
    pub required: f64,
    /// The difference that rounding and quadrature allow.
    pub tolerance: f64,
}

/// What [`check()`] found.
#[derive(Debug, Clone)]
pub struct LawReport {
    /// The divergence's name.
    pub name: String,
    /// Smallest fitted order of the second difference of f against w/u², over the points; 2 in theory. None where the
    /// differences are exact to rounding at every point.
    pub order: Option<f64>,
    /// Everything that does not hold.
    pub violations: Vec<Violation>,
}

impl LawReport {
    /// Whether all laws hold.
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for LawReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = self.order.map_or("exact".into(), |s| format!("order {s:.2}"));
        writeln!(f, "{}: {} laws broken; second differences {order}", self.name, self.violations.len())?;
        self.violations.iter().try_for_each(|v| {
            writeln!(
                f,
                "  {} at l = {}: {:e}, should be {:e} within {:e}",
                v.law, v.l, v.found, v.required, v.tolerance
            )
        })
    }
}

/// |l| at which the integral laws are tested, with both signs.
const GRID: [f64; 14] = [1e-12, 1e-9, 1e-6, 1e-3, 0.1, 0.5, 0.999, 1.5, 2.0, 3.0, 10.0, 30.0, 100.0, 700.0];

/// Tests the four formulas of a divergence against each other, by two computations.
///
/// First, f, u f' and φ against the integrals of w in the [module's](super) heading, with relative tolerances at rounding
/// level, for |l| from 1e-12 to 700; the elasticity against differences of log w; f(1) = 0. Second, the second difference of f
/// in u against f'' = w/u², on a ladder of six steps whose fitted order has to be at least 1.5 (2 in theory).
pub fn check(divergence: &dyn Divergence) -> LawReport {
    let mut report = LawReport { name: divergence.name().into(), order: None, violations: Vec::new() };
    let mut test = |law, l, found: f64, required: f64, tolerance: f64| {
        // equal infinities count as equal; NaN fails, and so does an infinite tolerance, which an infinite f'(1) would bring
        let holds = found == required || (tolerance.is_finite() && (found - required).abs() <= tolerance);
        if !holds || found.is_nan() {
            report.violations.push(Violation { law, l, found, required, tolerance });
        }
    };
    test("f(1) = 0", 0.0, divergence.f(0.0), 0.0, 0.0);
    let rule = GaussLegendre::new(16);
    let slope_at_one = divergence.u_df(0.0);
    for l in GRID.into_iter().flat_map(|l| [-l, l]) {
        integral_laws(divergence, &rule, slope_at_one, l, &mut test);
        elasticity_law(divergence, l, &mut test);
    }
    let mut orders = Vec::new();
    for l in [-3.0, -1.0, 0.0, 1.0, 3.0] {
        if let Some(order) = second_difference(divergence, l) {
            orders.push(order);
            let found = if order >= 1.5 { 2.0 } else { order };
            test("w = u² f'', order of the second difference of f", l, found, 2.0, 0.0);
        }
    }
    report.order = orders.into_iter().reduce(f64::min);
    report
}

/// f, u f' and φ at l against c = f'(1) and the integrals of w.
fn integral_laws(
    d: &dyn Divergence,
    rule: &GaussLegendre,
    c: f64,
    l: f64,
    test: &mut impl FnMut(&'static str, f64, f64, f64, f64),
) {
    let panels = l.abs().ceil() as usize;
    let integral = |g: &dyn Fn(f64, f64) -> f64| rule.integrate(0.0, l, panels, |s| g(d.log_weight(s), l - s));
    // an exponential of argument x has relative error |x| ε; the rest is a few ulps of each of the two terms
    let relative = f64::EPSILON * (64.0 + 8.0 * (l.abs() + d.log_weight(l).abs()));
    let mut compare = |law, found: f64, affine: f64, integral: f64| {
        test(law, l, found, affine + integral, relative * (affine.abs() + integral.abs()));
    };
    compare("f = c(u-1) + ∫ w (e^(l-s) - 1) ds", d.f(l), c * exp_m1(l), integral(&times_expm1));
    compare("u f' = cu + ∫ w e^(l-s) ds", d.u_df(l), c * exp(l), integral(&|log_w, x| exp(log_w + x)));
    compare("f - u f' = -c - ∫ w ds", d.first_variation(l), -c, -integral(&|log_w, _| exp(log_w)));
}

/// The elasticity at l against the central difference of order 6 of log w.
fn elasticity_law(d: &dyn Divergence, l: f64, test: &mut impl FnMut(&'static str, f64, f64, f64, f64)) {
    let h = 1.0 / 64.0;
    let pair = |k: f64| d.log_weight(l + k * h) - d.log_weight(l - k * h);
    let difference = (45.0 * pair(1.0) - 9.0 * pair(2.0) + pair(3.0)) / (60.0 * h);
    // truncation h⁶/140 = 1e-13 times the 7th derivative, for which 1e4 is allowed; rounding 2ε |log w|/h
    let tolerance = 1e-9 + 256.0 * f64::EPSILON * (l.abs() + d.log_weight(l).abs());
    test("e = d log w / dl", l, d.elasticity(l), difference, tolerance);
}

/// The fitted order in δ of |[f(u(1+δ)) - 2 f(u) + f(u(1-δ))]/δ² - w(u)|, δ = 2⁻² … 2⁻⁷; None where it is all rounding.
fn second_difference(d: &dyn Divergence, l: f64) -> Option<f64> {
    let (deltas, errors): (Vec<f64>, Vec<f64>) = (2..8)
        .map(|k| 0.5f64.powi(k))
        .filter_map(|delta| {
            let (up, mid, down) = (d.f(l + ln_1p(delta)), d.f(l), d.f(l + ln_1p(-delta)));
            let error = ((up - 2.0 * mid + down) / (delta * delta) - d.weight(l)).abs();
            // each value of f carries a few ε |f|, more where it comes from a table, and ε |l| u f' from the rounding of its argument
            let value = mid.abs() + (1.0 + l.abs()) * d.u_df(l).abs() + delta * delta * d.weight(l);
            let rounding = 64.0 * f64::EPSILON * value / (delta * delta);
            (error > rounding || error.is_nan()).then(|| (ln(delta), ln(error)))
        })
        .unzip();
    // a NaN among the errors is an order of NaN, which fails
    (deltas.len() >= 3).then(|| fit_line(&deltas, &errors).map_or(f64::NAN, |line| line.slope))
}
