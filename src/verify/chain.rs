//! p_i du_i/dt = Σ_j c_ij (W(u_j) - W(u_i)) [+ p_i u_i g_i] on a chain of cells, u = q/p, W'(u) = w(1/u): every f-flow on a line.

use crate::divergence::Divergence;
use crate::num::{exp, ln, powf};
use crate::rng::{Stream, uniform};

/// Largest factor between the weights at two cells.
const MOST: f64 = 1e4;

/// Cells with masses of p and the conductances between neighbours.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    /// p_i, sum 1.
    pub p: Vec<f64>,
    /// c between i and i + 1.
    pub conductance: Vec<f64>,
}

impl Chain {
    /// n cells; masses and conductances differ by factors up to three.
    pub fn random(rng: &mut Stream, n: usize) -> Self {
        let raw: Vec<f64> = (0..n).map(|_| 0.5 + uniform(rng)).collect();
        let total: f64 = raw.iter().sum();
        let conductance = (1..n).map(|_| 0.5 + uniform(rng)).collect();
        Self { p: raw.iter().map(|r| r / total).collect(), conductance }
    }

    /// N(0, 1) on cells of this width between ±reach.
    pub fn gaussian(width: f64, reach: f64) -> Self {
        Self::cells(|x| exp(-0.5 * x * x), width, reach)
    }

    /// A density on cells of this width between ±reach, geometric means at the faces: the finite-volume scheme, of order 2.
    pub fn cells(density: impl Fn(f64) -> f64, width: f64, reach: f64) -> Self {
        let n = (2.0 * reach / width).round() as usize + 1;
        let at = |i: usize| density(i as f64 * width - reach);
        let total: f64 = (0..n).map(at).sum();
        let p: Vec<f64> = (0..n).map(|i| at(i) / total).collect();
        let conductance = p.windows(2).map(|p| (p[0] * p[1]).sqrt() / (width * width)).collect();
        Self { p, conductance }
    }

    /// E_p.
    pub fn mean(&self, k: impl Fn(usize) -> f64) -> f64 {
        (0..self.p.len()).map(|i| self.p[i] * k(i)).sum()
    }

    /// u with entries between `low` and `high` before E_p u = 1.
    pub fn start(&self, rng: &mut Stream, low: f64, high: f64) -> Vec<f64> {
        let raw: Vec<f64> = self.p.iter().map(|_| low * powf(high / low, uniform(rng))).collect();
        let total = self.mean(|i| raw[i]);
        raw.iter().map(|r| r / total).collect()
    }

    /// u, or a power of it with E_p u = 1 anew: the explicit scheme takes as many steps as w differs over it, so that it may differ by
    /// [`MOST`] at most. No row of the table reaches that.
    pub fn within_reach(&self, f: &dyn Divergence, u: &[f64]) -> Vec<f64> {
        let span = |u: &[f64]| {
            let w = u.iter().map(|&u| f.log_weight(-ln(u)));
            let (low, high) = w.fold((f64::INFINITY, f64::NEG_INFINITY), |m, w| (m.0.min(w), m.1.max(w)));
            high - low
        };
        let mut out = u.to_vec();
        while span(&out) > ln(MOST) {
            let raw: Vec<f64> = out.iter().map(|u| u.sqrt()).collect();
            let total = self.mean(|i| raw[i]);
            out = raw.iter().map(|r| r / total).collect();
        }
        out
    }

    /// du/dt.
    pub fn rate(&self, f: &dyn Divergence, u: &[f64], reaction: bool) -> Vec<f64> {
        let w: Vec<f64> = u.iter().map(|&u| -u * f.u_df(-ln(u))).collect();
        let mut rate = vec![0.0; u.len()];
        for (k, c) in self.conductance.iter().enumerate() {
            let flux = c * (w[k + 1] - w[k]);
            rate[k] += flux / self.p[k];
            rate[k + 1] -= flux / self.p[k + 1];
        }
        if reaction {
            let phi: Vec<f64> = u.iter().map(|&u| f.first_variation(-ln(u))).collect();
            let mean = self.mean(|i| u[i] * phi[i]);
            (0..u.len()).for_each(|i| rate[i] -= u[i] * (phi[i] - mean));
        }
        rate
    }

    /// The largest step at which the explicit scheme is stable at u, a third of 2.78 over the largest rate.
    pub fn stable_step(&self, f: &dyn Divergence, u: &[f64]) -> f64 {
        let steepest = u.iter().map(|&u| f.weight(-ln(u))).fold(0.0, f64::max);
        let at = |i: usize| {
            let right = self.conductance.get(i).unwrap_or(&0.0);
            (right + if i > 0 { self.conductance[i - 1] } else { 0.0 }) / self.p[i]
        };
        0.45 / (steepest * (0..u.len()).map(at).fold(0.0, f64::max)).max(1e-3)
    }

    /// One step of the classical Runge–Kutta method.
    pub fn step(&self, f: &dyn Divergence, u: &[f64], h: f64, reaction: bool) -> Vec<f64> {
        let ahead = |k: &[f64], h: f64| -> Vec<f64> { u.iter().zip(k).map(|(u, k)| u + h * k).collect() };
        let a = self.rate(f, u, reaction);
        let b = self.rate(f, &ahead(&a, 0.5 * h), reaction);
        let c = self.rate(f, &ahead(&b, 0.5 * h), reaction);
        let d = self.rate(f, &ahead(&c, h), reaction);
        (0..u.len()).map(|i| u[i] + h / 6.0 * (a[i] + 2.0 * b[i] + 2.0 * c[i] + d[i])).collect()
    }

    /// u at the time, in equal steps no longer than `step`.
    pub fn after(&self, f: &dyn Divergence, u: &[f64], time: f64, step: f64, reaction: bool) -> Vec<f64> {
        let steps = (time / step).ceil().max(1.0);
        (0..steps as usize).fold(u.to_vec(), |u, _| self.step(f, &u, time / steps, reaction))
    }

    /// λ₁: the least positive eigenvalue of -𝓛, with its eigenvector.
    pub fn gap(&self) -> (f64, Vec<f64>) {
        self.slowest(|_| 1.0)
    }

    /// E_p|∇k|².
    pub fn energy(&self, k: &[f64]) -> f64 {
        self.conductance.iter().zip(k.windows(2)).map(|(c, k)| c * (k[1] - k[0]).powi(2)).sum()
    }

    /// The least E_p|∇k|² among E_p k = 0, E_p[a k²] = 1, with its k: inverse iteration.
    pub fn slowest(&self, a: impl Fn(usize) -> f64) -> (f64, Vec<f64>) {
        let n = self.p.len();
        let centred = |v: &[f64]| -> Vec<f64> {
            let mean = self.mean(|i| v[i]);
            v.iter().map(|v| v - mean).collect()
        };
        let mut k = centred(&(0..n).map(|i| i as f64).collect::<Vec<_>>());
        for _ in 0..400 {
            let size = self.mean(|i| a(i) * k[i] * k[i]).sqrt();
            let source = centred(&(0..n).map(|i| a(i) * k[i] / size).collect::<Vec<_>>());
            // -𝓛 x = source: the flux through a face is minus the sum of p·source on its left
            let (mut next, mut sum) = (vec![0.0; n], 0.0);
            for i in 0..n - 1 {
                sum += self.p[i] * source[i];
                next[i + 1] = next[i] - sum / self.conductance[i];
            }
            k = centred(&next);
        }
        let size = self.mean(|i| a(i) * k[i] * k[i]).sqrt();
        k.iter_mut().for_each(|k| *k /= size);
        (self.energy(&k), k)
    }
}
