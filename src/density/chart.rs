//! Charts: smooth one-to-one maps from R^m onto a constrained set, with the logarithm of their Jacobian.

use crate::autodiff::Scalar;
use crate::linalg::{Matrix, shape_mismatch};
use crate::num::{exp, ln};
use crate::{Error, Result};

/// What one coordinate, or one block of coordinates, is constrained to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Support {
    /// x in R: x = u.
    Real,
    /// low < x < high, where either end may be infinite: x = low + e^u, x = high - e^u, or x = low + (high - low) σ(u).
    Interval {
        /// The lower end, or -inf.
        low: f64,
        /// The upper end, or +inf.
        high: f64,
    },
    /// K ≥ 2 coordinates with x_k > 0 and Σ x_k = 1: x = softmax(u_1, …, u_{K-1}, 0).
    Simplex(usize),
    /// K ≥ 1 coordinates with x_1 < … < x_K: x_1 = u_1, x_k = x_(k-1) + e^u_k.
    Ordered(usize),
}

/// Distances from an edge, from the smallest to the largest, of which one over them is a number, and so are its multiples.
const NEAR: f64 = 1e-300;
const FAR: f64 = 1e300;

impl Support {
    /// Coordinates of x.
    pub fn width(self) -> usize {
        if let Support::Simplex(k) | Support::Ordered(k) = self { k } else { 1 }
    }

    /// Coordinates of u: one fewer than of x on a simplex.
    pub fn free_width(self) -> usize {
        match self {
            Support::Simplex(k) => k - 1,
            Support::Ordered(k) => k,
            _ => 1,
        }
    }

    /// x ← T(u); returns log |det ∂x/∂u|, on a simplex of the first K-1 coordinates of x.
    fn constrain<S: Scalar>(self, u: &[S], x: &mut [S]) -> S {
        let number = S::constant;
        match self {
            Support::Interval { low, high } if low.is_finite() && high.is_finite() => {
                let v = u[0];
                // from the nearer end, so that no digit of a small distance is lost
                let width = number(high - low);
                x[0] = if v.real() < 0.0 {
                    number(low) + width * v.sigmoid()
                } else {
                    number(high) - width * (-v).sigmoid()
                };
                number(ln(high - low)) - v.softplus() - (-v).softplus()
            }
            Support::Interval { low, .. } if low.is_finite() => {
                x[0] = number(low) + u[0].exp();
                u[0]
            }
            Support::Interval { high, .. } if high.is_finite() => {
                x[0] = number(high) - u[0].exp();
                u[0]
            }
            Support::Real | Support::Interval { .. } => {
                x[0] = u[0];
                number(0.0)
            }
            Support::Simplex(_) => simplex(u, x),
            Support::Ordered(_) => {
                x[0] = u[0];
                let mut log_jacobian = number(0.0);
                for k in 1..x.len() {
                    x[k] = x[k - 1] + u[k].exp();
                    log_jacobian = log_jacobian + u[k];
                }
                log_jacobian
            }
        }
    }

    /// Moves x = T(u), u finite, to the nearest numbers inside where rounding put it onto the edge or beyond the largest number.
    fn keep_inside(self, x: &mut [f64]) {
        match self {
            Support::Real => {}
            Support::Interval { low, .. } if x[0] <= low => x[0] = low.next_up(),
            Support::Interval { high, .. } if x[0] >= high => x[0] = high.next_down(),
            Support::Interval { .. } => {}
            Support::Simplex(_) => x.iter_mut().for_each(|v| *v = v.max(f64::from_bits(1))),
            Support::Ordered(_) => {
                (1..x.len()).for_each(|k| x[k] = x[k].max(x[k - 1].next_up()));
                x.iter_mut().rev().fold(f64::MAX, |top, v| {
                    *v = v.min(top);
                    v.next_down()
                });
            }
        }
    }

    /// Moves x, which is inside, to numbers whose distances from the edges are [`NEAR`] to [`FAR`]; only about 0 are there closer ones.
    fn keep_apart(self, x: &mut [f64]) {
        match self {
            Support::Real => {}
            Support::Interval { low, high } => {
                x[0] = if low == 0.0 { x[0].max(NEAR.min(high)) } else { x[0] };
                x[0] = if high == 0.0 { x[0].min(low.max(-NEAR)) } else { x[0] };
                x[0] = if high == f64::INFINITY && low < FAR { x[0].min(FAR) } else { x[0] };
                x[0] = if low == f64::NEG_INFINITY && high > -FAR { x[0].max(-FAR) } else { x[0] };
            }
            Support::Simplex(_) => x.iter_mut().for_each(|v| *v = v.max(NEAR)),
            Support::Ordered(_) => (1..x.len()).for_each(|k| x[k] = x[k].max(x[k - 1] + NEAR)),
        }
    }

    /// (∂T/∂u)ᵀ g + ∂/∂u log |det ∂T/∂u| → out, with x = T(u).
    fn pull_back(self, u: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        match self {
            Support::Interval { low, high } if low.is_finite() && high.is_finite() => {
                // dx/du = (high - low) σ(u) σ(-u), d/du log of it = 1 - 2 σ(u)
                let sigma = u[0].sigmoid();
                out[0] = g[0] * (high - low) * sigma * (-u[0]).sigmoid() + 1.0 - 2.0 * sigma;
            }
            Support::Interval { low, .. } if low.is_finite() => out[0] = g[0] * exp(u[0]) + 1.0,
            Support::Interval { high, .. } if high.is_finite() => out[0] = -g[0] * exp(u[0]) + 1.0,
            Support::Real | Support::Interval { .. } => out[0] = g[0],
            Support::Simplex(k) => {
                // ∂x_i/∂u_j = x_i (δ_ij - x_j), ∂/∂u_j Σ log x_i = 1 - K x_j
                let mean: f64 = x.iter().zip(g).map(|(x, g)| x * g).sum();
                out.iter_mut().zip(x.iter().zip(g)).for_each(|(o, (x, g))| *o = x * (g - mean) + 1.0 - k as f64 * x);
            }
            Support::Ordered(k) => {
                // ∂x_i/∂u_j = e^u_j for i ≥ j > 1, and 1 for j = 1
                let mut sum = 0.0;
                for j in (0..k).rev() {
                    sum += g[j];
                    out[j] = if j == 0 { sum } else { exp(u[j]) * sum + 1.0 };
                }
            }
        }
    }

    /// u with T(u) = x, where x lies inside; its numbers were rounded to `unit` of their size.
    fn free(self, x: &[f64], unit: f64, u: &mut [f64]) -> bool {
        match self {
            Support::Interval { low, high } if low.is_finite() && high.is_finite() => {
                u[0] = ln(x[0] - low) - ln(high - x[0]);
            }
            Support::Interval { low, .. } if low.is_finite() => u[0] = ln(x[0] - low),
            Support::Interval { high, .. } if high.is_finite() => u[0] = ln(high - x[0]),
            Support::Real | Support::Interval { .. } => u[0] = x[0],
            Support::Simplex(k) => {
                let last = ln(x[k - 1]);
                u.iter_mut().zip(x).for_each(|(u, x)| *u = ln(*x) - last);
                // K decimals that were meant to add to 1, each rounded
                if (x.iter().sum::<f64>() - 1.0).abs() > (k as f64 * unit).max(1e-8) {
                    return false;
                }
            }
            Support::Ordered(k) => {
                u[0] = x[0];
                (1..k).for_each(|j| u[j] = ln(x[j] - x[j - 1]));
            }
        }
        u.iter().all(|u| u.is_finite())
    }

    /// Whether x lies inside, and not on the edge to which a far u is rounded.
    fn contains(self, x: &[f64]) -> bool {
        match self {
            Support::Real => x[0].is_finite(),
            Support::Interval { low, high } => low < x[0] && x[0] < high,
            Support::Simplex(_) => x.iter().all(|v| *v > 0.0),
            Support::Ordered(_) => x.iter().all(|v| v.is_finite()) && x.is_sorted_by(|a, b| a < b),
        }
    }

    fn words(self) -> String {
        match self {
            Support::Real => "the real line".into(),
            Support::Interval { low, high } => format!("the interval ({low}, {high})"),
            Support::Simplex(k) => format!("the simplex of {k} coordinates"),
            Support::Ordered(k) => format!("the {k} coordinates in ascending order"),
        }
    }
}

/// x = softmax(u, 0), shifted by the largest exponent; returns Σ_k log x_k.
fn simplex<S: Scalar>(u: &[S], x: &mut [S]) -> S {
    let top = u.iter().map(|u| u.real()).fold(0.0, f64::max);
    let last = x.len() - 1;
    let shifted = |k: usize| if k < last { u[k] - S::constant(top) } else { S::constant(-top) };
    let total = (0..=last).map(|k| shifted(k).exp()).fold(S::constant(0.0), |a, b| a + b);
    let log_total = total.ln();
    let mut log_jacobian = S::constant(0.0);
    for k in 0..=last {
        let log_x = shifted(k) - log_total;
        x[k] = log_x.exp();
        log_jacobian = log_jacobian + log_x;
    }
    log_jacobian
}

/// T: R^m → a product of constrained sets in R^d, block by block.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    blocks: Vec<Support>,
    dim: usize,
    free_dim: usize,
}

impl Chart {
    /// The chart of these blocks, in the order of the coordinates. `Error::Parameter` for an interval without inside, a
    /// simplex of fewer than 2 coordinates, ordered ones without any, or no blocks.
    pub fn new(blocks: Vec<Support>) -> Result<Self> {
        for block in &blocks {
            let (name, value, expected) = match *block {
                Support::Interval { low, high } if low.is_nan() || high.is_nan() || low >= high => {
                    (format!("interval from {low}: upper end"), high, "a number above the lower end")
                }
                Support::Interval { low, high } if low == f64::INFINITY || high == f64::NEG_INFINITY => {
                    (format!("interval from {low}: upper end"), high, "an interval with finite numbers inside")
                }
                Support::Simplex(k) if k < 2 => ("coordinates of a simplex".into(), k as f64, "at least 2"),
                Support::Ordered(0) => ("ordered coordinates".into(), 0.0, "at least 1"),
                _ => continue,
            };
            return Err(Error::Parameter { name, value, expected });
        }
        let dim = blocks.iter().map(|b| b.width()).sum();
        let free_dim = blocks.iter().map(|b| b.free_width()).sum();
        if dim == 0 {
            return Err(Error::Parameter { name: "blocks of a chart".into(), value: 0.0, expected: "at least 1" });
        }
        Ok(Self { blocks, dim, free_dim })
    }

    /// d, coordinates of x.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// m, coordinates of u.
    pub fn free_dim(&self) -> usize {
        self.free_dim
    }

    /// Whether T is the identity.
    pub fn is_identity(&self) -> bool {
        let whole =
            |b: &Support| matches!(b, Support::Interval { low, high } if low.is_infinite() && high.is_infinite());
        self.blocks.iter().all(|b| *b == Support::Real || whole(b))
    }

    /// The blocks, in the order of the coordinates.
    pub fn blocks(&self) -> &[Support] {
        &self.blocks
    }

    /// Each block with where it begins in u and in x.
    fn spans(&self) -> impl Iterator<Item = (Support, usize, usize)> + '_ {
        self.blocks.iter().scan((0, 0), |(u, x), &block| {
            let at = (block, *u, *x);
            (*u, *x) = (*u + block.free_width(), *x + block.width());
            Some(at)
        })
    }

    /// x ← T(u) for one point; returns log |det ∂x/∂u|.   u: m, x: d. On dual numbers it gives its own Jacobian.
    pub fn constrain_point<S: Scalar>(&self, u: &[S], x: &mut [S]) -> S {
        self.spans().fold(S::constant(0.0), |sum, (block, i, j)| {
            sum + block.constrain(&u[i..i + block.free_width()], &mut x[j..j + block.width()])
        })
    }

    /// T(u_i) for each row, or the nearest numbers inside where a finite u_i is rounded to the edge.   u: n×m → n×d. Panics where u
    /// does not have m columns.
    pub fn constrain(&self, u: &Matrix) -> Matrix {
        if u.cols() != self.free_dim {
            shape_mismatch("Chart::constrain", u.shape(), (u.rows(), self.free_dim));
        }
        let mut x = Matrix::zeros(u.rows(), self.dim);
        for i in 0..u.rows() {
            self.constrain_point(u.row(i), x.row_mut(i));
            if u.row(i).iter().all(|u| u.is_finite()) {
                self.spans().for_each(|(block, _, j)| block.keep_inside(&mut x.row_mut(i)[j..j + block.width()]));
            }
        }
        x
    }

    /// Coordinates of numbers next to T(u) whose distances from the edges are [`NEAR`] to [`FAR`], where those of T(u) are not.
    pub(crate) fn apart(&self, u: &[f64]) -> Option<Vec<f64>> {
        let mut x = vec![0.0; self.dim];
        self.constrain_point(u, &mut x);
        let (mut near, mut moved) = (u.to_vec(), false);
        for (block, i, j) in self.spans() {
            let x = &mut x[j..j + block.width()];
            let before = x.to_vec();
            block.keep_inside(x);
            block.keep_apart(x);
            if x != before {
                moved = block.free(x, 0.5 * f64::EPSILON, &mut near[i..i + block.free_width()]);
                moved.then_some(())?;
            }
        }
        (moved && u.iter().all(|u| u.is_finite())).then_some(near)
    }

    /// Whether x lies inside, and not on the edge to which a far u is rounded.
    pub(crate) fn contains(&self, x: &[f64]) -> bool {
        self.spans().all(|(block, _, j)| block.contains(&x[j..j + block.width()]))
    }

    /// (∂T/∂u)ᵀ g + ∇ log |det ∂T/∂u| → out at one point, with x = T(u).   u, out: m; x, g: d.
    pub(crate) fn pull_back(&self, u: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        for (block, i, j) in self.spans() {
            let (free, full) = (i..i + block.free_width(), j..j + block.width());
            block.pull_back(&u[free.clone()], &x[full.clone()], &g[full], &mut out[free]);
        }
    }

    /// u_i with T(u_i) = x_i, for each row.   x: n×d → n×m. `Error::Unsupported` names the first point outside and its block.
    pub fn free(&self, x: &Matrix) -> Result<Matrix> {
        self.free_of_rounded(x, 0.5 * f64::EPSILON)
    }

    /// The same for numbers that were rounded to `unit` of their size, such as 2⁻²⁴ in single precision: so far, times
    /// K, the sum on a simplex of K coordinates may be from 1, or 10⁻⁸ where that is more.
    pub fn free_of_rounded(&self, x: &Matrix, unit: f64) -> Result<Matrix> {
        if x.cols() != self.dim {
            shape_mismatch("Chart::free", x.shape(), (x.rows(), self.dim));
        }
        let mut u = Matrix::zeros(x.rows(), self.free_dim);
        for row in 0..x.rows() {
            for (block, i, j) in self.spans() {
                let point = &x.row(row)[j..j + block.width()];
                if !block.free(point, unit, &mut u.row_mut(row)[i..i + block.free_width()]) {
                    return Err(Error::Unsupported {
                        what: format!("row {row}: {point:?} from coordinate {} is not inside {}", j + 1, block.words()),
                        remedy: "remove such points (rows count from 0)",
                    });
                }
            }
        }
        Ok(u)
    }
}
