//! 512-bit vectors for the few loops over pairs that hold all their sums in registers.
//!
//! A loop over pairs that fills the 32 registers of AVX-512 is at the bound of the two units that compute; written as plain loops it becomes
//! several passes, each with its loads and stores. Operations round as those of [`Real`](super::Real) with fused multiply-add do, so that
//! both ways give the same bits.
#![allow(unsafe_code)]

use super::bits::Bits;
use super::simd::InstructionSet;
use std::arch::x86_64::*;

/// Proof that this machine has 512-bit vectors.
#[derive(Debug, Clone, Copy)]
pub struct Avx512(());

impl InstructionSet {
    /// The proof, where this set has 512-bit vectors and the machine has this set.
    pub(crate) fn wide(self) -> Option<Avx512> {
        (self == InstructionSet::Avx512 && self.is_available()).then_some(Avx512(()))
    }
}

/// A vector of 512 bits. It is made from an [`Avx512`] or from another vector, so that whoever holds one may compute with it.
pub trait Wide: Copy {
    /// f32 or f64.
    type Number: Bits;
    /// Numbers of a vector.
    const WIDTH: usize;

    /// The same number everywhere.
    fn splat(machine: Avx512, x: Self::Number) -> Self;
    /// The first numbers of `from`, at least [`Wide::WIDTH`].
    fn load(machine: Avx512, from: &[Self::Number]) -> Self;
    /// Puts the numbers at the start of `to`.
    fn store(self, to: &mut [Self::Number]);
    /// self + b.
    fn plus(self, b: Self) -> Self;
    /// self - b.
    fn minus(self, b: Self) -> Self;
    /// self · b.
    fn times(self, b: Self) -> Self;
    /// self · b + c, rounded once.
    fn times_plus(self, b: Self, c: Self) -> Self;
    /// c - self · b, rounded once.
    fn times_from(self, b: Self, c: Self) -> Self;
    /// The smaller of self and b; self where it is NaN.
    fn at_most(self, b: Self) -> Self;
    /// The larger of self and b; self where it is NaN.
    fn at_least(self, b: Self) -> Self;
    /// Puts what is neither below `low` nor above `high` at the start of `to`, which has room for a vector; (how many are below, how many were
    /// put).
    fn sift(self, low: Self, high: Self, to: &mut [Self::Number]) -> (usize, usize);
    /// 2^self with the bits of [`Real::exp2_body`](super::Real::exp2_body).
    fn exp2(self) -> Self;
    /// The same in fewer instructions where self is at most -½ and not below the lowest power, or NaN.
    fn exp2_within(self) -> Self;
}

/// Rounding of the intrinsics: to the next integer below.
const DOWN: i32 = 1;

/// Calls intrinsics of AVX-512.
macro_rules! intrinsics {
    // SAFETY: the vectors among the arguments, or the proof beside them, exist on machines with AVX-512 only.
    ($($call:tt)*) => { unsafe { $($call)* } };
}

/// The same for either precision; `$power(r, coefficient)` is the polynomial of 2^r.
macro_rules! wide {
    ($vector:ident, $number:ty, $width:literal, $splat:ident, $load:ident, $store:ident, $add:ident, $sub:ident, $mul:ident, $fma:ident, $fnma:ident,
     $min:ident, $max:ident, $compare:ident, $compress:ident, $round:ident, $reduce:ident, $scale:ident, |$r:ident, $c:ident| $power:expr) => {
        impl Wide for $vector {
            type Number = $number;
            const WIDTH: usize = $width;
            #[inline(always)]
            fn splat(_: Avx512, x: $number) -> Self {
                intrinsics!($splat(x))
            }
            #[inline(always)]
            fn load(_: Avx512, from: &[$number]) -> Self {
                let from: &[$number; $width] = from.first_chunk().expect("a whole vector");
                intrinsics!($load(from.as_ptr()))
            }
            #[inline(always)]
            fn store(self, to: &mut [$number]) {
                let to: &mut [$number; $width] = to.first_chunk_mut().expect("a whole vector");
                intrinsics!($store(to.as_mut_ptr(), self))
            }
            #[inline(always)]
            fn plus(self, b: Self) -> Self {
                intrinsics!($add(self, b))
            }
            #[inline(always)]
            fn minus(self, b: Self) -> Self {
                intrinsics!($sub(self, b))
            }
            #[inline(always)]
            fn times(self, b: Self) -> Self {
                intrinsics!($mul(self, b))
            }
            #[inline(always)]
            fn times_plus(self, b: Self, c: Self) -> Self {
                intrinsics!($fma(self, b, c))
            }
            #[inline(always)]
            fn times_from(self, b: Self, c: Self) -> Self {
                intrinsics!($fnma(self, b, c))
            }
            #[inline(always)]
            fn at_most(self, b: Self) -> Self {
                // the instruction returns its second operand where one is NaN
                intrinsics!($min(b, self))
            }
            #[inline(always)]
            fn at_least(self, b: Self) -> Self {
                intrinsics!($max(b, self))
            }
            #[inline(always)]
            fn sift(self, low: Self, high: Self, to: &mut [$number]) -> (usize, usize) {
                let below = intrinsics!($compare::<_CMP_LT_OQ>(self, low));
                let above = intrinsics!($compare::<_CMP_GT_OQ>(self, high));
                let kept = !(below | above);
                let put: Self = intrinsics!($compress(kept, self));
                put.store(to);
                (below.count_ones() as usize, kept.count_ones() as usize)
            }
            #[inline(always)]
            fn exp2(self) -> Self {
                // results below the smallest normal number would take a hundred times as long
                let x = self.at_least(intrinsics!($splat(<$number>::EXP2_LOW)));
                let $r = x.minus(intrinsics!($round::<DOWN>(x)));
                let $c = |k: usize| -> Self { intrinsics!($splat(<$number>::EXP2_POLYNOMIAL[k])) };
                // by 2^⌊x⌋
                intrinsics!($scale($power, x))
            }
            #[inline(always)]
            fn exp2_within(self) -> Self {
                // x - ⌊x⌋ rounded down, but exact here
                let $r = intrinsics!($reduce::<DOWN>(self));
                let $c = |k: usize| -> Self { intrinsics!($splat(<$number>::EXP2_POLYNOMIAL[k])) };
                intrinsics!($scale($power, self))
            }
        }
    };
}

wide!(
    __m512,
    f32,
    16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    _mm512_fnmadd_ps,
    _mm512_min_ps,
    _mm512_max_ps,
    _mm512_cmp_ps_mask,
    _mm512_maskz_compress_ps,
    _mm512_roundscale_ps,
    _mm512_reduce_ps,
    _mm512_scalef_ps,
    |r, c| c(5).times_plus(r, c(4)).times_plus(r, c(3)).times_plus(r, c(2)).times_plus(r, c(1)).times_plus(r, c(0))
);
wide!(
    __m512d,
    f64,
    8,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_add_pd,
    _mm512_sub_pd,
    _mm512_mul_pd,
    _mm512_fmadd_pd,
    _mm512_fnmadd_pd,
    _mm512_min_pd,
    _mm512_max_pd,
    _mm512_cmp_pd_mask,
    _mm512_maskz_compress_pd,
    _mm512_roundscale_pd,
    _mm512_reduce_pd,
    _mm512_scalef_pd,
    |r, c| {
        let (square, pair) = (r.times(r), |k: usize| c(k + 1).times_plus(r, c(k)));
        let high = c(10).times_plus(square, pair(8)).times_plus(square, pair(6));
        high.times_plus(square, pair(4)).times_plus(square, pair(2)).times_plus(square, pair(0))
    }
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{Kernel, Real, dispatch_on};

    /// 2ˣ by vectors and by the body of single numbers with fused multiply-add.
    struct Powers<'a, T>(&'a [T], Avx512);

    impl<T: Real> Kernel for Powers<'_, T> {
        type Output = [Vec<T>; 3];
        #[inline(always)]
        fn run<const FMA: bool>(self) -> Self::Output {
            let (mut all, mut within) = (vec![T::ZERO; self.0.len()], vec![T::ZERO; self.0.len()]);
            for (k, x) in self.0.chunks_exact(T::Wide::WIDTH).enumerate() {
                let x = T::Wide::load(self.1, x);
                x.exp2().store(&mut all[k * T::Wide::WIDTH..]);
                x.exp2_within().store(&mut within[k * T::Wide::WIDTH..]);
            }
            [all, within, self.0.iter().map(|x| x.exp2_body::<FMA>()).collect()]
        }
    }

    fn same_powers<T: Real>(machine: Avx512, lowest: f64) {
        let n = 1 << 16;
        let mut x: Vec<T> =
            (0..n).map(|k| T::from_f64(lowest + f64::from(k) / f64::from(n) * (100.0 - lowest))).collect();
        for (x, special) in x.iter_mut().zip([0.0, 0.5, -0.5, 1.5, -1e30, f64::NEG_INFINITY]) {
            *x = T::from_f64(special);
        }
        let [all, within, single] = dispatch_on(InstructionSet::Avx512, Powers(&x, machine));
        for (k, x) in x.iter().enumerate() {
            assert_eq!(all[k], single[k], "2^{x}");
            if *x >= T::EXP2_LOW && *x <= T::from_f64(-0.5) {
                assert_eq!(within[k], single[k], "2^{x}");
            }
        }
        x.fill(T::NAN);
        let [all, within, _] = dispatch_on(InstructionSet::Avx512, Powers(&x, machine));
        assert!(all.iter().chain(&within).all(|y| y.is_nan()));
    }

    /// Checks that 2ˣ of vectors has the bits of the plain body from far below its lowest power up to 2¹⁰⁰, and keeps NaN.
    #[test]
    fn vectors_agree_with_single_numbers() {
        if let Some(machine) = InstructionSet::Avx512.wide() {
            same_powers::<f32>(machine, -200.0);
            same_powers::<f64>(machine, -1100.0);
        }
    }
}
