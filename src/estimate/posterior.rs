//! The noised target from draws of its posterior: log p~ and its score are all that is asked for.

use crate::density::{Density, Evaluation, evaluate, evaluate_log_density};
use crate::error::{Error, Result};
use crate::estimate::{Clock, Law, NoisedTarget, Query};
use crate::linalg::Matrix;
use crate::num::{exp, ln};
use crate::parallel;
use crate::rng::{Purpose, stream_beside};
use crate::search::posterior::{Annealing, BEST_ACCEPTANCE, Gate, Level, Posterior, PosteriorChains, ais, exact};
use crate::state::{State, Stateful};
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

crate::settings! {
    /// Settings of a drift towards a [`PosteriorTarget`]. Lengths are in units of the frame, where the target has overall scale 1.
    pub struct PosteriorSettings in "velocity" {
        /// The f-divergence that is lowered; `list divergences` shows all.
        divergence: String = "reverse-kl".into(), Rule::Any;
        /// Largest |log r| that enters a weight.
        clip: f64 = 4.0, Rule::Positive;
        /// How x_0 is drawn given x_t: "ais" by annealed importance sampling and MALA, "exact" from the posterior itself, of mixtures alone.
        sampler: String = "ais".into(), Rule::OneOf(&["ais", "exact"]);
        /// Draws of x_0 at each particle.
        draws: usize = 2, Rule::AtLeast(1);
        /// Chains of annealed importance sampling at each particle, of which these draws are kept.
        ais_particles: usize = 8, Rule::AtLeast(1);
        /// Densities from its proposal to the posterior.
        ais_rungs: usize = 8, Rule::AtLeast(1);
        /// MALA step on each of them; by default adapted at each noise level.
        ais_step: Option<f64> = None, Rule::Positive;
        /// Standard deviation of a Gaussian about the frame's centre by which proposals are multiplied; 0 for none.
        proposal: f64 = 1.5, Rule::NotNegative;
        /// MALA steps on the posterior after that.
        chain_length: usize = 4, Rule::AtLeast(0);
        /// Length τ of these; by default adapted at each noise level.
        chain_step: Option<f64> = None, Rule::Positive;
        /// Last states of each chain that are averaged.
        averaged: usize = 1, Rule::AtLeast(1);
        /// G in the estimate D + G (T - D): "matrix" and "scalar" as the draws of the last step say, "by-dimension" the matrix in up to 8 dimensions,
        /// "mixed" a²/(a² + s²), "tweedie" 0, "target" 1.
        gate: String = "by-dimension".into(), Rule::OneOf(&["by-dimension", "matrix", "scalar", "mixed", "tweedie", "target"]);
        /// Whether chains go on from step to step, for particles, which move little; then nothing gives log p~.
        persistent: bool = false, Rule::Any;
    }
}

/// ∇log p_t(x_t) = E[D + G (T - D) | x_t] (T32) and log p~_t(x_t) from draws of x_0 given x_t = a x_0 + s ξ, x_0 ~ p.
///
/// The draws are kept from `ais_particles` chains of annealed importance sampling, whose mean weight estimates p~_t(x_t) without bias, and make
/// `chain_length` steps of MALA on the posterior. Steps of both are adapted at each noise level to an acceptance of 0.574; steps and G are those that
/// the draws of the last step chose, so that the estimate of a step has no bias from its own draws. What remains is that of chains that are not
/// long enough, which the exact sampler does not have.
///
/// The target must be asked at all particles of a step in one call of [`NoisedTarget::at`]: what these draws say of steps and gates, and where
/// chains stand, is taken on by the next [`NoisedTarget::refresh`]. Source: He et al. (AISTATS 2025), code read; T11, T32.
pub struct PosteriorTarget {
    density: Arc<dyn Density>,
    settings: PosteriorSettings,
    /// What is known at each bandwidth, by [`number`].
    known: BTreeMap<i64, Known>,
    /// What the last call of `at` made of it.
    next: Mutex<BTreeMap<i64, Known>>,
    key: (u64, u64),
}

/// What earlier steps say of one noise level.
#[derive(Debug, Clone, Default)]
struct Known {
    /// log of the MALA steps of rungs and chains, in units of [`width`].
    log_step: [f64; 2],
    /// Acceptance of both when they were last used.
    acceptance: [f64; 2],
    visits: u64,
    gate: Option<Gate>,
    /// x_0 of the chains of a particle, by its row.
    chains: BTreeMap<usize, Vec<f64>>,
}

/// Particles at one noise level.
struct Group {
    rows: Vec<usize>,
    log_density: Vec<f64>,
    score: Matrix,
    known: Option<(i64, Known)>,
}

/// Ratio of bandwidths below which they share what is known.
const NEAR: f64 = 1.05;
/// First MALA step in units of [`width`].
const FIRST: f64 = 0.25;
/// Most dimensions in which the gate is a matrix unless told otherwise.
const MATRIX: usize = 8;
/// Draws beyond their means behind each row of a matrix gate.
const FREEDOM: usize = 4;

/// Variance of x_0 given x_t, times a, for p = N(0, I).
fn width(h: f64) -> f64 {
    h * h / (1.0 + h * h)
}

/// Which bandwidths share what is known.
fn number(h: f64) -> i64 {
    (ln(h) / ln(NEAR)).round() as i64
}

impl PosteriorTarget {
    /// `density` at the noise of each query. `Error::Unsupported` where exact draws are wanted of what is no mixture.
    pub fn new(density: Arc<dyn Density>, settings: PosteriorSettings) -> Result<Self> {
        if settings.sampler == "exact" && density.mixture().is_none() {
            let what = "the target is no mixture, whose posterior can be drawn from exactly".into();
            return Err(Error::Unsupported { what, remedy: "set sampler=ais" });
        }
        Ok(Self { density, settings, known: BTreeMap::new(), next: Mutex::default(), key: (0, 0) })
    }

    /// What is known at a bandwidth, or of the nearest one; without its chains.
    fn known_at(&self, h: f64) -> Known {
        let k = number(h);
        let (visits, chains) = (self.known.get(&k).map_or(0, |own| own.visits), BTreeMap::new());
        match self.known.iter().min_by_key(|(other, _)| (*other - k).abs()) {
            Some((_, Known { log_step, acceptance, gate, .. })) => {
                Known { log_step: *log_step, acceptance: *acceptance, visits, gate: gate.clone(), chains }
            }
            None => Known { log_step: [ln(FIRST); 2], ..Known::default() },
        }
    }

    /// Draws at each x_t/a = y (n×d), n·draws×d, and log of an unbiased estimate of p~_h(y), n.
    fn draw(&self, y: &Matrix, h: f64, known: &mut Known, seed: u64) -> Result<(Matrix, Vec<f64>)> {
        let (s, level) = (&self.settings, Level::new(1.0, h)?);
        if let ("exact", Some(p)) = (s.sampler.as_str(), self.density.mixture()) {
            return Ok((exact(p, level, y, s.draws, seed)?, evaluate_log_density(&p.smoothed_mixture(h)?, y)?));
        }
        let how = Annealing {
            particles: s.ais_particles,
            kept: s.draws,
            rungs: s.ais_rungs,
            step: s.ais_step.unwrap_or(exp(known.log_step[0]) * width(h)),
            precision: if s.proposal > 0.0 { s.proposal.powi(-2) } else { 0.0 },
        };
        let found = ais(&*self.density, level, y, how, seed)?;
        known.adapt(0, found.acceptance);
        Ok((found.draws, found.log_normaliser))
    }

    /// Where the chains at y (n×d) begin, n·draws×d: where those of the same rows stopped, else at new draws. log p~_h(y) where all are new.
    fn start(&self, y: &Matrix, rows: &[usize], h: f64, known: &mut Known, seed: u64) -> Result<(Matrix, Vec<f64>)> {
        let (m, d) = (self.settings.draws, y.cols());
        let stopped = self.known.get(&number(h)).filter(|_| self.settings.persistent);
        let place = |row: &usize| stopped.and_then(|k| k.chains.get(row)).filter(|x| x.len() == m * d);
        let new: Vec<usize> = (0..rows.len()).filter(|i| place(&rows[*i]).is_none()).collect();
        if new.len() == rows.len() {
            return self.draw(y, h, known, seed);
        }
        let mut start = Matrix::zeros(y.rows() * m, d);
        for (i, row) in rows.iter().enumerate() {
            if let Some(x) = place(row) {
                start.as_mut_slice()[i * m * d..(i + 1) * m * d].copy_from_slice(x);
            }
        }
        if !new.is_empty() {
            let each = new.iter().flat_map(|i| i * m..(i + 1) * m);
            let drawn = self.draw(&y.gather_rows(&new), h, known, seed)?.0;
            each.zip(drawn.iter_rows()).for_each(|(i, x)| start.row_mut(i).copy_from_slice(x));
        }
        Ok((start, vec![0.0; y.rows()]))
    }

    /// log p~_h and its score at y (n×d) = x_t/a of the particles `rows`.
    fn group(&self, y: &Matrix, rows: Vec<usize>, h: f64, seed: u64) -> Result<Group> {
        if h == 0.0 {
            let Evaluation { log_density, score } = evaluate(&*self.density, y)?;
            return Ok(Group { rows, log_density, score, known: None });
        }
        let (s, level) = (&self.settings, Level::new(1.0, h)?);
        let mut known = self.known_at(h);
        let each: Vec<usize> = (0..rows.len() * s.draws).map(|r| r / s.draws).collect();
        let wide = y.gather_rows(&each);
        let (start, log_density) = self.start(y, &rows, h, &mut known, seed)?;
        let step = s.chain_step.unwrap_or(exp(known.log_step[1]) * width(h));
        let chains = PosteriorChains::new(Arc::clone(&self.density), vec![level], vec![0; each.len()], start, !seed)?;
        let mut chains = chains.with_steps(&[step]);
        chains.freeze();
        let (mut states, mut accepted) = (Vec::with_capacity(s.averaged), 0.0);
        for k in 0..s.averaged {
            let steps = if k == 0 { (s.chain_length + 1).saturating_sub(s.averaged) } else { 1 };
            chains.advance(&wide, steps);
            accepted += chains.acceptance()[0] * steps as f64;
            states.push((chains.points().clone(), chains.score().clone()));
        }
        if s.chain_length > 0 {
            known.adapt(1, accepted / s.chain_length as f64);
        }
        // the states of a chain, the chains of a particle, the particles: from the fastest index on
        let all = |of: &dyn Fn(usize, usize, usize) -> f64| {
            Matrix::from_fn(each.len() * s.averaged, y.cols(), |r, j| of(r % s.averaged, r / s.averaged, j))
        };
        let (x0, score) = (all(&|l, r, j| states[l].0[(r, j)]), all(&|l, r, j| states[l].1[(r, j)]));
        let posterior = Posterior::known(level, y, &x0, &score, s.draws * s.averaged);
        let mut score = posterior.score(&self.gate(&known, h));
        for (l, score) in log_density.iter().zip(score.as_mut_slice().chunks_exact_mut(y.cols())) {
            // without support in reach the draws mean nothing
            if *l == f64::NEG_INFINITY {
                score.fill(0.0);
            }
        }
        known.gate = self.next_gate(&posterior, rows.len(), y.cols()).or(known.gate);
        if s.persistent {
            let block = s.draws * y.cols();
            let ends = chains.points().as_slice().chunks_exact(block).map(<[f64]>::to_vec);
            known.chains = rows.iter().copied().zip(ends).collect();
        }
        known.visits += 1;
        Ok(Group { rows, log_density, score, known: Some((number(h), known)) })
    }

    /// G of this step: from settings and earlier draws.
    fn gate(&self, known: &Known, h: f64) -> Gate {
        let fixed = match self.settings.gate.as_str() {
            "tweedie" => 0.0,
            "target" => 1.0,
            _ => 1.0 / (1.0 + h * h),
        };
        known.gate.clone().unwrap_or(Gate::Scalar(fixed))
    }

    /// G of the next step, by the draws of this one at n particles in d dimensions; None where it is fixed.
    fn next_gate(&self, posterior: &Posterior, n: usize, d: usize) -> Option<Gate> {
        let each = self.settings.draws * self.settings.averaged;
        let matrix = match self.settings.gate.as_str() {
            "matrix" => true,
            "by-dimension" => d <= MATRIX,
            "scalar" => false,
            _ => return None,
        };
        match matrix {
            true => (n * (each - 1) >= FREEDOM * d).then(|| posterior.matrix_gate().ok()).flatten(),
            false => Some(posterior.scalar_gate()),
        }
    }
}

impl Known {
    /// The step of rungs (0) or chains (1) after a mean acceptance.
    fn adapt(&mut self, k: usize, acceptance: f64) {
        self.acceptance[k] = acceptance;
        self.log_step[k] += 2.0 * (acceptance - BEST_ACCEPTANCE) / ((self.visits + 1) as f64).sqrt();
    }
}

impl Stateful for PosteriorTarget {
    fn save(&self, to: &mut State) {
        let mut known = self.known.clone();
        take_on(&mut known, self.next.lock().unwrap_or_else(PoisonError::into_inner).clone());
        to.counters.insert("levels".into(), known.len() as u64);
        for (k, (number, known)) in known.iter().enumerate() {
            let Known { log_step, acceptance, visits, gate, chains } = known;
            // negative for a bandwidth below 1, and far below 2^53
            let row = [*number as f64, log_step[0], log_step[1], acceptance[0], acceptance[1]];
            to.put_row(&format!("{k}.steps"), &row);
            to.counters.insert(format!("{k}.visits"), *visits);
            match gate {
                Some(Gate::Scalar(g)) => to.put_row(&format!("{k}.gate"), &[*g]),
                Some(Gate::Matrix(g)) => to.put(&format!("{k}.gate"), g),
                None => {}
            }
            if let Some(width) = chains.values().next().map(Vec::len) {
                let rows: Vec<f64> =
                    chains.iter().flat_map(|(row, x)| [*row as f64].into_iter().chain(x.iter().copied())).collect();
                to.put(&format!("{k}.chains"), &Matrix::from_vec(chains.len(), 1 + width, rows));
            }
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let (mut known, d) = (BTreeMap::new(), self.density.dim());
        for k in 0..from.counter("levels")? {
            let steps = from.matrix::<f64>(&format!("{k}.steps"), (1, 5))?.row(0).to_vec();
            let [gate, chains] = ["gate", "chains"].map(|name| format!("{k}.{name}"));
            let gate = match from.tensors.contains_key(&gate) {
                true => Some(from.any_shape::<f64>(&gate)?),
                false => None,
            };
            let gate = match gate {
                Some(g) if g.shape() == (1, 1) => Some(Gate::Scalar(g[(0, 0)])),
                Some(g) if g.shape() == (d, d) => Some(Gate::Matrix(g.clone())),
                Some(g) => return Err(Error::State { what: format!("a gate is {}×{}", g.rows(), g.cols()) }),
                None => None,
            };
            let chains = match from.tensors.contains_key(&chains) {
                true => {
                    let all = from.any_shape::<f64>(&chains)?;
                    all.iter_rows().map(|row| (row[0] as usize, row[1..].to_vec())).collect()
                }
                false => BTreeMap::new(),
            };
            let visits = from.counter(&format!("{k}.visits"))?;
            let of_level =
                Known { log_step: [steps[1], steps[2]], acceptance: [steps[3], steps[4]], visits, gate, chains };
            known.insert(steps[0] as i64, of_level);
        }
        (self.known, self.next) = (known, Mutex::default());
        Ok(())
    }
}

/// Chains of particles that were elsewhere in the last step stay.
fn take_on(known: &mut BTreeMap<i64, Known>, next: BTreeMap<i64, Known>) {
    for (k, next) in next {
        let mut chains = known.remove(&k).map(|old| old.chains).unwrap_or_default();
        chains.extend(next.chains);
        known.insert(k, Known { chains, ..next });
    }
}

impl NoisedTarget for PosteriorTarget {
    fn refresh(&mut self, clock: Clock, seed: u64) -> Result<()> {
        let next = std::mem::take(self.next.get_mut().unwrap_or_else(PoisonError::into_inner));
        take_on(&mut self.known, next);
        self.key = (seed, clock.step);
        Ok(())
    }

    fn at(&self, query: &Query) -> Result<Law> {
        let (n, d) = query.x.shape();
        let mut groups: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
        for (i, noise) in query.noise.iter().enumerate() {
            groups.entry((noise.a.to_bits(), noise.s.to_bits())).or_default().push(i);
        }
        let mut rng = stream_beside(self.key.0, Purpose::Chain, self.key.1);
        let tasks: Vec<(Vec<usize>, u64)> = groups.into_values().map(|rows| (rows, rng.next_u64())).collect();
        let one = |(rows, seed): (Vec<usize>, u64)| {
            let noise = query.noise[rows[0]];
            let y = query.x.gather_rows(&rows).map(|x| x / noise.a);
            self.group(&y, rows, noise.s / noise.a, seed)
        };
        let parts: Vec<Result<Group>> = match self.density.wants_whole_batches() {
            true => tasks.into_iter().map(one).collect(),
            false => parallel::collect(tasks.into_iter(), one),
        };
        let mut law = Law { log_density: vec![0.0; n], score: Matrix::zeros(n, d) };
        let mut next = BTreeMap::new();
        for part in parts {
            let Group { rows, log_density, score, known } = part?;
            let a = query.noise[rows[0]].a;
            for (k, &i) in rows.iter().enumerate() {
                law.log_density[i] = log_density[k] - d as f64 * ln(a);
                law.score.row_mut(i).iter_mut().zip(score.row(k)).for_each(|(o, s)| *o = s / a);
            }
            take_on(&mut next, known.into_iter().collect());
        }
        if self.settings.persistent {
            law.log_density.clear();
        }
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(law)
    }

    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.is_empty() || self.settings.sampler == "exact" {
            return Vec::new();
        }
        let mean = |k: usize| next.values().map(|known| known.acceptance[k]).sum::<f64>() / next.len() as f64;
        let chains = "acceptance of chains on the posterior, mean over noise levels";
        let rungs = "acceptance of annealed importance sampling, mean over noise levels";
        vec![("chain_acceptance", chains, mean(1)), ("ais_acceptance", rungs, mean(0))]
    }
}
