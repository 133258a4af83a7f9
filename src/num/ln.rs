//! Bodies of the logarithm: branch free, always inlined.

use super::Real;
use super::exp::polynomial;

/// k log 2 + log(1 + f), for 1 + f in [√½, √2] and s = f/(2 + f), by log(1 + f) = f - f²/2 + s (f²/2 + s²(2/3 + s² 2/5 + …)),
/// in the order of summation of fdlibm's e_log.c.
#[inline(always)]
fn assemble<const FMA: bool, T: Real>(k: T, f: T) -> T {
    let s = f / (T::from_f64(2.0) + f);
    let z = s * s;
    let tail = z * polynomial::<FMA, T>(z, T::LN_SERIES);
    let half_square = T::from_f64(0.5) * f * f;
    let low = s.fused::<FMA>(half_square + tail, k * T::LN2_LOW);
    k.fused::<FMA>(T::LN2_HIGH, f - (half_square - low))
}

/// log x; see [`Real::ln_body`].
#[inline(always)]
pub(super) fn ln<const FMA: bool, T: Real>(x: T) -> T {
    // a subnormal number is first made normal
    let subnormal = x < T::MIN_NORMAL;
    let (k, m) = (if subnormal { x * T::from_f64(2f64.powi(60)) } else { x }).split_exponent();
    let k = if subnormal { k - T::from_f64(60.0) } else { k };
    let y = assemble::<FMA, T>(k, m - T::ONE);
    let y = if x == T::ZERO { T::NEG_INFINITY } else { y };
    let y = if x < T::ZERO { T::NAN } else { y };
    // +∞ and NaN are their own logarithms
    if x < T::INFINITY { y } else { x }
}

/// log(1 + u) for u in [0, 1] (NaN passes through).
#[inline(always)]
pub(super) fn ln_1p<const FMA: bool, T: Real>(u: T) -> T {
    let upper = u > T::from_f64(std::f64::consts::SQRT_2 - 1.0);
    let (k, f) = if upper { (T::ONE, T::from_f64(0.5) * (u - T::ONE)) } else { (T::ZERO, u) };
    assemble::<FMA, T>(k, f)
}
