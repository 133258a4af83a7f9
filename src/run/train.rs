//! Training of a generator by stop-gradient regression on a velocity (T9).

use crate::density::{Density, Standardised};
use crate::divergence::Divergence;
use crate::error::{Error, Result};
use crate::estimate::resolved_bandwidth;
use crate::linalg::Matrix;
use crate::model::Generator;
use crate::model::batch::Batch;
use crate::model::{Latent, LatentBatch};
use crate::nn::{Adam, AdamState};
use crate::num::{Real, sum_of_squares};
use crate::parallel;
use crate::parallel::awake;
use crate::rng::Purpose;
use crate::run::settings::Settings;
use crate::run::state::State;
use crate::velocity::{Field, LogRatioClip, Scene, SmoothedDrift, Velocity};
use std::sync::Arc;

/// What one step did, of a generator's training or a flow's. Lengths are in units of the frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The step, from 0.
    pub step: u64,
    /// RMS of the drift over particles and coordinates, before it is divided by it; the standard deviation of log q - log p where a
    /// flow follows the log-variance divergence.
    pub drift: f64,
    /// Geometric mean of the particles' bandwidths h; 0 for a flow, which needs none.
    pub bandwidth: f64,
    /// Mean of log (p~ ∗ φ_h) over the jittered batch, in the units of the target.
    pub mean_log_density: f64,
    /// Mean of log(p~ ∗ φ_h) - log(q ∗ φ_h) over the batch: -KL(q ∗ φ_h ‖ p ∗ φ_h) + log Z up to the estimate of q.
    pub mean_log_ratio: f64,
    /// Effective sample size of r over the batch, at most its size.
    pub effective_samples: f64,
    /// Whether the step was left out because the target returned something that is not finite.
    pub skipped: bool,
}

/// Steps that were left out, and why.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Faults {
    /// How many.
    pub skipped: u64,
    /// The first reason, with the point.
    pub first: Option<Error>,
}

/// A generator under training: G ← G + η V in the least-squares sense, V frozen (T9).
pub struct Trainer<T: Real> {
    generator: Generator<T>,
    settings: Settings,
    velocity: Box<dyn Velocity<T>>,
    optimiser: AdamState<T>,
    gradient: Vec<Matrix<T>>,
    moved: Batch<T>,
    /// Smallest bandwidth that the estimate resolved when it was last asked.
    resolved: f64,
    step: u64,
    faults: Faults,
}

/// Steps between two looks at what the estimate resolves.
const RESOLVE_EVERY: u64 = 50;
/// Fraction of particles that the smallest bandwidth must serve; the others use wider ones.
const RESOLVED: f64 = 0.25;
/// Particles that are asked for their neighbours.
const RESOLVE_QUERIES: usize = 256;
/// Largest growth rate of the reaction that is followed: weights that grow with r give one particle any rate.
const MAX_GROWTH: f64 = 4.0;
/// Fraction of steps that may be skipped before the run stops.
const FAULTY_FRACTION: f64 = 0.01;

impl<T: Real> Trainer<T> {
    /// A fresh generator for `target`, moved by the smoothed drift (T11) of `divergence`, in the target's own frame.
    pub fn new(target: &Arc<dyn Density>, divergence: Arc<dyn Divergence>, settings: Settings) -> Result<Self> {
        settings.check()?;
        let frame = match &settings.frame {
            Some(frame) => frame.clone(),
            None => crate::search::frame_of(&**target, settings.seed)?,
        };
        let standard = Standardised::new(Arc::clone(target), frame.clone())?;
        let latent = match settings.codes {
            0 => Latent::Gaussian,
            k => Latent::Codes { logits: vec![0.0; k] },
        };
        let generator = Generator::new(frame, latent, &settings.hidden, settings.seed);
        let clip = LogRatioClip { low: -settings.clip, high: settings.clip };
        let velocity = SmoothedDrift {
            target: Arc::new(standard),
            divergence,
            clip,
            draws: settings.draws,
            neighbours: settings.neighbours,
        };
        Ok(Self::with_velocity(generator, Box::new(velocity), settings))
    }

    /// Any generator moved by any velocity (in units of the generator's frame).
    pub fn with_velocity(generator: Generator<T>, velocity: Box<dyn Velocity<T>>, settings: Settings) -> Self {
        let gradient = generator.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
        let optimiser = AdamState::new(&generator.parameters);
        Self {
            generator,
            settings,
            velocity,
            optimiser,
            gradient,
            moved: Batch::default(),
            resolved: 0.0,
            step: 0,
            faults: Faults::default(),
        }
    }

    /// Goes on from a [`Trainer::state`] with the target, divergence and settings of its run, in the state's own frame: the same
    /// bits as without the stop, on any number of threads. `Error::State` where the state does not fit.
    pub fn resume(
        target: &Arc<dyn Density>,
        divergence: Arc<dyn Divergence>,
        settings: Settings,
        state: &State<T>,
    ) -> Result<Self> {
        let mut trainer = Self::new(target, divergence, Settings { frame: Some(state.frame()?), ..settings })?;
        trainer.restore(state)?;
        Ok(trainer)
    }

    /// All that changes from step to step, as it is after the last whole step (after a `step` that panicked too).
    pub fn state(&self) -> State<T> {
        let mut out = State::default();
        out.put_parameters(&self.generator.parameter_names(), &self.generator.parameters, &self.optimiser);
        out.put_frame(&self.generator.frame);
        out.put_faults(&self.faults);
        out.counters.insert("step".into(), self.step);
        out.doubles.insert("resolved".into(), Matrix::filled(1, 1, self.resolved));
        if let Latent::Codes { logits } = &self.generator.latent {
            out.doubles.insert("latent.logits".into(), Matrix::from_vec(1, logits.len(), logits.clone()));
        }
        out
    }

    /// Takes on a [`Trainer::state`] of a trainer of the same shapes; unchanged where it does not fit (`Error::State`).
    pub fn restore(&mut self, state: &State<T>) -> Result<()> {
        let (parameters, optimiser) =
            state.parameters(&self.generator.parameter_names(), &self.generator.parameters)?;
        let (frame, faults, step) = (state.frame()?, state.faults()?, state.counter("step")?);
        let resolved = state.double("resolved", (1, 1))?[(0, 0)];
        let codes = self.generator.latent.codes();
        // the velocity is in units of the frame
        if frame != self.generator.frame || step > self.settings.steps {
            let all = self.settings.steps;
            return Err(Error::State { what: format!("it is at step {step} of {all}, in {frame:?}") });
        }
        if codes > 0 {
            let logits = state.double("latent.logits", (1, codes))?.row(0).to_vec();
            self.generator.latent = Latent::Codes { logits };
        }
        (self.generator.parameters, self.optimiser) = (parameters, optimiser);
        (self.faults, self.step, self.resolved) = (faults, step, resolved);
        Ok(())
    }

    /// What is trained.
    pub fn generator(&self) -> &Generator<T> {
        &self.generator
    }

    /// How it is trained.
    pub fn settings(&self) -> &Settings {
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

    /// One step: draw two batches, estimate the velocity, move the network.
    ///
    /// A step in which the target returns NaN or +inf, or -inf at every particle, is left out and counted; `Error::TooManyFaults` once
    /// more than 1 % of all steps were. `Error::Panicked` where the target panics, `Error::Diverged` where the generator's own output
    /// is not finite; both leave the trainer as it was.
    pub fn step(&mut self) -> Result<StepReport> {
        awake(|| self.step_in_pool())
    }

    fn step_in_pool(&mut self) -> Result<StepReport> {
        let (d, seed, step) = (self.generator.dim(), self.settings.seed, self.step);
        let (generator, moved, s) = (&self.generator, &mut self.moved, &self.settings);
        let draw = |n: usize, purpose: Purpose| generator.latent.stratified::<T>(n, d, (seed, purpose, step));
        let ((batch, particles), reference) = parallel::both(
            || {
                let batch = draw(s.batch, Purpose::Latent);
                let particles = moved.forward(generator, &batch);
                (batch, particles)
            },
            || generator.map(&draw(s.reference, Purpose::Reference)),
        );
        if !particles.is_finite() || !reference.is_finite() {
            self.moved.release();
            return Err(Error::Diverged { step });
        }
        let resolved = self.resolved(&particles, &reference)?;
        let bandwidth = self.settings.scheduled_bandwidth(step).max(resolved);
        let scene = Scene {
            particles: &particles,
            reference: &reference,
            bandwidth,
            widest: self.settings.bandwidth_start,
            seed,
            step,
        };
        let field = match self.velocity.evaluate(&scene) {
            Err(error) if !matches!(error, Error::NonFinite { .. }) => {
                self.moved.release();
                return Err(error);
            }
            field => field,
        };
        (self.step, self.resolved) = (step + 1, resolved);
        match field {
            Ok(field) if field.log_density.iter().all(|l| *l == f64::NEG_INFINITY) => {
                let particles = field.log_density.len();
                self.skip(Error::OutsideSupport { particles }, bandwidth)
            }
            Ok(field) => Ok(self.follow(field, &batch)),
            Err(error) => self.skip(error, bandwidth),
        }
    }

    /// The smallest bandwidth that the estimate resolves, asked anew every [`RESOLVE_EVERY`] steps.
    fn resolved(&self, particles: &Matrix<T>, reference: &Matrix<T>) -> Result<f64> {
        let s = &self.settings;
        if !self.step.is_multiple_of(RESOLVE_EVERY) {
            return Ok(self.resolved);
        }
        // every k-th row: the codes of a stratified batch are sorted
        let stride = (particles.rows() / RESOLVE_QUERIES).max(1);
        let rows: Vec<usize> = (0..particles.rows()).step_by(stride).collect();
        let queries = particles.gather_rows(&rows);
        resolved_bandwidth(reference, &queries, s.neighbours, RESOLVED, s.bandwidth_end, s.bandwidth_start)
    }

    /// Moves the network along the field, and the code probabilities along its reaction.
    fn follow(&mut self, field: Field<T>, batch: &LatentBatch<T>) -> StepReport {
        let s = &self.settings;
        let n = batch.noise.rows() as f64;
        let drift = root_mean_square(&field.velocity);
        // T9: the regression's cotangent is -V/n; Adam's step does not depend on its size, the division keeps it in range
        let factor = if drift > 0.0 { T::from_f64(-1.0 / (drift * n)) } else { T::ZERO };
        let mut cotangent = field.velocity;
        cotangent.as_mut_slice().iter_mut().for_each(|v| *v *= factor);
        self.moved.pull_back(&cotangent, &mut self.gradient);
        let step = self.step - 1;
        let rate = s.scheduled_rate(step);
        Adam::default().step(&mut self.generator.parameters, &self.gradient, &mut self.optimiser, rate);
        if let (Some(codes), true) = (&batch.codes, s.reaction > 0.0) {
            self.generator.latent.react(codes, &bounded_growth(&field.growth), s.reaction);
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
        let log_jacobian = self.generator.frame.log_jacobian();
        StepReport {
            step,
            drift,
            bandwidth: (field.bandwidth.iter().map(|h| h.ln()).sum::<f64>() / n).exp(),
            mean_log_density: mean(&field.log_density) - log_jacobian,
            mean_log_ratio: mean(&field.log_ratio) + field.log_z,
            effective_samples: field.effective_samples,
            skipped: false,
        }
    }

    /// Counts a step that the target spoilt.
    fn skip(&mut self, error: Error, bandwidth: f64) -> Result<StepReport> {
        self.moved.release();
        self.faults.count(error, self.step, self.settings.steps)?;
        Ok(StepReport::skipped(self.step - 1, bandwidth))
    }
}

impl Faults {
    /// One more step of `all` was left out, `taken` were taken; `Error::TooManyFaults` once that is more than 1 %.
    pub(crate) fn count(&mut self, error: Error, taken: u64, all: u64) -> Result<()> {
        self.skipped += 1;
        let first = self.first.get_or_insert(error).clone();
        if self.skipped as f64 > FAULTY_FRACTION * all as f64 {
            return Err(Error::TooManyFaults { skipped: self.skipped, steps: taken, first: Box::new(first) });
        }
        Ok(())
    }
}

impl StepReport {
    /// Of a step that was left out.
    pub(crate) fn skipped(step: u64, bandwidth: f64) -> Self {
        let none = f64::NAN;
        Self {
            step,
            drift: none,
            bandwidth,
            mean_log_density: none,
            mean_log_ratio: none,
            effective_samples: none,
            skipped: true,
        }
    }
}

/// √(mean of the squares of all entries).
pub(crate) fn root_mean_square<T: Real>(m: &Matrix<T>) -> f64 {
    (sum_of_squares(m.as_slice()) / m.as_slice().len().max(1) as f64).sqrt()
}

/// Growth rates, kept within ±[`MAX_GROWTH`].
pub(crate) fn bounded_growth(growth: &[f64]) -> Vec<f64> {
    growth.iter().map(|g| g.clamp(-MAX_GROWTH, MAX_GROWTH)).collect()
}
