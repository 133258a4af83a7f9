//! Forward dual numbers: a second road to every derivative, sharing no rule with the tape.
//!
//! `Dual<f64>` carries a first derivative, `Dual<Dual<f64>>` a second one. Over [`Path`](crate::autodiff::Path) instead of f64 every component also
//! carries the rounding that can have reached it, so that a tolerance can be a few ulps of that and no more.
//!
//! ```
//! use pushforward::autodiff::{Dual, Scalar};
//!
//! // f(x) = x eˣ has f' = (1 + x) eˣ and f'' = (2 + x) eˣ
//! let x = Dual::variable(Dual::variable(0.0));
//! let y = x * x.exp();
//! assert_eq!((y.value.value, y.value.slope, y.slope.slope), (0.0, 1.0, 2.0));
//! ```

use crate::num::{Special, cos, exp, exp_m1, ln, ln_1p, powf, sin, tanh};
use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A number that elementary functions are written with: f64, [`Path`](crate::autodiff::Path), and [`Dual`] over any of these.
pub trait Scalar:
    Copy + Debug + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// x, exact and with derivative 0.
    fn constant(x: f64) -> Self;
    /// The real number inside, which decides branches.
    fn real(self) -> f64;
    /// eˣ.
    fn exp(self) -> Self;
    /// log x.
    fn ln(self) -> Self;
    /// eˣ - 1.
    fn exp_m1(self) -> Self;
    /// log(1 + x).
    fn ln_1p(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// sin x.
    fn sin(self) -> Self;
    /// cos x.
    fn cos(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// xᵏ for a constant k.
    fn powf(self, k: f64) -> Self;
    /// A special function.
    fn special(self, f: Special) -> Self;

    /// |x|; derivative 0 at 0.
    fn abs(self) -> Self {
        self * self.sign()
    }
    /// sign(x) in {-1, 0, 1}; derivative 0.
    fn sign(self) -> Self {
        let x = self.real();
        Self::constant(if x == 0.0 || x.is_nan() { x } else { x.signum() })
    }
    /// 1 where x > 0, else 0; derivative 0.
    fn step(self) -> Self {
        Self::constant(if self.real() > 0.0 { 1.0 } else { 0.0 })
    }
    /// max(x, 0); derivative 0 at 0.
    fn relu(self) -> Self {
        if self.real() <= 0.0 { Self::constant(0.0) } else { self }
    }
    /// The larger; at a tie this one. NaN comes through.
    fn max(self, other: Self) -> Self {
        if self.real() < other.real() || other.real().is_nan() { other } else { self }
    }
    /// 1/(1 + e⁻ˣ), by whichever exponential does not overflow.
    fn sigmoid(self) -> Self {
        let one = Self::constant(1.0);
        if self.real() < 0.0 {
            let e = self.exp();
            e / (one + e)
        } else {
            one / (one + (-self).exp())
        }
    }
    /// log(1 + eˣ) = x + log(1 + e⁻ˣ).
    fn softplus(self) -> Self {
        if self.real() > 0.0 { self + (-self).exp().ln_1p() } else { self.exp().ln_1p() }
    }
    /// x σ(x).
    fn silu(self) -> Self {
        self * self.sigmoid()
    }
}

impl Scalar for f64 {
    fn constant(x: f64) -> Self {
        x
    }
    fn real(self) -> f64 {
        self
    }
    fn exp(self) -> Self {
        exp(self)
    }
    fn ln(self) -> Self {
        ln(self)
    }
    fn exp_m1(self) -> Self {
        exp_m1(self)
    }
    fn ln_1p(self) -> Self {
        ln_1p(self)
    }
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    fn sin(self) -> Self {
        sin(self)
    }
    fn cos(self) -> Self {
        cos(self)
    }
    fn tanh(self) -> Self {
        tanh(self)
    }
    fn powf(self, k: f64) -> Self {
        powf(self, k)
    }
    fn special(self, f: Special) -> Self {
        f.value(self)
    }
}

/// value + slope·δ with δ² = 0: a function applied to it returns its value and its derivative times `slope`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dual<S = f64> {
    /// The value.
    pub value: S,
    /// The derivative in the direction that was seeded.
    pub slope: S,
}

impl<S: Scalar> Dual<S> {
    /// x + δ: what is differentiated by.
    pub fn variable(x: S) -> Self {
        Self { value: x, slope: S::constant(1.0) }
    }

    /// The chain rule: d f(x) = f'(x) dx.
    fn chain(self, value: S, rate: S) -> Self {
        Self { value, slope: rate * self.slope }
    }
}

impl<S: Scalar> Add for Dual<S> {
    type Output = Self;
    // sum rule
    fn add(self, b: Self) -> Self {
        Self { value: self.value + b.value, slope: self.slope + b.slope }
    }
}

impl<S: Scalar> Sub for Dual<S> {
    type Output = Self;
    // sum rule
    fn sub(self, b: Self) -> Self {
        Self { value: self.value - b.value, slope: self.slope - b.slope }
    }
}

impl<S: Scalar> Mul for Dual<S> {
    type Output = Self;
    // product rule: (ab)' = a'b + ab'
    fn mul(self, b: Self) -> Self {
        Self { value: self.value * b.value, slope: self.slope * b.value + self.value * b.slope }
    }
}

impl<S: Scalar> Div for Dual<S> {
    type Output = Self;
    // quotient rule: (a/b)' = (a'b - ab')/b²
    fn div(self, b: Self) -> Self {
        let slope = (self.slope * b.value - self.value * b.slope) / (b.value * b.value);
        Self { value: self.value / b.value, slope }
    }
}

impl<S: Scalar> Neg for Dual<S> {
    type Output = Self;
    fn neg(self) -> Self {
        Self { value: -self.value, slope: -self.slope }
    }
}

impl<S: Scalar> Scalar for Dual<S> {
    fn constant(x: f64) -> Self {
        Self { value: S::constant(x), slope: S::constant(0.0) }
    }
    fn real(self) -> f64 {
        self.value.real()
    }
    // the exponential is its own derivative
    fn exp(self) -> Self {
        self.chain(self.value.exp(), self.value.exp())
    }
    // (log x)' = 1/x
    fn ln(self) -> Self {
        self.chain(self.value.ln(), S::constant(1.0) / self.value)
    }
    // (eˣ - 1)' = eˣ
    fn exp_m1(self) -> Self {
        self.chain(self.value.exp_m1(), self.value.exp())
    }
    // (log(1+x))' = 1/(1+x)
    fn ln_1p(self) -> Self {
        let one = S::constant(1.0);
        self.chain(self.value.ln_1p(), one / (one + self.value))
    }
    // (√x)' = 1/(2√x)
    fn sqrt(self) -> Self {
        self.chain(self.value.sqrt(), S::constant(0.5) / self.value.sqrt())
    }
    // sin' = cos
    fn sin(self) -> Self {
        self.chain(self.value.sin(), self.value.cos())
    }
    // cos' = -sin
    fn cos(self) -> Self {
        self.chain(self.value.cos(), -self.value.sin())
    }
    // tanh' = 1 - tanh²
    fn tanh(self) -> Self {
        let y = self.value.tanh();
        self.chain(y, S::constant(1.0) - y * y)
    }
    // power rule: (xᵏ)' = k xᵏ⁻¹
    fn powf(self, k: f64) -> Self {
        let rate = if k == 0.0 { S::constant(0.0) } else { S::constant(k) * self.value.powf(k - 1.0) };
        self.chain(self.value.powf(k), rate)
    }
    fn special(self, f: Special) -> Self {
        let (x, one) = (self.value, S::constant(1.0));
        let y = x.special(f);
        // log Γ' = ψ, ψ_k' = ψ_(k+1), erf' = 2/√π exp(-x²), Φ' = φ, (log Φ)' = h = φ/Φ, h' = -h (x + h), atan' = 1/(1 + x²)
        let rate = match f {
            Special::LogGamma => x.special(Special::Polygamma(0)),
            Special::Polygamma(k) => x.special(Special::Polygamma(k + 1)),
            Special::Erf => S::constant(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).exp(),
            Special::NormalCdf => S::constant(1.0 / std::f64::consts::TAU.sqrt()) * (S::constant(-0.5) * x * x).exp(),
            Special::LogNormalCdf => x.special(Special::InverseMills),
            Special::InverseMills => -(y * (x + y)),
            Special::Atan => one / (one + x * x),
        };
        self.chain(y, rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and second derivative of f at x.
    fn derivatives(f: impl Fn(Dual<Dual>) -> Dual<Dual>, x: f64) -> (f64, f64) {
        let y = f(Dual::variable(Dual::variable(x)));
        assert_eq!(y.value.slope, y.slope.value, "the two first derivatives of a nested dual are one number");
        (y.slope.value, y.slope.slope)
    }

    /// Checks the rules by hand-computed first and second derivatives: where small integers make them exact, and at
    /// x = ½ to 8 ulp of the largest term otherwise.
    #[test]
    fn derivatives_by_hand() {
        assert_eq!(derivatives(|x| x.exp(), 0.0), (1.0, 1.0));
        assert_eq!(derivatives(|x| x.ln(), 0.5), (2.0, -4.0));
        assert_eq!(derivatives(|x| x.ln_1p(), 1.0), (0.5, -0.25));
        assert_eq!(derivatives(|x| x.exp_m1(), 0.0), (1.0, 1.0));
        assert_eq!(derivatives(|x| x.sqrt(), 4.0), (0.25, -1.0 / 32.0));
        assert_eq!(derivatives(|x| x.sin(), 0.0), (1.0, 0.0));
        assert_eq!(derivatives(|x| x.cos(), 0.0), (0.0, -1.0));
        assert_eq!(derivatives(|x| x.tanh(), 0.0), (1.0, 0.0));
        assert_eq!(derivatives(|x| x.powf(3.0), 2.0), (12.0, 12.0));
        assert_eq!(derivatives(|x| x.powf(1.0), 0.0), (1.0, 0.0));
        assert_eq!(derivatives(|x| Dual::constant(1.0) / x, 2.0), (-0.25, 0.25));
        assert_eq!(derivatives(|x| x.sigmoid(), 0.0), (0.25, 0.0));
        assert_eq!(derivatives(|x| x.softplus(), 0.0), (0.5, 0.25));
        assert_eq!(derivatives(|x| x.silu(), 0.0), (0.5, 0.5));
        assert_eq!(derivatives(|x| x.abs(), -3.0), (-1.0, 0.0));
        assert_eq!(derivatives(|x| x.relu(), 2.0), (1.0, 0.0));
        assert_eq!(derivatives(|x| x.max(Dual::constant(1.0)), 2.0), (1.0, 0.0));
        let (first, second) = derivatives(|x| (x * x).sin(), 0.5); // 2x cos x², 2 cos x² - 4x² sin x²
        let (s, c) = 0.25f64.sin_cos();
        assert!((first - c).abs() < 8.0 * f64::EPSILON && (second - (2.0 * c - s)).abs() < 16.0 * f64::EPSILON);
    }
}
