//! Laws on the line at evenly spaced nodes, for quadrature by the trapezoidal rule and for curves over x.

use super::chart::Points;
use pushforward::density::GaussianMixture;
use pushforward::divergence::Divergence;
use pushforward::linalg::Matrix;
use pushforward::num::{GaussLegendre, exp};
use pushforward::verify::{Grid, Nodes, Pair};
use std::f64::consts::TAU;

/// Mass, mean, standard deviation.
pub type Part = (f64, f64, f64);

/// Two modes of which q starves one: p = ½N(−2, 0.8²) + ½N(2, 0.8²), q = 0.9 N(−2, 0.9²) + 0.1 N(2, 0.9²).
pub const TWO_MODES: [&[Part]; 2] = [&[(0.5, -2.0, 0.8), (0.5, 2.0, 0.8)], &[(0.9, -2.0, 0.9), (0.1, 2.0, 0.9)]];

/// Σ mass N(mean, deviation²).
pub fn mixture(parts: &[Part]) -> GaussianMixture {
    let masses: Vec<f64> = parts.iter().map(|p| p.0).collect();
    let means = Matrix::from_fn(parts.len(), 1, |i, _| parts[i].1);
    let covariances = parts.iter().map(|p| Matrix::filled(1, 1, p.2 * p.2)).collect();
    GaussianMixture::new(&masses, means, covariances).expect("positive masses and deviations")
}

/// The parts after noise of size h.
pub fn blurred(parts: &[Part], h: f64) -> Vec<Part> {
    parts.iter().map(|(w, m, s)| (*w, *m, (s * s + h * h).sqrt())).collect()
}

/// A pair of laws at the nodes of a grid.
pub struct Line {
    grid: Grid,
    pub at: Nodes,
}

impl Line {
    /// p and q at nodes of distance 0.02 over [low, high].
    pub fn new(p: &[Part], q: &[Part], (low, high): (f64, f64)) -> Self {
        let grid = Grid::covering(&[(low, high)], 0.02);
        let at = Pair { p: mixture(p).into(), q: mixture(q).into() }.at(&grid.nodes);
        Self { grid, at }
    }

    /// The two modes over [−12, 12].
    pub fn two_modes() -> Self {
        Self::new(TWO_MODES[0], TWO_MODES[1], (-12.0, 12.0))
    }

    pub fn len(&self) -> usize {
        self.grid.nodes.rows()
    }

    pub fn x(&self, i: usize) -> f64 {
        self.grid.nodes[(i, 0)]
    }

    pub fn beta(&self, i: usize) -> f64 {
        self.at.beta(i)[0]
    }

    /// ∫ g dx, g by nodes.
    pub fn integral(&self, g: impl Fn(usize) -> f64) -> f64 {
        self.grid.integrate(g)
    }

    /// E_q[k(l) β²].
    pub fn mean(&self, k: impl Fn(f64) -> f64) -> f64 {
        self.integral(|i| self.at.q(i) * k(self.at.l(i)) * self.beta(i) * self.beta(i))
    }

    /// D_f(p‖q).
    pub fn value(&self, f: &dyn Divergence) -> f64 {
        self.integral(|i| self.at.q(i) * f.f(self.at.l(i)))
    }

    /// (x, g) at the nodes in [low, high].
    pub fn curve(&self, (low, high): (f64, f64), g: impl Fn(usize) -> f64) -> Points {
        let inside = (0..self.len()).filter(|i| (low..=high).contains(&self.x(*i)));
        inside.map(|i| (self.x(i), g(i))).collect()
    }

    /// ∫ φ_h(x − y) g(y) dy, g by nodes.
    pub fn smoothed(&self, h: f64, x: f64, g: impl Fn(usize) -> f64) -> f64 {
        self.integral(|i| normal((x - self.x(i)) / h) / h * g(i))
    }

    /// G(λ) = Σ q|β| over the points where l = λ (T6).
    pub fn geometry(&self, level: f64) -> f64 {
        let crossing = |i: usize| {
            let (a, b) = (self.at.l(i) - level, self.at.l(i + 1) - level);
            let part = a / (a - b);
            let size = |i: usize| self.at.q(i) * self.beta(i).abs();
            if a * b < 0.0 { size(i) * (1.0 - part) + size(i + 1) * part } else { 0.0 }
        };
        (0..self.len() - 1).map(crossing).sum()
    }
}

/// The density of N(0, 1).
pub fn normal(x: f64) -> f64 {
    exp(-0.5 * x * x) / TAU.sqrt()
}

/// s' and s'' of the logistic step of width 1 at τ.
pub fn step(l: f64, tau: f64) -> (f64, f64) {
    let s = 1.0 / (1.0 + exp(tau - l));
    (s * (1.0 - s), s * (1.0 - s) * (1.0 - 2.0 * s))
}

/// (t, y) along y' = f(y) from `start`, by Runge and Kutta's steps of `dt` up to `end`; the figure draws `shown(y)`.
pub fn flow(start: f64, end: f64, dt: f64, f: impl Fn(f64) -> f64, shown: impl Fn(f64) -> f64) -> Points {
    let steps = (end / dt).round() as usize;
    let mut y = start;
    let mut out = vec![(0.0, shown(y))];
    for k in 1..=steps {
        let a = f(y);
        let b = f(y + 0.5 * dt * a);
        let c = f(y + 0.5 * dt * b);
        let d = f(y + dt * c);
        y += dt * (a + 2.0 * b + 2.0 * c + d) / 6.0;
        // two hundred points are enough for the eye
        if k % (steps / 200).max(1) == 0 || k == steps {
            out.push((dt * k as f64, shown(y)));
        }
    }
    out
}

/// ∫ over [a, b] by Gauss and Legendre.
pub fn quadrature(a: f64, b: f64, g: impl FnMut(f64) -> f64) -> f64 {
    GaussLegendre::new(16).integrate(a, b, 40, g)
}

/// W(u) = ∫ w(1/v) dv = −f'(1/u) up to a constant: every f-flow is p ∂_t u = div(p ∇W(u)) (T14, T18).
pub fn mobility(f: &dyn Divergence, u: f64) -> f64 {
    let l = -pushforward::num::ln(u);
    -f.u_df(l) / exp(l)
}
