//! `pushforward train`: from log p to a run folder, and on from where a run stopped.

use crate::failure::Outcome;
use crate::job::{begin, job_of, resume};
use crate::supervise::Limits;
use crate::{config, duration};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of `train`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file
    target: Option<String>,
    /// How: a name from 'list methods', such as generator, or flow, a normalizing flow with exact
    /// density [default: generator]
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Who follows, where another than the method's: a name from 'list models'
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What is followed, where another than the method's: a name from 'list velocities'
    #[arg(long, value_name = "NAME")]
    velocity: Option<String>,
    /// How q is estimated, where another than the method's: a name from 'list estimators'
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
    /// A name from 'list divergences', or your own, 'f(u) = ...' or 'w(r) = r^0.7' [default: reverse-kl, for flows forward-kl]
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
