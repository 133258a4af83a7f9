//! Half of the mass in a needle inside a wide box: found, or below the resolution that the certificate states.

mod common;

use common::pushforward;
use pushforward::search::{SearchSettings, search};
use pushforward_cli::target;
use std::fs;

/// A box of ±100 in two dimensions with half of the mass, and half in a Gaussian of this deviation.
fn write_needle(folder: &std::path::Path, deviation: f64) -> String {
    let path = folder.join("needle.toml");
    let text = format!(
        "kind = \"formula\"\nlog_density = \"logaddexp(-2*log(200), normal_lpdf(x, [3.1, -41.7], {deviation})) - log(2)\"\n\
         [parameters]\nx = {{ size = 2, support = [-100, 100] }}\n"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Checks that a needle of 0.5 and one of 0.1, whose areas are 2e-4 and 8e-6 of the box's, are found with three seeds: log Z = 0 to five stated
/// errors, and half of the particles inside, to five errors of log Z, which are those of the share too where few families fill it.
#[test]
fn a_needle_that_is_met_is_found() {
    let folder = tempfile::tempdir().unwrap();
    for deviation in [0.5, 0.1] {
        let target = target::load(&write_needle(folder.path(), deviation), &mut |_| ()).unwrap();
        for seed in 0..3 {
            let found = search(&*target.density, &SearchSettings { particles: 8192, seed, start: None }).unwrap();
            let x = target.coordinates.constrain(found.particles).unwrap();
            let inside = |x: &&[f64]| (x[0] - 3.1).hypot(x[1] + 41.7) < 5.0 * deviation;
            let share = x.iter_rows().filter(inside).count() as f64 / x.rows() as f64;
            let (log_z, error) = (found.log_z, found.log_z_error);
            let what = format!("{deviation}, seed {seed}: share {share}, log Z {log_z} ± {error}");
            assert!(log_z.abs() < 5.0 * error && (share - 0.5).abs() < 5.0 * error, "{what}");
            // a search that misses it has log Z = -log 2
            assert!(error < 0.3 && share > 0.1, "{what}");
        }
    }
}

/// Checks that the certificate and the last line about the samples say what share of the volume the search resolves: three over its evaluations, more than the share of a
/// needle of 1e-3, so that a reader of log Z = -log 2 is told; and that `summary` says it again.
#[test]
fn the_resolution_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write_needle(folder.path(), 1e-3);
    let small = "method = \"flow\"\n[run]\nsteps = 5\n[model]\ncomponents = 1\nbatch = 64\nhidden = [8]\nsearch_particles = 512\n";
    fs::write(folder.path().join("small.toml"), small).unwrap();
    let out = pushforward(folder.path(), &["train", "needle.toml", "--config", "small.toml", "--out", "run"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("resolution of the search")).unwrap_or_else(|| panic!("{text}"));
    let said: f64 = line.split_whitespace().nth(4).unwrap().parse().unwrap();
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("run/summary.json")).unwrap()).unwrap();
    let calls = summary["certificate"]["search"]["calls"].as_f64().unwrap();
    // two digits are shown
    assert!((said * calls / 3.0 - 1.0).abs() < 0.05, "{line}; {calls} calls");
    let needle = std::f64::consts::PI * (5e-3 / 200.0f64).powi(2);
    assert!(said > 100.0 * needle, "{line}");
    let last = format!(
        "not resolved: a mode in less than {said:.1e} of the volume that no slope leads to, whatever its mass; "
    );
    let again = pushforward(folder.path(), &["summary", "run"]);
    for text in [text, String::from_utf8_lossy(&again.stdout).into_owned()] {
        // `train` ends with where the run was written
        let end = text.lines().rfind(|line| !line.is_empty() && !line.starts_with("written to")).unwrap();
        assert!(end.starts_with(&last), "{end}");
    }
}
