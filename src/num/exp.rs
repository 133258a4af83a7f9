//! Bodies of the exponential family: branch free, always inlined, vectorised by the loop around them.
//!
//! The number of roundings is fixed by `FMA`, so two instruction sets with fused multiply-add agree bit for bit. The error bounds, in units
//! in the last place (ulp), are proved by the sweeps in [`super::elementwise`].

use super::Real;

/// Σ c_k xᵏ by Horner's rule, lowest coefficient first.
#[inline(always)]
pub(super) fn polynomial<const FMA: bool, T: Real>(x: T, c: &'static [T]) -> T {
    let mut sum = c[c.len() - 1];
    for &c in c[..c.len() - 1].iter().rev() {
        sum = sum.fused::<FMA>(x, c);
    }
    sum
}

/// x = n log 2 + r with |r| ≤ (log 2)/2 (Cody and Waite, 1980): returns n + SHIFT and e^r - 1 = r + r²(1/2! + r/3! + …).
#[inline(always)]
fn reduce<const FMA: bool, T: Real>(x: T) -> (T, T) {
    let shifted = x.fused::<FMA>(T::LOG2_E, T::SHIFT);
    let n = shifted - T::SHIFT;
    let r = n.fused::<FMA>(-T::LN2_LOW, n.fused::<FMA>(-T::LN2_HIGH, x));
    let q = polynomial::<FMA, T>(r, T::INVERSE_FACTORIALS);
    (shifted, (r * r).fused::<FMA>(q, r))
}

/// eˣ = 2ⁿ e^r; see [`Real::exp_body`].
#[inline(always)]
pub(super) fn exp<const FMA: bool, T: Real>(x: T) -> T {
    let (shifted, p) = reduce::<FMA, T>(x);
    // n reaches one more than the largest exponent, so 2ⁿ is split in 2 and 2^(n-1)
    let y = T::ONE + p;
    let y = (y + y) * T::half_power_of_two(shifted);
    let y = if x < T::EXP_LOW { T::ZERO } else { y };
    if x > T::EXP_HIGH { T::INFINITY } else { y }
}

/// 2ˣ = 2ⁿ 2^r, n = ⌊x⌋, r = x - n, which is exact but between -½ and 0; see [`Real::exp2_body`].
#[inline(always)]
pub(super) fn exp2<const FMA: bool, T: Real>(x: T) -> T {
    let x = if x < T::EXP2_LOW { T::EXP2_LOW } else { x };
    // a machine without the instruction would call a function; n may be one more there, just below it
    let n = if FMA { x.floor() } else { (x - T::from_f64(0.5 - 1.0 / 1024.0)) + T::SHIFT - T::SHIFT };
    paired::<FMA, T>(x - n, T::EXP2_POLYNOMIAL).times_power_of_two(n + T::SHIFT)
}

/// Σ c_k xᵏ by Horner's rule; with more than six coefficients by pairs that are joined in x²: half of the dependent steps for one operation
/// more.
#[inline(always)]
fn paired<const FMA: bool, T: Real>(x: T, c: &'static [T]) -> T {
    if c.len() <= 6 {
        return polynomial::<FMA, T>(x, c);
    }
    let square = x * x;
    let mut pairs = c.chunks(2).rev().map(|c| polynomial::<FMA, T>(x, c));
    let mut sum = pairs.next().expect("a polynomial has coefficients");
    for pair in pairs {
        sum = sum.fused::<FMA>(square, pair);
    }
    sum
}

/// eˣ - 1 = 2ⁿ (e^r - 1) + (2ⁿ - 1); see [`Real::exp_m1_body`].
#[inline(always)]
pub(super) fn exp_m1<const FMA: bool, T: Real>(x: T) -> T {
    let lowest = T::from_f64(-40.0); // e^-40 < ε/4 in both precisions
    let (shifted, p) = reduce::<FMA, T>(if x < lowest { lowest } else { x });
    // at half size, because n reaches one more than the largest exponent
    let half = T::half_power_of_two(shifted);
    let y = p.fused::<FMA>(half, half - T::from_f64(0.5));
    if x > T::EXP_HIGH { T::INFINITY } else { y + y }
}

/// tanh x = e/(e + 2) with e = e^{2|x|} - 1, and the sign of x; see [`Real::tanh_body`].
#[inline(always)]
pub(super) fn tanh<const FMA: bool, T: Real>(x: T) -> T {
    let highest = T::from_f64(20.0); // 1 - tanh 20 < ε/4 in both precisions
    let a = x.abs();
    let a = if a > highest { highest } else { a };
    let e = exp_m1::<FMA, T>(a + a);
    (e / (e + T::from_f64(2.0))).copysign(x)
}

/// σ(x) = 1/(1 + e^-x); see [`Real::sigmoid_body`].
#[inline(always)]
pub(super) fn sigmoid<const FMA: bool, T: Real>(x: T) -> T {
    T::ONE / (T::ONE + exp::<FMA, T>(-x))
}

/// log(1 + eˣ) = max(x, 0) + log(1 + e^{-|x|}); see [`Real::softplus_body`].
#[inline(always)]
pub(super) fn softplus<const FMA: bool, T: Real>(x: T) -> T {
    let positive = if x < T::ZERO { T::ZERO } else { x };
    positive + super::ln::ln_1p::<FMA, T>(exp::<FMA, T>(-x.abs()))
}
