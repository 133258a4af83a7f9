//! A layer of a flow: a bijection with its log-determinant, on the tape.

use crate::autodiff::Var;
use crate::linalg::Matrix;
use crate::model::flow::{ActNorm, AffineCoupling, Linear, SplineCoupling};
use crate::num::Real;
use crate::rng::Stream;

/// A batch that went through a layer, in either direction.
#[derive(Debug, Clone, Copy)]
pub struct Mapped<'t, T: Real> {
    /// The images of the rows, n×d.
    pub points: Var<'t, T>,
    /// log |det| of the Jacobian of *this* direction at each row, n×1, or 1×1 where it is the same for all rows.
    pub log_det: Var<'t, T>,
}

/// Points of a flow with its density there.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'t, T: Real> {
    /// y, n×d.
    pub points: Var<'t, T>,
    /// log q(y), n×1.
    pub log_density: Var<'t, T>,
    /// ∇ log q(y), n×d.
    pub score: Var<'t, T>,
}

/// A bijection of R^d (T12). It owns no parameters: they stand in the list of the whole flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Layer {
    /// y_i = e^{a_i} x_i + b_i.
    ActNorm(ActNorm),
    /// y = x L (U + diag σ).
    Linear(Linear),
    /// y_J = e^{a(x_I)} x_J + b(x_I).
    Affine(AffineCoupling),
    /// y_j = g_{θ_j(x_I)}(x_j), j ∈ J.
    Spline(SplineCoupling),
}

impl Layer {
    /// Names of its matrices, in order.
    pub fn parameter_names(&self) -> Vec<String> {
        match self {
            Layer::ActNorm(_) => ["log_scale", "shift"].map(String::from).to_vec(),
            Layer::Linear(_) => ["lower", "upper", "log_diagonal"].map(String::from).to_vec(),
            Layer::Affine(c) => c.split.network_names(),
            Layer::Spline(c) => c.split.network_names(),
        }
    }

    /// Initial matrices with which the layer is the identity.
    pub fn initialise<T: Real>(&self, rng: &mut Stream) -> Vec<Matrix<T>> {
        match self {
            Layer::ActNorm(l) => l.initialise(),
            Layer::Linear(l) => l.initialise(),
            Layer::Affine(c) => c.split.initialise(rng),
            Layer::Spline(c) => c.split.initialise(rng),
        }
    }

    /// y = T(x) and log |det DT(x)|.   x: n×d.
    #[track_caller]
    pub fn forward<'t, T: Real>(&self, parameters: &[Var<'t, T>], x: Var<'t, T>) -> Mapped<'t, T> {
        match self {
            Layer::ActNorm(_) => ActNorm::forward(parameters, x),
            Layer::Linear(l) => l.forward(parameters, x),
            Layer::Affine(c) => c.forward(parameters, x),
            Layer::Spline(c) => c.forward(parameters, x),
        }
    }

    /// y = T(x) and log |det DT(x)|, and from `score` s = ∇ log of the law of x, at x, that of the law of y, at y:
    /// (DT)⁻ᵀ (s - ∇ log |det DT|) (T12).   x, s: n×d.
    #[track_caller]
    pub fn forward_with_score<'t, T: Real>(
        &self,
        parameters: &[Var<'t, T>],
        x: Var<'t, T>,
        score: Var<'t, T>,
    ) -> (Mapped<'t, T>, Var<'t, T>) {
        match self {
            Layer::ActNorm(_) => (ActNorm::forward(parameters, x), ActNorm::score(parameters, score)),
            Layer::Linear(l) => (l.forward(parameters, x), l.score(parameters, score)),
            Layer::Affine(c) => c.forward_with_score(parameters, x, score),
            Layer::Spline(c) => c.forward_with_score(parameters, x, score),
        }
    }

    /// x = T⁻¹(y) and log |det DT⁻¹(y)|.   y: n×d.
    #[track_caller]
    pub fn inverse<'t, T: Real>(&self, parameters: &[Var<'t, T>], y: Var<'t, T>) -> Mapped<'t, T> {
        match self {
            Layer::ActNorm(_) => ActNorm::inverse(parameters, y),
            Layer::Linear(l) => l.inverse(parameters, y),
            Layer::Affine(c) => c.inverse(parameters, y),
            Layer::Spline(c) => c.inverse(parameters, y),
        }
    }
}
