//! The training loop as the command runs it: progress, pictures on the way, a stop that is asked for.

use crate::config::Config;
use crate::failure::Outcome;
use crate::model::Stored;
use crate::progress::Progress;
use crate::report::{Frame, StepRow};
use crate::target::Target;
use crate::{failure::Failure, interrupt};
use pushforward::Error;
use pushforward::divergence::Divergence;
use pushforward::metric::ModeTruth;
use pushforward::sampler::{Faults, Generator, Settings, StepReport, Trainer};
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
pub struct Run<T: Stored> {
    /// The generator at the end.
    pub generator: Generator<T>,
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
pub fn train<T: Stored>(job: &Job) -> Outcome<Run<T>> {
    let start = Instant::now();
    let mut trainer: Trainer<T> = Trainer::new(&job.target.density, Arc::clone(&job.divergence), job.settings.clone())?;
    let total = job.settings.steps;
    let (middle, every) = (total / 2, total.div_ceil(MOST_ROWS));
    let picture = |t: &Trainer<T>| Frame {
        step: t.steps_taken() as usize,
        samples: t.generator().sample(PICTURE, job.settings.seed, 0),
    };
    let (mut frames, mut steps, mut ending) = (vec![picture(&trainer)], Vec::new(), Ending::Complete);
    let mut show = Display::new(job);
    while !trainer.is_finished() {
        if interrupt::requested() {
            ending = Ending::Interrupted;
            break;
        }
        match trainer.step() {
            Ok(report) => {
                if report.step.is_multiple_of(every) || trainer.is_finished() {
                    steps.push(row(&report, trainer.generator().frame.scale));
                }
                show.step(&report, &trainer);
            }
            Err(error @ Error::TooManyFaults { .. }) => {
                ending = Ending::Faulty(error.to_string());
                break;
            }
            Err(error) => return Err(Failure::from(error)),
        }
        if trainer.steps_taken() == middle && middle > 0 {
            frames.push(picture(&trainer));
        }
    }
    if trainer.steps_taken() > 0 {
        frames.push(picture(&trainer));
    }
    let (taken, faults) = (trainer.steps_taken(), trainer.faults().clone());
    let seconds = start.elapsed().as_secs_f64();
    Ok(Run { generator: trainer.generator().clone(), steps, frames, faults, ending, taken, seconds })
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

    fn step<T: Stored>(&mut self, report: &StepReport, trainer: &Trainer<T>) {
        if let Some(truth) = self.truth.as_ref().filter(|_| report.step.is_multiple_of(self.every)) {
            let modes = truth.report(&trainer.generator().sample(2_000, self.seed, 0));
            self.covered = Some((modes.covered, modes.modes));
        }
        self.bar.at(report.step + 1);
        self.bar.numbers(-report.mean_log_ratio, self.covered, report.mean_log_density);
    }
}
