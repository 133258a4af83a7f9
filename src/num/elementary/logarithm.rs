//! The logarithm and what is made of it: log(1 + x), logarithms to bases 2 and 10, powers.

use super::exponential::exp_of_pair;
use super::pair::{Pair, SHIFT, power_of_two, upper};

/// log 2.
pub(super) const LN_2: Pair = Pair::new(std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);

/// log 2 in two parts; the first has 42 bits, so that its product with an exponent is exact and a multiple of 2^-42.
const LN_2_HIGH: f64 = f64::from_bits(LN_2.hi.to_bits() & !((1 << 11) - 1));
const LN_2_LOW: f64 = (LN_2.hi - LN_2_HIGH) + LN_2.lo;

/// Intervals with centres j/128 cover [√½, √2): j = 90, …, 181, which differ modulo 128.
const COUNT: usize = 128;

/// At place j mod 128 for a centre j/128: c = m/512 next to 128/j, and -log c; hi is a multiple of 2^-42, the sum with k LN_2_HIGH therefore exact.
#[derive(Clone, Copy)]
struct Entry {
    c: f64,
    log: Pair,
}

const TABLE: [Entry; COUNT] = {
    let mut out = [Entry { c: 1.0, log: Pair::new(0.0, 0.0) }; COUNT];
    let mut k = 0;
    while k < COUNT {
        let j = if k < 90 { k + 128 } else { k };
        let m = (2 * 512 * 128 + j) / (2 * j);
        // log(512/m) = 2 (s + s³/3 + s⁵/5 + …), s = (512 - m)/(512 + m), |s| < 0.27: the 31st term is below 2^-112
        let s = Pair::new(512.0 - m as f64, 0.0).div(Pair::new(512.0 + m as f64, 0.0));
        let square = s.mul(s);
        let mut n = 61;
        let mut y = Pair::new(0.0, 0.0);
        while n > 0 {
            y = Pair::new(1.0, 0.0).div(Pair::new(n as f64, 0.0)).add(square.mul(y));
            n -= 2;
        }
        let log = s.mul(y).scaled(2.0);
        // rounded to a multiple of 2^-42
        let shift = 1.5 * power_of_two(10);
        let hi = (log.hi + shift) - shift;
        out[k] = Entry { c: m as f64 / 512.0, log: Pair::new(hi, (log.hi - hi) + log.lo) };
        k += 1;
    }
    out
};

/// x + low = 2^k z (1 + low/x), and what the table knows of z: k log 2 - log c and r = z c - 1.
struct Reduced {
    k: f64,
    log: Pair,
    r: Pair,
}

impl Reduced {
    /// x positive and finite.
    #[inline(always)]
    fn of(x: f64) -> Self {
        if x >= f64::MIN_POSITIVE { Self::of_normal(x, 0.0) } else { Self::of_subnormal(x) }
    }

    #[cold]
    fn of_subnormal(x: f64) -> Self {
        let y = Self::of_normal(x * power_of_two(54), 0.0);
        Self { k: y.k - 54.0, ..y }
    }

    /// x positive and normal, |low| ≤ ulp(x), low = 0 unless 2^-54 ≤ x ≤ 2^55.
    #[inline(always)]
    fn of_normal(x: f64, low: f64) -> Self {
        const ROOT: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
        const ONE: u64 = 1f64.to_bits();
        // z in [√½, √2)
        let moved = x.to_bits().wrapping_add(ONE - ROOT);
        let k = (moved >> 52) as i32 - 1023;
        let z = f64::from_bits((moved & ((1 << 52) - 1)) + ROOT);
        let Entry { c, log } = TABLE[(z * 128.0 + SHIFT).to_bits() as usize % COUNT];
        // c has 10 bits: both products and the difference are exact
        let z1 = upper(z);
        let mut r = Pair::ordered(z1 * c - 1.0, (z - z1) * c);
        if low != 0.0 {
            r = Pair::ordered(r.hi, r.lo + low * power_of_two(i64::from(-k)) * c);
        }
        Self { k: f64::from(k), log, r }
    }

    /// r³/3 - r⁴/4 + … + r⁹/9, with the small parts of k log 2 - log c + r: the next term is below 2^-74.
    #[inline(always)]
    fn small(&self) -> f64 {
        let (r, s) = (self.r.hi, self.r.hi * self.r.hi);
        let series =
            (1.0 / 3.0 - r * 0.25) + s * ((0.2 - r * (1.0 / 6.0)) + s * ((1.0 / 7.0 - r * 0.125) + s * (1.0 / 9.0)));
        (self.k * LN_2_LOW + self.log.lo) + (self.r.lo - r * self.r.lo) + r * s * series
    }

    /// k log 2 - log c + r but for the small parts, exact.
    #[inline(always)]
    fn large(&self) -> Pair {
        Pair::ordered(self.k * LN_2_HIGH + self.log.hi, self.r.hi)
    }

    /// The logarithm in a double.
    #[inline(always)]
    fn value(&self) -> f64 {
        let a = self.large();
        a.hi + (a.lo + (self.small() - 0.5 * (self.r.hi * self.r.hi)))
    }

    /// The logarithm within 2^-65 of itself.
    #[inline(always)]
    fn pair(&self) -> Pair {
        let (a, square) = (self.large(), Pair::product(self.r.hi, self.r.hi));
        let b = Pair::ordered(a.hi, -0.5 * square.hi);
        Pair::ordered(b.hi, b.lo + (a.lo + (self.small() - 0.5 * square.lo)))
    }
}

/// log of what is not positive and finite.
#[cold]
fn edge(x: f64) -> f64 {
    if x == 0.0 {
        f64::NEG_INFINITY
    } else if x < 0.0 {
        f64::NAN
    } else {
        x
    }
}

/// Positive and finite.
#[inline(always)]
fn inside(x: f64) -> bool {
    x > 0.0 && x < f64::INFINITY
}

pub(super) fn ln(x: f64) -> f64 {
    if inside(x) { Reduced::of(x).value() } else { edge(x) }
}

pub(super) fn ln_1p(x: f64) -> f64 {
    if x.abs() < power_of_two(-54) {
        return x;
    }
    if !inside(1.0 + x) {
        return edge(1.0 + x);
    }
    let y = Pair::sum(1.0, x);
    Reduced::of_normal(y.hi, if x < power_of_two(54) { y.lo } else { 0.0 }).value()
}

pub(super) fn log2(x: f64) -> f64 {
    const INVERSE: Pair = Pair::new(1.0, 0.0).div(LN_2);
    if inside(x) { Reduced::of(x).pair().mul(INVERSE).round() } else { edge(x) }
}

pub(super) fn log10(x: f64) -> f64 {
    /// 1/log 10.
    const INVERSE: Pair = Pair::new(std::f64::consts::LOG10_E, 1.098_319_650_216_765e-17);
    if inside(x) { Reduced::of(x).pair().mul(INVERSE).round() } else { edge(x) }
}

pub(super) fn powf(x: f64, y: f64) -> f64 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    // every double from 2^53 on is an even integer
    let large = y.abs() >= power_of_two(53);
    let integer = large || (y as i64) as f64 == y;
    let odd = !large && integer && (y as i64) & 1 == 1;
    let sign = if odd && x.is_sign_negative() { -1.0 } else { 1.0 };
    let size = x.abs();
    if !inside(size) || y.is_infinite() {
        // 0 or ∞, but that (±1)^±∞ = 1
        let grows = (size > 1.0) == (y > 0.0);
        return if size == 1.0 {
            1.0
        } else if grows {
            sign * f64::INFINITY
        } else {
            sign * 0.0
        };
    }
    if x < 0.0 && !integer {
        return f64::NAN;
    }
    let log = Reduced::of(size).pair();
    let exponent = log.hi * y;
    if exponent.abs() > 746.0 {
        return sign * if exponent > 0.0 { f64::INFINITY } else { 0.0 };
    }
    // a product below 2^-60 is lost beside 1, and its parts need not be exact
    let p = Pair::product(log.hi, y);
    sign * exp_of_pair(Pair::ordered(p.hi, p.lo + log.lo * y))
}
