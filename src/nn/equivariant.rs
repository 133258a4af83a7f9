//! Networks that exchange, turn and reflect with the particles they move.

use crate::autodiff::Var;
use crate::linalg::{Matrix, MeanFree};
use crate::nn::mlp::normal_weight;
use crate::num::{Real, ln_1p};
use crate::rng::Stream;
use std::sync::Arc;

/// An E(k)-equivariant graph network on n particles in R^k, on mean-free configurations ([`MeanFree`]): y ∈ R^d, d = (n - 1) k.
///
/// Every particle has a place x_i and features h_i ∈ R^w, which begin at one learned row (and what is seen of the `marks` of the
/// configuration). A layer sends one message along each *unordered* pair, s_ij = |x_i - x_j|²:
///
/// - m_ij = a(a(A(h_i + h_j) + D φ(s_ij) + b) W + c), a = SiLU, φ bumps in log(1 + s), `BUMPS` of them;
/// - x_i ← x_i + Σ_j (x_i - x_j) ⟨v, m_ij⟩/(n - 1);
/// - h_i ← h_i + a([h_i, Σ_j m_ij/(n - 1)] U + u).
///
/// Its field is x^L - x^0, its scalar Σ_i ⟨r, h_i^L⟩. The field turns, reflects and exchanges with the particles, the scalar does not
/// change. Messages of a pair are the same both ways, so what one particle gains the other loses: the mean stays 0, and half of the
/// messages are saved. v = 0 and r = 0 at the start, so both begin at 0.
///
/// Source: Satorras, Hoogeboom and Welling, "E(n) equivariant graph neural networks" (ICML 2021), eqs. 3 to 6; bumps and symmetric
/// messages are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivariant {
    space: MeanFree,
    /// Features of a particle, the same in each layer.
    width: usize,
    layers: usize,
    /// Numbers beside each configuration.
    marks: usize,
    /// A scalar in place of a field.
    scalar: bool,
}

/// Number of bumps of a squared distance.
const BUMPS: usize = 16;
/// The largest squared distance, in units of the frame, that has a bump of its own.
const FARTHEST: f64 = 64.0;
/// Matrices of a layer's messages, and of what it does to the features.
const OF_MESSAGES: usize = 6;
const OF_NODES: usize = 2;

impl Equivariant {
    /// `layers` ≥ 1 layers of `width` ≥ 1 features.
    #[track_caller]
    pub fn new(space: MeanFree, width: usize, layers: usize, marks: usize, scalar: bool) -> Self {
        assert!(space.particles >= 2 && space.dim >= 1 && width >= 1 && layers >= 1, "Equivariant: {space:?}");
        Self { space, width, layers, marks, scalar }
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
        let pairs = Pairs::of(rows, n);
        let basis = tape.leaf(&self.space.positions(&Matrix::identity(self.space.free_dim())).cast());
        let start = y.matmul(basis).reshape(rows * n, k);
        let mut parameters = parameters.iter().copied();
        let mut next = move || parameters.next().expect("as many as were counted");
        let mut h = next().broadcast_to((rows * n, self.width));
        if let Some(marks) = marks {
            h = h + marks.matmul(next()).gather_rows(&pairs.configurations);
        }
        let share = T::from_f64(1.0 / (n - 1) as f64);
        let mut x = start;
        for layer in 0..self.layers {
            let [sender, distance, distance_bias, message, message_bias, way]: [_; OF_MESSAGES] =
                std::array::from_fn(|_| next());
            let apart = pairs.difference(x);
            let square = apart.square().row_sums();
            let m = (pairs.sum(h.matmul(sender)) + bumps(square).affine(distance, distance_bias))
                .silu()
                .hidden(message, message_bias);
            x = x + pairs.spread(apart * m.matmul(way), -T::ONE) * share;
            if self.updates(layer) {
                let [node, node_bias]: [_; OF_NODES] = std::array::from_fn(|_| next());
                h = h + h.concat_columns(pairs.spread(m, T::ONE) * share).hidden(node, node_bias);
            }
        }
        if self.scalar {
            return h.matmul(next()).scatter_rows(&pairs.configurations, rows);
        }
        (x - start).reshape(rows, n * k).matmul(basis.t())
    }
}

/// φ(s), P×1 → P×[`BUMPS`]: exp(-(u - c)²/(2 δ²)), u = log(1 + s), at centres c from 0 to log(1 + [`FARTHEST`]), δ apart.
fn bumps<T: Real>(square: Var<'_, T>) -> Var<'_, T> {
    let apart = ln_1p(FARTHEST) / (BUMPS - 1) as f64;
    let centres = Matrix::from_fn(1, BUMPS, |_, k| T::from_f64(apart * k as f64));
    let away = square.ln_1p() - square.tape().leaf(&centres);
    (away.square() * T::from_f64(-0.5 / (apart * apart))).exp()
}

/// The unordered pairs of the particles of some configurations, i < j, as rows of a matrix with a row for each particle.
struct Pairs {
    first: Arc<[usize]>,
    second: Arc<[usize]>,
    /// The configuration of each particle.
    configurations: Arc<[usize]>,
    particles: usize,
}

impl Pairs {
    fn of(rows: usize, n: usize) -> Self {
        let all = || (0..rows).flat_map(|r| (0..n).flat_map(move |i| (i + 1..n).map(move |j| (r * n + i, r * n + j))));
        Self {
            first: all().map(|(i, _)| i).collect(),
            second: all().map(|(_, j)| j).collect(),
            configurations: (0..rows * n).map(|i| i / n).collect(),
            particles: rows * n,
        }
    }

    /// a_i + a_j of each pair.
    fn sum<'t, T: Real>(&self, a: Var<'t, T>) -> Var<'t, T> {
        a.gather_rows(&self.first) + a.gather_rows(&self.second)
    }

    /// a_i - a_j of each pair.
    fn difference<'t, T: Real>(&self, a: Var<'t, T>) -> Var<'t, T> {
        a.gather_rows(&self.first) - a.gather_rows(&self.second)
    }

    /// Of each particle the sum of its pairs' b, times `sign` where it is the second of the two.
    fn spread<'t, T: Real>(&self, b: Var<'t, T>, sign: T) -> Var<'t, T> {
        let n = self.particles;
        b.scatter_rows(&self.first, n) + b.scatter_rows(&self.second, n) * sign
    }
}
