//! Hamiltonian Monte Carlo on many chains at once: slow, and the reference for a posterior's moments.

use crate::density::{Density, Evaluation, evaluate};
use crate::linalg::{Cholesky, Matrix, gemm};
use crate::num::{exp, ln, powf};
use crate::rng::{Purpose, Stream, fill_normal, stream, uniform};
use crate::{Error, Result};

/// How a run of [`hmc`] is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HmcSettings {
    /// Iterations that adapt step and metric and are thrown away.
    pub warmup: usize,
    /// Iterations that are kept.
    pub draws: usize,
    /// Length of a trajectory in units of the posterior's standard deviations; π/2 decorrelates a Gaussian.
    pub length: f64,
    /// Acceptance that the step is adapted to: 0.8 (Beskos et al., 2013, find 0.65 best; higher is safer), more for narrow places.
    pub acceptance: f64,
    /// Key of every random number.
    pub seed: u64,
}

/// What [`hmc`] returns.
#[derive(Debug, Clone)]
pub struct HmcRun {
    /// For each chain its draws in order: draws×d.
    pub chains: Vec<Matrix>,
    /// Mean probability of acceptance over the kept iterations.
    pub acceptance: f64,
    /// The step that the warm-up ended with, in units of the metric.
    pub step: f64,
    /// Kept trajectories whose energy error exceeded 1000: 0 in a run to be trusted.
    pub divergences: usize,
}

/// Energy error of a trajectory that has left the region where the integrator is stable (Betancourt, 2017).
const DIVERGENT: f64 = 1000.0;

/// The chains x_k, with momenta r ~ N(0, I) in the coordinates L⁻¹ x, L Lᵀ the metric's covariance.
struct Chains<'a> {
    density: &'a dyn Density,
    x: Matrix,
    at: Evaluation,
    factor: Matrix,
}

/// Draws from p by Hamiltonian Monte Carlo, one chain for each row of `start` (m×d, m ≥ 2), in the metric of the chains' own covariance.
///
/// Every quarter of the warm-up the metric becomes the covariance of the chains over the last quarter, and the step is adapted by dual averaging
/// to the acceptance that is asked for (Hoffman and Gelman, JMLR 2014, section 3.2). Source: Neal, "MCMC using Hamiltonian dynamics" (2011), algorithm of section 5.2.
/// `Error::NonFinite` where p returns NaN at a start; a trajectory that meets one is rejected.
pub fn hmc(density: &dyn Density, start: &Matrix, settings: &HmcSettings) -> Result<HmcRun> {
    if start.rows() < 2 {
        let name = "number of chains".into();
        return Err(Error::Parameter { name, value: start.rows() as f64, expected: "at least 2" });
    }
    let mut rng = stream(settings.seed, Purpose::Chain, 0);
    let at = evaluate(density, start)?;
    let mut chains = Chains { density, x: start.clone(), at, factor: Matrix::identity(start.cols()) };
    let mut step = Averaged::new(0.1);
    let quarter = (settings.warmup / 4).max(1);
    let mut window: Vec<Matrix> = Vec::new();
    for k in 0..settings.warmup {
        let acceptance = chains.iterate(step.now, settings.length, &mut rng).0;
        step.adapt(settings.acceptance - acceptance);
        window.push(chains.x.clone());
        if (k + 1) % quarter == 0 && k + 1 < settings.warmup {
            chains.factor = metric(&window)?;
            window.clear();
            step = Averaged::new(step.now.clamp(0.01, 0.5));
        }
    }
    let (m, d, n) = (start.rows(), start.cols(), settings.draws);
    let mut kept = vec![Matrix::zeros(n, d); m];
    let (mut acceptance, mut divergences) = (0.0, 0);
    for t in 0..n {
        let (a, bad) = chains.iterate(step.mean, settings.length, &mut rng);
        acceptance += a / n as f64;
        divergences += bad;
        kept.iter_mut().enumerate().for_each(|(k, chain)| chain.row_mut(t).copy_from_slice(chains.x.row(k)));
    }
    Ok(HmcRun { chains: kept, acceptance, step: step.mean, divergences })
}

impl Chains<'_> {
    /// One trajectory of every chain and its acceptance; returns the mean probability and the number of divergent ones.
    fn iterate(&mut self, step: f64, length: f64, rng: &mut Stream) -> (f64, usize) {
        let (m, d) = self.x.shape();
        let mut r = Matrix::zeros(m, d);
        fill_normal(rng, r.as_mut_slice());
        let kinetic = |r: &Matrix, k: usize| 0.5 * r.row(k).iter().map(|v| v * v).sum::<f64>();
        let before: Vec<f64> = (0..m).map(|k| self.at.log_density[k] - kinetic(&r, k)).collect();
        // a random length keeps trajectories from returning to where they began
        let steps = ((0.5 + uniform(rng)) * length / step).ceil().clamp(1.0, 1000.0) as usize;
        let (mut x, mut at) = (self.x.clone(), self.at.clone());
        for _ in 0..steps {
            gemm(0.5 * step, at.score.view(), self.factor.view(), 1.0, &mut r);
            gemm(step, r.view(), self.factor.t(), 1.0, &mut x);
            // not `evaluate`: a chain that has flown away must not stop the others
            self.density.evaluate_into(&x, &mut at.log_density, &mut at.score);
            at.score.as_mut_slice().iter_mut().for_each(|s| *s = if s.is_finite() { *s } else { 0.0 });
            gemm(0.5 * step, at.score.view(), self.factor.view(), 1.0, &mut r);
        }
        let (mut total, mut divergences) = (0.0, 0);
        for k in 0..m {
            let error = at.log_density[k] - kinetic(&r, k) - before[k];
            let probability = if error.is_nan() { 0.0 } else { exp(error.min(0.0)) };
            divergences += usize::from(error.is_nan() || error < -DIVERGENT);
            total += probability;
            if uniform(rng) < probability {
                self.x.row_mut(k).copy_from_slice(x.row(k));
                self.at.score.row_mut(k).copy_from_slice(at.score.row(k));
                self.at.log_density[k] = at.log_density[k];
            }
        }
        (total / m as f64, divergences)
    }
}

/// Dual averaging of log ε (Hoffman and Gelman, 2014, equation 6, with their γ = 0.05, t₀ = 10, κ = 0.75).
struct Averaged {
    /// ε of the next iteration.
    now: f64,
    /// ε averaged over iterations.
    mean: f64,
    centre: f64,
    error: f64,
    count: f64,
}

impl Averaged {
    fn new(step: f64) -> Self {
        Self { now: step, mean: step, centre: ln(10.0 * step), error: 0.0, count: 0.0 }
    }

    /// `missing`: the acceptance that is aimed at, less that of the iteration.
    fn adapt(&mut self, missing: f64) {
        self.count += 1.0;
        let t = self.count;
        self.error += (missing - self.error) / (t + 10.0);
        let log_step = self.centre - t.sqrt() / 0.05 * self.error;
        let weight = powf(t, -0.75);
        self.mean = exp(weight * log_step + (1.0 - weight) * ln(self.mean));
        self.now = exp(log_step);
    }
}

/// Cholesky factor of the covariance of all chains over a window, shrunk towards its diagonal as if by d more draws.
fn metric(window: &[Matrix]) -> Result<Matrix> {
    let d = window[0].cols();
    let rows: Vec<&[f64]> = window.iter().flat_map(Matrix::iter_rows).collect();
    let n = rows.len() as f64;
    let mean: Vec<f64> = (0..d).map(|j| rows.iter().map(|r| r[j]).sum::<f64>() / n).collect();
    let centred = Matrix::from_fn(rows.len(), d, |i, j| rows[i][j] - mean[j]);
    let mut covariance = Matrix::zeros(d, d);
    gemm(1.0 / n, centred.t(), centred.view(), 0.0, &mut covariance);
    let keep = n / (n + d as f64);
    let tiny = f64::MIN_POSITIVE.sqrt();
    let shrunk = Matrix::from_fn(d, d, |i, j| {
        if i == j { covariance[(i, i)].max(tiny) } else { keep * 0.5 * (covariance[(i, j)] + covariance[(j, i)]) }
    });
    Ok(Cholesky::factor(&shrunk, "covariance of the chains")?.lower().clone())
}
