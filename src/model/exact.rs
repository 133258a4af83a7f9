//! Draws of p itself: rejection from a proposal whose weights are bounded, and means without bias from coupled chains.

use crate::density::{
    Affine, Defended, Density, GaussianMixture, Orientation, Standardised, StudentMixture, evaluate_log_density,
};
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::metric::{Certificate, Estimate};
use crate::model::Generator;
use crate::model::flow::Flow;
use crate::num::{Real, exp, ln};
use crate::rng::{Purpose, fill_normal, stream, uniform};
use rand::Rng;
use std::sync::Arc;

/// Share of the proposal's heavy tails.
const SHARE: f64 = 0.1;
/// Centres behind a generator's density.
const CENTRES: usize = 10_000;
/// Proposals that find the bound, and those of a batch: fixed, so that draws do not depend on how many are asked for.
const PILOT: usize = 20_000;
const BATCH: usize = 8_192;
/// The climb from the largest weights: how many, rounds, trials of each in a round.
const CLIMBERS: usize = 64;
const ROUNDS: usize = 12;
const TRIALS: usize = 8;
/// The bound over the largest weight found: a logarithm.
const MARGIN: f64 = 0.2;
/// Proposals to a draw, and the tail exponent of the weights, from which draws are refused.
const DEAREST: f64 = 1_000.0;
const HEAVY: f64 = 0.5;
/// Steps after which a pair of chains is given up.
const LONGEST: u64 = 10_000;

/// Draws of p by proposals from ψ = 0.9 q + 0.1 t: q is the density of a flow, or of the mixture of 10,000 frozen centres of a generator,
/// and t a Student mixture at the same places, whose tails keep w = p~/ψ bounded wherever those of p are lighter.
///
/// A proposal is kept with probability w/M, M ≥ sup w. M is the largest weight of 20,000 proposals and of a climb from the largest 64, times
/// e^0.2. A larger weight raises M later on, and every draw made before it is kept with probability M_old/M_new, so that all have one
/// bound.   Source: von Neumann (1951); the empirical bound, Caffo, Booth and Davis (2002).
pub struct Exact {
    proposal: Proposal,
    frame: Affine,
    /// log M.
    log_bound: f64,
    /// log Z by the pilot.
    log_z: f64,
    /// Of a generator that has one: a uniform element of its group moves every draw.
    orientation: Option<Arc<Orientation>>,
}

/// p~ and ψ in the units of the frame.
struct Proposal {
    target: Standardised,
    law: Defended,
    seed: u64,
}

/// What draws cost and how far their bound was tried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExactReport {
    /// Proposals behind the draws; each costs one evaluation of log p~ and of log ψ.
    pub proposals: u64,
    /// Evaluations of log p~ before them, that found the bound.
    pub pilot: u64,
    /// The largest weight seen and the bound, in units of the mean weight.
    pub largest: f64,
    /// M/Z: the expected number of proposals to a draw.
    pub bound: f64,
    /// How often a weight was above the bound.
    pub raised: u64,
}

/// Points with signed weights, by which means under p are without bias: E Σ_i w_i h(x_i) = E_p h in each repeat.
#[derive(Debug, Clone)]
pub struct Unbiased {
    /// n×d, in the units of the target.
    pub points: Matrix,
    /// w_i, n; those of a repeat sum to 1.
    pub weights: Vec<f64>,
    /// The repeat of each point, from 0, not falling; n.
    pub repeat: Vec<usize>,
    /// Steps until the two chains met: the mean, and the number that 99 of 100 repeats did not exceed.
    pub meeting: (f64, u64),
    /// Evaluations of log p~.
    pub evaluations: u64,
}

impl Unbiased {
    /// E_p h, a number for each column of `h` (n×k, at the points), with the standard error over the repeats.
    pub fn means(&self, h: &Matrix) -> Vec<Estimate> {
        let repeats = self.repeat.last().map_or(0, |r| r + 1);
        let mut sums = Matrix::zeros(h.cols(), repeats);
        for (i, (&r, &w)) in self.repeat.iter().zip(&self.weights).enumerate() {
            (0..h.cols()).for_each(|j| sums[(j, r)] += w * h[(i, j)]);
        }
        sums.iter_rows().map(Estimate::mean).collect()
    }
}

/// A source of proposals, one after another.
struct Proposals<'a> {
    of: &'a Proposal,
    purpose: u64,
    batch: u64,
    row: usize,
    x: Matrix,
    log_weights: Vec<f64>,
}

impl Proposals<'_> {
    /// The next proposal in units of the frame and its log-weight.
    fn next(&mut self) -> Result<(&[f64], f64)> {
        if self.row == self.x.rows() {
            (self.x, self.log_weights) = self.of.batch(BATCH, self.purpose, self.batch)?;
            (self.row, self.batch) = (0, self.batch + 1);
        }
        self.row += 1;
        Ok((self.x.row(self.row - 1), self.log_weights[self.row - 1]))
    }

    /// The next one in the support, where a chain can start.
    fn inside(&mut self) -> Result<(Vec<f64>, f64)> {
        loop {
            let (x, log_weight) = self.next()?;
            if log_weight > f64::NEG_INFINITY {
                return Ok((x.to_vec(), log_weight));
            }
        }
    }
}

impl Proposal {
    /// n proposals of batch `number` for one `purpose`, and their log-weights log p~ - log ψ.
    fn batch(&self, n: usize, purpose: u64, number: u64) -> Result<(Matrix, Vec<f64>)> {
        let key = stream(self.seed, Purpose::Certificate, (purpose + 4) << 32 | number).next_u64();
        let Some(x) = self.law.sample(n, key) else { unreachable!("a defended proposal has a sampler") };
        let log_weights = self.log_weights(&x)?;
        Ok((x, log_weights))
    }

    fn log_weights(&self, x: &Matrix) -> Result<Vec<f64>> {
        let log_p = evaluate_log_density(&self.target, x)?;
        Ok(log_p.into_iter().zip(self.law.log_density(x)).map(|(p, q)| p - q).collect())
    }

    /// The largest log-weight that random steps uphill from the largest of a pilot find. Steps start as long as the distance to another of
    /// these points near by, and shrink by a quarter in each round.
    fn climb(&self, x: &Matrix, log_weights: &[f64]) -> Result<f64> {
        let (d, mut order) = (x.cols(), (0..x.rows()).collect::<Vec<_>>());
        order.sort_by(|&a, &b| log_weights[b].total_cmp(&log_weights[a]).then(a.cmp(&b)));
        let gap = |i: usize, j: usize| x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        let nearest = |&i: &usize| {
            (0..x.rows())
                .filter(|&j| j != i)
                .min_by(|&a, &b| gap(i, a).total_cmp(&gap(i, b)))
                .map_or(0.0, |j| gap(i, j).sqrt())
        };
        let climbers = &order[..CLIMBERS];
        let mut steps = crate::parallel::collect(climbers.iter(), nearest);
        let (mut at, mut height) =
            (x.gather_rows(climbers), climbers.iter().map(|&i| log_weights[i]).collect::<Vec<_>>());
        let mut rng = stream(self.seed, Purpose::Certificate, 3 << 32);
        for _ in 0..ROUNDS {
            let mut trials = Matrix::zeros(height.len() * TRIALS, d);
            for (k, row) in trials.as_mut_slice().chunks_exact_mut(d).enumerate() {
                let i = k / TRIALS;
                fill_normal(&mut rng, row);
                row.iter_mut().zip(at.row(i)).for_each(|(v, a)| *v = a + steps[i] * *v);
            }
            let found = self.log_weights(&trials)?;
            for (k, l) in found.into_iter().enumerate() {
                let i = k / TRIALS;
                if l > height[i] {
                    height[i] = l;
                    at.as_mut_slice()[i * d..(i + 1) * d].copy_from_slice(trials.row(k));
                }
            }
            steps.iter_mut().for_each(|s| *s *= 0.75);
        }
        Ok(height.into_iter().fold(f64::NEG_INFINITY, f64::max))
    }
}

impl Exact {
    /// For `target` and a proposal q, both in its units, and the `places` of q's mass in the units of `frame`; the pilot runs here.
    ///
    /// Errors: `Error::Unsupported` where q has no sampler, or where the weights have no bound that a pilot can find: their tail has an
    /// exponent k-hat above 1/2 (then their variance is infinite), or a draw would take more than 1,000 proposals.
    pub fn new(
        target: &Arc<dyn Density>,
        q: Arc<dyn Density>,
        frame: &Affine,
        places: GaussianMixture,
        seed: u64,
    ) -> Result<Self> {
        let q = Arc::new(Standardised::new(q, frame.clone())?);
        let proposal = Proposal {
            target: Standardised::new(Arc::clone(target), frame.clone())?,
            law: Defended::new(q, StudentMixture::new(places), SHARE)?,
            seed,
        };
        let (x, log_weights) = proposal.batch(PILOT, 0, 0)?;
        let pilot = Certificate::of(&log_weights, None)?;
        let k = pilot.pareto_k;
        if k > HEAVY {
            return Err(refusal(format!(
                "the weights p/q of this model have no bound that can be found: the exponent k-hat of their tail is {k:.2}, above {HEAVY}"
            )));
        }
        let log_bound = proposal.climb(&x, &log_weights)? + MARGIN;
        let exact = Self { proposal, frame: frame.clone(), log_bound, log_z: pilot.log_z.value, orientation: None };
        exact.affordable()?;
        Ok(exact)
    }

    /// Refuses a bound under which a draw takes too many proposals.
    fn affordable(&self) -> Result<()> {
        let cost = exp(self.log_bound - self.log_z);
        if cost <= DEAREST {
            return Ok(());
        }
        Err(refusal(format!(
            "an exact draw from this model would take {cost:.0} proposals, more than {DEAREST}: the largest weight p/q is that many times the mean"
        )))
    }

    /// Points in units of the frame as draws for the target.
    fn restored(&self, y: Matrix) -> Matrix {
        Orientation::undone(self.orientation.as_deref(), self.frame.restore(&y), self.proposal.seed, 0)
    }

    /// n independent draws of p (n×d, in the units of the target), and what they cost; `watch` is told how many there are. The first draws
    /// are the same for every n unless the bound is raised.
    pub fn draw(&mut self, n: usize, watch: &mut dyn FnMut(usize)) -> Result<(Matrix, ExactReport)> {
        let d = self.frame.dim();
        let mut kept: Vec<f64> = Vec::new();
        let (mut largest, mut proposals, mut raised) = (self.log_bound - MARGIN, 0, 0);
        for number in 0.. {
            let (x, log_weights) = self.proposal.batch(BATCH, 1, number)?;
            let mut rng = stream(self.proposal.seed, Purpose::Certificate, 4 << 32 | number);
            for (row, log_weight) in x.iter_rows().zip(log_weights) {
                if kept.len() == n * d {
                    break;
                }
                proposals += 1;
                largest = largest.max(log_weight);
                if log_weight > self.log_bound {
                    let bound = log_weight + MARGIN;
                    let share = exp(self.log_bound - bound);
                    kept = kept.chunks_exact(d).filter(|_| uniform(&mut rng) < share).flatten().copied().collect();
                    (self.log_bound, raised) = (bound, raised + 1);
                    self.affordable()?;
                }
                if ln(uniform(&mut rng)) < log_weight - self.log_bound {
                    kept.extend(row);
                }
            }
            watch(kept.len() / d);
            if kept.len() == n * d {
                break;
            }
        }
        let relative = |l: f64| exp(l - self.log_z);
        let report = ExactReport {
            proposals,
            pilot: (PILOT + CLIMBERS * ROUNDS * TRIALS) as u64,
            largest: relative(largest),
            bound: relative(self.log_bound),
            raised,
        };
        Ok((self.restored(Matrix::from_vec(n, d, kept)), report))
    }

    /// Signed points by which means under p are without bias, from `repeats` pairs of independence Metropolis chains that share their
    /// proposals and uniforms, the one a step behind the other, until both take the same proposal at time τ:
    ///
    ///   H = 1/(m-k+1) Σ_{t=k..m} h(X_t) + Σ_{k<t<τ} min(1, (t-k)/(m-k+1)) (h(X_t) - h(Y_{t-1})),
    ///
    /// with k the time by which 99 of 100 pairs of a pilot met, and m = 5k. No bound on the weights is needed. `Error::Unsupported` where a
    /// pair has not met after 10,000 steps.   Source: Jacob, O'Leary and Atchadé (2020), section 3.
    pub fn unbiased(&self, repeats: usize) -> Result<Unbiased> {
        let (pilot, spent) = self.pairs(200.min(repeats.max(1)), 2, 1, 1)?;
        let k = quantile(pilot.meetings);
        let unbiased = self.unbiased_by(repeats, k, 5 * k)?;
        Ok(Unbiased { evaluations: unbiased.evaluations + spent, ..unbiased })
    }

    /// The same with the window from step k to step m ≥ k.
    pub fn unbiased_by(&self, repeats: usize, k: u64, m: u64) -> Result<Unbiased> {
        let (pairs, evaluations) = self.pairs(repeats, 3, k, m)?;
        let meetings = pairs.meetings;
        let mean = meetings.iter().sum::<u64>() as f64 / meetings.len().max(1) as f64;
        Ok(Unbiased {
            points: self.restored(Matrix::from_vec(pairs.weights.len(), self.frame.dim(), pairs.points)),
            weights: pairs.weights,
            repeat: pairs.repeat,
            meeting: (mean, quantile(meetings)),
            evaluations,
        })
    }

    /// `repeats` pairs with the windows k and m, and their evaluations of log p~.
    fn pairs(&self, repeats: usize, purpose: u64, k: u64, m: u64) -> Result<(Pairs, u64)> {
        let mut source = Proposals {
            of: &self.proposal,
            purpose,
            batch: 0,
            row: 0,
            x: Matrix::zeros(0, self.frame.dim()),
            log_weights: Vec::new(),
        };
        let mut rng = stream(self.proposal.seed, Purpose::Certificate, (purpose + 8) << 32);
        let mut out = Pairs::default();
        for repeat in 0..repeats {
            let (mut x, mut y) = (source.inside()?, source.inside()?);
            let (window, mut met) = ((m - k + 1) as f64, None);
            // X_1 by its own proposal; from then on Y is one step behind
            for t in 0.. {
                if t >= k && t <= m {
                    out.push(&x.0, 1.0 / window, repeat);
                }
                if t > k && met.is_none() {
                    let share = ((t - k) as f64 / window).min(1.0);
                    out.push(&x.0, share, repeat);
                    out.push(&y.0, -share, repeat);
                }
                if t >= m && met.is_some() {
                    break;
                }
                if t >= LONGEST && met.is_none() {
                    return Err(refusal(format!(
                        "coupled chains with this model's proposals have not met after {LONGEST} steps: the largest weights p/q are too rare"
                    )));
                }
                let (proposal, log_weight) = source.next()?;
                let u = ln(uniform(&mut rng));
                let takes = |state: &(Vec<f64>, f64)| u < log_weight - state.1;
                let (first, second) = (takes(&x), t > 0 && met.is_none() && takes(&y));
                if first {
                    x = (proposal.to_vec(), log_weight);
                }
                if second {
                    y = (proposal.to_vec(), log_weight);
                }
                if first && second {
                    met = Some(t + 1);
                }
            }
            out.meetings.push(met.unwrap_or(0));
        }
        let evaluations = source.batch * BATCH as u64;
        Ok((out, evaluations))
    }
}

/// Signed points of pairs of chains, and when each pair met.
#[derive(Default)]
struct Pairs {
    points: Vec<f64>,
    weights: Vec<f64>,
    repeat: Vec<usize>,
    meetings: Vec<u64>,
}

impl Pairs {
    /// One more point; a chain that stayed adds to the weight of the last.
    fn push(&mut self, x: &[f64], weight: f64, repeat: usize) {
        let last = self.points.len().saturating_sub(x.len());
        if self.repeat.last() == Some(&repeat) && self.points[last..] == *x {
            *self.weights.last_mut().expect("as many weights as points") += weight;
            return;
        }
        self.points.extend(x);
        self.weights.push(weight);
        self.repeat.push(repeat);
    }
}

/// The least number that 99 of 100 do not exceed.
fn quantile(mut steps: Vec<u64>) -> u64 {
    steps.sort_unstable();
    let at = (steps.len() * 99).div_ceil(100).saturating_sub(1);
    steps.get(at).copied().unwrap_or(0)
}

fn refusal(what: String) -> Error {
    Error::Unsupported { what, remedy: "use resampled.npy of the run, polish samples with --polish, or train longer" }
}

impl<T: Real> Generator<T> {
    /// Exact draws for `target`, in its own units, by the mixture of 10,000 frozen centres. `Error::Unsupported` for a generator without
    /// noise, and as [`Exact::new`].
    pub fn exact(&self, target: &Arc<dyn Density>, seed: u64) -> Result<Exact> {
        let latent = self.draw(CENTRES, true, (seed, Purpose::Certificate, 3));
        let (Some(q), Some(pieces)) = (self.density(&latent, false), &self.pieces) else {
            let what = "a generator without noise has no density".into();
            return Err(Error::Unsupported { what, remedy: "train it with codes, or train a flow" });
        };
        let places = pieces.mixture(self.latent.probabilities());
        let law = Arc::new(q.restored(self.frame.clone()));
        let exact = Exact::new(&self.aim(target)?, law, &self.frame, places, seed)?;
        Ok(Exact { orientation: self.orientation.clone(), ..exact })
    }
}

impl<T: Real> Flow<T> {
    /// Exact draws for `target`, in its own units, by the density of the flow. Errors as [`Exact::new`].
    pub fn exact(&self, target: &Arc<dyn Density>, seed: u64) -> Result<Exact> {
        let d = self.dim();
        let places = GaussianMixture::isotropic(&[1.0], Matrix::zeros(1, d), 1.0)?;
        Exact::new(target, Arc::new(self.clone()), &self.frame, places, seed)
    }
}
