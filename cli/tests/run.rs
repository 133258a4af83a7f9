//! `train` and `sample`: what a run leaves, that it can be repeated, and that nothing is lost when things go wrong.

mod common;

use common::{ends, pushforward};
use pushforward_cli::files::json;
use pushforward_cli::files::samples::read_samples;
use std::fs;
use std::path::Path;
use std::process::Output;

/// A small mixture and arguments for a run of a second: what it learns does not matter here.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "kind = \"gaussian-mixture\"\nweights = [0.5, 0.5]\nmeans = [[0, 0], [3, 1]]\nstd = 0.5\n";
    fs::write(folder.path().join("two.toml"), text).unwrap();
    let small =
        "[run]\nsteps = 20\n[model]\nbatch = 64\ncodes = 8\nhidden = [8]\ncentres = 128\nsearch_particles = 512\n";
    fs::write(folder.path().join("small.toml"), small).unwrap();
    folder
}

fn train(folder: &Path, more: &[&str]) -> Output {
    pushforward(folder, &[&["train", "two.toml", "--config", "small.toml"], more].concat())
}

fn succeeds(out: Output) {
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Checks that a run leaves every promised file and nothing beside them, is repeated bit for bit by its config.toml on another number
/// of threads (and without the target's file), is never overwritten unasked, and gives its samples again through `sample`.
#[test]
fn a_run_can_be_repeated() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    succeeds(train(folder.path(), &["--seed", "5", "--threads", "1"]));
    let run = "runs/two-reverse-kl-seed5";
    let mut names: Vec<String> =
        fs::read_dir(at(run)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "config.toml",
            "metrics.jsonl",
            "model.safetensors",
            "pictures.safetensors",
            "report.html",
            "resampled.npy",
            "samples.npy",
            "summary.json"
        ]
    );
    assert_eq!(fs::read_dir(at("runs")).unwrap().count(), 1);
    assert_eq!(
        fs::read_to_string(at(run).join("metrics.jsonl")).unwrap().lines().count(),
        21,
        "a line with the names, then one a step"
    );

    let refused = train(folder.path(), &["--seed", "5"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));

    fs::remove_file(at("two.toml")).unwrap();
    succeeds(pushforward(
        folder.path(),
        &["train", "--config", &format!("{run}/config.toml"), "--threads", "3", "--out", "again"],
    ));
    let same = |name: &str| fs::read(at(run).join(name)).unwrap() == fs::read(at("again").join(name)).unwrap();
    assert!(same("samples.npy") && same("metrics.jsonl"));

    succeeds(pushforward(folder.path(), &["sample", run, "-n", "10000", "--seed", "5", "-o", "s.npy"]));
    assert!(fs::read(at("s.npy")).unwrap() == fs::read(at(run).join("samples.npy")).unwrap());
    succeeds(pushforward(folder.path(), &["sample", run, "-n", "70000", "-o", "s.csv"]));
    assert_eq!(fs::read_to_string(at("s.csv")).unwrap().lines().count(), 70_001);

    // A damaged model is refused, and a file that was there before stays.
    let model = at(run).join("model.safetensors");
    let mut bytes = fs::read(&model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&model, bytes).unwrap();
    let before = fs::read(at("s.csv")).unwrap();
    let damaged = pushforward(folder.path(), &["sample", run, "-n", "10", "-o", "s.csv"]);
    assert_eq!(damaged.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&damaged.stderr).contains("checksum"));
    assert!(fs::read(at("s.csv")).unwrap() == before);
}

/// Checks that a divergence typed as a formula works in `list`, `particles` and `train` (`verify` has its own test): Jensen–Shannon in its own words
/// moves particles as the table's does, to rounding; and a weight in config.toml is kept with the run, which repeats bit for bit.
#[test]
fn typed_divergences() {
    let folder = folder();
    let listed = pushforward(folder.path(), &["list", "divergences", "w(u) = u^0.7"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("w(u) = u^0.7") && listed.contains("0.7000 where r → 0"), "{listed}");
    let particles = |divergence: &str, out: &str| {
        let short = ["--time", "0.5", "--dt", "0.1", "-n", "64", "--seed", "3", "--out", out];
        ends(&pushforward(
            folder.path(),
            &[&["particles", "two.toml", "--divergence", divergence], &short[..]].concat(),
        ));
        read_samples(&folder.path().join(out).join("samples.npy")).unwrap().into_vec()
    };
    let row = particles("jensen-shannon", "row");
    let typed = particles("f(u) = (u*log(u) - (1 + u)*log((1 + u)/2))/2", "typed");
    let other = particles("reverse-kl", "other");
    let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    // five steps of size one, each with a weight that is known to 1e-12
    assert!(
        apart(&row, &typed) < 1e-9 && apart(&row, &other) > 1e-3,
        "{} {}",
        apart(&row, &typed),
        apart(&row, &other)
    );
    let config = fs::read_to_string(folder.path().join("small.toml")).unwrap();
    let typed = format!("{config}[velocity]\ndivergence = \"w(u) = u^0.7\"\n");
    fs::write(folder.path().join("small.toml"), typed).unwrap();
    ends(&train(folder.path(), &["--seed", "5", "--out", "first"]));
    let kept = fs::read_to_string(folder.path().join("first/config.toml")).unwrap();
    assert!(kept.contains("divergence = \"w(u) = u^0.7\""), "{kept}");
    ends(&pushforward(folder.path(), &["train", "--config", "first/config.toml", "--out", "again"]));
    let samples = |run: &str| fs::read(folder.path().join(run).join("samples.npy")).unwrap();
    assert!(samples("first") == samples("again"));
}

/// Checks that a formula with a support trains, that its samples are written inside the support by `train` and by `sample`, the same from both,
/// also without the target's file, that `evaluate` takes them, and that both say which coordinates the figures are in.
#[test]
fn a_formula_with_a_support() {
    let folder = folder();
    let text = "kind = \"formula\"\ndim = 5\nlog_density = \"dot([1, 2, 3], log(x[1:3])) - x4 - x5^2\"\n\
                [support]\n\"x1:x3\" = \"simplex\"\nx4 = \"positive\"\nx5 = [-1, 1]\n";
    fs::write(folder.path().join("shares.toml"), text).unwrap();
    for arguments in [
        &["train", "shares.toml", "--config", "small.toml", "--out", "run"][..],
        &["evaluate", "shares.toml", "run/samples.npy"],
    ] {
        let out = pushforward(folder.path(), arguments);
        assert!(String::from_utf8_lossy(&out.stdout).contains("the unconstrained"), "{arguments:?}");
        succeeds(out);
    }
    let page = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(page.contains("is in the unconstrained coordinates, with the Jacobian, in which it was learnt"));
    fs::remove_file(folder.path().join("shares.toml")).unwrap();
    succeeds(pushforward(folder.path(), &["sample", "run", "-n", "10000", "-o", "s.npy"]));
    assert!(fs::read(folder.path().join("s.npy")).unwrap() == fs::read(folder.path().join("run/samples.npy")).unwrap());
    succeeds(pushforward(folder.path(), &["sample", "run", "-n", "300", "-o", "s.csv"]));
    let table = fs::read_to_string(folder.path().join("s.csv")).unwrap();
    for line in table.lines().skip(1) {
        let x: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        assert!(
            (x[..3].iter().sum::<f64>() - 1.0).abs() < 1e-14 && x[..4].iter().all(|v| *v > 0.0) && x[4].abs() < 1.0
        );
    }
}

/// Checks that a regression trains from a table beside its file, that its run is repeated from another folder, that samples hold the noise itself
/// (positive) and not its logarithm, and that a run whose data have changed is not repeated in silence.
#[test]
fn a_regression_finds_its_data() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("study")).unwrap();
    fs::write(at("study/data.csv"), "a,y\n0,0.1\n1,1.2\n2,1.9\n3,3.2\n").unwrap();
    fs::write(at("study/line.toml"), "kind = \"linear-regression\"\ndata = \"data.csv\"\n").unwrap();
    succeeds(pushforward(folder.path(), &["train", "study/line.toml", "--config", "small.toml", "--out", "run"]));
    succeeds(pushforward(&at("study"), &["train", "--config", "../run/config.toml", "--out", "../again"]));
    assert!(fs::read(at("run/samples.npy")).unwrap() == fs::read(at("again/samples.npy")).unwrap());
    succeeds(pushforward(folder.path(), &["sample", "run", "-n", "100", "-o", "s.csv"]));
    let table = fs::read_to_string(at("s.csv")).unwrap();
    assert!(table.lines().skip(1).all(|line| line.split(',').nth(2).unwrap().parse::<f64>().unwrap() > 0.0));
    fs::write(at("study/data.csv"), "a,y\n0,0.1\n1,1.2\n2,1.9\n3,3.3\n").unwrap();
    let changed = pushforward(folder.path(), &["train", "--config", "run/config.toml", "--out", "third"]);
    assert_eq!(changed.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&changed.stderr).contains("has changed since the run"));
}

/// Checks that every mistake in the command line or the configuration ends with exit code 2, one line, and no run folder.
#[test]
fn mistakes_write_nothing() {
    let folder = folder();
    fs::write(folder.path().join("typo.toml"), "step = 3\n").unwrap();
    for (more, words) in [
        (&["--divergence", "reverse-kd"][..], &["reverse-kd", "reverse-kl"][..]),
        (&["--divergence", "total-variation"], &["le-cam"]),
        (&["--set", "lerning_rate=1"], &["lerning_rate", "learning_rate"]),
        (&["--set", "anneal=2"], &["anneal", "2"]),
        (&["--set", "hidden=[0]"], &["hidden"]),
        (&["--set", "scale=3"], &["centre and scale"]),
        (&["--steps", "0"], &["steps = 0"]),
        (&["--steps", "-7"], &["-7"]),
        (&["--steps", "many"], &["many"]),
        (&["--precision", "f16"], &["f16"]),
        (&["--config", "typo.toml"], &["step", "steps"]),
        (&["--out", "two.toml"], &["two.toml", "--force"]),
        (&["--out", "two.toml", "--force"], &["two.toml", "not a run folder"]),
    ] {
        let small = if more.contains(&"typo.toml") { vec![] } else { vec!["--config", "small.toml"] };
        let out = pushforward(folder.path(), &[&["train", "two.toml"], &small[..], more].concat());
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{more:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{more:?}: {stderr}");
        assert!(words.iter().all(|w| stderr.contains(w)), "{more:?}: {stderr}");
        assert!(!folder.path().join("runs").exists(), "{more:?}");
    }
}

/// Checks that a file system that is full in the middle of writing (a limit on the size of files stands in for it) gives exit code 1,
/// one line, and leaves neither a file nor a temporary.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing() {
    let folder = folder();
    succeeds(train(folder.path(), &["--out", "run"]));
    let command = "trap '' XFSZ; ulimit -f 64; exec \"$0\" sample run -n 1000000 -o s.npy";
    let out = std::process::Command::new("sh")
        .args(["-c", command, env!("CARGO_BIN_EXE_pushforward")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.lines().count() == 1 && stderr.contains("s.npy"), "{stderr}");
    let left = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.contains("s.npy")));
}

/// Checks that particles that go down a functional end with its second-order certificate, in words and in summary.json: the gradient of F, a
/// smallest eigenvalue below the largest in size, and which F; and that those along other velocities have none.
#[test]
fn particles_down_a_functional_are_certified() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["-n", "40", "--set", "steps=15", "--out", "run", "--force"];
    for (velocity, more, functional) in [
        ("newton", "samples=64", Some("mmd")),
        ("perturbed", "functional=ksd", Some("ksd")),
        ("stein", "width=1", None),
    ] {
        let arguments = [&["particles", "ring8", "--velocity", velocity, "--set", more][..], &small].concat();
        let out = pushforward(folder.path(), &arguments);
        ends(&out);
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert_eq!(said.contains("second order: F ("), functional.is_some(), "{velocity}: {said}");
        let summary = json::parse(&fs::read_to_string(folder.path().join("run/summary.json")).unwrap()).unwrap();
        let found = &summary["second_order"];
        assert_eq!(found["functional"].as_str(), functional);
        let at = |key: &str| found[key].as_f64();
        if functional.is_some() {
            let [gradient, lowest, largest] = ["gradient_norm", "lowest", "largest"].map(|key| at(key).unwrap());
            assert!(gradient > 0.0 && lowest.abs() <= largest, "{found}");
        }
    }
}

/// Checks a run on a torus by a formula with a period: 20 particles of the Coulomb kernel under the uniform law end at equal distances, to
/// e^{-8} of the circle for the time 8 (1 - h in place of e^{-h} is less), inside [0, 1); and that a period that the density has not, one of another
/// size, one beside a support and a law on R^d are refused in a sentence.
#[test]
fn particles_on_a_torus() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let formula = |log_density: &str, rest: &str| {
        format!("kind = \"formula\"\ndim = 1\nlog_density = \"{log_density}\"\n{rest}\n")
    };
    fs::write(at("circle.toml"), formula("0*x1", "period = [1]")).unwrap();
    let small = ["-n", "20", "--time", "8", "--dt", "0.1", "--out", "run"];
    let velocity = ["--velocity", "riesz", "--set", "order=1"];
    ends(&pushforward(folder.path(), &[&["particles", "circle.toml"][..], &velocity, &small].concat()));
    let mut x = read_samples(&at("run/samples.npy")).unwrap().into_vec();
    x.sort_by(f64::total_cmp);
    assert!(x.len() == 20 && x[0] >= 0.0 && x[19] < 1.0, "{x:?}");
    assert!(x.windows(2).all(|w| (w[1] - w[0] - 0.05).abs() < (-8.0f64).exp()), "{x:?}");
    for (log_density, rest, words) in [
        ("0.5*cos(2*pi*x1)", "period = [0.7]", "the density does not repeat itself with period 0.7 in coordinate 1"),
        ("0.5*cos(2*pi*x1)", "period = [1, 1]", "period has 2 numbers; give one for each of the 1 coordinates"),
        ("0.5*cos(2*pi*x1)", "period = [-1]", "period = -1 is out of range"),
        ("0*x1", "period = [1]\n[support]\nx1 = \"positive\"", "period stands beside a support"),
        ("-x1^2", "", "the velocity 'riesz' lives on a torus, and this target on R^d"),
    ] {
        fs::write(at("bad.toml"), formula(log_density, rest)).unwrap();
        let out = pushforward(folder.path(), &["particles", "bad.toml", "--velocity", "riesz"]);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && said.contains(words), "{rest}: {said}");
    }
}
