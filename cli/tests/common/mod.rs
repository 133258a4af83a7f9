//! Running the real binary.
#![allow(dead_code)] // each test file uses a part

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `pushforward` with `arguments` in `folder`.
pub fn pushforward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pushforward"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// A folder with a small mixture, and a configuration for a run of a second: what it learns does not matter here.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "kind = \"gaussian-mixture\"\nweights = [0.5, 0.5]\nmeans = [[0, 0], [3, 1]]\nstd = 0.5\n";
    fs::write(folder.path().join("two.toml"), text).unwrap();
    fs::write(folder.path().join("small.toml"), "steps = 60\nbatch = 64\nreference = 128\ncodes = 8\nhidden = [8]\n")
        .unwrap();
    folder
}

/// What it said on stderr.
pub fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Asserts exit code 0.
pub fn succeeds(out: &Output) {
    assert_eq!(out.status.code(), Some(0), "{}", stderr(out));
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that two complete runs have the same files, and the same bits where results are.
pub fn same_run(folder: &Path, a: &str, b: &str) {
    let (a, b) = (folder.join(a), folder.join(b));
    assert_eq!(names(&a), names(&b));
    for name in ["model.safetensors", "samples.npy", "metrics.jsonl"] {
        assert!(fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap(), "{name} of {}", b.display());
    }
}
