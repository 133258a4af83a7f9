//! Learnt scores from the command line: generators, particles, resume, the choice by dimension, refusals.

mod common;

use common::pushforward;
use std::fs;
use std::path::Path;

const SMALL: &[&str] = &["--set", "sample=128", "--set", "score_layers=[8]", "--set", "steps=6"];

/// What the command says on standard error; it must end with this exit code.
fn run(folder: &Path, arguments: &[&str], more: &[&str], code: i32) -> String {
    let out = pushforward(folder, &[arguments, more].concat());
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(code), "{arguments:?}: {stderr}");
    stderr
}

fn samples(folder: &Path, run: &str) -> Vec<u8> {
    fs::read(folder.join(run).join("samples.npy")).unwrap()
}

/// Checks that a generator and particles follow a learnt score from the command line, are repeated to the last bit by their own configuration,
/// and that particles that were stopped at once and resumed end as the others.
#[test]
fn runs_with_a_learnt_score() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let generator =
        [SMALL, &["--set", "batch=64", "--set", "codes=4", "--set", "hidden=[8]", "--set", "search_particles=256"]]
            .concat();
    let particles = [&SMALL[2..], &["-n", "64"]].concat();
    for (command, small, rest) in [
        ("train", &generator, &["gmm9", "--estimator", "score"][..]),
        ("particles", &particles, &["gmm9", "--estimator", "score"]),
    ] {
        let begin = |more: &[&str]| run(at, &[&[command], rest, more].concat(), small, 0);
        let whole = format!("{command}-whole");
        begin(&["--out", &whole, "--threads", "1"]);
        let text = fs::read_to_string(at.join(&whole).join("config.toml")).unwrap();
        assert!(text.contains("kind = \"score\"") && text.contains("objective = \"implicit\""), "{text}");
        let curves = fs::read_to_string(at.join(&whole).join("metrics.jsonl")).unwrap();
        assert!(curves.contains("score_gain"), "{curves}");
        // a generator's search alone takes longer
        if command == "particles" {
            begin(&["--out", "stopped", "--max-time", "1ms"]);
            run(at, &[command, "--resume", "stopped"], &[], 0);
            assert_eq!(samples(at, "stopped"), samples(at, &whole));
        }
    }
    let again = [&["train", "--out", "again", "--config", "train-whole/config.toml"][..], &["--threads", "2"]].concat();
    run(at, &again, &[], 0);
    assert_eq!(samples(at, "again"), samples(at, "train-whole"));
}

/// Checks that beyond eight dimensions the default is a learnt score and says why, that what is asked for by name is left alone, and that a field
/// with a weight that asks for log q is refused in one sentence before anything is written.
#[test]
fn the_choice_by_dimension() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = "kind = \"formula\"\ndim = 9\nlog_density = \"-0.5*dot(x[1:dim], x[1:dim])\"\n";
    fs::write(at.join("nine.toml"), text).unwrap();
    let small =
        [SMALL, &["--set", "batch=64", "--set", "codes=1", "--set", "hidden=[8]", "--set", "search_particles=256"]]
            .concat();
    let said = run(at, &["train", "nine.toml", "--out", "chosen"], &small, 0);
    assert!(
        said.contains("in 9 dimensions") && said.contains("learnt score") && said.contains("no certificate"),
        "{said}"
    );
    let written = fs::read_to_string(at.join("chosen/config.toml")).unwrap();
    assert!(written.contains("kind = \"score\""), "{written}");
    let small = [
        "--set",
        "steps=6",
        "--set",
        "batch=64",
        "--set",
        "codes=1",
        "--set",
        "hidden=[8]",
        "--set",
        "search_particles=256",
    ];
    let said = run(at, &["train", "nine.toml", "--out", "asked", "--estimator", "exact"], &small, 0);
    assert!(!said.contains("learnt score"), "{said}");
    let field = ["--estimator", "score", "--divergence", "forward-kl", "--set", "form=field", "--out", "refused"];
    let said = run(at, &[&["train", "gmm9"], &field[..]].concat(), &[], 2);
    assert!(said.contains("'forward-kl'") && said.contains("form=potential"), "{said}");
    assert!(!at.join("refused").exists());
}
