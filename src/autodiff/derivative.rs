//! Derivatives of functions written with tape variables.

use crate::autodiff::tape::{Tape, Var};
use crate::linalg::Matrix;
use crate::num::Real;

/// H v with H = ∇² Σ y, for each row where rows do not interact; on the tape.   v: the shape of x.
#[track_caller]
pub fn hessian_vector<'t, T: Real>(y: Var<'t, T>, x: Var<'t, T>, v: Var<'t, T>) -> Var<'t, T> {
    let gradient = x.tape.gradient(y, &[x])[0];
    x.tape.pull_back(gradient, v, &[x])[0]
}

/// J_ij = ∂f_i/∂x_j (m×d) of a map f: R^d → R^m at one point `x` (1×d in, 1×m out), by one reverse sweep for each output.
#[track_caller]
pub fn jacobian<T: Real>(x: &[T], f: impl for<'t> Fn(Var<'t, T>) -> Var<'t, T>) -> Matrix<T> {
    let tape = Tape::new();
    let x = tape.leaf_from(1, x.len(), x);
    let y = f(x);
    let (rows, m) = y.shape();
    assert_eq!(rows, 1, "jacobian: f must map one row to one row");
    let rows: Vec<Vec<T>> = (0..m).map(|i| tape.gradient(y.column(i), &[x])[0].value().into_vec()).collect();
    Matrix::from_vec(m, x.shape().1, rows.concat())
}

/// H_ij = ∂²f/∂x_i∂x_j (d×d) of f: R^d → R at one point `x` (1×d in, 1×1 out), by one double sweep for each coordinate.
#[track_caller]
pub fn hessian<T: Real>(x: &[T], f: impl for<'t> Fn(Var<'t, T>) -> Var<'t, T>) -> Matrix<T> {
    jacobian(x, |x| x.tape.gradient(f(x), &[x])[0])
}

/// div f (n×1) of a field with f(x)_i a function of x_i alone (n×d in, n×d out), exactly, by d reverse sweeps; on the tape.
#[track_caller]
pub fn divergence<'t, T: Real>(field: Var<'t, T>, x: Var<'t, T>) -> Var<'t, T> {
    assert_eq!(field.shape(), x.shape(), "divergence: a field has the shape of its points");
    (0..x.shape().1)
        .map(|j| x.tape.gradient(field.column(j), &[x])[0].column(j))
        .reduce(|a, b| a + b)
        .unwrap_or_else(|| x.tape.filled(x.shape().0, 1, T::ZERO))
}
