//! Networks that exchange, turn and reflect with the particles they move.

use crate::autodiff::{BUMPS, Var};
use crate::linalg::{Matrix, MeanFree};
use crate::nn::mlp::normal_weight;
use crate::num::Real;
use crate::rng::Stream;
use std::sync::Arc;

/// An E(k)-equivariant graph network on n particles in R^k, on mean-free configurations ([`MeanFree`]): y ∈ R^d, d = (n - 1) k.
///
/// Every particle has a place x_i and features h_i ∈ R^w, which begin at one learned row (and what is seen of the `marks` of the
/// configuration). A layer sends one message along each *unordered* pair, s_ij = |x_i - x_j|²:
///
/// - m_ij = a(a(A(h_i + h_j) + D φ(s_ij) + b) W + c), a = SiLU, φ 32 bumps in log(1 + 4s);
/// - x_i ← x_i + Σ_j (x_i - x_j) g(s_ij) ⟨v, m_ij⟩/(n - 1), g(s) = 1 + 10/√(1 + 100 s), which takes two that nearly meet apart;
/// - h_i ← h_i + a([h_i, Σ_j m_ij/(n - 1)] U + u).
///
/// Its field is x^L - x^0, its scalar Σ_i ⟨r, h_i^L⟩. The field turns, reflects and exchanges with the particles, the scalar does not
/// change. Messages of a pair are the same both ways, so what one particle gains the other loses: the mean stays 0, and half of the
/// messages are saved. v = 0 and r = 0 at the start, so both begin at 0.
///
/// Source: Satorras, Hoogeboom and Welling, "E(n) equivariant graph neural networks" (ICML 2021), eqs. 3 to 6; bumps and symmetric
/// messages are ours.
#[derive(Debug, Clone, PartialEq)]
pub struct Equivariant {
    space: MeanFree,
    /// Positions of each coordinate of a configuration, d×n k.
    basis: Arc<Matrix>,
    /// Features of a particle, the same in each layer.
    width: usize,
    layers: usize,
    /// Numbers beside each configuration.
    marks: usize,
    /// A scalar in place of a field.
    scalar: bool,
}

/// Matrices of a layer's messages, and of what it does to the features.
const OF_MESSAGES: usize = 6;
const OF_NODES: usize = 2;

impl Equivariant {
    /// `layers` ≥ 1 layers of `width` ≥ 1 features.
    #[track_caller]
    pub fn new(space: MeanFree, width: usize, layers: usize, marks: usize, scalar: bool) -> Self {
        assert!(space.particles >= 2 && space.dim >= 1 && width >= 1 && layers >= 1, "Equivariant: {space:?}");
        let basis = Arc::new(space.positions(&Matrix::identity(space.free_dim())));
        Self { space, basis, width, layers, marks, scalar }
    }

    /// Names and shapes of the matrices, in order.
    fn shapes(&self) -> Vec<(String, (usize, usize))> {
        let w = self.width;
        let mut out = vec![("features".to_string(), (1, w))];
        if self.marks > 0 {
            out.push(("marks".into(), (self.marks, w)));
        }
        for k in 1..=self.layers {
            let named = |(name, shape): (&str, _)| (format!("layer{k}.{name}"), shape);
            let messages: [(&str, (usize, usize)); OF_MESSAGES] = [
                ("sender", (w, w)),
                ("distance", (BUMPS, w)),
                ("distance_bias", (1, w)),
                ("message", (w, w)),
                ("message_bias", (1, w)),
                ("move", (w, 1)),
            ];
            out.extend(messages.map(named));
            if self.updates(k - 1) {
                let nodes: [(&str, (usize, usize)); OF_NODES] = [("node", (2 * w, w)), ("node_bias", (1, w))];
                out.extend(nodes.map(named));
            }
        }
        if self.scalar {
            out.push(("scalar".into(), (w, 1)));
        }
        out
    }

    /// Its particles.
    pub fn space(&self) -> MeanFree {
        self.space
    }

    /// Whether a layer, from 0, changes the features: those of the last one are asked for by the scalar alone.
    fn updates(&self, layer: usize) -> bool {
        self.scalar || layer + 1 < self.layers
    }

    /// Number of trainable numbers of a field without marks; None beyond the whole numbers. Nothing is made.
    pub fn size(width: usize, layers: usize) -> Option<usize> {
        let square = width.checked_mul(width)?.checked_mul(2)?;
        let (messages, nodes) = (square.checked_add(width.checked_mul(BUMPS + 3)?)?, square.checked_add(width)?);
        let all = messages.checked_mul(layers)?.checked_add(nodes.checked_mul(layers.checked_sub(1)?)?)?;
        all.checked_add(width)
    }

    /// Number of matrices.
    pub fn parameter_count(&self) -> usize {
        let updates = self.layers - usize::from(!self.scalar);
        let own = 1 + usize::from(self.marks > 0) + usize::from(self.scalar);
        own + OF_MESSAGES * self.layers + OF_NODES * updates
    }

    /// Names of the matrices, in order.
    pub fn parameter_names(&self) -> Vec<String> {
        self.shapes().into_iter().map(|(name, _)| name).collect()
    }

    /// Initial matrices: W ~ N(0, 1/fan-in), biases 0, and 0 for what the output is made of.
    pub fn initialise<T: Real>(&self, rng: &mut Stream) -> Vec<Matrix<T>> {
        let silent = |name: &str| name.ends_with("bias") || name.ends_with("move") || name == "scalar";
        let one = |(name, (rows, cols)): (String, (usize, usize))| match silent(&name) {
            true => Matrix::zeros(rows, cols),
            false => normal_weight(rng, rows, cols),
        };
        self.shapes().into_iter().map(one).collect()
    }

    /// The field at y (N×d → N×d), or the scalar (N×d → N×1), with `marks` N×m where there are any, and `parameters` in the order of
    /// [`Equivariant::parameter_names`].
    #[track_caller]
    pub fn forward<'t, T: Real>(
        &self,
        parameters: &[Var<'t, T>],
        y: Var<'t, T>,
        marks: Option<Var<'t, T>>,
    ) -> Var<'t, T> {
        assert_eq!(parameters.len(), self.parameter_count(), "Equivariant::forward: number of parameters");
        let (tape, rows, MeanFree { particles: n, dim: k }) = (y.tape(), y.shape().0, self.space);
        let basis = tape.leaf(&self.basis.cast());
        let configurations: Arc<[usize]> = (0..rows * n).map(|i| i / n).collect();
        let start = y.matmul(basis).reshape(rows * n, k);
        let mut parameters = parameters.iter().copied();
        let mut next = move || parameters.next().expect("as many as were counted");
        let mut h = next().broadcast_to((rows * n, self.width));
        if let Some(marks) = marks {
            h = h + marks.matmul(next()).gather_rows(&configurations);
        }
        let share = T::from_f64(1.0 / (n - 1) as f64);
        let mut x = start;
        for layer in 0..self.layers {
            let [sender, distance, distance_bias, message, message_bias, way]: [_; OF_MESSAGES] =
                std::array::from_fn(|_| next());
            let weights = [distance_bias, message, message_bias, way.t()].into_iter().fold(distance, Var::concat_rows);
            let sums = x.concat_columns(h.matmul(sender)).pair_messages(weights, n, k) * share;
            x = x + sums.columns(0..k);
            if self.updates(layer) {
                let [node, node_bias]: [_; OF_NODES] = std::array::from_fn(|_| next());
                h = h + h.concat_columns(sums.columns(k..k + self.width)).hidden(node, node_bias);
            }
        }
        if self.scalar {
            return h.matmul(next()).scatter_rows(&configurations, rows);
        }
        (x - start).reshape(rows, n * k).matmul(basis.t())
    }
}
