//! `pushforward summary`: the posterior in numbers.

use crate::failure::{Failure, Outcome};
use crate::files::json;
use crate::files::samples::{read_names, read_samples};
use crate::opened::Opened;
use crate::summary::Summary;
use crate::terminal::{note, print};
use serde_json::Value;
use std::path::PathBuf;

/// Arguments of `summary`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run that ended, or a file of samples (.npy, .npz, .csv)
    source: PathBuf,
    /// Only these parameters; a vector by its name (may be given several times)
    #[arg(long, value_name = "NAME")]
    show: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the table.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let path = &arguments.source;
    let summary = if path.is_dir() {
        let run = Opened::open(path, false)?;
        run.is_whole()?;
        let content = &run.summary;
        match Summary::of_json(content) {
            Some(summary) => summary,
            None if content["ending"] != "complete" => {
                return Err(Failure::input(format!(
                    "the run in {} did not end, so it has no samples; go on with it by --resume",
                    path.display()
                )));
            }
            None => {
                note("this run was made by an older version, and its weights are not kept: raw samples alone".into());
                let run = Opened::open(path, true)?;
                let target = run.target()?;
                Summary::of_samples(target.coordinates.names(), &run.samples(&target)?)
            }
        }
    } else {
        let samples = read_samples(path)?;
        Summary::of_samples(read_names(path, samples.cols())?, &samples)
    };
    let summary = if arguments.show.is_empty() { summary } else { summary.only(&arguments.show)? };
    if arguments.json {
        return print(&json::text(&Value::Object(summary.to_json())));
    }
    print(&format!("{} samples\n\n{}", summary.samples(), summary.text(usize::MAX)))
}
