//! What affine and spline couplings share: the two groups of coordinates, and the network that the first one feeds.

use crate::autodiff::Var;
use crate::linalg::Matrix;
use crate::nn::Mlp;
use crate::num::Real;
use crate::rng::Stream;
use std::sync::Arc;

/// The coordinates of a coupling in two groups, I (kept) and J (moved), and a network x_I ↦ the parameters of the map of x_J.
///
/// With I empty the "network" is one row of parameters: the map is the same for all points, coordinate by coordinate.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    kept: Arc<[usize]>,
    moved: Arc<[usize]>,
    /// Place of coordinate i in (I, J).
    place: Arc<[usize]>,
    network: Option<Mlp>,
    outputs: usize,
}

impl Split {
    /// I = `kept`, J the other coordinates of R^d; a network with `hidden` layers and `each` outputs for each of J.
    ///
    /// Panics where J is empty or a kept coordinate is not below d.
    #[track_caller]
    pub fn new(dim: usize, kept: &[usize], hidden: &[usize], each: usize) -> Self {
        assert!(kept.iter().all(|&i| i < dim), "Split::new: kept {kept:?} in dimension {dim}");
        let moved: Vec<usize> = (0..dim).filter(|i| !kept.contains(i)).collect();
        assert!(!moved.is_empty(), "Split::new: a coupling must move a coordinate");
        let order: Vec<usize> = kept.iter().chain(&moved).copied().collect();
        let mut place = vec![0; dim];
        order.iter().enumerate().for_each(|(k, &i)| place[i] = k);
        let outputs = each * moved.len();
        let network = (!kept.is_empty()).then(|| Mlp::new([&[kept.len()], hidden, &[outputs]].concat()));
        Self { kept: kept.into(), moved: moved.into(), place: place.into(), network, outputs }
    }

    /// I.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// J.
    pub fn moved(&self) -> &[usize] {
        &self.moved
    }

    pub(super) fn network_names(&self) -> Vec<String> {
        self.network.as_ref().map_or_else(|| vec!["row".into()], Mlp::parameter_names)
    }

    /// Random hidden layers and a last one of zeros: all outputs are 0.
    pub(super) fn initialise<T: Real>(&self, rng: &mut Stream) -> Vec<Matrix<T>> {
        let Some(network) = &self.network else { return vec![Matrix::zeros(1, self.outputs)] };
        let mut out = network.initialise(rng);
        let last = out.len() - 2;
        out[last..].iter_mut().for_each(|m| m.as_mut_slice().fill(T::ZERO));
        out
    }

    /// (x_I where there is one, x_J).
    pub(super) fn take<'t, T: Real>(&self, x: Var<'t, T>) -> (Option<Var<'t, T>>, Var<'t, T>) {
        let kept = (!self.kept.is_empty()).then(|| pick(x, &self.kept));
        (kept, pick(x, &self.moved))
    }

    /// The whole rows from x_I and y_J.
    pub(super) fn join<'t, T: Real>(&self, kept: Option<Var<'t, T>>, moved: Var<'t, T>) -> Var<'t, T> {
        let Some(kept) = kept else { return moved };
        if self.kept.iter().all(|i| *i < self.moved[0]) {
            kept.concat_columns(moved)
        } else if self.moved.iter().all(|j| *j < self.kept[0]) {
            moved.concat_columns(kept)
        } else {
            kept.concat_columns(moved).t().gather_rows(&self.place).t()
        }
    }

    /// The score behind the coupling: s'_J = `moved`, and s'_I = s_I - (∂/∂x_I) of the `outputs` (y, g) of the network (T12).
    pub(super) fn score<'t, T: Real>(
        &self,
        kept: Option<Var<'t, T>>,
        kept_score: Option<Var<'t, T>>,
        moved: Var<'t, T>,
        outputs: &[(Var<'t, T>, Var<'t, T>)],
    ) -> Var<'t, T> {
        let kept = kept.zip(kept_score).map(|(x, s)| s - x.tape().pull_back_once(outputs, &[x])[0]);
        self.join(kept, moved)
    }

    /// The parameters of the map at each row, n×outputs; or 1×outputs where I is empty.
    pub(super) fn conditioner<'t, T: Real>(&self, p: &[Var<'t, T>], kept: Option<Var<'t, T>>) -> Var<'t, T> {
        match (&self.network, kept) {
            (Some(network), Some(x)) => network.forward(p, x),
            _ => p[0],
        }
    }
}

/// Columns `index` of x, by a slice where they are neighbours.
fn pick<'t, T: Real>(x: Var<'t, T>, index: &Arc<[usize]>) -> Var<'t, T> {
    let (first, last) = (index[0], index[index.len() - 1]);
    let in_a_row = index.windows(2).all(|w| w[1] == w[0] + 1);
    if !in_a_row {
        x.t().gather_rows(index).t()
    } else if index.len() == x.shape().1 {
        x
    } else {
        x.columns(first..last + 1)
    }
}
