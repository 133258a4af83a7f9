//! `report`: the page of a run made again from its folder, for every method, complete or stopped, and what is said where something is
//! no longer as the run left it.

mod common;

use common::{folder, pushforward, stderr, succeeds};
use std::fs;
use std::path::Path;
use std::process::Output;

/// Trains a run of a moment into `out`; a positive coordinate makes its files hold other numbers than its pictures.
fn train(folder: &Path, target: &str, out: &str, more: &[&str]) -> Output {
    let method = more.iter().position(|w| *w == "--method").map_or("small", |at| more[at + 1]);
    let config = format!("{method}.toml");
    pushforward(folder, &[&["train", target, "--config", &config, "--out", out][..], more].concat())
}

fn said(out: &Output) -> String {
    succeeds(out);
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Checks that the page made again is that of the run, byte for byte: generators of both precisions and flows of both objectives, a target
/// with exact samples, one without, one with a support; written over the old one, to another place, and where there is none any more.
#[test]
fn the_same_page_again() {
    let folder = folder();
    let at = folder.path();
    fs::write(
        at.join("half.toml"),
        "kind = \"formula\"\ndim = 2\nlog_density = \"-0.5*x1^2 - x2\"\n[support]\nx2 = \"positive\"\n",
    )
    .unwrap();
    let flow = ["--method", "flow", "--coupling", "spline"];
    for (target, more) in [
        ("gmm9", &["--precision", "f64", "--set", "codes=16"][..]),
        ("two.toml", &[]),
        ("half.toml", &[]),
        ("two.toml", &flow),
        ("half.toml", &["--method", "flow-lv"]),
    ] {
        succeeds(&train(at, target, "run", more));
        let page = fs::read_to_string(at.join("run/report.html")).unwrap();
        assert!(page.matches("after ").count() > 2, "{target}: pictures of the start, the middle and the end");
        let again = pushforward(at, &["report", "run"]);
        assert!(said(&again).contains("byte for byte"), "{target} {more:?}: {}{}", said(&again), stderr(&again));
        // a config.toml alone tells of a file, where the first run read it from its path
        assert!(!stderr(&again).contains("note"), "{target} {more:?}: {}", stderr(&again));
        fs::remove_file(at.join("run/report.html")).unwrap();
        assert!(said(&pushforward(at, &["report", "run", "-o", "page.html"])).contains("the run had none"));
        assert!(fs::read_to_string(at.join("page.html")).unwrap() == page, "{target} {more:?}");
        fs::remove_dir_all(at.join("run")).unwrap();
    }
}

/// Checks that parameters by their names, and a vector as a whole, are drawn alone and in pairs, and that a name that is none is refused; and that no
/// page speaks of exact samples that there are not.
#[test]
fn chosen_parameters() {
    let folder = folder();
    let at = folder.path();
    let formula = "mu ~ normal(0, 1);\nz ~ normal(0, 1);\ntau ~ exponential(1)";
    let parameters = "mu = {}\nz = { size = 2 }\ntau = { support = \"positive\" }";
    let text = format!("kind = \"formula\"\nlog_density = \"\"\"\n{formula}\"\"\"\n[parameters]\n{parameters}\n");
    fs::write(at.join("named.toml"), text).unwrap();
    let frame = ["--set", "centre=[0.0, 0.0, 0.0, 0.0]", "--set", "scale=1.0"];
    let out = train(at, "named.toml", "run", &frame);
    assert!(matches!(out.status.code(), Some(0 | 3)), "{}", stderr(&out));
    let own = fs::read_to_string(at.join("run/report.html")).unwrap();
    assert!(!own.contains("exact samples <i") && !own.contains("Chosen"));
    assert!(own.contains("<h1>named: generator by reverse-kl</h1>"), "{}", own.lines().take(3).collect::<String>());
    said(&pushforward(at, &["report", "run", "--show", "z", "--show", "tau", "-o", "shown.html"]));
    let page = fs::read_to_string(at.join("shown.html")).unwrap();
    assert_eq!(page.matches("id=\"chosen").count(), 3 + 3);
    assert!(page.contains("tau against z[2]") && !page.contains("against mu"));
    let bad = pushforward(at, &["report", "run", "--show", "ta", "-o", "shown.html"]);
    assert!(bad.status.code() == Some(2) && stderr(&bad).contains("tau"), "{}", stderr(&bad));
}

/// Checks that a run that stopped has a report of its last checkpoint, which says so, that making it changes nothing about going on, and
/// that a run without a checkpoint has none.
#[test]
fn a_run_that_stopped() {
    let folder = folder();
    let at = folder.path();
    // without codes, so that no search takes time before the first step
    let steps = ["--steps", "4000", "--set", "method=kde", "--set", "codes=0", "--set", "sample=128"];
    succeeds(&train(at, "two.toml", "whole", &steps));
    succeeds(&train(at, "two.toml", "run", &[&steps[..], &["--max-time", "1100ms"]].concat()));
    succeeds(&pushforward(at, &["report", "run"]));
    let page = fs::read_to_string(at.join("run/report.html")).unwrap();
    assert!(page.contains("stopped by --max-time") && page.contains("of 4,000 steps") && page.contains("<h2>Steps"));
    assert!(said(&pushforward(at, &["report", "run"])).contains("byte for byte"));
    // as after a kill: a checkpoint and no summary
    fs::remove_file(at.join("run/summary.json")).unwrap();
    succeeds(&pushforward(at, &["report", "run", "-o", "killed.html"]));
    assert!(fs::read_to_string(at.join("killed.html")).unwrap().contains(" so far; "));
    succeeds(&pushforward(at, &["train", "--resume", "run"]));
    common::same_run(at, "whole", "run");

    fs::create_dir(at.join("empty")).unwrap();
    fs::copy(at.join("whole/config.toml"), at.join("empty/config.toml")).unwrap();
    let none = pushforward(at, &["report", "empty"]);
    assert!(none.status.code() == Some(2) && stderr(&none).contains("nothing to report yet"), "{}", stderr(&none));
}

/// Checks that whatever is not as the run left it is named: other samples, missing pictures or samples, another figure in summary.json, an
/// edited page; and that what cannot be read is refused in one sentence, with exit code 2 and the old page in its place.
#[test]
fn what_is_not_as_it_was() {
    let folder = folder();
    let at = folder.path();
    succeeds(&train(at, "two.toml", "run", &[]));
    let file = |name: &str| at.join("run").join(name);
    let whole: Vec<(String, Vec<u8>)> =
        common::names(&at.join("run")).into_iter().map(|name| (name.clone(), fs::read(file(&name)).unwrap())).collect();
    let text = |name: &str| fs::read_to_string(file(name)).unwrap();
    let restore = || whole.iter().for_each(|(name, bytes)| fs::write(file(name), bytes).unwrap());
    let report = |words: &[&str], code: i32| {
        let out = pushforward(at, &["report", "run"]);
        let all = String::from_utf8_lossy(&out.stdout).into_owned() + &stderr(&out);
        assert_eq!(out.status.code(), Some(code), "{all}");
        assert!(words.iter().all(|w| all.contains(w)), "{words:?}: {all}");
        assert!(code == 0 || (stderr(&out).trim().lines().count() == 1 && text("report.html").len() > 1_000), "{all}");
        restore();
    };
    let mut samples = fs::read(file("samples.npy")).unwrap();
    *samples.last_mut().unwrap() ^= 1;
    fs::write(file("samples.npy"), samples).unwrap();
    report(&["samples.npy does not hold", "byte for byte"], 0);
    fs::remove_file(file("samples.npy")).unwrap();
    report(&["samples.npy is missing"], 0);
    fs::remove_file(file("pictures.safetensors")).unwrap();
    report(&["pictures.safetensors is missing", "first in 'Samples'"], 0);
    fs::write(file("report.html"), text("report.html").replace("</main>", "<p>mine</p></main>")).unwrap();
    report(&["differs", "Configuration"], 0);
    fs::write(file("summary.json"), text("summary.json").replacen("\"value\": ", "\"value\": 7, \"was\": ", 1))
        .unwrap();
    report(&["summary.json says 7", "a file of the run was changed"], 0);
    let other = text("summary.json").replacen("\"pushforward\": \"", "\"pushforward\": \"9.", 1);
    fs::write(file("summary.json"), other.replacen("\"value\": ", "\"value\": 7, \"was\": ", 1)).unwrap();
    report(&["made by version 9."], 0);

    fs::write(file("config.toml"), text("config.toml").replace("seed = 0", "seed = 1")).unwrap();
    report(&["'run.seed' differs"], 2);
    for (name, word) in [
        ("model.safetensors", "model.safetensors"),
        ("pictures.safetensors", "pictures.safetensors"),
        ("metrics.jsonl", "line 61"),
        ("summary.json", "summary.json"),
        ("config.toml", "config.toml"),
    ] {
        let bytes = fs::read(file(name)).unwrap();
        fs::write(file(name), &bytes[..bytes.len() - 8]).unwrap();
        if name == "config.toml" {
            fs::write(file(name), "target = \"gm").unwrap();
        }
        report(&[word], 2);
    }
    fs::write(file("summary.json"), text("summary.json").replace("\"complete\"", "\"happy\"")).unwrap();
    report(&["its ending is \"happy\""], 2);
    let none = pushforward(at, &["report", "nowhere"]);
    assert!(none.status.code() == Some(2) && stderr(&none).contains("not a run folder"));
    let into = pushforward(at, &["report", "run", "-o", "no/such/page.html"]);
    assert!(into.status.code() == Some(1) || into.status.code() == Some(2), "{}", stderr(&into));
}
