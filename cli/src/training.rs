//! The training loop as the command runs it: curves, pictures on the way, a stop that is asked for.

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::method::{self, Method};
use crate::model::Model;
use crate::progress::Progress;
use crate::report::{Frame, StepRow};
use crate::saved::Saved;
use crate::target::Target;
use pushforward::Error;
use pushforward::density::Affine as Units;
use pushforward::divergence::Divergence;
use pushforward::metric::ModeTruth;
use pushforward::run::{Faults, Settings};
use std::sync::Arc;
use std::time::Instant;

/// What is to be done.
pub struct Job {
    /// The target.
    pub target: Target,
    /// The divergence.
    pub divergence: Arc<dyn Divergence>,
    /// As given.
    pub config: Config,
    /// As the trainer takes it.
    pub settings: Settings,
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All steps were taken.
    Complete,
    /// Ctrl-C.
    Interrupted,
    /// The time of `--max-time` was up.
    TimeLimit,
    /// The target was not finite too often; the reason.
    Faulty(String),
}

/// A training so far.
#[derive(Clone)]
pub struct Run {
    /// What was learnt.
    pub model: Model,
    /// The units in which it works.
    pub units: Units,
    /// The curves.
    pub steps: Vec<StepRow>,
    /// Samples at the start, in the middle and at the end.
    pub frames: Vec<Frame>,
    /// Steps that were left out.
    pub faults: Faults,
    /// Steps taken.
    pub taken: u64,
    /// Wall time of the training alone, with that before a stop.
    pub seconds: f64,
    /// What going on takes.
    pub saved: Saved,
}

/// Who watches a training: says when to stop, and may take notes.
pub trait Watcher {
    /// Asked before each step: whether to stop, and what that ending is called.
    fn stop(&mut self) -> Option<Ending>;
    /// Called before the first step and after each; `run` makes the training so far, which costs a copy.
    fn look(&mut self, run: &dyn Fn() -> Run) -> Outcome<()>;
}

/// Nobody watches: all steps are taken.
pub struct Unwatched;

impl Watcher for Unwatched {
    fn stop(&mut self) -> Option<Ending> {
        None
    }
    fn look(&mut self, _: &dyn Fn() -> Run) -> Outcome<()> {
        Ok(())
    }
}

/// Samples in one picture.
pub const PICTURE: usize = 2_500;

/// Most rows in metrics.jsonl; longer runs log every k-th step.
const MOST_ROWS: u64 = 10_000;

/// Trains from the start, or from a checkpoint, until all steps are taken, the watcher stops it, or an error.
pub fn train(job: &Job, from: Option<Checkpoint>, watcher: &mut dyn Watcher) -> Outcome<(Run, Ending)> {
    let mut training = Training::new(job, from)?;
    let mut show = Display::new(job);
    watcher.look(&|| training.run())?;
    while !training.method.is_finished() {
        if let Some(ending) = watcher.stop() {
            return Ok((training.run(), ending));
        }
        match training.step(&mut show) {
            Ok(()) => watcher.look(&|| training.run())?,
            Err(error @ Error::TooManyFaults { .. }) => return Ok((training.end(), Ending::Faulty(error.to_string()))),
            Err(error) => return Err(Failure::from(error)),
        }
    }
    Ok((training.end(), Ending::Complete))
}

/// A training as it was at a checkpoint, with a last picture.
pub fn at_checkpoint(job: &Job, checkpoint: Checkpoint) -> Outcome<Run> {
    Ok(Run { seconds: checkpoint.seconds, ..Training::new(job, Some(checkpoint))?.end() })
}

/// A training and what is known of its past.
struct Training<'a> {
    job: &'a Job,
    method: Box<dyn Method>,
    steps: Vec<StepRow>,
    frames: Vec<Frame>,
    /// Wall time before the last stop.
    seconds: f64,
    start: Instant,
}

impl<'a> Training<'a> {
    fn new(job: &'a Job, from: Option<Checkpoint>) -> Outcome<Self> {
        let start = Instant::now();
        let method = method::start(job, from.as_ref().map(|c| &c.saved))?;
        let mut out = Self { job, method, steps: Vec::new(), frames: Vec::new(), seconds: 0.0, start };
        match from {
            Some(c) => (out.steps, out.frames, out.seconds) = (c.steps, c.frames, c.seconds),
            None => out.frames.push(out.picture()),
        }
        Ok(out)
    }

    fn picture(&self) -> Frame {
        let samples = self.method.sample(PICTURE, self.job.settings.seed, 0);
        Frame { step: self.method.steps_taken() as usize, samples }
    }

    /// One step, its row, and a picture in the middle.
    fn step(&mut self, show: &mut Display) -> pushforward::Result<()> {
        let total = self.job.settings.steps;
        let row = self.method.step()?;
        show.step(&row, &*self.method);
        if (row.step as u64 - 1).is_multiple_of(total.div_ceil(MOST_ROWS)) || self.method.is_finished() {
            self.steps.push(row);
        }
        if self.method.steps_taken() == total / 2 {
            self.frames.push(self.picture());
        }
        Ok(())
    }

    /// The training so far.
    fn run(&self) -> Run {
        Run {
            model: self.method.model(),
            units: self.method.frame().clone(),
            steps: self.steps.clone(),
            frames: self.frames.clone(),
            faults: self.method.faults().clone(),
            taken: self.method.steps_taken(),
            seconds: self.seconds + self.start.elapsed().as_secs_f64(),
            saved: self.method.state(),
        }
    }

    /// The training with its last picture.
    fn end(&self) -> Run {
        let mut run = self.run();
        if run.taken > 0 {
            run.frames.push(self.picture());
        }
        run
    }
}

/// The progress bar, with modes counted now and then where the target has modes.
struct Display {
    bar: Progress,
    truth: Option<ModeTruth>,
    covered: Option<(usize, usize)>,
    every: u64,
    seed: u64,
}

impl Display {
    fn new(job: &Job) -> Self {
        let bar = Progress::new(job.settings.steps, "steps");
        // A rough truth is enough to count modes, and nothing is counted where nobody looks.
        let mixture = job.target.density.mixture().filter(|_| bar.is_visible());
        let truth = mixture.map(|m| ModeTruth::new(m, 20_000, job.settings.seed));
        Self { bar, truth, covered: None, every: (job.settings.steps / 20).max(1), seed: job.settings.seed }
    }

    fn step(&mut self, row: &StepRow, method: &dyn Method) {
        let step = row.step as u64;
        if let Some(truth) = self.truth.as_ref().filter(|_| (step - 1).is_multiple_of(self.every)) {
            let modes = truth.report(&method.sample(2_000, self.seed, 0));
            self.covered = Some((modes.covered, modes.modes));
        }
        self.bar.at(step);
        self.bar.numbers(row.objective, self.covered, row.mean_log_p);
    }
}
