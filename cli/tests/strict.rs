//! Strict mode, `PUSHFORWARD_ISA=strict`: bits that do not depend on the instruction sets of the machine.
#![cfg(unix)]

mod common;

use common::{ends, folder, pushforward, stderr, stopped_child, succeeds};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn strict(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushforward"));
    command.args(arguments).current_dir(folder).env("PUSHFORWARD_ISA", "strict").envs(environment.iter().copied());
    command.output().unwrap()
}

/// Runs of a moment, by name: a generator with codes, whose search takes logarithms and powers; flows, which learn through exp, tanh and
/// splines; a formula of every elementary function; and `banana`.
const RUNS: [(&str, &[&str]); 4] = [
    ("generator", &["train", "two.toml", "--config", "small.toml"]),
    ("flow", &["train", "two.toml", "--config", "flow.toml"]),
    ("functions", &["train", "functions.toml", "--config", "small.toml", "--method", "kde"]),
    ("banana", &["train", "banana", "--config", "flow.toml"]),
];

/// The folder of every test file, with a formula of every elementary function.
fn folder_with_functions() -> tempfile::TempDir {
    let folder = folder();
    let density = "-0.5*(x1^2 + x2^2) + 0.3*sin(x1)*cos(x2) - 0.1*exp(0.5*x1) + log1p(exp(-x2)) - 0.2*abs(x1)^1.7 + 0.1*tanh(x2) \
                   + 0.1*atan(x1) - 0.01*cosh(x1) - lgamma(2 + x2^2)";
    let target = format!("kind = \"formula\"\ndim = 2\nlog_density = \"{density}\"\n");
    fs::write(folder.path().join("functions.toml"), target).unwrap();
    folder
}

fn samples(folder: &Path, run: &str) -> Vec<u8> {
    fs::read(folder.join(run).join("samples.npy")).unwrap()
}

/// Checks that strict runs give the same bits on 1 and 3 threads and where the C library is told that the machine has neither AVX nor
/// FMA, and other bits than the usual runs on a machine with fused multiply-add.
#[test]
fn strict_bits() {
    let folder = folder_with_functions();
    let fused = pushforward::num::instruction_sets().len() > 1;
    let old = [("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4")];
    for (name, train) in RUNS {
        let [usual, one, three] = ["usual", "one", "three"].map(|kind| format!("{name}-{kind}"));
        ends(&pushforward(folder.path(), &[train, &["--out", &usual]].concat()));
        ends(&strict(folder.path(), &[], &[train, &["--out", &one, "--threads", "1"]].concat()));
        ends(&strict(folder.path(), &old, &[train, &["--out", &three, "--threads", "3"]].concat()));
        let samples = |run: &str| samples(folder.path(), run);
        assert!(samples(&one) == samples(&three), "{name}: other bits on another C library");
        assert_eq!(samples(&usual) != samples(&one), fused, "{name}");
    }
}

/// An emulator of other processors: `PUSHFORWARD_QEMU`, or what the path has.
fn emulator() -> Option<PathBuf> {
    let names = ["qemu-x86_64", "qemu-x86_64-static"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    std::env::var_os("PUSHFORWARD_QEMU").map(PathBuf::from).into_iter().chain(there).find(|file| file.exists())
}

/// Checks that a strict run that begins on an emulated processor of 2008, without AVX and FMA, is stopped there after its second checkpoint, and
/// goes on here, has the bits of a run that was here all the time.
#[test]
fn bits_of_an_older_processor() {
    let Some(emulator) = emulator().filter(|_| cfg!(target_arch = "x86_64")) else {
        eprintln!("SKIPPED: NO EMULATOR qemu-x86_64 HERE, so strict mode is not tried on an older processor");
        return;
    };
    let folder = folder_with_functions();
    let one = |(name, train): (&str, &[&str])| {
        let [here, there] = ["here", "there"].map(|kind| format!("{name}-{kind}"));
        let long = ["--steps", "400"];
        ends(&strict(folder.path(), &[], &[train, &long, &["--out", &here]].concat()));
        let mut command = Command::new(&emulator);
        command.args(["-cpu", "Nehalem", env!("CARGO_BIN_EXE_pushforward")]).env("PUSHFORWARD_ISA", "strict");
        command.args(train).args(long).args(["--out", &there, "--checkpoint-every", "1ms"]);
        let out = stopped_child(command, folder.path(), &there);
        assert_eq!(out.status.code(), Some(130), "{name}: {}", stderr(&out));
        ends(&strict(folder.path(), &[], &["train", "--resume", &there]));
        assert!(samples(folder.path(), &here) == samples(folder.path(), &there), "{name}");
    };
    std::thread::scope(|scope| RUNS.iter().for_each(|&run| drop(scope.spawn(move || one(run)))));
}

/// Checks that going on in another arithmetic is said.
#[test]
fn mixed_arithmetic() {
    let folder = folder();
    let train = ["train", "two.toml", "--config", "small.toml", "--out", "mixed"];
    let stop = ["--steps", "1000000", "--max-time", "2s"];
    succeeds(&pushforward(folder.path(), &[&train[..], &stop].concat()));
    let out = strict(folder.path(), &[], &["train", "--resume", "mixed", "--max-time", "2s"]);
    succeeds(&out);
    let fused = pushforward::num::instruction_sets().len() > 1;
    assert_eq!(stderr(&out).contains("goes on in strict"), fused, "{}", stderr(&out));
}
