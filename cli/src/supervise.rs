//! A training under supervision: it works in a thread of its own, and the main thread ends it in time even where a step does not end.

use crate::checkpoint::Checkpoint;
use crate::failure::{Failure, Outcome};
use crate::progress;
use crate::results::{self, Trained, config_json};
use crate::run_folder::RunFolder;
use crate::signal;
use crate::terminal::note;
use crate::training::{Ending, Job, Snapshot, Watcher, train};
use crate::verdict::Verdict;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a training must stop, and how often it is saved.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// No work after this moment.
    pub deadline: Option<Instant>,
    /// Wall time between two checkpoints.
    pub checkpoint_every: Duration,
}

/// The main thread looks this often.
const TICK: Duration = Duration::from_millis(20);
/// A step that lasts longer than this after Ctrl-C is given up; the rest of the second is for writing.
const PATIENCE: Duration = Duration::from_millis(400);
/// Before the deadline: for writing what there is.
const WRITING: Duration = Duration::from_millis(300);
/// Time between two copies of the training in memory, from which it is saved where a step is given up.
const COPY_EVERY: Duration = Duration::from_millis(250);
/// Largest fraction of the time that the copies may cost.
const COPY_SHARE: u32 = 50;

/// What both threads share. Who writes holds the folder.
struct Shared {
    job: Job,
    limits: Limits,
    folder: Mutex<RunFolder>,
    /// The training as it was at most a moment before the step that is under way.
    latest: Mutex<Option<Snapshot>>,
}

impl Shared {
    fn folder(&self) -> MutexGuard<'_, RunFolder> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self) -> MutexGuard<'_, Option<Snapshot>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run that ended as it should, or by the time limit.
pub struct Ended {
    /// What to say.
    pub words: String,
    /// Its folder.
    pub place: PathBuf,
    /// What it says of its samples; nothing is known of those of a run that can go on.
    pub verdict: Verdict,
}

/// Trains the job in `folder`, from the start or from a checkpoint.
pub fn supervise(job: Job, folder: RunFolder, from: Option<Checkpoint>, limits: Limits) -> Outcome<Ended> {
    let shared = Arc::new(Shared { job, limits, folder: Mutex::new(folder), latest: Mutex::new(None) });
    let (tell, hear) = channel();
    let theirs = Arc::clone(&shared);
    // The size of a main thread's stack: the reader of formulas and the like may recurse.
    let thread = std::thread::Builder::new().name("training".into()).stack_size(8 << 20);
    let spawned = thread.spawn(move || {
        let _ = tell.send(work(&theirs, from));
    });
    spawned.map_err(|e| Failure::Machine(format!("cannot start a thread: {e}")))?;
    let mut asked = None;
    loop {
        match hear.recv_timeout(TICK) {
            Ok(outcome) => {
                shared.folder().abandon();
                return outcome;
            }
            Err(RecvTimeoutError::Disconnected) => return Err(panicked(&shared)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        let patience_ends = signal::requested().then(|| *asked.get_or_insert(now) + PATIENCE);
        let ending = match limits.deadline {
            _ if patience_ends.is_some_and(|t| now >= t) => Ending::Interrupted,
            Some(t) if now + WRITING >= t => Ending::TimeLimit,
            _ => continue,
        };
        let mut folder = shared.folder();
        // While this thread waited for the folder the other one may have ended.
        if let Ok(outcome) = hear.try_recv() {
            return outcome;
        }
        progress::wipe();
        let run = shared.latest().take();
        return match run {
            Some(run) => stop(&run, &ending, &shared.job, &mut folder),
            None => Err(nothing_yet(&ending, &mut folder)),
        };
    }
}

/// The work of the training's thread.
fn work(shared: &Shared, from: Option<Checkpoint>) -> Outcome<Ended> {
    let now = Instant::now();
    let written = from.is_some();
    let mut recorder = Recorder {
        shared,
        written,
        last_write: now,
        last_copy: now,
        copy_cost: Duration::ZERO,
        last_look: now,
        step: Duration::ZERO,
    };
    let (run, ending) = train(&shared.job, from, &mut recorder)?;
    let step = format!("{} of {} steps", run.taken, shared.job.steps());
    *shared.latest() = Some(run.clone());
    match ending {
        Ending::Complete | Ending::Faulty(_) => {
            let judged = results::judge(Trained::of(&run, &ending, &shared.job), &shared.job);
            let mut folder = shared.folder();
            let finals = match (judged, &ending) {
                // what was learnt stays, whatever the target is at the samples
                (Err(failure), ending) => {
                    results::write_stopped(&run, ending, &shared.job, &folder)?;
                    let shown = folder.shown().display();
                    let reason =
                        if let Ending::Faulty(reason) = ending { format!("{reason}; ") } else { String::new() };
                    return Err(Failure::Failed(format!(
                        "{reason}the samples cannot be judged ({failure}); the model of {step} is in {shown}"
                    )));
                }
                (Ok(finals), _) => finals,
            };
            finals.write(&run, &folder)?;
            if ending == Ending::Complete {
                folder.finish(crate::checkpoint::FILES)?;
            }
            let shown = folder.shown().display();
            match ending {
                Ending::Faulty(reason) => Err(Failure::Failed(format!("{reason}; what {step} taught is in {shown}"))),
                _ => Ok(Ended {
                    words: format!("{}\nwritten to {shown}; open {shown}/report.html\n", finals.words()),
                    place: folder.shown().to_owned(),
                    verdict: finals.verdict(),
                }),
            }
        }
        Ending::Interrupted | Ending::TimeLimit => stop(&run, &ending, &shared.job, &mut shared.folder()),
    }
}

/// Leaves a run that can go on, in a moment: no judging, no report.
fn stop(run: &Snapshot, ending: &Ending, job: &Job, folder: &mut RunFolder) -> Outcome<Ended> {
    write_checkpoint(run, job, folder)?;
    results::write_stopped(run, ending, job, folder)?;
    let (step, all, shown) = (run.taken, job.steps(), folder.shown().display());
    let command = job.command();
    let how = format!("after step {step} of {all}; continue with: pushforward {command} --resume {shown}");
    match ending {
        Ending::Interrupted => Err(Failure::Interrupted(format!("stopped by {} {how}", signal::name()))),
        _ => Ok(Ended {
            words: format!("stopped by --max-time {how}\n"),
            place: folder.shown().to_owned(),
            verdict: Verdict::Sound,
        }),
    }
}

/// The end of a training that was stopped before its first step.
fn nothing_yet(ending: &Ending, folder: &mut RunFolder) -> Failure {
    folder.abandon();
    match ending {
        Ending::Interrupted => {
            Failure::Interrupted(format!("stopped by {} before the first step; nothing was changed", signal::name()))
        }
        _ => Failure::Machine("--max-time was up before the first step; nothing was changed; give more time".into()),
    }
}

/// A panic in the training's thread, which has said so itself by now.
fn panicked(shared: &Shared) -> Failure {
    let mut folder = shared.folder();
    folder.abandon();
    let shown = folder.shown().display();
    let left = if folder.path().exists() { format!("; the last checkpoint is in {shown}") } else { String::new() };
    Failure::Machine(format!("a mistake of this program or of the target's code stopped the training{left}"))
}

fn write_checkpoint(run: &Snapshot, job: &Job, folder: &mut RunFolder) -> Outcome<()> {
    run.checkpoint(&config_json(job)).write(folder.path())?;
    folder.keep();
    Ok(())
}

/// Stops the training in time, copies it now and then, and writes checkpoints.
struct Recorder<'a> {
    shared: &'a Shared,
    /// Whether there is a checkpoint.
    written: bool,
    last_write: Instant,
    last_copy: Instant,
    copy_cost: Duration,
    last_look: Instant,
    /// How long the last step took.
    step: Duration,
}

impl Recorder<'_> {
    /// The first checkpoint must succeed; later ones may fail (a full disk), and the training goes on from what is kept.
    fn write(&mut self, run: &Snapshot) -> Outcome<()> {
        let (job, mut folder) = (&self.shared.job, self.shared.folder());
        if !self.written {
            folder.write("config.toml", results::config_text(job).as_bytes())?;
            write_checkpoint(run, job, &mut folder)?;
            self.written = true;
        } else {
            let both = write_checkpoint(run, job, &mut folder).and_then(|()| results::write_curves(run, &folder));
            both.unwrap_or_else(|failure| {
                note(format!("no checkpoint at step {}: {failure}; the last one is kept", run.taken))
            });
        }
        self.last_write = Instant::now();
        Ok(())
    }
}

impl Watcher for Recorder<'_> {
    fn stop(&mut self) -> Option<Ending> {
        if signal::requested() {
            return Some(Ending::Interrupted);
        }
        // another step, with room for a slower one, must end before the time for writing begins
        let enough = |t: Instant| Instant::now() + 2 * self.step + 2 * WRITING < t;
        self.shared.limits.deadline.filter(|&t| !enough(t)).map(|_| Ending::TimeLimit)
    }

    fn look(&mut self, run: &dyn Fn() -> Snapshot) -> Outcome<()> {
        let now = Instant::now();
        self.step = now - std::mem::replace(&mut self.last_look, now);
        let write = !self.written || now - self.last_write >= self.shared.limits.checkpoint_every;
        let copy =
            self.shared.latest().is_none() || now - self.last_copy >= COPY_EVERY.max(COPY_SHARE * self.copy_cost);
        if write || copy {
            let run = run();
            self.copy_cost = now.elapsed();
            self.last_copy = Instant::now();
            if write {
                self.write(&run)?;
            }
            *self.shared.latest() = Some(run);
            self.last_look = Instant::now();
        }
        Ok(())
    }
}
