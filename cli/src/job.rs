//! From a configuration to a run folder: what is to be done, how it begins, and how it goes on.

use crate::checkpoint::{Checkpoint, FILES, NEWEST, arithmetic};
use crate::config::{self, Config, MANY};
use crate::failure::{Failure, Outcome};
use crate::files::samples::read_samples;
use crate::opened::{agree, table};
use crate::run_folder::{RunFolder, default_path};
use crate::supervise::{Ended, Limits, supervise};
use crate::target::{self, Target};
use crate::terminal::{note, print};
use crate::training::Job;
use crate::{fingerprint, results, signal};
use pushforward::linalg::Matrix;
use pushforward::settings::Value;
use std::path::{Path, PathBuf};

/// More threads than any machine has cores; each takes memory for its stack.
const MOST_THREADS: usize = 4_096;

/// What the configuration asks for; `named` says that the user named the target, not the configuration.
pub(crate) fn job_of(mut config: Config, named: bool) -> Outcome<Job> {
    let start =
        config.start.take().map(|path| Start::read(Path::new(&path), config.start_checksum.take())).transpose()?;
    config.start = start.as_ref().map(|start| start.path.clone());
    config.start_checksum = start.as_ref().map(|start| start.checksum.clone());
    let job = job_without_start(config, named)?;
    let start = start.map(|start| start.points_for(&job.target)).transpose()?;
    Ok(Job { start, ..job })
}

/// What the run in `folder` does. One that has `begun` holds the points at which it started: they are not read again, and a
/// change of that file is said.
pub(crate) fn job_of_run(folder: &Path, flags: toml::Table, begun: bool) -> Outcome<Job> {
    let config = config::merge(Some(&folder.join("config.toml")), flags, &[])?;
    if !begun {
        return job_of(config, false);
    }
    let start = config.start.as_ref().map(PathBuf::from);
    let found = start.as_ref().and_then(|path| fingerprint::of_file(path).ok());
    if let (Some(path), Some(found)) = (start, found) {
        let difference = fingerprint::difference("start", &path, config.start_checksum.as_deref(), &found);
        difference.into_iter().for_each(|sentence| note(format!("{sentence}; the run goes on from its own points")));
    }
    job_without_start(config, false)
}

fn job_without_start(mut config: Config, named: bool) -> Outcome<Job> {
    // first: a formula or a divergence that is compiled would start the threads of the machine
    if let Some(threads) = config.threads {
        if threads > MOST_THREADS {
            return Err(Failure::input(format!("threads = {threads}; give at most {MOST_THREADS}")));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|e| Failure::Machine(format!("cannot start {threads} threads: {e}; give a smaller --threads")))?;
    }
    let target = match &config.target {
        toml::Value::String(name) if named => target::load(name, &mut note)?,
        toml::Value::Array(all) if named => target::together(all, |one| match one {
            toml::Value::String(name) => target::load(name, &mut note),
            other => target::of_definition(other, None, &mut note),
        })?,
        definition => target::of_definition(definition, config.name.as_deref(), &mut note)?,
    };
    // A file's content goes into config.toml, so that the run can be repeated without the file.
    config.name = (!target.definition.is_str()).then(|| target.name.clone());
    config.target = target.definition.clone();
    Job::new(target, config)
}

/// A file of points at which particles start, or that a generator carries.
struct Start {
    path: String,
    checksum: String,
    points: Matrix,
}

impl Start {
    /// Reads the file; refuses it where it has not the fingerprint that is expected.
    fn read(path: &Path, expected: Option<String>) -> Outcome<Self> {
        let points = read_samples(path)?;
        let checksum = fingerprint::of_file(path)?;
        if let Some(sentence) = fingerprint::difference("start", path, expected.as_deref(), &checksum) {
            return Err(Failure::input(format!("{sentence}; {}", fingerprint::REMEDY)));
        }
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Self { path: path.to_string_lossy().into_owned(), checksum, points })
    }

    /// In the coordinates of the target's density.
    fn points_for(self, target: &Target) -> Outcome<Matrix> {
        let d = target.density.dim();
        if self.points.cols() == d && !target.coordinates.differ() {
            return Ok(self.points);
        }
        let why = if target.coordinates.differ() { ", other than its samples" } else { "" };
        let (path, found) = (self.path, self.points.cols());
        Err(Failure::input(format!(
            "{path} has {found} columns, and the target's density has {d} coordinates{why}; give points of that size"
        )))
    }
}

/// The name of a folder for the runs of a job: target, method and what tells its runs apart.
pub(crate) fn folder_of(job: &Job) -> PathBuf {
    let word = |key: &str| match job.method.velocity.get(key) {
        Some(Value::Text(word)) => Some(word.replace(':', "-")),
        _ => None,
    };
    let what = word("divergence").or_else(|| word("reference"));
    let name = match (job.method.name.as_str(), what) {
        (pushforward::run::DEFAULT, Some(divergence)) => divergence,
        (method, Some(what)) => format!("{method}-{what}"),
        (method, None) => method.into(),
    };
    default_path(&job.target.name, &name, job.seed())
}

/// Makes the folder and does the run.
pub(crate) fn begin(job: Job, out: Option<PathBuf>, force: bool, limits: Limits) -> Outcome<()> {
    let path = out.unwrap_or_else(|| folder_of(&job));
    let config = job.config.text(&job.method, job.method.frame.as_ref());
    if let Some(words) = advice(&job) {
        note(words);
    }
    signal::watch();
    let folder = RunFolder::create(&path, force, &config)?;
    end(supervise(job, folder, None, limits)?)
}

/// Says how a run ended; fails where its samples are not to be trusted.
fn end(ended: Ended) -> Outcome<()> {
    print(&ended.words)?;
    ended.verdict.outcome(&ended.place.display().to_string())
}

/// What to consider before a generator's training in many dimensions: with a kernel estimate on N(0, I), 600 steps of 512 particles,
/// reference of 2,048, variances are 0.91 of the right ones for d = 5, 0.83 for 8, 0.50 for 12, 0.65 for 16, 0.59 for 20.
fn advice(job: &Job) -> Option<String> {
    let d = job.target.density.dim();
    let uses = job.method.velocity.uses_estimator() && job.method.model.name() == "generator" && d > MANY;
    match job.method.estimator.name() {
        "kde" if uses => Some(format!(
            "in {d} dimensions a kernel estimate has few neighbours, and generators come out too narrow (beyond about {MANY}); --estimator \
             score learns a score instead, --method flow has an exact density, and a certificate"
        )),
        "score" if uses => Some(format!(
            "in {d} dimensions q is estimated by a learnt score: estimates from neighbours end at about {MANY}; such a generator has no \
             density and no certificate; --method flow has both"
        )),
        _ => None,
    }
}

/// Goes on with the run in `path`.
pub(crate) fn resume(flags: toml::Table, path: &Path, limits: Limits) -> Outcome<()> {
    let mut folder = RunFolder::open(path)?;
    let shown = path.display();
    if results::is_complete(path) && !path.join(NEWEST).exists() {
        // a process that was killed while it cleared up
        folder.finish(FILES)?;
        return print(&format!("the run in {shown} is complete; there is nothing to go on with\n"));
    }
    let checkpoint = Checkpoint::read(path, &mut note)?;
    if let Some(c) = &checkpoint {
        agree(path, &table(path)?, &c.config, "the checkpoint")?;
    }
    let job = job_of_run(path, flags, checkpoint.is_some())?;
    if let Some(c) = checkpoint.as_ref().filter(|c| c.arithmetic != arithmetic()) {
        let (old, new) = (&c.arithmetic, arithmetic());
        note(format!("the run began in {old} arithmetic and goes on in {new}: a good result, but not the same bits"));
    }
    signal::watch();
    end(supervise(job, folder, checkpoint, limits)?)
}
