//! `pushforward symmetry` and `pushforward continual`.

mod common;

use common::{pushforward, stderr, succeeds};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let out = pushforward(folder, arguments);
    succeeds(&out);
    String::from_utf8(out.stdout).unwrap()
}

/// Asserts exit code 2 and these words.
fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let out = pushforward(folder, arguments);
    let said = stderr(&out);
    assert!(out.status.code() == Some(2) && out.stdout.is_empty(), "{arguments:?}: {said}");
    assert!(words.iter().all(|w| said.contains(w)) && said.lines().count() == 1, "{arguments:?}: {said}");
}

/// Checks that `dimension K` comes first for targets with and without symmetries, by name and by formula; that the rotation of a tilted donut
/// about its centre is found from a search's particles; the basis of JSON; and that the picture is a whole SVG without NaN.
#[test]
fn dimension_basis_and_picture() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // |y| about (1, 2), y = (x1 - 1, 2 (x2 - 2)): x1' = 2 (x2 - 2), x2' = -(x1 - 1)/2, up to a factor
    let log_density = "-(sqrt((x1 - 1)^2 + 4*(x2 - 2)^2) - 3)^2/0.5";
    fs::write(here.join("donut.toml"), format!("kind = \"formula\"\ndim = 2\nlog_density = \"{log_density}\"\n"))
        .unwrap();
    let text = stdout(here, &["symmetry", "donut.toml", "-o", "orbits.svg"]);
    assert!(text.starts_with("dimension 1\n") && text.contains("gap ") && text.contains("residual "), "{text}");
    let svg = fs::read_to_string(here.join("orbits.svg")).unwrap();
    assert!(svg.starts_with("<svg xmlns") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    let json: Value =
        serde_json::from_str(&stdout(here, &["symmetry", "donut.toml", "--json", "--seed", "2"])).unwrap();
    let a = |i: usize, j: usize| json["basis"][0]["matrix"][i][j].as_f64().unwrap();
    assert!((a(0, 1) / a(1, 0) + 4.0).abs() < 1e-6 && a(0, 0).abs() < 1e-6, "{json}");
    let b = |i: usize| json["basis"][0]["shift"][i].as_f64().unwrap();
    assert!((b(0) + 2.0 * a(0, 1)).abs() < 1e-6 && (b(1) + a(1, 0)).abs() < 1e-6, "{json}");
    // about the origin there is none
    assert!(stdout(here, &["symmetry", "donut.toml", "--origin"]).starts_with("dimension 0\n"));
    let eight = stdout(here, &["symmetry", "ring8", "-o", "eight.svg"]);
    assert!(eight.starts_with("dimension 0\n") && eight.contains("exact covariance"), "{eight}");
    assert!(stdout(here, &["symmetry", "funnel-4"]).starts_with("dimension 3\n"));
    // given one of the three that turn, two are left
    let given = stdout(here, &["symmetry", "funnel-4", "--given", "x3"]);
    assert!(given.starts_with("dimension 1\n") && given.contains("keep funnel-4 given x3"), "{given}");
    assert!(!given.contains("x1' ") && !given.contains("x3' "), "{given}");
}

/// Checks that supports, jumps, samples without a density, too few points and unknown targets are refused in a sentence.
#[test]
fn refused_targets() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let formula = |name: &str, log_density: &str, more: &str| {
        let text = format!("kind = \"formula\"\ndim = 2\nlog_density = \"{log_density}\"\n{more}");
        fs::write(here.join(name), text).unwrap();
    };
    formula("half.toml", "-x1 - x2^2/2", "[support]\nx1 = \"positive\"\n");
    formula("jump.toml", "-(x1^2 + x2^2)/2 + step(x1 - 0.3)", "");
    fs::write(here.join("x.csv"), "1,2\n2,3\n4,1\n".repeat(8)).unwrap();
    fs::write(here.join("samples.toml"), "kind = \"samples\"\ndata = \"x.csv\"\n").unwrap();
    refused(here, &["symmetry", "samples.toml"], &["samples", "density"]);
    refused(here, &["symmetry", "gmm9", "--points", "3"], &["number of points", "4"]);
    refused(here, &["symmetry", "gmm9", "--given", "x7"], &["x7", "x1, x2"]);
    refused(here, &["symmetry", "gmm9", "--given", "x1,x2"], &["all coordinates stand still"]);
    refused(here, &["symmetry", "gmm99"], &["gmm99"]);
    refused(here, &["symmetry", "gmm9", "--tolerance", "2"], &["tolerance"]);
    for (file, word) in [("half.toml", "support"), ("jump.toml", "jump")] {
        let out = pushforward(here, &["symmetry", file]);
        let said = stderr(&out);
        assert!(out.status.code() == Some(2) && said.contains(word), "{file}: {said}");
    }
}

/// Checks that the oracle's digits and the learners are printed and written, that the folder is new, and that unknown keys, sections, learners and
/// streams without an end are refused.
#[test]
fn continual() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::write(here.join("c.toml"), "[stream]\ntasks = 12\nevaluation = 10\nseeds = 2\n[oracle]\n").unwrap();
    let text = stdout(here, &["continual", "c.toml", "-o", "out"]);
    for words in ["log evidence -14.390931", "-14.381908", "mixture", "all-data", "floor"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    for name in ["report.html", "forgetting.svg", "results.json", "config.toml"] {
        let written = fs::read_to_string(here.join("out").join(name)).unwrap();
        assert!(!written.is_empty() && !written.contains("NaN"), "{name}");
    }
    let json: Value = serde_json::from_str(&fs::read_to_string(here.join("out/results.json")).unwrap()).unwrap();
    assert_eq!(json["oracle"]["partitions"], 203);
    assert_eq!((&json["settings"]["stream"]["tasks"], &json["settings"]["oracle"]["noise"]), (&12.into(), &0.5.into()));
    // the settings that were written repeat the run
    assert_eq!(stdout(here, &["continual", "out/config.toml"]), text);
    refused(here, &["continual", "c.toml", "-o", "out"], &["out", "already"]);
    let waves = "[stream]\nkind = \"network\"\ntasks = 3\nevaluation = 3\nseeds = 2\nhidden = 4\ntraining = 20\n";
    fs::write(here.join("w.toml"), waves).unwrap();
    let text = stdout(here, &["continual", "w.toml"]);
    assert!(text.contains("3 network tasks") && text.contains("ftml") && !text.contains("NaN"), "{text}");
    for (config, words) in [
        ("", "section"),
        ("[streams]\n", "streams"),
        ("stream = 3\n", "[stream]"),
        ("[stream]\ntask = 3\n", "task"),
        ("[stream]\nnoise = -1.0\n", "noise"),
        ("[stream]\nlearners = \"mixtures\"\n", "mixtures"),
        ("[stream]\ntasks = 1000000000\n", "multiplications"),
        ("[stream]\nkind = \"network\"\nhidden = 100000\n", "multiplications"),
        ("[stream]\nkind = \"sinusoid\"\ntraining = 0\n", "training"),
        ("[stream]\nclusters = 1000000000\n", "multiplications"),
        ("[stream]\nclusters = 4\ntasks = 4611686018427387904\n", "multiplications"),
        ("[stream]\nqueries = 1000000000\n", "multiplications"),
        ("[stream]\nshots = 3000\ndim = 1\n", "multiplications"),
        ("[stream]\nnoise = 1e-300\n", "noise = 1e-300"),
        ("[stream]\nbetween = 1e200\n", "between = 1e200"),
        ("[oracle]\ndata = [1e160]\n", "data holds 1e160"),
        ("[oracle]\ndata = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]\n", "number of tasks"),
        ("[oracle]\ntruncations = [1000]\n", "sticks"),
    ] {
        fs::write(here.join("bad.toml"), config).unwrap();
        refused(here, &["continual", "bad.toml"], &[words]);
    }
}

/// Checks that `symmetry` gives the table that a target's file takes, that a generator of a ring with it has round samples (the mean of cos θ over
/// 20,000 within 4.5 errors of 0.005, by chance 1 of 1e5), the same after `sample` reads its file; and that tables which are no group, are of
/// another size, stand beside a support, or are not true of the density are refused.
#[test]
fn generators_use_what_a_file_says() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let write = |name: &str, formula: &str, rest: &str| {
        fs::write(here.join(name), format!("kind = \"formula\"\ndim = 2\nlog_density = \"{formula}\"\n{rest}"))
            .unwrap();
    };
    let round = "-2*(sqrt(x1^2 + x2^2) - 4)^2";
    write("ring.toml", round, "");
    let text = stdout(here, &["symmetry", "ring.toml"]);
    let table = text.lines().find_map(|l| l.strip_prefix("in a file   [symmetry] ")).expect("a circle of turns");
    let table = format!("[symmetry]\n{}\n", table.split(':').next().unwrap());
    write("turned.toml", round, &table);
    let train = ["train", "turned.toml", "--steps", "20", "--out", "turned"];
    succeeds(&pushforward(here, &train));
    succeeds(&pushforward(here, &["sample", "turned", "-n", "20000", "--seed", "3", "-o", "x.csv"]));
    let text = fs::read_to_string(here.join("x.csv")).unwrap();
    let rows: Vec<Vec<f64>> =
        text.lines().filter_map(|l| l.split(',').map(|v| v.trim().parse().ok()).collect()).collect();
    assert_eq!(rows.len(), 20_000);
    let mean = rows.iter().map(|r| r[0] / r[0].hypot(r[1])).sum::<f64>() / 20_000.0;
    assert!(mean.abs() < 4.5 * 0.005, "{mean}");
    let refused_by = |name: &str, words: &[&str]| refused(here, &["train", name, "--out", "no"], words);
    write("flat.toml", "-2*(sqrt(x1^2 + 2*x2^2) - 4)^2", &table);
    refused_by("flat.toml", &["log p~ changes from", "symmetry", "leave them out"]);
    write("wide.toml", round, "[symmetry]\nturn = [[0, -2], [2, 0]]\n");
    refused_by("wide.toml", &["wide.toml", "J³ = -J"]);
    write("third.toml", round, "[symmetry]\nturn = [[0, -1, 0], [1, 0, 0], [0, 0, 0]]\n");
    refused_by("third.toml", &["[symmetry] turn is no matrix of 2 rows and columns"]);
    write("half.toml", round, &format!("{table}[support]\nx1 = \"positive\"\n"));
    refused_by("half.toml", &["[symmetry]"]);
    assert!(!here.join("no").exists());
}
