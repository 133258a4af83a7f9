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

/// Checks that a generator follows posterior draws of a formula from the command line, to the last bit of its own configuration on another number
/// of threads; that the shipped constants of DiKL work in the units of the target and with a learnt score at 29 levels; that `--velocity diffusive`
/// brings an estimate with noise, and that one without is refused with the remedy.
#[test]
fn diffusive_methods() {
    let folder = common::folder();
    let at = folder.path();
    let small = "steps=6 batch=64 hidden=[8] sample=128 search_particles=256".split(' ');
    let small: Vec<&str> = small.flat_map(|pair| ["--set", pair]).collect();
    let train = |more: &[&str], out: &str| {
        let found = pushforward(at, &[&["train", "two.toml"], &small[..], more, &["--out", out]].concat());
        common::ends(&found);
        fs::read_to_string(at.join(out).join("config.toml")).unwrap()
    };
    let text = train(&["--method", "diffusive", "--set", "codes=4", "--threads", "1"], "whole");
    assert!(text.contains("kind = \"diffusive\"") && text.contains("levels = 12"), "{text}");
    let curves = fs::read_to_string(at.join("whole/metrics.jsonl")).unwrap();
    assert!(curves.contains("chain_acceptance") && curves.contains("ais_acceptance"), "{curves}");
    common::ends(&pushforward(at, &["train", "--config", "whole/config.toml", "--threads", "2", "--out", "again"]));
    assert_eq!(samples(at, "again"), samples(at, "whole"));
    let constants = ["--method", "dikl", "--set", "score_layers=[8]", "--set", "score_steps=2"];
    let text = train(&constants, "dikl");
    for line in ["scale = 1.0", "beta_end = 0.7", "levels = 29", "gate = \"mixed\"", "ais_rungs = 15"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let text = train(&["--velocity", "diffusive", "--set", "codes=4"], "named");
    assert!(text.contains("kind = \"kde\"") && text.contains("levels = 12"), "{text}");
    let said = run(at, &["train", "two.toml", "--velocity", "diffusive", "--estimator", "exact"], &[], 2);
    assert!(said.contains("'exact'") && said.contains("levels=12"), "{said}");
    let said = run(at, &["train", "two.toml", "--method", "diffusive", "--set", "draws=1"], &[], 2);
    assert!(said.contains("gate = by-dimension") && said.contains("mixed"), "{said}");
}
