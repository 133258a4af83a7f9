//! Chains on p(x_0 | x_t): the Metropolis-adjusted Langevin algorithm with a step of its own at each noise level.

use super::Level;
use crate::Result;
use crate::density::{Density, Evaluation, evaluate};
use crate::linalg::Matrix;
use crate::num::{exp, ln};
use crate::rng::{Purpose, fill_uniform, normal_matrix, stream};
use std::sync::Arc;

/// Acceptance of the fastest chain in high dimension (Roberts and Rosenthal, 1998).
pub(crate) const BEST_ACCEPTANCE: f64 = 0.574;

/// Points with log p~ and its score: what a step of MALA on any tempered posterior needs.
pub(super) struct Walk {
    x: Matrix,
    at: Evaluation,
}

impl Walk {
    pub(super) fn new(p: &dyn Density, x: Matrix) -> Result<Self> {
        Ok(Self { at: evaluate(p, &x)?, x })
    }

    pub(super) fn points(&self) -> &Matrix {
        &self.x
    }

    pub(super) fn log_density(&self) -> &[f64] {
        &self.at.log_density
    }

    pub(super) fn score(&self) -> &Matrix {
        &self.at.score
    }

    /// One step on π ∝ N(x_t; a x, s² I) p~(x)^β exp(-½ρ|x|²), `tempered` = (β, ρ), with τ of each row; the probabilities of acceptance.   x_t,
    /// noise: n×d; the others: n.
    ///
    /// x' = x + τ ∇log π(x) + √(2τ) ξ, accepted with min(1, π(x') φ(x|x')/(π(x) φ(x'|x))). A proposal where p~ is not finite is refused.
    pub(super) fn step(
        &mut self,
        p: &dyn Density,
        levels: &[Level],
        xt: &Matrix,
        tau: &[f64],
        tempered: (f64, f64),
        noise: &Matrix,
        uniforms: &[f64],
    ) -> Vec<f64> {
        let ((n, d), (beta, rest)) = (self.x.shape(), tempered);
        let gradient = |x: &[f64], score: &[f64], i: usize| -> Vec<f64> {
            let Level { a, s } = levels[i];
            (0..d).map(|j| beta * score[j] - rest * x[j] + a * (xt[(i, j)] - a * x[j]) / (s * s)).collect()
        };
        let mut proposal = Matrix::zeros(n, d);
        for i in 0..n {
            let g = gradient(self.x.row(i), self.at.score.row(i), i);
            let far = (2.0 * tau[i]).sqrt();
            for (j, y) in proposal.row_mut(i).iter_mut().enumerate() {
                *y = self.x[(i, j)] + tau[i] * g[j] + far * noise[(i, j)];
            }
        }
        let mut at = Evaluation { log_density: vec![0.0; n], score: Matrix::zeros(n, d) };
        // not `evaluate`: a proposal that has flown away must not stop the others
        p.evaluate_into(&proposal, &mut at.log_density, &mut at.score);
        let mut acceptance = vec![0.0; n];
        for i in 0..n {
            let (x, y) = (self.x.row(i), proposal.row(i));
            let log_target = |x: &[f64], l: f64| {
                let Level { a, s } = levels[i];
                let square: f64 = x.iter().zip(xt.row(i)).map(|(x, t)| (t - a * x).powi(2)).sum();
                let prior = 0.5 * rest * x.iter().map(|x| x * x).sum::<f64>();
                beta * l - prior - square / (mutant!("chain-likelihood", 1.0, 2.0) * s * s)
            };
            let back = gradient(y, at.score.row(i), i);
            let reverse: f64 = (0..d).map(|j| (x[j] - y[j] - tau[i] * back[j]).powi(2)).sum();
            let forward: f64 = noise.row(i).iter().map(|z| z * z).sum();
            let log_ratio =
                log_target(y, at.log_density[i]) - log_target(x, self.at.log_density[i]) - reverse / (4.0 * tau[i])
                    + 0.5 * forward;
            acceptance[i] = if log_ratio.is_nan() { 0.0 } else { exp(log_ratio.min(0.0)) };
            if uniforms[i] < acceptance[i] {
                self.x.row_mut(i).copy_from_slice(proposal.row(i));
                self.at.log_density[i] = at.log_density[i];
                self.at.score.row_mut(i).copy_from_slice(at.score.row(i));
            }
        }
        acceptance
    }
}

/// One chain for each x_t, which goes on from call to call: where x_t moves little, so does its posterior, and the chain needs no new start.
///
/// Each noise level has a step τ of its own, log τ ← log τ + (mean acceptance of its chains - 0.574)/√k at the k-th step, from
/// τ = ¼ s²/a²; [`PosteriorChains::freeze`] ends the adaptation, after which the posterior is invariant under every step.
pub struct PosteriorChains {
    p: Arc<dyn Density>,
    levels: Vec<Level>,
    /// Level of each chain, by its number.
    of: Vec<usize>,
    walk: Walk,
    log_step: Vec<f64>,
    acceptance: Vec<f64>,
    count: u64,
    adapting: bool,
    seed: u64,
}

impl PosteriorChains {
    /// Chains from `start` (n×d), chain i at `levels[of[i]]`. `Error::NonFinite` where p~ is not finite at a start. Panics where `of` has another length
    /// or names a level that is not there.
    pub fn new(p: Arc<dyn Density>, levels: Vec<Level>, of: Vec<usize>, start: Matrix, seed: u64) -> Result<Self> {
        assert!(of.len() == start.rows() && of.iter().all(|&k| k < levels.len()), "a level for each chain");
        let walk = Walk::new(&*p, start)?;
        let log_step = levels.iter().map(|l| ln(0.25 * l.bandwidth().powi(2))).collect();
        let acceptance = vec![0.0; levels.len()];
        Ok(Self { p, levels, of, walk, log_step, acceptance, count: 0, adapting: true, seed })
    }

    /// With these τ of the levels.
    pub fn with_steps(self, steps: &[f64]) -> Self {
        Self { log_step: steps.iter().map(|&tau| ln(tau)).collect(), ..self }
    }

    /// No more adaptation.
    pub fn freeze(&mut self) {
        self.adapting = false;
    }

    /// τ of each level.
    pub fn steps(&self) -> Vec<f64> {
        self.log_step.iter().map(|&l| exp(l)).collect()
    }

    /// Mean acceptance of each level over the last call of [`PosteriorChains::advance`].
    pub fn acceptance(&self) -> &[f64] {
        &self.acceptance
    }

    /// x_0: n×d.
    pub fn points(&self) -> &Matrix {
        self.walk.points()
    }

    /// ∇log p~ there: n×d.
    pub fn score(&self) -> &Matrix {
        self.walk.score()
    }

    /// `steps` steps of every chain towards p(x_0 | x_t).   x_t: n×d.
    pub fn advance(&mut self, xt: &Matrix, steps: usize) {
        let (n, d) = self.walk.points().shape();
        let levels: Vec<Level> = self.of.iter().map(|&k| self.levels[k]).collect();
        let mut chains = vec![0.0f64; self.levels.len()];
        self.of.iter().for_each(|&k| chains[k] += 1.0);
        let mut sums = vec![0.0; self.levels.len()];
        for _ in 0..steps {
            self.count += 1;
            let noise = normal_matrix(self.seed, Purpose::Chain, self.count, n, d);
            let mut uniforms = vec![0.0; n];
            fill_uniform(&mut stream(self.seed, Purpose::Chain, (1 << 63) | self.count), &mut uniforms);
            let tau: Vec<f64> = self.of.iter().map(|&k| exp(self.log_step[k])).collect();
            let accepted = self.walk.step(&*self.p, &levels, xt, &tau, (1.0, 0.0), &noise, &uniforms);
            let mut mean = vec![0.0; self.levels.len()];
            accepted.iter().zip(&self.of).for_each(|(a, &k)| mean[k] += a / chains[k]);
            sums.iter_mut().zip(&mean).for_each(|(s, m)| *s += m / steps as f64);
            if self.adapting {
                let rate = 1.0 / (self.count as f64).sqrt();
                let moved = self.log_step.iter_mut().zip(&mean).zip(&chains).filter(|(_, chains)| **chains > 0.0);
                moved.for_each(|((l, m), _)| *l += rate * (m - BEST_ACCEPTANCE));
            }
        }
        self.acceptance = sums;
    }
}
