//! A run: begun, stopped by an exception or Ctrl-C, gone on with, ended, in a folder as the command's.

use crate::convert::{raise, to_table};
use crate::host::{Host, Message};
use crate::pool;
use crate::target::{Target, trusting, warn};
use pushforward::linalg::Matrix;
use pushforward::run::StepReport;
use pushforward_cli::checkpoint::{self, Checkpoint};
use pushforward_cli::config::{self, Config};
use pushforward_cli::failure::{Failure, Outcome};
use pushforward_cli::files::samples::SampleWriter;
use pushforward_cli::opened::{agree, table};
use pushforward_cli::results::{self, Trained, config_json, config_text};
use pushforward_cli::run_folder::RunFolder;
use pushforward_cli::training::{Ending, Job, Snapshot, Watcher, train};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rayon::ThreadPool;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// log p~ - log q at the rows of samples.npy, which the command does not write.
const LOG_WEIGHTS: &str = "log_weights.npy";

/// A training that can be stopped and gone on with.
#[pyclass(frozen, module = "pushforward._core")]
pub struct Run {
    work: Arc<Work>,
    function: Option<Py<PyAny>>,
    pool: ThreadPool,
    /// Whether a thread trains it.
    busy: AtomicBool,
}

/// What the pool's threads see of it.
struct Work {
    job: Job,
    host: Arc<Host>,
    path: PathBuf,
    /// None once the run has ended.
    folder: Mutex<Option<RunFolder>>,
    checkpoint_every: Duration,
}

impl Work {
    fn folder(&self) -> MutexGuard<'_, Option<RunFolder>> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Run {
    /// A run of `target` in the new folder `out`, with the settings of the command by their keys.
    #[staticmethod]
    fn begin(
        py: Python<'_>,
        target: &Target,
        settings: &Bound<'_, PyDict>,
        out: PathBuf,
        force: bool,
        threads: Option<usize>,
        checkpoint_every: f64,
    ) -> PyResult<Self> {
        let mut settings = to_table(settings)?;
        let host = Arc::<Host>::default();
        let pool = pool::of(threads).map_err(|failure| raise(py, failure))?;
        let hosted = target.hosted(&host).map_err(|failure| raise(py, failure))?;
        let work = move || {
            settings.insert("target".into(), hosted.definition.clone());
            let mut config = config::of_table(settings, "the settings")?;
            config.name = (!hosted.definition.is_str()).then(|| hosted.name.clone());
            let job = Job::new(hosted, config)?;
            let folder = RunFolder::create(&out, force, &config_text(&job))?;
            Ok((job, folder))
        };
        // some methods choose settings by the density
        let function = target.adapter(py);
        let (job, folder) = host.settle(py, &pool, function.as_ref(), None, work)?;
        Self::new(py, function, pool, job, host, folder, checkpoint_every)
    }

    /// The run that stopped in the folder `path`; `target` where it follows a function of Python.
    #[staticmethod]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        target: Option<&Target>,
        trust: bool,
        threads: Option<usize>,
        checkpoint_every: f64,
    ) -> PyResult<Self> {
        let host = Arc::<Host>::default();
        let pool = pool::of(threads).map_err(|failure| raise(py, failure))?;
        let (function, theirs) = (target.and_then(|t| t.adapter(py)), Arc::clone(&host));
        let has_function = function.is_some();
        let work = move || {
            let folder = RunFolder::open(&path)?;
            if results::is_complete(&path) && !path.join(checkpoint::NEWEST).exists() {
                let shown = path.display();
                return Err(Failure::input(format!("the run in {shown} is complete; there is nothing to go on with")));
            }
            let config = config_of(&path)?;
            let mut notes = Vec::new();
            let found = trusting(trust, || {
                let mut note = |sentence| notes.push(sentence);
                Target::of_run(has_function, &config.target, config.name.as_deref(), &theirs, &mut note)
            })?;
            Ok((Job::new(found, config)?, folder, notes))
        };
        let (job, folder, notes) = host.settle(py, &pool, function.as_ref(), None, work)?;
        warn(py, notes)?;
        Self::new(py, function, pool, job, host, folder, checkpoint_every)
    }

    /// Takes all steps that are left and judges the samples; `on_step(step, steps, figures)` is called after each step.
    fn finish(&self, py: Python<'_>, on_step: Option<Py<PyAny>>) -> PyResult<()> {
        if self.busy.swap(true, Ordering::Relaxed) {
            return Err(raise(
                py,
                Failure::input("another thread trains this run, or its own function asks for more; wait for it"),
            ));
        }
        let work = Arc::clone(&self.work);
        let host = &self.work.host;
        let outcome = host.settle(py, &self.pool, self.function.as_ref(), on_step.as_ref(), move || work.finish());
        self.busy.store(false, Ordering::Relaxed);
        outcome
    }

    /// The folder.
    #[getter]
    fn path(&self) -> PathBuf {
        self.work.path.clone()
    }

    /// All steps.
    #[getter]
    fn steps(&self) -> u64 {
        self.work.job.steps()
    }

    /// Whether all steps were taken and the samples judged.
    #[getter]
    fn is_finished(&self) -> bool {
        !self.busy.load(Ordering::Relaxed) && self.work.folder().is_none()
    }
}

/// The configuration of the run in `folder`, which is that of its checkpoint where there is one.
fn config_of(folder: &Path) -> Outcome<Config> {
    if let Some(checkpoint) = Checkpoint::peek(folder, &mut |_| ())? {
        agree(folder, &table(folder)?, &checkpoint.config, "the checkpoint")?;
    }
    config::merge(Some(&folder.join("config.toml")), toml::Table::new(), &[])
}

impl Run {
    fn new(
        py: Python<'_>,
        function: Option<Py<PyAny>>,
        pool: ThreadPool,
        job: Job,
        host: Arc<Host>,
        folder: RunFolder,
        checkpoint_every: f64,
    ) -> PyResult<Self> {
        let checkpoint_every = Duration::try_from_secs_f64(checkpoint_every).map_err(|_| {
            raise(py, Failure::input(format!("checkpoint_every = {checkpoint_every}; give a number of seconds")))
        })?;
        let path = folder.path().to_owned();
        let work = Work { job, host, path, folder: Mutex::new(Some(folder)), checkpoint_every };
        Ok(Self { work: Arc::new(work), function, pool, busy: AtomicBool::new(false) })
    }
}

impl Work {
    /// All steps that are left, and what a run leaves.
    fn finish(&self) -> Outcome<()> {
        // held while it trains: where the density's code unwinds, the folder stays
        let mut folder = self.folder();
        let Some(open) = folder.as_mut() else {
            return Err(Failure::input("this run is complete; there is nothing to go on with"));
        };
        self.finish_in(open)?;
        *folder = None;
        Ok(())
    }

    fn finish_in(&self, folder: &mut RunFolder) -> Outcome<()> {
        let job = &self.job;
        let from = Checkpoint::read(folder.path(), &mut |_| ())?;
        let written = from.is_some();
        let mut watcher = Recorder { work: self, folder, written, last: Instant::now() };
        let (run, ending) = train(job, from, &mut watcher)?;
        watcher.write(&run)?;
        let (step, shown) = (format!("{} of {} steps", run.taken, job.steps()), folder.shown().display().to_string());
        if ending == Ending::Interrupted {
            results::write_stopped(&run, &ending, job, folder)?;
            return Err(Failure::Interrupted(format!("stopped after {step}")));
        }
        let finals = match (results::judge(Trained::of(&run, &ending, job), job), &ending) {
            // the target is not finite at the samples either
            (Err(failure), Ending::Faulty(reason)) => {
                results::write_stopped(&run, &ending, job, folder)?;
                return Err(Failure::Failed(format!(
                    "{reason}; its samples cannot be judged ({failure}); the model of {step} is in {shown}"
                )));
            }
            (judged, _) => judged?,
        };
        finals.write(&run, folder)?;
        if let Some(log_weights) = finals.log_weights() {
            let mut writer = SampleWriter::create(&folder.file(LOG_WEIGHTS), log_weights.len() as u64, 1)?;
            writer.push(&Matrix::from_vec(log_weights.len(), 1, log_weights.to_vec()))?;
            writer.finish()?;
        }
        match ending {
            Ending::Faulty(reason) => Err(Failure::Failed(format!("{reason}; what {step} taught is in {shown}"))),
            _ => folder.finish(checkpoint::FILES),
        }
    }
}

/// Tells the host of steps, ends the run where the host says so, and writes checkpoints.
struct Recorder<'a> {
    work: &'a Work,
    folder: &'a mut RunFolder,
    /// Whether there is a checkpoint.
    written: bool,
    last: Instant,
}

impl Recorder<'_> {
    fn write(&mut self, run: &Snapshot) -> Outcome<()> {
        run.checkpoint(&config_json(&self.work.job)).write(self.folder.path())?;
        self.folder.keep();
        (self.written, self.last) = (true, Instant::now());
        Ok(())
    }
}

impl Watcher for Recorder<'_> {
    fn stop(&mut self) -> Option<Ending> {
        self.work.host.stopped().then_some(Ending::Interrupted)
    }

    fn step(&mut self, report: &StepReport) {
        let figures = report.figures.iter().map(|f| (f.label.to_string(), f.value)).collect();
        self.work.host.tell(Message::Step(report.step + 1, self.work.job.steps(), figures));
    }

    fn look(&mut self, run: &dyn Fn() -> Snapshot) -> Outcome<()> {
        // later ones may fail (a full disk), and the training goes on from what is kept
        match self.written {
            false => self.write(&run()),
            true if self.last.elapsed() >= self.work.checkpoint_every => {
                let _ = self.write(&run());
                self.last = Instant::now();
                Ok(())
            }
            true => Ok(()),
        }
    }

    fn fails(&mut self, run: &dyn Fn() -> Snapshot) {
        // the reason of the failure is worth more than that nothing could be kept
        let _ = self.write(&run());
    }
}
