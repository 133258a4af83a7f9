//! p ∂_t u = ∂_x(p ∂_x W(u)) on a line of cells, u = q/p, for two or more unit Gaussians of equal mass, L apart.

use crate::divergence::Divergence;
use crate::num::{GaussLegendre, cosh, exp, ln};

/// What lies outside the modes, in standard deviations.
const MARGIN: f64 = 7.0;
/// Growth of the time step, as a fraction of the time.
const GROWTH: f64 = 0.015;
/// First time step.
const FIRST: f64 = 1e-4;
/// Bisections of the last step, to 1e-9 of it.
const BISECTIONS: usize = 30;

/// u at ∓x for masses 0.2, 0.8 against 0.5, 0.5: 0.4 + 1.2/(1 + e^{-Lx}).
pub(super) fn start(l: f64, x: f64) -> (f64, f64) {
    let at = |x: f64| 0.4 + 1.2 / (1.0 + exp(-l * x));
    (at(-x), at(x))
}

/// Cells of equal width centred at x_i, with the wells and the middles of the gaps among the centres.
pub(in crate::verify) struct Line {
    l: f64,
    width: f64,
    x: Vec<f64>,
    /// p at the centres.
    p: Vec<f64>,
    /// p at the faces, as the geometric mean of its neighbours: exactly reversible.
    face: Vec<f64>,
}

/// A run until the mass left of 0 is 0.35; NaN where a step leaves u > 0.
pub(in crate::verify) struct Run {
    /// When.
    pub time: f64,
    /// |E[ψ](T) - E[ψ](0)|.
    pub transported: f64,
    /// How far u ever was outside [0.4, 1.6].
    pub outside: f64,
}

impl Line {
    /// Two wells in cells of at most this width.
    pub fn new(l: f64, width: f64) -> Self {
        Self::wells(2, l, width)
    }

    /// K wells, at L(k - (K-1)/2).
    pub fn wells(count: usize, l: f64, width: f64) -> Self {
        let half = (0.5 * l / width).ceil();
        let width = 0.5 * l / half;
        let outer = half * (count - 1) as f64 + (MARGIN / width).ceil();
        let x: Vec<f64> = (0..=2 * outer as usize).map(|i| (i as f64 - outer) * width).collect();
        let mut line = Self { l, width, p: Vec::new(), face: Vec::new(), x };
        let share = (count as f64 * std::f64::consts::TAU.sqrt()).recip();
        line.p = (0..line.x.len()).map(|i| share * line.bells(count, i).sum::<f64>()).collect();
        line.face = line.p.windows(2).map(|p| (p[0] * p[1]).sqrt()).collect();
        line
    }

    /// e^(-(x - c_k)²/2) of each well at a centre.
    fn bells(&self, count: usize, i: usize) -> impl Iterator<Item = f64> + '_ {
        let centre = move |k: usize| self.l * (k as f64 - 0.5 * (count - 1) as f64);
        (0..count).map(move |k| exp(-0.5 * (self.x[i] - centre(k)).powi(2)))
    }

    /// u of q = Σ (u_k/K) N(c_k, 1).
    pub fn mixture(&self, values: &[f64]) -> Vec<f64> {
        let at = |i: usize| {
            let bells = || self.bells(values.len(), i);
            bells().zip(values).map(|(b, u)| b * u).sum::<f64>() / bells().sum::<f64>()
        };
        (0..self.x.len()).map(at).collect()
    }

    fn start(&self) -> Vec<f64> {
        self.x.iter().map(|&x| start(self.l, x).1).collect()
    }

    /// p_i ∂_t u_i = (flux_{i+½} - flux_{i-½})/width, flux = p_{i+½} (W(u_{i+1}) - W(u_i))/width, W(u) = -f'(1/u).
    fn rate(&self, f: &dyn Divergence, u: &[f64]) -> Vec<f64> {
        let w: Vec<f64> = u.iter().map(|&u| -u * f.u_df(-ln(u))).collect();
        let flux: Vec<f64> = (0..self.face.len()).map(|i| self.face[i] * (w[i + 1] - w[i])).collect();
        let square = self.width * self.width;
        let at = |i: usize| flux.get(i).unwrap_or(&0.0) - if i > 0 { flux[i - 1] } else { 0.0 };
        (0..u.len()).map(|i| at(i) / (self.p[i] * square)).collect()
    }

    /// Solves (I - c J) x = b, J the derivative of [`Line::rate`] at u, by elimination (Thomas); W'(u) = w(1/u).
    fn solve(&self, slope: &[f64], c: f64, mut b: Vec<f64>) -> Vec<f64> {
        let n = b.len();
        let k = |i: usize, j: usize| c * self.face[i.min(j)] * slope[j] / (self.p[i] * self.width * self.width);
        let diagonal = |i: usize| {
            let faces = self.face.get(i).unwrap_or(&0.0) + if i > 0 { self.face[i - 1] } else { 0.0 };
            1.0 + c * faces * slope[i] / (self.p[i] * self.width * self.width)
        };
        let mut above = vec![0.0; n];
        let mut pivot = diagonal(0);
        for i in 0..n {
            if i > 0 {
                pivot = diagonal(i) + k(i, i - 1) * above[i - 1];
                b[i] += k(i, i - 1) * b[i - 1];
            }
            b[i] /= pivot;
            above[i] = if i + 1 < n { -k(i, i + 1) / pivot } else { 0.0 };
        }
        for i in (0..n - 1).rev() {
            b[i] -= above[i] * b[i + 1];
        }
        b
    }

    /// One step of ROS2, an L-stable Rosenbrock method of order 2 (Verwer, Spee, Blom and Hundsdorfer, 1999), γ = 1 - 1/√2.
    fn step(&self, f: &dyn Divergence, u: &[f64], h: f64) -> Vec<f64> {
        let gamma = 1.0 - 0.5f64.sqrt();
        let slope: Vec<f64> = u.iter().map(|&u| f.weight(-ln(u))).collect();
        let first = self.solve(&slope, gamma * h, self.rate(f, u));
        let ahead: Vec<f64> = u.iter().zip(&first).map(|(u, k)| u + h * k).collect();
        let right = self.rate(f, &ahead).iter().zip(&first).map(|(r, k)| r - 2.0 * k).collect();
        let second = self.solve(&slope, gamma * h, right);
        (0..u.len()).map(|i| u[i] + h * (1.5 * first[i] + 0.5 * second[i])).collect()
    }

    /// ∫ p u over x < y, y in the middle of a cell, of which a half counts.
    fn mass_left_of(&self, y: f64, u: &[f64]) -> f64 {
        let cell = self.x.iter().position(|x| x + 0.5 * self.width > y).unwrap_or(0);
        let sum: f64 = (0..cell).map(|i| self.p[i] * u[i]).sum();
        self.width * (sum + 0.5 * self.p[cell] * u[cell])
    }

    /// ψ at the centres: 𝒞 ∫ dx/p from -L/2, by Gauss–Legendre in each cell.
    fn committor(&self) -> Vec<f64> {
        let rule = GaussLegendre::new(8);
        let inside = |x: f64| x.abs() < 0.5 * self.l + 0.25 * self.width;
        let inverse =
            |x: f64| exp(0.5 * x * x + self.l * self.l / 8.0) * std::f64::consts::TAU.sqrt() / cosh(0.5 * self.l * x);
        let mut sum = 0.0;
        let mut psi = vec![0.0];
        for x in self.x.windows(2) {
            if inside(x[0]) && inside(x[1]) {
                sum += rule.integrate(x[0], x[1], 1, inverse);
            }
            psi.push(sum);
        }
        psi.iter().map(|p| p / sum).collect()
    }

    /// d/dt E[ψ] at the start by the cells, and the rounding of that sum.
    pub fn committor_rate(&self, f: &dyn Divergence) -> (f64, f64) {
        let (psi, rate) = (self.committor(), self.rate(f, &self.start()));
        let terms = || (0..psi.len()).map(|i| self.width * psi[i] * self.p[i] * rate[i]);
        // a rate is a difference of W of size one over width²
        (terms().sum(), 16.0 * f64::EPSILON * (terms().map(f64::abs).sum::<f64>() + f.weight(0.0) / self.width))
    }

    /// The flow of two wells until the mass left of 0 is 0.35.
    pub fn halving(&self, f: &dyn Divergence) -> Run {
        let psi = self.committor();
        let mean = |u: &[f64]| self.width * (0..u.len()).map(|i| psi[i] * self.p[i] * u[i]).sum::<f64>();
        let (start, mut outside) = (self.start(), 0.0f64);
        let begin = mean(&start);
        let seen = |u: &[f64]| outside = u.iter().fold(outside, |m, u| m.max(0.4 - u).max(u - 1.6));
        let Some((time, last)) = self.until(f, start, (0.0, 0.35), seen) else {
            return Run { time: f64::NAN, transported: f64::NAN, outside: f64::NAN };
        };
        Run { time, transported: (mean(&last) - begin).abs(), outside }
    }

    /// Time and u where the mass left of a place reaches one that it is below at the start, with time steps that grow with the time; `seen` is
    /// shown every step. None where a step leaves u > 0.
    pub fn until(
        &self,
        f: &dyn Divergence,
        mut u: Vec<f64>,
        goal: (f64, f64),
        mut seen: impl FnMut(&[f64]),
    ) -> Option<(f64, Vec<f64>)> {
        // a steep weight begins with shorter steps, for a longer one overshoots to u < 0; no row of the table is ten times w(1)
        let steepest = u.iter().map(|&u| f.weight(-ln(u))).fold(0.0, f64::max) / f.weight(0.0);
        let first = FIRST * (10.0 / steepest).min(1.0);
        let mut time = 0.0;
        loop {
            let h = first + GROWTH * time;
            let next = self.step(f, &u, h);
            if !next.iter().all(|u| *u > 0.0) {
                return None;
            }
            if self.mass_left_of(goal.0, &next) >= goal.1 {
                let (h, last) = self.land(f, &u, h, goal);
                return Some((time + h, last));
            }
            seen(&next);
            (u, time) = (next, time + h);
        }
    }

    /// The step h' ≤ h at whose end the goal is reached, by bisection.
    fn land(&self, f: &dyn Divergence, u: &[f64], h: f64, goal: (f64, f64)) -> (f64, Vec<f64>) {
        let (mut low, mut high) = (0.0, h);
        for _ in 0..BISECTIONS {
            let middle = 0.5 * (low + high);
            let reached = self.mass_left_of(goal.0, &self.step(f, u, middle)) >= goal.1;
            *(if reached { &mut high } else { &mut low }) = middle;
        }
        (high, self.step(f, u, high))
    }
}
