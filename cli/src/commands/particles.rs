//! `pushforward particles`: particles that follow a velocity themselves.

use crate::config;
use crate::duration;
use crate::failure::{Failure, Outcome};
use crate::job::{begin, job_of, resume};
use crate::supervise::Limits;
use pushforward::settings::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Arguments of `particles`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file; several for '--velocity multi'
    target: Vec<String>,
    /// What they follow: a name from 'list velocities' [default: drift]
    #[arg(long, value_name = "NAME")]
    velocity: Option<String>,
    /// How their law is estimated, where the velocity asks for it: a name from 'list estimators' [default: kde]
    #[arg(long, value_name = "NAME")]
    estimator: Option<String>,
    /// A name from 'list divergences', or your own, 'f(u) = ...' or 'w(r) = r^0.7', for velocities that have one [default: reverse-kl]
    #[arg(long)]
    divergence: Option<String>,
    /// Number of particles [default: 1024, or the rows of the start file]
    #[arg(short = 'n', long = "number")]
    number: Option<i64>,
    /// Time at the end; steps of length dt [default: as many steps as the velocity usually needs]
    #[arg(long)]
    time: Option<f64>,
    /// Length of a step in time [default: for velocities that are scores a twentieth of the target's narrowest variance, as far as exact samples or a search tell it]
    #[arg(long)]
    dt: Option<f64>,
    /// Where they start: wide (a Gaussian with the target's mean and overall scale), gaussian (N(0, I)), search (the particles of
    /// a search, with log Z), or a file of points [default: wide]
    #[arg(long)]
    start: Option<String>,
    /// How they step: euler, heun, rk4 or adaptive [default: euler]
    #[arg(long)]
    stepper: Option<String>,
    /// Key of every random number [default: 0]
    #[arg(long)]
    seed: Option<i64>,
    /// Threads; the results do not depend on it [default: all cores]
    #[arg(long)]
    threads: Option<i64>,
    /// Folder of the run [default: runs/TARGET-VELOCITY-seedS]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Any setting, such as --set birth_death=1; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Replace an existing run of the same name
    #[arg(long)]
    force: bool,
    /// Go on with a run that stopped: the same result as if it had not, to the last bit
    #[arg(long, value_name = "RUN", conflicts_with_all =
        ["target", "velocity", "estimator", "divergence", "number", "time", "dt", "start", "stepper", "seed", "out", "settings", "force"])]
    resume: Option<PathBuf>,
    /// Stop cleanly within this time, such as 2h or 90s; --resume goes on from there
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    max_time: Option<Duration>,
    /// Time between two checkpoints
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "15s")]
    checkpoint_every: Duration,
}

impl Arguments {
    fn flags(&self) -> Outcome<toml::Table> {
        let text = |v: &Option<String>| v.clone().map(toml::Value::String);
        let whole = |v: Option<i64>| v.map(toml::Value::Integer);
        let target = match self.target.as_slice() {
            [] => None,
            [one] => Some(toml::Value::String(one.clone())),
            all => Some(toml::Value::Array(all.iter().cloned().map(toml::Value::String).collect())),
        };
        let file = self.start.clone().filter(|s| !["wide", "gaussian", "search"].contains(&s.as_str()));
        let mut all = vec![
            ("target", target),
            ("method", Some(toml::Value::String("particles".into()))),
            ("velocity.kind", text(&self.velocity)),
            ("estimator.kind", text(&self.estimator)),
            ("velocity.divergence", text(&self.divergence)),
            ("model.particles", whole(self.number)),
            ("model.dt", self.dt.map(toml::Value::Float)),
            ("model.stepper", text(&self.stepper)),
            ("run.seed", whole(self.seed)),
            ("threads", whole(self.threads)),
            ("start", file.clone().map(toml::Value::String)),
        ];
        if file.is_none() {
            all.push(("model.start", text(&self.start)));
        }
        Ok(all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
    }
}

/// Moves the particles, and writes the run folder.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let deadline = arguments.max_time.map(|time| Instant::now() + time);
    let limits = Limits { deadline, checkpoint_every: arguments.checkpoint_every };
    if let Some(path) = &arguments.resume {
        return resume(toml::Table::new(), path, limits);
    }
    let config = config::merge(None, arguments.flags()?, &arguments.settings)?;
    let given = |key: &str| config.given.iter().any(|given| given.key.rsplit('.').next() == Some(key));
    let (dt, steps) = (given("dt"), given("steps"));
    let mut job = job_of(config, true)?;
    if !dt {
        let own = job.method.run.steps;
        job.method = job.method.paced(&job.target.law())?;
        if steps {
            job.method.run.steps = own;
        }
    }
    if let Some(time) = arguments.time {
        let Some(Value::Number(dt)) = job.method.model.get("dt") else { unreachable!("particles have a step") };
        let steps = (time / dt).round();
        if !(time > 0.0 && dt > 0.0 && (1.0..=1e15).contains(&steps)) {
            let remedy = "give a positive time of at least one step, and fewer than 10^15 steps";
            return Err(Failure::input(format!("--time {time} with steps of {dt} is {steps} steps; {remedy}")));
        }
        job.method.run.steps = steps as u64;
    }
    begin(job, arguments.out.clone(), arguments.force, limits)
}
