//! `pushforward evaluate`: the metrics beside their floors, for samples from anywhere.

use crate::failure::{Failure, Outcome};
use crate::files::json;
use crate::files::samples::read_rounded;
use crate::target::coordinates::Coordinates;
use crate::terminal::{note, print};
use crate::{forecast, target, words};
use pushforward::metric::{Options, evaluate};
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `evaluate`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file
    target: String,
    /// The samples, one a row: .npy, .npz (f4 or f8) or .csv
    file: PathBuf,
    /// Print JSON for programs instead of a table for people
    #[arg(long)]
    json: bool,
    /// Key of the exact samples and projections behind the metrics
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Most samples in the tests KSD and MMD, whose time grows with its square; 0 for no tests
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    test_size: usize,
}

/// Prints the metrics of the samples.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let target = target::load(&arguments.target, &mut note)?;
    let (samples, unit) = read_rounded(&arguments.file)?;
    let (n, d) = samples.shape();
    let expected = target.coordinates.dim();
    let shown = arguments.file.display();
    // what is generated from the parameters may be left out
    if d != expected && d != target.coordinates.parameters() {
        return Err(Failure::input(format!(
            "{shown} has {d} columns but {} has {expected} dimensions; give one sample a row{}",
            target.name,
            target.coordinates.shape().map_or(String::new(), |shape| format!(", {shape}"))
        )));
    }
    let samples =
        target.coordinates.free_of_rounded(samples, unit).map_err(|e| Failure::input(format!("{shown}: {e}")))?;
    let options = Options { seed: arguments.seed, test_size: arguments.test_size, ..Options::default() };
    forecast::of_figures(&*target.density, n, &options);
    let report = evaluate(&*target.judged(), &samples, &options);
    let report = report.map_err(|e| Failure::input(format!("{shown}: {}", target.coordinates.in_own(e))))?;
    if arguments.json {
        let mut out = json!({
            "version": 1, "target": target.name, "file": arguments.file.to_string_lossy(), "samples": n, "dim": d, "seed": arguments.seed,
            "coordinates": coordinates_key(&target.coordinates),
        });
        if let (Some(out), Some(more)) = (out.as_object_mut(), words::to_json(&report).as_object()) {
            out.extend(more.clone());
        }
        return print(&json::text(&out));
    }
    let said = |what| format!(", read in its own coordinates; all figures are in {what}");
    let coordinates = target.coordinates.of_density().map_or(String::new(), said);
    print(&format!("{n} samples in {d} dimensions against {}{coordinates}\n\n{}", target.name, words::table(&report)))
}

/// In which coordinates the figures are, for programs.
fn coordinates_key(coordinates: &Coordinates) -> &'static str {
    match coordinates {
        Coordinates::Particles(_) => "mean-free",
        other if other.differ() => "unconstrained",
        _ => "target",
    }
}
