use super::pair::vector;
use super::{Grid, Jacobian, Nodes, Pair, Push, Vector, dot};
use crate::divergence::Divergence;
use crate::linalg::Matrix;
use crate::num::exp;
use crate::rng::{Stream, fill_normal, uniform};

/// |x - c|/R at which grids end: e^(-3⁴) = 7e-36, below rounding beside the e^40 by which r² q can grow on the way.
const REACH: f64 = 3.0;

/// χ(x) = exp(-(|x - c|/R)⁴): nearly 1 inside, and 0 faster than any Gaussian grows.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// c.
    pub centre: Vector,
    /// R.
    pub radius: f64,
}

impl Window {
    /// A window near a random mean of q, one to two standard deviations wide: far out a weight such as 1/r would force tiny steps.
    pub fn random(rng: &mut Stream, pair: &Pair) -> Self {
        let k = ((pair.q.components() as f64) * uniform(rng)) as usize;
        let scale = pair.q.covariances()[k][(0, 0)].sqrt();
        let mut shift = [0.0; 2];
        fill_normal(rng, &mut shift[..pair.dim()]);
        let mean = vector(pair.q.means().row(k));
        let centre = [mean[0] + 0.5 * scale * shift[0], mean[1] + 0.5 * scale * shift[1]];
        Self { centre, radius: scale * (1.0 + 0.8 * uniform(rng)) }
    }

    /// [`Window::random`] for the attempt of a draw: each after the first is 0.7 times as wide as it would be, because where no order
    /// can be seen the weights differ too much within the window.
    pub fn attempt(rng: &mut Stream, pair: &Pair, attempt: usize) -> Self {
        let window = Self::random(rng, pair);
        Self { radius: window.radius * 0.7f64.powi(attempt as i32), ..window }
    }

    /// χ(x) and ∇χ(x).
    pub fn at(&self, x: &[f64]) -> (f64, Vector) {
        let x = vector(x);
        let z = [(x[0] - self.centre[0]) / self.radius, (x[1] - self.centre[1]) / self.radius];
        let square = dot(z, z);
        let chi = exp(-square * square);
        let factor = -4.0 * square * chi / self.radius;
        (chi, [factor * z[0], factor * z[1]])
    }

    /// The box of the window, resolving the pair: a twentieth of its finest component on the line, a seventh in the plane.
    pub fn grid(&self, pair: &Pair) -> Grid {
        self.finer_grid(pair, 1.0)
    }

    /// The same with so many times the nodes on an axis.
    pub fn finer_grid(&self, pair: &Pair, times: f64) -> Grid {
        let reach = REACH * self.radius;
        let finest = pair.finest_within(self.centre, reach).min(0.4 * self.radius);
        // a grid that cannot be had is left coarse, and refused for its resolution
        let finest = finest.max(reach / if pair.dim() == 1 { 2000.0 } else { 40.0 }) / times;
        let ends: Vec<(f64, f64)> = self.centre[..pair.dim()].iter().map(|c| (c - reach, c + reach)).collect();
        Grid::covering(&ends, finest / if pair.dim() == 1 { 20.0 } else { 7.0 })
    }
}

/// A window on a pair: grid, densities, χ, ∇χ and ∇²l at the nodes. What the windowed steps of T3, T5 and T8 are made of.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The pair.
    pub pair: Pair,
    /// The window.
    pub window: Window,
    /// Nodes over the window's box.
    pub grid: Grid,
    /// Densities and scores there.
    pub nodes: Nodes,
    /// χ at the nodes.
    pub chi: Vec<f64>,
    /// ∇χ at the nodes.
    pub chi_gradient: Vec<Vector>,
    /// ∇²l at the nodes.
    pub hessian: Vec<Jacobian>,
}

impl Scene {
    /// Evaluates everything once.
    pub fn new(pair: &Pair, window: Window) -> Self {
        Self::on(pair, window, window.grid(pair))
    }

    /// The same on a grid of one's own.
    pub fn on(pair: &Pair, window: Window, grid: Grid) -> Self {
        let nodes = pair.at(&grid.nodes);
        let (chi, chi_gradient) = grid.nodes.iter_rows().map(|x| window.at(x)).unzip();
        let hessian = grid.nodes.iter_rows().map(|x| pair.hessian(x)).collect();
        Self { pair: pair.clone(), window, grid, nodes, chi, chi_gradient, hessian }
    }

    /// ξ = χV with V = w(r)β by the shipped drift, and D(χV) = V ∇χᵀ + χ w (e ββᵀ + ∇²l) (T4).
    pub fn drift(&self, divergence: &dyn Divergence) -> Push {
        let velocity = self.nodes.drift(divergence);
        self.step(&velocity, |l| divergence.elasticity(l) * divergence.weight(l), |l| divergence.weight(l))
    }

    /// ξ = χ ω(l) β for any weight ω with its derivative in l.
    pub fn weighted(&self, weight: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) -> Push {
        let rows: Vec<f64> = (0..self.chi.len())
            .flat_map(|i| {
                self.nodes.beta(i)[..self.pair.dim()].iter().map(|b| weight(self.nodes.l(i)) * b).collect::<Vec<_>>()
            })
            .collect();
        let velocity = Matrix::from_vec(self.chi.len(), self.pair.dim(), rows);
        self.step(&velocity, slope, weight)
    }

    fn step(&self, velocity: &Matrix, slope: impl Fn(f64) -> f64, weight: impl Fn(f64) -> f64) -> Push {
        Push::new(&self.grid.nodes, |i, _| {
            let (l, beta, v) = (self.nodes.l(i), self.nodes.beta(i), vector(velocity.row(i)));
            let (chi, grad, h) = (self.chi[i], self.chi_gradient[i], self.hessian[i]);
            let (w, dw) = (weight(l), slope(l));
            let entry = |a: usize, b: usize| v[a] * grad[b] + chi * (dw * beta[a] * beta[b] + w * h[a][b]);
            ([chi * v[0], chi * v[1]], [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]])
        })
    }

    /// E_q[χ k(l) |β|²].
    pub fn mean(&self, k: impl Fn(f64) -> f64) -> f64 {
        self.mean_with_size(k).0
    }

    /// (E_q[χ k(l) |β|²], the same of |k|).
    pub fn mean_with_size(&self, k: impl Fn(f64) -> f64) -> (f64, f64) {
        self.grid.integrate_with_size(|i| self.density(&k, i))
    }

    /// The trapezoidal rule's change on half of the nodes, relative to the size of the integral.
    pub fn resolution(&self, k: impl Fn(f64) -> f64) -> f64 {
        self.grid.resolution(|i| self.density(&k, i)) / self.mean_with_size(&k).1
    }

    fn density(&self, k: impl Fn(f64) -> f64, i: usize) -> f64 {
        self.nodes.q(i) * self.chi[i] * k(self.nodes.l(i)) * self.nodes.beta2(i)
    }
}
