//! `pushforward logpdf`: the exact log-density of a trained flow.

use crate::failure::{Failure, Outcome};
use crate::files::samples::{SampleWriter, format_of, read_rounded};
use crate::opened::Opened;
use crate::terminal::note;
use pushforward::linalg::Matrix;
use std::path::PathBuf;

/// Arguments of `logpdf`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run that trained a flow
    run: PathBuf,
    /// Points, one a row: .npy (f4 or f8) or .csv
    points: PathBuf,
    /// Where to write log q, one number for each point: .npy (f8) or .csv; for a target with a support, the density of the unconstrained
    /// coordinates
    #[arg(short, long)]
    output: PathBuf,
}

/// Evaluates and writes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    format_of(&arguments.output)?;
    let run = Opened::open(&arguments.run, false)?;
    let model = &run.model;
    let Some(density) = model.density() else {
        return Err(Failure::input(format!(
            "{} holds a generator, whose density is not known; train a flow: 'pushforward train TARGET --method flow'",
            arguments.run.display()
        )));
    };
    let coordinates = run.coordinates()?;
    let ((points, unit), shown) = (read_rounded(&arguments.points)?, arguments.points.display());
    let (n, d) = points.shape();
    if d != coordinates.dim() {
        let expected = coordinates.dim();
        return Err(Failure::input(format!(
            "{shown} has {d} columns but the model has {expected} dimensions; give one point a row{}",
            coordinates.note().map_or(String::new(), |note| format!(" ({note})"))
        )));
    }
    let points = coordinates.free_of_rounded(points, unit).map_err(|e| Failure::input(format!("{shown}: {e}")))?;
    coordinates.note().into_iter().for_each(note);
    model.fits_memory(n as u64)?;
    let mut writer = SampleWriter::output(&arguments.output, n as u64, &["log_density".into()])?;
    writer.push(&Matrix::from_vec(n, 1, density.log_density(&points)))?;
    writer.finish()?;
    note(format!("log q at {n} points written to {}", arguments.output.display()));
    Ok(())
}
