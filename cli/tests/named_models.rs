//! Models with names: data by name from every kind of file, regressions against their formulas by hand, and a run with named parameters
//! and generated quantities from training to its summary.

mod common;

use common::{ends, pushforward, stderr, succeeds};
use pushforward::linalg::Matrix;
use pushforward::num::log_gamma;
use pushforward_cli::files::json;
use pushforward_cli::files::samples::{SampleWriter, read_samples};
use pushforward_cli::target::{self, Target};
use std::fs;
use std::path::Path;

fn load(folder: &Path, text: &str) -> Target {
    let path = folder.join("t.toml");
    fs::write(&path, text).unwrap();
    target::load(path.to_str().unwrap(), &mut |note| panic!("{text}: {note}")).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn write_npy(path: &Path, x: &Matrix) {
    let mut writer = SampleWriter::create(path, x.rows() as u64, x.cols()).unwrap();
    writer.push(x).unwrap();
    writer.finish().unwrap();
}

const MODEL: &str = "log_density = \"m ~ normal(0, 1); s ~ half_normal(1); y ~ normal(m*a, s); sum(dot(X, [m, s]))*0.1\"\n\
    [parameters]\nm = {}\ns = { lower = 0 }\n";

/// Checks that a model has the same log-density, to the last bit, with its data as constants, in JSON, in tables and arrays, and that the
/// run's definition finds them again from any folder.
#[test]
fn data_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(
        at("d.json"),
        "{\"y\": [1, 2.5, -1], \"a\": [0.5, 1, 2], \"X\": [[1, 2], [3, 4]], \"note\": \"text\", \"N\": 3}",
    )
    .unwrap();
    fs::write(at("table.csv"), "y,a\n1,0.5\n2.5,1\n-1,2\n").unwrap();
    write_npy(&at("X.npy"), &Matrix::from_rows(&[[1.0, 2.0], [3.0, 4.0]]));
    let files = ["data = \"d.json\"", "data = [\"table.csv\", \"X.npy\"]"];
    let constants = "[constants]\ny = [1, 2.5, -1]\na = [0.5, 1, 2]\nX = [[1, 2], [3, 4]]\n";
    let reference = load(folder.path(), &format!("kind = \"formula\"\n{MODEL}{constants}"));
    let u = Matrix::from_rows(&[[0.3, -0.2], [-1.0, 0.7]]);
    for file in files {
        let target = load(folder.path(), &format!("kind = \"formula\"\n{file}\n{MODEL}"));
        assert_eq!(target.density.log_density(&u), reference.density.log_density(&u), "{file}");
        let again = target::of_definition(&target.definition, Some("t"), &mut |_| ()).unwrap();
        assert_eq!(again.density.log_density(&u), reference.density.log_density(&u), "{file}");
        assert_eq!(again.coordinates.names(), ["m", "s"]);
        // without its data a run still knows the names of its columns
        assert_eq!(target::coordinates_of(&target.definition, 2).unwrap().names(), ["m", "s"]);
    }
    fs::write(at("d.json"), "{\"y\": [1, 2.5, -2], \"a\": [0.5, 1, 2], \"X\": [[1, 2], [3, 4]]}").unwrap();
    let target = load(folder.path(), &format!("kind = \"formula\"\n{}\n{MODEL}", files[1]));
    fs::write(at("table.csv"), "y,a\n1,0.5\n2.5,1\n-1,3\n").unwrap();
    let why = target::of_definition(&target.definition, None, &mut |_| ()).err().unwrap().to_string();
    assert!(why.contains("table.csv has changed"), "{why}");
    for (data, word) in [
        ("\"e.json\"", "cannot read"),
        ("\"bad.json\"", "is no JSON object"),
        ("\"rows.json\"", "rows of 2 and 1"),
        ("\"t.toml\"", "none of .json"),
        ("3", "data must be the path"),
    ] {
        fs::write(at("bad.json"), "[1, 2]").unwrap();
        fs::write(at("rows.json"), "{\"y\": [[1, 2], [3]]}").unwrap();
        fs::write(at("t.toml"), format!("kind = \"formula\"\ndata = {data}\n{MODEL}")).unwrap();
        let why = target::load(at("t.toml").to_str().unwrap(), &mut |_| ()).err().unwrap().to_string();
        assert!(why.contains(word), "{data}: {why}");
    }
}

const COUNTS: [f64; 4] = [0.0, 3.0, 1.0, 7.0];
const BINARY: [f64; 4] = [0.0, 1.0, 1.0, 0.0];
const X: [f64; 4] = [-1.0, 0.5, 2.0, 0.25];
const EXPOSURE: [f64; 4] = [1.0, 2.0, 0.5, 1.5];

fn normal(x: f64, mean: f64, sd: f64) -> f64 {
    -0.5 * ((x - mean) / sd).powi(2) - sd.ln() - 0.5 * std::f64::consts::TAU.ln()
}

/// Φ by Simpson's rule from -12: its error is below 1e-12 at this step.
fn phi(x: f64) -> f64 {
    let n = 40_000;
    let h = (x + 12.0) / f64::from(n);
    let at = |k: i32| normal(-12.0 + h * f64::from(k), 0.0, 1.0).exp();
    let inner = (1..n).map(|k| if k % 2 == 1 { 4.0 } else { 2.0 } * at(k)).sum::<f64>();
    h / 3.0 * (at(0) + inner + at(n))
}

/// Checks each regression against its log-density written by hand, at one point with all parameters away from 0; sums of ten terms below
/// 100, and the rule for Φ: 1e-9.
#[test]
fn regressions() {
    let folder = tempfile::tempdir().unwrap();
    let row = |k: usize| format!("{},{},{},{},{}\n", COUNTS[k], BINARY[k], X[k], EXPOSURE[k], [4, 2, 4, 9][k]);
    fs::write(folder.path().join("d.csv"), "count,yes,x,days,g\n".to_string() + &(0..4).map(row).collect::<String>())
        .unwrap();
    let (b0, b1) = (0.3, -0.4);
    let eta = |k: usize| b0 + b1 * X[k];
    let prior = normal(b0, 0.0, 2.0) + normal(b1, 0.0, 2.0);
    let negative_binomial = |y: f64, mean: f64, k: f64| {
        log_gamma(y + k) - log_gamma(k) - log_gamma(y + 1.0) + k * (k / (k + mean)).ln() + y * (mean / (k + mean)).ln()
    };
    let student = |x: f64, n: f64, s: f64| {
        let constant = log_gamma(0.5 * (n + 1.0)) - log_gamma(0.5 * n) - 0.5 * (n * std::f64::consts::PI).ln() - s.ln();
        constant - 0.5 * (n + 1.0) * (x * x / n / s / s).ln_1p()
    };
    let half_normal = |x: f64, s: f64| normal(x, 0.0, s) + 2f64.ln();
    let sum = |f: &dyn Fn(usize) -> f64| (0..4).map(f).sum::<f64>();
    // positive parameters 0.7 and 5: u = log, and their Jacobian is their logarithm
    let (s, nu) = (0.7f64, 5.0f64);
    let gamma = 2.0 * 0.1f64.ln() - log_gamma(2.0) + nu.ln() - 0.1 * nu;
    let cases: [(&str, &str, &[f64], f64); 5] = [
        ("probit", "response = \"yes\"", &[], sum(&|k| if BINARY[k] == 1.0 { phi(eta(k)) } else { phi(-eta(k)) }.ln())),
        (
            "poisson",
            "response = \"count\"\nexposure = \"days\"",
            &[],
            sum(&|k| {
                let rate = eta(k).exp() * EXPOSURE[k];
                COUNTS[k] * rate.ln() - rate - log_gamma(COUNTS[k] + 1.0)
            }),
        ),
        (
            "negative-binomial",
            "response = \"count\"\nexposure = \"days\"",
            &[0.7],
            sum(&|k| negative_binomial(COUNTS[k], eta(k).exp() * EXPOSURE[k], s)) - s + s.ln(),
        ),
        (
            "student-t",
            "response = \"count\"",
            &[0.7, 5.0],
            sum(&|k| student(COUNTS[k] - eta(k), nu, s)) + half_normal(s, 1.0) + s.ln() + gamma + nu.ln(),
        ),
        ("logistic", "response = \"yes\"", &[], sum(&|k| BINARY[k] * eta(k) - eta(k).exp().ln_1p())),
    ];
    for (kind, keys, positive, likelihood) in cases {
        // columns that are neither used nor beside the coefficients are taken out
        let columns = ["count", "yes", "x", "days", "g"];
        let used: Vec<usize> =
            (0..5).filter(|&j| columns[j] == "x" || keys.contains(&format!("\"{}\"", columns[j]))).collect();
        let text = fs::read_to_string(folder.path().join("d.csv")).unwrap();
        let kept =
            |line: &str| used.iter().map(|&j| line.split(',').nth(j).unwrap()).collect::<Vec<_>>().join(",") + "\n";
        fs::write(folder.path().join("e.csv"), text.lines().map(kept).collect::<String>()).unwrap();
        let target = load(
            folder.path(),
            &format!(
                "kind = \"{kind}-regression\"\ndata = \"e.csv\"\n{keys}\nprior_scale = 2.0\nstandardise = false\n"
            ),
        );
        let names = target.coordinates.names();
        assert_eq!(names[..2], ["intercept", "x"], "{kind}");
        assert_eq!(target::coordinates_of(&target.definition, target.density.dim()).unwrap().names(), names, "{kind}");
        let u: Vec<f64> = [b0, b1].into_iter().chain(positive.iter().map(|v| v.ln())).collect();
        let found = target.density.log_density(&Matrix::from_vec(1, u.len(), u))[0];
        // the older kind leaves constants out
        let constant = if kind == "logistic" { 2.0 * normal(0.0, 0.0, 2.0) } else { 0.0 };
        let exact = prior + likelihood - constant;
        assert!((found - exact).abs() < 1e-9, "{kind}: {found}, not {exact}");
    }
    let target = load(
        folder.path(),
        "kind = \"linear-regression\"\ndata = \"d.csv\"\nresponse = \"count\"\ngroup = \"g\"\nstandardise = false\n",
    );
    let names = "intercept yes x days sigma sd_g z_g[2] z_g[4] z_g[9] g[1] g[2] g[3]";
    assert_eq!(target.coordinates.names().join(" "), names);
    let u = Matrix::from_rows(&[[0.1, 0.2, 0.3, 0.4, s.ln(), 1.5f64.ln(), 1.0, -1.0, 0.5]]);
    let x = target.coordinates.constrain(u.clone()).unwrap();
    assert!((x[(0, 9)] - 1.5).abs() < 1e-12 && (x[(0, 11)] - 0.75).abs() < 1e-12);
    let offset = |k: usize| 1.5 * [-1.0, 1.0, -1.0, 0.5][k];
    let mean = |k: usize| 0.1 + 0.2 * BINARY[k] + 0.3 * X[k] + 0.4 * EXPOSURE[k] + offset(k);
    let priors = [0.1, 0.2, 0.3, 0.4, 1.0, -1.0, 0.5].into_iter().map(|v| normal(v, 0.0, 1.0)).sum::<f64>();
    let positive = half_normal(s, 1.0) + s.ln() + half_normal(1.5, 1.0) + 1.5f64.ln();
    let exact = priors + positive + sum(&|k| normal(COUNTS[k], mean(k), s));
    let found = target.density.log_density(&u)[0];
    assert!((found - exact).abs() < 1e-9, "groups: {found}, not {exact}");
}

/// Checks a run with named parameters and a generated quantity from training to its summary: columns of every file have the names,
/// generated columns follow from the others to the last bit, the summary's table is in the user's coordinates, and the run can be sampled
/// without its data.
#[test]
fn a_run_with_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("d.csv"), "y\n1.2\n0.4\n2.2\n1.9\n").unwrap();
    let model = "kind = \"formula\"\ndata = \"d.csv\"\nlog_density = \"mu ~ normal(0, 5); s ~ half_normal(2); y ~ normal(mu, s)\"\n\
        [parameters]\nmu = {}\ns = { lower = 0 }\n[generated]\nratio = \"mu/s\"\nboth = \"[mu, 2*s]\"\n";
    fs::write(at("t.toml"), model).unwrap();
    let run = |arguments: &[&str]| pushforward(folder.path(), arguments);
    let trained =
        run(&["train", "t.toml", "--method", "flow", "--steps", "60", "--set", "model.batch=256", "--out", "run"]);
    succeeds(&trained);
    let said = String::from_utf8(trained.stdout).unwrap();
    assert!(said.contains("reweighted") && said.contains("\nratio ") && said.contains("\nuse "), "{said}");
    let x = read_samples(&at("run/samples.npy")).unwrap();
    assert_eq!(x.cols(), 5);
    for row in x.iter_rows() {
        assert!(row[1] > 0.0 && row[2] == row[0] / row[1] && row[3] == row[0] && row[4] == 2.0 * row[1], "{row:?}");
    }
    let text = |arguments: &[&str]| {
        let out = run(arguments);
        succeeds(&out);
        String::from_utf8(out.stdout).unwrap()
    };
    let table = text(&["summary", "run"]);
    for name in ["mu ", "s ", "ratio ", "both[1] ", "both[2] "] {
        assert!(table.lines().any(|line| line.starts_with(name)), "{name}: {table}");
    }
    let shown = text(&["summary", "run", "--show", "both", "--show", "s"]);
    assert!(shown.contains("both[1]") && !shown.contains("ratio"), "{shown}");
    let json = text(&["summary", "run", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let mean = x.iter_rows().map(|r| r[1]).sum::<f64>() / x.rows() as f64;
    let found = json["posterior"]["s"]["raw"]["mean"].as_f64().unwrap();
    assert!((found - mean).abs() < 1e-12 * mean, "{found} {mean}");
    assert_eq!(json["use"] != "none", at("run/resampled.npy").exists());
    text(&["export", "run", "--format", "csv"]);
    let header = fs::read_to_string(at("run/samples.csv")).unwrap();
    assert_eq!(header.lines().next().unwrap(), "mu,s,ratio,both[1],both[2]");
    assert!(text(&["summary", "run/samples.csv"]).contains("ratio"));
    text(&["evaluate", "t.toml", "run/samples.npy"]);
    text(&["logpdf", "run", "run/samples.npy", "-o", "l.npy"]);
    text(&["report", "run"]);
    assert!(fs::read_to_string(at("run/report.html")).unwrap().contains("<h2>Posterior</h2>"));
    let missing = run(&["summary", "run", "--show", "nu"]);
    assert!(missing.status.code() == Some(2) && String::from_utf8_lossy(&missing.stderr).contains("did you mean mu"));
    // a model whose generated quantities need no data, but whose file has them
    fs::remove_file(at("d.csv")).unwrap();
    let out = run(&["sample", "run", "-n", "10", "-o", "more.csv"]);
    assert_eq!(out.status.code(), Some(2), "the generated quantities ask for the data");
}

/// Checks that an end by a formula holds in every sample, with exact means within 5 standard errors (p(a, b) = 6a on a + b < 1: 1/2 and 1/4),
/// and that generated quantities which are not finite stop nothing: they are counted, the verdict is about the others, and every command
/// reads the run. A point beyond the end is refused with its row.
#[test]
fn ends_by_formulas_and_numbers_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let text = "kind = \"formula\"\nlog_density = \"log(6) + log(a)\"\n[parameters]\na = { lower = 0, upper = 1 }\n\
                b = { lower = 0, upper = \"1 - a\" }\n[generated]\nhalf = \"log(a - 0.5)\"\nboth = \"a + b\"\n";
    fs::write(at("triangle.toml"), text).unwrap();
    let small = ["--steps", "80", "--batch", "256", "--set", "search_particles=1024", "--out", "run"];
    let out = pushforward(folder.path(), &[&["train", "triangle.toml", "--method", "flow"][..], &small].concat());
    ends(&out);
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &stderr(&out);
    assert!(said.contains("not finite in some samples, as their formulas give them: half"), "{said}");
    for (column, exact) in [("a", 0.5), ("b", 0.25), ("both", 0.75)] {
        let summary = json::parse(&fs::read_to_string(at("run/summary.json")).unwrap()).unwrap();
        let row = &summary["posterior"][column]["reweighted"];
        let [mean, error] = ["mean", "mcse"].map(|key| row[key].as_f64().unwrap());
        assert!((mean - exact).abs() < 5.0 * error, "{column}: {mean} ± {error}");
    }
    let out = pushforward(folder.path(), &["sample", "run", "-n", "2000", "-o", "more.csv"]);
    assert!(out.status.success() && stderr(&out).contains("half is not finite in 1,"), "{}", stderr(&out));
    let more = fs::read_to_string(at("more.csv")).unwrap();
    assert!(more.starts_with("a,b,half,both\n"), "{}", &more[..40]);
    for line in more.lines().skip(1) {
        let row: Vec<f64> = line.split(',').map(|cell| cell.parse().unwrap()).collect();
        assert!(row[0] > 0.0 && row[1] > 0.0 && row[0] + row[1] < 1.0 && row[0] + row[1] == row[3], "{line}");
    }
    for command in [&["summary", "run"][..], &["report", "run"], &["export", "run", "--format", "arviz"]] {
        let out = pushforward(folder.path(), command);
        assert!(out.status.success(), "{command:?}: {}", stderr(&out));
    }
    fs::write(at("beyond.csv"), "a,b\n0.5,0.2\n0.5,0.6\n").unwrap();
    let out = pushforward(folder.path(), &["evaluate", "triangle.toml", "beyond.csv"]);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    assert!(stderr(&out).contains("row 1: [1.2") && stderr(&out).contains("is not inside"), "{}", stderr(&out));
}
