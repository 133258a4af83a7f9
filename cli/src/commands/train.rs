//! `pushforward train`: from log p to a run folder.

use crate::commands::evaluate::table;
use crate::commands::{note, print};
use crate::config::{self, Config};
use crate::failure::{Failure, Outcome};
use crate::run_folder::{RunFolder, default_path};
use crate::target::{self, Target};
use crate::training::{Ending, Job, Run, train};
use crate::{interrupt, results};
use pushforward::divergence;
use std::path::{Path, PathBuf};

/// Arguments of `train`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file
    target: Option<String>,
    /// A name from 'list divergences' [default: reverse-kl]
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
}

impl Arguments {
    /// The flags that were given, as configuration.
    fn flags(&self) -> toml::Table {
        let text = |v: &Option<String>| v.clone().map(toml::Value::String);
        let whole = |v: Option<i64>| v.map(toml::Value::Integer);
        let all = [
            ("target", text(&self.target)),
            ("divergence", text(&self.divergence)),
            ("precision", text(&self.precision)),
            ("steps", whole(self.steps)),
            ("batch", whole(self.batch)),
            ("seed", whole(self.seed)),
            ("threads", whole(self.threads)),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }
}

/// The target that the configuration names or contains.
pub(super) fn load_target(config: &Config) -> Outcome<Target> {
    match &config.target {
        toml::Value::String(name) => target::load(name, &mut note),
        toml::Value::Table(table) => {
            let text = toml::to_string(table).expect("a table that was read can be written");
            target::of_text(
                config.name.as_deref().unwrap_or("target"),
                "the configuration's target",
                Path::new(""),
                &text,
                &mut note,
            )
        }
        other => Err(Failure::input(format!("target = {other}; give a name, a path or a table"))),
    }
}

/// Trains, and writes the run folder.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let mut config = config::merge(arguments.config.as_deref(), arguments.flags(), &arguments.settings)?;
    let target = load_target(&config)?;
    // A file's content goes into config.toml, so that the run can be repeated without the file.
    config.name = target.definition.is_table().then(|| target.name.clone());
    config.target = target.definition.clone();
    let divergence = divergence::by_name(&config.divergence)?;
    let settings = config.settings(&*target.density)?;
    let path = arguments.out.clone().unwrap_or_else(|| default_path(&target.name, &config.divergence, config.seed));
    let folder = RunFolder::create(&path, arguments.force)?;
    if let Some(threads) = config.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        pool.map_err(|e| Failure::Machine(format!("cannot start {threads} threads: {e}; give a smaller --threads")))?;
    }
    interrupt::watch();
    let job = Job { target, divergence, config, settings };
    finish(&train(&job)?, &job, folder)
}

/// Writes what a training left, says it, and ends as it ended.
fn finish(run: &Run, job: &Job, folder: RunFolder) -> Outcome<()> {
    let report = results::write(run, job, &folder)?;
    let path = folder.commit()?;
    let shown = path.display();
    print(&format!(
        "{}\n\n{}\nwritten to {shown}; open {shown}/report.html\n",
        results::outcome(run, job),
        table(&report)
    ))?;
    match &run.ending {
        Ending::Complete => Ok(()),
        Ending::Interrupted => Err(Failure::Interrupted(format!("stopped by Ctrl-C; the run so far is in {shown}"))),
        Ending::Faulty(reason) => Err(Failure::Input(format!("{reason}; the run so far is in {shown}"))),
    }
}
