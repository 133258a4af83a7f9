//! The posteriors of examples/posteriors: every one loads, has a reference by Hamiltonian Monte Carlo, and is reached by a flow.

mod common;

use pushforward::density::Standardised;
use pushforward::linalg::Matrix;
use pushforward::metric::diagnose_chains;
use pushforward::search::{HmcSettings, SearchSettings, hmc, search};
use pushforward_cli::files::samples::{SampleWriter, read_samples};
use pushforward_cli::target::{self, Target};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/posteriors")
}

/// The names of all files, in order; those in PUSHFORWARD_POSTERIORS alone where that is set.
fn names() -> Vec<String> {
    let wanted = std::env::var("PUSHFORWARD_POSTERIORS").unwrap_or_default();
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let targets = files.filter(|path| path.extension().is_some_and(|e| e == "toml"));
    let mut names: Vec<String> = targets.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.retain(|name| wanted.is_empty() || wanted.split(',').any(|w| w == name));
    names.sort();
    names
}

fn load(name: &str) -> Target {
    let path = folder().join(format!("{name}.toml"));
    target::load(path.to_str().unwrap(), &mut |note| panic!("{name}: {note}")).unwrap()
}

fn references() -> Map<String, Value> {
    let text = std::fs::read_to_string(folder().join("reference.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap().as_object().unwrap().clone()
}

/// Checks that every posterior is at most 25 lines and loads without a note; that its columns have different names, and are those of its
/// reference where it has one; and that log p~ and score are finite at the means of the reference, or at u = 0.
#[test]
fn every_posterior_loads() {
    let references = references();
    assert!(names().len() == 15 || std::env::var_os("PUSHFORWARD_POSTERIORS").is_some());
    for name in names() {
        let text = std::fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap();
        assert!(text.lines().count() <= 25, "{name} has {} lines", text.lines().count());
        let target = load(&name);
        let columns = target.coordinates.names();
        let different: std::collections::BTreeSet<&String> = columns.iter().collect();
        assert_eq!((different.len(), columns.len()), (columns.len(), target.coordinates.dim()), "{name}: {columns:?}");
        let u = match references.get(&name).and_then(|r| r["columns"].as_object()) {
            Some(reference) => {
                assert_eq!(columns, reference.keys().cloned().collect::<Vec<_>>(), "{name}");
                let mean = reference.values().map(|column| column["mean"].as_f64().unwrap()).collect();
                target.coordinates.free(Matrix::from_vec(1, columns.len(), mean)).unwrap()
            }
            None => Matrix::zeros(1, target.density.dim()),
        };
        let (mut l, mut s) = ([0.0], Matrix::zeros(1, u.cols()));
        target.density.evaluate_into(&u, &mut l, &mut s);
        assert!(l[0].is_finite() && s.is_finite(), "{name}: log p~ = {}", l[0]);
    }
}

/// Chains of one posterior in the user's coordinates by two runs that share nothing: seeds, searches behind the starts, lengths of the
/// trajectories. They run in the frame of their search, where no warm-up has to go through a valley of 1e-4 of its length. Returns them with
/// the number of divergent trajectories.
fn chains(name: &str) -> [(Vec<Matrix>, usize); 2] {
    let target = load(name);
    // narrow places: tau near 0 of the schools, a1 + b1 near 1, the exponential wall of the counts; sd_county of the radon moves slowly against its z
    let (draws, acceptance) = match name {
        "eight-schools" | "garch" => (4 * DRAWS, 0.98),
        "process" => (4 * DRAWS, 0.998),
        "radon" => (8 * DRAWS, 0.99),
        _ => (DRAWS, 0.9),
    };
    [(7, 1.57), (8, 1.2)].map(|(seed, length)| {
        let found = search(&*target.density, &SearchSettings { particles: 1024, seed, start: None }).unwrap();
        let frame = found.frame().unwrap();
        let density = Standardised::new(Arc::clone(&target.density), frame.clone()).unwrap();
        let start = frame.standardise(&found.particles.slice_rows(0..CHAINS));
        let run = hmc(&density, &start, &HmcSettings { warmup: 1000, draws, length, acceptance, seed }).unwrap();
        let chains = run.chains.iter().map(|c| target.coordinates.constrain(frame.restore(c)).unwrap()).collect();
        (chains, run.divergences)
    })
}

/// Chains of each of the two runs, and their draws.
const CHAINS: usize = 16;
const DRAWS: usize = 2000;

/// The posterior whose chains stand for this one: no metric makes the funnel of the centred eight schools straight, and the other
/// parametrisation has the same columns.
fn parametrised(name: &str) -> &str {
    if name == "eight-schools-centred" { "eight-schools" } else { name }
}

/// One column by all chains: mean, sd and quantiles, each with its Monte Carlo standard error. That of the mean is s/√ESS; that of s comes
/// from the mean of (x - mean)², as s_se = se/(2s); that of a quantile is half of what lies between the levels p ± √(p(1-p)/ESS), the ESS that of
/// x ≤ quantile (Vehtari and others, 2021, section 4). Zero errors stand beside what is the same in all draws.
fn column(chains: &[Matrix], j: usize) -> Value {
    let d = diagnose_chains(chains, |x| x[j]);
    let mut all: Vec<f64> = chains.iter().flat_map(|c| c.iter_rows().map(|x| x[j]).collect::<Vec<_>>()).collect();
    all.sort_by(f64::total_cmp);
    let n = all.len() as f64;
    let at = |q: f64| all[((q * n) as usize).min(all.len() - 1)];
    let known = |v: f64| if v.is_finite() { format!("{v:.6e}").parse::<f64>().unwrap() } else { 0.0 };
    let square = diagnose_chains(chains, |x| (x[j] - d.mean).powi(2));
    let mut out = json!({
        "mean": known(d.mean), "mean_mcse": known(d.standard_error()),
        "sd": known(d.standard_deviation), "sd_mcse": known(square.standard_error() / (2.0 * d.standard_deviation)),
    });
    for (key, q) in [("q5", 0.05), ("q50", 0.5), ("q95", 0.95)] {
        let ess = diagnose_chains(chains, |x| f64::from(x[j] <= at(q))).effective_samples;
        let wide = (q * (1.0 - q) / ess).sqrt();
        out[key] = json!(known(at(q)));
        out[format!("{key}_mcse")] = json!(known(0.5 * (at((q + wide).min(1.0)) - at((q - wide).max(0.0)))));
    }
    out
}

/// The reference of one posterior, or nothing where a chain is not to be trusted: columns, the worst R-hat and effective size over the columns' means and squares, and the largest
/// difference of two runs' means in units of its error.
fn reference(name: &str) -> Option<Value> {
    let source = parametrised(name);
    let begun = common::cpu_seconds()[0];
    let [(first, bad), (second, worse)] = chains(source);
    let seconds = common::cpu_seconds()[0] - begun;
    let all: Vec<Matrix> = first.iter().chain(&second).cloned().collect();
    let (names, own) = (load(source).coordinates.names(), load(name).coordinates.names());
    let (mut r_hat, mut least, mut apart) = (0.0f64, f64::INFINITY, 0.0f64);
    let mut columns = Map::new();
    for column_name in &own {
        let j = names.iter().position(|n| n == column_name).unwrap();
        let d = diagnose_chains(&all, |x| x[j]);
        if d.r_hat.is_finite() {
            let square = diagnose_chains(&all, |x| (x[j] - d.mean).powi(2));
            r_hat = r_hat.max(d.r_hat).max(square.r_hat);
            least = least.min(d.effective_samples).min(square.effective_samples);
            let [a, b] = [&first, &second].map(|chains| diagnose_chains(chains, |x| x[j]));
            apart = apart.max((a.mean - b.mean).abs() / a.standard_error().hypot(b.standard_error()));
        }
        columns.insert(column_name.clone(), column(&all, j));
    }
    let divergences = bad + worse;
    println!(
        "{name}: R-hat {r_hat:.5}, ESS {least:.0}, two runs {apart:.2} errors apart, {divergences} divergences, {seconds:.0} s of CPU"
    );
    keep(name, &all);
    let good = r_hat <= 1.001 && divergences == 0 && apart < 4.5;
    good.then(|| json!({ "chains_of": source, "r_hat": r_hat, "least_effective_size": least.round(), "runs_apart": apart, "columns": columns }))
}

/// Writes examples/posteriors/reference.json.
#[test]
#[ignore = "minutes; rewrites examples/posteriors/reference.json"]
fn write_references() {
    let mut all = references();
    let mut failed = names();
    failed.retain(|name| {
        let found = reference(name);
        let failed = found.is_none();
        found.into_iter().for_each(|found| drop(all.insert(name.clone(), found)));
        all.sort_keys();
        std::fs::write(folder().join("reference.json"), format!("{:#}\n", Value::Object(all.clone()))).unwrap();
        failed
    });
    assert!(failed.is_empty(), "no reference of {failed:?}");
}

/// A data file of numbers, row after row, without its head.
fn table(name: &str) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.csv"))).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(|c| c.parse().unwrap()).collect()).collect()
}

fn array(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn data(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap()).unwrap()
}

/// A⁻¹ and log det A of a symmetric positive definite matrix, by elimination.
fn inverse(a: &[Vec<f64>]) -> (Vec<Vec<f64>>, f64) {
    let d = a.len();
    let mut a: Vec<Vec<f64>> =
        (0..d).map(|i| [a[i].clone(), (0..d).map(|j| f64::from(u8::from(i == j))).collect()].concat()).collect();
    let mut log_det = 0.0;
    for k in 0..d {
        let pivot = a[k].clone();
        log_det += pivot[k].ln();
        a[k].iter_mut().for_each(|v| *v /= pivot[k]);
        for i in (0..d).filter(|&i| i != k) {
            let factor = a[i][k] / pivot[k];
            a[i].iter_mut().zip(&pivot).for_each(|(v, p)| *v -= factor * p);
        }
    }
    (a.into_iter().map(|row| row[d..].to_vec()).collect(), log_det)
}

/// Log-density of s, up to a constant, with means and variances of the quantities given s.
type Given = (f64, Vec<f64>, Vec<f64>);

/// Mean and sd of quantities whose mean and variance are known given one number s, whose log-density is known up to a constant: by sums over
/// an equidistant grid of s, e^(-30) beyond its ends. `at` gives log-density, means, variances.
fn averaged(grid: impl Iterator<Item = f64>, at: impl Fn(f64) -> Given) -> Vec<(f64, f64)> {
    let all: Vec<_> = grid.map(at).collect();
    let most = all.iter().map(|a| a.0).fold(f64::NEG_INFINITY, f64::max);
    assert!([&all[0], &all[all.len() - 1]].iter().all(|end| end.0 < most - 15.0), "the grid ends too early");
    let total: f64 = all.iter().map(|a| (a.0 - most).exp()).sum();
    let mean = |f: &dyn Fn(&Given) -> f64| -> f64 { all.iter().map(|a| (a.0 - most).exp() / total * f(a)).sum() };
    let one = |j: usize| {
        let first = mean(&|a| a.1[j]);
        (first, mean(&|a| a.2[j] + (a.1[j] - first).powi(2)).sqrt())
    };
    (0..all[0].1.len()).map(one).collect()
}

/// Coefficients and sigma of y = X b + noise with b ~ N(0, diag precision⁻¹) (0: flat): Gaussian given sigma, and sigma on a grid of log sigma.
fn linear(x: &[Vec<f64>], y: &[f64], precision: &[f64], log_prior: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
    let (n, d) = (y.len() as f64, precision.len());
    let product = |i: usize, j: usize| x.iter().map(|r| r[i] * r[j]).sum::<f64>();
    let gram: Vec<Vec<f64>> = (0..d).map(|i| (0..d).map(|j| product(i, j)).collect()).collect();
    let moment: Vec<f64> = (0..d).map(|i| x.iter().zip(y).map(|(r, y)| r[i] * y).sum()).collect();
    averaged((0..6001).map(|k| -5.0 + 2e-3 * k as f64), |log_sigma| {
        let s2 = (2.0 * log_sigma).exp();
        let row = |i: usize| (0..d).map(|j| gram[i][j] / s2 + if i == j { precision[i] } else { 0.0 }).collect();
        let (covariance, log_det) = inverse(&(0..d).map(row).collect::<Vec<Vec<f64>>>());
        let b: Vec<f64> = covariance.iter().map(|c| c.iter().zip(&moment).map(|(c, m)| c * m / s2).sum()).collect();
        let residual = |(r, y): (&Vec<f64>, &f64)| (y - r.iter().zip(&b).map(|(r, b)| r * b).sum::<f64>()).powi(2);
        let squares = x.iter().zip(y).map(residual).sum::<f64>() / s2;
        let prior: f64 = b.iter().zip(precision).map(|(b, p)| p * b * b).sum();
        let sigma = log_sigma.exp();
        let l = -n * log_sigma - 0.5 * (squares + prior + log_det) + log_prior(sigma) + log_sigma;
        let variances = (0..d).map(|i| covariance[i][i]).chain([0.0]).collect();
        (l, b.into_iter().chain([sigma]).collect(), variances)
    })
}

/// mu, tau, z, theta of the eight schools: Gaussian given tau, and tau on a grid of its logarithm.
fn schools() -> Vec<(f64, f64)> {
    let (y, s) = (array(&data("eight-schools")["y"]), array(&data("eight-schools")["sigma"]));
    averaged((0..5001).map(|k| -25.0 + 0.006 * k as f64), |log_tau| {
        let t2 = (2.0 * log_tau).exp();
        let weights: Vec<f64> = s.iter().map(|s| 1.0 / (s * s + t2)).collect();
        let precision = weights.iter().sum::<f64>() + 1.0 / 25.0;
        let (mu, v) = (y.iter().zip(&weights).map(|(y, w)| y * w).sum::<f64>() / precision, 1.0 / precision);
        let squares: f64 = y.iter().zip(&weights).map(|(y, w)| w * (y - mu).powi(2) - w.ln()).sum();
        let l = log_tau - (t2 / 25.0).ln_1p() - 0.5 * (squares + mu * mu / 25.0 + precision.ln());
        // theta = k y + (1 - k) mu + noise of variance k s², k = tau²/(tau² + s²); z = (theta - mu)/tau
        let k: Vec<f64> = weights.iter().map(|w| t2 * w).collect();
        let tau = t2.sqrt();
        let z = k.iter().zip(&y).map(|(k, y)| k * (y - mu) / tau);
        let z_variance = k.iter().map(|k| 1.0 - k + k * k / t2 * v);
        let theta = k.iter().zip(&y).map(|(k, y)| k * y + (1.0 - k) * mu);
        let theta_variance = k.iter().zip(&s).map(|(k, s)| k * s * s + (1.0 - k).powi(2) * v);
        let variances = [v, 0.0].into_iter().chain(z_variance).chain(theta_variance);
        (l, [mu, tau].into_iter().chain(z).chain(theta).collect(), variances.collect())
    })
}

/// The two coefficients of the votes by sums over a grid around the reference's own means, eight deviations to each side.
fn votes() -> Vec<(f64, f64)> {
    let mut counts = [[0.0; 2]; 6];
    table("votes").iter().for_each(|row| counts[row[1] as usize][row[0] as usize] += 1.0);
    let l = |a: f64, b: f64| {
        let one = |(income, c): (usize, &[f64; 2])| {
            let u = a + b * income as f64;
            c[1] * u - (c[0] + c[1]) * (u.max(0.0) + (-u.abs()).exp().ln_1p())
        };
        counts.iter().enumerate().map(one).sum::<f64>() - (a * a + b * b) / 50.0
    };
    let reference = references()["votes"]["columns"].clone();
    let side = |name: &str| -> Vec<f64> {
        let [m, s] = ["mean", "sd"].map(|key| reference[name][key].as_f64().unwrap());
        (0..=320).map(|k| m + s * (k as f64 / 20.0 - 8.0)).collect()
    };
    let (first, second) = (side("b[1]"), side("b[2]"));
    let most = l(first[160], second[160]);
    let (mut sum, mut moments) = (0.0, [0.0; 4]);
    for &a in &first {
        for &b in &second {
            let w = (l(a, b) - most).exp();
            sum += w;
            [a, b, a * a, b * b].iter().zip(&mut moments).for_each(|(v, m)| *m += w * v);
        }
    }
    (0..2).map(|j| (moments[j] / sum, (moments[j + 2] / sum - (moments[j] / sum).powi(2)).sqrt())).collect()
}

/// Checks the references against answers that owe nothing to a Markov chain: linear regressions and an autoregression, Gaussian given sigma, by a
/// sum over sigma; both forms of the eight schools by a sum over tau; the votes by a sum over a grid. About 100 means and deviations, each
/// within 4.5 of its Monte Carlo error: 7e-4 by chance.
#[test]
#[ignore = "needs reference.json, which write_references fills"]
fn references_have_the_exact_answers() {
    let all = references();
    let cauchy = |s: f64| -(s / 2.5f64).powi(2).ln_1p();
    let split = |name: &str, y: usize, row: &dyn Fn(&[f64]) -> Vec<f64>, log: bool| {
        let rows = table(name);
        let response = rows.iter().map(|r| if log { r[y].ln() } else { r[y] }).collect::<Vec<f64>>();
        (rows.iter().map(|r| row(r)).collect::<Vec<_>>(), response)
    };
    let flat = |(x, y): (Vec<Vec<f64>>, Vec<f64>)| linear(&x, &y, &vec![0.0; x[0].len()], cauchy);
    let mut exact = vec![
        ("kid-scores", flat(split("kid-scores", 0, &|r| vec![1.0, r[1], r[2]], false))),
        ("earnings", flat(split("earnings", 0, &|r| vec![1.0, r[1], r[2], r[1] * r[2]], true))),
        (
            "mesquite",
            flat(split(
                "mesquite",
                0,
                &|r| [vec![1.0], [r[1], r[2], r[4], r[3], r[5]].map(f64::ln).to_vec(), vec![r[6]]].concat(),
                true,
            )),
        ),
    ];
    let (x, y) = split("temperatures", 1, &|r| vec![1.0, r[0]], false);
    exact.push(("temperatures", linear(&x, &y, &[1e-4, 1e-2], |s| -s * s / 8.0)));
    let (x, y) = split("correlated", 0, &|r| r[1..].to_vec(), false);
    exact.push(("correlated", linear(&x, &y, &[1e-2; 5], |s| -s * s / 200.0)));
    let series = array(&data("ark")["y"]);
    let lags = (5..series.len()).map(|t| [vec![1.0], (1..6).map(|k| series[t - k]).collect()].concat());
    exact.push(("ark", linear(&lags.collect::<Vec<_>>(), &series[5..], &[1e-2; 6], cauchy)));
    let schools = schools();
    exact.push(("eight-schools-centred", [&schools[..2], &schools[10..]].concat()));
    exact.push(("eight-schools", schools));
    exact.push(("votes", votes()));
    let mut compared = 0;
    for (name, answers) in exact {
        let columns = all[name]["columns"].as_object().unwrap();
        for ((column, found), (mean, sd)) in columns.iter().zip(answers) {
            let at = |key: &str| found[key].as_f64().unwrap();
            let scores = [(at("mean") - mean) / at("mean_mcse"), (at("sd") - sd) / at("sd_mcse")];
            assert!(scores.iter().all(|z| z.abs() < 4.5), "{name}, {column}: {scores:?}; exact {mean} and {sd}");
            compared += 2;
        }
    }
    assert!(compared > 100, "{compared}");
}

/// Where the draws behind the references are kept between two tests; nothing of the repository.
fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("posterior-{name}.npy"))
}

/// About 10,000 rows of the chains, which HMC leaves nearly independent, for the two-sample statistic below.
fn keep(name: &str, chains: &[Matrix]) {
    let own = load(name).coordinates.names();
    let names = load(parametrised(name)).coordinates.names();
    let place: Vec<usize> = own.iter().map(|n| names.iter().position(|m| m == n).unwrap()).collect();
    let total: usize = chains.iter().map(Matrix::rows).sum();
    let rows: Vec<&[f64]> = chains.iter().flat_map(|c| c.iter_rows()).step_by((total / 10_000).max(1)).collect();
    let thinned = Matrix::from_fn(rows.len(), own.len(), |i, j| rows[i][place[j]]);
    let mut writer = SampleWriter::output(&kept(name), rows.len() as u64, &own).unwrap();
    writer.push(&thinned).unwrap();
    writer.finish().unwrap();
}

/// What a file of samples says against a reference, the worst over the columns.
struct Against {
    /// |error of the mean| in posterior deviations.
    mean: f64,
    /// Least and largest ratio of deviations.
    ratio: [f64; 2],
    /// Kolmogorov and Smirnov's distance from the kept draws, in units of its 99.9 % band, 1.95 √(1/n + 1/m).
    distance: f64,
}

impl Against {
    fn reference(name: &str, x: &Matrix, moments: &Value) -> Self {
        let (n, kept) =
            (x.rows() as f64, read_samples(&kept(name)).expect("write_references keeps draws; run it first"));
        let mut out = Self { mean: 0.0, ratio: [f64::INFINITY, 0.0], distance: 0.0 };
        let band = 1.95 * (1.0 / n + 1.0 / kept.rows() as f64).sqrt();
        for (j, reference) in moments["columns"].as_object().unwrap().values().enumerate() {
            let (mean, sd) = (reference["mean"].as_f64().unwrap(), reference["sd"].as_f64().unwrap());
            if sd == 0.0 {
                continue;
            }
            let column = |x: &Matrix| -> Vec<f64> {
                let mut column: Vec<f64> = x.iter_rows().map(|r| r[j]).collect();
                column.sort_by(f64::total_cmp);
                column
            };
            let (own, theirs) = (column(x), column(&kept));
            let m = own.iter().sum::<f64>() / n;
            let s = (own.iter().map(|v| (v - m).powi(2)).sum::<f64>() / n).sqrt();
            out.mean = out.mean.max((m - mean).abs() / sd);
            out.ratio = [out.ratio[0].min(s / sd), out.ratio[1].max(s / sd)];
            out.distance = out.distance.max(apart(&own, &theirs) / band);
        }
        out
    }

    fn good(&self) -> bool {
        self.mean <= 0.05 && self.ratio[0] >= 0.95 && self.ratio[1] <= 1.05
    }
}

/// sup |F - G| of two sorted samples.
fn apart(a: &[f64], b: &[f64]) -> f64 {
    let share = |x: &[f64], v: f64| x.partition_point(|y| *y <= v) as f64 / x.len() as f64;
    b.iter()
        .chain(a.iter().step_by((a.len() / 10_000).max(1)))
        .map(|v| (share(a, *v) - share(b, *v)).abs())
        .fold(0.0, f64::max)
}

/// Checks that sup |F - G| is that of samples by hand, ties among them.
#[test]
fn distance_of_samples() {
    assert_eq!(apart(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 6.0]), 0.5);
    assert_eq!(apart(&[0.0, 1.0, 1.0, 1.0], &[0.0, 0.0, 1.0, 1.0]), 0.25);
}

/// The row of the table for one training with default settings but for these `arguments`, and whether it is good.
fn trained(name: &str, seed: &str, arguments: &str) -> (String, bool) {
    let place = tempfile::tempdir().unwrap();
    let (path, binary) = (folder().join(format!("{name}.toml")), env!("CARGO_BIN_EXE_pushforward"));
    // the shell tells the CPU time of its children
    let path = path.display();
    let line = format!("{binary} train {path} --method flow --out run --seed {seed} {arguments} >out 2>err; times");
    let out = std::process::Command::new("sh").args(["-c", &line]).current_dir(place.path()).output().unwrap();
    let times = String::from_utf8(out.stdout).unwrap();
    let minutes = |word: &str| {
        let (m, s) = word.trim_end_matches('s').split_once('m').unwrap();
        60.0 * m.parse::<f64>().unwrap() + s.parse::<f64>().unwrap()
    };
    let seconds: f64 = times.split_whitespace().skip(2).map(minutes).sum();
    let run = place.path().join("run");
    let Ok(summary) = std::fs::read_to_string(run.join("summary.json")) else {
        let why = std::fs::read_to_string(place.path().join("err")).unwrap();
        return (format!("| {name} | {seed} | no run: {} |", why.trim()), false);
    };
    let summary: Value = serde_json::from_str(&summary.replace("NaN", "null").replace("Infinity", "null")).unwrap();
    let moments = &references()[name];
    let chosen = summary["use"].as_str().unwrap_or("none");
    let file = match chosen {
        "resampled.npy" => run.join(chosen),
        _ => {
            let drawn = common::pushforward(
                place.path(),
                &["sample", "run", "-n", "100000", "-o", "more.npy", "--trust-library"],
            );
            assert!(drawn.status.success(), "{name}: {}", String::from_utf8_lossy(&drawn.stderr));
            place.path().join("more.npy")
        }
    };
    let found = Against::reference(name, &read_samples(&file).unwrap(), moments);
    let good = found.good();
    let verdict = match (chosen != "none", good) {
        (true, true) | (false, false) => "right",
        (true, false) => "**missed**",
        (false, true) => "false alarm",
    };
    let [low, high] = found.ratio;
    let row = format!(
        "| {name} | {seed} | {} | {:.3} | {low:.3} to {high:.3} | {:.2} | {:.4} | {verdict} | {} | {seconds:.0} |",
        chosen.trim_end_matches(".npy"),
        found.mean,
        found.distance,
        summary["certificate"]["reverse_ess"].as_f64().unwrap_or(f64::NAN),
        summary["steps"],
    );
    (row, good && verdict == "right" && found.distance <= 1.0)
}

/// Trains flows with default settings, three seeds of each posterior (PUSHFORWARD_SEEDS says others), and puts the rows into the table of
/// docs/posteriors.md: by the file that the summary says to use, or 100,000 raw draws. Rows of other settings (PUSHFORWARD_ARGUMENTS, as
/// `train` takes them) are printed alone. Checks means within 0.05 deviations, deviations within 5 %, the distance within its band and
/// the verdict.
#[test]
#[ignore = "many minutes; rewrites the table of docs/posteriors.md"]
fn flows_reach_the_references() {
    let page = folder().join("../../docs/posteriors.md");
    let seeds = std::env::var("PUSHFORWARD_SEEDS").unwrap_or_else(|_| "0,1,2".into());
    let arguments = std::env::var("PUSHFORWARD_ARGUMENTS").unwrap_or_default();
    let mut failed = Vec::new();
    for name in names() {
        for seed in seeds.split(',') {
            let (row, good) = trained(&name, seed, &arguments);
            println!("{row}");
            if !good {
                failed.push(row.clone());
            }
            if !arguments.is_empty() {
                continue;
            }
            let text = std::fs::read_to_string(&page).unwrap();
            let key = format!("| {name} | {seed} |");
            let mut lines: Vec<&str> = text.lines().collect();
            // the first table alone: the others are of other settings
            let first = lines.iter().position(|line| line.starts_with("|---")).unwrap() + 1;
            let end = first + lines[first..].iter().take_while(|line| line.starts_with('|')).count();
            let mut rows: Vec<&str> = lines[first..end].iter().filter(|l| !l.starts_with(&key)).copied().collect();
            rows.push(&row);
            rows.sort_unstable();
            lines.splice(first..end, rows);
            std::fs::write(&page, lines.join("\n") + "\n").unwrap();
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
