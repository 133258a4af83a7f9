//! Methods of training as the command drives them: one trait, one implementation each.

use crate::config::{Precision, Training};
use crate::failure::Outcome;
use crate::model::{Model, Stored};
use crate::report::StepRow;
use crate::saved::Saved;
use crate::training::Job;
use pushforward::density::Affine;
use pushforward::linalg::Matrix;
use pushforward::run::FlowTrainer;
use pushforward::run::{Faults, StepReport, Trainer};
use std::sync::Arc;

/// A sampler under training. What is trained and how is its own affair; the command shows, saves and stops it.
///
/// The same job and the same saved state give the same bits on any number of threads.
pub trait Method: Send {
    /// One step, in the units of x. An error ends the training.
    fn step(&mut self) -> pushforward::Result<StepRow>;
    /// Steps taken.
    fn steps_taken(&self) -> u64;
    /// Whether all steps were taken.
    fn is_finished(&self) -> bool;
    /// Steps that were left out.
    fn faults(&self) -> &Faults;
    /// The units in which it works, for config.toml.
    fn frame(&self) -> &Affine;
    /// n samples of what it has learnt so far, block `block` of the stream of `seed`.
    fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix;
    /// What it has learnt so far.
    fn model(&self) -> Model;
    /// What [`start`] needs to go on.
    fn state(&self) -> Saved;
}

/// The method that the job asks for, at its start or where `saved` left it.
pub fn start(job: &Job, saved: Option<&Saved>) -> Outcome<Box<dyn Method>> {
    let size = match job.config.precision {
        Precision::F32 => 4,
        Precision::F64 => 8,
    };
    enough_memory(job.settings.memory(job.target.density.dim(), size), available_memory())?;
    match (job.config.method, job.config.precision) {
        (Training::Kde, Precision::F32) => smoothed_drift::<f32>(job, saved),
        (Training::Kde, Precision::F64) => smoothed_drift::<f64>(job, saved),
        (_, Precision::F32) => flow::<f32>(job, saved),
        (_, Precision::F64) => flow::<f64>(job, saved),
    }
}

/// Refuses what cannot fit before any of it is allocated: a failed allocation would end the process without a word.
fn enough_memory(needed: f64, limit: f64) -> pushforward::Result<()> {
    let what = "this training".into();
    if needed <= limit { Ok(()) } else { Err(pushforward::Error::TooLarge { what, needed, limit }) }
}

/// Bytes that the machine can give.
fn available_memory() -> f64 {
    crate::memory::available() as f64
}

/// Generator training by the smoothed drift.
fn smoothed_drift<T: Stored>(job: &Job, saved: Option<&Saved>) -> Outcome<Box<dyn Method>> {
    let (target, divergence) = (&job.target.density, Arc::clone(&job.divergence));
    Ok(Box::new(match saved {
        None => Trainer::<T>::new(target, divergence, job.settings.clone())?,
        Some(saved) => Trainer::<T>::resume(target, divergence, job.settings.clone(), &saved.state()?)?,
    }))
}

/// Training of a normalizing flow.
fn flow<T: Stored>(job: &Job, saved: Option<&Saved>) -> Outcome<Box<dyn Method>> {
    let target = &job.target.density;
    let settings = job.config.flow_settings(&**target, &job.settings);
    let objective = job.config.objective(Some(Arc::clone(&job.divergence)))?;
    Ok(Box::new(match saved {
        None => FlowTrainer::<T>::new(target, objective, settings)?,
        Some(saved) => FlowTrainer::<T>::resume(target, objective, settings, &saved.state()?)?,
    }))
}

impl<T: Stored> Method for FlowTrainer<T> {
    fn step(&mut self) -> pushforward::Result<StepRow> {
        let scale = self.flow().frame.scale();
        FlowTrainer::step(self).map(|r| row(&r, scale))
    }
    fn steps_taken(&self) -> u64 {
        FlowTrainer::steps_taken(self)
    }
    fn is_finished(&self) -> bool {
        FlowTrainer::is_finished(self)
    }
    fn faults(&self) -> &Faults {
        FlowTrainer::faults(self)
    }
    fn frame(&self) -> &Affine {
        &self.flow().frame
    }
    fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.flow().sample_block(n, seed, block)
    }
    fn model(&self) -> Model {
        Model::Flow(Box::new(self.flow().cast()))
    }
    fn state(&self) -> Saved {
        Saved::of(&FlowTrainer::state(self))
    }
}

impl<T: Stored> Method for Trainer<T> {
    fn step(&mut self) -> pushforward::Result<StepRow> {
        let scale = self.generator().frame.scale();
        Trainer::step(self).map(|r| row(&r, scale))
    }
    fn steps_taken(&self) -> u64 {
        Trainer::steps_taken(self)
    }
    fn is_finished(&self) -> bool {
        Trainer::is_finished(self)
    }
    fn faults(&self) -> &Faults {
        Trainer::faults(self)
    }
    fn frame(&self) -> &Affine {
        &self.generator().frame
    }
    fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.generator().sample(n, seed, block)
    }
    fn model(&self) -> Model {
        T::model(self.generator().clone())
    }
    fn state(&self) -> Saved {
        Saved::of(&Trainer::state(self))
    }
}

/// A step in the units of x.
fn row(r: &StepReport, scale: f64) -> StepRow {
    StepRow {
        step: r.step as usize + 1,
        objective: -r.mean_log_ratio,
        rms_drift: r.drift,
        bandwidth: r.bandwidth * scale,
        mean_log_p: r.mean_log_density,
        effective_samples: r.effective_samples,
        skipped: r.skipped,
    }
}
