//! `check`: good targets pass through every door, and each planted fault is found and named.

mod common;

use common::pushforward;
use std::fs;
use std::path::{Path, PathBuf};

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Exit code, stdout and stderr of a check.
fn check(folder: &Path, target: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let out = pushforward(folder, &[&["check", target], more].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code(), text(out.stdout), text(out.stderr))
}

/// Checks that registry names, formulas with and without support, and regressions pass, with slope 2 where there is one.
#[test]
fn good_targets_pass() {
    let folder = tempfile::tempdir().unwrap();
    let mut targets: Vec<String> = ["gmm40", "banana", "funnel-10", "many-well-6"].map(String::from).to_vec();
    for name in
        ["ellipses7", "funnel10", "himmelblau", "dirichlet4", "ar1", "eight-schools", "rezende2", "breast-cancer"]
    {
        targets.push(examples().join(format!("targets/{name}.toml")).to_str().unwrap().into());
    }
    for target in targets {
        let (code, stdout, stderr) = check(folder.path(), &target, &[]);
        assert_eq!(code, Some(0), "{target}: {stdout}{stderr}");
        assert!(stdout.matches("passed").count() == 5 && !stderr.contains("error"), "{target}: {stdout}{stderr}");
    }
    let (code, stdout, _) = check(folder.path(), "banana", &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(code == Some(0) && json["passed"] == true && json["version"] == 1);
    let slope = json["ladder"]["slope"].as_f64();
    assert!(slope.is_none_or(|s| (s - 2.0).abs() < 0.2), "{stdout}");
}

/// Checks that each fault of a formula is found by its check, with exit code 1, one line on stderr that names the check, and a suggestion.
#[test]
fn faults_are_found() {
    let folder = tempfile::tempdir().unwrap();
    for (formula, failed) in [
        // no density: it grows for ever
        ("x1 + x2", "scale"),
        // NaN where the tail of the mass is
        ("-x1^2 - x2^2 + log(x1 + 1)", "scale"),
        // an infinite derivative of what is finite
        ("-x1^2 - x2^2 + sqrt(x1 - x1)", "finiteness"),
    ] {
        let text = format!("kind = \"formula\"\ndim = 2\nlog_density = \"{formula}\"\n");
        fs::write(folder.path().join("t.toml"), text).unwrap();
        let (code, stdout, stderr) = check(folder.path(), "t.toml", &[]);
        assert_eq!(code, Some(1), "{formula}: {stdout}{stderr}");
        assert!(stderr.lines().count() == 1 && stderr.contains(failed), "{formula}: {stderr}");
        assert!(stdout.contains("→") && stdout.contains("FAILED"), "{formula}: {stdout}");
    }
    // the gradient is right; log p~ has no digits for differences, 10⁸ widths from 0
    let beta = "kind = \"formula\"\ndim = 1\nlog_density = \"2*log(x1 - 1e8) + 3*log(1e8 + 1 - x1)\"\n[support]\nx1 = [1e8, 100000001]\n";
    fs::write(folder.path().join("t.toml"), beta).unwrap();
    let (code, stdout, _) = check(folder.path(), "t.toml", &[]);
    assert!(
        code == Some(1) && stdout.contains("rounding of log p~ hides") && stdout.contains("shift the coordinate"),
        "{stdout}"
    );
    let (code, _, stderr) = check(folder.path(), "gmm4O", &[]);
    assert!(code == Some(2) && stderr.contains("gmm40"), "{stderr}");
}

/// Checks that NaN far from the mass is a warning, with its place in the user's coordinates, and no failure: beyond 140 of N(100, 10²), and
/// beyond 50 of a positive parameter of scale 1.
#[test]
fn faults_far_from_the_mass_are_warnings() {
    let folder = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("dim = 1\nlog_density = \"normal_lpdf(x1, 100, 10) + 0*sqrt(140 - x1)\"", "first at x1 = 1"),
        (
            "log_density = \"m ~ normal(0, 1); s ~ half_normal(1); 0*sqrt(50 - s)\"\n[parameters]\nm = {}\ns = { lower = 0 }",
            "s = ",
        ),
    ] {
        fs::write(folder.path().join("t.toml"), format!("kind = \"formula\"\n{text}\n")).unwrap();
        let (code, stdout, stderr) = check(folder.path(), "t.toml", &[]);
        assert_eq!(code, Some(0), "{stdout}{stderr}");
        assert!(stdout.contains(words) && stdout.contains("rejected"), "{stdout}");
    }
}

/// Checks that a jump that no point meets is found, with its height to a tenth and its place, however small or far from the middle; that a
/// kink is told from it and passes; and that steep but smooth functions, Gaussians of 1e-4 of the width among them, are neither.
#[test]
fn jumps_and_kinks() {
    let folder = tempfile::tempdir().unwrap();
    let said = |formula: &str| {
        let text = format!("kind = \"formula\"\ndim = 3\nlog_density = \"-0.5*dot(x, x) + {formula}\"\n");
        fs::write(folder.path().join("t.toml"), text).unwrap();
        check(folder.path(), "t.toml", &[])
    };
    for (formula, words) in [
        ("step(x1 - 0.31)", "by 1.00 nats at x = (0.3100, "),
        ("0.001*step(x1 - x2 + 1.7)", "by 0.00100 nats at"),
        ("5*step(x1^2 + x2^2 - 2)", "by 5.00 nats at"),
        ("step(x3) + abs(x1)", "by 1.00 nats at"),
    ] {
        let (code, stdout, stderr) = said(formula);
        assert!(code == Some(1) && stderr.contains("smoothness"), "{formula}: {stdout}{stderr}");
        assert!(stdout.contains("log p~ jumps on") && stdout.contains(words), "{formula}: {stdout}");
    }
    for formula in ["-3*abs(x1 - 0.2)", "-max(x1, x2)", "0.01*abs(x3)"] {
        let (code, stdout, stderr) = said(formula);
        assert!(code == Some(0) && stdout.contains("no jump; kinks on"), "{formula}: {stdout}{stderr}");
    }
    for formula in
        ["0", "sin(30*x1)", "softplus(100*x1)", "-0.5*(1e4*x2)^2", "log(exp(-x1^2) + 1e-3*exp(-100*(x1 - 1)^2))"]
    {
        let (code, stdout, stderr) = said(formula);
        assert!(code == Some(0) && stdout.contains("no jump and no kink"), "{formula}: {stdout}{stderr}");
    }
}

/// Checks that a wrong score and a density with a memory are found behind the C interface, and that the right library passes. Skipped without
/// `cc`.
#[test]
fn libraries() {
    let folder = tempfile::tempdir().unwrap();
    let source = fs::read_to_string(examples().join("stan-library/normal.c")).unwrap();
    fs::copy(examples().join("stan-library/normal.toml"), folder.path().join("normal.toml")).unwrap();
    for (from, to, failed) in [
        ("", "", None),
        ("dmu += z / sigma;", "dmu += 2 * z / sigma;", Some("score")),
        ("dlog = -sigma;", "dlog = sigma;", Some("score")),
        ("*value = log_p", "static double calls; *value = log_p + 1e-9 * (calls += 1)", Some("repeatable")),
    ] {
        fs::write(folder.path().join("normal.c"), source.replacen(from, to, usize::from(!from.is_empty()))).unwrap();
        let cc = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o", "normal.so", "normal.c", "-lm"])
            .current_dir(folder.path())
            .status();
        let Ok(status) = cc else {
            println!("skipped: no C compiler 'cc' here");
            return;
        };
        assert!(status.success());
        let (code, stdout, stderr) = check(folder.path(), "normal.toml", &[]);
        assert_eq!(code, Some(i32::from(failed.is_some())), "{to}: {stdout}{stderr}");
        assert!(failed.is_none_or(|word| stderr.contains(word)), "{to}: {stderr}");
    }
}
