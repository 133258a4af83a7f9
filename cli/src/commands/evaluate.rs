//! `pushforward evaluate`: the metrics beside their floors, for samples from anywhere.

use crate::commands::{note, print};
use crate::failure::{Failure, Outcome};
use crate::files::json;
use crate::files::samples::read_rounded;
use crate::report::{MetricRow, comparison, count, number};
use crate::target::coordinates::Coordinates;
use crate::{forecast, target, words};
use pushforward::metric::{Options, Report, evaluate};
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
    print(&format!("{n} samples in {d} dimensions against {}{coordinates}\n\n{}", target.name, table(&report)))
}

/// In which coordinates the figures are, for programs.
fn coordinates_key(coordinates: &Coordinates) -> &'static str {
    match coordinates {
        Coordinates::Particles(_) => "mean-free",
        other if other.differ() => "unconstrained",
        _ => "target",
    }
}

/// The metrics as aligned text; what became of samples that a figure is not about stands below it.
pub fn table(report: &Report) -> String {
    let all = report.metrics.iter().map(|m| m.size * m.blocks).max().unwrap_or(0);
    let head = format!("{:<34}{:>12}{:>12}{:>11}{:>12}", "metric", "value", "floor", "± spread", "comparison");
    let mut text = format!("{head}{:>11}\n", "samples");
    for (metric, row) in report.metrics.iter().map(|m| (m, words::row(m))) {
        let MetricRow { name, value, floor, .. } = &row;
        let (mean, spread) = floor.map_or(("–".into(), "–".into()), |(m, s)| (number(m, 4), number(s, 2)));
        let used = metric.size * metric.blocks;
        text += &format!("{name:<34}{:>12}{mean:>12}{spread:>11}{:>12}", number(*value, 4), comparison(&row));
        text += &format!("{:>11}\n", count(used));
        if used < all || !value.is_finite() {
            text += &format!("    {}\n", metric.note);
        }
    }
    if !report.tests.is_empty() {
        text += &format!("\n{:<34}{:>12}{:>12}{:>11}\n", "test", "statistic", "p-value", "samples");
    }
    for t in &report.tests {
        let (statistic, p) = (number(t.statistic, 3), number(t.p_value, 2));
        text += &format!("{:<34}{statistic:>12}{p:>12}{:>11}\n    {}\n", t.kind.name, count(t.size), t.note);
    }
    text + "\nThe floor is the same figure for exact samples of the same number, ± its spread from set to set. The comparison is value / floor for\n\
            distances and value - floor for levels. A p-value is the chance of such a statistic for exact samples. No figure proves that no\n\
            mode was missed.\n"
}
