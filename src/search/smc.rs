//! Particles of the target by sequential Monte Carlo: what is known of p before a training begins.

use crate::density::{Density, GaussianMixture};
use crate::error::Result;
use crate::linalg::{Cholesky, Matrix};
use crate::num::{exp, ln, log_sum_exp, powf};
use crate::rng::{Purpose, Stream, fill_normal, stream, uniform};
use crate::search::probe::{Probe, Tally};
use rayon::prelude::*;
use std::f64::consts::TAU;
use std::ops::Range;

/// Radii of the Gaussians around the frame's centre in which a population begins, in units of the frame.
pub(crate) const RADII: [f64; 5] = [0.1, 1.0, 10.0, 100.0, 1000.0];
/// Smallest fraction of particles that a reweighting leaves effective (Del Moral, Doucet and Jasra, 2006, section 3.5).
const ESS_FRACTION: f64 = 0.5;
/// Metropolis sweeps after each reweighting, and after the last.
const SWEEPS: usize = 6;
const LAST_SWEEPS: usize = 30;
/// Sweeps of moves of some coordinates, for each dimension, at the same places.
const PARTIAL: usize = 1;
const LAST_PARTIAL: usize = 16;
/// Most reweightings; a population that needs more has failed.
const MAX_STAGES: usize = 200;
/// Reweightings over which the growth of log β is measured. A population that would need more than [`MAX_STAGES`] at this pace has failed:
/// it is drifting towards mass that lies many of its widths away.
const PACE: usize = 10;
/// Particles of a task; fixed, so that the bits do not depend on the number of threads.
const CHUNK: usize = 1024;

/// Which coordinates the moves of a sweep change.
#[derive(Clone, Copy, PartialEq)]
enum Moves {
    /// All.
    Whole,
    /// Some (crossover; Vrugt et al., 2009): where p is nearly a product, no jump of all coordinates at once would be accepted.
    Partial,
}

/// Fraction of the moves that are jumps between modes.
const JUMPS: [f64; 2] = [0.3, 0.8];

/// The law q₀ in which a population begins.
pub(crate) enum Start {
    /// An equal mixture of N(0, R² I) over [`RADII`].
    Radii,
    /// Any mixture.
    Mixture(Box<GaussianMixture>),
}

impl Start {
    /// n×d particles of q₀.
    fn draw(&self, n: usize, d: usize, seed: u64, rng: &mut Stream) -> Matrix {
        match self {
            Start::Radii => {
                let mut x = Matrix::zeros(n, d);
                fill_normal(rng, x.as_mut_slice());
                for i in 0..n {
                    x.row_mut(i).iter_mut().for_each(|v| *v *= RADII[i % RADII.len()]);
                }
                x
            }
            Start::Mixture(q) => q.sample(n, seed).expect("a mixture has samples"),
        }
    }

    /// log q₀(x_i), up to [`Start::log_constant`].
    fn log_law(&self, x: &Matrix) -> Vec<f64> {
        match self {
            Start::Radii => {
                let volumes = RADII.map(|r| (r, x.cols() as f64 * ln(r)));
                let one = |row: &[f64]| {
                    let r2: f64 = row.iter().map(|v| v * v).sum();
                    log_sum_exp(&volumes.map(|(r, volume)| -0.5 * r2 / (r * r) - volume))
                };
                x.iter_rows().map(one).collect()
            }
            Start::Mixture(q) => q.log_density(x),
        }
    }

    /// log ∫ exp [`Start::log_law`].
    fn log_constant(&self, d: usize) -> f64 {
        match self {
            Start::Radii => ln(RADII.len() as f64) + 0.5 * d as f64 * ln(TAU),
            Start::Mixture(_) => 0.0,
        }
    }
}

/// (Σ w)²/Σ w² (Kish, 1965).   `log_weights`: log w.
pub(super) fn effective_size(log_weights: &[f64]) -> f64 {
    let double: Vec<f64> = log_weights.iter().map(|l| 2.0 * l).collect();
    exp(2.0 * log_sum_exp(log_weights) - log_sum_exp(&double))
}

/// Particles of the annealed law q₀^{1-β} p~^β, β from 0 to 1.
struct Population<'a> {
    probe: &'a Probe<'a>,
    start: &'a Start,
    x: Matrix,
    /// log q₀ and log p~ at x.
    log_start: Vec<f64>,
    log_target: Vec<f64>,
    beta: f64,
    /// Lᵀ, L the lower factor of the particles' covariance after the last resampling.
    transposed: Matrix,
    seed: u64,
    /// Half sweeps so far: part of the key of their random numbers.
    moves: u64,
    /// The particle of the start that each one descends from.
    ancestors: Vec<usize>,
    log_z: f64,
    tally: Tally,
    /// The best proposal of each half sweep.
    best: Vec<(f64, Vec<f64>)>,
}

/// Proposals for the particles from a row on, and which of them are taken.
struct Proposals {
    first: usize,
    x: Matrix,
    log_start: Vec<f64>,
    log_target: Vec<f64>,
    taken: Vec<bool>,
    tally: Tally,
}

/// Where a population ended, in units of its frame.
#[derive(Clone)]
pub(crate) struct Ended {
    /// n×d, equally weighted.
    pub x: Matrix,
    /// The β that was reached.
    pub beta: f64,
    /// log ∫ p~ in units of the frame: the sum of the logarithms of the mean weights. Its exponential is unbiased (Del Moral, Doucet and
    /// Jasra, 2006).
    pub log_z: f64,
    /// The particle of the start that each one descends from.
    pub ancestors: Vec<usize>,
    /// Reweightings.
    pub stages: usize,
    /// Everything that was asked of the target, and in the last stage alone.
    pub tally: Tally,
    pub last: Tally,
    /// Points of high density that the moves met.
    pub best: Vec<(f64, Vec<f64>)>,
}

/// n particles from q₀ to p by sequential Monte Carlo (Del Moral, Doucet and Jasra, 2006). It ends at β < 1 where no particle finds the
/// support, or where [`MAX_STAGES`] reweightings do not suffice.
///
/// `Error::Panicked` where the target panics.
pub(crate) fn populate(probe: &Probe, start: &Start, n: usize, seed: u64) -> Result<Ended> {
    let d = probe.frame.dim();
    let mut rng = stream(seed, Purpose::Probe, 0);
    let x = start.draw(n, d, seed, &mut rng);
    let log_start = start.log_law(&x);
    let (log_target, tally) = probe.log_density(&x)?;
    let (transposed, ancestors) = (Matrix::zeros(d, d), (0..n).collect());
    let (log_z, best) = (start.log_constant(d), Vec::new());
    let (beta, moves) = (0.0, 0);
    let mut population = Population {
        probe,
        start,
        x,
        log_start,
        log_target,
        beta,
        transposed,
        seed,
        moves,
        ancestors,
        log_z,
        tally,
        best,
    };
    let (mut stages, mut before, mut betas) = (0, Tally::default(), Vec::new());
    while population.beta < 1.0 && !hopeless(&betas) && population.reweight(&mut rng) {
        stages += 1;
        betas.push(population.beta);
        before.clone_from(&population.tally);
        let (whole, partial) = if population.beta < 1.0 { (SWEEPS, PARTIAL) } else { (LAST_SWEEPS, LAST_PARTIAL) };
        (0..whole).try_for_each(|_| population.sweep(Moves::Whole))?;
        (0..if d > 1 { partial * d } else { 0 }).try_for_each(|_| population.sweep(Moves::Partial))?;
    }
    let Population { x, beta, log_z, ancestors, tally, best, .. } = population;
    let last =
        Tally { calls: tally.calls - before.calls, rejected: tally.rejected - before.rejected, ..Tally::default() };
    Ok(Ended { x, beta, log_z, ancestors, stages, tally, last, best })
}

/// Whether β, stage by stage, will not reach 1 in [`MAX_STAGES`]; asked after twice [`PACE`].
fn hopeless(betas: &[f64]) -> bool {
    let (stages, Some(&now)) = (betas.len(), betas.last()) else { return false };
    let pace = |then: f64| ln(now / then) / PACE as f64;
    stages >= 2 * PACE && stages as f64 - ln(now) / pace(betas[stages - 1 - PACE]) > MAX_STAGES as f64
}

impl Population<'_> {
    /// log of the annealed law, at given log q₀ and log p~.
    fn log_law(&self, start: f64, target: f64) -> f64 {
        (1.0 - self.beta) * start + self.beta * target
    }

    /// Raises β as far as the effective sample size allows, and resamples; false where no particle lies in the target's support.
    fn reweight(&mut self, rng: &mut Stream) -> bool {
        let gain: Vec<f64> = self.log_target.iter().zip(&self.log_start).map(|(t, s)| t - s).collect();
        if gain.iter().all(|g| *g == f64::NEG_INFINITY) {
            return false;
        }
        let alive = gain.iter().filter(|g| **g > f64::NEG_INFINITY).count() as f64;
        let weights = |delta: f64| -> Vec<f64> { gain.iter().map(|g| delta * g).collect() };
        let effective = |delta: f64| effective_size(&weights(delta));
        let mut delta = 1.0 - self.beta;
        if effective(delta) < ESS_FRACTION * alive {
            let (mut low, mut high) = (0.0, delta);
            for _ in 0..50 {
                delta = 0.5 * (low + high);
                *(if effective(delta) < ESS_FRACTION * alive { &mut high } else { &mut low }) = delta;
            }
        }
        self.beta = if delta >= 1.0 - self.beta { 1.0 } else { self.beta + delta };
        self.resample(&weights(delta), rng);
        self.transposed = covariance_factor(&self.x).transpose();
        true
    }

    /// Systematic resampling (Kitagawa, 1996).
    fn resample(&mut self, log_weights: &[f64], rng: &mut Stream) {
        let total = log_sum_exp(log_weights);
        self.log_z += total - ln(log_weights.len() as f64);
        let (n, u0) = (log_weights.len(), uniform(rng));
        let mut cumulative = 0.0;
        let mut index = Vec::with_capacity(n);
        for (i, w) in log_weights.iter().enumerate() {
            cumulative += exp(w - total) * n as f64;
            while index.len() < n && index.len() as f64 + u0 < cumulative {
                index.push(i);
            }
        }
        // rounding can leave the last places empty
        let last = index.last().copied().unwrap_or(0);
        index.resize(n, last);
        self.x = self.x.gather_rows(&index);
        self.ancestors = index.iter().map(|&i| self.ancestors[i]).collect();
        self.log_start = index.iter().map(|&i| self.log_start[i]).collect();
        self.log_target = index.iter().map(|&i| self.log_target[i]).collect();
    }

    /// One Metropolis move of each half, with proposals made from the other half, so that they are symmetric.
    fn sweep(&mut self, moves: Moves) -> Result<()> {
        let half = self.x.rows() / 2;
        for (moved, others) in [(0..half, half..2 * half), (half..2 * half, 0..half)] {
            self.moves += 1;
            let chunk = |first: usize| self.propose(first..(first + CHUNK).min(moved.end), &others, moves);
            let starts: Vec<usize> = moved.clone().step_by(CHUNK).collect();
            let proposals: Vec<_> = starts.into_par_iter().map(chunk).collect();
            let proposals = proposals.into_iter().collect::<Result<Vec<_>>>()?;
            let of = |p: &Proposals, k: usize| (p.log_target[k], p.x.row(k).to_vec());
            let every = proposals.iter().flat_map(|p| (0..p.taken.len()).map(move |k| (p, k)));
            let best = every.max_by(|(p, k), (q, m)| p.log_target[*k].total_cmp(&q.log_target[*m]));
            self.best.extend(best.map(|(p, k)| of(p, k)));
            proposals.iter().for_each(|p| self.take(p));
        }
        Ok(())
    }

    /// Proposals for `rows`, and which of them Metropolis' rule takes.
    fn propose(&self, rows: Range<usize>, others: &Range<usize>, moves: Moves) -> Result<Proposals> {
        let first = rows.start;
        // units 0 and 1 belong to the start
        let mut rng = stream(self.seed, Purpose::Probe, self.moves << 32 | first as u64);
        let x = self.moved(&rows, others, moves, &mut rng);
        let log_start = self.start.log_law(&x);
        let (log_target, tally) = self.probe.log_density(&x)?;
        let taken = |(k, i): (usize, usize)| {
            let gain = self.log_law(log_start[k], log_target[k]) - self.log_law(self.log_start[i], self.log_target[i]);
            ln(uniform(&mut rng)) < gain
        };
        let taken = rows.enumerate().map(taken).collect();
        Ok(Proposals { first, x, log_start, log_target, taken, tally })
    }

    /// By turns: a random walk of the particles' covariance at a random fraction of its optimal size, and a differential-evolution
    /// jump x + x_a - x_b (ter Braak, 2006), which crosses between modes; a and b are rows of `others`.
    fn moved(&self, rows: &Range<usize>, others: &Range<usize>, moves: Moves, rng: &mut Stream) -> Matrix {
        let d = self.x.cols();
        let mut x = self.x.slice_rows(rows.clone());
        let (mut z, mut walk) = (vec![0.0; d], vec![0.0; d]);
        for row in x.as_mut_slice().chunks_exact_mut(d) {
            fill_normal(rng, &mut z);
            let jump = uniform(rng) < JUMPS[usize::from(moves == Moves::Partial)];
            let chosen = if moves == Moves::Partial { crossover(d, rng) } else { (0..d).collect() };
            // 2.38/√d: the optimal size on Gaussians (Roberts, Gelman and Gilks, 1997)
            let optimal = 2.38 / (chosen.len() as f64).sqrt();
            let size = if jump { 1e-3 } else { optimal * powf(10f64, -2.0 * uniform(rng)) };
            let pick = |rng: &mut Stream| others.start + (uniform(rng) * others.len() as f64) as usize;
            let (a, b) = (pick(rng), pick(rng));
            if chosen.len() < d {
                for &j in &chosen {
                    walk[j] = (0..=j).map(|m| self.transposed[(m, j)] * z[m]).sum();
                }
            } else {
                // column by column, which adds in the same order for each entry and runs along them
                walk.fill(0.0);
                for (m, z) in z.iter().enumerate() {
                    walk[m..].iter_mut().zip(&self.transposed.row(m)[m..]).for_each(|(w, l)| *w += l * z);
                }
            }
            for &j in &chosen {
                let shift = if jump { self.x[(a, j)] - self.x[(b, j)] } else { 0.0 };
                row[j] += size * walk[j] + shift;
            }
        }
        x
    }

    /// Moves the particles whose proposals are taken.
    fn take(&mut self, proposals: &Proposals) {
        self.tally.add(&proposals.tally);
        for k in (0..proposals.taken.len()).filter(|&k| proposals.taken[k]) {
            let i = proposals.first + k;
            self.x.row_mut(i).copy_from_slice(proposals.x.row(k));
            (self.log_start[i], self.log_target[i]) = (proposals.log_start[k], proposals.log_target[k]);
        }
    }
}

/// Coordinates below d: one, and each other with probability d^-4u, u uniform. Mostly one alone: a well of a product is left most easily so.
fn crossover(d: usize, rng: &mut Stream) -> Vec<usize> {
    let share = powf(d as f64, -4.0 * uniform(rng));
    let sure = ((uniform(rng) * d as f64) as usize).min(d - 1);
    (0..d).filter(|&j| uniform(rng) < share || j == sure).collect()
}

/// Lower factor of the covariance of the rows, made regular by a small diagonal.
fn covariance_factor(x: &Matrix) -> Matrix {
    let mut covariance = x.column_covariance();
    let d = covariance.rows();
    let trace: f64 = (0..d).map(|i| covariance[(i, i)]).sum();
    (0..d).for_each(|i| covariance[(i, i)] += 1e-9 * trace / d as f64 + f64::MIN_POSITIVE);
    match Cholesky::factor(&covariance, "covariance of the search") {
        Ok(c) => c.lower().clone(),
        // only the diagonal: all particles on one line, or numbers too large to square
        Err(_) => Matrix::from_fn(d, d, |i, j| if i == j { covariance[(i, i)].sqrt() } else { 0.0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{Affine, by_name};

    /// Checks that a population weighs 2^8 modes rightly where they are a product: in each of the eight wells of many-well-16 the particles
    /// with u > 0 are the exact 0.8443 to 0.057, 5 standard errors of 1,024 independent ones (2,048 particles, half of them relatives);
    /// jumps of all coordinates alone end with fractions of 0 and 1.
    #[test]
    fn a_population_weighs_a_product_of_wells() {
        let target = by_name("many-well-16").unwrap();
        let probe = Probe { target: &*target, frame: Affine::identity(16) };
        let x = populate(&probe, &Start::Radii, 2048, 0).unwrap().x;
        for well in 0..8 {
            let right = x.iter_rows().filter(|row| row[2 * well] > 0.0).count() as f64 / x.rows() as f64;
            assert!((right - 0.844307).abs() < 0.057, "well {well}: {right}");
        }
    }
}
