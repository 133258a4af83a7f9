//! `pushforward compare`: its files, that it repeats, that mistakes and Ctrl-C leave nothing half done.

mod common;

use common::pushforward;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Arguments of a comparison of a second.
const SMALL: &[&str] = &[
    "compare",
    "ring8",
    "--steps",
    "12",
    "--set",
    "batch=64",
    "--set",
    "centres=128",
    "--set",
    "hidden=[8]",
    "--set",
    "codes=8",
];

fn compare(folder: &Path, more: &[&str]) -> std::process::Output {
    pushforward(folder, &[SMALL, more].concat())
}

/// Removes what a clock decides.
fn without_times(mut answer: Value) -> Value {
    answer["threads"] = Value::Null;
    for cell in answer["cells"].as_array_mut().unwrap() {
        cell["summary"]["seconds"] = Value::Null;
        cell["trials"].as_array_mut().unwrap().iter_mut().for_each(|t| t["seconds"] = Value::Null);
    }
    answer
}

/// Checks that a comparison has a cell for each divergence with a trial for each seed, figures with floors and a transient from step 0 to
/// the last; that it is written as it is printed, beside a report; that it repeats bit for bit on another number of threads; and that it
/// replaces a former one only with --force.
#[test]
fn a_comparison_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let more = ["--divergences", "reverse-kl, pearson,reverse-kl", "--seeds", "2", "--json"];
    let run = |threads: &str| {
        let out = Command::new(env!("CARGO_BIN_EXE_pushforward"))
            .args([SMALL, &more, &["--out", threads]].concat())
            .env("RAYON_NUM_THREADS", threads)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        let printed: Value = serde_json::from_slice(&out.stdout).unwrap();
        let written = fs::read(folder.path().join(threads).join("comparison.json")).unwrap();
        assert_eq!(printed, serde_json::from_slice::<Value>(&written).unwrap());
        printed
    };
    let answer = run("1");
    let cells = answer["cells"].as_array().unwrap();
    let names: Vec<&str> = cells.iter().map(|c| c["divergence"].as_str().unwrap()).collect();
    assert_eq!(names, ["reverse-kl", "pearson"]);
    for cell in cells {
        let trials = cell["trials"].as_array().unwrap();
        assert_eq!(trials.iter().map(|t| t["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 1]);
        for t in trials {
            let steps: Vec<u64> =
                t["transient"].as_array().unwrap().iter().map(|p| p["step"].as_u64().unwrap()).collect();
            assert!(steps[0] == 0 && steps.last() == Some(&12), "{steps:?}");
        }
        for key in ["modes_covered", "mode_mass_tv", "sliced_w2", "mean_log_density"] {
            assert!(cell["summary"][key]["mean"].is_f64() && answer["floors"][key]["mean"].is_f64(), "{key}: {cell}");
        }
    }
    assert!(without_times(answer) == without_times(run("3")), "the bits depend on the number of threads");
    let report = fs::read_to_string(folder.path().join("1/report.html")).unwrap();
    assert!(report.contains("During training") && report.contains("pearson"));
    let refused = compare(folder.path(), &["--out", "1"]);
    assert!(refused.status.code() == Some(2) && String::from_utf8_lossy(&refused.stderr).contains("--force"));
    let replaced = compare(folder.path(), &["--out", "1", "--force", "--seeds", "1", "--divergences", "reverse-kl"]);
    let table = String::from_utf8_lossy(&replaced.stdout).into_owned();
    assert!(replaced.status.code() == Some(0) && table.contains("exact samples"), "{table}");
}

/// Checks that flows stand beside generators: a cell for each divergence and each reference, all with the certificate's figures.
#[test]
fn flows_stand_beside_generators() {
    let folder = tempfile::tempdir().unwrap();
    let more =
        ["--methods", "kde,flow,flow-lv", "--divergences", "reverse-kl,forward-kl", "--references", "model,replay"];
    let out = compare(
        folder.path(),
        &[&more[..], &["--seeds", "1", "--json", "--out", "c", "--set", "components=8"]].concat(),
    );
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    let cells = answer["cells"].as_array().unwrap();
    let text = |c: &Value, key: &str| c[key].as_str().unwrap().to_string();
    let names: Vec<_> = cells.iter().map(|c| (text(c, "method"), text(c, "divergence"))).collect();
    let expected = [
        ("kde", "reverse-kl"),
        ("kde", "forward-kl"),
        ("flow", "reverse-kl"),
        ("flow", "forward-kl"),
        ("flow-lv", "log-variance, model"),
        ("flow-lv", "log-variance, replay"),
    ];
    assert_eq!(names, expected.map(|(a, b)| (a.to_string(), b.to_string())));
    for cell in cells {
        for key in ["reverse_ess", "forward_ess", "log_z_error", "pareto_k"] {
            assert!(cell["summary"][key]["mean"].is_f64(), "{key}: {cell}");
        }
    }
    let report = fs::read_to_string(folder.path().join("c/report.html")).unwrap();
    assert!(report.contains("log-variance, replay") && report.contains("ESS, reverse"));
}

/// Checks that mistakes end with exit code 2 and one sentence that lists near names, before anything is trained or written.
#[test]
fn mistakes_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (more, words) in [
        (&["--methods", "kd"][..], &["unknown method 'kd'", "kde"][..]),
        (&["--divergences", "reverse-kl,pearsn"], &["pearsn", "pearson"]),
        (&["--divergences", "total-variation"], &["le-cam"]),
        (&["--set", "lerning_rate=1"], &["lerning_rate", "learning_rate"]),
        (&["--methods", "kde", "--set", "anneal=2"], &["anneal", "2"]),
        (&["--methods", "kde,flow-lv", "--references", "replai"], &["replai", "replay"]),
        (&["--seeds", "0"], &["seeds"]),
        (&["--steps", "0"], &["steps"]),
    ] {
        let out = compare(folder.path(), more);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{more:?}: {stderr}");
        assert!(words.iter().all(|w| stderr.contains(w)), "{more:?}: {stderr}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{more:?}");
    }
}

/// Checks that Ctrl-C ends a comparison with exit code 130: the complete runs are kept and said to be, the one under way is not.
#[cfg(unix)]
#[test]
fn interrupt_keeps_complete_runs() {
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_pushforward"))
        .args([SMALL, &["--seeds", "1000", "--divergences", "reverse-kl", "--out", "c", "--json"]].concat())
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // a run takes less than a second, a thousand of them minutes
    std::thread::sleep(Duration::from_secs(6));
    let sent = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().unwrap();
    assert!(sent.success());
    let out = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(130), "{stderr}");
    let names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    if stderr.contains("nothing was written") {
        // a machine so loaded that the first run took six seconds
        assert!(names.is_empty(), "{names:?}");
        return;
    }
    assert_eq!(names, ["c"]);
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["ending"], "interrupted");
    let trials = answer["cells"][0]["trials"].as_array().unwrap();
    assert!(!trials.is_empty() && trials.iter().all(|t| t["steps"] == 12 && t["failure"].is_null()), "{trials:?}");
}

/// Checks that methods stand side by side at equal numbers of evaluations: none spends more than its budget, what they spend grows along
/// the curves, and the search has log Z; that a name that is none, and a budget that is too small, are refused in a sentence and nothing is
/// written.
#[test]
fn a_budget_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let with = |methods: &str, budget: &str| {
        pushforward(
            folder.path(),
            &["compare", "ring8", "--methods", methods, "--budget", budget, "--seeds", "1", "--json", "--out", "c"],
        )
    };
    for (methods, budget, words) in
        [("smcc", "500000", "smcc"), ("ula", "1000", "too small"), ("smc", "1000", "too small")]
    {
        let out = with(methods, budget);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && said.contains(words), "{methods}: {said}");
        assert!(!folder.path().join("c").exists());
    }
    let budget = 500_000;
    let out = with("smc,ula,stein", &budget.to_string());
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["budget"], budget);
    for cell in answer["cells"].as_array().unwrap() {
        let trial = &cell["trials"][0];
        let of = |phase: &str| ["log_density", "score"].map(|kind| trial["evaluations"][phase][kind].as_u64().unwrap());
        let all: u64 = [of("search"), of("training")].concat().iter().sum();
        assert!(all <= budget && 10 * all >= 8 * budget, "{all}: {cell}");
        let moments = trial["transient"].as_array().unwrap();
        let calls: Vec<u64> = moments.iter().map(|p| p["evaluations"].as_u64().unwrap()).collect();
        assert!(calls.is_sorted() && calls.last() == Some(&all), "{calls:?}");
        assert_eq!(cell["summary"]["log_z_error"].is_object(), cell["method"] == "smc", "{cell}");
    }
    let page = fs::read_to_string(folder.path().join("c/report.html")).unwrap();
    assert!(page.contains("evaluations of the target") && page.contains("500,000"));
}

/// Checks that a comparison in which some runs did not sample the target writes all its files and ends with exit code 3 and a sentence for each of
/// them: one whose step is ten times too long, so that its particles are thrown out while those that are accepted or rejected stay, and one that
/// is given up.
#[test]
fn lost_rows_end_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let narrow = "kind = \"formula\"\ndim = 1\nlog_density = \"-0.5*(x1/0.01)^2\"\n";
    fs::write(folder.path().join("narrow.toml"), narrow).unwrap();
    let thrown = ["narrow.toml", "--methods", "ula,mala", "--set", "dt=0.001", "--steps", "4"];
    let given_up = ["ring8", "--methods", "kde,ula", "--set", "learning_rate=1e300", "--steps", "4"];
    for (what, words, lost) in [
        (thrown, ["ula, –, seed 0 has samples far out", "1 of 2 runs"], 0),
        (given_up, ["was given up at step", "runs did not"], 0),
    ] {
        let tail = ["--seeds", "1", "--divergences", "reverse-kl", "--json", "--out", "c", "--force"];
        let out = pushforward(folder.path(), &[&["compare"][..], &what, &tail].concat());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(3), "{said}");
        assert!(words.iter().all(|w| said.contains(w)), "{said}");
        let text = fs::read_to_string(folder.path().join("c/comparison.json")).unwrap();
        // a run that was given up leaves numbers that are not finite
        let answer = pushforward_cli::files::json::parse(&text).unwrap();
        let trial = |k: usize| &answer["cells"][k]["trials"][0];
        let far = |k: usize| trial(k)["virial"].as_f64().is_none_or(|v| v > 25.0);
        assert!(answer["ending"] == "complete" && far(lost) && !far(1 - lost), "{answer}");
        let page = fs::read_to_string(folder.path().join("c/report.html")).unwrap();
        assert!(page.contains("seed 0"));
    }
}
