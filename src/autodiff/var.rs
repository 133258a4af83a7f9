//! What can be written with a [`Var`]: operators and named functions.

use crate::autodiff::op::Op;
use crate::autodiff::tape::Var;
use crate::num::{Real, Special};
use std::ops::{Add, Div, Mul, Neg, Range, Sub};
use std::sync::Arc;

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $op:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(self) -> Self {
            self.tape.apply(Op::$op, &[self])
        })*
    };
}

impl<T: Real> Var<'_, T> {
    unary! {
        /// x², entry by entry.
        square => Square;
        /// 1/x, entry by entry.
        reciprocal => Reciprocal;
        /// eˣ, entry by entry.
        exp => Exp;
        /// log x, entry by entry.
        ln => Ln;
        /// eˣ - 1 without cancellation, entry by entry.
        exp_m1 => ExpM1;
        /// log(1 + x) without cancellation, entry by entry.
        ln_1p => Ln1p;
        /// √x, entry by entry.
        sqrt => Sqrt;
        /// |x|, entry by entry; derivative sign(x), 0 at 0.
        abs => Abs;
        /// sign(x) in {-1, 0, 1}, entry by entry; derivative 0.
        sign => Sign;
        /// sin x, entry by entry.
        sin => Sin;
        /// cos x, entry by entry.
        cos => Cos;
        /// tanh x, entry by entry.
        tanh => Tanh;
        /// σ(x) = 1/(1 + e⁻ˣ), entry by entry.
        sigmoid => Sigmoid;
        /// log(1 + eˣ) without overflow, entry by entry.
        softplus => Softplus;
        /// x σ(x), entry by entry.
        silu => Silu;
        /// 1 where x > 0, else 0, entry by entry; derivative 0.
        step => Step;
        /// n×d → n×1: log Σⱼ exp(xᵢⱼ), exact in the far tail.
        log_sum_exp => LogSumExp;
        /// n×d → n×d: exp(xᵢⱼ) / Σⱼ exp(xᵢⱼ).
        softmax => Softmax;
        /// The transpose.
        t => Transpose;
        /// A⁻¹ of a square matrix; NaN where it is singular.
        inverse => Inverse;
    }

    /// max(x, 0), entry by entry; derivative 0 at 0.
    pub fn relu(self) -> Self {
        self.tape.scalar(T::ZERO).max(self)
    }

    /// xᵏ for a constant k, entry by entry (x > 0 unless k is an integer).
    pub fn powf(self, k: T) -> Self {
        self.tape.apply(Op::Power(k), &[self])
    }

    /// The larger of the two, entry by entry with broadcasting; at a tie the derivative goes to `self`.
    #[track_caller]
    pub fn max(self, other: Self) -> Self {
        self.tape.apply(Op::Max, &[self, other])
    }

    /// The smaller of the two, entry by entry with broadcasting; at a tie the derivative goes to `self`.
    #[track_caller]
    pub fn min(self, other: Self) -> Self {
        -(-self).max(-other)
    }

    /// 1 where self ≥ other, else 0, with broadcasting; derivative 0.
    #[track_caller]
    pub fn greater_equal(self, other: Self) -> Self {
        self.tape.apply(Op::GreaterEqual, &[self, other])
    }

    /// This where `mask` ≠ 0, else 0, entry by entry with broadcasting: there NaN and infinities do not come through, in the derivative either.
    /// On a tape [with branches](crate::autodiff::Tape::with_branches) neither do those of what this was computed from.
    #[track_caller]
    pub fn masked(self, mask: Self) -> Self {
        self.tape.apply(Op::Masked, &[self, mask])
    }

    /// A special function, entry by entry.
    pub fn special(self, f: Special) -> Self {
        self.tape.apply(Op::Special(f), &[self])
    }

    /// The derivative of x σ(x), entry by entry.
    pub(crate) fn silu_slope(self) -> Self {
        self.tape.apply(Op::SiluSlope, &[self])
    }

    /// h · silu''(self), with silu'' = σ' (2 + x (1 - 2σ)) and σ' = σ(x) σ(-x).
    pub(crate) fn silu_second(self, h: Self) -> Self {
        let two = T::from_f64(2.0);
        let sigma = self.sigmoid();
        h * sigma * (-self).sigmoid() * (self * (sigma * -two + T::ONE) + two)
    }

    /// Σ of all entries, 1×1.
    pub fn sum(self) -> Self {
        self.sum_to((1, 1))
    }

    /// Σ over each row, n×1.
    pub fn row_sums(self) -> Self {
        self.sum_to((self.shape().0, 1))
    }

    /// Σ over each column, 1×d.
    pub fn column_sums(self) -> Self {
        self.sum_to((1, self.shape().1))
    }

    /// Mean of all entries, 1×1.
    pub fn mean(self) -> Self {
        let (n, d) = self.shape();
        self.sum() * T::from_f64(1.0 / (n * d) as f64)
    }

    /// Mean over each row, n×1.
    pub fn row_means(self) -> Self {
        self.row_sums() * T::from_f64(1.0 / self.shape().1 as f64)
    }

    /// Mean over each column, 1×d.
    pub fn column_means(self) -> Self {
        self.column_sums() * T::from_f64(1.0 / self.shape().0 as f64)
    }

    /// Sums over the axes in which `shape` is 1, to that shape.
    #[track_caller]
    pub fn sum_to(self, shape: (usize, usize)) -> Self {
        if shape == self.shape() { self } else { self.tape.apply(Op::SumTo(shape.0, shape.1), &[self]) }
    }

    /// Repeats along the axes in which this is 1, to `shape`.
    #[track_caller]
    pub fn broadcast_to(self, shape: (usize, usize)) -> Self {
        if shape == self.shape() { self } else { self.tape.apply(Op::BroadcastTo(shape.0, shape.1), &[self]) }
    }

    /// A B.   self: m×k, other: k×n.
    #[track_caller]
    pub fn matmul(self, other: Self) -> Self {
        self.product(other, false, false)
    }

    /// op(A) op(B), where a flag transposes.
    #[track_caller]
    pub(crate) fn product(self, other: Self, ta: bool, tb: bool) -> Self {
        self.tape.apply(Op::MatMul { ta, tb }, &[self, other])
    }

    /// X W + b in one pass.   self: n×k, weight: k×m, bias: 1×m.
    #[track_caller]
    pub fn affine(self, weight: Self, bias: Self) -> Self {
        self.tape.apply(Op::Affine, &[self, weight, bias])
    }

    /// silu(X W + b): a hidden layer, in one pass.   self: n×k, weight: k×m, bias: 1×m.
    #[track_caller]
    pub fn hidden(self, weight: Self, bias: Self) -> Self {
        self.tape.hidden([self, weight, bias])
    }

    /// The same entries, row after row, as rows×cols.
    #[track_caller]
    pub fn reshape(self, rows: usize, cols: usize) -> Self {
        if (rows, cols) == self.shape() { self } else { self.tape.apply(Op::Reshape(rows, cols), &[self]) }
    }

    /// Columns `range`.
    #[track_caller]
    pub fn columns(self, range: Range<usize>) -> Self {
        self.tape.apply(Op::SliceCols(range.start, range.end), &[self])
    }

    /// Column j, n×1.
    #[track_caller]
    pub fn column(self, j: usize) -> Self {
        self.columns(j..j + 1)
    }

    /// Rows `range`.
    #[track_caller]
    pub fn rows(self, range: Range<usize>) -> Self {
        self.tape.apply(Op::SliceRows(range.start, range.end), &[self])
    }

    /// [A B], side by side.
    #[track_caller]
    pub fn concat_columns(self, other: Self) -> Self {
        self.tape.apply(Op::ConcatCols, &[self, other])
    }

    /// A above B.
    #[track_caller]
    pub fn concat_rows(self, other: Self) -> Self {
        self.tape.apply(Op::ConcatRows, &[self, other])
    }

    /// Row k of the result is row `index[k]`.
    #[track_caller]
    pub fn gather_rows(self, index: &Arc<[usize]>) -> Self {
        self.tape.apply(Op::GatherRows(Arc::clone(index)), &[self])
    }

    /// Row `index[k]` of the result (of `rows` rows) is the sum of the rows k of this with that index.
    #[track_caller]
    pub fn scatter_rows(self, index: &Arc<[usize]>, rows: usize) -> Self {
        self.tape.apply(Op::ScatterRows(Arc::clone(index), rows), &[self])
    }

    /// This at columns from `from` of a matrix of `cols` columns, zeros elsewhere.
    #[track_caller]
    pub fn pad_columns(self, from: usize, cols: usize) -> Self {
        self.tape.apply(Op::PadCols(from, cols), &[self])
    }

    /// This at rows from `from` of a matrix of `rows` rows, zeros elsewhere.
    #[track_caller]
    pub fn pad_rows(self, from: usize, rows: usize) -> Self {
        self.tape.apply(Op::PadRows(from, rows), &[self])
    }
}

impl<T: Real> Neg for Var<'_, T> {
    type Output = Self;
    fn neg(self) -> Self {
        self.tape.apply(Op::Scale(-T::ONE), &[self])
    }
}

macro_rules! binary {
    ($($trait:ident $method:ident;)*) => {
        $(impl<T: Real> $trait for Var<'_, T> {
            type Output = Self;
            #[track_caller]
            fn $method(self, other: Self) -> Self {
                self.tape.apply(Op::$trait, &[self, other])
            }
        })*
    };
}
binary! { Add add; Sub sub; Mul mul; Div div; }

macro_rules! scalar_right {
    ($($trait:ident $method:ident: |$k:ident| $op:expr;)*) => {
        $(impl<T: Real> $trait<T> for Var<'_, T> {
            type Output = Self;
            fn $method(self, $k: T) -> Self {
                self.tape.apply($op, &[self])
            }
        })*
    };
}
scalar_right! {
    Add add: |k| Op::Offset(k);
    Sub sub: |k| Op::Offset(-k);
    Mul mul: |k| Op::Scale(k);
    Div div: |k| Op::Scale(T::ONE / k);
}

macro_rules! scalar_left {
    ($($t:ident: $trait:ident $method:ident |$k:ident, $x:ident| $value:expr;)*) => {
        $(impl<'t> $trait<Var<'t, $t>> for $t {
            type Output = Var<'t, $t>;
            fn $method(self, $x: Var<'t, $t>) -> Var<'t, $t> {
                let $k = self;
                $value
            }
        })*
    };
}
scalar_left! {
    f32: Add add |k, x| x + k;
    f32: Sub sub |k, x| -x + k;
    f32: Mul mul |k, x| x * k;
    f32: Div div |k, x| x.tape.scalar(k) / x;
    f64: Add add |k, x| x + k;
    f64: Sub sub |k, x| -x + k;
    f64: Mul mul |k, x| x * k;
    f64: Div div |k, x| x.tape.scalar(k) / x;
}
