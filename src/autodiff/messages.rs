//! Messages between the particles of a configuration: one composite operation, which keeps nothing that has a row for each pair.

use crate::autodiff::op::Op;
use crate::autodiff::tape::{Tape, Var};
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{Real, ln_1p};
use std::sync::Arc;

/// Number of bumps φ of a squared distance.
pub(crate) const BUMPS: usize = 32;
/// The largest squared distance that has a bump of its own.
const FARTHEST: f64 = 64.0;
/// The squared distance below which bumps are as far apart as they are there.
const NEAR: f64 = 0.25;
/// The distance at which two particles are near, and how much farther a message moves them where they meet: a smooth map takes two that nearly
/// meet apart by its slope there, and smooth networks are slow to learn a steep one.
const MEETING: f64 = 0.1;
const STEEPER: f64 = 10.0;
/// Rows of pairs that are computed at a time, some: their matrices stay in the second-level cache.
const PAIRS: usize = 256;

/// A function of rows R, some for each configuration, and of a matrix S that all configurations share: rows (of each configuration from its own
/// rows alone) and a sum over the configurations. It is the messages of [`Var::pair_messages`], or has been pulled back some times: the
/// pull-back of such a function is one again, with the cotangents beside what it had. So it has derivatives of every order, and each computes
/// what it needs anew, a few configurations at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Messages {
    /// Particles of a configuration and their dimension.
    particles: usize,
    dim: usize,
    /// For each time that it was pulled back: whether to S too.
    pulled: Vec<bool>,
}

/// Sizes of the arguments and results, in units of those of the messages themselves.
struct Sizes {
    /// Columns of R, and of the rows that come out.
    rows: usize,
    rows_out: usize,
    /// Rows of S, and of the sum that comes out.
    shared: usize,
    shared_out: usize,
}

impl<'t, T: Real> Var<'t, T> {
    /// Of each particle i of configurations of `particles` of them in R^k, k = `dim`, the sums over the others of
    ///
    /// (x_i - x_j) g(|x_i - x_j|²) ⟨v, m_ij⟩ and m_ij = a(a(a_i + a_j + φ(|x_i - x_j|²) D + b) W + c), a = SiLU, g(s) = 1 + 10/√(1 + 100 s),
    ///
    /// side by side; `self` has a row (x_i, a_i) of k + w numbers for each particle, `weights` are D, b, W, c and vᵀ, one above the other.
    /// Each unordered pair is computed once.   N n×(k+w), ([`BUMPS`]+w+3)×w → N n×(k+w).
    #[track_caller]
    pub(crate) fn pair_messages(self, weights: Self, particles: usize, dim: usize) -> Self {
        self.tape.apply(Op::Messages(Messages { particles, dim, pulled: Vec::new() }), &[self, weights])
    }
}

impl Messages {
    fn sizes(pulled: &[bool]) -> Sizes {
        let start = Sizes { rows: 1, rows_out: 1, shared: 1, shared_out: 0 };
        pulled.iter().fold(start, |s, &shared| Sizes {
            rows: s.rows + s.rows_out,
            rows_out: s.rows,
            shared: s.shared + s.shared_out,
            shared_out: if shared { s.shared } else { 0 },
        })
    }

    /// The shape of what comes out: the rows, and below them the sum, filled up with columns of zeros.
    #[track_caller]
    pub(super) fn shape(&self, rows: (usize, usize), shared: (usize, usize)) -> (usize, usize) {
        let (sizes, width) = (Self::sizes(&self.pulled), shared.1);
        let (columns, height) = (self.dim + width, BUMPS + width + 3);
        let expected = [(rows.0, sizes.rows * columns), (sizes.shared * height, width)];
        if [rows, shared] != expected || !rows.0.is_multiple_of(self.particles) {
            shape_mismatch("messages of pairs", rows, shared);
        }
        (rows.0 + sizes.shared_out * height, sizes.rows_out * columns)
    }

    /// out ← the rows and the sum, some configurations at a time on a tape that then forgets them.
    pub(super) fn values<T: Real>(
        &self,
        rows: &Matrix<T>,
        shared: &Matrix<T>,
        out: &mut Matrix<T>,
        tape: &mut Tape<T>,
    ) {
        let (n, width) = (self.particles, shared.cols());
        let configurations = rows.rows() / n;
        let at_a_time = (PAIRS / (n * (n - 1) / 2)).clamp(1, configurations.max(1));
        let columns = out.cols();
        let (top, bottom) = out.as_mut_slice().split_at_mut(rows.rows() * columns);
        bottom.fill(T::ZERO);
        let shared = Arc::new(shared.clone());
        let whole = Pairs::of(at_a_time, n);
        let height = at_a_time * n;
        let (from, to) = (rows.as_slice().chunks(height * rows.cols()), top.chunks_mut(height * columns));
        for (from, to) in from.zip(to) {
            tape.reset();
            let own = from.len() / rows.cols();
            let last;
            let pairs = if own == height {
                &whole
            } else {
                last = Pairs::of(own / n, n);
                &last
            };
            let (y, sum) =
                self.on(&self.pulled, true, pairs, tape.leaf_from(own, rows.cols(), from), tape.shared(&shared));
            y.with(|y| to.copy_from_slice(y.as_slice()));
            let Some(sum) = sum else { continue };
            sum.with(|sum| {
                for (to, from) in bottom.chunks_mut(columns).zip(sum.iter_rows()) {
                    to[..width].iter_mut().zip(from).for_each(|(to, &from)| *to += from);
                }
            });
        }
    }

    /// The rows and the sum of a function that was `pulled` back, on a tape. The `last` one to be pulled back is not differentiated again.
    fn on<'t, T: Real>(
        &self,
        pulled: &[bool],
        last: bool,
        pairs: &Pairs,
        rows: Var<'t, T>,
        shared: Var<'t, T>,
    ) -> (Var<'t, T>, Option<Var<'t, T>>) {
        let Some((&to_shared, inner)) = pulled.split_last() else { return (self.messages(pairs, rows, shared), None) };
        let (sizes, width, tape) = (Self::sizes(inner), shared.shape().1, rows.tape());
        let (columns, height) = (sizes.rows * (self.dim + width), sizes.shared * (BUMPS + width + 3));
        let (x, g) = (rows.columns(0..columns), rows.columns(columns..rows.shape().1));
        let s = if sizes.shared_out == 0 { shared } else { shared.rows(0..height) };
        let (y, sum) = self.on(inner, false, pairs, x, s);
        let below = sum.map(|sum| (sum, shared.rows(height..shared.shape().0)));
        let wrt = &[x, s][..1 + usize::from(to_shared)];
        let back = if last {
            tape.pull_back_once(&[Some((y, g)), below].into_iter().flatten().collect::<Vec<_>>(), wrt)
        } else {
            let mut back = tape.pull_back(y, g, wrt);
            if let Some((sum, g)) = below {
                back.iter_mut().zip(tape.pull_back(sum, g, wrt)).for_each(|(back, more)| *back = *back + more);
            }
            back
        };
        (back[0], back.get(1).copied())
    }

    /// The messages themselves, for some configurations.
    fn messages<'t, T: Real>(&self, pairs: &Pairs, rows: Var<'t, T>, weights: Var<'t, T>) -> Var<'t, T> {
        let (k, w) = (self.dim, weights.shape().1);
        let mut from = 0;
        let mut next = |height: usize| {
            from += height;
            weights.rows(from - height..from)
        };
        let [distance, distance_bias, message, message_bias, way] = [BUMPS, 1, w, 1, 1].map(&mut next);
        let apart = pairs.difference(rows.columns(0..k));
        let square = apart.square().row_sums();
        let seen = bumps(square).affine(distance, distance_bias);
        let m = (pairs.sum(rows.columns(k..k + w)) + seen).silu().hidden(message, message_bias);
        let near = (square * T::from_f64(1.0 / (MEETING * MEETING))).ln_1p() * T::from_f64(-0.5);
        let steeper = near.exp() * T::from_f64(STEEPER) + T::ONE;
        let moves = pairs.spread(apart * (m.product(way, false, true) * steeper), -T::ONE);
        moves.concat_columns(pairs.spread(m, T::ONE))
    }
}

/// The cotangents of R and S of the function: the function that was pulled back once more.
pub(super) fn pull_back<'t, T: Real>(
    messages: &Messages,
    [rows, shared]: [Var<'t, T>; 2],
    g: Var<'t, T>,
    wanted: [bool; 2],
) -> [Option<Var<'t, T>>; 2] {
    let ((count, columns), (height, width)) = (rows.shape(), shared.shape());
    let mut above = shared;
    let mut beside = g;
    if g.shape().0 > count {
        beside = g.rows(0..count);
        above = shared.concat_rows(g.rows(count..g.shape().0).columns(0..width));
    }
    let pulled = [&messages.pulled[..], &[wanted[1]]].concat();
    let op = Op::Messages(Messages { pulled, ..*messages });
    let out = rows.tape().apply(op, &[rows.concat_columns(beside), above]);
    if !wanted[1] {
        return [Some(out), None];
    }
    let of_shared = out.rows(count..count + height).columns(0..width);
    [Some(out.rows(0..count).columns(0..columns)), Some(of_shared)]
}

/// φ(s), P×1 → P×[`BUMPS`]: exp(-(u - c)²/(2 δ²)), u = log(1 + s/[`NEAR`]), at centres c from 0 to u([`FARTHEST`]), δ apart.
fn bumps<T: Real>(square: Var<'_, T>) -> Var<'_, T> {
    let apart = ln_1p(FARTHEST / NEAR) / (BUMPS - 1) as f64;
    let centres = Matrix::from_fn(1, BUMPS, |_, k| T::from_f64(apart * k as f64));
    let away = (square * T::from_f64(1.0 / NEAR)).ln_1p() - square.tape().leaf(&centres);
    (away.square() * T::from_f64(-0.5 / (apart * apart))).exp()
}

/// The unordered pairs of the particles of some configurations, i < j, as rows of a matrix with a row for each particle.
struct Pairs {
    first: Arc<[usize]>,
    second: Arc<[usize]>,
    particles: usize,
}

impl Pairs {
    fn of(configurations: usize, n: usize) -> Self {
        let one = |r: usize| (0..n).flat_map(move |i| (i + 1..n).map(move |j| (r * n + i, r * n + j)));
        let all = || (0..configurations).flat_map(one);
        Self {
            first: all().map(|(i, _)| i).collect(),
            second: all().map(|(_, j)| j).collect(),
            particles: configurations * n,
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
