//! Draws of p(x_0 | x_t) without a state: exact for mixtures, by importance sampling, by annealed importance sampling.

use super::Level;
use super::chains::Walk;
use crate::Result;
use crate::density::{Density, GaussianMixture, evaluate_log_density};
use crate::linalg::{Cholesky, Matrix, gemm};
use crate::num::{exp, ln, log_sum_exp};
use crate::parallel;
use crate::rng::{Purpose, fill_normal, normal_matrix, pick, pick_at, stream, stream_beside, uniform};
use std::f64::consts::TAU;

/// `draws` exact independent draws for each x_t, in consecutive rows.   x_t: n×d → n·draws×d.
///
/// p(x_0 | x_t) of p = Σ_k w_k N(m_k, C_k) is Σ_k v_k N(m_k + K_k (x_t - a m_k), C_k - a K_k C_k), K_k = a C_k S_k⁻¹,
/// S_k = a² C_k + s² I, v_k ∝ w_k N(x_t; a m_k, S_k).
pub fn exact(p: &GaussianMixture, level: Level, xt: &Matrix, draws: usize, seed: u64) -> Result<Matrix> {
    let (n, d) = xt.shape();
    let Level { a, s } = level;
    let mut parts = Vec::with_capacity(p.components());
    for (k, c) in p.covariances().iter().enumerate() {
        let eye = |i: usize, j: usize| if i == j { 1.0 } else { 0.0 };
        let seen = Cholesky::factor(
            &Matrix::from_fn(d, d, |i, j| a * a * c[(i, j)] + s * s * eye(i, j)),
            &format!("covariance of component {k} with noise"),
        )?;
        let inverse = seen.inverse();
        let mut gain = Matrix::zeros(d, d);
        gemm(mutant!("posterior-gain", 1.0, a), c.view(), inverse.view(), 0.0, &mut gain);
        // (C⁻¹ + a²/s² I)⁻¹ = s² C S⁻¹ = s²/a K, without a difference
        let spread = Matrix::from_fn(d, d, |i, j| 0.5 * s * s / a * (gain[(i, j)] + gain[(j, i)]));
        let factor = Cholesky::factor(&spread, &format!("posterior covariance of component {k}"))?;
        let constant = ln(p.weights()[k]) - 0.5 * (seen.log_det() + d as f64 * ln(TAU));
        parts.push((seen, gain, factor, constant));
    }
    let rows = parallel::collect(0..n, |i| {
        let residual =
            |k: usize| -> Vec<f64> { xt.row(i).iter().zip(p.means().row(k)).map(|(x, m)| x - a * m).collect() };
        let logs: Vec<f64> = parts
            .iter()
            .enumerate()
            .map(|(k, part)| part.3 - 0.5 * part.0.inverse_quadratic_form(&residual(k)))
            .collect();
        let top = log_sum_exp(&logs);
        let weights: Vec<f64> = logs.iter().map(|l| exp(l - top)).collect();
        let mut rng = stream(seed, Purpose::Chain, i as u64);
        let mut out = Vec::with_capacity(draws * d);
        for _ in 0..draws {
            let k = pick(&mut rng, &weights);
            let (_, gain, factor, _) = &parts[k];
            let (r, mut z) = (residual(k), vec![0.0; d]);
            fill_normal(&mut rng, &mut z);
            out.extend((0..d).map(|row| {
                let moved: f64 = (0..d).map(|j| gain[(row, j)] * r[j]).sum();
                let noise: f64 = (0..=row).map(|j| factor.lower()[(row, j)] * z[j]).sum();
                p.means()[(k, row)] + moved + noise
            }));
        }
        out
    });
    Ok(Matrix::from_vec(n * draws, d, rows.concat()))
}

/// What [`importance`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// Draws for each x_t, in consecutive rows: n·kept×d.
    pub draws: Matrix,
    /// log of the mean weight: its exponential is an unbiased estimate of (p~ ∗ N(0, (s/a)² I))(x_t/a) = aᵈ p~_t(x_t): n.
    pub log_normaliser: Vec<f64>,
    /// (Σw)²/Σw² of the `particles` weights: n.
    pub effective: Vec<f64>,
    /// Mean probability of acceptance of the moves on the way; 1 where there are none.
    pub acceptance: f64,
}

/// How [`ais`] goes from its proposal to the posterior.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Annealing {
    /// Chains for each x_t.
    pub particles: usize,
    /// How many of them are kept, each as often as its weight says.
    pub kept: usize,
    /// Densities on the way, the posterior itself with them.
    pub rungs: usize,
    /// τ of the MALA step on each.
    pub step: f64,
    /// λ of the Gaussian exp(-½λ|x|²) that stands for p~ in the proposal; 0 for none.
    pub precision: f64,
}

/// One draw for each x_t by importance sampling: `particles` points from the likelihood read as a density of x_0, N(x_t/a, (s/a)² I), weighted by
/// p~, and one of them kept. Equal in law to the posterior as `particles` → ∞; useless where p~ varies much over the distance s/a.   x_t: n×d.
///
/// `Error::NonFinite` where p~ is.
pub fn importance(p: &dyn Density, level: Level, xt: &Matrix, particles: usize, seed: u64) -> Result<Importance> {
    let (n, d) = xt.shape();
    let z: Matrix = normal_matrix(seed, Purpose::Chain, 0, n * particles, d);
    let at = |r: usize, j: usize| xt[(r / particles, j)] / level.a + level.bandwidth() * z[(r, j)];
    let points = Matrix::from_fn(n * particles, d, at);
    let log_weights = evaluate_log_density(p, &points)?;
    Ok(keep(&points, &log_weights, (particles, 1), seed, 1.0))
}

/// `kept` rows of each group of `particles`, each with the probability of its weight; systematic (Kitagawa 1996), so that few are kept twice.
fn keep(
    points: &Matrix,
    log_weights: &[f64],
    (particles, kept): (usize, usize),
    seed: u64,
    acceptance: f64,
) -> Importance {
    let mut rng = stream_beside(seed, Purpose::Chain, 0);
    let (mut rows, mut log_normaliser, mut effective) = (Vec::new(), Vec::new(), Vec::new());
    for (i, l) in log_weights.chunks_exact(particles).enumerate() {
        let total = log_sum_exp(l);
        // where every weight is 0 nothing tells the particles apart
        let even = total == f64::NEG_INFINITY;
        let share = |l: &f64| if even { 1.0 / particles as f64 } else { exp(l - total) };
        let weights: Vec<f64> = l.iter().map(share).collect();
        let first = uniform(&mut rng);
        rows.extend((0..kept).map(|k| i * particles + pick_at((first + k as f64) / kept as f64, &weights)));
        log_normaliser.push(total - mutant!("importance-mean", 0.0, ln(particles as f64)));
        effective.push(1.0 / weights.iter().map(|w| w * w).sum::<f64>());
    }
    Importance { draws: points.gather_rows(&rows), log_normaliser, effective, acceptance }
}

/// `kept` draws for each x_t by annealed importance sampling (Neal, Statistics and Computing 2001): chains from the proposal, through the densities
/// ∝ N(x_t; a x, s² I) g(x)^(1-k/K) p~(x)^(k/K), g = exp(-½λ|x|²), k = 1..K, with one MALA step on each, weighted, and some kept.   x_t: n×d.
///
/// With λ = 0 the proposal is the likelihood read as a density of x_0; where that is wider than p, a Gaussian about as wide as p keeps
/// proposals where p is. Errors as [`importance`], which is the case of λ = 0 and one rung but for the last step.
pub fn ais(p: &dyn Density, level: Level, xt: &Matrix, how: Annealing, seed: u64) -> Result<Importance> {
    let Annealing { particles, kept, rungs, step, precision } = how;
    let (d, all) = (xt.cols(), xt.rows() * particles);
    let (y, h) = (|r: usize, j: usize| xt[(r, j)] / level.a, level.bandwidth());
    // N(y, h² I) times g is N(y/(1 + λh²), h²/(1 + λh²) I) times its integral
    let narrower = 1.0 + precision * h * h;
    let each: Vec<usize> = (0..all).map(|r| r / particles).collect();
    let z: Matrix = normal_matrix(seed, Purpose::Chain, 0, all, d);
    let start = Matrix::from_fn(all, d, |r, j| y(each[r], j) / narrower + h / narrower.sqrt() * z[(r, j)]);
    let wide = xt.gather_rows(&each);
    let mut walk = Walk::new(p, start)?;
    let (mut log_weights, mut acceptance) = (vec![0.0; all], 0.0);
    let mut rng = stream(seed, Purpose::Chain, 1 << 40);
    let (steps, levels) = (vec![step; all], vec![level; all]);
    for k in 1..=rungs {
        for ((w, l), x) in log_weights.iter_mut().zip(walk.log_density()).zip(walk.points().iter_rows()) {
            let prior = 0.5 * precision * x.iter().map(|x| x * x).sum::<f64>();
            *w += (l + prior) / rungs as f64;
        }
        let uniforms: Vec<f64> = (0..all).map(|_| uniform(&mut rng)).collect();
        let noise = normal_matrix(seed, Purpose::Chain, k as u64, all, d);
        let beta = k as f64 / rungs as f64;
        let accepted = walk.step(p, &levels, &wide, &steps, (beta, (1.0 - beta) * precision), &noise, &uniforms);
        acceptance += accepted.iter().sum::<f64>() / (rungs * all) as f64;
    }
    let mut found = keep(walk.points(), &log_weights, (particles, kept), seed, acceptance);
    for (i, l) in found.log_normaliser.iter_mut().enumerate() {
        let square: f64 = (0..d).map(|j| y(i, j).powi(2)).sum();
        *l -= 0.5 * (d as f64 * ln(narrower) + precision * square / narrower);
    }
    Ok(found)
}
