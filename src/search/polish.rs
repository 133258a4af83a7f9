//! Polish of samples: a few steps of a Markov chain that leaves p invariant, after the one-step map.

use crate::density::{Density, Evaluation, evaluate};
use crate::linalg::Matrix;
use crate::num::{exp, ln, mean, powf};
use crate::rng::{Purpose, fill_uniform, normal_matrix, stream};
use crate::{Error, Result};

/// Acceptance of the fastest chain in high dimension (Roberts and Rosenthal, 1998).
const BEST_ACCEPTANCE: f64 = 0.574;
/// ℓ of the optimal proposal deviation ℓ σ d^(-1/6) for a product law (the same paper).
const FIRST_STEP: f64 = 1.65;
/// Longest drift of a proposal, in typical lengths of its noise: a tuned Gaussian uses 0.8 d^(-1/6); strays in steep tails neither overshoot nor stick.
const LONGEST_DRIFT: f64 = 1.0;
/// Steps of the pilot.
const PILOT_STEPS: u64 = 60;
/// Units of the streams of the pilot; runs count from 0, and uniforms stand beside normals.
const PILOT_UNIT: u64 = 1 << 42;
const UNIFORM_UNIT: u64 = 1 << 63;

/// The Metropolis-adjusted Langevin algorithm (MALA) with a fixed step τ.
///
/// Proposal `y = x + D(x) + √(2τ) ξ`, ξ ~ N(0, I), with the drift D = τ s_p(x), cut to the length √(2τd) of the noise (the truncated drift of Roberts
/// and Tweedie, 1996); y replaces x with probability min(1, p(y) φ(x|y)/(p(x) φ(y|x))), φ the proposal's density. p is invariant for every
/// τ, so K steps repair what is local: width and shape within modes. A chain this short does not cross empty gaps: mode masses stay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polish {
    /// τ.
    pub step: f64,
    /// Mean acceptance over the last half of the pilot.
    pub pilot_acceptance: f64,
}

/// What a polish did to n samples.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PolishReport {
    /// n.
    pub samples: usize,
    /// Mean probability of acceptance over samples and steps.
    pub acceptance: f64,
    /// Mean log p~ before, over samples with log p~ > -∞.
    pub log_density_before: f64,
    /// Mean log p~ after, likewise.
    pub log_density_after: f64,
}

/// Points of the chains, with their evaluation.
struct State {
    x: Matrix,
    at: Evaluation,
}

impl Polish {
    /// Finds τ on a copy of `pilot` (n×d, n ≥ 1; some hundred samples of the model) so that the mean acceptance is 0.574: 60 steps with
    /// log τ ← log τ + (acceptance - 0.574)/√k. The pilot is then forgotten: the reported steps have a fixed τ.
    ///
    /// Errors as [`Polish::run`]; `Parameter` where no score of the pilot says a length.
    pub fn tune(target: &dyn Density, pilot: &Matrix, seed: u64) -> Result<Self> {
        let mut state = State::new(target, pilot)?;
        let d = pilot.cols() as f64;
        // σ² = d/|s|² is the variance of an isotropic Gaussian with that score; the median is deaf to strays
        let mut squares: Vec<f64> = state.at.score.iter_rows().map(|s| s.iter().map(|s| s * s).sum()).collect();
        let middle = squares.len() / 2;
        let median: f64 = *squares.select_nth_unstable_by(middle, f64::total_cmp).1;
        let mut log_step = ln(0.5 * FIRST_STEP * FIRST_STEP * powf(d, -1.0 / 3.0) * d / median);
        if !log_step.is_finite() {
            let name = "median |score|² of the pilot".into();
            return Err(Error::Parameter { name, value: median, expected: "a positive finite number" });
        }
        let mut late = Vec::new();
        for k in 0..PILOT_STEPS {
            let acceptance = state.advance(target, exp(log_step), seed, PILOT_UNIT + k)?;
            log_step += (acceptance - BEST_ACCEPTANCE) * 2.0 / ((k + 1) as f64).sqrt();
            if 2 * k >= PILOT_STEPS {
                late.push(acceptance);
            }
        }
        Ok(Self { step: exp(log_step), pilot_acceptance: mean(&late) })
    }

    /// Moves each row of `samples` (n×d) by `steps` steps. Row i of block `block` has chain and numbers of its own under `seed`.
    ///
    /// A proposal where log p~ = -∞ is refused; a sample there leaves at the first proposal inside. `Error::NonFinite` with the point where
    /// log p~ or its score is not a number, and then `samples` is as before.
    pub fn run(
        &self,
        target: &dyn Density,
        samples: &mut Matrix,
        steps: u64,
        (seed, block): (u64, u64),
    ) -> Result<PolishReport> {
        let mut state = State::new(target, samples)?;
        let before = state.mean_log_density();
        let mut acceptance = 0.0;
        for k in 0..steps {
            acceptance += state.advance(target, self.step, seed, block * steps + k)? / steps as f64;
        }
        let after = state.mean_log_density();
        *samples = state.x;
        let samples = samples.rows();
        Ok(PolishReport { samples, acceptance, log_density_before: before, log_density_after: after })
    }
}

impl PolishReport {
    /// The report of both sets of samples together.
    pub fn join(self, other: Self) -> Self {
        let (n, m) = (self.samples as f64, other.samples as f64);
        let mean = |a: f64, b: f64| if n == 0.0 { b } else { (n * a + m * b) / (n + m) };
        Self {
            samples: self.samples + other.samples,
            acceptance: mean(self.acceptance, other.acceptance),
            log_density_before: mean(self.log_density_before, other.log_density_before),
            log_density_after: mean(self.log_density_after, other.log_density_after),
        }
    }
}

impl State {
    fn new(target: &dyn Density, x: &Matrix) -> Result<Self> {
        Ok(Self { x: x.clone(), at: evaluate(target, x)? })
    }

    fn mean_log_density(&self) -> f64 {
        let inside: Vec<f64> = self.at.log_density.iter().copied().filter(|l| l.is_finite()).collect();
        mean(&inside)
    }

    /// One step of every chain with the numbers of `unit`; returns the mean probability of acceptance.
    fn advance(&mut self, target: &dyn Density, step: f64, seed: u64, unit: u64) -> Result<f64> {
        let (n, d) = self.x.shape();
        let noise: Matrix = normal_matrix(seed, Purpose::Chain, unit, n, d);
        let mut uniforms = vec![0.0; n];
        fill_uniform(&mut stream(seed, Purpose::Chain, UNIFORM_UNIT | unit), &mut uniforms);
        let spread = (2.0 * step).sqrt();
        let drift = Matrix::from_fn(n, d, |i, j| factor(self.at.score.row(i), step) * self.at.score[(i, j)]);
        let proposed = Matrix::from_fn(n, d, |i, j| self.x[(i, j)] + drift[(i, j)] + spread * noise[(i, j)]);
        let there = evaluate(target, &proposed)?;
        let mut total = 0.0;
        for i in 0..n {
            let back = factor(there.score.row(i), step);
            // log φ(x|y) - log φ(y|x); φ(y|x) is the noise itself
            let log_proposal: f64 = (0..d)
                .map(|j| {
                    let returned = self.x[(i, j)] - proposed[(i, j)] - back * there.score[(i, j)];
                    0.5 * noise[(i, j)].powi(2) - returned.powi(2) / (4.0 * step)
                })
                .sum();
            let chance = match (self.at.log_density[i], there.log_density[i]) {
                (_, f64::NEG_INFINITY) => 0.0,
                (f64::NEG_INFINITY, _) => 1.0,
                (here, there) => exp((there - here + log_proposal).min(0.0)),
            };
            total += chance;
            if uniforms[i] < chance {
                self.x.row_mut(i).copy_from_slice(proposed.row(i));
                self.at.score.row_mut(i).copy_from_slice(there.score.row(i));
                self.at.log_density[i] = there.log_density[i];
            }
        }
        Ok(total / n as f64)
    }
}

/// D = factor · s: τ, or less where τ |s| is longer than √(2τd).
fn factor(score: &[f64], step: f64) -> f64 {
    let length = score.iter().map(|s| s * s).sum::<f64>().sqrt();
    let longest = LONGEST_DRIFT * (2.0 * step * score.len() as f64).sqrt();
    if step * length <= longest { step } else { longest / length }
}
