//! `pushforward export`: the samples of a run in the formats of other tools.

use crate::failure::{Failure, Outcome};
use crate::files::arviz;
use crate::files::atomic::AtomicFile;
use crate::files::csv::CsvWriter;
use crate::files::npz::NpzWriter;
use crate::opened::Opened;
use crate::terminal::{note, print};
use pushforward::linalg::Matrix;
use pushforward::num::log_sum_exp;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `export`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run
    run: PathBuf,
    /// npz: samples and log_density; csv: with the parameters' names; arviz: JSON for arviz.from_json, posterior and sample_stats (log p~
    /// with and without the Jacobian, log q, weights)
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
    if run.summary.is_null() {
        return Err(Failure::input(format!(
            "{} has no summary.json, which says which samples to use; take the whole folder of a run that ended",
            arguments.run.display()
        )));
    }
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
    let points = target.coordinates.free(samples.clone())?;
    let lp = target.density.log_density(&points);
    let of = target.coordinates.of_density();
    of.into_iter().for_each(|what| note(format!("log p~ is that of {what}")));
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
            let without: Option<Vec<f64>> = target
                .coordinates
                .log_jacobian(&points)
                .map(|jacobian| lp.iter().zip(&jacobian).map(|(l, j)| l - j).collect());
            let log_q = run.model.density().map(|q| q.log_density(&points));
            // the rows of resampled.npy were drawn by their weights already
            let weights: Option<Vec<f64>> = log_q.as_ref().map(|q| match file {
                "samples.npy" => lp.iter().zip(q).map(|(p, q)| p - q).collect(),
                _ => vec![0.0; q.len()],
            });
            let weights = weights.map(|w| (log_sum_exp(&w), w)).filter(|(total, _)| total.is_finite());
            let weights: Option<Vec<f64>> = weights.map(|(total, w)| w.iter().map(|l| l - total).collect());
            let all = [
                ("lp", Some(&lp)),
                ("lp_with_jacobian", Some(&lp)),
                ("lp_without_jacobian", without.as_ref()),
                ("log_q", log_q.as_ref()),
                ("log_weight", weights.as_ref()),
            ];
            let statistics: Vec<arviz::Statistic<'_>> =
                all.into_iter().filter_map(|(name, numbers)| Some((name, numbers?.as_slice()))).collect();
            let attributes = json!({
                "inference_library": "pushforward", "inference_library_version": env!("CARGO_PKG_VERSION"), "sampling_time": run.summary["train_seconds"],
                "target": target.name, "log_z": run.summary["certificate"]["log_z"]["value"], "pareto_k": run.summary["certificate"]["pareto_k"],
                "verdict": run.summary["certificate"]["verdict"], "use": run.summary["use"], "file": file,
                "lp": of.map_or("log p~".into(), |what| format!("log p~ of {what}")),
                "log_q": "log q of the coordinates of lp: log_weight is lp_with_jacobian - log_q less the logarithm of its exponentials' sum, and equal for all rows of resampled.npy",
                "method": method.name, "velocity": method.velocity.name(), "seed": method.run.seed,
            });
            arviz::write(start()?, &samples, &names, &statistics, attributes)?;
        }
    }
    print(&format!("{} samples written to {}\n", samples.rows(), path.display()))
}
