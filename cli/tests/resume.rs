//! Runs that stop and go on: by Ctrl-C, by a time limit, by kill -9; the result is that of a run that never stopped, to the last bit.
#![cfg(unix)]

mod common;

use common::{folder, names, pushforward, same_run, stderr, succeeds};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushforward"));
    command.args(arguments).current_dir(folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).status().unwrap();
    assert!(sent.success());
}

fn wait_for(what: &Path) {
    let start = Instant::now();
    while !what.exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "{} does not appear", what.display());
        std::thread::sleep(Duration::from_millis(2));
    }
}

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
        let deadline = Instant::now() + if attempt < 8 { wait } else { Duration::from_secs(600) };
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_micros(200));
        }
        let _ = child.kill();
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

/// Checks that Ctrl-C ends a training within a second with exit code 130, says how to go on, leaves a model that can be sampled and a
/// checkpoint, and that the run then ends as if nothing had happened, also when it is stopped a second time by the time limit.
#[test]
fn ctrl_c_and_time_limit() {
    let folder = folder();
    let long = ["--steps", "1500", "--out"];
    succeeds(&pushforward(folder.path(), &[&SMALL[..], &long, &["whole"]].concat()));
    let child = spawn(folder.path(), &[&SMALL[..], &long, &["run"]].concat());
    wait_for(&folder.path().join("run/checkpoint.safetensors"));
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "INT");
    let asked = Instant::now();
    let out = child.wait_with_output().unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(out.status.code(), Some(130), "{}", stderr(&out));
    assert!(stderr(&out).contains("continue with: pushforward train --resume run"), "{}", stderr(&out));
    let summary = fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
    assert!(summary.contains("\"ending\": \"interrupted\""), "{summary}");
    succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "10", "-o", "s.csv"]));
    let refused = pushforward(folder.path(), &[&SMALL[..], &long, &["run"]].concat());
    assert!(stderr(&refused).contains("--resume run"), "{}", stderr(&refused));

    let start = Instant::now();
    let out = pushforward(folder.path(), &["train", "--resume", "run", "--max-time", "800ms", "--threads", "1"]);
    assert!(start.elapsed() < Duration::from_millis(1_000), "{:?}", start.elapsed());
    succeeds(&out);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("stopped by --max-time after step") && said.contains("--resume run"), "{said}");

    succeeds(&pushforward(folder.path(), &["train", "--resume", "run", "--threads", "3"]));
    same_run(folder.path(), "whole", "run");
    let out = pushforward(folder.path(), &["train", "--resume", "run"]);
    succeeds(&out);
    assert!(String::from_utf8_lossy(&out.stdout).contains("nothing to go on with"));
}

/// Checks that Ctrl-C in the middle of a step of many seconds, and during the search for the target's scale, ends the process within a
/// second: the first with a checkpoint, the second without a trace. A second Ctrl-C ends it at once.
#[test]
fn ctrl_c_in_long_work() {
    let folder = folder();
    let huge = ["--set", "sample=4000000", "--batch", "200000", "--out", "slow"];
    let child = spawn(folder.path(), &[&SMALL[..], &huge].concat());
    wait_for(&folder.path().join("slow/checkpoint.safetensors"));
    std::thread::sleep(Duration::from_millis(50));
    let ends = |child: Child, signals: u32| {
        let asked = Instant::now();
        (0..signals).for_each(|_| {
            signal(&child, "INT");
            std::thread::sleep(Duration::from_millis(30));
        });
        let out = child.wait_with_output().unwrap();
        assert_eq!(out.status.code(), Some(130), "{}", stderr(&out));
        (asked.elapsed(), stderr(&out))
    };
    let (time, said) = ends(child, 1);
    assert!(time < Duration::from_secs(1) && said.contains("continue with"), "{time:?} {said}");
    assert!(folder.path().join("slow/checkpoint.safetensors").exists());

    // 128 dimensions make the search last many seconds
    let child = spawn(folder.path(), &["train", "funnel-128", "--out", "search"]);
    wait_for(&folder.path().join("search"));
    std::thread::sleep(Duration::from_millis(200));
    let (time, said) = ends(child, 1);
    assert!(time < Duration::from_secs(1) && said.contains("nothing was changed"), "{time:?} {said}");
    assert!(!folder.path().join("search").exists());

    let child = spawn(folder.path(), &["train", "funnel-128", "--out", "search"]);
    wait_for(&folder.path().join("search"));
    std::thread::sleep(Duration::from_millis(200));
    let (time, _) = ends(child, 2);
    assert!(time < Duration::from_millis(400), "{time:?}");
    // the folder of a process that ended without a word holds the configuration: it can be resumed or replaced
    assert_eq!(names(&folder.path().join("search")), [".lock", "config.toml"]);
}
