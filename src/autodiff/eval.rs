//! The values of the operations.

use crate::autodiff::expm;
use crate::autodiff::kernels::{log_sum_exp_rows, map, softmax_rows};
use crate::autodiff::op::Op;
use crate::autodiff::tape::{ARITY, Tape, Value};
use crate::linalg::{Lu, Matrix, Start, View, affine, gemm, shape_mismatch};
use crate::num::{self, Kernel, Real, dispatch};

type Shape = (usize, usize);

/// The shape of `op` on inputs of these shapes; panics with both shapes where they do not fit.
#[track_caller]
pub(crate) fn output_shape<T: Real>(op: &Op<T>, [a, b, c]: [Shape; ARITY]) -> Shape {
    use Op::*;
    match op {
        Add | Sub | Mul | Div | Max | GreaterEqual | Masked => broadcast_shape(op, a, b),
        SumTo(r, c) if (*r == a.0 || *r == 1) && (*c == a.1 || *c == 1) => (*r, *c),
        BroadcastTo(r, c) if (a.0 == *r || a.0 == 1) && (a.1 == *c || a.1 == 1) => (*r, *c),
        LogSumExp => (a.0, 1),
        MatMul { ta, tb } => {
            let (m, k) = if *ta { (a.1, a.0) } else { a };
            let (k2, n) = if *tb { (b.1, b.0) } else { b };
            if k == k2 { (m, n) } else { shape_mismatch("matmul", (m, k), (k2, n)) }
        }
        Affine if a.1 == b.0 && c == (1, b.1) => (a.0, b.1),
        Inverse if a.0 == a.1 => a,
        ExpmRows => (a.0, expm::side(a).pow(2)),
        Messages(m) => m.shape(a, b),
        Transpose => (a.1, a.0),
        Reshape(r, c) if r * c == a.0 * a.1 => (*r, *c),
        ConcatCols if a.0 == b.0 => (a.0, a.1 + b.1),
        ConcatRows if a.1 == b.1 => (a.0 + b.0, a.1),
        SliceCols(from, to) if from <= to && *to <= a.1 => (a.0, to - from),
        SliceRows(from, to) if from <= to && *to <= a.0 => (to - from, a.1),
        PadCols(from, total) if from + a.1 <= *total => (a.0, *total),
        PadRows(from, total) if from + a.0 <= *total => (*total, a.1),
        Inverse => shape_mismatch("inverse", a, (a.0, a.0)),
        Affine | ConcatCols | ConcatRows => shape_mismatch(&format!("{op:?}"), a, b),
        SumTo(s, t)
        | BroadcastTo(s, t)
        | Reshape(s, t)
        | SliceCols(s, t)
        | SliceRows(s, t)
        | PadCols(s, t)
        | PadRows(s, t) => shape_mismatch(&format!("{op:?}"), a, (*s, *t)),
        GatherRows(index) => (index.len(), a.1),
        ScatterRows(_, rows) => (*rows, a.1),
        _ => a,
    }
}

#[track_caller]
fn broadcast_shape<T: Real>(op: &Op<T>, a: Shape, b: Shape) -> Shape {
    let axis = |m: usize, n: usize| match (m, n) {
        _ if m == n => m,
        (1, n) => n,
        (m, 1) => m,
        _ => shape_mismatch(&format!("{op:?}"), a, b),
    };
    (axis(a.0, b.0), axis(a.1, b.1))
}

/// out ← op(a, b, c). Every entry of `out` is written; what was there is not read. Composite operations compute on `inner`.
pub(super) fn evaluate<T: Real>(
    op: &Op<T>,
    inputs: [&Value<T>; ARITY],
    out: &mut Matrix<T>,
    inner: &mut Option<Box<Tape<T>>>,
) {
    use Op::*;
    let [a, b, c]: [&Matrix<T>; ARITY] = inputs.map(|value| &**value);
    match op {
        Leaf | Hidden | HiddenSlope => unreachable!("{op:?} is not computed here"),
        Add => binary(a, b, out, |x, y| x + y),
        Sub => binary(a, b, out, |x, y| x - y),
        Mul => binary(a, b, out, |x, y| x * y),
        Div => binary(a, b, out, |x, y| x / y),
        // NaN in either input comes through
        Max => binary(a, b, out, |x, y| if x >= y || x.is_nan() { x } else { y }),
        GreaterEqual => binary(a, b, out, |x, y| if x >= y { T::ONE } else { T::ZERO }),
        Masked => binary(a, b, out, |x, m| if m != T::ZERO { x } else { T::ZERO }),
        Scale(k) => unary(a, out, |x| x * *k),
        Offset(k) => unary(a, out, |x| x + *k),
        Square => unary(a, out, |x| x * x),
        Reciprocal => unary(a, out, |x| T::ONE / x),
        Power(k) => unary(a, out, |x| x.powf(*k)),
        Exp => map(num::Exp, a, out),
        Ln => map(num::Ln, a, out),
        ExpM1 => map(num::ExpM1, a, out),
        Ln1p => unary(a, out, T::ln_1p),
        Sqrt => unary(a, out, T::sqrt),
        Abs => unary(a, out, T::abs),
        Sign => unary(a, out, sign),
        Sin => unary(a, out, T::sin),
        Cos => unary(a, out, T::cos),
        Tanh => map(num::Tanh, a, out),
        Sigmoid => map(num::Sigmoid, a, out),
        Softplus => map(num::Softplus, a, out),
        Silu => map(num::Silu, a, out),
        SiluSlope => map(num::SiluSlope, a, out),
        Step => unary(a, out, |x| if x > T::ZERO { T::ONE } else { T::ZERO }),
        Special(f) => unary(a, out, |x| T::from_f64(f.value(x.to_f64()))),
        SumTo(..) => sum_to(a, out),
        BroadcastTo(..) => broadcast_to(a, out),
        LogSumExp => log_sum_exp_rows(a, out),
        Softmax => softmax_rows(a, out),
        MatMul { ta, tb } => match inputs[1].parameter() {
            Some(b) => b.product(transposed(a, *ta), *tb, Start::Scaled(T::ZERO), out),
            None => gemm(T::ONE, transposed(a, *ta), transposed(b, *tb), T::ZERO, out),
        },
        Affine => match inputs[1].parameter() {
            Some(w) => w.product(a.view(), false, Start::Row(c.as_slice()), out),
            None => affine(a.view(), b.view(), c.as_slice(), out),
        },
        Inverse => inverse(a, out),
        ExpmRows => expm::values(a, out),
        Messages(m) => m.values(a, b, out, inner.get_or_insert_default()),
        _ => move_entries(op, a, b, out),
    }
}

/// The operations that only move entries.
fn move_entries<T: Real>(op: &Op<T>, a: &Matrix<T>, b: &Matrix<T>, out: &mut Matrix<T>) {
    use Op::*;
    match op {
        Transpose => {
            for (i, row) in a.iter_rows().enumerate() {
                row.iter().enumerate().for_each(|(j, &x)| out[(j, i)] = x);
            }
        }
        ConcatCols => {
            copy_columns(a, 0, out, 0, a.cols());
            copy_columns(b, 0, out, a.cols(), b.cols());
        }
        Reshape(..) => out.as_mut_slice().copy_from_slice(a.as_slice()),
        ConcatRows => {
            let (top, bottom) = out.as_mut_slice().split_at_mut(a.as_slice().len());
            top.copy_from_slice(a.as_slice());
            bottom.copy_from_slice(b.as_slice());
        }
        SliceCols(from, to) => copy_columns(a, *from, out, 0, to - from),
        SliceRows(from, to) => out.as_mut_slice().copy_from_slice(&a.as_slice()[from * a.cols()..to * a.cols()]),
        PadCols(from, _) => {
            out.as_mut_slice().fill(T::ZERO);
            copy_columns(a, 0, out, *from, a.cols());
        }
        PadRows(from, _) => {
            out.as_mut_slice().fill(T::ZERO);
            let start = from * a.cols();
            out.as_mut_slice()[start..start + a.as_slice().len()].copy_from_slice(a.as_slice());
        }
        GatherRows(index) => index.iter().enumerate().for_each(|(k, &i)| out.row_mut(k).copy_from_slice(a.row(i))),
        ScatterRows(index, _) => {
            out.as_mut_slice().fill(T::ZERO);
            for (k, &i) in index.iter().enumerate() {
                out.row_mut(i).iter_mut().zip(a.row(k)).for_each(|(o, &x)| *o += x);
            }
        }
        _ => unreachable!("{op:?} computes"),
    }
}

/// Columns [to, to + width) of `out` ← columns [from, from + width) of `a`; by columns where rows would be shorter than the way to them.
fn copy_columns<T: Real>(a: &Matrix<T>, from: usize, out: &mut Matrix<T>, to: usize, width: usize) {
    if width > 4 {
        return (0..a.rows())
            .for_each(|i| out.row_mut(i)[to..to + width].copy_from_slice(&a.row(i)[from..from + width]));
    }
    let (step, out_step) = (a.cols().max(1), out.cols().max(1));
    for j in 0..width {
        let source = a.as_slice().iter().skip(from + j).step_by(step);
        out.as_mut_slice().iter_mut().skip(to + j).step_by(out_step).zip(source).for_each(|(o, &x)| *o = x);
    }
}

fn transposed<T: Real>(m: &Matrix<T>, flag: bool) -> View<'_, T> {
    if flag { m.t() } else { m.view() }
}

/// out ← A⁻¹, in f64 whatever the precision; NaN where A is singular.
fn inverse<T: Real>(a: &Matrix<T>, out: &mut Matrix<T>) {
    match Lu::factor(&a.cast::<f64>()).inverse() {
        Ok(inverse) => {
            out.as_mut_slice().iter_mut().zip(inverse.as_slice()).for_each(|(o, &x)| *o = T::from_f64(x));
        }
        Err(_) => out.as_mut_slice().fill(T::NAN),
    }
}

fn sign<T: Real>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        x * T::ZERO // 0, and NaN for NaN
    }
}

fn unary<T: Real>(a: &Matrix<T>, out: &mut Matrix<T>, f: impl Fn(T) -> T) {
    dispatch(Unary(f, a.as_slice(), out.as_mut_slice()));
}

struct Unary<'a, F, T>(F, &'a [T], &'a mut [T]);

impl<F: Fn(T) -> T, T: Real> Kernel for Unary<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (o, &x) in self.2.iter_mut().zip(self.1) {
            *o = (self.0)(x);
        }
    }
}

struct Binary<'a, F, T>(F, &'a [T], &'a [T], &'a mut [T]);

impl<F: Fn(T, T) -> T, T: Real> Kernel for Binary<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        for (o, (&x, &y)) in self.3.iter_mut().zip(self.1.iter().zip(self.2)) {
            *o = (self.0)(x, y);
        }
    }
}

/// Row i of a matrix, or its only row.
#[inline(always)]
fn row_or_only<T: Real>(m: &Matrix<T>, i: usize) -> &[T] {
    m.row(if m.rows() == 1 { 0 } else { i })
}

/// out_ij ← f(a_ij, b_ij), where a row, a column or a scalar is repeated.
fn binary<T: Real>(a: &Matrix<T>, b: &Matrix<T>, out: &mut Matrix<T>, f: impl Fn(T, T) -> T) {
    if a.shape() == b.shape() {
        return dispatch(Binary(f, a.as_slice(), b.as_slice(), out.as_mut_slice()));
    }
    dispatch(Spread(f, a, b, out));
}

struct Spread<'a, F, T>(F, &'a Matrix<T>, &'a Matrix<T>, &'a mut Matrix<T>);

impl<F: Fn(T, T) -> T, T: Real> Kernel for Spread<'_, F, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self(f, a, b, out) = self;
        for i in 0..out.rows() {
            let (x, y, o) = (row_or_only(a, i), row_or_only(b, i), out.row_mut(i));
            // at most one of the two is a column
            if y.len() != o.len() {
                o.iter_mut().zip(x).for_each(|(o, &x)| *o = f(x, y[0]));
            } else if x.len() != o.len() {
                o.iter_mut().zip(y).for_each(|(o, &y)| *o = f(x[0], y));
            } else {
                o.iter_mut().zip(x.iter().zip(y)).for_each(|(o, (&x, &y))| *o = f(x, y));
            }
        }
    }
}

fn broadcast_to<T: Real>(a: &Matrix<T>, out: &mut Matrix<T>) {
    for i in 0..out.rows() {
        let (x, o) = (row_or_only(a, i), out.row_mut(i));
        if x.len() == o.len() { o.copy_from_slice(x) } else { o.fill(x[0]) }
    }
}

/// out ← sums of `a` over the axes in which `out` is 1, always in row order.
fn sum_to<T: Real>(a: &Matrix<T>, out: &mut Matrix<T>) {
    out.as_mut_slice().fill(T::ZERO);
    dispatch(SumTo(a, out));
}

struct SumTo<'a, T>(&'a Matrix<T>, &'a mut Matrix<T>);

impl<T: Real> Kernel for SumTo<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let Self(a, out) = self;
        let (one_row, one_col) = (out.rows() == 1, out.cols() == 1 && a.cols() != 1);
        for i in 0..a.rows() {
            let o = out.row_mut(if one_row { 0 } else { i });
            if one_col {
                o[0] += a.row(i).iter().copied().sum::<T>();
            } else {
                for (o, &x) in o.iter_mut().zip(a.row(i)) {
                    *o += x;
                }
            }
        }
    }
}
