//! The table of operations: each with its vector–Jacobian product beside its name.

use crate::autodiff::expm;
use crate::autodiff::messages::{self, Messages};
use crate::autodiff::tape::{ARITY, Var};
use crate::num::{Real, Special};
use std::sync::Arc;

/// An operation on matrices; elementwise unless its comment says otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op<T> {
    Leaf,
    // two inputs, with broadcasting of rows (1×d), columns (n×1) and scalars (1×1)
    Add,
    Sub,
    Mul,
    Div,
    Max,
    /// 1 where a ≥ b, else 0; its derivative is 0.
    GreaterEqual,
    /// a where b ≠ 0, else 0 whatever a is.
    Masked,
    // one input
    Scale(T),
    Offset(T),
    Square,
    Reciprocal,
    Power(T),
    Exp,
    Ln,
    ExpM1,
    Ln1p,
    Sqrt,
    Abs,
    Sign,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Softplus,
    Silu,
    /// The derivative of x σ(x).
    SiluSlope,
    Step,
    Special(Special),
    // by axis
    /// Sum over the axes in which the target shape is 1.
    SumTo(usize, usize),
    /// Repeats along the axes in which the input is 1.
    BroadcastTo(usize, usize),
    /// n×d → n×1: log Σⱼ exp(xᵢⱼ).
    LogSumExp,
    /// n×d → n×d: exp(xᵢⱼ - log Σ).
    Softmax,
    // matrices
    /// op(A) op(B), where a flag transposes.
    MatMul {
        ta: bool,
        tb: bool,
    },
    /// X W + b with b a row, in one pass.
    Affine,
    /// silu'(X W + b), and in the node behind it silu(X W + b): both from one exponential.
    HiddenSlope,
    Hidden,
    /// A⁻¹ of a square matrix.
    Inverse,
    /// exp(A) of the n×n matrix in each row, in `expm.rs`.
    ExpmRows,
    /// Sums of messages between particles, in `messages.rs`.
    Messages(Messages),
    Transpose,
    /// The same entries, row after row, in another shape.
    Reshape(usize, usize),
    ConcatCols,
    ConcatRows,
    /// Columns [from, to).
    SliceCols(usize, usize),
    /// Rows [from, to).
    SliceRows(usize, usize),
    /// Puts the input at columns from `.0` of a matrix of `.1` columns, zeros elsewhere.
    PadCols(usize, usize),
    /// Puts the input at rows from `.0` of a matrix of `.1` rows, zeros elsewhere.
    PadRows(usize, usize),
    /// Row k of the output is row index[k] of the input.
    GatherRows(Arc<[usize]>),
    /// Row index[k] of the output (of `.1` rows) is the sum of the input's rows k with that index.
    ScatterRows(Arc<[usize]>, usize),
}

impl<T> Op<T> {
    /// Number of inputs.
    pub(crate) fn arity(&self) -> usize {
        use Op::*;
        match self {
            Leaf => 0,
            Affine | HiddenSlope | Hidden => 3,
            Add
            | Sub
            | Mul
            | Div
            | Max
            | GreaterEqual
            | Masked
            | MatMul { .. }
            | Messages(_)
            | ConcatCols
            | ConcatRows => 2,
            _ => 1,
        }
    }
}

/// The cotangents of the inputs; none where they are zero or not wanted.
pub(crate) type Grads<'t, T> = [Option<Var<'t, T>>; ARITY];

/// The type of [`vjp`].
pub(crate) type Rules<T> =
    for<'t> fn(&Op<T>, Var<'t, T>, [Var<'t, T>; ARITY], Var<'t, T>, [bool; ARITY]) -> Grads<'t, T>;

fn one<T: Real>(dx: Var<'_, T>) -> Grads<'_, T> {
    [Some(dx), None, None]
}

/// Those of X W + b.
fn affine<'t, T: Real>([x, w, b]: [Var<'t, T>; ARITY], g: Var<'t, T>, wanted: [bool; ARITY]) -> Grads<'t, T> {
    [
        wanted[0].then(|| g.product(w, false, true)),
        wanted[1].then(|| x.product(g, true, false)),
        wanted[2].then(|| g.sum_to(b.shape())),
    ]
}

/// The cotangents of the inputs of `y = op(a, b, c)`, given the cotangent `g` of y. Only `wanted` ones need to be computed.
pub(crate) fn vjp<'t, T: Real>(
    op: &Op<T>,
    y: Var<'t, T>,
    [a, b, c]: [Var<'t, T>; ARITY],
    g: Var<'t, T>,
    wanted: [bool; ARITY],
) -> Grads<'t, T> {
    use Op::*;
    let two = |da: &dyn Fn() -> Var<'t, T>, db: &dyn Fn() -> Var<'t, T>| [wanted[0].then(da), wanted[1].then(db), None];
    match op {
        Leaf | GreaterEqual | Sign | Step => [None; ARITY],
        // sum rule; a broadcast input collects what was spread
        Add => two(&|| g.sum_to(a.shape()), &|| g.sum_to(b.shape())),
        Sub => two(&|| g.sum_to(a.shape()), &|| (-g).sum_to(b.shape())),
        // product rule
        Mul => two(&|| (g * b).sum_to(a.shape()), &|| (g * a).sum_to(b.shape())),
        // quotient rule: d(a/b) = da/b - (a/b) db/b
        Div => two(&|| (g / b).sum_to(a.shape()), &|| (-(g / b) * y).sum_to(b.shape())),
        // the larger input takes all; the first one at a tie
        Max => two(&|| (g * a.greater_equal(b)).sum_to(a.shape()), &|| (g - g * a.greater_equal(b)).sum_to(b.shape())),
        // where it is 0 by choice, what there is to differentiate may be NaN: chosen, not multiplied
        Masked => [wanted[0].then(|| g.masked(b).sum_to(a.shape())), None, None],
        Scale(k) => one(g * *k),
        Offset(_) => one(g),
        Square => one(g * a * T::from_f64(2.0)), // d x² = 2x dx
        Reciprocal => one(-(g * y.square())),    // d 1/x = -dx/x²
        // so that higher derivatives never multiply 0 by the infinite 0^-1
        Power(k) if *k == T::ZERO => [None; ARITY],
        Power(k) if *k == T::ONE => one(g),
        Power(k) => one(g * a.powf(*k - T::ONE) * *k), // d xᵏ = k xᵏ⁻¹ dx
        Exp => one(g * y),                             // d eˣ = eˣ dx
        Ln => one(g / a),                              // d log x = dx/x
        ExpM1 => one(g * a.exp()),                     // d (eˣ-1) = eˣ dx
        Ln1p => one(g / (a + T::ONE)),                 // d log(1+x) = dx/(1+x)
        Sqrt => one(g / y * T::from_f64(0.5)),         // d √x = dx/(2√x)
        Abs => one(g * a.sign()),                      // d |x| = sign(x) dx, 0 at 0
        Sin => one(g * a.cos()),                       // d sin x = cos x dx
        Cos => one(-(g * a.sin())),                    // d cos x = -sin x dx
        Tanh => one(g - g * y.square()),               // d tanh x = (1 - tanh² x) dx
        Sigmoid => one(g * y * (-a).sigmoid()),        // d σ = σ(x) σ(-x) dx
        Softplus => one(g * a.sigmoid()),              // d log(1+eˣ) = σ(x) dx
        Silu => one(g * a.silu_slope()),               // d x σ(x) = σ (1 + x σ(-x)) dx
        SiluSlope => one(a.silu_second(g)),
        Special(f) => one(special(*f, a, y, g)),
        SumTo(..) => one(g.broadcast_to(a.shape())),
        BroadcastTo(..) => one(g.sum_to(a.shape())),
        LogSumExp => one(g * a.softmax()),            // d lse = Σ softmax dx
        Softmax => one(y * (g - (g * y).row_sums())), // d softmax = softmax (dx - Σ softmax dx)
        // C = op(A) op(B): dop(A) = g op(B)ᵀ, dop(B) = op(A)ᵀ g
        MatMul { ta, tb } => two(&|| if *ta { b.product(g, *tb, true) } else { g.product(b, false, !*tb) }, &|| {
            if *tb { g.product(a, true, *ta) } else { a.product(g, !*ta, false) }
        }),
        Affine => affine([a, b, c], g, wanted),
        Hidden => affine([a, b, c], g * y.tape().hidden_slope(y), wanted),
        HiddenSlope => affine([a, b, c], a.affine(b, c).silu_second(g), wanted),
        Inverse => one(-y.product(g, true, false).product(y, false, true)), // d A⁻¹ = -A⁻¹ dA A⁻¹
        ExpmRows => one(expm::pull_back(a, g)),
        Messages(m) => {
            let [da, db] = messages::pull_back(m, [a, b], g, [wanted[0], wanted[1]]);
            [da, db, None]
        }
        Transpose => one(g.t()),
        Reshape(..) => one(g.reshape(a.shape().0, a.shape().1)),
        ConcatCols => two(&|| g.columns(0..a.shape().1), &|| g.columns(a.shape().1..g.shape().1)),
        ConcatRows => two(&|| g.rows(0..a.shape().0), &|| g.rows(a.shape().0..g.shape().0)),
        SliceCols(from, _) => one(g.pad_columns(*from, a.shape().1)),
        SliceRows(from, _) => one(g.pad_rows(*from, a.shape().0)),
        PadCols(from, _) => one(g.columns(*from..from + a.shape().1)),
        PadRows(from, _) => one(g.rows(*from..from + a.shape().0)),
        GatherRows(index) => one(g.scatter_rows(index, a.shape().0)),
        ScatterRows(index, _) => one(g.gather_rows(index)),
    }
}

/// f'(a) g for a special function y = f(a).
fn special<'t, T: Real>(f: Special, a: Var<'t, T>, y: Var<'t, T>, g: Var<'t, T>) -> Var<'t, T> {
    let gauss = |scale: f64, rate: f64| g * (a.square() * T::from_f64(-rate)).exp() * T::from_f64(scale);
    match f {
        Special::LogGamma => g * a.special(Special::Polygamma(0)),
        Special::Polygamma(k) => g * a.special(Special::Polygamma(k + 1)), // d ψ_k = ψ_(k+1) dx
        Special::Erf => gauss(std::f64::consts::FRAC_2_SQRT_PI, 1.0),      // d erf = 2/√π exp(-x²) dx
        Special::NormalCdf => gauss(1.0 / std::f64::consts::TAU.sqrt(), 0.5), // d Φ = φ dx
        Special::LogNormalCdf => g * a.special(Special::InverseMills),     // d log Φ = φ/Φ dx
        Special::InverseMills => -(g * y * (a + y)),                       // d (φ/Φ) = -φ/Φ (x + φ/Φ) dx
        Special::Atan => g / (a.square() + T::ONE),                        // d atan x = dx/(1 + x²)
    }
}

/// As [`vjp`] with 0 · ∞ = 0 · NaN = 0: where the result does not depend on an input, a derivative that is not finite is not asked for. It is
/// for functions with [`Masked`](Op::Masked) branches, of which one may be log 0.
pub(crate) fn vjp_with_branches<'t, T: Real>(
    op: &Op<T>,
    y: Var<'t, T>,
    [a, b, c]: [Var<'t, T>; ARITY],
    g: Var<'t, T>,
    wanted: [bool; ARITY],
) -> Grads<'t, T> {
    use Op::*;
    let to = |dx: Var<'t, T>, shape| dx.masked(g).sum_to(shape);
    match op {
        Mul => [wanted[0].then(|| to(g * b, a.shape())), wanted[1].then(|| to(g * a, b.shape())), None],
        Div => [wanted[0].then(|| to(g / b, a.shape())), wanted[1].then(|| to(-(g / b) * y, b.shape())), None],
        Square | Reciprocal | Power(_) | Exp | Ln | ExpM1 | Ln1p | Sqrt | Abs | Sin | Cos | Tanh | Sigmoid
        | Softplus | Silu | SiluSlope | Special(_) | LogSumExp => {
            vjp(op, y, [a, b, c], g, wanted).map(|dx| dx.map(|dx| dx.masked(g)))
        }
        _ => vjp(op, y, [a, b, c], g, wanted),
    }
}
