//! A run's folder is opened as a whole: configuration, model, inputs and samples belong together, or it is refused.
#![cfg(unix)]

mod common;

use common::{folder, names, pushforward, same_run, stderr, stopped, succeeds};
use std::fs;
use std::path::Path;

/// Every command that opens a run's folder, with a name for its output.
const COMMANDS: [&[&str]; 8] = [
    &["sample", "run", "-n", "5", "-o", "out.csv"],
    &["sample", "run", "-n", "5", "-o", "out.csv", "--polish", "2"],
    &["logpdf", "run", "points.csv", "-o", "out.csv"],
    &["export", "run", "--format", "csv", "-o", "out.csv"],
    &["export", "run", "--format", "arviz", "-o", "out.csv"],
    &["report", "run", "-o", "out.csv"],
    &["summary", "run"],
    &["train", "--resume", "run"],
];

/// Asserts that each of `commands` is refused in one sentence with these words, without a panic and without an output.
fn refused(folder: &Path, commands: &[&[&str]], words: &[&str]) {
    let before = names(folder);
    for arguments in commands {
        let out = pushforward(folder, arguments);
        let said = stderr(&out);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{arguments:?}: {said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{arguments:?}: '{word}' is not in {said}"));
        assert_eq!(names(folder), before, "{arguments:?}");
    }
}

/// A flow on `target` in `run` that can be resumed.
fn unfinished(folder: &Path, target: &str, run: &str) {
    stopped(folder, &["train", target, "--config", "flow.toml", "--steps", "1000000", "--out", run], run);
}

/// A flow on `target` in `run`, complete.
fn complete(folder: &Path, target: &str, run: &str) {
    succeeds(&pushforward(folder, &["train", target, "--config", "flow.toml", "--out", run]));
}

/// Checks that a run whose config.toml says another support, another formula or another setting than its model is
/// refused by every command, with the key, and so is a run with the model of another dimension.
#[test]
fn configuration_and_model() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let target = "kind = \"formula\"\ndim = 2\nlog_density = \"-0.5*x1^2 - x2\"\nsupport = { x2 = \"positive\" }\n";
    fs::write(at("half.toml"), target).unwrap();
    fs::write(at("points.csv"), "1,2\n3,4\n").unwrap();
    unfinished(folder.path(), "half.toml", "part");
    complete(folder.path(), "half.toml", "whole");
    for (kept, commands) in [("part", &COMMANDS[7..]), ("whole", &COMMANDS[..7])] {
        fs::rename(at(kept), at("run")).unwrap();
        let config = fs::read_to_string(at("run/config.toml")).unwrap();
        for (from, to, key) in [
            ("x2 = \"positive\"", "x1 = \"positive\"", "'target.support'"),
            ("x2 = \"positive\"", "x2 = \"real\"", "'target.support'"),
            ("- x2\"", "- 2*x2\"", "'target.log_density'"),
            ("dim = 2", "dim = 3", "'target.dim'"),
            ("seed = 0", "seed = 1", "'run.seed'"),
        ] {
            assert!(config.contains(from), "{config}");
            fs::write(at("run/config.toml"), config.replacen(from, to, 1)).unwrap();
            refused(folder.path(), commands, &["run/config.toml", key]);
        }
        fs::write(at("run/config.toml"), config).unwrap();
        fs::rename(at("run"), at(kept)).unwrap();
    }
    // the model of another run, of another dimension
    let one = "kind = \"formula\"\ndim = 3\nlog_density = \"-0.5*(x1^2 + x2^2 + x3^2)\"\n";
    fs::write(at("three.toml"), one).unwrap();
    let frame = ["--set", "centre=[0.0, 0.0, 0.0]", "--out", "three"];
    succeeds(&pushforward(folder.path(), &[&["train", "three.toml", "--config", "flow.toml"][..], &frame].concat()));
    fs::rename(at("whole"), at("run")).unwrap();
    let model = fs::read(at("run/model.safetensors")).unwrap();
    fs::copy(at("three/model.safetensors"), at("run/model.safetensors")).unwrap();
    refused(folder.path(), &COMMANDS[..7], &["model.safetensors"]);
    fs::write(at("run/model.safetensors"), model).unwrap();
    for arguments in &COMMANDS[..7] {
        succeeds(&pushforward(folder.path(), arguments));
    }
}

/// Checks that `export` does not write samples of another run as those of this one, nor samples of a run without its summary.
#[test]
fn samples_of_another_run() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    complete(folder.path(), "two.toml", "run");
    let seed = ["--seed", "1", "--out", "other"];
    succeeds(&pushforward(folder.path(), &[&["train", "two.toml", "--config", "flow.toml"][..], &seed].concat()));
    let own = fs::read(at("run/samples.npy")).unwrap();
    fs::copy(at("other/samples.npy"), at("run/samples.npy")).unwrap();
    refused(folder.path(), &COMMANDS[3..5], &["run/samples.npy", "summary.json"]);
    refused(folder.path(), &COMMANDS[6..7], &["run/samples.npy", "summary.json"]);
    // the model of the other seed, with its configuration: a whole run but for its samples and summary
    fs::copy(at("other/model.safetensors"), at("run/model.safetensors")).unwrap();
    fs::copy(at("other/config.toml"), at("run/config.toml")).unwrap();
    refused(folder.path(), &COMMANDS[3..5], &["run/model.safetensors", "summary.json"]);
    fs::copy(at("other/summary.json"), at("run/summary.json")).unwrap();
    succeeds(&pushforward(folder.path(), COMMANDS[3]));
    fs::write(at("run/samples.npy"), own).unwrap();
    refused(folder.path(), &COMMANDS[3..5], &["run/samples.npy"]);
    fs::remove_file(at("run/summary.json")).unwrap();
    refused(folder.path(), &COMMANDS[3..5], &["run has no summary.json", "take the whole folder"]);
}

/// Checks that data that changed stop what needs them, and that what does not need them says so and works; that data
/// that are gone stop the same commands and no other.
#[test]
fn data_that_changed() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("known.toml"), "kind = \"linear-regression\"\ndata = \"data.csv\"\nnoise = 1.0\n").unwrap();
    let data = "a,y\n0.5,1\n1.5,2\n2.5,2.5\n4,5\n";
    fs::write(at("data.csv"), data).unwrap();
    fs::write(at("points.csv"), "1,2\n3,4\n").unwrap();
    unfinished(folder.path(), "known.toml", "part");
    complete(folder.path(), "known.toml", "run");
    let resume: &[&str] = &["train", "--resume", "part"];
    let needing = [COMMANDS[1], COMMANDS[3], COMMANDS[4], COMMANDS[5], resume];
    fs::write(at("data.csv"), data.replace("2.5,2.5", "2.5,2.6")).unwrap();
    refused(folder.path(), &needing, &["data.csv", "has changed since the run"]);
    for arguments in [COMMANDS[0], COMMANDS[2]] {
        let out = pushforward(folder.path(), arguments);
        succeeds(&out);
        assert!(stderr(&out).contains("data.csv has changed since the run"), "{}", stderr(&out));
    }
    fs::remove_file(at("data.csv")).unwrap();
    fs::remove_file(at("out.csv")).unwrap();
    refused(folder.path(), &needing, &["data.csv"]);
    for arguments in [COMMANDS[0], COMMANDS[2]] {
        let out = pushforward(folder.path(), arguments);
        succeeds(&out);
        assert!(!stderr(&out).contains("data.csv"), "{}", stderr(&out));
    }
}

/// Checks that particles that start at the points of a file go on without that file, from anywhere, to the same bits;
/// that another file in its place is said; and that before the first checkpoint, or in a repetition, it is refused.
#[test]
fn start_of_particles() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let points: String = (0..40).map(|k| format!("{},{}\n", (k as f64).sin(), (k as f64).cos())).collect();
    fs::write(at("start.csv"), &points).unwrap();
    let particles = ["particles", "two.toml", "--start", "start.csv", "--set", "steps=2000", "--out"];
    succeeds(&pushforward(folder.path(), &[&particles[..], &["whole"]].concat()));
    let out = stopped(folder.path(), &[&particles[..], &["part"]].concat(), "part");
    assert!(stderr(&out).contains("continue with: pushforward particles --resume part"), "{}", stderr(&out));
    let config = fs::read_to_string(at("part/config.toml")).unwrap();
    assert!(config.contains("start_checksum = "), "{config}");
    // in another folder, where a relative path would lead elsewhere
    fs::create_dir(at("elsewhere")).unwrap();
    let resume = |run| ["particles", "--resume", run, "--threads", "1"];
    let out = stopped(&at("elsewhere"), &resume("../part"), "../part");
    assert!(!stderr(&out).contains("note: "), "{}", stderr(&out));
    fs::write(at("start.csv"), points.replace('1', "2")).unwrap();
    let out = stopped(folder.path(), &resume("part"), "part");
    assert!(stderr(&out).contains("start.csv has changed since the run"), "{}", stderr(&out));
    let again = ["train", "--config", "part/config.toml", "--out", "again"];
    refused(folder.path(), &[&again], &["start.csv", "has changed since the run"]);
    fs::remove_file(at("start.csv")).unwrap();
    let out = pushforward(folder.path(), &resume("part"));
    succeeds(&out);
    assert_eq!(stderr(&out), "");
    same_run(folder.path(), "whole", "part");
    succeeds(&pushforward(folder.path(), &["report", "part"]));
    // nothing was learnt yet: where they start matters
    fs::create_dir(at("begun")).unwrap();
    fs::write(at("begun/config.toml"), config).unwrap();
    refused(folder.path(), &[&resume("begun")], &["start.csv"]);
}
