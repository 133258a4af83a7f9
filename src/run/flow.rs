//! Training of a flow, with exact log-ratios.

use crate::density::{Density, Evaluation, Standardised, evaluate};
use crate::divergence::Divergence;
use crate::error::{Error, Result};
use crate::estimate::centre_log_ratio;
use crate::linalg::Matrix;
use crate::model::LatentBatch;
use crate::model::batch::Batch;
use crate::model::flow::batch::Points;
use crate::model::flow::objective::{Replay, SPREAD, log_variance_cotangent};
use crate::model::flow::start::{PARTICLES, likelier_components};
use crate::model::flow::{Flow, FlowSettings, Objective, Reference};
use crate::nn::{Adam, AdamState};
use crate::num::Real;
use crate::parallel::awake;
use crate::rng::{Purpose, normal_matrix};
use crate::run::train::{bounded_growth, root_mean_square};
use crate::run::{Faults, State, StepReport};
use crate::search::{SearchSettings, search};
use crate::velocity::{LogRatioClip, centred, drift_into, growth, shorten};
use std::sync::Arc;

/// A flow under training.
///
/// It starts where a sequential Monte Carlo search of the target ends: the particles, which know p only through p~, give the units,
/// the base's components or its mean and covariance ([`Flow::start_at`]). So the modes that are found are those that the search finds;
/// training makes the density right, it does not discover.
pub struct FlowTrainer<T: Real> {
    flow: Flow<T>,
    settings: FlowSettings,
    objective: Objective,
    /// p in units of the frame.
    target: Standardised,
    optimiser: AdamState<T>,
    gradient: Vec<Matrix<T>>,
    generated: Batch<T>,
    valued: Batch<T>,
    replay: Replay<T>,
    step: u64,
    faults: Faults,
}

impl<T: Real> FlowTrainer<T> {
    /// A flow for `target`, started from a search. Errors of the search ([`frame_of`](crate::search::frame_of)) and of [`FlowSettings::check`].
    pub fn new(target: &Arc<dyn Density>, objective: Objective, settings: FlowSettings) -> Result<Self> {
        settings.check()?;
        let (seed, start) = (settings.seed, settings.frame.clone());
        let found = search(&**target, &SearchSettings { particles: PARTICLES, seed, start })?;
        let (particles, frame) = (&found.particles, settings.frame.clone().map_or_else(|| found.frame(), Ok)?);
        let y = frame.standardise(particles);
        let components = settings.components.unwrap_or_else(|| likelier_components(&y, &frame, settings.seed));
        let mut flow = Flow::new(frame, settings.architecture(components), settings.seed);
        flow.start_at(&y, settings.seed);
        Self::with_flow(target, flow, y, objective, settings)
    }

    /// Any flow, with the points (N×d, units of its frame) that a replay buffer starts with.
    pub fn with_flow(
        target: &Arc<dyn Density>,
        flow: Flow<T>,
        points: Matrix,
        objective: Objective,
        settings: FlowSettings,
    ) -> Result<Self> {
        Ok(Self {
            target: Standardised::new(Arc::clone(target), flow.frame.clone())?,
            gradient: flow.zeros(),
            optimiser: AdamState::new(&flow.parameters),
            replay: Replay::new(points.cast(), settings.seed),
            flow,
            settings,
            objective,
            generated: Batch::default(),
            valued: Batch::default(),
            step: 0,
            faults: Faults::default(),
        })
    }

    /// Goes on from a [`FlowTrainer::state`] with the target, objective and settings of its run, without a new search: the same bits as
    /// without the stop, on any number of threads. `Error::State` where the state does not fit.
    pub fn resume(
        target: &Arc<dyn Density>,
        objective: Objective,
        settings: FlowSettings,
        state: &State<T>,
    ) -> Result<Self> {
        settings.check()?;
        let (frame, faults, step) = (state.frame()?, state.faults()?, state.counter("step")?);
        let components = state.counter("components")? as usize;
        let d = target.dim();
        // components beyond these have no means in the state
        let held = state.matrices.get("parameter.base.means").map_or(1, |m| m.rows());
        if frame.dim() != d || components != held || step > settings.steps {
            let what = format!("it is at step {step} of {} with {components} components, in {frame:?}", settings.steps);
            return Err(Error::State { what });
        }
        let mut flow = Flow::new(frame, settings.architecture(components), settings.seed);
        let (parameters, optimiser) = state.parameters(&flow.parameter_names(), &flow.parameters)?;
        flow.parameters = parameters;
        let rows = state.matrices.get("replay").map_or(0, |m| m.rows());
        let points = if rows > 0 { state.matrix("replay", (rows, d))?.cast() } else { Matrix::zeros(0, d) };
        Ok(Self { optimiser, faults, step, ..Self::with_flow(target, flow, points, objective, settings)? })
    }

    /// All that changes from step to step, as it is after the last whole step.
    pub fn state(&self) -> State<T> {
        let mut out = State::default();
        out.put_parameters(&self.flow.parameter_names(), &self.flow.parameters, &self.optimiser);
        out.put_frame(&self.flow.frame);
        out.put_faults(&self.faults);
        out.counters.insert("step".into(), self.step);
        out.counters.insert("components".into(), self.flow.base().components as u64);
        if let Objective::LogVariance(Reference::Replay) = self.objective {
            out.matrices.insert("replay".into(), self.replay.points().clone());
        }
        out
    }

    /// What is trained.
    pub fn flow(&self) -> &Flow<T> {
        &self.flow
    }

    /// How it is trained.
    pub fn settings(&self) -> &FlowSettings {
        &self.settings
    }

    /// Steps taken.
    pub fn steps_taken(&self) -> u64 {
        self.step
    }

    /// Whether all steps were taken.
    pub fn is_finished(&self) -> bool {
        self.step >= self.settings.steps
    }

    /// Steps that were left out.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// One step: draw a batch, compare the densities, move the parameters.
    ///
    /// A step in which the target returns NaN or +inf, or -inf at every point, is left out and counted; `Error::TooManyFaults` once
    /// more than 1 % of all steps were. `Error::Panicked` where the target panics, `Error::Diverged` where the flow's own output is not
    /// finite; both leave the trainer as it was.
    pub fn step(&mut self) -> Result<StepReport> {
        awake(|| self.step_in_pool())
    }

    fn step_in_pool(&mut self) -> Result<StepReport> {
        let latent: LatentBatch<T> = self.flow.latent().stratified(
            self.settings.batch,
            self.flow.dim(),
            (self.settings.seed, Purpose::Latent, self.step),
        );
        let points = self.points(&latent);
        if !points.y.is_finite() || !points.score.is_finite() || points.log_q.iter().any(|l| !l.is_finite()) {
            self.release();
            return Err(Error::Diverged { step: self.step });
        }
        let evaluated = evaluate(&self.target, &points.y.cast());
        if let Err(error @ Error::Panicked { .. }) = evaluated {
            self.release();
            return Err(error);
        }
        self.step += 1;
        match evaluated {
            Ok(target) if target.log_density.iter().all(|l| *l == f64::NEG_INFINITY) => {
                self.skip(Error::OutsideSupport { particles: target.log_density.len() })
            }
            Ok(target) => {
                let at = At { temper: self.settings.scheduled_temper(self.step - 1), points, target };
                Ok(self.follow(at, &latent))
            }
            Err(error @ Error::NonFinite { .. }) => self.skip(error),
            Err(error) => Err(error),
        }
    }

    /// Counts a step that the target spoilt.
    fn skip(&mut self, error: Error) -> Result<StepReport> {
        self.release();
        self.faults.count(error, self.step, self.settings.steps)?;
        Ok(StepReport::skipped(self.step - 1, 0.0))
    }

    /// The points of this step, with log q, and for a drift with its score.
    fn points(&mut self, latent: &LatentBatch<T>) -> Points<T> {
        let Objective::LogVariance(reference) = self.objective else {
            return self.generated.generate_with_score(&self.flow, latent);
        };
        let (n, d) = latent.noise.shape();
        let y = if reference == Reference::Gaussian {
            let wide = normal_matrix::<T>(self.settings.seed, Purpose::Reference, self.step, n, d);
            wide.map(|e| T::from_f64(SPREAD) * e)
        } else {
            let mut y = self.generated.generate(&self.flow, latent);
            if reference == Reference::Replay {
                self.replay.mix_into(&mut y, self.step);
            }
            y
        };
        Points { log_q: self.valued.log_density(&self.flow, &y), y, score: Matrix::default() }
    }

    fn release(&mut self) {
        self.generated.release();
        self.valued.release();
    }

    fn follow(&mut self, at: At<T>, latent: &LatentBatch<T>) -> StepReport {
        let mut log_ratio: Vec<f64> =
            at.points.log_q.iter().zip(&at.target.log_density).map(|(q, p)| at.temper * p - q).collect();
        let log_z = centre_log_ratio(&mut log_ratio);
        let size = match self.objective.clone() {
            Objective::Drift(divergence) => self.drift(&*divergence, &at, &log_ratio, latent),
            Objective::LogVariance(reference) => self.log_variance(reference, &at, &log_ratio),
        };
        let rate = self.settings.scheduled_rate(self.step - 1);
        Adam::default().step(&mut self.flow.parameters, &self.gradient, &mut self.optimiser, rate);
        let n = log_ratio.len() as f64;
        let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
        StepReport {
            step: self.step - 1,
            drift: size,
            bandwidth: 0.0,
            mean_log_density: mean(&at.target.log_density) - self.flow.frame.log_jacobian(),
            mean_log_ratio: mean(&log_ratio) + log_z.value,
            effective_samples: log_z.effective_samples,
            skipped: false,
        }
    }

    /// The path gradient of an f-divergence (T9), and the reaction of the base's weights (T15); the RMS of the drift.
    fn drift(&mut self, divergence: &dyn Divergence, at: &At<T>, log_ratio: &[f64], latent: &LatentBatch<T>) -> f64 {
        let (n, d) = at.points.y.shape();
        let known = |s: f64| s.clamp(-STEEPEST, STEEPEST);
        let score = |i, j| at.points.score[(i, j)].to_f64();
        let beta = Matrix::from_fn(n, d, |i, j| at.temper * known(at.target.score[(i, j)]) - score(i, j));
        let clip = LogRatioClip { low: -self.settings.clip, high: self.settings.clip };
        let own = centred(divergence, log_ratio);
        let divergence = own.as_deref().unwrap_or(divergence);
        let mut velocity: Matrix = Matrix::zeros(n, d);
        drift_into(divergence, clip, log_ratio, &beta, &mut velocity);
        let size = root_mean_square(&velocity);
        cut_outliers(&mut velocity, size);
        // T9: the cotangent is -V/n; Adam's step does not depend on its size, the division keeps it in range
        let factor = if size > 0.0 { -1.0 / (size * n as f64) } else { 0.0 };
        self.generated.pull_back(&velocity.map(|v| v * factor).cast(), &mut self.gradient);
        if let Some(codes) = latent.codes.as_ref().filter(|_| self.settings.reaction > 0.0) {
            let rate =
                self.settings.reaction * self.settings.scheduled_rate(self.step - 1) / self.settings.learning_rate;
            let rates = bounded_growth(&growth(divergence, clip, log_ratio));
            let base = self.flow.base();
            base.react(&mut self.flow.parameters, codes, &rates, rate);
        }
        size
    }

    /// ½ ∇ Var_m(log q - log p) over the frozen points (T8); the standard deviation of log q - log p.
    fn log_variance(&mut self, reference: Reference, at: &At<T>, log_ratio: &[f64]) -> f64 {
        self.generated.release();
        // far outliers would be all that the variance sees
        let f: Vec<f64> = log_ratio.iter().map(|l| -l.clamp(-self.settings.clip, self.settings.clip)).collect();
        let weights = match reference {
            Reference::Geometric(gamma) => Some(log_ratio.iter().map(|l| gamma * l).collect::<Vec<f64>>()),
            _ => None,
        };
        let cotangent = log_variance_cotangent(&f, weights.as_deref());
        if reference == Reference::Replay {
            self.replay.renew(&at.points.y, log_ratio, self.step - 1);
        }
        let variance: f64 = cotangent.iter().zip(&f).map(|(g, f)| g * f).sum();
        let column = Matrix::from_vec(cotangent.len(), 1, cotangent);
        self.valued.pull_back(&column.cast(), &mut self.gradient);
        variance.max(0.0).sqrt()
    }
}

/// A score beyond this is followed as this: its square times any weight is still a number.
const STEEPEST: f64 = 1e100;

/// Largest |V_i| that is followed, in root mean squares of the batch: one point in a far tail must not turn the whole step.
const OUTLIER: f64 = 10.0;

/// Shortens the rows longer than [`OUTLIER`] times `size` per coordinate.
fn cut_outliers(velocity: &mut Matrix, size: f64) {
    let d = velocity.cols();
    let limit = OUTLIER * size * (d as f64).sqrt();
    velocity.as_mut_slice().chunks_exact_mut(d).for_each(|row| shorten(row, limit));
}

/// Both densities at the points of a step, units of the frame.
struct At<T: Real> {
    points: Points<T>,
    target: Evaluation,
    temper: f64,
}
