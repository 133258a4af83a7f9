//! `kind = "preferences"` and `sample --given`, end to end.

mod common;

use common::{ends, pushforward, stderr};
use pushforward_cli::files::samples::read_samples;
use std::fs;
use tempfile::tempdir;

const FAMILY: &str = "kind = \"preferences\"\nof = [\"left.toml\", \"right.toml\"]\n";

/// N(±2, ½²) × N(0, 1) as formulas.
fn write_parts(folder: &std::path::Path) {
    for (name, mean) in [("left.toml", -2), ("right.toml", 2)] {
        let text = format!("kind = \"formula\"\ndim = 2\nlog_density = \"-2*(x1 - ({mean}))^2 - 0.5*x2^2\"\n");
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Checks that a short training of a family of two is drawn from at given weights: constant columns of weights that add to 1, and a law near
/// N(2 (w2 - w1), ½²) × N(0, 1): means within 0.3; and that config.toml holds the searches, so that a run by it has the same bits.
#[test]
fn a_family_is_learnt() {
    let folder = tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_parts(folder.path());
    fs::write(at("family.toml"), FAMILY).unwrap();
    let small = ["--steps", "300", "--batch", "256", "--set", "search_particles=1024", "--out", "run"];
    ends(&pushforward(folder.path(), &[&["train", "family.toml", "--method", "flow"][..], &small].concat()));
    assert!(fs::read_to_string(at("run/config.toml")).unwrap().contains("nodes = [["));
    for (left, right) in [("0.25", "0.75"), ("0.5", "0.5"), ("0.9", "0.1")] {
        let (one, two) = (format!("weight_1={left}"), format!("weight_2={right}"));
        let arguments = ["sample", "run", "--given", &one, "--given", &two, "-n", "2000", "-o", "given.npy"];
        let out = pushforward(folder.path(), &arguments);
        assert!(out.status.success(), "{}", stderr(&out));
        let x = read_samples(&at("given.npy")).unwrap();
        assert_eq!(x.shape(), (2000, 4));
        let w: f64 = left.parse().unwrap();
        assert!((0..2000).all(|i| (x[(i, 0)] - w).abs() < 1e-12 && (x[(i, 0)] + x[(i, 1)] - 1.0).abs() < 1e-12));
        let means = x.column_means();
        assert!((means[2] - 2.0 * (1.0 - 2.0 * w)).abs() < 0.3 && means[3].abs() < 0.3, "{w}: {means:?}");
    }
    ends(&pushforward(folder.path(), &["train", "--config", "run/config.toml", "--out", "again"]));
    assert_eq!(fs::read(at("run/samples.npy")).unwrap(), fs::read(at("again/samples.npy")).unwrap());
    for (given, words) in [
        (&["weight_1=0.5"][..], "weight_2 is missing"),
        (&["weight_1=0.5", "weight_2=0.6"], "is not inside the simplex of 2 coordinates"),
        (&["weight_1=1", "weight_2=0"], "is not inside the simplex of 2 coordinates"),
        (&["beta=1"], "write --given weight_1=NUMBER --given weight_2=NUMBER"),
    ] {
        let given: Vec<&str> = given.iter().flat_map(|g| ["--given", g]).collect();
        let out = pushforward(folder.path(), &[&["sample", "run", "-n", "5", "-o", "s.npy"][..], &given].concat());
        assert_eq!(out.status.code(), Some(2), "{given:?}: {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{given:?}: {}", stderr(&out));
    }
}

/// Checks that what cannot be a family is refused in a sentence with exit code 2.
#[test]
fn bad_families() {
    let folder = tempdir().unwrap();
    write_parts(folder.path());
    for (text, words) in [
        ("of = [\"gmm9\"]", "of has 1 targets; give 2 to 10"),
        ("", "the key 'of' is missing"),
        ("of = [\"gmm9\", \"nope\"]", "of: unknown target 'nope'"),
        ("of = [\"gmm9\", \"funnel-10\"]", "have dimensions 2 and 10; give targets of one dimension"),
        ("of = [\"dw4\", \"dw4\"]", "has a support or positions of its own"),
        ("of = [\"gmm9\", \"ring8\"]\nfrom = 0.5", "unknown key 'from'"),
        ("of = [\"gmm9\", \"ring8\"]\nnodes = [[0.5, 0.5]]", "a row of nodes has 2 numbers, not 9"),
        ("of = [\"left.toml\", \"lost.toml\"]", "lost.toml"),
    ] {
        fs::write(folder.path().join("bad.toml"), format!("kind = \"preferences\"\n{text}\n")).unwrap();
        let out = pushforward(folder.path(), &["train", "bad.toml", "--method", "flow", "--steps", "1"]);
        assert_eq!(out.status.code(), Some(2), "{text}: {}", stderr(&out));
        assert!(stderr(&out).contains(words), "{text}: {}", stderr(&out));
    }
}
