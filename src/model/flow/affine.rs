//! Affine coupling.

use crate::autodiff::Var;
use crate::model::flow::{Mapped, Split};
use crate::num::Real;

/// y_I = x_I, y_J = e^{a(x_I)} x_J + b(x_I), log |det| = Σ_J a(x_I) (Dinh, Sohl-Dickstein and Bengio, real NVP, arXiv 1605.08803).
///
/// a = 2 tanh(u/2) of the network's output u: a factor e^±2 at most, so that no step can overflow and the inverse stays tame where no
/// sample of training has been.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineCoupling {
    /// The groups and the network, with outputs (u, b).
    pub split: Split,
}

impl AffineCoupling {
    /// Largest |a|: a factor of 7.4 to either side; the two or more couplings that move a coordinate reach e^±4, a funnel's neck.
    pub const REACH: f64 = 2.0;

    /// Coordinates `kept` of R^d feed the scale and the shift of the others, by a network with `hidden` layers.
    pub fn new(dim: usize, kept: &[usize], hidden: &[usize]) -> Self {
        Self { split: Split::new(dim, kept, hidden, 2) }
    }

    /// (a, b) at each row.
    fn scale_and_shift<'t, T: Real>(&self, p: &[Var<'t, T>], kept: Option<Var<'t, T>>) -> (Var<'t, T>, Var<'t, T>) {
        let (u, m) = (self.split.conditioner(p, kept), self.split.moved().len());
        let a = (u.columns(0..m) * T::from_f64(1.0 / Self::REACH)).tanh() * T::from_f64(Self::REACH);
        (a, u.columns(m..2 * m))
    }

    pub(super) fn forward<'t, T: Real>(&self, p: &[Var<'t, T>], x: Var<'t, T>) -> Mapped<'t, T> {
        let (kept, moved) = self.split.take(x);
        let (a, b) = self.scale_and_shift(p, kept);
        Mapped { points: self.split.join(kept, moved * a.exp() + b), log_det: a.row_sums() }
    }

    /// The image and the score there, from the score s at x: s'_J = e^-a s_J, and a has the cotangent s'_J e^a x_J + 1.
    pub(super) fn forward_with_score<'t, T: Real>(
        &self,
        p: &[Var<'t, T>],
        x: Var<'t, T>,
        score: Var<'t, T>,
    ) -> (Mapped<'t, T>, Var<'t, T>) {
        let ((kept, moved), (kept_score, moved_score)) = (self.split.take(x), self.split.take(score));
        let (a, b) = self.scale_and_shift(p, kept);
        let (y, s) = (moved * a.exp() + b, moved_score * mutant!("coupling-score", a.exp(), (-a).exp()));
        let score = self.split.score(kept, kept_score, s, &[(a, moved * moved_score + T::ONE), (b, s)]);
        (Mapped { points: self.split.join(kept, y), log_det: a.row_sums() }, score)
    }

    pub(super) fn inverse<'t, T: Real>(&self, p: &[Var<'t, T>], y: Var<'t, T>) -> Mapped<'t, T> {
        let (kept, moved) = self.split.take(y);
        let (a, b) = self.scale_and_shift(p, kept);
        Mapped {
            points: self.split.join(kept, (moved - b) * (-a).exp()),
            log_det: mutant!("coupling-inverse-determinant", a.row_sums(), -a.row_sums()),
        }
    }
}
