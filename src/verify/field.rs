use super::pair::vector;
use super::{Grid, Jacobian, Pair, Vector};
use crate::linalg::Matrix;
use crate::num::{exp, ln_1p};
use crate::rng::{Stream, fill_normal, uniform};

/// Standard deviations at which grids end: e^(-10²/2) = 2e-22, below rounding beside the growth of r² q on the way.
const REACH: f64 = 10.0;

/// ξ(x) = Σ_k a_k exp(-|x - c_k|²/(2 b_k²)): a smooth field that vanishes to rounding outside a box.
#[derive(Debug, Clone)]
pub struct Bumps {
    dim: usize,
    amplitudes: Vec<Vector>,
    centres: Vec<Vector>,
    widths: Vec<f64>,
}

impl Bumps {
    /// Three bumps near a random mean of p or q, as wide as its component.
    pub fn random(rng: &mut Stream, pair: &Pair) -> Self {
        let home = if uniform(rng) < 0.5 { &pair.p } else { &pair.q };
        let k = ((home.components() as f64) * uniform(rng)) as usize;
        let scale = home.covariances()[k][(0, 0)].sqrt();
        let mean = vector(home.means().row(k));
        let mut normal = || {
            let mut v = [0.0; 2];
            fill_normal(rng, &mut v[..pair.dim()]);
            v
        };
        let amplitudes = (0..3).map(|_| normal()).collect();
        let centre = |v: Vector| [mean[0] + scale * v[0], mean[1] + scale * v[1]];
        let centres = (0..3).map(|_| centre(normal())).collect();
        let widths = (0..3).map(|_| scale * (0.8 + 0.6 * uniform(rng))).collect();
        Self { dim: pair.dim(), amplitudes, centres, widths }
    }

    /// ξ(x) and Dξ(x).
    pub fn at(&self, x: &[f64]) -> (Vector, Jacobian) {
        let (x, mut xi, mut jacobian) = (vector(x), [0.0; 2], [[0.0; 2]; 2]);
        for ((a, c), b) in self.amplitudes.iter().zip(&self.centres).zip(&self.widths) {
            let z = [(x[0] - c[0]) / b, (x[1] - c[1]) / b];
            let bump = exp(-0.5 * super::dot(z, z));
            for i in 0..2 {
                xi[i] += a[i] * bump;
                (0..self.dim).for_each(|j| jacobian[i][j] -= a[i] * bump * z[j] / b);
            }
        }
        (xi, jacobian)
    }

    /// The box outside which the field is 0 to rounding, at a spacing that resolves field and pair: a sixteenth of the smallest
    /// width on the line, a seventh in the plane.
    pub fn grid(&self, pair: &Pair) -> Grid {
        let finest = self.widths.iter().copied().fold(pair.finest(), f64::min);
        let ends: Vec<(f64, f64)> = (0..self.dim)
            .map(|j| {
                let side = |sign: f64| self.centres.iter().zip(&self.widths).map(move |(c, b)| c[j] + sign * REACH * b);
                (side(-1.0).fold(f64::INFINITY, f64::min), side(1.0).fold(f64::NEG_INFINITY, f64::max))
            })
            .collect();
        Grid::covering(&ends, finest / if self.dim == 1 { 16.0 } else { 7.0 })
    }
}

/// The map T = id + εξ on the nodes of a grid, with its exact determinant.
#[derive(Debug, Clone)]
pub struct Push {
    /// x_i: n×d.
    pub nodes: Matrix,
    /// ξ(x_i): n.
    pub displacement: Vec<Vector>,
    /// Dξ(x_i): n.
    pub jacobian: Vec<Jacobian>,
}

impl Push {
    /// From a field with its derivative.
    pub fn new(nodes: &Matrix, field: impl Fn(usize, &[f64]) -> (Vector, Jacobian)) -> Self {
        let (displacement, jacobian) = nodes.iter_rows().enumerate().map(|(i, x)| field(i, x)).unzip();
        Self { nodes: nodes.clone(), displacement, jacobian }
    }

    /// max_i ‖Dξ(x_i)‖ (Frobenius): T is a diffeomorphism for |ε| below its inverse (Lemma B of the notation page).
    pub fn largest_derivative(&self) -> f64 {
        let square = |j: &Jacobian| j.iter().flatten().map(|v| v * v).sum::<f64>();
        self.jacobian.iter().map(square).fold(0.0, f64::max).sqrt()
    }

    /// ε₀ of the ladder: a quarter of the largest step for which T is surely a diffeomorphism; 1 for a field that vanishes.
    pub fn first_step(&self) -> f64 {
        let largest = self.largest_derivative();
        if largest > 0.0 { 0.25 / largest } else { 1.0 }
    }

    /// T x_i: n×d.
    pub fn moved(&self, step: f64) -> Matrix {
        Matrix::from_fn(self.nodes.rows(), self.nodes.cols(), |i, j| {
            self.nodes[(i, j)] + step * self.displacement[i][j]
        })
    }

    /// log det(I + εDξ(x_i)).
    pub fn log_det(&self, step: f64, i: usize) -> f64 {
        let [[a, b], [c, d]] = self.jacobian[i];
        // det - 1 = ε tr + ε² det Dξ, without the cancellation against 1
        ln_1p(step * (a + d) + step * step * (a * d - b * c))
    }

    /// l_ε(T x_i) = log p(T x_i) - log q(x_i) + log det(I + εDξ(x_i)), the log-ratio of p to the pushed q, exactly (Lemma B): n.
    pub fn log_ratio(&self, pair: &Pair, log_q: &[f64], step: f64) -> Vec<f64> {
        let log_p = pair.p.log_density(&self.moved(step));
        (0..log_p.len()).map(|i| log_p[i] - log_q[i] + self.log_det(step, i)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::jacobian;
    use crate::rng::{Purpose, stream};

    /// Checks the bumps' Jacobian against the tape's, to 32 roundings of its size.
    #[test]
    fn jacobian_by_the_tape() {
        for d in 1..=2usize {
            let mut rng = stream(5, Purpose::Check, d as u64);
            let pair = Pair::random(&mut rng, d);
            let bumps = Bumps::random(&mut rng, &pair);
            let x = [0.4, -0.7];
            let (value, derivative) = bumps.at(&x[..d]);
            let tape = jacobian(&x[..d], |x| {
                let term = |k: usize| {
                    let row = |v: &Vector| x.tape().leaf_from(1, d, &v[..d]);
                    let z = (x - row(&bumps.centres[k])) * (1.0 / bumps.widths[k]);
                    row(&bumps.amplitudes[k]) * (z.square().row_sums() * -0.5).exp()
                };
                let sum = term(0) + term(1) + term(2);
                (0..d).for_each(|j| assert!((sum.value()[(0, j)] - value[j]).abs() < 1e-14));
                sum
            });
            for i in 0..d {
                for j in 0..d {
                    assert!((tape[(i, j)] - derivative[i][j]).abs() < 1e-14, "{} {}", tape[(i, j)], derivative[i][j]);
                }
            }
        }
    }
}
