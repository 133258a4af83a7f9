//! Elementary functions of one number, by +, -, ·, /, √ and operations on bits alone: the same bits on every machine.
//!
//! Those of the standard library come from the C library, whose results change with its version and with what it finds in the
//! processor; `clippy.toml` forbids them. Outside [`Kernel`](super::Kernel)s take these; nothing in them is fused, so they round alike
//! wherever they are inlined. Functions of f32 are those of f64 rounded once more: within 0.501 ulp.
//!
//! | function | error in f64, at most | by |
//! |---|---|---|
//! | [`exp`], [`exp2`] | 0.52 ulp; 0.77 where the result is subnormal | 2^(k/128) from a table, a series on the rest (Tang, 1989) |
//! | [`exp_m1`], [`sinh`], [`cosh`], [`tanh`] | 0.52 ulp | the same in two doubles |
//! | [`ln`], [`ln_1p`], [`log2`], [`log10`] | 0.52 ulp | log of 92 centres from a table, a series on the rest in two doubles |
//! | [`powf`] | 0.7 ulp; 0.95 where the result is subnormal | exp(y log x), the logarithm in two doubles |
//! | [`sin`], [`cos`], [`sin_cos`] | 0.8 ulp, for every x | x mod π/2 in two doubles, for large x by the bits of 2/π (Payne and Hanek, 1983) |
//! | [`tan`] | 1 ulp, for every x | their quotient |
//! | [`atan`], [`atan2`], [`acos`] | 0.52 ulp; subnormal quotients are rounded once | atan of sixteenths from a table, a series on the rest in two doubles |
//! | [`hypot`] | 0.52 ulp; 0.77 where the result is subnormal | the square in two doubles |
//!
//! Infinities, zeros with their signs and NaN are those of IEEE 754-2019, section 9.2. `tests/elementary_laws.rs` holds every function
//! to its row, against numbers of 192 bits and more.

mod exponential;
mod logarithm;
mod pair;
mod trigonometric;

use crate::num::Real;

macro_rules! elementary {
    ($($(#[$doc:meta])* $name:ident = $file:ident;)*) => {
        $($(#[$doc])*
        #[inline]
        pub fn $name<T: Real>(x: T) -> T {
            T::from_f64($file::$name(x.to_f64()))
        })*
    };
}

elementary! {
    /// eˣ.
    exp = exponential;
    /// 2ˣ, exact for integers.
    exp2 = exponential;
    /// eˣ - 1 without cancellation near 0.
    exp_m1 = exponential;
    /// Natural logarithm; -∞ at ±0, NaN below.
    ln = logarithm;
    /// log(1 + x) without cancellation near 0.
    ln_1p = logarithm;
    /// Logarithm to the base 2, exact for powers of 2.
    log2 = logarithm;
    /// Logarithm to the base 10, exact for powers of 10.
    log10 = logarithm;
    /// sin x; NaN for ±∞.
    sin = trigonometric;
    /// cos x; NaN for ±∞.
    cos = trigonometric;
    /// tan x; NaN for ±∞.
    tan = trigonometric;
    /// The angle in [-π/2, π/2] whose tangent is x.
    atan = trigonometric;
    /// The angle in [0, π] whose cosine is x; NaN outside [-1, 1].
    acos = trigonometric;
    /// (eˣ - e^-x)/2.
    sinh = exponential;
    /// (eˣ + e^-x)/2.
    cosh = exponential;
    /// sinh x / cosh x.
    tanh = exponential;
}

/// (sin x, cos x), with the bits of [`sin`] and [`cos`].
#[inline]
pub fn sin_cos<T: Real>(x: T) -> (T, T) {
    let (s, c) = trigonometric::sin_cos(x.to_f64());
    (T::from_f64(s), T::from_f64(c))
}

/// The angle in [-π, π] of the point (x, y), y first.
#[inline]
pub fn atan2<T: Real>(y: T, x: T) -> T {
    T::from_f64(trigonometric::atan2(y.to_f64(), x.to_f64()))
}

/// √(x² + y²) without overflow on the way.
#[inline]
pub fn hypot<T: Real>(x: T, y: T) -> T {
    T::from_f64(trigonometric::hypot(x.to_f64(), y.to_f64()))
}

/// xʸ; NaN for x < 0 unless y is an integer.
#[inline]
pub fn powf<T: Real>(x: T, y: T) -> T {
    T::from_f64(logarithm::powf(x.to_f64(), y.to_f64()))
}
