//! The exponential and what is made of it: 2ˣ, eˣ - 1, sinh, cosh, tanh.

use super::logarithm::LN_2;
use super::pair::{Pair, SHIFT, power_of_two};

/// 2^(k/STEPS) are tabulated.
const STEPS: usize = 128;

/// Above it e^|x| is +∞ or 0: below the smallest subnormal's half at -745.2, above the largest number at 709.8.
const FAR: f64 = 746.0;

/// Below it eˣ is a normal number.
const NEAR: f64 = 708.0;

/// (log 2)/STEPS in two parts; the first has 34 bits, so that its products with integers below 2^18 are exact.
const STEP_HIGH: f64 = f64::from_bits((std::f64::consts::LN_2 / STEPS as f64).to_bits() & !((1 << 19) - 1));
const STEP_LOW: f64 = (LN_2.hi / STEPS as f64 - STEP_HIGH) + LN_2.lo / STEPS as f64;

/// 2^(k/STEPS) = exp(k log 2/STEPS) = hi (1 + lo) by its series, k = 0, …, STEPS - 1.
const POWERS: [Pair; STEPS] = {
    let mut out = [Pair::new(1.0, 0.0); STEPS];
    let mut k = 1;
    while k < STEPS {
        let x = LN_2.mul(Pair::new(k as f64 / STEPS as f64, 0.0));
        // x < 0.7: the 28th term is below 2^-110
        let mut j = 28;
        let mut y = Pair::new(1.0, 0.0);
        while j > 0 {
            y = Pair::new(1.0, 0.0).add(x.mul(y).div(Pair::new(j as f64, 0.0)));
            j -= 1;
        }
        out[k] = Pair::new(y.hi, y.lo / y.hi);
        k += 1;
    }
    out
};

/// x = (STEPS e + i) (log 2)/STEPS + r, |r.hi| ≤ (log 2)/(2 STEPS)(1 + tiny); and 2^(i/STEPS).
struct Reduced {
    e: i64,
    power: Pair,
    r: Pair,
}

impl Reduced {
    /// `shifted` is the integer STEPS e + i plus SHIFT, which leaves it in the low bits.
    #[inline(always)]
    fn at(shifted: f64, r: Pair) -> Self {
        let k = shifted.to_bits().wrapping_sub(SHIFT.to_bits()) as i64;
        Self { e: k >> 7, power: POWERS[(k & (STEPS as i64 - 1)) as usize], r }
    }

    /// Of x.hi + x.lo, |x.hi| ≤ FAR.
    #[inline(always)]
    fn of(x: Pair) -> Self {
        let shifted = x.hi * (STEPS as f64 / std::f64::consts::LN_2) + SHIFT;
        let n = shifted - SHIFT;
        // the first difference is exact: both sides are close together
        Self::at(shifted, Pair::ordered(x.hi - n * STEP_HIGH, x.lo - n * STEP_LOW))
    }

    /// e^r - 1 - r.
    #[inline(always)]
    fn rest(&self) -> f64 {
        rest(self.r.hi)
    }

    /// 2^(i/STEPS) e^r, in a double.
    #[inline(always)]
    fn value(&self) -> f64 {
        self.power.hi + self.power.hi * (self.r.hi + ((self.r.lo + self.power.lo) + self.rest()))
    }

    /// The same within 2^-68.
    #[inline(always)]
    fn pair(&self) -> Pair {
        let p = Pair::product(self.power.hi, self.r.hi);
        let s = Pair::ordered(self.power.hi, p.hi);
        let low = (self.r.lo + self.power.lo * (1.0 + self.r.hi)) + self.rest();
        Pair::ordered(s.hi, s.lo + (p.lo + self.power.hi * low))
    }
}

/// r²/2 + … + r⁶/720: the next term is below 2^-71.
#[inline(always)]
fn rest(r: f64) -> f64 {
    let square = r * r;
    square * ((0.5 + r * (1.0 / 6.0)) + square * ((1.0 / 24.0 + r * (1.0 / 120.0)) + square * (1.0 / 720.0)))
}

/// y 2ᵏ, -1100 ≤ k ≤ 1100, in two factors, of which only the second rounds, overflows or underflows.
#[inline(always)]
fn times_power(y: f64, k: i64) -> f64 {
    let half = k >> 1;
    y * power_of_two(half) * power_of_two(k - half)
}

/// exp(x.hi + x.lo), |x.hi| ≤ FAR.
#[inline(always)]
pub(super) fn exp_of_pair(x: Pair) -> f64 {
    let y = Reduced::of(x);
    times_power(y.value(), y.e)
}

/// What lies beyond FAR, or NaN.
#[cold]
fn beyond(x: f64) -> f64 {
    if x.is_nan() {
        x
    } else if x > 0.0 {
        f64::INFINITY
    } else {
        0.0
    }
}

pub(super) fn exp(x: f64) -> f64 {
    if x.abs() < NEAR {
        let y = Reduced::of(Pair::new(x, 0.0));
        return f64::from_bits(y.value().to_bits().wrapping_add((y.e << 52) as u64));
    }
    if x.abs() <= FAR { exp_of_pair(Pair::new(x, 0.0)) } else { beyond(x) }
}

pub(super) fn exp2(x: f64) -> f64 {
    if x.is_nan() || x.abs() > 1076.0 {
        return beyond(x);
    }
    let shifted = x * STEPS as f64 + SHIFT;
    let r = x - (shifted - SHIFT) * (1.0 / STEPS as f64);
    let p = Pair::product(r, LN_2.hi);
    let y = Reduced::at(shifted, Pair::ordered(p.hi, p.lo + r * LN_2.lo));
    times_power(y.value(), y.e)
}

/// eˣ - 1 within 2^-62 of itself, for 2^-54 ≤ |x| ≤ 45.
#[inline(always)]
fn exp_m1_pair(x: f64) -> Pair {
    let y = Reduced::of(Pair::new(x, 0.0));
    if y.r.hi == x {
        return Pair::ordered(x, y.rest());
    }
    let y = y.pair().scaled(power_of_two(y.e));
    let s = Pair::sum(y.hi, -1.0);
    Pair::ordered(s.hi, s.lo + y.lo)
}

pub(super) fn exp_m1(x: f64) -> f64 {
    let size = x.abs();
    if size < TINY {
        x
    } else if size <= 45.0 {
        exp_m1_pair(x).round()
    } else if x < 0.0 {
        -1.0
    } else {
        exp(x)
    }
}

/// Below it sinh x, tanh x and eˣ - 1 are x.
const TINY: f64 = power_of_two(-54);

/// Below it sinh x and tanh x are x within 2^-58.
const SMALL: f64 = power_of_two(-28);

pub(super) fn tanh(x: f64) -> f64 {
    let size = x.abs();
    if size < SMALL || x.is_nan() {
        return x;
    }
    if size > 20.0 {
        return 1f64.copysign(x);
    }
    // (e^2|x| - 1)/(e^2|x| + 1)
    let e = exp_m1_pair(2.0 * size);
    e.div(e.add(Pair::new(2.0, 0.0))).round().copysign(x)
}

pub(super) fn sinh(x: f64) -> f64 {
    let size = x.abs();
    if size < SMALL || x.is_nan() {
        return x;
    }
    if size > 45.0 {
        return half_exp(size).copysign(x);
    }
    // (E + E/(E + 1))/2 with E = e^|x| - 1: no difference of like numbers
    let e = exp_m1_pair(size);
    (0.5 * e.add(e.div(e.add(Pair::new(1.0, 0.0)))).round()).copysign(x)
}

pub(super) fn cosh(x: f64) -> f64 {
    let size = x.abs();
    if x.is_nan() || size > 45.0 {
        return if x.is_nan() { x } else { half_exp(size) };
    }
    let y = Reduced::of(Pair::new(size, 0.0));
    let e = y.pair().scaled(power_of_two(y.e));
    0.5 * e.add(Pair::new(1.0, 0.0).div(e)).round()
}

/// eˣ/2, which overflows later than eˣ.
fn half_exp(x: f64) -> f64 {
    if x > FAR {
        return f64::INFINITY;
    }
    let y = Reduced::of(Pair::new(x, 0.0));
    times_power(y.value(), y.e - 1)
}
