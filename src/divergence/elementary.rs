//! The few functions of `l` from which every divergence is written without overflow or cancellation.

use crate::num::{exp, exp_m1, ln_1p};
use std::f64::consts::LN_2;

/// log(1 + eˣ).
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + ln_1p(exp(-x.abs()))
}

/// σ(x) = 1/(1 + e⁻ˣ).
pub(super) fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    if x >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// log((1 + eˡ)/2), of order l/2 near 0.
pub(super) fn log_mean_exp(l: f64) -> f64 {
    if l < 1.0 { ln_1p(0.5 * exp_m1(l)) } else { softplus(l) - LN_2 }
}

/// (e^{al} - 1)/a, and l at a = 0.
pub(super) fn expm1_over(a: f64, l: f64) -> f64 {
    let x = a * l;
    if a == 0.0 || x.abs() < 1e-17 { l } else { exp_m1(x) / a } // the next term, x/2, is below rounding
}

/// φ₂(x) = (eˣ - 1 - x)/x², ½ at 0.
pub(super) fn phi2(x: f64) -> f64 {
    if x.abs() >= 1.0 {
        return (exp_m1(x) - x) / (x * x);
    }
    // Σ xᵏ/(k+2)! by Horner's rule; the first term left out is below 1/20! = 4e-19
    (2..20).rev().fold(0.0, |sum, k| (sum * x + 1.0) / f64::from(k + 1)) * 0.5 * x + 0.5
}

/// u·x with u = eˡ, and 0 where u underflows, however large x is.
pub(super) fn times_u(l: f64, x: f64) -> f64 {
    let u = exp(l);
    if u == 0.0 { 0.0 } else { u * x }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks φ₂ to 4 ulps against partial sums of its series in the other order, on both sides of the switch.
    #[test]
    fn phi2_against_series() {
        for x in [-1.5, -1.0, -0.999, -0.3, -1e-9, 0.0, 1e-9, 0.5, 0.999, 1.0, 1.5f64] {
            let terms = (0..40).scan(0.5, |term, k| {
                let now = *term;
                *term *= x / f64::from(k + 3);
                Some(now)
            });
            let series: f64 = terms.collect::<Vec<_>>().iter().rev().sum();
            // the direct form at |x| = 1.5 loses (|eˣ - 1| + |x|)/|eˣ - 1 - x| < 4 halves of an ulp from each of 2 terms
            assert!((phi2(x) - series).abs() <= 8.0 * f64::EPSILON * series, "{x}: {} {series}", phi2(x));
        }
    }
}
