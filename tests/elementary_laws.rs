//! Elementary functions: the errors that they state, against numbers of 256 bits and more, and the edges of IEEE 754.

use pushforward::num::{self, Big};
use pushforward::rng::{Purpose, stream, uniform};
use std::f64::consts::{FRAC_PI_2, LN_2, PI};

/// A function of one number or two in both precisions, its value in big numbers, where it is tried, and the ulps that it states for
/// normal and subnormal results.
struct Member {
    name: &'static str,
    double: fn(f64, f64) -> f64,
    single: fn(f32, f32) -> f32,
    exact: fn(&Big, &Big) -> Big,
    domain: fn(f64, f64) -> bool,
    stated: [f64; 2],
}

macro_rules! member {
    ($name:ident(x), $exact:expr, $domain:expr, $stated:expr) => {
        Member {
            name: stringify!($name),
            double: |x, _| num::$name(x),
            single: |x, _| num::$name(x),
            exact: |x, _| $exact(x),
            domain: |x, _| $domain(x),
            stated: $stated,
        }
    };
    ($name:ident(x, y), $exact:expr, $domain:expr, $stated:expr) => {
        Member {
            name: stringify!($name),
            double: num::$name,
            single: num::$name,
            exact: $exact,
            domain: $domain,
            stated: $stated,
        }
    };
}

fn members() -> Vec<Member> {
    vec![
        member!(exp(x), exp, |x: f64| x.abs() < 746.0, [0.52, 0.77]),
        member!(exp2(x), |x: &Big| exp(&x.mul(&ln(&x.same_length(2.0)))), |x: f64| x.abs() < 1075.0, [0.52, 0.77]),
        member!(exp_m1(x), exp_m1, |x: f64| x.abs() < 710.0, [0.52, 0.52]),
        member!(sinh(x), sinh, |x: f64| x.abs() < 711.0, [0.52, 0.52]),
        member!(cosh(x), |x: &Big| half(&exp(x).add(&exp(&x.neg()))), |x: f64| x.abs() < 711.0, [0.52, 0.52]),
        member!(tanh(x), tanh, |x: f64| x.abs() < 60.0, [0.52, 0.52]),
        member!(ln(x), ln, |x: f64| x > 0.0, [0.52, 0.52]),
        member!(log2(x), |x: &Big| ln(x).div(&ln(&x.same_length(2.0))), |x: f64| x > 0.0, [0.52, 0.52]),
        member!(log10(x), |x: &Big| ln(x).div(&ln(&x.same_length(10.0))), |x: f64| x > 0.0, [0.52, 0.52]),
        member!(ln_1p(x), ln_1p, |x: f64| x > -1.0, [0.52, 0.52]),
        member!(sin(x), |x: &Big| sin_cos(x).0, |_: f64| true, [0.8, 0.52]),
        member!(cos(x), |x: &Big| sin_cos(x).1, |_: f64| true, [0.8, 0.52]),
        member!(tan(x), tan, |_: f64| true, [1.0, 0.52]),
        member!(atan(x), atan, |_: f64| true, [0.52, 0.52]),
        member!(acos(x), acos, |x: f64| x.abs() < 1.0, [0.52, 0.52]),
        member!(powf(x, y), |x, y| exp(&ln(x).mul(y)), |x, y| x > 0.0 && (y * x.ln()).abs() < 744.0, [0.7, 0.95]),
        member!(atan2(x, y), atan2, |_, _| true, [0.52, 0.52]),
        member!(hypot(x, y), |x, y| x.mul(x).add(&y.mul(y)).sqrt(), |x, y| x.hypot(y) < 1e308, [0.52, 0.77]),
    ]
}

fn takes_two(m: &Member) -> bool {
    matches!(m.name, "powf" | "atan2" | "hypot")
}

/// Arguments of each function.
const COUNT: usize = 800;

/// Digits of 32 bits for arguments of ordinary size.
const LENGTH: usize = 8;

/// Below it a series of three terms has 256 bits.
const SMALL: f64 = 1e-20;

fn half(x: &Big) -> Big {
    x.mul(&x.same_length(0.5))
}

fn exp(x: &Big) -> Big {
    x.exp().unwrap()
}

fn ln(x: &Big) -> Big {
    x.ln()
}

/// Σ c_k xᵏ from k = 1.
fn series(x: &Big, c: &[(f64, f64)]) -> Big {
    let zero = x.same_length(0.0);
    c.iter().rev().fold(zero, |sum, &(a, b)| sum.add(&x.same_length(a).div(&x.same_length(b))).mul(x))
}

fn is_small(x: &Big) -> bool {
    x.log_size() < SMALL.ln()
}

fn exp_m1(x: &Big) -> Big {
    if is_small(x) {
        return series(x, &[(1.0, 1.0), (1.0, 2.0), (1.0, 6.0), (1.0, 24.0)]);
    }
    exp(x).sub(&x.same_length(1.0))
}

fn ln_1p(x: &Big) -> Big {
    if is_small(x) {
        return series(x, &[(1.0, 1.0), (-1.0, 2.0), (1.0, 3.0), (-1.0, 4.0)]);
    }
    ln(&x.add(&x.same_length(1.0)))
}

fn sinh(x: &Big) -> Big {
    half(&exp_m1(x).sub(&exp_m1(&x.neg())))
}

fn tanh(x: &Big) -> Big {
    let e = exp_m1(&x.add(x));
    e.div(&e.add(&x.same_length(2.0)))
}

/// π by the arithmetic-geometric mean (Gauss; Brent, 1976).
fn pi(length: usize) -> Big {
    let one = Big::new(1.0, length);
    let (mut a, mut b, mut t, mut p) = (one.clone(), half(&one).sqrt(), one.same_length(0.25), 1.0);
    for _ in 0..(32 * length).ilog2() + 1 {
        let next = half(&a.add(&b));
        b = a.mul(&b).sqrt();
        let d = a.sub(&next);
        t = t.sub(&d.mul(&d).mul(&one.same_length(p)));
        (a, p) = (next, 2.0 * p);
    }
    let sum = a.add(&b);
    sum.mul(&sum).div(&t.mul(&one.same_length(4.0)))
}

/// (sin x, cos x) by their series on x mod 2π; numbers far above 1 get the digits that the reduction takes.
fn sin_cos(x: &Big) -> (Big, Big) {
    let far = (x.log_size() / LN_2 / 32.0).max(0.0) as usize;
    let length = LENGTH + far;
    let x = Big::new(x.to_f64(), length);
    let turn = pi(length).mul(&x.same_length(2.0));
    let mut turns = x.div(&turn);
    while turns.to_f64().abs() > 0.5 {
        let whole = turns.to_f64().round();
        turns = turns.sub(&turns.same_length(whole));
    }
    let y = if far == 0 && x.to_f64().abs() < 3.0 { x } else { turns.mul(&turn) };
    let (mut term, mut sums) = (y.same_length(1.0), [y.same_length(0.0), y.same_length(0.0)]);
    for k in 0.. {
        let signed = if k % 4 < 2 { term.clone() } else { term.neg() };
        sums[k % 2] = sums[k % 2].add(&signed);
        term = term.mul(&y).div(&y.same_length((k + 1) as f64));
        if term.is_zero() || term.log_size() < -220.0 + y.log_size().min(0.0) {
            break;
        }
    }
    let [cos, sin] = sums;
    (sin, cos)
}

fn tan(x: &Big) -> Big {
    let (s, c) = sin_cos(x);
    s.div(&c)
}

/// By 2 atan(x/(1 + √(1 + x²))) until the series is short.
fn atan(x: &Big) -> Big {
    let one = x.same_length(1.0);
    let (mut y, mut doublings) = (x.clone(), 1.0);
    while y.log_size() > -5.0 {
        y = y.div(&one.add(&one.add(&y.mul(&y)).sqrt()));
        doublings *= 2.0;
    }
    let square = y.mul(&y);
    let (mut sum, mut term) = (y.same_length(0.0), y.clone());
    for k in 0..26 {
        let part = term.div(&y.same_length((2 * k + 1) as f64));
        sum = if k % 2 == 0 { sum.add(&part) } else { sum.sub(&part) };
        term = term.mul(&square);
    }
    sum.mul(&y.same_length(doublings))
}

fn atan2(y: &Big, x: &Big) -> Big {
    let base = atan(&y.div(x));
    match (x.is_positive(), y.is_positive()) {
        (true, _) => base,
        (false, true) => base.add(&pi(LENGTH)),
        (false, false) => base.sub(&pi(LENGTH)),
    }
}

fn acos(x: &Big) -> Big {
    let one = x.same_length(1.0);
    let s = one.sub(x).div(&one.add(x)).sqrt();
    let y = atan(&s);
    y.add(&y)
}

/// |exact - got| in units in the last place of a format with `bits` of mantissa and smallest number 2^`least`.
fn ulps(exact: &Big, got: f64, bits: i32, least: i32) -> (f64, bool) {
    let exponent = (exact.log_size() / LN_2).floor() as i32;
    let size = exact.to_f64().abs();
    // the logarithm may be on the wrong side of an integer
    let exponent = match size {
        s if s >= 2f64.powi(exponent + 1) => exponent + 1,
        s if exponent > -1000 && s < 2f64.powi(exponent) => exponent - 1,
        _ => exponent,
    };
    let unit = (exponent - bits).max(least);
    let gap = exact.sub(&exact.same_length(got));
    let error = if gap.is_zero() { 0.0 } else { (gap.log_size() - unit as f64 * LN_2).exp() };
    (error, exponent - bits < least)
}

/// Arguments: about 1 and 50, of every size, next to ±1 and to multiples of π/2, on the seams of tables and reductions, and the double
/// nearest to a multiple of π/2 (Muller, Elementary Functions, section 11.2).
fn arguments(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = stream(seed, Purpose::Check, 0);
    let mut out = vec![
        6381956970095103.0 * 2f64.powi(797),
        1e22,
        2f64.powi(1023),
        f64::MAX,
        1e6,
        999_999.9,
        5e-324,
        f64::MIN_POSITIVE,
    ];
    for k in 0..count {
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        let (u, v) = (uniform(&mut rng), uniform(&mut rng));
        let x: f64 = match k % 16 {
            0..4 => 2.0 * u,
            4..7 => 50.0 * u,
            7 => {
                if v < 0.5 {
                    708.0 * u
                } else {
                    708.0 + 37.0 * u
                }
            }
            8 => num::exp2(-1074.0 + 2097.0 * u) * (1.0 + v),
            9 | 10 => num::exp2(-40.0 + 60.0 * u) * (1.0 + v),
            11 => 1.0 + (u - 0.5) * num::exp2(-50.0 * v),
            12 => FRAC_PI_2 * (1e4 * u.powi(4)).round() * (1.0 + f64::EPSILON * (3.0 * v).floor()),
            13 => (128.0 * u).round() / 128.0 * LN_2 + (v - 0.5) * 1e-9,
            14 => (181.0 * u + 0.5).floor() / 128.0 + 1.0 / 256.0 + (v - 0.5) * 1e-12,
            _ => (16.0 * u).floor() / 16.0 + 1.0 / 32.0 + (v - 0.5) * 1e-12,
        };
        out.push(sign * x);
    }
    out.retain(|x| x.is_finite() && *x != 0.0);
    out
}

/// Checks the errors that the module states for every function and both precisions, on 800 arguments or pairs each; that the measure sees the rounding itself; and that each function moved by one unit in the last place is refused.
#[test]
fn stated_errors() {
    for m in members() {
        let (x, y) = (arguments(COUNT, 1), arguments(COUNT, 2));
        let (mut worst, mut moved, mut single) = ([0f64; 2], 0f64, 0f64);
        for (i, &x) in x.iter().enumerate() {
            let y = if !takes_two(&m) {
                0.5
            } else if i % 3 == 0 {
                y[i % y.len()]
            } else {
                // of like size
                x * y[i % y.len()].abs().clamp(0.01, 20.0)
            };
            let x = if m.name == "powf" { x.abs() } else { x };
            if y == 0.0 || !y.is_finite() || !(m.domain)(x, y) {
                continue;
            }
            let exact = (m.exact)(&Big::new(x, LENGTH), &Big::new(y, LENGTH));
            if exact.log_size() > 709.78 || exact.log_size() < -745.2 {
                continue;
            }
            let got = (m.double)(x, y);
            let (error, subnormal) = ulps(&exact, got, 52, -1074);
            assert!(error <= m.stated[usize::from(subnormal)], "{}({x:e}, {y:e}) = {got:e}: {error:.4} ulp", m.name);
            worst[usize::from(subnormal)] = worst[usize::from(subnormal)].max(error);
            moved = moved.max(ulps(&exact, got.next_up(), 52, -1074).0);

            let (x, y) = (x as f32, y as f32);
            let (wide, other) = (f64::from(x), f64::from(y));
            if x == 0.0 || y == 0.0 || !x.is_finite() || !y.is_finite() || !(m.domain)(wide, other) || i % 4 != 0 {
                continue;
            }
            let exact = (m.exact)(&Big::new(wide, LENGTH), &Big::new(other, LENGTH));
            if exact.log_size() < 88.7 {
                let got = (m.single)(x, y);
                let error = ulps(&exact, f64::from(got), 23, -149).0;
                assert!(error <= 0.501, "{}({x:e}f32, {y:e}) = {got:e}: {error:.4} ulp", m.name);
                single = single.max(error);
            }
        }
        println!("{:8} {:.4} ulp, subnormal {:.4}, f32 {single:.4}", m.name, worst[0], worst[1]);
        assert!(worst[0] > 0.45 && single > 0.45, "{}: {worst:?} {single}: the rounding itself is not seen", m.name);
        assert!(moved > m.stated[0], "{}: one unit more is within what is stated", m.name);
    }
}

/// Checks values at zeros of both signs, infinities and NaN, overflow and underflow, and results that must be exact.
#[test]
fn edges() {
    use num::*;
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let least = f64::from_bits(1);
    let table: &[(&str, f64, f64)] = &[
        ("exp(0)", exp(0.0), 1.0),
        ("exp(-0)", exp(-0.0), 1.0),
        ("exp(∞)", exp(inf), inf),
        ("exp(-∞)", exp(-inf), 0.0),
        ("exp(709.79)", exp(709.79), inf),
        ("exp(-745.2)", exp(-745.2), 0.0),
        ("exp(-745.1)", exp(-745.1), least),
        ("exp2(1024)", exp2(1024.0), inf),
        ("exp2(1023)", exp2(1023.0), 2f64.powi(1023)),
        ("exp2(-1074)", exp2(-1074.0), least),
        ("exp2(-1e300)", exp2(-1e300), 0.0),
        ("exp_m1(-0)", exp_m1(-0.0), -0.0),
        ("exp_m1(∞)", exp_m1(inf), inf),
        ("exp_m1(-∞)", exp_m1(-inf), -1.0),
        ("exp_m1(800)", exp_m1(800.0), inf),
        ("ln(1)", ln(1.0), 0.0),
        ("ln(0)", ln(0.0), -inf),
        ("ln(-0)", ln(-0.0), -inf),
        ("ln(∞)", ln(inf), inf),
        ("ln(-1)", ln(-1.0), nan),
        ("ln(-∞)", ln(-inf), nan),
        ("ln_1p(-0)", ln_1p(-0.0), -0.0),
        ("ln_1p(-1)", ln_1p(-1.0), -inf),
        ("ln_1p(-1.5)", ln_1p(-1.5), nan),
        ("ln_1p(∞)", ln_1p(inf), inf),
        ("log2(2^-1074)", log2(least), -1074.0),
        ("log10(1e22)", log10(1e22), 22.0),
        ("sin(-0)", sin(-0.0), -0.0),
        ("sin(∞)", sin(inf), nan),
        ("cos(0)", cos(0.0), 1.0),
        ("cos(-∞)", cos(-inf), nan),
        ("tan(-0)", tan(-0.0), -0.0),
        ("tan(∞)", tan(inf), nan),
        ("atan(-0)", atan(-0.0), -0.0),
        ("atan(∞)", atan(inf), FRAC_PI_2),
        ("atan(-∞)", atan(-inf), -FRAC_PI_2),
        ("acos(1)", acos(1.0), 0.0),
        ("acos(-1)", acos(-1.0), PI),
        ("acos(0)", acos(0.0), FRAC_PI_2),
        ("acos(1.1)", acos(1.1), nan),
        ("acos(∞)", acos(inf), nan),
        ("atan2(0, 0)", atan2(0.0, 0.0), 0.0),
        ("atan2(-0, 0)", atan2(-0.0, 0.0), -0.0),
        ("atan2(0, -0)", atan2(0.0, -0.0), PI),
        ("atan2(-0, -1)", atan2(-0.0, -1.0), -PI),
        ("atan2(1, 0)", atan2(1.0, 0.0), FRAC_PI_2),
        ("atan2(∞, ∞)", atan2(inf, inf), 0.5 * FRAC_PI_2),
        ("atan2(-∞, -∞)", atan2(-inf, -inf), -1.5 * FRAC_PI_2),
        ("atan2(∞, 1)", atan2(inf, 1.0), FRAC_PI_2),
        ("atan2(-1, ∞)", atan2(-1.0, inf), -0.0),
        ("atan2(1, -∞)", atan2(1.0, -inf), PI),
        ("atan2(2^-1074, 1)", atan2(least, 1.0), least),
        ("sinh(-0)", sinh(-0.0), -0.0),
        ("sinh(-∞)", sinh(-inf), -inf),
        ("cosh(-∞)", cosh(-inf), inf),
        ("tanh(-0)", tanh(-0.0), -0.0),
        ("tanh(∞)", tanh(inf), 1.0),
        ("hypot(3, 4)", hypot(3.0, -4.0), 5.0),
        ("hypot(∞, NaN)", hypot(-inf, nan), inf),
        ("hypot(0, -0)", hypot(0.0, -0.0), 0.0),
        ("hypot(3e300, 4e300)", hypot(3e300, 4e300), 5e300),
        ("hypot(3, 4) 2^-1074", hypot(3.0 * least, 4.0 * least), 5.0 * least),
        ("powf(0, 0)", powf(0.0, 0.0), 1.0),
        ("powf(NaN, 0)", powf(nan, 0.0), 1.0),
        ("powf(1, NaN)", powf(1.0, nan), 1.0),
        ("powf(2, NaN)", powf(2.0, nan), nan),
        ("powf(-2, 3)", powf(-2.0, 3.0), -8.0),
        ("powf(-2, 0.5)", powf(-2.0, 0.5), nan),
        ("powf(-0, -3)", powf(-0.0, -3.0), -inf),
        ("powf(-0, 3)", powf(-0.0, 3.0), -0.0),
        ("powf(-0, 2)", powf(-0.0, 2.0), 0.0),
        ("powf(0, -0.5)", powf(0.0, -0.5), inf),
        ("powf(-∞, 3)", powf(-inf, 3.0), -inf),
        ("powf(-∞, -2)", powf(-inf, -2.0), 0.0),
        ("powf(-1, ∞)", powf(-1.0, inf), 1.0),
        ("powf(0.5, -∞)", powf(0.5, -inf), inf),
        ("powf(2, 1024)", powf(2.0, 1024.0), inf),
        ("powf(-1, 2^53 + 2)", powf(-1.0, 2f64.powi(53) + 2.0), 1.0),
        ("powf(10, 22)", powf(10.0, 22.0), 1e22),
        ("powf(1 + ε, 1e300)", powf(1.0 + f64::EPSILON, 1e300), inf),
        ("powf(2, 1e-320)", powf(2.0, 1e-320), 1.0),
    ];
    for (what, got, expected) in table {
        let same = got.to_bits() == expected.to_bits() || got.is_nan() && expected.is_nan();
        assert!(same, "{what} = {got:e}, expected {expected:e}");
    }
    for m in members() {
        assert!((m.double)(nan, 0.5).is_nan() && (m.single)(f32::NAN, 0.5).is_nan(), "{} of NaN", m.name);
        assert!(!takes_two(&m) || (m.double)(0.5, nan).is_nan(), "{} of NaN", m.name);
    }
    for k in -1074..=1023 {
        let x = exp2(f64::from(k));
        assert_eq!((x.log_2(), log2(x)), (f64::from(k), f64::from(k)));
    }
    for (k, x) in (-300..=308).map(|k| (k, format!("1e{k}").parse::<f64>().unwrap())) {
        assert_eq!(log10(x), f64::from(k));
    }
    for x in arguments(400, 3) {
        let (s, c) = sin_cos(x);
        assert!(
            s == sin(x)
                && c == cos(x)
                && (sin(-x), tan(-x), atan(-x), sinh(-x), tanh(-x)) == (-s, -tan(x), -atan(x), -sinh(x), -tanh(x))
        );
    }
}

/// The exponent of a power of two, by its bits.
trait Log2 {
    fn log_2(self) -> f64;
}

impl Log2 for f64 {
    fn log_2(self) -> f64 {
        let (x, less) = if self < f64::MIN_POSITIVE { (self * 2f64.powi(60), 60) } else { (self, 0) };
        ((x.to_bits() >> 52) as i64 - 1023 - less) as f64
    }
}

/// Checks that the bits of all functions are those of the day when they were written: no compiler, processor or library moves them.
/// And that `powi`, which the compiler brings along, multiplies by repeated squaring, constant exponent or not.
#[test]
fn bits_of_any_machine() {
    let (x, y) = (arguments(4_000, 4), arguments(4_000, 5));
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    for m in members() {
        for (x, y) in x.iter().zip(&y) {
            let f = (m.double)(*x, *y);
            // the sign and payload of NaN are not promised
            let bits = if f.is_nan() { 0 } else { f.to_bits() };
            sum = (sum ^ bits).wrapping_mul(0x0100_0000_01b3).rotate_left(7);
        }
    }
    assert_eq!(sum, 0xf997_ee61_2100_77ba, "the bits of elementary functions: {sum:#018x}");

    let squared = |x: f64, n: i32| {
        let (mut power, mut product, mut rest) = (x, 1.0, n.unsigned_abs());
        while rest > 0 {
            if rest & 1 == 1 {
                product *= power;
            }
            power *= power;
            rest >>= 1;
        }
        if n < 0 { 1.0 / product } else { product }
    };
    for x in arguments(800, 6) {
        for n in -12..=12 {
            assert_eq!(x.powi(std::hint::black_box(n)).to_bits(), squared(x, n).to_bits(), "{x:e}^{n}");
        }
        let constant = [x.powi(2), x.powi(3), x.powi(4), x.powi(5), x.powi(7), x.powi(-2), x.powi(-3)];
        assert_eq!(constant, [2, 3, 4, 5, 7, -2, -3].map(|n| squared(x, n)));
    }
}
