//! Distances between files of samples, and targets that are known by samples alone.

mod common;

use common::pushforward;
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};
use std::fs;
use std::path::Path;

fn write(path: &Path, x: &Matrix) {
    let line = |row: &[f64]| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",") + "\n";
    fs::write(path, x.iter_rows().map(line).collect::<String>()).unwrap();
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let out = pushforward(folder, arguments);
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn normals(unit: u64, n: usize) -> Matrix {
    normal_matrix(31, Purpose::Check, unit, n, 2)
}

/// Checks that the first word of `distance` is the value: of a translation by (3, 4) it is ½ · 25 for sinkhorn at every ε and 5 for w2, to 1e-10;
/// of a file and itself 0; that it is the same the other way round to the last digit; that the floor of two samples of one law is near their
/// value (within a factor of 3); and that weights are seen.
#[test]
fn distances() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (normals(0, 60), normals(1, 60));
    let moved = Matrix::from_fn(60, 2, |i, j| x[(i, j)] + if j == 0 { 3.0 } else { 4.0 });
    for (name, x) in [("a.csv", &x), ("b.csv", &y), ("moved.csv", &moved)] {
        write(&folder.path().join(name), x);
    }
    let value = |arguments: &[&str]| -> f64 {
        let all: Vec<&str> = ["distance"].iter().chain(arguments).copied().collect();
        let text = stdout(folder.path(), &all);
        assert!(text.lines().count() == 3 && text.contains("floor"), "{text}");
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    for epsilon in ["0.5", "20"] {
        assert!((value(&["a.csv", "moved.csv", "--epsilon", epsilon]) - 12.5).abs() < 1e-9);
    }
    assert!((value(&["a.csv", "moved.csv", "--metric", "w2"]) - 5.0).abs() < 1e-10);
    assert!(value(&["a.csv", "a.csv"]).abs() < 1e-10);
    // the default ε is a mean over both files, in their order
    let (ab, ba) = (value(&["a.csv", "b.csv"]), value(&["b.csv", "a.csv", "--floor", "1"]));
    assert!((ab / ba - 1.0).abs() < 1e-12, "{ab} {ba}");
    let json = |arguments: &[&str]| -> serde_json::Value {
        let all: Vec<&str> = ["distance", "--json"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&stdout(folder.path(), &all)).unwrap()
    };
    for metric in ["sinkhorn", "w2", "energy", "mmd"] {
        let out = json(&["a.csv", "b.csv", "--metric", metric, "--floor", "9"]);
        let (value, floor) = (out["value"].as_f64().unwrap(), out["floor"]["mean"].as_f64().unwrap());
        assert!(value < 3.0 * floor && value > floor / 3.0, "{metric}: {value} {floor}");
        let far = json(&["a.csv", "moved.csv", "--metric", metric]);
        assert!(far["value"].as_f64().unwrap() > 5.0 * floor, "{metric}");
    }
    // all weight on the first row
    fs::write(folder.path().join("w.csv"), "1\n".to_string() + &"0\n".repeat(59)).unwrap();
    write(&folder.path().join("first.csv"), &Matrix::from_fn(2, 2, |_, j| x[(0, j)]));
    let out = json(&["a.csv", "first.csv", "--weights", "w.csv", "equal", "--floor", "0"]);
    assert!(out["value"].as_f64().unwrap().abs() < 1e-10 && out["floor"].is_null(), "{out}");
}

/// Checks that a target of samples is followed and judged: particles and a generator trained on 400 points of N((5, -3), I) have their mean within
/// 0.3 of it, by no flag about the velocity; the report and the summary hold distances with floors and no log-density; a run that
/// stopped goes on without the target's file beside it; and fresh points score a sliced distance below three floors.
#[test]
fn targets_of_samples() {
    let folder = tempfile::tempdir().unwrap();
    let shifted = |unit: u64, n: usize| {
        let z = normals(unit, n);
        Matrix::from_fn(n, 2, |i, j| z[(i, j)] + if j == 0 { 5.0 } else { -3.0 })
    };
    write(&folder.path().join("data.csv"), &shifted(2, 400));
    write(&folder.path().join("fresh.csv"), &shifted(3, 300));
    fs::write(folder.path().join("t.toml"), "kind = \"samples\"\ndata = \"data.csv\"\n").unwrap();
    let common = ["--set", "velocity.points=128", "--set", "velocity.iterations=50"];
    let particles = ["particles", "t.toml", "-n", "200", "--time", "6", "--dt", "0.25", "--out", "p"];
    let train = ["train", "t.toml", "--steps", "150", "--batch", "128", "--set", "velocity.second=128", "--out", "g"];
    for (arguments, out) in [(&particles[..], "p"), (&train[..], "g")] {
        let all: Vec<&str> = arguments.iter().chain(&common).copied().collect();
        stdout(folder.path(), &all);
        let summary = fs::read_to_string(folder.path().join(out).join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["velocity"], "sinkhorn");
        let text = summary.to_string();
        assert!(text.contains("sliced_w2") && !text.contains("mean_log_density"), "{text}");
        let samples = folder.path().join(out).join("samples.npy");
        let x = pushforward_cli::files::samples::read_samples(&samples).unwrap();
        let mean = x.column_means();
        assert!((mean[0] - 5.0).abs() < 0.3 && (mean[1] + 3.0).abs() < 0.3, "{out}: {mean:?}");
        assert!(folder.path().join(out).join("report.html").is_file());
    }
    let out: serde_json::Value =
        serde_json::from_str(&stdout(folder.path(), &["evaluate", "t.toml", "fresh.csv", "--json"])).unwrap();
    let metrics = out["metrics"].to_string();
    assert!(metrics.contains("sliced"), "{out}");
}
