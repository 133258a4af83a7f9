//! Multilayer perceptrons.

use crate::autodiff::Var;
use crate::linalg::{Factor, Matrix};
use crate::num::Real;
use crate::rng::{Stream, fill_normal};
use std::sync::Arc;

/// A trainable matrix, shared with the tapes that compute with it.
pub(crate) type Parameter<T> = Arc<Factor<T>>;

/// Trainable matrices in a fixed order, shared with the tapes that compute with them.
pub type Parameters<T> = Vec<Arc<Factor<T>>>;

/// A weight with entries from N(0, 1/rows).
pub(crate) fn normal_weight<T: Real>(rng: &mut Stream, rows: usize, cols: usize) -> Matrix<T> {
    let mut weight = Matrix::zeros(rows, cols);
    fill_normal(rng, weight.as_mut_slice());
    let sd = T::from_f64((1.0 / rows as f64).sqrt());
    weight.map(|x| x * sd)
}

/// A multilayer perceptron: x ↦ W_L a(… a(x W_1 + b_1) …) + b_L with a = SiLU, a(u) = u σ(u).
///
/// It owns no parameters: they stand in a list beside those of the rest of the model, so that one optimiser moves all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mlp {
    widths: Vec<usize>,
}

impl Mlp {
    /// Layers of `widths`: inputs first, outputs last; at least these two.
    pub fn new(widths: Vec<usize>) -> Self {
        assert!(widths.len() >= 2, "Mlp: an input and an output width are needed, got {widths:?}");
        Self { widths }
    }

    /// Number of trainable numbers with layers of `widths`, Σ_k (w_k + 1) w_{k+1}; None beyond the whole numbers.
    /// Nothing is made.
    pub fn size(widths: &[usize]) -> Option<usize> {
        widths.windows(2).try_fold(0usize, |sum, w| sum.checked_add(w[0].checked_add(1)?.checked_mul(w[1])?))
    }

    /// Number of matrices: a weight and a bias for each layer.
    pub fn parameter_count(&self) -> usize {
        2 * (self.widths.len() - 1)
    }

    /// Names of the matrices, in order.
    pub fn parameter_names(&self) -> Vec<String> {
        (1..self.widths.len()).flat_map(|k| [format!("layer{k}.weight"), format!("layer{k}.bias")]).collect()
    }

    /// Initial matrices: W ~ N(0, 1/fan-in) (LeCun et al., 1998), b = 0.
    pub fn initialise<T: Real>(&self, rng: &mut Stream) -> Vec<Matrix<T>> {
        let mut out = Vec::with_capacity(self.parameter_count());
        for pair in self.widths.windows(2) {
            out.push(normal_weight(rng, pair[0], pair[1]));
            out.push(Matrix::zeros(1, pair[1]));
        }
        out
    }

    /// The network at x (n×inputs → n×outputs) with `parameters` in the order of [`Mlp::parameter_names`].
    #[track_caller]
    pub fn forward<'t, T: Real>(&self, parameters: &[Var<'t, T>], x: Var<'t, T>) -> Var<'t, T> {
        assert_eq!(parameters.len(), self.parameter_count(), "Mlp::forward: number of parameters");
        let last = self.widths.len() - 2;
        parameters
            .chunks_exact(2)
            .enumerate()
            .fold(x, |x, (layer, wb)| if layer == last { x.affine(wb[0], wb[1]) } else { x.hidden(wb[0], wb[1]) })
    }
}
