//! Sine, cosine, tangent and the inverse tangent, and the Euclidean length.

use super::pair::{Pair, SHIFT, power_of_two};

/// π/2, and what its two doubles leave.
const HALF_PI: Pair = Pair::new(std::f64::consts::FRAC_PI_2, 6.123_233_995_736_766e-17);
const HALF_PI_REST: f64 = -1.497_384_904_859_169_8e-33;

/// π/2 in parts: the first two have 33 bits, so that their products with integers below 2^20 are exact.
const PART_1: f64 = f64::from_bits(HALF_PI.hi.to_bits() & !((1 << 20) - 1));
const PART_2: f64 = {
    let rest = (HALF_PI.hi - PART_1) + HALF_PI.lo;
    f64::from_bits(rest.to_bits() & !((1 << 20) - 1))
};
const PART_3: Pair = {
    let rest = Pair::sum((HALF_PI.hi - PART_1) - PART_2, HALF_PI.lo);
    Pair::ordered(rest.hi, rest.lo + HALF_PI_REST)
};

/// From here on the reduction takes the bits of 2/π.
const LARGE: f64 = 1e6;

/// The bits of 2/π behind 64 zeros.
const TWO_OVER_PI: [u64; 21] = [
    0,
    0xa2f9836e4e441529,
    0xfc2757d1f534ddc0,
    0xdb6295993c439041,
    0xfe5163abdebbc561,
    0xb7246e3a424dd2e0,
    0x06492eea09d1921c,
    0xfe1deb1cb129a73e,
    0xe88235f52ebb4484,
    0xe99c7026b45f7e41,
    0x3991d639835339f4,
    0x9c845f8bbdf9283b,
    0x1ff897ffde05980f,
    0xef2f118b5a0a6d1f,
    0x6d367ecf27cb09b7,
    0x4f463f669e5fea2d,
    0x7527bac7ebe5f17b,
    0x3d0739f78a5292ea,
    0x6bfb5fb11f8d5d08,
    0x56033046fc7b6bab,
    0xf0cfbc209af4361d,
];

/// x = n π/2 + y, |y| ≤ π/4 (1 + tiny): n mod 4 and y.
#[inline(always)]
fn reduce(x: f64) -> (u64, Pair) {
    if x.abs() <= std::f64::consts::FRAC_PI_4 {
        return (0, Pair::new(x, 0.0));
    }
    if x.abs() >= LARGE {
        return reduce_large(x);
    }
    // Cody and Waite: the first difference is exact, the next sums keep what they round away
    let n = (x * std::f64::consts::FRAC_2_PI + SHIFT) - SHIFT;
    let a = Pair::sum(x - n * PART_1, -(n * PART_2));
    let p = Pair::product(-n, PART_3.hi);
    let b = Pair::sum(a.hi, p.hi);
    let y = Pair::sum(b.hi, a.lo + b.lo + (p.lo - n * PART_3.lo));
    (n as i64 as u64 & 3, y)
}

/// The same for |x| ≥ 2^-10 of any size.   Source: Payne and Hanek (1983).
#[cold]
fn reduce_large(x: f64) -> (u64, Pair) {
    let bits = x.abs().to_bits();
    let mantissa = u128::from((bits & ((1 << 52) - 1)) | (1 << 52));
    // |x| = mantissa 2^e. Bits of 2/π that give multiples of 4 are left out: the window starts at bit e - 2
    let e = (bits >> 52) as i64 - 1075;
    let start = (e - 2 + 64) as usize;
    let (word, shift) = (start / 64, start % 64);
    let window = |k: usize| {
        let two = u128::from(TWO_OVER_PI[word + k]) << 64 | u128::from(TWO_OVER_PI[word + k + 1]);
        u128::from((two << shift >> 64) as u64)
    };
    // mantissa times 192 bits, modulo 2^192
    let low = mantissa * window(2);
    let middle = mantissa * window(1) + (low >> 64);
    let top = (mantissa * window(0) + (middle >> 64)) as u64;
    // two bits of quadrant, then the fraction: its 128 leading bits, and 62 that a fraction near 0 shifts in
    let (mut n, mut fraction) = (
        top >> 62,
        u128::from(top << 2 | (middle as u64) >> 62) << 64 | u128::from((middle as u64) << 2 | (low as u64) >> 62),
    );
    let mut below = (low as u64) << 2;
    let negative = fraction >> 127 == 1;
    if negative {
        // f - 1, in two's complement
        n += 1;
        (below, fraction) = (below.wrapping_neg(), !fraction + u128::from(below == 0));
    }
    let zeros = fraction.leading_zeros().min(63);
    let f = if zeros == 0 { fraction } else { fraction << zeros | u128::from(below >> (64 - zeros)) };
    let scale = power_of_two(-53 - i64::from(zeros));
    let mut y =
        Pair::new((f >> 75) as f64 * scale, ((f >> 22) as u64 & ((1 << 53) - 1)) as f64 * scale * power_of_two(-53));
    if negative {
        y = y.neg();
    }
    y = Pair::ordered(y.hi, y.lo).mul(HALF_PI);
    if x < 0.0 { (n.wrapping_neg() & 3, y.neg()) } else { (n & 3, y) }
}

/// 1/k!.
const fn inverse_factorial(k: usize) -> f64 {
    let (mut product, mut j) = (1.0, 2);
    while j <= k {
        product *= j as f64;
        j += 1;
    }
    1.0 / product
}

/// (-1)^(k+1) / (2k + first)! for k = 0, …, 7.
const fn alternating(first: usize) -> [f64; 8] {
    let (mut out, mut k) = ([0.0; 8], 0);
    while k < 8 {
        let term = inverse_factorial(2 * k + first);
        out[k] = if k % 2 == 0 { -term } else { term };
        k += 1;
    }
    out
}

const SINE: [f64; 8] = alternating(3);
const COSINE: [f64; 8] = alternating(2);

/// Σ_(k ≥ first) c_k z^(k - first).
#[inline(always)]
fn polynomial<const N: usize>(z: f64, c: &[f64; N], first: usize) -> f64 {
    let mut sum = c[N - 1];
    for k in (first..N - 1).rev() {
        sum = sum * z + c[k];
    }
    sum
}

/// sin y = y - y³/6 + …, |y| ≤ π/4: the next term is below 2^-62 of it.
#[inline(always)]
fn sine(y: Pair) -> Pair {
    let z = y.hi * y.hi;
    Pair::ordered(y.hi, y.hi * z * polynomial(z, &SINE, 0) + y.lo * (1.0 - 0.5 * z))
}

/// cos y = 1 - y²/2 + …, the square without rounding: the next term is below 2^-58.
#[inline(always)]
fn cosine(y: Pair) -> Pair {
    let z = Pair::product(y.hi, y.hi);
    let w = Pair::ordered(1.0, -0.5 * z.hi);
    Pair::ordered(w.hi, w.lo + (z.hi * z.hi * polynomial(z.hi, &COSINE, 1) - (0.5 * z.lo + y.hi * y.lo)))
}

/// (sin x, cos x).
#[inline(always)]
fn both(x: f64) -> (Pair, Pair) {
    let (n, y) = reduce(x);
    let (s, c) = (sine(y), cosine(y));
    match n {
        0 => (s, c),
        1 => (c, s.neg()),
        2 => (s.neg(), c.neg()),
        _ => (c.neg(), s),
    }
}

pub(super) fn sin(x: f64) -> f64 {
    // -0 and the subnormal numbers are kept
    if x.abs() < power_of_two(-27) {
        return x;
    }
    if !x.is_finite() {
        return f64::NAN;
    }
    let (n, y) = reduce(x);
    let size = if n & 1 == 0 { sine(y).round() } else { cosine(y).round() };
    if n & 2 == 0 { size } else { -size }
}

pub(super) fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return f64::NAN;
    }
    let (n, y) = reduce(x);
    let size = if n & 1 == 0 { cosine(y).round() } else { sine(y).round() };
    if (n + 1) & 2 == 0 { size } else { -size }
}

pub(super) fn sin_cos(x: f64) -> (f64, f64) {
    if !x.is_finite() {
        return (f64::NAN, f64::NAN);
    }
    let (s, c) = both(x);
    (if x.abs() < power_of_two(-27) { x } else { s.round() }, c.round())
}

pub(super) fn tan(x: f64) -> f64 {
    if x.abs() < power_of_two(-27) {
        return x;
    }
    if !x.is_finite() {
        return f64::NAN;
    }
    let (s, c) = both(x);
    s.div(c).round()
}

/// atan(k/16), k = 0, …, 16.
const ARCS: [Pair; 17] = {
    let mut out = [Pair::new(0.0, 0.0); 17];
    let mut k = 1;
    while k <= 16 {
        // Euler's series Σ_n 2^2n (n!)²/(2n+1)! x^(2n+1)/(1 + x²)^(n+1): each term is at most half of the one before
        let square = Pair::new((k * k) as f64 / 256.0, 0.0);
        let one = Pair::new(1.0, 0.0);
        let ratio = square.div(one.add(square));
        let (mut n, mut y) = (112, one);
        while n > 0 {
            let factor = Pair::new(2.0 * n as f64, 0.0).div(Pair::new(2.0 * n as f64 + 1.0, 0.0));
            y = one.add(y.mul(ratio).mul(factor));
            n -= 1;
        }
        out[k] = Pair::new(k as f64 / 16.0, 0.0).div(one.add(square)).mul(y);
        k += 1;
    }
    out
};

/// atan(n/d) within 2^-62 of itself, for 2^-60 d ≤ n ≤ d, d in [1, 2).
#[inline(always)]
fn arc(n: Pair, d: Pair) -> Pair {
    // atan(n/d) = atan c + atan r with r = (n - c d)/(d + c n), |r| ≤ 1/32
    let k = (16.0 * (n.hi / d.hi) + 0.5) as usize;
    let c = Pair::new(k as f64 / 16.0, 0.0);
    let r = n.add(d.mul(c).neg()).div(d.add(n.mul(c)));
    // r - r³/3 + … + r^13/13: the next term is below 2^-73
    let z = r.hi * r.hi;
    let series = 1.0 / 3.0 - z * (0.2 - z * (1.0 / 7.0 - z * (1.0 / 9.0 - z * (1.0 / 11.0 - z * (1.0 / 13.0)))));
    ARCS[k].add(Pair::ordered(r.hi, r.lo - r.hi * z * series))
}

pub(super) fn atan(x: f64) -> f64 {
    let size = x.abs();
    if size < power_of_two(-27) || x.is_nan() {
        return x;
    }
    if size > power_of_two(60) {
        return HALF_PI.hi.copysign(x);
    }
    let (size, one) = (Pair::new(size, 0.0), Pair::new(1.0, 0.0));
    let y = if size.hi <= 1.0 { arc(size, one) } else { HALF_PI.add(arc(one, size).neg()) };
    y.round().copysign(x)
}

/// x 2^-k with the k of the larger of both sizes, so that no product overflows and what underflows is lost beside it; and k.
#[inline(always)]
fn unit(a: f64, b: f64) -> (f64, f64, i64) {
    let largest = a.max(b);
    let (a, b, more) =
        if largest < f64::MIN_POSITIVE { (a * power_of_two(54), b * power_of_two(54), 54) } else { (a, b, 0) };
    let k = (a.max(b).to_bits() >> 52) as i64 - 1023;
    // in two factors, since 2^-1023 is not a normal number
    let half = k >> 1;
    let down = |x: f64| x * power_of_two(-half) * power_of_two(half - k);
    (down(a), down(b), k - more)
}

pub(super) fn atan2(y: f64, x: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    let (a, b) = (y.abs(), x.abs());
    const PI: Pair = HALF_PI.scaled(2.0);
    let angle = if a == 0.0 || b == f64::INFINITY && a < b {
        Pair::new(0.0, 0.0)
    } else if b == 0.0 || a == f64::INFINITY && b < a {
        HALF_PI
    } else if a == b {
        HALF_PI.scaled(0.5)
    } else {
        let quotient = a / b;
        if quotient < power_of_two(-60) {
            // the angle itself, also where it is subnormal; lost beside π
            Pair::new(quotient, 0.0)
        } else if quotient > power_of_two(60) {
            HALF_PI
        } else {
            let (a, b, _) = unit(a, b);
            let (a, b) = (Pair::new(a, 0.0), Pair::new(b, 0.0));
            if a.hi < b.hi { arc(a, b) } else { HALF_PI.add(arc(b, a).neg()) }
        }
    };
    let angle = if x.is_sign_negative() { PI.add(angle.neg()) } else { angle };
    angle.round().copysign(y)
}

pub(super) fn acos(x: f64) -> f64 {
    // the angle whose tangent is √(1 - x²)/x; (1 - x)(1 + x) keeps its digits near ±1
    let square = Pair::sum(1.0, -x).mul(Pair::sum(1.0, x));
    if square.hi.is_nan() || square.hi < 0.0 {
        return f64::NAN;
    }
    let (s, size) = (root(square), Pair::new(x.abs(), 0.0));
    let angle = if s.hi == 0.0 {
        s
    } else if s.hi <= size.hi {
        arc(s, size)
    } else {
        HALF_PI.add(arc(size, s).neg())
    };
    if x < 0.0 { HALF_PI.scaled(2.0).add(angle.neg()).round() } else { angle.round() }
}

/// √x within 2^-100 of itself.
#[inline(always)]
fn root(x: Pair) -> Pair {
    let s = x.hi.sqrt();
    if s == 0.0 {
        return x;
    }
    let p = Pair::product(s, s);
    Pair::ordered(s, ((x.hi - p.hi) - p.lo + x.lo) / (2.0 * s))
}

pub(super) fn hypot(x: f64, y: f64) -> f64 {
    let (a, b) = (x.abs(), y.abs());
    if a == f64::INFINITY || b == f64::INFINITY {
        return f64::INFINITY;
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    if a == 0.0 || b == 0.0 {
        return a + b;
    }
    let (a, b, k) = unit(a, b);
    let s = root(Pair::product(a, a).add(Pair::product(b, b))).round();
    let half = k >> 1;
    s * power_of_two(half) * power_of_two(k - half)
}
