//! The scalar type: f32 or f64, sealed.

use super::bits::Bits;
use super::{elementary, exp, ln};
use std::fmt::{Debug, Display, LowerExp};
use std::iter::Sum;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

/// A floating-point scalar: f32 or f64 and nothing else, so that every kernel is known to be exact to the last bit on both.
pub trait Real:
    Bits
    + Copy
    + Default
    + Debug
    + Display
    + LowerExp
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + Sum
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: Self;
    /// Largest finite number.
    const MAX: Self;
    /// +∞.
    const INFINITY: Self;
    /// -∞.
    const NEG_INFINITY: Self;
    /// Not a number.
    const NAN: Self;
    /// "f32" or "f64".
    const NAME: &'static str;

    /// Nearest number of this type.
    fn from_f64(x: f64) -> Self;
    /// Exact value in f64.
    fn to_f64(self) -> f64;
    /// Nearest number of this type to a count.
    #[inline(always)]
    fn from_usize(n: usize) -> Self {
        Self::from_f64(n as f64)
    }
    /// |x|.
    fn abs(self) -> Self;
    /// √x.
    fn sqrt(self) -> Self;
    /// eˣ.
    fn exp(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// eˣ - 1 without cancellation near 0.
    fn exp_m1(self) -> Self;
    /// log(1 + x) without cancellation near 0.
    fn ln_1p(self) -> Self;
    /// sin x.
    fn sin(self) -> Self;
    /// cos x.
    fn cos(self) -> Self;
    /// tanh x.
    fn tanh(self) -> Self;
    /// xⁿ.
    fn powi(self, n: i32) -> Self;
    /// xʸ.
    fn powf(self, y: Self) -> Self;
    /// x·a + b with one rounding. Slow outside code compiled for FMA.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
    /// NaN.
    fn is_nan(self) -> bool;
    /// The larger; the other one where one is NaN.
    fn max(self, other: Self) -> Self;
    /// The smaller; the other one where one is NaN.
    fn min(self, other: Self) -> Self;

    /// x·a + b inside a [`Kernel`](crate::num::Kernel): one rounding where `FMA`, two otherwise.
    #[inline(always)]
    fn fused<const FMA: bool>(self, a: Self, b: Self) -> Self {
        if FMA { self.mul_add(a, b) } else { self * a + b }
    }
    /// eˣ inside a kernel, within 2 ulp. Exactly 0 below -708 (f32: -86.9), so never subnormal; +∞ above log of the largest
    /// finite number; NaN gives NaN.
    #[inline(always)]
    fn exp_body<const FMA: bool>(self) -> Self {
        exp::exp::<FMA, Self>(self)
    }
    /// 2ˣ inside a kernel, within 3 ulp (f32: 2), for x ≤ 1022 (f32: 126); no check above. Below -1021 (f32: -125) it stays at 2^-1021 (2^-125),
    /// a normal number that no sum beside 1 notices. NaN does not pass: test the argument. Cheaper than [`Real::exp_body`]: no
    /// selects, no multiplication by the power.
    #[inline(always)]
    fn exp2_body<const FMA: bool>(self) -> Self {
        exp::exp2::<FMA, Self>(self)
    }
    /// eˣ - 1 inside a kernel, within 3 ulp; -1 below -40; +∞ above log of the largest finite number; NaN gives NaN.
    #[inline(always)]
    fn exp_m1_body<const FMA: bool>(self) -> Self {
        exp::exp_m1::<FMA, Self>(self)
    }
    /// log x inside a kernel, within 2 ulp, subnormal numbers included. -∞ at ±0, NaN below, NaN passes through.
    #[inline(always)]
    fn ln_body<const FMA: bool>(self) -> Self {
        ln::ln::<FMA, Self>(self)
    }
    /// tanh x inside a kernel, within 3 ulp (2.4 found on 80 000 points against 150 bits), also near 0; odd to the last bit; NaN gives NaN.
    #[inline(always)]
    fn tanh_body<const FMA: bool>(self) -> Self {
        exp::tanh::<FMA, Self>(self)
    }
    /// 1/(1 + e^-x) inside a kernel, within 3 ulp. Exactly 0 where e^-x overflows; NaN gives NaN.
    #[inline(always)]
    fn sigmoid_body<const FMA: bool>(self) -> Self {
        exp::sigmoid::<FMA, Self>(self)
    }
    /// log(1 + eˣ) inside a kernel, within 3 ulp. Exactly 0 below -708 (f32: -86.9); NaN gives NaN.
    /// log σ(x) is minus this at -x.
    #[inline(always)]
    fn softplus_body<const FMA: bool>(self) -> Self {
        exp::softplus::<FMA, Self>(self)
    }
}

macro_rules! real {
    ($t:ident) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: Self = $t::EPSILON;
            const MAX: Self = $t::MAX;
            const INFINITY: Self = $t::INFINITY;
            const NEG_INFINITY: Self = $t::NEG_INFINITY;
            const NAN: Self = $t::NAN;
            const NAME: &'static str = stringify!($t);
            #[inline(always)]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            real!(@unary $t: $t: abs sqrt);
            real!(@unary $t: elementary: exp ln exp_m1 ln_1p sin cos tanh);
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                $t::powi(self, n)
            }
            #[inline(always)]
            fn powf(self, y: Self) -> Self {
                elementary::powf(self, y)
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                $t::mul_add(self, a, b)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                $t::max(self, other)
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                $t::min(self, other)
            }
        }
    };
    (@unary $t:ident: $from:ident: $($name:ident)*) => {
        $(#[inline(always)]
        fn $name(self) -> Self {
            $from::$name(self)
        })*
    };
}

real!(f32);
real!(f64);
