//! docs/format.md and examples/read_model.py are enough to compute with a model in NumPy, from its file alone (`PUSHFORWARD_PYTHON` names
//! an interpreter; `python3` by default).

mod common;

use common::{ends, pushforward};
use pushforward::linalg::Matrix;
use pushforward::model::Latent;
use pushforward::rng::Purpose;
use pushforward_cli::model::{self, Model};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Whatever reads models; None, said aloud, where it has no NumPy.
fn interpreter() -> Option<String> {
    let interpreter = std::env::var("PUSHFORWARD_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&interpreter).args(["-c", "import numpy"]).output().is_ok_and(|out| out.status.success());
    if !found {
        println!("skipped: {interpreter} has no numpy; set PUSHFORWARD_PYTHON to one that has");
    }
    found.then_some(interpreter)
}

fn python(interpreter: &str, folder: &Path, script: &str) -> Output {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let script = format!("import json, numpy as np\nfrom read_model import *\n{script}");
    let mut command = Command::new(interpreter);
    command.args(["-c", &script]).current_dir(folder).env("PYTHONPATH", reader);
    command.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap()
}

/// A law of which no coordinate is independent of the others.
const CHAIN: &str = "-0.5*(x1^2 + (x2 - x1^2)^2 + 1e-2*(x3 - 2*x1)^2)";

fn train(folder: &Path, formula: &str, arguments: &[&str]) {
    let text = format!("kind = \"formula\"\ndim = 3\nlog_density = \"{formula}\"\n");
    fs::write(folder.join("t.toml"), text).unwrap();
    let out = pushforward(folder, &[&["train", "t.toml", "--out", "run", "--steps", "40"], arguments].concat());
    ends(&out);
}

/// Checks flows of affine and spline couplings, with a mixture and with a copula behind: log q at samples of the run and points far from them
/// is that of `logpdf` and the forward map leads back, in f64 within 10⁻⁸ of 1 + |value|: rounding of 20 layers, conditioned by slopes of 10³.
/// A reader that takes other constants must fail.
#[test]
fn numpy_inverts_flows() {
    let Some(interpreter) = interpreter() else { return };
    for (coupling, components) in [("affine", "8"), ("spline", "1")] {
        let folder = tempfile::tempdir().unwrap();
        let components = format!("components={components}");
        let small = ["--set", "couplings=5", "--set", "hidden=[8,8]", "--batch", "128", "--set", &components];
        train(folder.path(), CHAIN, &[&["--method", "flow", "--coupling", coupling], &small[..]].concat());
        let make = "x = np.load('run/samples.npy')[:500]\n\
                    np.save('x.npy', np.vstack([x, x.mean(0) + 5*(x - x.mean(0))]))\n";
        assert!(python(&interpreter, folder.path(), make).status.success());
        let out = pushforward(folder.path(), &["logpdf", "run", "x.npy", "-o", "l.npy"]);
        assert_eq!(out.status.code(), Some(0));
        let script = |change: &str| {
            format!(
                "t, m = load('run/model.safetensors')\nassert m['format_version'] == '3'\n{change}\n\
                 x, l = np.load('x.npy'), np.load('l.npy').ravel()\nz, q = flow_inverse(t, m, x)\n\
                 back = flow_forward(t, m, z)\n\
                 assert np.abs(back - x).max() < 1e-8*(1 + np.abs(x).max()), np.abs(back - x).max()\n\
                 assert (np.abs(q - l) < 1e-8*(1 + np.abs(l))).all(), np.abs(q - l).max()\n"
            )
        };
        let out = python(&interpreter, folder.path(), &script(""));
        assert!(out.status.success(), "{coupling}: {}", String::from_utf8_lossy(&out.stderr));
        let wrong = "m['constants']['affine_reach'] = 1.0; m['constants']['min_slope'] = 0.1";
        assert!(!python(&interpreter, folder.path(), &script(wrong)).status.success(), "{coupling}");
    }
}

/// Checks that generators in NumPy map the latent points of the library to the same x, within 10⁻⁴ of their spread: the library computes in
/// f32, of three layers, and NumPy in f64; with noise and one code a row, and with codes of two independent blocks. Without the bend of the network,
/// and with the pieces of other codes, it must fail.
#[test]
fn numpy_maps_a_generator() {
    let Some(interpreter) = interpreter() else { return };
    let small = ["--set", "hidden=[8,8]", "--set", "codes=16", "--set", "search_particles=1024", "--batch", "128"];
    let one = [&["--method", "generator", "--set", "centres=128"], &small[..]].concat();
    let blocks = [&["--method", "score"], &small[..]].concat();
    let product = "-0.5*(x1^2 + (x2 - x1^2)^2) - (x3^2 - 1)^2";
    let other_pieces = "t['latent.means'] = t['latent.means'][::-1]";
    // three numbers are four particles on a line as well
    let hidden = ["--set", "hidden=[8,8]", "--set", "codes=0", "--set", "model.equivariant=[4,1]", "--batch", "128"];
    let particles = [&["--method", "score", "--set", "search_particles=1024"], &hidden[..]].concat();
    let other_moves = "t['network.layer1.move'] = -t['network.layer1.move']";
    let cases = [
        (CHAIN, one, "m['constants']['bend'] = 0.01"),
        (product, blocks, other_pieces),
        (CHAIN, particles, other_moves),
    ];
    for (formula, arguments, wrong) in cases {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), formula, &arguments);
        let Model::F32(g) = model::load(&folder.path().join("run/model.safetensors")).unwrap() else {
            panic!("another model")
        };
        let several = matches!(g.latent, Latent::Product { .. });
        assert_eq!(several, formula == product);
        let latent = g.draw(300, false, (5, Purpose::Check, 0));
        let rows = |m: &Matrix<f32>| m.iter_rows().map(|r| r.to_vec()).collect::<Vec<_>>();
        let x = g.frame.restore(&g.map(&latent));
        let points = json!({
            "z": rows(&latent.noise), "xi": latent.jitter.as_ref().map(rows), "codes": latent.codes,
            "x": x.iter_rows().map(|r| r.to_vec()).collect::<Vec<_>>(),
        });
        fs::write(folder.path().join("points.json"), points.to_string()).unwrap();
        let script = |change: &str| {
            format!(
                "t, m = load('run/model.safetensors')\n{change}\np = json.load(open('points.json'))\n\
                 z, xi, x = (np.array(p[k]) for k in ('z', 'xi', 'x'))\n\
                 own = generator(t, m, z, xi, np.array(p['codes']))\n\
                 assert (np.abs(own - x) < 1e-4*x.std(0)).all(), np.abs(own - x).max()\n"
            )
        };
        let out = python(&interpreter, folder.path(), &script(""));
        assert!(out.status.success(), "{formula}: {}", String::from_utf8_lossy(&out.stderr));
        assert!(!python(&interpreter, folder.path(), &script(wrong)).status.success(), "{formula}");
    }
}
