//! `pushforward sample --polish` and `--exact`: what they report, and that they repair a half-trained model.

mod common;

use common::pushforward;
use pushforward::density::by_name;
use pushforward::linalg::Matrix;
use pushforward_cli::files::samples::read_samples;

/// Checks that 40 steps bring the mean log p of a model of one piece within 0.1 of the truth (10,000
/// exact samples, error 0.01), which it was not; that the report says so on stderr; that it repeats.
#[test]
fn polish_repairs_shape() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let out = pushforward(folder.path(), arguments);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stderr).into_owned()
    };
    let one = ["--steps", "5", "--batch", "64", "--set", "centres=64", "--set", "codes=1", "--set", "hidden=[16]"];
    run(&[&["train", "ring8", "--out", "r"], &one[..]].concat());
    run(&["sample", "r", "-n", "6000", "-o", "plain.npy"]);
    let said = run(&["sample", "r", "-n", "6000", "--polish", "40", "-o", "polished.npy"]);
    run(&["sample", "r", "-n", "6000", "--polish", "40", "-o", "again.npy"]);
    assert!(said.contains("polished 6,000 samples by 40 MALA steps") && said.contains("acceptance"), "{said}");
    let read = |name: &str| read_samples(&folder.path().join(name)).unwrap();
    let p = by_name("ring8").unwrap();
    let level = |x: &Matrix| {
        let l = p.log_density(x);
        l.iter().sum::<f64>() / l.len() as f64
    };
    let truth = level(&p.sample(10_000, 1).unwrap());
    let (before, after) = (level(&read("plain.npy")), level(&read("polished.npy")));
    assert!((after - truth).abs() < 0.1 && (before - truth).abs() > 0.2, "{before} {after} {truth}");
    assert!(read("again.npy") == read("polished.npy"), "the same command gives other samples");

    // exact draws of the same model: the level is that of p within 4 of its standard errors, 1.1/√6000 and 1.1/√10000
    let said = run(&["sample", "r", "-n", "6000", "--exact", "-o", "exact.npy"]);
    assert!(said.contains("6,000 exact draws of p") && said.contains("means without bias"), "{said}");
    let exact = level(&read("exact.npy"));
    assert!((exact - truth).abs() < 0.075, "{exact} {truth}");
    run(&["sample", "r", "-n", "600", "--exact", "-o", "few.npy"]);
    assert!(read("few.npy") == read("exact.npy").slice_rows(0..600));

    run(&["particles", "ring8", "--out", "p", "-n", "50", "--time", "0.02"]);
    for (arguments, expected) in [
        (["sample", "r", "-n", "9", "--exact", "--polish", "4"], "cannot be used with"),
        (["sample", "p", "-n", "9", "--exact", "--seed", "4"], "needs a model with a density"),
    ] {
        let out = pushforward(folder.path(), &[&arguments[..], &["-o", "no.npy"]].concat());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && said.contains(expected), "{said}");
        assert!(!folder.path().join("no.npy").exists());
    }
}
