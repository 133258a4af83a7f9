//! `kind = "temperatures"` and `sample --given`, end to end.

mod common;

use common::{ends, pushforward, stderr};
use pushforward_cli::files::json;
use pushforward_cli::files::samples::read_samples;
use std::fs;
use tempfile::tempdir;

const FAMILY: &str = "kind = \"temperatures\"\nfrom = 0.2\n[of]\nkind = \"formula\"\ndim = 2\n\
    log_density = \"-0.5*(x1^2 + (x2 - x1)^2)\"\n";

/// Checks that a short training of a family says log Z at ten temperatures in summary.json (log 2π - log β for this Gaussian, within 5 of its
/// errors) and in the report, that config.toml holds what the searches found, so that a run by it has the same bits, and that samples given
/// beta have that beta alone, under two seeds not the same points.
#[test]
fn a_family_is_learnt() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("family.toml"), FAMILY).unwrap();
    let small = ["--steps", "60", "--batch", "256", "--set", "search_particles=1024", "--out", "run"];
    ends(&pushforward(folder.path(), &[&["train", "family.toml", "--method", "flow"][..], &small].concat()));
    let summary = json::parse(&fs::read_to_string(at("run/summary.json")).unwrap()).unwrap();
    let rows = summary["temperatures"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[9]["beta"]), (10, &1.0.into()));
    for row in rows {
        let [beta, log_z, error] =
            [&row["beta"], &row["log_z"]["value"], &row["log_z"]["standard_error"]].map(|v| v.as_f64().unwrap());
        let exact = std::f64::consts::TAU.ln() - beta.ln();
        assert!((log_z - exact).abs() < 5.0 * error, "{beta}: {log_z} ± {error}, exact {exact}");
    }
    assert!(fs::read_to_string(at("run/report.html")).unwrap().contains("<h2>Temperatures</h2>"));
    let config = fs::read_to_string(at("run/config.toml")).unwrap();
    assert!(config.contains("nodes = [["), "{config}");
    ends(&pushforward(folder.path(), &["train", "--config", "run/config.toml", "--out", "again"]));
    assert_eq!(fs::read(at("run/samples.npy")).unwrap(), fs::read(at("again/samples.npy")).unwrap());

    let draw = |seed: &str, name: &str| {
        let out = pushforward(
            folder.path(),
            &["sample", "run", "--given", "beta=0.5", "-n", "500", "--seed", seed, "-o", name],
        );
        assert!(out.status.success(), "{}", stderr(&out));
        read_samples(&at(name)).unwrap()
    };
    let (one, two) = (draw("0", "one.npy"), draw("1", "two.npy"));
    assert_eq!(one.shape(), (500, 3));
    assert!((0..500).all(|i| (one[(i, 0)] - 0.5).abs() < 1e-15 && one[(i, 1)] != two[(i, 1)]));
}

/// Checks that what cannot be a family, or a condition, is refused in a sentence with exit code 2.
#[test]
fn bad_families_and_conditions() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (text, words) in [
        ("of = \"gmm9\"\nfrom = 1.5", "from = 1.5; give the least beta, between 0 and 1"),
        ("of = \"gmm9\"", "the key 'from' is missing"),
        ("of = \"nope\"\nfrom = 0.5", "of: unknown target 'nope'"),
        ("of = \"dw4\"\nfrom = 0.5", "dw4 has a support or coordinates of its own"),
        ("of = [\"gmm9\", \"ring8\"]\nfrom = 0.5", "gmm9+ring8 are several targets"),
        ("of = \"gmm9\"\nfrom = 0.5\nfrm = 1", "unknown key 'frm'"),
        ("of = \"gmm9\"\nfrom = 0.5\nnodes = [[0.5, 0.0, 0.0]]", "nodes of beta"),
        ("from = 0.3\n[of]\nkind = \"formula\"\ndim = 1\nlog_density = \"-log(1 + x1^2)\"", "the powers p~^beta"),
    ] {
        fs::write(at("bad.toml"), format!("kind = \"temperatures\"\n{text}\n")).unwrap();
        let out = pushforward(folder.path(), &["train", "bad.toml", "--method", "flow", "--steps", "1"]);
        assert_eq!(out.status.code(), Some(2), "{text}: {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{text}: {}", stderr(&out));
    }
    fs::write(at("family.toml"), FAMILY).unwrap();
    let small = ["--steps", "2", "--batch", "64", "--set", "search_particles=512", "--set", "couplings=1"];
    for (target, out) in [("family.toml", "family"), ("ring8", "plain")] {
        ends(&pushforward(folder.path(), &[&["train", target, "--method", "flow", "--out", out][..], &small].concat()));
    }
    for (run, given, words) in [
        ("plain", &["beta=0.5"][..], "the model of this run has no conditions"),
        ("family", &["beta=2"], "[2.0] from coordinate 1 is not inside the interval"),
        ("family", &["beta=half"], "write --given beta=NUMBER"),
        ("family", &["x1=1"], "write --given beta=NUMBER"),
        ("family", &["beta=0.5", "beta=0.6"], "beta is given twice"),
    ] {
        let given: Vec<&str> = given.iter().flat_map(|g| ["--given", g]).collect();
        let out = pushforward(folder.path(), &[&["sample", run, "-n", "5", "-o", "s.npy"][..], &given].concat());
        assert_eq!(out.status.code(), Some(2), "{given:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{given:?}: {}", stderr(&out));
        assert!(!at("s.npy").exists());
    }
}
