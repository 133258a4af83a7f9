//! Elementary functions over slices, and the sweeps that prove their error bounds.

use super::{Kernel, Real, dispatch};

/// A function of one number, to be applied to every element of a slice by [`map_slice`]. It may carry parameters.
pub trait Elementwise: Copy {
    /// f(x); mark it `#[inline(always)]`.
    fn apply<const FMA: bool, T: Real>(self, x: T) -> T;
}

/// x_i ← f(x_i).
struct MapSlice<'a, F, T>(F, &'a mut [T]);

impl<F: Elementwise, T: Real> Kernel for MapSlice<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for x in self.1 {
            *x = self.0.apply::<FMA, T>(*x);
        }
    }
}

/// x_i ← f(x_i), vectorised. The result of an element does not depend on its place in the slice.
pub fn map_slice<T: Real>(f: impl Elementwise, x: &mut [T]) {
    dispatch(MapSlice(f, x));
}

macro_rules! elementwise {
    ($($(#[$doc:meta])* $name:ident, $body:ident, $slice:ident;)*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Elementwise for $name {
            #[inline(always)]
            fn apply<const FMA: bool, T: Real>(self, x: T) -> T {
                x.$body::<FMA>()
            }
        }

        $(#[$doc])*
        ///
        #[doc = concat!("For every element in place; see [`Real::", stringify!($body), "`] for edges and accuracy.")]
        pub fn $slice<T: Real>(x: &mut [T]) {
            map_slice($name, x);
        })*
    };
}

elementwise! {
    /// x ← eˣ.
    Exp, exp_body, exp_slice;
    /// x ← eˣ - 1.
    ExpM1, exp_m1_body, exp_m1_slice;
    /// x ← log x.
    Ln, ln_body, ln_slice;
    /// x ← tanh x.
    Tanh, tanh_body, tanh_slice;
    /// x ← 1/(1 + e^-x).
    Sigmoid, sigmoid_body, sigmoid_slice;
    /// x ← log(1 + eˣ).
    Softplus, softplus_body, softplus_slice;
}

/// x σ(x), within 4 ε of itself.
#[derive(Debug, Clone, Copy)]
pub struct Silu;

/// Its derivative σ(x) (1 + x σ(-x)), within 8 ε of σ(x) (1 + |x| σ(-x)).
#[derive(Debug, Clone, Copy)]
pub struct SiluSlope;

impl Elementwise for Silu {
    #[inline(always)]
    fn apply<const FMA: bool, T: Real>(self, x: T) -> T {
        x * sigmoids::<FMA, T>(x).0
    }
}

impl Elementwise for SiluSlope {
    #[inline(always)]
    fn apply<const FMA: bool, T: Real>(self, x: T) -> T {
        let (sigma, complement) = sigmoids::<FMA, T>(x);
        sigma * x.fused::<FMA>(complement, T::ONE)
    }
}

/// σ(x) and σ(-x) from one exponential, neither by a difference.
#[inline(always)]
fn sigmoids<const FMA: bool, T: Real>(x: T) -> (T, T) {
    let e = (-x.abs()).exp_body::<FMA>();
    let large = T::ONE / (T::ONE + e);
    let small = e * large;
    if x < T::ZERO { (small, large) } else { (large, small) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::num::{InstructionSet, dispatch_on, instruction_sets};

    /// The images of `x` on one instruction set.
    fn on<T: Real>(set: InstructionSet, f: impl Elementwise, x: &[T]) -> Vec<T> {
        let mut y = x.to_vec();
        dispatch_on(set, MapSlice(f, &mut y));
        y
    }

    /// Bits in an order-preserving integer, so that a difference counts the floats in between.
    fn ordinal(x: f64) -> i64 {
        let b = x.to_bits() as i64;
        if b < 0 { i64::MIN - b } else { b }
    }

    fn ordinal32(x: f32) -> i64 {
        let b = x.to_bits() as i32;
        i64::from(if b < 0 { i32::MIN - b } else { b })
    }

    /// `count` points over [low, high], then the same number with magnitudes spread evenly in the logarithm and both signs.
    fn sweep(low: f64, high: f64, count: usize) -> Vec<f64> {
        let line = (0..count).map(|i| low + (high - low) * (i as f64 + 0.37) / count as f64);
        let scale = |i: usize| 10f64.powf(-20.0 + 22.0 * i as f64 / count as f64) * (1.0 - 2.0 * (i % 2) as f64);
        line.chain((0..count).map(scale)).filter(|x| (low..=high).contains(x)).collect()
    }

    /// Worst distances in ulp (f64 against `oracle`, f32 against the rounded `oracle`), and FMA instruction sets bit for bit.
    fn worst(f: impl Elementwise, oracle: fn(f64) -> f64, range: (f64, f64), range32: (f64, f64)) -> (i64, i64) {
        let x = sweep(range.0, range.1, 200_000);
        let x32: Vec<f32> = sweep(range32.0, range32.1, 200_000).into_iter().map(|x| x as f32).collect();
        let mut worst = (0, 0);
        let mut fused: Option<(Vec<f64>, Vec<f32>)> = None;
        for set in instruction_sets() {
            let (y, y32) = (on(set, f, &x), on(set, f, &x32));
            for (x, y) in x.iter().zip(&y) {
                worst.0 = worst.0.max((ordinal(*y) - ordinal(oracle(*x))).abs());
            }
            for (x, y) in x32.iter().zip(&y32) {
                worst.1 = worst.1.max((ordinal32(*y) - ordinal32(oracle(f64::from(*x)) as f32)).abs());
            }
            if set != InstructionSet::Portable {
                let first = fused.get_or_insert_with(|| (y.clone(), y32.clone()));
                assert!(*first == (y, y32), "{set:?} differs from the other set with fused multiply-add");
            }
        }
        worst
    }

    /// Checks the stated error bounds in every instruction set and both precisions on 400 000 points each, and that FMA instruction sets agree
    /// bit for bit. f32 is compared with f64 rounded; the f64 oracle, the standard library, is itself off by up to 1 ulp
    /// (tanh: 2), hence the larger distances allowed there.
    #[test]
    fn error_bounds() {
        fn check(name: &str, bound: (i64, i64), worst: (i64, i64)) {
            assert!(worst.0 <= bound.0 && worst.1 <= bound.1, "{name}: {worst:?} ulp (f64, f32), bound {bound:?}");
        }
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        check("exp", (1, 1), worst(Exp, f64::exp, (-708.0, 709.78), (-86.9, 88.72)));
        check("exp_m1", (2, 2), worst(ExpM1, f64::exp_m1, (-750.0, 709.78), (-100.0, 88.72)));
        check("ln", (1, 1), worst(Ln, f64::ln, (1e-20, 1e3), (1e-20, 1e3)));
        check("tanh", (4, 2), worst(Tanh, f64::tanh, (-30.0, 30.0), (-30.0, 30.0)));
        check("sigmoid", (3, 2), worst(Sigmoid, sigmoid, (-700.0, 700.0), (-86.0, 86.0)));
        check("softplus", (3, 2), worst(Softplus, softplus, (-700.0, 700.0), (-86.0, 86.0)));
    }

    /// Checks the edges in every instruction set: infinities, zeros, NaN, overflow, flush to zero, subnormal numbers.
    #[test]
    fn edges() {
        let payload = f64::from_bits(0x7ff8_0000_0000_0fff);
        let inf = f64::INFINITY;
        for set in instruction_sets() {
            let check = |f: fn(InstructionSet, &[f64]) -> Vec<f64>, x: f64, y: f64| {
                // nine copies reach the vector loop and its remainder
                for got in f(set, &[x; 9]) {
                    assert_eq!(got.to_bits(), y.to_bits(), "{set:?}: f({x:e}) = {got:e}, expected {y:e}");
                }
            };
            for (x, y) in
                [(inf, inf), (-inf, 0.0), (0.0, 1.0), (-0.0, 1.0), (709.79, inf), (-708.1, 0.0), (payload, payload)]
            {
                check(|s, x| on(s, Exp, x), x, y);
            }
            for (x, y) in [(inf, inf), (-inf, -1.0), (0.0, 0.0), (709.79, inf), (1e-300, 1e-300), (-50.0, -1.0)] {
                check(|s, x| on(s, ExpM1, x), x, y);
            }
            for (x, y) in
                [(inf, inf), (0.0, -inf), (-0.0, -inf), (1.0, 0.0), (5e-324, 5e-324f64.ln()), (payload, payload)]
            {
                check(|s, x| on(s, Ln, x), x, y);
            }
            for (x, y) in [(inf, 1.0), (-inf, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e-300, 1e-300), (-25.0, -1.0)] {
                check(|s, x| on(s, Tanh, x), x, y);
            }
            for (x, y) in [(inf, 1.0), (-inf, 0.0), (0.0, 0.5), (-710.0, 0.0)] {
                check(|s, x| on(s, Sigmoid, x), x, y);
            }
            for (x, y) in [(inf, inf), (-inf, 0.0), (0.0, std::f64::consts::LN_2), (800.0, 800.0)] {
                check(|s, x| on(s, Softplus, x), x, y);
            }
            let nan = [f64::NAN, payload, -f64::NAN];
            assert!(on(set, Exp, &nan).iter().chain(&on(set, Ln, &nan)).all(|y| y.is_nan()));
            assert!(on(set, ExpM1, &nan).iter().chain(&on(set, Tanh, &nan)).all(|y| y.is_nan()));
            assert!(on(set, Sigmoid, &nan).iter().chain(&on(set, Softplus, &nan)).all(|y| y.is_nan()));
            assert!(on(set, Ln, &[-1.0, -inf, -5e-324]).iter().all(|y| y.is_nan()));
        }
    }

    /// 2ˣ without checks, which has no slice function of its own.
    #[derive(Clone, Copy)]
    struct Exp2;

    impl Elementwise for Exp2 {
        #[inline(always)]
        fn apply<const FMA: bool, T: Real>(self, x: T) -> T {
            x.exp2_body::<FMA>()
        }
    }

    /// Checks 3 ulp (f32: 2) for the unchecked 2ˣ, one of which may be the oracle, exact powers at integers, and the floor below the smallest exponent.
    #[test]
    fn exp2_without_checks() {
        let worst = worst(Exp2, f64::exp2, (-1021.0, 1022.0), (-125.0, 126.0));
        assert!(worst.0 <= 3 && worst.1 <= 2, "exp2: {worst:?} ulp (f64, f32)");
        for set in instruction_sets() {
            for n in [-1021.0f64, -700.0, -1.0, 0.0, 3.0, 1022.0] {
                assert_eq!(on(set, Exp2, &[n; 9]), [n.exp2(); 9], "{set:?}");
            }
            assert_eq!(on(set, Exp2, &[-1e300, -f64::INFINITY, -1021.5]), [2f64.powi(-1021); 3]);
            assert_eq!(on(set, Exp2, &[-1e30f32, -f32::INFINITY, -125.2]), [2f32.powi(-125); 3]);
        }
    }

    /// Checks that f32 near both ends of exp's range has no gap: every float from -87.1 to -86.8 and from 88.7 to 88.8.
    #[test]
    fn single_precision_ends() {
        let every = |low: f32, high: f32| {
            (low.to_bits().min(high.to_bits())..=low.to_bits().max(high.to_bits())).map(f32::from_bits)
        };
        let x: Vec<f32> = every(-87.1, -86.8).chain(every(88.7, 88.8)).collect();
        for set in instruction_sets() {
            for (x, y) in x.iter().zip(on(set, Exp, &x)) {
                let exact = if *x < -86.9 { 0.0 } else { f64::from(*x).exp() as f32 };
                assert!(
                    y == exact || (ordinal32(y) - ordinal32(exact)).abs() <= 1,
                    "{set:?}: exp {x} = {y:e}, {exact:e}"
                );
            }
        }
    }
}
