//! The two floating-point formats, taken apart: bit patterns and constants that the elementary functions need.
//!
//! The trait is public in a private module, which also seals [`Real`](super::Real).

/// What the bodies of exp and ln need to know about a format. Constants have no digits of their own where arithmetic
/// can produce them.
pub trait Bits: Copy + 'static {
    /// A vector of 512 bits.
    #[cfg(target_arch = "x86_64")]
    type Wide: super::wide::Wide<Number = Self>;
    /// log₂ e.
    const LOG2_E: Self;
    /// The leading bits of log 2, few enough that n·LN2_HIGH is exact for every exponent n (fdlibm's split).
    const LN2_HIGH: Self;
    /// log 2 - LN2_HIGH.
    const LN2_LOW: Self;
    /// 1.5·2^m, m the number of mantissa bits: adding it rounds to an integer, which then sits in the low bits.
    const SHIFT: Self;
    /// Below this eˣ is flushed to 0. Here n, of x = n log 2 + r, is still above the smallest exponent, so 2^(n-1) is normal.
    const EXP_LOW: Self;
    /// log of the largest finite number, rounded down: above this eˣ is +∞.
    const EXP_HIGH: Self;
    /// Smallest normal number.
    const MIN_NORMAL: Self;
    /// 1/2!, 1/3!, …: enough that the rest of exp's series on |r| ≤ 0.35 is below a tenth of a unit in the last place.
    const INVERSE_FACTORIALS: &'static [Self];
    /// Below this 2ˣ is replaced by 2^EXP2_LOW, the power above the smallest normal one, so that the rest of 2ˣ = 2ⁿ 2^r may be below 1.
    const EXP2_LOW: Self;
    /// 2^r on 0 ≤ r ≤ 1, lowest coefficient first: least absolute error with 2⁰ = 1 kept (Remez exchange in 50 digits, then the best of
    /// neighbouring coefficients), 1.01 ε in f32 and 1.49 ε in f64.
    const EXP2_POLYNOMIAL: &'static [Self];
    /// 2/3, 2/5, …: the series of (log(1 + f) - 2s)/s in s², s = f/(2 + f), |s| ≤ 0.172, to the same accuracy.
    const LN_SERIES: &'static [Self];

    /// 2^(n-1), n in the low bits of `shifted = n + SHIFT`.
    fn half_power_of_two(shifted: Self) -> Self;
    /// x 2ⁿ, n in the low bits of `shifted = n + SHIFT`, for x and the result positive and normal: n is added to the exponent of x.
    fn times_power_of_two(self, shifted: Self) -> Self;
    /// (k, m) with x = 2^k m and m in [√½, √2), for x positive and normal.
    fn split_exponent(self) -> (Self, Self);
    /// The largest integer that is not above.
    fn floor(self) -> Self;
    /// |x| with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
}

/// 1/2!, 1/3!, …, 1/(N+1)!.
const fn inverse_factorials<const N: usize>() -> [f64; N] {
    let (mut out, mut factorial, mut k) = ([0.0; N], 1.0, 0);
    while k < N {
        factorial *= (k + 2) as f64;
        out[k] = 1.0 / factorial;
        k += 1;
    }
    out
}

/// 2/3, 2/5, …, 2/(2N+1).
const fn ln_series<const N: usize>() -> [f64; N] {
    let (mut out, mut k) = ([0.0; N], 0);
    while k < N {
        out[k] = 2.0 / (2 * k + 3) as f64;
        k += 1;
    }
    out
}

/// The nearest f32 of each.
const fn single<const N: usize>(x: [f64; N]) -> [f32; N] {
    let (mut out, mut k) = ([0.0; N], 0);
    while k < N {
        out[k] = x[k] as f32;
        k += 1;
    }
    out
}

macro_rules! bits {
    ($t:ident, $u:ident, mantissa $m:literal, bias $bias:literal) => {
        const LOG2_E: Self = std::$t::consts::LOG2_E;
        const SHIFT: Self = 1.5 * (1u64 << $m) as $t;
        const MIN_NORMAL: Self = $t::MIN_POSITIVE;

        #[inline(always)]
        fn half_power_of_two(shifted: Self) -> Self {
            $t::from_bits(shifted.to_bits().wrapping_add($bias - 1) << $m)
        }

        #[inline(always)]
        fn times_power_of_two(self, shifted: Self) -> Self {
            $t::from_bits(self.to_bits().wrapping_add(shifted.to_bits() << $m))
        }

        #[inline(always)]
        fn split_exponent(self) -> (Self, Self) {
            const INTEGER: $t = (1u64 << $m) as $t;
            const ROOT: $u = std::$t::consts::FRAC_1_SQRT_2.to_bits();
            let moved = self.to_bits().wrapping_add((1 as $t).to_bits() - ROOT);
            // an integer below 2^m in the mantissa of 2^m is a conversion to floating point that every instruction set has
            let k = $t::from_bits((moved >> $m) | INTEGER.to_bits()) - (INTEGER + $bias as $t);
            (k, $t::from_bits((moved & ((1 << $m) - 1)) + ROOT))
        }

        #[inline(always)]
        fn floor(self) -> Self {
            $t::floor(self)
        }

        #[inline(always)]
        fn copysign(self, sign: Self) -> Self {
            $t::copysign(self, sign)
        }
    };
}

impl Bits for f64 {
    bits!(f64, u64, mantissa 52, bias 1023);
    #[cfg(target_arch = "x86_64")]
    type Wide = std::arch::x86_64::__m512d;
    const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    const EXP_LOW: f64 = -708.0;
    const EXP_HIGH: f64 = 709.782_712_893_384;
    const INVERSE_FACTORIALS: &'static [f64] = &inverse_factorials::<12>();
    const EXP2_LOW: f64 = -1021.0;
    const EXP2_POLYNOMIAL: &'static [f64] = &[
        1.0,
        0.693_147_180_559_896_8,
        0.240_226_506_961_450_18,
        0.055_504_108_625_494_33,
        0.009_618_129_433_291_605,
        0.001_333_354_267_248_175,
        0.000_154_039_841_851_382_22,
        1.524_425_548_278_77e-5,
        1.331_635_106_435_624_6e-6,
        9.443_099_313_492_831e-8,
        9.989_184_880_595_05e-9,
    ];
    const LN_SERIES: &'static [f64] = &ln_series::<10>();
}

impl Bits for f32 {
    bits!(f32, u32, mantissa 23, bias 127);
    #[cfg(target_arch = "x86_64")]
    type Wide = std::arch::x86_64::__m512;
    const LN2_HIGH: f32 = f32::from_bits(0x3f31_7200);
    const LN2_LOW: f32 = 1.428_606_8e-6;
    const EXP_LOW: f32 = -86.9;
    const EXP_HIGH: f32 = 88.722_83;
    const INVERSE_FACTORIALS: &'static [f32] = &single(inverse_factorials::<6>());
    const EXP2_LOW: f32 = -125.0;
    const EXP2_POLYNOMIAL: &'static [f32] =
        &[1.0, 0.693_152_5, 0.240_152_78, 0.055_835_944, 0.008_973_377, 0.001_885_296];
    const LN_SERIES: &'static [f32] = &single(ln_series::<4>());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the constants: the split of log 2 has exact products and the right sum, and exp's bounds are where they should be.
    #[test]
    fn constants() {
        assert_eq!(f64::LN2_HIGH + f64::LN2_LOW, std::f64::consts::LN_2);
        assert_eq!(f32::LN2_HIGH + f32::LN2_LOW, std::f32::consts::LN_2);
        assert_eq!((f64::LN2_HIGH.to_bits() << 53) >> 53, 0, "11 bits of exponent fit below the leading bits");
        assert_eq!((f32::LN2_HIGH.to_bits() << 24) >> 24, 0, "8 bits of exponent fit below the leading bits");
        assert!(f64::EXP_HIGH.exp().is_finite() && f64::EXP_HIGH.next_up().exp().is_infinite());
        let largest = f64::from(f32::MAX) * (1.0 + f64::from(f32::EPSILON) / 4.0);
        assert!(f64::from(f32::EXP_HIGH).exp() < largest && f64::from(f32::EXP_HIGH.next_up()).exp() > largest);
        assert!((f64::EXP_LOW * f64::LOG2_E).round() > -1022.0 && (f32::EXP_LOW * f32::LOG2_E).round() > -126.0);
    }

    /// Checks that a positive normal number is 2^k m exactly, with m in [√½, √2).
    #[test]
    fn exponent_splits_exactly() {
        for x in [1.0, 0.5, f64::MIN_POSITIVE, f64::MAX, 0.707, 0.708, 1.414, 1.415, 3e-200, 7e150] {
            let (k, m) = x.split_exponent();
            assert!((0.707..1.4143).contains(&m));
            assert_eq!(m * 2f64.powi(k as i32 / 2) * 2f64.powi(k as i32 - k as i32 / 2), x);
        }
        for x in [1.0f32, f32::MIN_POSITIVE, f32::MAX, 0.707, 0.708, 1.414, 1.415] {
            let (k, m) = x.split_exponent();
            assert!((0.707..1.4143).contains(&m));
            assert_eq!(m * 2f32.powi(k as i32 / 2) * 2f32.powi(k as i32 - k as i32 / 2), x);
        }
    }
}
