//! `train --method flow` and `logpdf`: a flow's run, its certificate, and its density through files.

mod common;

use common::pushforward;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

const SMALL: [&str; 6] = ["--set", "steps=60", "--set", "batch=128", "--set", "components=12"];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "kind = \"gaussian-mixture\"\nweights = [0.5, 0.5]\nmeans = [[0, 0], [3, 1]]\nstd = 0.5\n";
    fs::write(folder.path().join("two.toml"), text).unwrap();
    folder
}

fn succeeds(out: Output) -> String {
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn summary(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("summary.json")).unwrap()).unwrap()
}

/// The rows of a csv file of numbers; lines that are none are headings.
fn numbers(path: &Path) -> Vec<Vec<f64>> {
    let read = |line: &str| line.split(',').map(|v| v.trim().parse().ok()).collect::<Option<Vec<f64>>>();
    fs::read_to_string(path).unwrap().lines().filter_map(read).collect()
}

/// Checks that a flow's run has a certificate with both words of caution and a log Z near the true 0 (within 0.2, for a target of two
/// Gaussians on which an unreliable one would be off by log 2), and that it is repeated bit for bit by its config.toml on another
/// number of threads.
#[test]
fn a_flow_has_a_certificate() {
    let folder = folder();
    let text = succeeds(pushforward(folder.path(), &[&["train", "two.toml", "--method", "flow"], &SMALL[..]].concat()));
    assert!(text.contains("Pareto k-hat") && text.contains("no mode was missed"), "{text}");
    let run = folder.path().join("runs/two-flow-forward-kl-seed0");
    let certificate = &summary(&run)["certificate"];
    assert!(certificate["log_z"]["value"].as_f64().unwrap().abs() < 0.2, "{certificate:#}");
    assert!(certificate["exact"]["forward_ess"].is_number() && certificate["verdict"].is_string());
    assert!(certificate["kl_bound"].is_null() && !text.contains("at most"), "a mixture has no log-concavity");
    let report = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("Learned density") && report.contains("Log-weights") && run.join("resampled.npy").exists());

    let again = ["train", "--config", "runs/two-flow-forward-kl-seed0/config.toml", "--threads", "3", "--out", "again"];
    succeeds(pushforward(folder.path(), &again));
    let same =
        |name: &str| fs::read(run.join(name)).unwrap() == fs::read(folder.path().join("again").join(name)).unwrap();
    assert!(same("samples.npy") && same("metrics.jsonl"));
}

/// Checks for a Gaussian target of standard deviations 2 and ½, whose log-concavity is ¼, that flow and generator print T22's bound on KL, and
/// that it is no less than KL itself, which is -ELBO since Z = 1: up to 4 standard errors of both.
#[test]
fn kl_has_a_bound_where_the_target_is_log_concave() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = "kind = \"gaussian-mixture\"\nweights = [1]\nmeans = [[1, -2]]\ncovariances = [[[4, 0], [0, 0.25]]]\n";
    fs::write(at.join("one.toml"), text).unwrap();
    let generator =
        ["--set", "steps=5", "--set", "batch=64", "--set", "centres=64", "--set", "codes=4", "--set", "hidden=[4]"];
    for (out, settings) in [("flow", [&["--method", "flow"], &SMALL[..]].concat()), ("generator", generator.to_vec())] {
        let text = succeeds(pushforward(at, &[&["train", "one.toml", "--out", out], &settings[..]].concat()));
        assert!(text.contains("KL(q‖p), at most"), "{text}");
        let certificate = &summary(&at.join(out))["certificate"];
        let bound = &certificate["kl_bound"];
        assert!((bound["log_concavity"].as_f64().unwrap() - 0.25).abs() < 1e-12, "{bound}");
        let number = |v: &Value, key: &str| v[key].as_f64().unwrap();
        let (nats, elbo) = (&bound["nats"], &certificate["elbo"]);
        let errors = 4.0 * (number(nats, "standard_error") + number(elbo, "standard_error"));
        assert!(number(nats, "value") >= -number(elbo, "value") - errors, "{nats} {elbo}");
    }
}

/// Checks that `logpdf` gives the density that made the samples: the mean of p/q over 4,000 samples, p by hand, is 1 within 0.2 (its
/// standard error is below 0.04 at the least ESS that this flow reaches), and that wrong files and generators are refused in words.
#[test]
fn logpdf_is_the_density_of_the_samples() {
    let folder = folder();
    let at = folder.path();
    succeeds(pushforward(at, &[&["train", "two.toml", "--method", "flow-lv", "--out", "f"], &SMALL[..]].concat()));
    assert_eq!(summary(&at.join("f"))["divergence"], "log-variance, reference replay");
    succeeds(pushforward(at, &["sample", "f", "-n", "4000", "-o", "s.csv"]));
    succeeds(pushforward(at, &["logpdf", "f", "s.csv", "-o", "q.csv"]));
    let (x, log_q) = (numbers(&at.join("s.csv")), numbers(&at.join("q.csv")));
    assert_eq!((x.len(), log_q.len()), (4000, 4000));
    let gaussian = |x: &[f64], m: [f64; 2]| {
        let r2 = (x[0] - m[0]).powi(2) + (x[1] - m[1]).powi(2);
        (-2.0 * r2).exp() / (std::f64::consts::TAU * 0.25)
    };
    let p = |x: &[f64]| 0.5 * gaussian(x, [0.0, 0.0]) + 0.5 * gaussian(x, [3.0, 1.0]);
    let mean = x.iter().zip(&log_q).map(|(x, l)| p(x) / l[0].exp()).sum::<f64>() / 4000.0;
    assert!((mean - 1.0).abs() < 0.2, "{mean}");

    fs::write(at.join("wide.csv"), "1,2,3\n").unwrap();
    let refused = pushforward(at, &["logpdf", "f", "wide.csv", "-o", "w.csv"]);
    assert!(refused.status.code() == Some(2) && String::from_utf8_lossy(&refused.stderr).contains("3 columns"));
    let small =
        ["--set", "steps=5", "--set", "batch=32", "--set", "centres=64", "--set", "codes=4", "--set", "hidden=[4]"];
    succeeds(pushforward(at, &[&["train", "two.toml", "--out", "g"], &small[..]].concat()));
    let refused = pushforward(at, &["logpdf", "g", "s.csv", "-o", "w.csv"]);
    assert!(refused.status.code() == Some(2) && String::from_utf8_lossy(&refused.stderr).contains("--method flow"));
    let unknown = pushforward(at, &["train", "two.toml", "--method", "flow-lv", "--reference", "replai", "--out", "h"]);
    assert!(unknown.status.code() == Some(2) && String::from_utf8_lossy(&unknown.stderr).contains("replay"));
}
