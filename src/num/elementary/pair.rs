//! Unevaluated sums of two doubles, in constants and at run time.

/// hi + lo with |lo| ≤ ½ ulp(hi): about 106 bits.   Source: Dekker (1971); Joldes, Muller and Popescu (2017).
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair {
    pub hi: f64,
    pub lo: f64,
}

impl Pair {
    pub const fn new(hi: f64, lo: f64) -> Self {
        Self { hi, lo }
    }

    /// a + b, exact (Knuth).
    #[inline(always)]
    pub const fn sum(a: f64, b: f64) -> Self {
        let hi = a + b;
        let c = hi - a;
        Self { hi, lo: (a - (hi - c)) + (b - c) }
    }

    /// a + b, exact for |a| ≥ |b| or a = 0.
    #[inline(always)]
    pub const fn ordered(a: f64, b: f64) -> Self {
        let hi = a + b;
        Self { hi, lo: b - (hi - a) }
    }

    /// a b within 2^-105 of itself. The factors are cut by their bits, so that no size overflows on the way.
    #[inline(always)]
    pub const fn product(a: f64, b: f64) -> Self {
        let (a1, b1) = (upper(a), upper(b));
        let (a2, b2) = (a - a1, b - b1);
        let hi = a * b;
        Self { hi, lo: ((a1 * b1 - hi) + a1 * b2 + a2 * b1) + a2 * b2 }
    }

    /// x + y within 2^-104 of |x| + |y|.
    #[inline(always)]
    pub const fn add(self, y: Self) -> Self {
        let s = Self::sum(self.hi, y.hi);
        Self::ordered(s.hi, s.lo + (self.lo + y.lo))
    }

    /// x y within 2^-102 of itself.
    #[inline(always)]
    pub const fn mul(self, y: Self) -> Self {
        let p = Self::product(self.hi, y.hi);
        Self::ordered(p.hi, p.lo + (self.hi * y.lo + self.lo * y.hi))
    }

    /// x / y within 2^-102 of itself: a quotient, and the quotient of what it leaves.
    #[inline(always)]
    pub const fn div(self, y: Self) -> Self {
        let q = self.hi / y.hi;
        let p = Self::product(q, y.hi);
        let rest = (self.hi - p.hi) - p.lo + (self.lo - q * y.lo);
        Self::ordered(q, rest / y.hi)
    }

    /// x f, f a power of two.
    #[inline(always)]
    pub const fn scaled(self, f: f64) -> Self {
        Self { hi: self.hi * f, lo: self.lo * f }
    }

    pub const fn neg(self) -> Self {
        Self { hi: -self.hi, lo: -self.lo }
    }

    /// The nearest double.
    #[inline(always)]
    pub const fn round(self) -> f64 {
        self.hi + self.lo
    }
}

/// 1.5·2^52: adding it to a number below 2^51 rounds to an integer, without a function of the C library.
pub(super) const SHIFT: f64 = 1.5 * power_of_two(52);

/// The leading 26 bits.
#[inline(always)]
pub(super) const fn upper(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & !((1 << 27) - 1))
}

/// 2ᵏ for -1022 ≤ k ≤ 1023.
#[inline(always)]
pub(super) const fn power_of_two(k: i64) -> f64 {
    f64::from_bits(((k + 1023) as u64) << 52)
}
