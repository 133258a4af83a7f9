//! Modified Bessel functions of the first kind, as logarithm and ratio.

use super::elementary::ln;
use std::f64::consts::TAU;

/// Where the power series gives way to the asymptotic one.
const FAR: f64 = 25.0;

/// Σ_k t_k and Σ_k t_k/(k + 1) of the power series of I_0 and 2 I_1/x: t_k = (x/2)^(2k)/(k!)².
fn near(x: f64) -> (f64, f64) {
    let quarter = 0.25 * x * x;
    let (mut term, mut sums, mut k) = (1.0, (0.0, 0.0), 0.0);
    while term > 1e-18 * sums.0 {
        sums.0 += term;
        sums.1 += term / (k + 1.0);
        k += 1.0;
        term *= quarter / (k * k);
    }
    sums
}

/// √(2πx) e^(-x) I_n(x), n = 0 or 1: Σ_k (-1)^k Π_j (4n² - (2j-1)²)/(k! (8x)^k), to its least term, below 1e-20 from 25 on.
fn far(x: f64, order: f64) -> f64 {
    let (mut term, mut sum, mut k) = (1.0f64, 1.0, 1.0);
    while term.abs() > 1e-18 && k < 2.0 * x {
        term *= -(4.0 * order * order - (2.0 * k - 1.0) * (2.0 * k - 1.0)) / (8.0 * k * x);
        sum += term;
        k += 1.0;
    }
    sum
}

/// (log I_0(x), I_1(x)/(x I_0(x))), I_0(x) = 1/2π ∫ exp(x cos θ) dθ, x ≥ 0: the second is the derivative of the first over x, 1/2 at 0. Within
/// 8 ε (1 + log I_0(x)), and 8 ε of itself.   Abramowitz and Stegun, 9.6.12 and 9.7.1.
pub fn ln_bessel0(x: f64) -> (f64, f64) {
    if x < FAR {
        let (zero, one) = near(x);
        (ln(zero), 0.5 * one / zero)
    } else {
        let zero = far(x, 0.0);
        (x - 0.5 * ln(TAU * x) + ln(zero), far(x, 1.0) / (x * zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{cos, exp};

    /// Checks log I_0 and I_1/(x I_0) against the trapezium rule for 1/2π ∫ exp(x (cos θ - 1)) (1, cos θ) dθ, which is exact to rounding at 512
    /// nodes (its error is I_512), on both sides of the change of series and at it; within 1e-14 of 1 + log I_0 and of the ratio.
    #[test]
    fn against_quadrature() {
        for x in [1e-9, 0.1, 1.0, 3.7, 12.0, 24.999, 25.0, 25.001, 60.0, 700.0] {
            let nodes = 512;
            let (mut zero, mut one) = (0.0, 0.0);
            for k in 0..nodes {
                let c = cos(TAU * f64::from(k) / f64::from(nodes));
                zero += exp(x * (c - 1.0)) / f64::from(nodes);
                one += c * exp(x * (c - 1.0)) / f64::from(nodes);
            }
            let log = x + ln(zero);
            let (found, slope) = ln_bessel0(x);
            assert!((found - log).abs() < 1e-14 * (1.0 + log), "{x}: {found} {log}");
            // at 1e-9 the quadrature's own difference is rounding
            if x > 0.01 {
                let ratio = one / zero / x;
                assert!((slope - ratio).abs() < 2e-14 * ratio, "{x}: {slope} {ratio}");
            }
        }
        assert_eq!(ln_bessel0(0.0), (0.0, 0.5));
    }
}
