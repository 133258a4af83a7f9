//! The quality table of the README: every target with its defaults, three seeds each, as markdown.
//!
//! `cargo bench -p pushforward-cli --bench quality [-- TARGET … [--divergence NAME]]`

use pushforward::metric::{Options, Report, evaluate};
use pushforward_cli::{config, target, training};
use std::sync::Arc;

/// The targets of the table; paths are relative to the repository.
const TARGETS: &[&str] = &[
    "gmm9",
    "gmm9u",
    "ring8",
    "gmm40",
    "banana",
    "funnel-2",
    "two-moons",
    "examples/targets/ellipses7.toml",
    "examples/targets/far4.toml",
    "examples/targets/widths3.toml",
    "examples/targets/simplex5.toml",
];

const SEEDS: [u64; 3] = [0, 1, 2];

/// Samples that are judged.
const SAMPLES: usize = 10_000;

/// Beginnings of the metrics' names, as the library gives them.
const COLUMNS: &[&str] =
    &["modes_covered", "mode_mass_tv", "beyond_4_sigma", "variance_ratio", "mean_log_density", "w2", "sliced_w2"];

fn main() {
    pushforward::run::spin(true);
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let (mut names, mut divergence) = (Vec::new(), "reverse-kl".to_string());
    let mut rest = arguments.into_iter();
    while let Some(word) = rest.next() {
        if word == "--divergence" {
            divergence = rest.next().expect("a name after --divergence")
        } else {
            names.push(word)
        }
    }
    if names.is_empty() {
        names = TARGETS.iter().map(|t| t.to_string()).collect();
    }
    // cargo runs benches in their package's folder; target files are named from the repository's
    std::env::set_current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).expect("the repository's folder");
    println!("{divergence}, {SAMPLES} samples, seeds {SEEDS:?}: value of each seed (floor ± its spread)\n");
    print!("| target | training s |");
    COLUMNS.iter().for_each(|heading| print!(" {heading} |"));
    println!("\n|---|---|{}", "---|".repeat(COLUMNS.len()));
    for name in &names {
        row(name, &divergence);
    }
}

fn row(name: &str, divergence: &str) {
    let runs: Vec<(f64, Report)> = SEEDS.iter().map(|&seed| one(name, divergence, seed)).collect();
    let list = |values: Vec<String>| values.join(", ");
    print!("| {} | {} |", target::short_name(name), list(runs.iter().map(|(s, _)| format!("{s:.1}")).collect()));
    for key in COLUMNS {
        let metrics: Vec<_> = runs.iter().filter_map(|(_, r)| r.metric(key)).collect();
        let values = list(metrics.iter().map(|m| number(m.value)).collect());
        match metrics.first().and_then(|m| m.floor.clone()) {
            Some(floor) => print!(" {values} ({} ± {}) |", number(floor.mean), number(floor.spread)),
            None => print!(" {} |", if values.is_empty() { "–" } else { &values }),
        }
    }
    println!();
}

/// Four significant digits, whole numbers as they are.
fn number(x: f64) -> String {
    if x == x.round() && x.abs() < 1e6 {
        return format!("{x}");
    }
    let digits = (3 - x.abs().log10().floor() as i32).clamp(0, 6) as usize;
    format!("{x:.digits$}")
}

fn one(name: &str, divergence: &str, seed: u64) -> (f64, Report) {
    let mut flags = toml::Table::new();
    flags.insert("target".into(), name.into());
    flags.insert("velocity.divergence".into(), divergence.into());
    flags.insert("run.seed".into(), (seed as i64).into());
    let fail = |e: pushforward_cli::failure::Failure| -> ! { panic!("{name}: {e}") };
    let config = config::merge(None, flags, &[]).unwrap_or_else(|e| fail(e));
    let target = target::load(name, &mut |_| ()).unwrap_or_else(|e| fail(e));
    let job = training::Job::new(target, config).unwrap_or_else(|e| fail(e));
    let (run, _) = training::train(&job, None, &mut training::Unwatched).unwrap_or_else(|e| fail(e));
    let samples = run.model.sample(SAMPLES, seed, 0);
    let options = Options { seed, transport_sizes: vec![1000], ..Options::default() };
    let report = evaluate(&*Arc::clone(&job.target.density), &samples, &options).expect("metrics of finite samples");
    (run.seconds, report)
}
