//! Layers without a network: activation norm, and an invertible matrix by its LU factors.

use crate::autodiff::Var;
use crate::linalg::Matrix;
use crate::model::flow::Mapped;
use crate::num::Real;

/// y_i = e^{a_i} x_i + b_i, log |det| = Σ_i a_i (Kingma and Dhariwal, Glow, arXiv 1807.03039).   Parameters: a, b: 1×d.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActNorm {
    /// d.
    pub dim: usize,
}

impl ActNorm {
    pub(super) fn initialise<T: Real>(&self) -> Vec<Matrix<T>> {
        vec![Matrix::zeros(1, self.dim), Matrix::zeros(1, self.dim)]
    }

    pub(super) fn forward<'t, T: Real>(p: &[Var<'t, T>], x: Var<'t, T>) -> Mapped<'t, T> {
        Mapped { points: x * p[0].exp() + p[1], log_det: p[0].sum() }
    }

    pub(super) fn score<'t, T: Real>(p: &[Var<'t, T>], score: Var<'t, T>) -> Var<'t, T> {
        score * (-p[0]).exp()
    }

    pub(super) fn inverse<'t, T: Real>(p: &[Var<'t, T>], y: Var<'t, T>) -> Mapped<'t, T> {
        Mapped { points: (y - p[1]) * (-p[0]).exp(), log_det: -p[0].sum() }
    }
}

/// y = x A, A = L (U + diag e^c), L unit lower, U strictly upper triangular; log |det| = Σ_i c_i (Glow, section 3.2, with positive
/// diagonal and no permutation).   Parameters: L and U as d×d of which the triangle is used, c: 1×d.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linear {
    /// d.
    pub dim: usize,
    /// On the first so many coordinates none behind acts: those columns of L are the identity's.
    pub given: usize,
}

impl Linear {
    pub(super) fn initialise<T: Real>(&self) -> Vec<Matrix<T>> {
        let d = self.dim;
        vec![Matrix::zeros(d, d), Matrix::zeros(d, d), Matrix::zeros(1, d)]
    }

    /// A on the tape.
    fn matrix<'t, T: Real>(&self, p: &[Var<'t, T>]) -> Var<'t, T> {
        let (d, given) = (self.dim, self.given);
        let constant = |f: &dyn Fn(usize, usize) -> bool| {
            p[0].tape().leaf(&Matrix::from_fn(d, d, |i, j| if f(i, j) { T::ONE } else { T::ZERO }))
        };
        let identity = constant(&|i, j| i == j);
        let lower = p[0] * constant(&|i, j| i > j && j >= given) + identity;
        lower.matmul(p[1] * constant(&|i, j| i < j) + identity * p[2].exp())
    }

    pub(super) fn forward<'t, T: Real>(&self, p: &[Var<'t, T>], x: Var<'t, T>) -> Mapped<'t, T> {
        Mapped { points: x.matmul(self.matrix(p)), log_det: p[2].sum() }
    }

    /// s A⁻ᵀ.
    pub(super) fn score<'t, T: Real>(&self, p: &[Var<'t, T>], score: Var<'t, T>) -> Var<'t, T> {
        score.product(self.matrix(p).inverse(), false, true)
    }

    pub(super) fn inverse<'t, T: Real>(&self, p: &[Var<'t, T>], y: Var<'t, T>) -> Mapped<'t, T> {
        Mapped { points: y.matmul(self.matrix(p).inverse()), log_det: -p[2].sum() }
    }
}
