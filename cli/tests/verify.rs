//! `pushforward verify`: verdicts, exit codes, JSON, the report, and bad input.

mod common;

use common::pushforward;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A Gaussian on the line.
fn gaussian(folder: &Path, name: &str, mean: f64, std: f64) {
    let text = format!("kind = \"gaussian-mixture\"\nweights = [1]\nmeans = [[{mean}]]\nstd = {std}\n");
    fs::write(folder.join(name), text).unwrap();
}

/// Checks that two theorems hold on a user's own pair and weight with all false variants caught, that the table names them, and that
/// the page is one file that fetches nothing.
#[test]
fn table_and_report() {
    let folder = tempfile::tempdir().unwrap();
    gaussian(folder.path(), "p.toml", 0.0, 1.0);
    gaussian(folder.path(), "q.toml", 0.7, 1.1);
    let arguments =
        ["verify", "T1", "t04", "--divergence", "w(r) = r^0.7", "--p", "p.toml", "--q", "q.toml", "--report", "out"];
    let out = pushforward(folder.path(), &arguments);
    let (stdout, stderr) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert_eq!(out.status.code(), Some(0), "{stdout}{stderr}");
    for word in ["T01 ", "T04 ", "r^0.7", "2 of 2 claims hold", "false variant", "± "] {
        assert!(stdout.contains(word), "'{word}' is not in {stdout}");
    }
    assert!(stderr.starts_with("note: the report is") && stderr.lines().count() == 1, "{stderr}");
    let page = fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    for word in ["T01", "T04", "slope 2", "Efficiency", "halve", "without it", "not run for what was asked", "</html>"]
    {
        assert!(page.contains(word), "{word}");
    }
    for word in ["http", "<script", "src=", "@import", "NaN\"", "inf\""] {
        assert!(!page.contains(word), "{word}");
    }
}

/// Checks that --json parses, repeats bit by bit, and holds the errors at every step with the order fitted to them.
#[test]
fn json() {
    let arguments = ["verify", "T1", "--dim", "1", "--divergence", "alpha:0.3", "--json", "--seed", "5"];
    let run = || pushforward(Path::new("."), &arguments);
    let (first, second) = (run(), run());
    assert_eq!(first.status.code(), Some(0), "{first:?}");
    assert_eq!(first.stdout, second.stdout);
    assert!(first.stderr.is_empty());
    let value: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((&value["version"], &value["seed"], &value["budget"]), (&1.into(), &5.into(), &"quick".into()));
    let claim = &value["claims"][0];
    assert_eq!((&claim["id"], &claim["verdict"]), (&"T01".into(), &"holds".into()));
    for (k, instance) in claim["instances"].as_array().unwrap().iter().enumerate() {
        assert_eq!(instance["id"], format!("T01.{}", k + 1));
        assert!(instance["steps"].as_array().unwrap().len() == instance["errors"].as_array().unwrap().len());
        assert!((instance["observed_order"].as_f64().unwrap() - 2.0).abs() <= 0.1, "{instance}");
    }
    assert_eq!(value["summary"]["false_variants_tried"], value["summary"]["false_variants_caught"]);
    let hypotheses = claim["hypotheses"].as_array().unwrap();
    assert!(hypotheses.iter().filter(|h| h["counter_example"]["verdict"] == "fails").count() >= 3, "{hypotheses:?}");
    assert!(
        hypotheses.iter().all(|h| h["what"].is_string() && h["counter_example"].is_null() == h["not_run"].is_string())
    );
}

/// Checks that a pair for which D_f is infinite is refused with the moment, and that nothing but refusals is no success.
#[test]
fn infinite_integrals_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    gaussian(folder.path(), "p.toml", 0.0, 1.0);
    gaussian(folder.path(), "q.toml", 0.0, 2.0);
    let arguments = ["verify", "T1", "--divergence", "neyman", "--p", "p.toml", "--q", "q.toml"];
    let out = pushforward(folder.path(), &arguments);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{stderr}");
    assert!(String::from_utf8(out.stdout).unwrap().contains("refused"));
    assert!(stderr.contains("diverges") && stderr.contains("too heavy") && stderr.lines().count() == 1, "{stderr}");
}

/// Checks that T4, T5, T6 and T17 hold on pairs on the line of which one side is no mixture (a quartic, a law with tails |x|^-5), T4 and T6 on
/// one in the plane, and that a theorem that asks for closed forms, or has instances of its own, refuses such a pair in words.
#[test]
fn any_density() {
    let folder = tempfile::tempdir().unwrap();
    gaussian(folder.path(), "normal.toml", 0.3, 0.8);
    let round = "kind = \"gaussian-mixture\"\nweights = [1]\nmeans = [[0.3, 0.2]]\nstd = 0.9\n";
    fs::write(folder.path().join("round.toml"), round).unwrap();
    let formula = |name: &str, dim: usize, log: &str| {
        let text = format!("kind = \"formula\"\ndim = {dim}\nlog_density = \"{log}\"\n");
        fs::write(folder.path().join(name), text).unwrap();
    };
    formula("quartic.toml", 1, "-x1^4/4 + x1^2/2");
    formula("heavy.toml", 1, "-2.5*log(1 + x1^2/4)");
    formula("bent.toml", 2, "-x1^4/4 + x1^2/2 - (x2 - x1/2)^2/2");
    let run = |p: &str, q: &str, ids: &[&str]| {
        let arguments = [&["verify"], ids, &["--divergence", "hellinger", "--p", p, "--q", q]].concat();
        let out = pushforward(folder.path(), &arguments);
        let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        (out.status.code(), said)
    };
    for (p, q) in [("quartic.toml", "normal.toml"), ("heavy.toml", "normal.toml"), ("normal.toml", "quartic.toml")] {
        let (code, said) = run(p, q, &["T4", "T5", "T6", "T17"]);
        assert!(code == Some(0) && said.contains("4 of 4 claims hold"), "{p} {q}: {said}");
    }
    let (code, said) = run("bent.toml", "round.toml", &["T4", "T6"]);
    assert!(code == Some(0) && said.contains("2 of 2 claims hold"), "{said}");
    let (code, said) = run("quartic.toml", "normal.toml", &["T18"]);
    assert!(code == Some(2) && said.contains("instances are its own"), "{said}");
    let (code, said) = run("quartic.toml", "normal.toml", &["T1"]);
    assert!(code == Some(2) && said.contains("closed forms") && said.contains("T17"), "{said}");
}

/// Checks that every mistake is answered in one sentence with exit code 2, nothing printed and nothing written.
#[test]
fn bad_input() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    gaussian(path, "a.toml", 0.0, 1.0);
    gaussian(path, "b.toml", 0.5, 1.0);
    gaussian(path, "thin.toml", 900.0, 1e-5);
    gaussian(path, "far.toml", 30.0, 1.0);
    fs::write(path.join("bad.toml"), "kind = \"gaussian-mixture\"\nweights = [1, -1]\nmeans = [[0], [1]]\nstd = 1\n")
        .unwrap();
    let laplace = "kind = \"formula\"\ndim = 1\nlog_density = \"-abs(x1 - 0.3)\"\n";
    fs::write(path.join("laplace.toml"), laplace).unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["T99"], &["unknown theorem 'T99'", "T09"]),
        (&["entropy"], &["unknown theorem 'entropy'", "T01", "T08"]),
        (&["T0"], &["unknown theorem"]),
        (&["T1", "--divergence", "w(r) = x^2"], &["'x' in column 8", "neither"]),
        (&["T1", "--divergence", "w(u) = -2*u"], &["-8.5", "not positive"]),
        (&["T1", "--divergence", "f(u) = log(u)"], &["f'' = -", "f'' > 0"]),
        (&["T1", "--divergence", "neymann"], &["neymann", "did you mean neyman"]),
        (&["T1", "--divergence", "total-variation"], &["no weight"]),
        (&["T1", "--dim", "3"], &["3", "1..=2"]),
        (&["T1", "--budget", "long"], &["long", "quick"]),
        (&["T1", "--seed", "-1"], &["-1"]),
        (&["T1", "--p", "a.toml"], &["--q"]),
        (&["T5", "--p", "laplace.toml", "--q", "a.toml"], &["--p laplace.toml", "kink near x = (", "two continuous"]),
        (&["T1", "--p", "bad.toml", "--q", "a.toml"], &["bad.toml", "entry 2", "-1"]),
        (&["T1", "--p", "missing.toml", "--q", "a.toml"], &["missing.toml", "cannot read"]),
        (&["T1", "--p", "a.toml", "--q", "gmm9O"], &["gmm9O", "gmm9"]),
        (&["T5", "--p", "funnel-10", "--q", "a.toml"], &["--p funnel-10", "10 dimensions", "1 and 2"]),
        (&["T1", "--p", "gmm9", "--q", "a.toml"], &["2 dimensions", "1"]),
        (&["T1", "--p", "a.toml", "--q", "b.toml", "--dim", "2"], &["--dim 2 contradicts"]),
        (&["T1", "--p", "a.toml", "--q", "a.toml"], &["the same density"]),
        (&["T1", "--p", "a.toml", "--q", "thin.toml"], &["nodes", "1.000e-5"]),
        (&["T1", "--p", "a.toml", "--q", "far.toml"], &["log(p/q)", "540", "nearer"]),
    ];
    for (arguments, words) in cases {
        let all = [&["verify"], *arguments, &["--report", "never"]].concat();
        let out = pushforward(path, &all);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {stderr}");
        let errors: Vec<&str> = stderr.lines().filter(|l| !l.starts_with("note: ")).collect();
        assert!(errors.len() == 1 && out.stdout.is_empty(), "{arguments:?}: {stderr}");
        words.iter().for_each(|w| assert!(errors[0].contains(w), "{arguments:?}: '{w}' is not in {}", errors[0]));
        assert!(!path.join("never").exists(), "{arguments:?}");
    }
}

/// Checks that a word that is meant as a switch makes no folder, and that a folder may still have such a name.
#[test]
fn reports_are_folders() {
    let folder = tempfile::tempdir().unwrap();
    let run = |report: &str| pushforward(folder.path(), &["verify", "T1", "--dim", "1", "--report", report]);
    for word in ["never", "always", "no"] {
        let out = run(word);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("./{word}")) && out.stdout.is_empty(), "{said}");
        assert!(!folder.path().join(word).exists());
    }
    assert_eq!(run("./never").status.code(), Some(0));
    assert!(folder.path().join("never/report.html").is_file());
}

/// Checks that a report that cannot be written is the machine's fault: exit code 1, before anything is computed.
#[test]
fn report_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken"), "").unwrap();
    let out = pushforward(folder.path(), &["verify", "--report", "taken"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stderr).unwrap().contains("taken") && out.stdout.is_empty());
}
