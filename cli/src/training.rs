//! The training loop as the command runs it: progress, pictures on the way, a stop that is asked for.

use crate::config::Config;
use crate::failure::Outcome;
use crate::method::{self, Method};
use crate::model::Model;
use crate::progress::Progress;
use crate::report::{Frame, StepRow};
use crate::target::Target;
use crate::{failure::Failure, interrupt};
use pushforward::Error;
use pushforward::divergence::Divergence;
use pushforward::metric::ModeTruth;
use pushforward::sampler::{Faults, Frame as Units, Settings};
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
pub enum Ending {
    /// All steps were taken.
    Complete,
    /// Ctrl-C.
    Interrupted,
    /// The target was not finite too often; the reason.
    Faulty(String),
}

/// What a training left.
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
    /// How it ended.
    pub ending: Ending,
    /// Steps taken.
    pub taken: u64,
    /// Wall time of the training alone.
    pub seconds: f64,
}

/// Samples in one picture.
const PICTURE: usize = 2_500;

/// Most rows in metrics.jsonl; longer runs log every k-th step.
const MOST_ROWS: u64 = 10_000;

/// Trains until all steps are taken, Ctrl-C, or an error.
pub fn train(job: &Job) -> Outcome<Run> {
    let start = Instant::now();
    let mut method = method::start(job, None)?;
    let total = job.settings.steps;
    let (middle, every) = (total / 2, total.div_ceil(MOST_ROWS));
    let picture =
        |m: &dyn Method| Frame { step: m.steps_taken() as usize, samples: m.sample(PICTURE, job.settings.seed, 0) };
    let (mut frames, mut steps, mut ending) = (vec![picture(&*method)], Vec::new(), Ending::Complete);
    let mut show = Display::new(job);
    while !method.is_finished() {
        if interrupt::requested() {
            ending = Ending::Interrupted;
            break;
        }
        match method.step() {
            Ok(row) => {
                show.step(&row, &*method);
                if (row.step as u64 - 1).is_multiple_of(every) || method.is_finished() {
                    steps.push(row);
                }
            }
            Err(error @ Error::TooManyFaults { .. }) => {
                ending = Ending::Faulty(error.to_string());
                break;
            }
            Err(error) => return Err(Failure::from(error)),
        }
        if method.steps_taken() == middle && middle > 0 {
            frames.push(picture(&*method));
        }
    }
    if method.steps_taken() > 0 {
        frames.push(picture(&*method));
    }
    let (model, units, faults) = (method.model(), method.frame().clone(), method.faults().clone());
    let (taken, seconds) = (method.steps_taken(), start.elapsed().as_secs_f64());
    Ok(Run { model, units, steps, frames, faults, ending, taken, seconds })
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
