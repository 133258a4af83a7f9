//! `pushforward train`: from log p to a run folder, and on from where a run stopped.

use crate::checkpoint::{Checkpoint, FILES, NEWEST, arithmetic};
use crate::commands::{note, print};
use crate::config::{self, Config, MANY};
use crate::failure::{Failure, Outcome};
use crate::files::samples::read_samples;
use crate::opened::{agree, table};
use crate::run_folder::{RunFolder, default_path};
use crate::supervise::{Ended, Limits, supervise};
use crate::target::{self, Target};
use crate::training::Job;
use crate::{duration, fingerprint, interrupt, results};
use pushforward::linalg::Matrix;
use pushforward::settings::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Arguments of `train`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file
    target: Option<String>,
    /// How: a name from 'list methods', such as kde, a generator by the drift on a kernel estimate, or flow, a normalizing flow with exact
    /// density [default: kde]
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Who follows, where another than the method's: generator or flow
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What is followed, where another than the method's: a name from 'list velocities'
    #[arg(long, value_name = "NAME")]
    velocity: Option<String>,
    /// How q is estimated, where another than the method's: kde, affine, exact or score
    #[arg(long, value_name = "NAME")]
    estimator: Option<String>,
    /// Samples of another law, one a row (.npy, .npz or .csv), that the generator carries to the target in place of noise: x -> x + MLP(x)
    #[arg(long, value_name = "FILE")]
    source: Option<String>,
    /// Couplings of a flow: affine or spline [default: affine]
    #[arg(long, value_parser = ["affine", "spline"])]
    coupling: Option<String>,
    /// Reference of the log-variance divergence: model, gaussian, geometric:EXPONENT or replay [default: replay]
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// A name from 'list divergences' [default: reverse-kl, for flows forward-kl]
    #[arg(long)]
    divergence: Option<String>,
    /// Training steps
    #[arg(long)]
    steps: Option<i64>,
    /// Particles of a step
    #[arg(long)]
    batch: Option<i64>,
    /// Key of every random number [default: 0]
    #[arg(long)]
    seed: Option<i64>,
    /// Precision of the network [default: f32]
    #[arg(long, value_parser = ["f32", "f64"])]
    precision: Option<String>,
    /// Threads; the results do not depend on it [default: all cores]
    #[arg(long)]
    threads: Option<i64>,
    /// Folder of the run [default: runs/TARGET-DIVERGENCE-seedS]
    #[arg(long)]
    out: Option<PathBuf>,
    /// A configuration, such as the config.toml of another run; flags and --set win over it
    #[arg(long)]
    config: Option<PathBuf>,
    /// Any key of the configuration, such as --set learning_rate=1e-3; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Replace an existing run of the same name
    #[arg(long)]
    force: bool,
    /// Go on with a run that stopped: the same result as if it had not, to the last bit
    #[arg(long, value_name = "RUN", conflicts_with_all =
        ["target", "method", "model", "velocity", "estimator", "source", "coupling", "reference", "divergence", "steps", "batch", "seed", "precision", "out", "config", "settings", "force"])]
    resume: Option<PathBuf>,
    /// Stop cleanly within this time, such as 2h or 90s; --resume goes on from there
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    max_time: Option<Duration>,
    /// Time between two checkpoints
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "15s")]
    checkpoint_every: Duration,
}

impl Arguments {
    /// The flags that were given, as configuration.
    fn flags(&self) -> toml::Table {
        let text = |v: &Option<String>| v.clone().map(toml::Value::String);
        let whole = |v: Option<i64>| v.map(toml::Value::Integer);
        let all = [
            ("target", text(&self.target)),
            ("method", text(&self.method)),
            ("model.kind", text(&self.model)),
            ("velocity.kind", text(&self.velocity)),
            ("estimator.kind", text(&self.estimator)),
            ("start", text(&self.source)),
            ("model.coupling", text(&self.coupling)),
            ("velocity.reference", text(&self.reference)),
            ("velocity.divergence", text(&self.divergence)),
            ("run.precision", text(&self.precision)),
            ("run.steps", whole(self.steps)),
            ("model.batch", whole(self.batch)),
            ("run.seed", whole(self.seed)),
            ("threads", whole(self.threads)),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// More threads than any machine has cores; each takes memory for its stack.
const MOST_THREADS: usize = 4_096;

/// What the configuration asks for; `named` says that the user named the target, not the configuration.
pub(super) fn job_of(mut config: Config, named: bool) -> Outcome<Job> {
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
pub(super) fn job_of_run(folder: &Path, flags: toml::Table, begun: bool) -> Outcome<Job> {
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
pub(super) fn folder_of(job: &Job) -> PathBuf {
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

/// Trains, and writes the run folder.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let deadline = arguments.max_time.map(|time| Instant::now() + time);
    let limits = Limits { deadline, checkpoint_every: arguments.checkpoint_every };
    if let Some(path) = &arguments.resume {
        return resume(arguments.flags(), path, limits);
    }
    let config = config::merge(arguments.config.as_deref(), arguments.flags(), &arguments.settings)?;
    let job = job_of(config, arguments.target.is_some())?;
    begin(job, arguments.out.clone(), arguments.force, limits)
}

/// Makes the folder and does the run.
pub(super) fn begin(job: Job, out: Option<PathBuf>, force: bool, limits: Limits) -> Outcome<()> {
    let path = out.unwrap_or_else(|| folder_of(&job));
    let config = job.config.text(&job.method, job.method.frame.as_ref());
    if let Some(words) = advice(&job) {
        note(words);
    }
    interrupt::watch();
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
pub(super) fn resume(flags: toml::Table, path: &Path, limits: Limits) -> Outcome<()> {
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
    interrupt::watch();
    end(supervise(job, folder, checkpoint, limits)?)
}
