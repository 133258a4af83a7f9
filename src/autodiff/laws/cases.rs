//! One entry for each elementwise operation: on the tape, and by its formula. Those on whole matrices are in `matrices.rs`.

use crate::autodiff::dual::Scalar;
use crate::autodiff::laws::grid::{Grid, Number};
use crate::autodiff::laws::matrices;
use crate::autodiff::tape::Var;
use crate::num::{Real, Special};

pub(super) type Shape = (usize, usize);
pub(super) type OnTape<T> = for<'t> fn(&[Var<'t, T>]) -> Var<'t, T>;

/// An operation on the tape and the same one by its formula.
#[derive(Debug, Clone)]
pub struct Case<T: Real> {
    /// What it is.
    pub name: &'static str,
    /// On the tape.
    pub tape: OnTape<T>,
    /// By its formula on dual numbers.
    pub(super) formula: Formula,
    /// For each input the interval of its entries.
    pub domains: Vec<(f64, f64)>,
    /// Whether the operation is not differentiable where an input is 0 or two inputs are equal.
    pub kink: bool,
    /// The shapes on which it is defined.
    pub shapes: Shapes,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Formula {
    Unary(fn(Number) -> Number),
    Binary(fn(Number, Number) -> Number),
    Grid(fn(&[Grid]) -> Grid),
}

/// The shapes on which an operation is defined.
#[derive(Debug, Clone)]
pub enum Shapes {
    /// One input of any shape; the output has the same shape, one row or one column.
    Any,
    /// Two inputs of any shapes that broadcast.
    Broadcast,
    /// These.
    List(Vec<Vec<Shape>>),
}

impl<T: Real> Case<T> {
    /// The operation by its formula.
    pub fn reference(&self, x: &[Grid]) -> Grid {
        match self.formula {
            Formula::Unary(f) => x[0].map(f),
            Formula::Binary(f) => x[0].zip(&x[1], f),
            Formula::Grid(f) => f(x),
        }
    }

    /// Whether the operation works on inputs of any shapes that broadcast, so that random graphs can use it.
    pub fn composes(&self) -> bool {
        !matches!(self.shapes, Shapes::List(_))
    }

    /// Whether entry (i, j) of the output depends on entry (i, j) of the inputs alone.
    pub fn is_elementwise(&self) -> bool {
        !matches!(self.formula, Formula::Grid(_))
    }

    /// The shapes to try: empty ones, 1, primes, one longer than a vector register, and every broadcast in both orders.
    pub fn shape_sweep(&self) -> Vec<Vec<Shape>> {
        match &self.shapes {
            Shapes::Any => vec![(0, 0), (0, 3), (3, 0), (1, 1), (1, 5), (7, 1), (5, 3), (2, 37)]
                .into_iter()
                .map(|s| vec![s])
                .collect(),
            Shapes::Broadcast => {
                [(1, 1), (0, 3), (3, 0), (2, 5), (7, 3), (1, 19)].into_iter().flat_map(broadcasts).collect()
            }
            Shapes::List(list) => list.clone(),
        }
    }

    fn kinked(mut self) -> Self {
        self.kink = true;
        self
    }
}

/// Every pair of shapes that broadcasts to n×d without repeating both inputs along one axis, and row against column.
fn broadcasts((n, d): Shape) -> Vec<Vec<Shape>> {
    let mut pairs = vec![vec![(n, d), (n, d)], vec![(1, d), (n, 1)], vec![(n, 1), (1, d)]];
    for small in [(1, d), (n, 1), (1, 1)] {
        pairs.extend([vec![(n, d), small], vec![small, (n, d)]]);
    }
    pairs
}

fn unary<T: Real>(name: &'static str, domain: (f64, f64), tape: OnTape<T>, formula: fn(Number) -> Number) -> Case<T> {
    Case { name, tape, formula: Formula::Unary(formula), domains: vec![domain], kink: false, shapes: Shapes::Any }
}

fn binary<T: Real>(
    name: &'static str,
    domains: [(f64, f64); 2],
    tape: OnTape<T>,
    formula: fn(Number, Number) -> Number,
) -> Case<T> {
    let domains = domains.to_vec();
    Case { name, tape, formula: Formula::Binary(formula), domains, kink: false, shapes: Shapes::Broadcast }
}

/// A constant. Those of the table are exact in f32 too.
pub(super) fn c(x: f64) -> Number {
    Number::constant(x)
}

/// All cases.
pub fn cases<T: Real>() -> Vec<Case<T>> {
    [arithmetic(), elementary(), activations(), special(), matrices::cases()].concat()
}

fn arithmetic<T: Real>() -> Vec<Case<T>> {
    let (any, apart) = ((-3.0, 3.0), (0.5, 3.0));
    vec![
        binary("a + b", [any, any], |x| x[0] + x[1], |a, b| a + b),
        binary("a - b", [any, any], |x| x[0] - x[1], |a, b| a - b),
        binary("a b", [any, any], |x| x[0] * x[1], |a, b| a * b),
        binary("a / b", [any, apart], |x| x[0] / x[1], |a, b| a / b),
        binary("max(a, b)", [any, any], |x| x[0].max(x[1]), |a, b| a.max(b)).kinked(),
        binary(
            "min(a, b)",
            [any, any],
            |x| x[0].min(x[1]),
            |a, b| if b.real() < a.real() || b.real().is_nan() { b } else { a },
        )
        .kinked(),
        binary("a ≥ b", [any, any], |x| x[0].greater_equal(x[1]), |a, b| c(f64::from(a.real() >= b.real()))).kinked(),
        binary("masked", [any, any], |x| x[0].masked(x[1].step()), |a, b| if b.real() > 0.0 { a } else { c(0.0) })
            .kinked(),
        unary("-x", any, |x| -x[0], |x| -x),
        unary("1.75 x", any, |x| x[0] * T::from_f64(1.75), |x| c(1.75) * x),
        unary("x + 1.75", any, |x| x[0] + T::from_f64(1.75), |x| x + c(1.75)),
        unary("x - 0.5", any, |x| x[0] - T::from_f64(0.5), |x| x - c(0.5)),
        unary("x²", any, |x| x[0].square(), |x| x * x),
        unary("1/x", apart, |x| x[0].reciprocal(), |x| c(1.0) / x),
        unary("x^2.5", apart, |x| x[0].powf(T::from_f64(2.5)), |x| x.powf(2.5)),
        unary("x^-2", (-3.0, -0.5), |x| x[0].powf(T::from_f64(-2.0)), |x| c(1.0) / (x * x)),
        unary("x^0", any, |x| x[0].powf(T::from_f64(0.0)), |_| c(1.0)),
        unary("x^1", any, |x| x[0].powf(T::from_f64(1.0)), |x| x),
        unary("x^3", any, |x| x[0].powf(T::from_f64(3.0)), |x| x * x * x),
    ]
}

fn elementary<T: Real>() -> Vec<Case<T>> {
    let any = (-3.0, 3.0);
    vec![
        unary("exp", any, |x| x[0].exp(), |x| x.exp()),
        unary("exp, far", (-80.0, 80.0), |x| x[0].exp(), |x| x.exp()),
        unary("log", (0.1, 5.0), |x| x[0].ln(), |x| x.ln()),
        unary("expm1", any, |x| x[0].exp_m1(), |x| x.exp_m1()),
        unary("expm1, near 0", (-1e-9, 1e-9), |x| x[0].exp_m1(), |x| x.exp_m1()),
        unary("log1p", (-0.8, 4.0), |x| x[0].ln_1p(), |x| x.ln_1p()),
        unary("log1p, near 0", (-1e-9, 1e-9), |x| x[0].ln_1p(), |x| x.ln_1p()),
        unary("√", (0.2, 5.0), |x| x[0].sqrt(), |x| x.sqrt()),
        unary("abs", any, |x| x[0].abs(), |x| x.abs()).kinked(),
        unary("sign", any, |x| x[0].sign(), |x| x.sign()).kinked(),
        unary("step", any, |x| x[0].step(), |x| x.step()).kinked(),
        unary("sin", (-5.0, 5.0), |x| x[0].sin(), |x| x.sin()),
        unary("cos", (-5.0, 5.0), |x| x[0].cos(), |x| x.cos()),
        unary("tanh", any, |x| x[0].tanh(), |x| x.tanh()),
        unary("tanh, near 0", (-1e-9, 1e-9), |x| x[0].tanh(), |x| x.tanh()),
    ]
}

fn activations<T: Real>() -> Vec<Case<T>> {
    let (any, far) = ((-5.0, 5.0), (-60.0, 60.0));
    vec![
        unary("σ", any, |x| x[0].sigmoid(), |x| x.sigmoid()),
        unary("σ, far", far, |x| x[0].sigmoid(), |x| x.sigmoid()),
        unary("softplus", any, |x| x[0].softplus(), |x| x.softplus()),
        unary("softplus, far", far, |x| x[0].softplus(), |x| x.softplus()),
        unary("silu", any, |x| x[0].silu(), |x| x.silu()),
        unary("silu, far", far, |x| x[0].silu(), |x| x.silu()),
        unary("relu", any, |x| x[0].relu(), |x| x.relu()).kinked(),
        // product rule: (u σ)' = σ + u σ σ(-u)
        unary("silu'", any, |x| x[0].silu_slope(), |u| u.sigmoid() + u * u.sigmoid() * (-u).sigmoid()),
        unary("silu', far", far, |x| x[0].silu_slope(), |u| u.sigmoid() + u * u.sigmoid() * (-u).sigmoid()),
    ]
}

fn special<T: Real>() -> Vec<Case<T>> {
    use Special::*;
    let any = (-3.0, 3.0);
    vec![
        unary("log Γ", (0.1, 12.0), |x| x[0].special(LogGamma), |x| x.special(LogGamma)),
        unary("ψ", (0.1, 12.0), |x| x[0].special(Polygamma(0)), |x| x.special(Polygamma(0))),
        unary("ψ₂", (0.5, 12.0), |x| x[0].special(Polygamma(2)), |x| x.special(Polygamma(2))),
        unary("erf", any, |x| x[0].special(Erf), |x| x.special(Erf)),
        unary("Φ", any, |x| x[0].special(NormalCdf), |x| x.special(NormalCdf)),
        unary("log Φ", (-9.0, 3.0), |x| x[0].special(LogNormalCdf), |x| x.special(LogNormalCdf)),
        unary("φ/Φ", (-9.0, 3.0), |x| x[0].special(InverseMills), |x| x.special(InverseMills)),
        unary("atan", any, |x| x[0].special(Atan), |x| x.special(Atan)),
    ]
}
