//! The list of all operations, each written a second time with dual numbers; the law tests run over it.
//!
//! Not part of the public interface: it is public so that `tests/autodiff_laws.rs` can reach it.

mod cases;
mod grid;
mod matrices;

pub use cases::{Case, Shapes, cases};
pub use grid::{Grid, Number, log_sum_exp, total};

use crate::autodiff::op::{Grads, Op, vjp};
use crate::autodiff::tape::{ARITY, Tape, Var};
use crate::linalg::Matrix;
use crate::num::Real;

macro_rules! variants {
    ($($name:ident $({ $($field:tt)* })? $(($($position:tt),*))?;)*) => {
        /// The names of all operations that are computed.
        pub const OPERATIONS: &[&str] = &[$(stringify!($name)),*];

        /// The name of an operation. The match has no wildcard: a new operation does not compile until it is listed.
        fn name<T>(op: &Op<T>) -> &'static str {
            match op {
                Op::Leaf => "Leaf",
                $(Op::$name $({ $($field)* })? $(($($position),*))? => stringify!($name),)*
            }
        }
    };
}

variants! {
    Add; Sub; Mul; Div; Max; GreaterEqual; Masked;
    Scale(_); Offset(_); Square; Reciprocal; Power(_); Exp; Ln; ExpM1; Ln1p; Sqrt; Abs; Sign; Sin; Cos; Tanh;
    Sigmoid; Softplus; Silu; SiluSlope; Step; Special(_);
    SumTo(_, _); BroadcastTo(_, _); LogSumExp; Softmax;
    MatMul { .. }; Affine; HiddenSlope; Hidden; Inverse; ExpmRows; Messages(_); Transpose; Reshape(_, _); ConcatCols; ConcatRows; SliceCols(_, _); SliceRows(_, _); PadCols(_, _);
    PadRows(_, _); GatherRows(_); ScatterRows(_, _);
}

/// The names of the operations on a tape, in order of time, without leaves.
pub fn recorded<T: Real>(tape: &Tape<T>) -> Vec<&'static str> {
    tape.operations(|op| name(op)).into_iter().filter(|name| *name != "Leaf").collect()
}

/// Fills all memory that the tape keeps with NaN: what the next step reads before it writes shows.
pub fn poison<T: Real>(tape: &mut Tape<T>) {
    tape.fill_spare(T::NAN);
}

/// How [`planted`] falsifies every rule of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Plant {
    /// Derivatives 1 + 2⁻¹⁰ times too large.
    Factor,
    /// Derivatives of the opposite sign.
    Sign,
}

/// A tape on which every operation's derivative rule is wrong: the negative control. A rule that gives zero gives the cotangent.
pub fn planted<T: Real>(plant: Plant) -> Tape<T> {
    Tape::with_rules(match plant {
        Plant::Factor => wrong_factor,
        Plant::Sign => wrong_sign,
    })
}

fn wrong_factor<'t, T: Real>(
    op: &Op<T>,
    y: Var<'t, T>,
    x: [Var<'t, T>; ARITY],
    g: Var<'t, T>,
    wanted: [bool; ARITY],
) -> Grads<'t, T> {
    falsified(T::from_f64(1.0 + 1.0 / 1024.0), op, y, x, g, wanted)
}

fn wrong_sign<'t, T: Real>(
    op: &Op<T>,
    y: Var<'t, T>,
    x: [Var<'t, T>; ARITY],
    g: Var<'t, T>,
    wanted: [bool; ARITY],
) -> Grads<'t, T> {
    falsified(-T::ONE, op, y, x, g, wanted)
}

fn falsified<'t, T: Real>(
    factor: T,
    op: &Op<T>,
    y: Var<'t, T>,
    x: [Var<'t, T>; ARITY],
    g: Var<'t, T>,
    wanted: [bool; ARITY],
) -> Grads<'t, T> {
    let right = vjp(op, y, x, g, wanted);
    let zero = right.iter().all(Option::is_none);
    std::array::from_fn(|k| match right[k] {
        Some(dx) => Some(dx * factor),
        None => (zero && wanted[k]).then(|| g.sum_to(x[k].shape())),
    })
}

/// A matrix of inputs for input number `which` of a case: uniform in its domain, rounded to `T`; for operations with kinks on a
/// grid that keeps a distance of 1/32 from every kink and every tie.
pub fn sample<T: Real>(
    case: &Case<T>,
    which: usize,
    shape: (usize, usize),
    uniform: &mut dyn FnMut() -> f64,
) -> Matrix<T> {
    let (low, high) = case.domains[which];
    let (rows, cols) = shape;
    Matrix::from_fn(rows, cols, |_, _| {
        let x = low + (high - low) * uniform();
        T::from_f64(if case.kink { ((x * 8.0).floor() + 0.25 + 0.5 * which as f64) / 8.0 } else { x })
    })
}
