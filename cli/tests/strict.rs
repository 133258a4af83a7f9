//! Strict mode, `PUSHFORWARD_ISA=strict`: bits that do not depend on the instruction sets of the machine.
#![cfg(unix)]

mod common;

use common::{folder, pushforward, stderr, succeeds};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn strict(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushforward"));
    command.args(arguments).current_dir(folder).env("PUSHFORWARD_ISA", "strict").envs(environment.iter().copied());
    command.output().unwrap()
}

/// Checks that strict mode changes the arithmetic (on a machine with fused multiply-add), is the same on 1 and 3 threads and where the
/// C library is told that the machine has neither AVX nor FMA, and that going on in another arithmetic is said.
#[test]
fn strict_bits() {
    let folder = folder();
    // without codes, so that no search is made: its logarithms are those of the C library
    let plain = ["--method", "kde", "--set", "codes=0", "--set", "sample=128"];
    let train = |out| [&["train", "two.toml", "--config", "small.toml", "--out", out], &plain[..]].concat();
    let samples = |run: &str| fs::read(folder.path().join(run).join("samples.npy")).unwrap();
    succeeds(&pushforward(folder.path(), &train("usual")));
    succeeds(&strict(folder.path(), &[], &[&train("one")[..], &["--threads", "1"]].concat()));
    let old = [("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA")];
    succeeds(&strict(folder.path(), &old, &[&train("three")[..], &["--threads", "3"]].concat()));
    assert!(samples("one") == samples("three"));
    let fused = pushforward::num::shells().len() > 1;
    assert_eq!(samples("usual") != samples("one"), fused);

    let stop = ["--steps", "1000000", "--max-time", "2s"];
    succeeds(&pushforward(folder.path(), &[&train("mixed")[..], &stop].concat()));
    let out = strict(folder.path(), &[], &["train", "--resume", "mixed", "--max-time", "2s"]);
    succeeds(&out);
    assert_eq!(stderr(&out).contains("goes on in strict"), fused, "{}", stderr(&out));
}
