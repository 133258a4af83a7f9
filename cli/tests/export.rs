//! Files for other tools: what is in them, and that the real Python packages open them where they are installed (`PUSHFORWARD_PYTHON` names an
//! interpreter; `python3` by default).

mod common;

use common::pushforward;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A folder with a run of a formula with a support.
fn run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "kind = \"formula\"\ndim = 2\nlog_density = \"-0.5*x1^2 - x2\"\nsupport = { x2 = \"positive\" }\n";
    fs::write(folder.path().join("t.toml"), text).unwrap();
    fs::write(
        folder.path().join("small.toml"),
        "[run]\nsteps = 10\n[model]\nbatch = 64\nhidden = [8]\ncentres = 128\nsearch_particles = 512\n",
    )
    .unwrap();
    command(folder.path(), &["train", "t.toml", "--config", "small.toml", "--out", "run"]);
    folder
}

fn command(folder: &Path, arguments: &[&str]) {
    let out = pushforward(folder, arguments);
    assert_eq!(out.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Runs a script with packages; says so and returns where they are missing.
fn python(folder: &Path, packages: &str, script: &str) {
    let interpreter = std::env::var("PUSHFORWARD_PYTHON").unwrap_or_else(|_| "python3".into());
    let python = |text: &str| Command::new(&interpreter).args(["-c", text]).current_dir(folder).output();
    if !python(&format!("import {packages}")).is_ok_and(|out| out.status.success()) {
        println!("skipped: {interpreter} has no {packages}");
        return;
    }
    let out = python(&format!("import {packages}\n{script}")).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Checks that every format holds the run's samples and their log p~ (of log x2, so -x1²/2 - x2 + log x2), read back here: npz by `evaluate` and
/// `sample`, csv and JSON by parsers of their own.
#[test]
fn formats_hold_the_samples() {
    let folder = run();
    let at = |name: &str| folder.path().join("run").join(name);
    for format in ["npz", "csv", "arviz"] {
        command(folder.path(), &["export", "run", "--format", format]);
    }
    command(folder.path(), &["evaluate", "t.toml", "run/samples.npz"]);
    command(folder.path(), &["sample", "run", "-n", "10000", "-o", "s.npz"]);
    let npy = fs::read(at("samples.npy")).unwrap();
    let holds = |file: &Path, npy: &[u8]| fs::read(file).unwrap().windows(npy.len()).any(|w| w == npy);
    assert!(holds(&folder.path().join("s.npz"), &npy));
    // an export holds the file that the summary says to use
    let summary: serde_json::Value = serde_json::from_slice(&fs::read(at("summary.json")).unwrap()).unwrap();
    let used = summary["use"].as_str().filter(|name| *name != "none").unwrap_or("samples.npy");
    assert!(holds(&at("samples.npz"), &fs::read(at(used)).unwrap()));
    let json: serde_json::Value = serde_json::from_slice(&fs::read(at("samples.arviz.json")).unwrap()).unwrap();
    let csv = fs::read_to_string(at("samples.csv")).unwrap();
    let number = |v: &serde_json::Value| v.as_f64().unwrap();
    for (k, line) in csv.lines().skip(1).enumerate() {
        let x: Vec<f64> = line.split(',').map(|c| c.parse().unwrap()).collect();
        let (a, b) = (number(&json["posterior"]["x1"][0][k]), number(&json["posterior"]["x2"][0][k]));
        // the file has every digit; this reader of JSON may be off in the last one
        let close = |a: f64, b: f64| (a - b).abs() <= 2.0 * f64::EPSILON * b.abs();
        assert!(close(a, x[0]) && close(b, x[1]), "{k}");
        let lp = number(&json["sample_stats"]["lp"][0][k]);
        let exact = -0.5 * x[0] * x[0] - x[1] + x[1].ln();
        assert!((lp - exact).abs() < 1e-12 * (1.0 + exact.abs()), "{k}");
    }
    assert_eq!(csv.lines().count(), 10_001);
    assert_eq!(json["attrs"]["inference_library"], "pushforward");
    let out = pushforward(folder.path(), &["export", "nowhere", "--format", "npz"]);
    assert_eq!(out.status.code(), Some(2));
}

/// Checks that NumPy and ArviZ open the files: shapes, (chain, draw) first, lp, attributes, a summary.
#[test]
fn python_opens_them() {
    let folder = run();
    command(folder.path(), &["export", "run", "--format", "npz"]);
    command(folder.path(), &["export", "run", "--format", "arviz"]);
    python(
        folder.path(),
        "numpy",
        "z = numpy.load('run/samples.npz')\n\
         assert sorted(z) == ['log_density', 'samples'] and z['samples'].shape == (10000, 2) and z['log_density'].shape == (10000, 1)\n\
         import json\n\
         used = json.load(open('run/summary.json'))['use']\n\
         assert (z['samples'] == numpy.load('run/' + (used if used != 'none' else 'samples.npy'))).all()\n\
         numpy.savez('back.npz', z['samples'])\n",
    );
    if folder.path().join("back.npz").exists() {
        command(folder.path(), &["evaluate", "t.toml", "back.npz"]);
    }
    python(
        folder.path(),
        "arviz",
        "import json\n\
         if hasattr(arviz, 'from_json'):\n    d = arviz.from_json('run/samples.arviz.json')\n\
         else:\n    j = json.load(open('run/samples.arviz.json')); j.pop('attrs'); d = arviz.from_dict(j)\n\
         assert d['posterior']['x1'].dims == ('chain', 'draw') and d['posterior']['x1'].shape == (1, 10000)\n\
         assert d['sample_stats']['lp'].shape == (1, 10000)\n\
         assert not hasattr(arviz, 'from_json') or d.attrs['inference_library'] == 'pushforward'\n\
         assert len(arviz.summary(d, kind='stats')) == 2\n",
    );
}
