//! `pushforward evaluate` on samples whose quality is known.

mod common;

use common::pushforward;
use pushforward::density::by_name;
use pushforward::linalg::Matrix;
use pushforward_cli::files::samples::SampleWriter;
use serde_json::Value;
use std::path::Path;

/// Writes samples of gmm9 and evaluates them in JSON.
fn evaluate(folder: &Path, samples: &Matrix, name: &str) -> Value {
    let mut writer = SampleWriter::create(&folder.join(name), samples.rows() as u64, samples.cols()).unwrap();
    writer.push(samples).unwrap();
    writer.finish().unwrap();
    let out = pushforward(folder, &["evaluate", "gmm9", name, "--json"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn metric<'a>(answer: &'a Value, key: &str) -> &'a Value {
    answer["metrics"].as_array().unwrap().iter().find(|m| m["metric"] == key).unwrap_or_else(|| panic!("no {key}"))
}

/// Checks that exact samples score as exact and a shifted sample does not, and that `.npy` and `.csv` give the same JSON.
///
/// Exact: all modes, the mean of log p within 6 standard errors, distances below 3 floors (the squares among them
/// are under the null means of sums of weighted chi-squares, whose tail beyond 3 means is below 1 in 100; seeds are fixed). Shifted by s = (2.5, 2.5): W2 and sliced W2 are at least the distance of
/// the means, |s| = 3.54 and |s|/√2 = 2.5, less what 800 samples leave open (variance 17 a coordinate, so 6 √(2·17/800) = 1.2).
#[test]
fn exact_samples_score_as_exact() {
    let folder = tempfile::tempdir().unwrap();
    let samples = by_name("gmm9").unwrap().sample(800, 11).unwrap();
    let answer = evaluate(folder.path(), &samples, "x.npy");
    assert_eq!(metric(&answer, "modes_covered")["value"], 9.0);
    assert!(metric(&answer, "mean_log_density")["z"].as_f64().unwrap().abs() < 6.0);
    for key in ["sliced_w2", "w2", "mmd2", "energy_distance", "mode_mass_tv"] {
        let ratio =
            metric(&answer, key)["value"].as_f64().unwrap() / metric(&answer, key)["floor"]["mean"].as_f64().unwrap();
        assert!((0.0..3.0).contains(&ratio), "{key}: {ratio}");
    }
    let mut csv = evaluate(folder.path(), &samples, "x.csv");
    csv["file"] = answer["file"].clone();
    assert_eq!(csv, answer);
    let shifted = evaluate(folder.path(), &samples.map(|x| x + 2.5), "y.npy");
    assert!(metric(&shifted, "w2")["value"].as_f64().unwrap() > 3.54 - 1.2);
    assert!(metric(&shifted, "sliced_w2")["value"].as_f64().unwrap() > 2.5 - 1.2);
    assert!(metric(&shifted, "mean_log_density")["z"].as_f64().unwrap() < -6.0);
}

/// Checks that all tests pass exact samples (three p-values above 0.002, the smallest possible: fails by chance in 1 of 160 seeds, and the
/// seed is fixed), and that wrong masses of far modes fail the mode masses and MMD while KSD does not see them.
#[test]
fn tests_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let p = by_name("gmm9").unwrap();
    let p_values = |samples: &Matrix, name: &str| -> Vec<f64> {
        let answer = evaluate(folder.path(), samples, name);
        answer["tests"].as_array().unwrap().iter().map(|t| t["p_value"].as_f64().unwrap()).collect()
    };
    let exact = p.sample(1_000, 11).unwrap();
    assert!(p_values(&exact, "x.npy").iter().all(|&p| p > 0.002));
    // every second sample of the left third goes to the right one: masses 1/6, 1/3, 1/2
    let moved = Matrix::from_fn(1_000, 2, |i, j| {
        let shift = if j == 0 && i % 2 == 0 && exact[(i, 0)] < -2.5 { 10.0 } else { 0.0 };
        exact[(i, j)] + shift
    });
    let found = p_values(&moved, "y.npy");
    assert!(found[0] <= 0.002 && found[1] <= 0.002 && found[2] > 0.01, "{found:?}");
}

/// Checks that the keys that programs read are there, with the version, and that the table for people names every metric and its floor.
#[test]
fn two_forms() {
    let folder = tempfile::tempdir().unwrap();
    let samples = by_name("gmm9").unwrap().sample(500, 12).unwrap();
    let answer = evaluate(folder.path(), &samples, "x.npy");
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["version", "target", "file", "samples", "dim", "seed", "coordinates", "metrics", "modes", "tests"]
    );
    assert_eq!(answer["modes"]["masses"].as_array().unwrap().len(), 9);
    for m in answer["metrics"].as_array().unwrap() {
        let keys: Vec<&String> = m.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["metric", "name", "value", "floor", "z", "samples", "blocks", "note"]);
    }
    let tests: Vec<&str> = answer["tests"].as_array().unwrap().iter().map(|t| t["test"].as_str().unwrap()).collect();
    assert_eq!(tests, ["mode_masses", "mmd", "ksd"]);
    for t in answer["tests"].as_array().unwrap() {
        let keys: Vec<&String> = t.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["test", "statistic", "p_value", "samples", "note"]);
    }
    let out = pushforward(folder.path(), &["evaluate", "gmm9", "x.npy"]);
    let text = String::from_utf8(out.stdout).unwrap();
    for word in ["mean log p", "modes covered", "sliced W2", "floor", "p-value", "KSD"] {
        assert!(text.contains(word), "{text}");
    }
}

/// Writes (n, k, d) numbers of double precision as NumPy does.
fn write_array(path: &Path, shape: [usize; 3], numbers: &[f64]) {
    let [n, k, d] = shape;
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({n}, {k}, {d}), }}");
    header.extend(std::iter::repeat_n(' ', 117 - header.len()));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    numbers.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

/// Checks that DW-4 takes positions as (n, 8) and as (n, 4, 2) with the same figures, with energies, distances and their floors, and refuses in a
/// sentence what it cannot judge: a mean that is not 0, other shapes, NaN.
#[test]
fn positions_of_particles() {
    let folder = tempfile::tempdir().unwrap();
    let p = pushforward::density::NBody::dw4();
    let x = p.space().positions(&pushforward::density::Density::sample(&p, 100, 3).unwrap());
    let at = |name: &str| folder.path().join(name);
    write_array(&at("x.npy"), [100, 4, 2], x.as_slice());
    let mut writer = SampleWriter::create(&at("flat.npy"), 100, 8).unwrap();
    writer.push(&x).unwrap();
    writer.finish().unwrap();
    let run = |name: &str| pushforward(folder.path(), &["evaluate", "dw4", name, "--json", "--test-size", "0"]);
    let read = |name: &str| -> Value { serde_json::from_slice(&run(name).stdout).unwrap() };
    let answer = read("x.npy");
    assert_eq!(answer["coordinates"], "mean-free");
    assert_eq!(answer["metrics"], read("flat.npy")["metrics"]);
    for key in [
        "energy_tvd",
        "distance_tvd",
        "energy_tvd_fixed",
        "distance_tvd_fixed",
        "energy_w2",
        "distance_w2",
        "aligned_w2",
    ] {
        let (value, floor) = (&metric(&answer, key)["value"], &metric(&answer, key)["floor"]["mean"]);
        let ratio = value.as_f64().unwrap() / floor.as_f64().unwrap();
        assert!((0.3..3.0).contains(&ratio), "{key}: {value} {floor}");
    }
    assert_eq!(metric(&answer, "virial")["floor"]["mean"], 6.0);
    // the mean of 100 shares of 6 pairs has a standard error below 0.5/10; 5 of them fail by chance in 1 of 1.7e6
    let near = metric(&answer, "distances_below_4")["value"].as_f64().unwrap();
    assert!((near - 0.494).abs() < 5.0 * 0.5 / 10.0, "{near}");
    let shifted: Vec<f64> = x.as_slice().iter().map(|v| v + 0.5).collect();
    write_array(&at("shifted.npy"), [100, 4, 2], &shifted);
    write_array(&at("seven.npy"), [100, 7, 1], &x.as_slice()[..700]);
    let mut nan = x.as_slice().to_vec();
    nan[17] = f64::NAN;
    write_array(&at("nan.npy"), [100, 4, 2], &nan);
    for (name, words) in [
        ("shifted.npy", &["row 1", "mean 0.", "subtract"][..]),
        ("seven.npy", &["7 columns", "8 dimensions", "(n, 4, 2)"]),
        ("nan.npy", &["row 3, column 2", "NaN"]),
    ] {
        let out = run(name);
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(2) && said.lines().count() == 1, "{said}");
        words.iter().for_each(|word| assert!(said.contains(word) && said.contains(name), "{said}"));
    }
}
