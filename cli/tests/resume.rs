//! Runs that stop and go on: by Ctrl-C, by a time limit, by kill -9; the result is that of a run that never stopped, to the last bit.
#![cfg(unix)]

mod common;

use common::{folder, names, pushforward, same_run, signal, spawn, stderr, stopped, succeeds, wait_for};
use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

/// Small numbers without a pattern (splitmix64); good enough to choose moments.
fn scatter(k: u64) -> u64 {
    let mut z = k.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z ^ (z >> 31)
}

const SMALL: [&str; 4] = ["train", "two.toml", "--config", "small.toml"];

/// Trains by `config`, is killed at a moment that depends on k, goes on and may be killed again, until it is complete. How often it was killed.
///
/// Most moments lie in the training, where checkpoints are written all the time; one in five anywhere in the whole run.
fn killed_until_complete(folder: &Path, config: &str, k: u64, whole: Duration) -> u64 {
    let run = format!("killed{k}");
    let mut kills = 0;
    for attempt in 0.. {
        let random = scatter(1_000 * k + attempt);
        let longest = if random.is_multiple_of(5) { whole } else { whole.min(Duration::from_millis(400)) };
        let threads = format!("{}", 1 + random % 3);
        let every = ["--checkpoint-every", "1ms", "--threads", &threads];
        let fresh = !folder.join(&run).exists();
        let start = if fresh {
            vec!["train", "two.toml", "--config", config, "--out", &run]
        } else {
            vec!["train", "--resume", &run]
        };
        let mut child = spawn(folder, &[&start[..], &every].concat());
        let wait = longest.mul_f64((random >> 20) as f64 / (1u64 << 44) as f64);
        // the ninth attempt is left in peace
        if attempt < 8 {
            let moment = Instant::now() + wait;
            while child.try_wait().unwrap().is_none() && Instant::now() < moment {
                std::thread::sleep(Duration::from_micros(200));
            }
            let _ = child.kill();
        }
        let out = child.wait_with_output().unwrap();
        if out.status.code() == Some(0) {
            break;
        }
        assert_eq!(out.status.code(), None, "killed, or else: {}", stderr(&out));
        kills += 1;
    }
    kills
}

fn kills(config: &str, count: u64) {
    let folder = folder();
    let start = Instant::now();
    let whole = ["train", "two.toml", "--config", config, "--out", "whole", "--checkpoint-every", "1ms"];
    succeeds(&pushforward(folder.path(), &whole));
    let whole = start.elapsed();
    let (mut kills, mut k) = (0, 0);
    while kills < count {
        kills += killed_until_complete(folder.path(), config, k, whole);
        same_run(folder.path(), "whole", &format!("killed{k}"));
        fs::remove_dir_all(folder.path().join(format!("killed{k}"))).unwrap();
        k += 1;
    }
    // nothing is left beside the runs, except a folder under construction of a run whose first process was killed while it made it
    let left = names(folder.path());
    assert!(left.iter().all(|n| !n.contains("killed") || n.contains(".partial-")), "{left:?}");
    println!("{config}: {kills} kills in {k} runs: all {k} end with the bits of the run that was never killed");
}

/// Checks that a run that is killed (SIGKILL) at random moments of its life, again and again, and resumed on other numbers of threads,
/// ends with the model, samples and curves of a run that was never killed, and with no file beside them: a generator, and flows by both
/// objectives.
#[test]
fn killed_at_random() {
    kills("small.toml", 25);
    kills("flow.toml", 12);
    kills("flow-lv.toml", 12);
}

/// The same, a generator 1,000 times (or `PUSHFORWARD_KILLS` times) and flows by each objective a third as often.
#[test]
#[ignore = "minutes"]
fn killed_a_thousand_times() {
    let count = std::env::var("PUSHFORWARD_KILLS").map_or(1_000, |n| n.parse().unwrap());
    kills("small.toml", count);
    kills("flow.toml", count.div_ceil(3));
    kills("flow-lv.toml", count.div_ceil(3));
}

/// Checks that Ctrl-C ends a training with exit code 130 before its last step, says how to go on, leaves a model that can
/// be sampled and a checkpoint, and that the run then ends as if nothing had happened, also when it is stopped again.
#[test]
fn ctrl_c_and_going_on() {
    let folder = folder();
    let long = ["--steps", "1500", "--out"];
    succeeds(&pushforward(folder.path(), &[&SMALL[..], &long, &["whole"]].concat()));
    let out = stopped(folder.path(), &[&SMALL[..], &long, &["run"]].concat(), "run");
    assert!(stderr(&out).contains("continue with: pushforward train --resume run"), "{}", stderr(&out));
    let summary = fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
    assert!(summary.contains("\"ending\": \"interrupted\""), "{summary}");
    succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "10", "-o", "s.csv"]));
    let refused = pushforward(folder.path(), &[&SMALL[..], &long, &["run"]].concat());
    assert!(stderr(&refused).contains("--resume run"), "{}", stderr(&refused));

    stopped(folder.path(), &["train", "--resume", "run", "--threads", "1"], "run");
    succeeds(&pushforward(folder.path(), &["train", "--resume", "run", "--threads", "3"]));
    same_run(folder.path(), "whole", "run");
    let out = pushforward(folder.path(), &["train", "--resume", "run"]);
    succeeds(&out);
    assert!(String::from_utf8_lossy(&out.stdout).contains("nothing to go on with"));
}

/// Checks that `--max-time` ends a training that would last for days with exit code 0, says how to go on, and that it
/// also ends one that goes on. (Where the limit were not kept, this test would not end.)
#[test]
fn time_limit() {
    let folder = folder();
    let long = ["--steps", "1000000000", "--max-time", "5s", "--out", "run"];
    for arguments in [&[&SMALL[..], &long].concat()[..], &["train", "--resume", "run", "--max-time", "5s"]] {
        let out = pushforward(folder.path(), arguments);
        succeeds(&out);
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains("stopped by --max-time after step") && said.contains("--resume run"), "{said}");
        let summary = fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
        assert!(summary.contains("\"ending\": \"time-limit\""), "{summary}");
    }
}

/// Checks that Ctrl-C in the middle of a step of many seconds gives up that step, which is the first, and leaves a
/// checkpoint; that in the search for the target's scale it gives up the search, whose end would have begun the training,
/// and leaves nothing; and that a second signal ends the process without any of that.
#[test]
fn ctrl_c_in_long_work() {
    let folder = folder();
    let ends = |child: Child, signals: &[&str], code: i32| {
        signal(&child, signals);
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{}", stderr(&out));
        stderr(&out)
    };
    let huge = ["--set", "centres=4000000", "--batch", "200000", "--out", "slow"];
    let mut child = spawn(folder.path(), &[&SMALL[..], &huge].concat());
    let checkpoint = folder.path().join("slow/checkpoint.safetensors");
    wait_for(&mut child, "a checkpoint", || checkpoint.exists());
    let said = ends(child, &["INT"], 130);
    assert!(said.contains("after step 0 of 60") && said.contains("continue with"), "{said}");
    assert!(checkpoint.exists());

    // 128 dimensions make the search last many seconds
    let search = folder.path().join("search");
    let begin = || {
        let mut child = spawn(folder.path(), &["train", "funnel-128", "--out", "search"]);
        wait_for(&mut child, "a folder", || search.exists());
        child
    };
    let said = ends(begin(), &["INT"], 130);
    assert!(said.contains("nothing was changed") && !search.exists(), "{said}");

    let said = ends(begin(), &["INT", "TERM"], 143);
    assert!(said.contains("stopped by SIGTERM") && !said.contains("nothing was changed"), "{said}");
    // the folder of a process that ended without a word holds the configuration: it can be resumed or replaced
    assert_eq!(names(&search), [".lock", "config.toml"]);
}
