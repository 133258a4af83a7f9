//! `pushforward export`: the samples of a run in the formats of other tools.

use crate::commands::{note, print};
use crate::failure::Outcome;
use crate::files::arviz;
use crate::files::atomic::AtomicFile;
use crate::files::csv::CsvWriter;
use crate::files::npz::NpzWriter;
use crate::opened::Opened;
use pushforward::linalg::Matrix;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run
    run: PathBuf,
    /// npz: samples and log_density; csv: with the parameters' names; arviz: JSON for arviz.from_json, posterior and sample_stats
    #[arg(long, value_enum)]
    format: Format,
    /// Where to write [default: samples.npz, samples.csv or samples.arviz.json in the run's folder]
    #[arg(short, long)]
    output: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq)]
enum Format {
    Npz,
    Csv,
    Arviz,
}

/// Reads the samples that the run's summary says to use, else samples.npy, evaluates log p~, writes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let at = |name: &str| arguments.run.join(name);
    let run = Opened::open(&arguments.run, true)?;
    let target = run.target()?;
    target.known("export")?;
    let method = run.config.method(&target)?;
    let file = match run.summary["use"].as_str() {
        Some("resampled.npy") if at("resampled.npy").is_file() => "resampled.npy",
        _ => "samples.npy",
    };
    let samples = run.samples_of(file, &target)?;
    if let (Some(which), Some(why)) = (run.summary["use"].as_str(), run.summary["use_reason"].as_str()) {
        note(match which {
            "none" => format!("these are the samples of {file}, which the run's summary says not to use: {why}"),
            _ => format!("these are the samples of {file}: {why}"),
        });
    }
    let names = target.coordinates.names();
    let lp = target.density.log_density(&target.coordinates.free(samples.clone())?);
    if target.coordinates.differ() {
        note("log p~ is that of the unconstrained coordinates, with the Jacobian".into());
    }
    let default = ["samples.npz", "samples.csv", "samples.arviz.json"][arguments.format as usize];
    let path = arguments.output.clone().unwrap_or_else(|| at(default));
    // in the run's folder a link is no wish of the user's
    let start = || if arguments.output.is_some() { AtomicFile::output(&path) } else { AtomicFile::create(&path) };
    match arguments.format {
        Format::Npz => {
            let mut file = NpzWriter::over(start()?, &path);
            file.array("samples", samples.rows() as u64, samples.cols())?;
            file.push(&samples)?;
            file.array("log_density", samples.rows() as u64, 1)?;
            file.push(&Matrix::from_vec(samples.rows(), 1, lp))?;
            file.finish()?;
        }
        Format::Csv => {
            let mut file = CsvWriter::over(start()?, &names)?;
            file.push(&samples)?;
            file.finish()?;
        }
        Format::Arviz => {
            let attributes = json!({
                "inference_library": "pushforward", "inference_library_version": env!("CARGO_PKG_VERSION"), "sampling_time": run.summary["train_seconds"],
                "target": target.name, "log_z": run.summary["certificate"]["log_z"]["value"], "pareto_k": run.summary["certificate"]["pareto_k"],
                "verdict": run.summary["certificate"]["verdict"], "use": run.summary["use"], "file": file,
                "lp": if target.coordinates.differ() { "log p~ of the unconstrained coordinates, with the Jacobian" } else { "log p~" }, "method": method.name, "velocity": method.velocity.name(), "seed": method.run.seed,
            });
            arviz::write(start()?, &samples, &names, &lp, attributes)?;
        }
    }
    print(&format!("{} samples written to {}\n", samples.rows(), path.display()))
}
