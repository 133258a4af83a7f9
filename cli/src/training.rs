//! The loop over steps as the command runs it: curves, pictures on the way, a stop that is asked for.

use crate::checkpoint::{Checkpoint, arithmetic};
use crate::config::Config;
use crate::curves::Curves;
use crate::failure::{Failure, Outcome};
use crate::model::Model;
use crate::progress::Progress;
use crate::record::Frame;
use crate::saved::Saved;
use crate::style::count;
use crate::target::Target;
use crate::terminal::note;
use pushforward::Error;
use pushforward::density::Counts;
use pushforward::linalg::Matrix;
use pushforward::metric::ModeTruth;
use pushforward::run::{Faults, Method, Run, StepReport};
use pushforward::state::Stateful;
use std::time::Instant;

/// What is to be done.
pub struct Job {
    /// The target.
    pub target: Target,
    /// As given.
    pub config: Config,
    /// The method with all its settings.
    pub method: Method,
    /// Where particles start, where a file was given.
    pub start: Option<Matrix>,
}

impl Job {
    /// What `config` asks for on `target`; particles start where the method says.
    pub fn new(target: Target, config: Config) -> Outcome<Self> {
        Ok(Self { method: config.method(&target)?, target, config, start: None })
    }

    /// Key of every random number.
    pub fn seed(&self) -> u64 {
        self.method.run.seed
    }

    /// All steps.
    pub fn steps(&self) -> u64 {
        self.method.run.steps
    }

    /// The command that goes on with its run.
    pub fn command(&self) -> &'static str {
        if self.method.model.name() == "particles" { "particles" } else { "train" }
    }

    /// Refuses what cannot fit before any of it is allocated: a failed allocation would end the process without a word.
    pub fn fits_memory(&self) -> Outcome<()> {
        let (needed, limit) = (self.method.memory(self.target.density.dim()), crate::memory::available() as f64);
        let what = "this run".into();
        if needed <= limit { Ok(()) } else { Err(Error::TooLarge { what, needed, limit }.into()) }
    }

    /// The run at its start, or where `saved` left it.
    pub fn begin(&self, saved: Option<&Saved>) -> Outcome<Run> {
        Model::known(self.method.model.name())?;
        self.fits_memory()?;
        let law = self.target.law();
        Ok(match saved {
            None => {
                let started = self.method.start(&law, self.start.clone());
                started.map_err(|e| self.target.coordinates.in_own(e))?
            }
            Some(saved) => self.method.resume(&law, &saved.state()?)?,
        })
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All steps were taken, or the model settled.
    Complete,
    /// Ctrl-C.
    Interrupted,
    /// The time of `--max-time` was up.
    TimeLimit,
    /// The target was not finite too often; the reason.
    Faulty(String),
}

/// A run so far.
#[derive(Clone)]
pub struct Snapshot {
    /// What was learnt.
    pub model: Model,
    /// The curves.
    pub curves: Curves,
    /// Samples at some moments.
    pub frames: Vec<Frame>,
    /// Steps that were left out.
    pub faults: Faults,
    /// Evaluations of the target so far.
    pub counts: Counts,
    /// Steps taken.
    pub taken: u64,
    /// Wall time of the run alone, with that before a stop.
    pub seconds: f64,
    /// What going on takes.
    pub saved: Saved,
}

impl Snapshot {
    /// What a checkpoint keeps of it; `config` is the configuration as JSON.
    pub fn checkpoint(&self, config: &str) -> Checkpoint {
        Checkpoint {
            saved: self.saved.clone(),
            curves: self.curves.clone(),
            frames: self.frames.clone(),
            seconds: self.seconds,
            config: config.into(),
            arithmetic: arithmetic().into(),
        }
    }
}

/// Who watches a run: says when to stop, and may take notes.
pub trait Watcher {
    /// Asked before each step: whether to stop, and what that ending is called.
    fn stop(&mut self) -> Option<Ending>;
    /// Called before the first step and after each; `run` makes the run so far, which costs a copy.
    fn look(&mut self, run: &dyn Fn() -> Snapshot) -> Outcome<()>;
    /// Called after each step with what it did.
    fn step(&mut self, _report: &StepReport) {}
    /// Called where a step fails, which leaves the run as it was before.
    fn fails(&mut self, _run: &dyn Fn() -> Snapshot) {}
}

/// Nobody watches: all steps are taken.
pub struct Unwatched;

impl Watcher for Unwatched {
    fn stop(&mut self) -> Option<Ending> {
        None
    }
    fn look(&mut self, _: &dyn Fn() -> Snapshot) -> Outcome<()> {
        Ok(())
    }
}

/// Samples in one picture.
pub const PICTURE: usize = 2_500;

/// Most rows in metrics.jsonl; longer runs log every k-th step.
const MOST_ROWS: u64 = 10_000;

/// Trains from the start, or from a checkpoint, until all steps are taken, the watcher stops it, or an error.
pub fn train(job: &Job, from: Option<Checkpoint>, watcher: &mut dyn Watcher) -> Outcome<(Snapshot, Ending)> {
    let mut training = Training::new(job, from)?;
    let mut show = Display::new(job);
    watcher.look(&|| training.snapshot())?;
    while !training.run.is_finished() {
        if let Some(ending) = watcher.stop() {
            return Ok((training.snapshot(), ending));
        }
        match training.step(&mut show) {
            Ok(report) => {
                watcher.step(&report);
                watcher.look(&|| training.snapshot())?;
            }
            Err(error @ Error::TooManyFaults { .. }) => {
                let reason = job.target.coordinates.in_own(error).to_string();
                return Ok((training.end(), Ending::Faulty(reason)));
            }
            Err(error) => {
                watcher.fails(&|| training.snapshot());
                return Err(Failure::from(job.target.coordinates.in_own(error)));
            }
        }
    }
    if let Some(why) = training.run.model().settled() {
        let (taken, total) = (count(training.run.clock().step as usize), count(job.steps() as usize));
        note(format!("stopped after {taken} of {total} steps: {why}"));
    }
    Ok((training.end(), Ending::Complete))
}

/// A run as it was at a checkpoint, with a last picture.
pub fn at_checkpoint(job: &Job, checkpoint: Checkpoint) -> Outcome<Snapshot> {
    Ok(Snapshot { seconds: checkpoint.seconds, ..Training::new(job, Some(checkpoint))?.end() })
}

/// A run and what is known of its past.
struct Training<'a> {
    job: &'a Job,
    run: Run,
    curves: Curves,
    frames: Vec<Frame>,
    /// Wall time before the last stop.
    seconds: f64,
    start: Instant,
}

/// Pictures of particles on their way, beside the start and the end; denser at the start, where most happens.
const WAY: u64 = 30;

/// Whether a picture is due after so many of all steps: in the middle; for particles, whose way is of interest, [`WAY`] times.
fn picture_is_due(job: &Job, taken: u64, total: u64) -> bool {
    let moment = |k: u64| (total as f64 * (k as f64 / WAY as f64).powi(2)) as u64;
    match job.method.model.name() {
        "particles" => taken < total && (1..WAY).any(|k| moment(k) == taken),
        _ => taken == total / 2,
    }
}

impl<'a> Training<'a> {
    fn new(job: &'a Job, from: Option<Checkpoint>) -> Outcome<Self> {
        let start = Instant::now();
        let run = job.begin(from.as_ref().map(|c| &c.saved))?;
        let mut out = Self { job, run, curves: Curves::default(), frames: Vec::new(), seconds: 0.0, start };
        match from {
            Some(c) => (out.curves, out.frames, out.seconds) = (c.curves, c.frames, c.seconds),
            None => out.frames.push(out.picture()),
        }
        Ok(out)
    }

    fn picture(&self) -> Frame {
        let samples = self.run.sample(PICTURE, self.job.seed(), 0);
        Frame { step: self.run.clock().step as usize, samples }
    }

    /// One step, its row, and a picture where one is due.
    fn step(&mut self, show: &mut Display) -> pushforward::Result<StepReport> {
        let total = self.job.steps();
        let report = self.run.step()?;
        show.step(&report, &self.run);
        if report.step.is_multiple_of(total.div_ceil(MOST_ROWS)) || self.run.is_finished() {
            self.curves.push(&report);
        }
        if picture_is_due(self.job, report.step + 1, total) {
            self.frames.push(self.picture());
        }
        Ok(report)
    }

    /// The run so far.
    fn snapshot(&self) -> Snapshot {
        let Faults { skipped, first } = self.run.faults().clone();
        Snapshot {
            model: Model::of(&self.run),
            curves: self.curves.clone(),
            frames: self.frames.clone(),
            faults: Faults { skipped, first: first.map(|e| self.job.target.coordinates.in_own(e)) },
            counts: self.run.counts(),
            taken: self.run.clock().step,
            seconds: self.seconds + self.start.elapsed().as_secs_f64(),
            saved: Saved::of(&self.run.state()),
        }
    }

    /// The run with its last picture.
    fn end(&self) -> Snapshot {
        let mut run = self.snapshot();
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
        let bar = Progress::new(job.steps(), "steps");
        // A rough truth is enough to count modes, and nothing is counted where nobody looks.
        let mixture = job.target.density.mixture().filter(|_| bar.is_visible());
        let truth = mixture.map(|m| ModeTruth::new(m, 20_000, job.seed()));
        Self { bar, truth, covered: None, every: (job.steps() / 20).max(1), seed: job.seed() }
    }

    fn step(&mut self, report: &StepReport, run: &Run) {
        let step = report.step + 1;
        if let Some(truth) = self.truth.as_ref().filter(|_| report.step.is_multiple_of(self.every)) {
            let modes = truth.report(&run.sample(2_000, self.seed, 0));
            self.covered = Some((modes.covered, modes.modes));
        }
        self.bar.at(step);
        let shown: Vec<(&str, f64)> = report.figures.iter().take(3).map(|f| (f.label, f.value)).collect();
        self.bar.numbers(&shown, self.covered);
    }
}
