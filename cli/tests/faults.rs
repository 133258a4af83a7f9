//! What the machine and the user do wrong to a run: full disks, folders that cannot be written, damaged files, sizes beyond any machine.
#![cfg(unix)]

mod common;

use common::{folder, names, pushforward, same_run, stderr, stopped, succeeds};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SMALL: [&str; 4] = ["train", "two.toml", "--config", "small.toml"];

/// Runs under limits of the shell.
fn limited(folder: &Path, limits: &str, arguments: &[&str]) -> Output {
    let command = format!("{limits}; exec \"$0\" \"$@\"");
    let mut sh = Command::new("sh");
    sh.args(["-c", &command, env!("CARGO_BIN_EXE_pushforward")]).args(arguments).current_dir(folder);
    sh.output().unwrap()
}

/// Checks that a disk that fills up (a limit on the size of files stands in for it) stops no training: checkpoints that do not fit are
/// said and left out, the run ends with exit code 1 and the name of the file that did not fit, and with more room it goes on from the
/// last checkpoint to the bits of a run that always had room. Where not even the first checkpoint fits, nothing is left.
#[test]
fn full_disk() {
    let folder = folder();
    let run = |limits: &str, out: &str| {
        let every = ["--checkpoint-every", "1ms", "--out", out];
        limited(folder.path(), limits, &[&SMALL[..], &every].concat())
    };
    succeeds(&run("true", "whole"));
    // 70 KiB hold the checkpoint with one picture, not with two
    let out = run("trap '' XFSZ; ulimit -f 140", "run");
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    assert!(stderr(&out).contains("no checkpoint at step") && stderr(&out).contains("samples.npy"), "{}", stderr(&out));
    let left = names(&folder.path().join("run"));
    assert!(left.iter().all(|n| !n.contains(".tmp-")) && left.iter().any(|n| n.starts_with("checkpoint")), "{left:?}");
    succeeds(&pushforward(folder.path(), &["train", "--resume", "run"]));
    same_run(folder.path(), "whole", "run");

    let out = run("trap '' XFSZ; ulimit -f 16", "none");
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    assert!(!names(folder.path()).iter().any(|n| n.contains("none")));
}

/// Checks that a place where nothing can be written is said in one line with exit code 1, before any training.
#[test]
fn folders_that_cannot_be_written() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    // a file where a folder should be; and a file system without files, which refuses the super-user too
    for place in ["file/run", "/proc/run"] {
        let out = pushforward(folder.path(), &[&SMALL[..], &["--out", place]].concat());
        assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
        assert!(stderr(&out).lines().count() == 1 && stderr(&out).contains(place), "{}", stderr(&out));
    }
}

/// Checks that a damaged checkpoint is said and the one before it used, to the same bits; that two damaged ones, an edited
/// configuration and a missing one are refused with exit code 2 and the reason; and that none of it harms the run.
#[test]
fn damaged_checkpoints() {
    let folder = folder();
    let long = ["--steps", "3000", "--out"];
    succeeds(&pushforward(folder.path(), &[&SMALL[..], &long, &["whole"]].concat()));
    stopped(folder.path(), &[&SMALL[..], &long, &["run"]].concat(), "run");
    let path = |name: &str| folder.path().join("run").join(name);
    let resume = || pushforward(folder.path(), &["train", "--resume", "run"]);
    let flip = |name: &str| {
        let mut bytes = fs::read(path(name)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(path(name), bytes).unwrap();
    };
    let refused = |word: &str| {
        let out = resume();
        assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
        assert!(stderr(&out).contains(word), "{}", stderr(&out));
    };
    let config = fs::read_to_string(path("config.toml")).unwrap();
    fs::write(path("config.toml"), config.replace("seed = 0", "seed = 1")).unwrap();
    refused("'run.seed' differs");
    fs::write(path("config.toml"), &config[..config.len() / 2]).unwrap();
    refused("error: ");
    fs::remove_file(path("config.toml")).unwrap();
    refused("no config.toml");
    fs::write(path("config.toml"), config).unwrap();

    let previous = fs::read(path("checkpoint.previous.safetensors")).unwrap();
    flip("checkpoint.safetensors");
    flip("checkpoint.previous.safetensors");
    refused("no checkpoint that is whole");
    fs::write(path("checkpoint.previous.safetensors"), previous).unwrap();
    let out = resume();
    succeeds(&out);
    same_run(folder.path(), "whole", "run");
}

/// Checks that sizes beyond any machine are refused with the memory that they would need, before it is asked for (the process may
/// have 3 GB), and leave no folder.
#[test]
fn sizes_beyond_any_machine() {
    let folder = folder();
    for more in [
        &["two.toml", "--batch", "1000000000000"][..],
        &["two.toml", "--set", "centres=9000000000000000000"],
        &["two.toml", "--set", "hidden=[10000000, 10000000]"],
        &["two.toml", "--set", "codes=1000000000000"],
        &["two.toml", "--set", "search_particles=1000000000000"],
        &["two.toml", "--set", "draws=1000000000000000"],
        &["funnel-1000000000"],
        &["many-well-1000000000000"],
    ] {
        let out = limited(
            folder.path(),
            "ulimit -v 3000000",
            &[&["train"], more, &["--threads", "1", "--out", "run"]].concat(),
        );
        assert_eq!(out.status.code(), Some(2), "{more:?}: {}", stderr(&out));
        let said = stderr(&out);
        assert!(said.contains("of memory") && said.contains("are free"), "{more:?}: {said}");
        assert!(!names(folder.path()).iter().any(|n| n.contains("run")), "{more:?}");
    }
    let out = limited(folder.path(), "ulimit -v 3000000", &[&SMALL[..], &["--threads", "1000000000"]].concat());
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
}
