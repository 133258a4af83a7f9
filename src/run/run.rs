//! The loop over steps: the only one.

use crate::density::{Counter, Counts, in_units_of_x};
use crate::error::{Error, Result};
use crate::estimate::{Clock, LawUse, Reference, Scene};
use crate::linalg::Matrix;
use crate::model::{Model, Request, Step};
use crate::parallel::awake;
use crate::run::counts;
use crate::run::faults::Faults;
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Pull, Velocity, root_mean_square};
use std::sync::Arc;

/// A model that follows a velocity.
pub struct Run {
    model: Box<dyn Model>,
    velocity: Box<dyn Velocity>,
    clock: Clock,
    seed: u64,
    faults: Faults,
    /// What the target of its parts was asked.
    counter: Arc<Counter>,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step, from 0.
    pub step: u64,
    /// Numbers of the step, in the units of the target; none for a step that was left out.
    pub figures: Vec<Figure>,
    /// Whether the step was left out because the target returned something that is not finite.
    pub skipped: bool,
}

impl StepReport {
    /// The figure with this key.
    pub fn figure(&self, key: &str) -> Option<f64> {
        self.figures.iter().find(|f| f.key == key).map(|f| f.value)
    }
}

/// Who watches a run.
pub trait Observer {
    /// Asked before each step; false stops the run.
    fn goes_on(&mut self, _run: &Run) -> bool {
        true
    }
    /// Called after each step. An error ends the run.
    fn after(&mut self, _run: &Run, _report: &StepReport) -> Result<()> {
        Ok(())
    }
}

/// Nobody watches.
impl Observer for () {}

impl Run {
    /// A run of `steps` steps; all its randomness is keyed by `seed`. `Error::Mismatch` where the model cannot follow the velocity.
    pub fn new(model: Box<dyn Model>, velocity: Box<dyn Velocity>, steps: u64, seed: u64) -> Result<Self> {
        let (m, v) = (model.name(), velocity.name());
        let mismatch = |why: String, remedy: &str| Err(Error::Mismatch { what: why, remedy: remedy.into() });
        if !model.follows().contains(&velocity.kind()) {
            let why = format!("the velocity '{v}' gives a {:?}, which the model '{m}' cannot follow", velocity.kind());
            return mismatch(why, "choose another model or velocity");
        }
        if velocity.law_use() != LawUse::None && model.law().is_none() {
            let why = format!("the velocity '{v}' asks for an exact density, which the model '{m}' does not have");
            return mismatch(why, "choose the model 'flow', or another estimator");
        }
        if steps == 0 {
            return Err(Error::Parameter { name: "steps".into(), value: 0.0, expected: "at least 1" });
        }
        let (clock, faults, counter) = (Clock { step: 0, steps }, Faults::default(), Arc::default());
        Ok(Self { model, velocity, clock, seed, faults, counter })
    }

    /// The same run; `counter` is that of its target ([`Target::counted`](crate::density::Target::counted)).
    pub fn counted_by(self, counter: Arc<Counter>) -> Self {
        Self { counter, ..self }
    }

    /// Evaluations of the target so far, before a stop too; 0 where nothing counts them ([`Run::counted_by`]).
    pub fn counts(&self) -> Counts {
        self.counter.counts()
    }

    /// The model.
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The velocity.
    pub fn velocity(&self) -> &dyn Velocity {
        &*self.velocity
    }

    /// The model as its own type, such as [`GeneratorModel`](crate::model::GeneratorModel); None where it is another.
    pub fn model_as<M: Model + 'static>(&self) -> Option<&M> {
        self.model.as_any().downcast_ref()
    }

    /// Steps taken, and all steps.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Whether all steps were taken, or the model has settled.
    pub fn is_finished(&self) -> bool {
        self.clock.step >= self.clock.steps || self.model.settled().is_some()
    }

    /// Steps that were left out.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// n samples of what was learnt so far (n×d): [`Model::sample`].
    pub fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.model.sample(n, seed, block)
    }

    /// All remaining steps, up to where the model settles ([`Model::settled`]).
    pub fn finish(&mut self) -> Result<()> {
        self.drive(&mut ()).map(|_| ())
    }

    /// Steps until the run is finished or the observer stops; whether it is finished.
    pub fn drive(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        while !self.is_finished() {
            if !observer.goes_on(self) {
                return Ok(false);
            }
            let report = self.step()?;
            observer.after(self, &report)?;
        }
        Ok(true)
    }

    /// One step: draw particles, ask the velocity, move the model.
    ///
    /// A step in which the target returns NaN or +inf, or -inf at every particle, is left out and counted; `Error::TooManyFaults` once
    /// more than 1 % of all steps were. `Error::Panicked` where the target panics, `Error::Diverged` where the model's own output
    /// is not finite, `Error::BadVelocity` where the velocity's is not; these leave the run as it was.
    pub fn step(&mut self) -> Result<StepReport> {
        self.step_shown(&mut |_, _| ())
    }

    /// The same; `show` sees the particles and their pull before the model follows, both in the units of the model's frame.
    pub fn step_shown(&mut self, show: &mut (dyn FnMut(&Matrix, &Pull) + Send)) -> Result<StepReport> {
        awake(|| self.step_in_pool(show))
    }

    fn step_in_pool(&mut self, show: &mut (dyn FnMut(&Matrix, &Pull) + Send)) -> Result<StepReport> {
        let (clock, seed, dt) = (self.clock, self.seed, self.model.dt());
        let request = Request { reference: self.velocity.reference(), law: self.velocity.law_use(), clock, seed };
        let drawn = self.model.draw(&request)?;
        let reference = drawn.reference.as_ref().map_or(Reference::Own, Reference::Independent);
        let scene = Scene {
            x: &drawn.x,
            reference,
            classes: drawn.classes.as_ref(),
            at_x: drawn.at_x.as_ref(),
            law: self.model.law(),
            dt,
            clock,
            seed,
        };
        let (before, counted) = (self.velocity.state(), self.counter.counts());
        if let Some(near) = self.model.near() {
            self.velocity.start_from(near);
        }
        let pull = self.velocity.prepare(&scene).and_then(|()| self.velocity.evaluate(&scene));
        let moved = pull.and_then(|pull| {
            self.check(&pull, &drawn.x)?;
            show(&drawn.x, &pull);
            let mut figures = pull.figures().to_vec();
            if let Pull::Points(field) | Pull::Diffusion { field, .. } = &pull {
                let value = root_mean_square(&field.velocity);
                figures.push(Figure::plain("rms_velocity", "RMS of the velocity V", value));
            }
            let velocity = &*self.velocity;
            // models with an exact law move once a step, so no stage asks for it
            let mut again = |x: &Matrix| {
                velocity.evaluate(&Scene {
                    x,
                    reference: Reference::Own,
                    classes: None,
                    at_x: None,
                    law: None,
                    dt,
                    clock,
                    seed,
                })
            };
            figures.extend(self.model.follow(Step { pull, again: &mut again, clock, seed })?);
            Ok(figures)
        });
        if moved.is_err() {
            // a step that is left out or fails leaves no trace
            self.model.release();
            if let Err(state) = self.velocity.restore(&before) {
                return Err(moved.err().unwrap_or(state));
            }
        }
        match moved {
            Ok(figures) => {
                self.clock.step += 1;
                let restored = |f: Figure| f.restored(self.model.frame());
                let figures = figures.into_iter().filter(|f| !f.value.is_nan()).map(restored).collect();
                Ok(StepReport { step: clock.step, figures, skipped: false })
            }
            Err(error @ (Error::NonFinite { .. } | Error::OutsideSupport { .. })) => {
                self.clock.step += 1;
                let error = in_units_of_x(error, self.model.frame());
                self.faults.count(error, self.clock)?;
                Ok(StepReport { step: clock.step, figures: Vec::new(), skipped: true })
            }
            Err(error) => {
                // it is taken again, whatever part of it was evaluated
                self.counter.set(counted);
                Err(error)
            }
        }
    }

    /// Refuses what nobody can follow, by the velocity's name.
    fn check(&self, pull: &Pull, x: &Matrix) -> Result<()> {
        let bad = |what: String| Err(Error::BadVelocity { name: self.velocity.name().into(), what });
        let (matrix, numbers) = pull.parts();
        let (n, d) = x.shape();
        if pull.kind() != self.velocity.kind() {
            return bad(format!("a {:?} where it says {:?}", pull.kind(), self.velocity.kind()));
        }
        let rows = match pull {
            Pull::LogDensity { cotangent, .. } => cotangent.len(),
            _ => n,
        };
        if matrix.shape() != (rows, d) {
            return bad(format!(
                "a {}×{} matrix where {rows}×{d} numbers were asked for",
                matrix.rows(),
                matrix.cols()
            ));
        }
        if !numbers.is_empty() && numbers.len() != rows {
            return bad(format!("{} growth rates for {rows} particles", numbers.len()));
        }
        if let Some(k) = matrix.as_slice().iter().chain(numbers).position(|v| !v.is_finite()) {
            return bad(format!(
                "a number that is not finite for particle {}",
                if k < rows * d { k / d } else { k - rows * d }
            ));
        }
        Ok(())
    }
}

impl Stateful for Run {
    fn save(&self, to: &mut State) {
        to.put_part("model", &*self.model);
        to.put_part("velocity", &*self.velocity);
        to.put_part("faults", &self.faults);
        to.put_part("evaluations", &*self.counter);
        to.counters.insert("step".into(), self.clock.step);
        to.words.insert("model".into(), self.model.name().into());
        to.words.insert("velocity".into(), self.velocity.name().into());
    }

    /// Takes on the state of a run of the same model, velocity and settings: from there the bits are those of a run that never stopped,
    /// on any number of threads.
    fn restore(&mut self, from: &State) -> Result<()> {
        let own = self.state();
        self.take_on(from).inspect_err(|_| {
            // what was taken on before the part that does not fit
            self.take_on(&own).expect("its own state fits");
        })
    }
}

impl Run {
    fn take_on(&mut self, from: &State) -> Result<()> {
        let step = from.counter("step")?;
        for (kind, own) in [("model", self.model.name()), ("velocity", self.velocity.name())] {
            if from.words.get(kind).is_none_or(|name| name != own) {
                let what = format!("its {kind} is {:?}, not '{own}'", from.words.get(kind));
                return Err(Error::State { what });
            }
        }
        if step > self.clock.steps {
            return Err(Error::State { what: format!("it is at step {step} of {}", self.clock.steps) });
        }
        let mut faults = Faults::default();
        faults.restore(&from.part("faults"))?;
        let counts = counts::read(&from.part("evaluations"))?;
        self.model.restore(&from.part("model"))?;
        self.velocity.restore(&from.part("velocity"))?;
        (self.clock.step, self.faults) = (step, faults);
        self.counter.set(counts);
        Ok(())
    }
}
