//! Bad input: exit code 2, one sentence that names the place and the value, nothing written and nothing changed.

mod common;

use common::pushforward;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Every file under `folder` with its content.
fn snapshot(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap_or_default())).collect()
}

/// Runs, and checks everything that holds for every refusal. `words` must all be in the sentence.
fn refused(folder: &Path, arguments: &[&str], words: &[&str]) {
    let before = snapshot(folder);
    let out = pushforward(folder, arguments);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{arguments:?}: {stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|l| !l.starts_with("note: ") && !l.starts_with("  ")).collect();
    assert_eq!(errors.len(), 1, "{arguments:?}: {stderr}");
    for word in words {
        assert!(errors[0].contains(word), "{arguments:?}: '{word}' is not in: {}", errors[0]);
    }
    assert!(out.stdout.is_empty(), "{arguments:?}");
    assert_eq!(snapshot(folder), before, "{arguments:?} changed the folder");
}

/// A folder with a file of samples that would do for any target in the plane.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.csv"), "x1,x2\n0,1\n1,0\n2,2\n").unwrap();
    folder
}

/// (what follows `kind`, words of the sentence); a good file is `weights = [1, 1]`, `means = [[0, 0], [1, 1]]`, `std = 1`.
const BAD_TARGETS: &[(&str, &[&str])] = &[
    ("means = [[0, 0]]\nstd = 1", &["'weights' is missing"]),
    ("weights = [1]\nstd = 1", &["'means' is missing"]),
    ("weights = [1]\nmeans = [[0, 0]]", &["'covariances' nor 'std'"]),
    ("weights = [1]\nmeans = [[0, 0]]\nstd = 1\ncovariances = [[[1, 0], [0, 1]]]", &["both"]),
    ("weights = [1]\nmean = [[0, 0]]\nstd = 1", &["line 3", "'mean'", "means"]),
    ("weights = [1, -0.25]\nmeans = [[0, 0], [1, 1]]\nstd = 1", &["weights", "entry 2", "-0.25", "positive"]),
    ("weights = [1, 0]\nmeans = [[0, 0], [1, 1]]\nstd = 1", &["weights", "entry 2", "positive"]),
    ("weights = [1, nan]\nmeans = [[0, 0], [1, 1]]\nstd = 1", &["weights", "entry 2", "NaN"]),
    ("weights = [1e308, 1e308]\nmeans = [[0, 0], [1, 1]]\nstd = 1", &["sum of weights", "inf"]),
    ("weights = [1, 2, 3]\nmeans = [[0, 0], [1, 1]]\nstd = 1", &["weights has 3", "means has 2"]),
    ("weights = \"equal\"\nmeans = [[0, 0]]\nstd = 1", &["line 2", "equal"]),
    ("weights = []\nmeans = []\nstd = 1", &["means is empty"]),
    ("weights = [1, 1]\nmeans = [[0, 0], [1]]\nstd = 1", &["entry 2", "1 coordinates"]),
    ("weights = [1]\nmeans = [[0, inf]]\nstd = 1", &["coordinate 2 of entry 1", "inf"]),
    ("weights = [1]\nmeans = [[0, 0]]\nstd = 0", &["std", "0", "positive"]),
    ("weights = [1]\nmeans = [[0, 0]]\nstd = -2.5", &["std", "-2.5"]),
    ("weights = [1]\nmeans = [[0, 0]]\nstd = [1, 2]", &["std has 2", "means has 1"]),
    ("weights = [1]\nmeans = [[0, 0]]\nstd = nan", &["std", "NaN"]),
    ("weights = [1]\nmeans = [[0, 0]]\nstd = \"one\"", &["std must be a number or a list"]),
    (
        "weights = [1]\nmeans = [[0, 0]]\ncovariances = [[[1, 2], [2, 1]]]",
        &["entry 1", "not positive definite", "-3e0"],
    ),
    (
        "weights = [1]\nmeans = [[0, 0]]\ncovariances = [[[1, 0.5], [0.25, 1]]]",
        &["entry 1", "not symmetric", "0.5", "0.25"],
    ),
    ("weights = [1]\nmeans = [[0, 0]]\ncovariances = [[[1]]]", &["entry 1", "expected 2 rows"]),
    ("weights = [1]\nmeans = [[0, 0]]\ncovariances = [[[1, 0], [0, nan]]]", &["entry 1, row 2, column 2", "NaN"]),
    ("weights = [1]\nmeans = [[0, 0]]\ncovariances = []", &["covariances has 0", "means has 1"]),
    ("weights = [1\nmeans = [[0, 0]]", &["line"]),
    ("weights = [1]\nweights = [2]\nmeans = [[0, 0]]\nstd = 1", &["line 3", "duplicate key"]),
];

/// Checks that every malformed target file is refused with the file's name and the words that say what is wrong and where.
#[test]
fn target_files() {
    let folder = folder();
    for (text, words) in BAD_TARGETS {
        fs::write(folder.path().join("t.toml"), format!("kind = \"gaussian-mixture\"\n{text}\n")).unwrap();
        refused(folder.path(), &["evaluate", "t.toml", "x.csv"], words);
        refused(folder.path(), &["evaluate", "t.toml", "x.csv"], &["t.toml"]);
    }
    for (text, words) in [
        (&b"weights = [1]"[..], &["'kind' is missing", "gaussian-mixture"][..]),
        (b"kind = \"gausian-mixture\"", &["gausian-mixture", "did you mean gaussian-mixture"]),
        (b"kind = 7", &["line 1", "7"]),
        (b"\x80\x81", &["not text"]),
        (b"\x93NUMPY", &["not text"]),
        (b"", &["'kind' is missing"]),
    ] {
        fs::write(folder.path().join("t.toml"), text).unwrap();
        refused(folder.path(), &["evaluate", "t.toml", "x.csv"], words);
    }
    fs::create_dir(folder.path().join("d.toml")).unwrap();
    refused(folder.path(), &["evaluate", "d.toml", "x.csv"], &["d.toml"]);
    refused(folder.path(), &["evaluate", "missing.toml", "x.csv"], &["missing.toml", "cannot read"]);
}

/// (what follows `kind = "formula"`, words of the sentence).
const BAD_FORMULAS: &[(&str, &[&str])] = &[
    ("dim = 2", &["'log_density' is missing"]),
    ("log_density = \"-x1^2\"", &["'dim' is missing"]),
    ("dim = 0\nlog_density = \"1\"", &["dim = 0", "1 to 10000"]),
    ("dim = -1\nlog_density = \"1\"", &["dim = -1"]),
    ("dim = 1000000000000\nlog_density = \"1\"", &["dim = 1000000000000"]),
    ("dim = 2\nlogdensity = \"-x1^2\"", &["line 3", "'logdensity'", "log_density"]),
    ("dim = 2\nlog_density = 3", &["line 3", "3"]),
    ("dim = 2\nlog_density = \"-x1^2 - y^2\"", &["line 3, column 24", "unknown name 'y'", "[constants]"]),
    ("dim = 2\nlog_density = \"\"\"\nr = x1;\n  -r^2 - x3\"\"\"", &["line 5, column 10", "x3", "x1 to x2"]),
    ("dim = 2\nlog_density = \"-x1^2)\"", &["line 3, column 21", "brackets"]),
    ("dim = 2\nlog_density = \"-x1^2\"\n[constants]\nx = 1", &["constants", "'x'"]),
    ("dim = 2\nlog_density = \"-x1^2\"\n[constants]\na = [1, \"b\"]", &["constants", "a holds", "b"]),
    ("dim = 2\nlog_density = \"-x1^2\"\n[constants]\na = [[1, 2], [3]]", &["constants", "rows of 2 and 1"]),
    ("dim = 2\nlog_density = \"-x1^2\"\n[constants]\na = nan", &["constants", "NaN"]),
    ("dim = 2\nlog_density = \"-x1^2\"\n[support]\nx3 = \"positive\"", &["support", "x3", "x1 to x2"]),
    ("dim = 2\nlog_density = \"-x1^2\"\n[support]\nx1 = [2, 1]", &["support", "interval from 2"]),
    ("dim = 2\nlog_density = \"-x1^2\"\n[support]\nx1 = \"postive\"", &["support", "did you mean positive"]),
];

/// Checks that every mistake in a formula's file is refused with its place, and a picture of the line below the sentence.
#[test]
fn formulas() {
    let folder = folder();
    for (text, words) in BAD_FORMULAS {
        fs::write(folder.path().join("t.toml"), format!("kind = \"formula\"\n{text}\n")).unwrap();
        refused(folder.path(), &["evaluate", "t.toml", "x.csv"], words);
    }
    fs::write(folder.path().join("t.toml"), "kind = \"formula\"\ndim = 2\nlog_density = \"-x1^2 - y^2\"").unwrap();
    let out = pushforward(folder.path(), &["evaluate", "t.toml", "x.csv"]);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert!(stderr.ends_with("\n  3 | log_density = \"-x1^2 - y^2\"\n    |                        ^\n"), "{stderr}");
    // a point outside the support
    fs::write(
        folder.path().join("t.toml"),
        "kind = \"formula\"\ndim = 2\nlog_density = \"-x1-x2\"\nsupport = {x = \"positive\"}",
    )
    .unwrap();
    refused(folder.path(), &["evaluate", "t.toml", "x.csv"], &["x.csv", "row 0", "coordinate 1", "(0, inf)"]);
}

/// (kind, what follows it, words of the sentence); data.csv has columns a, b, y with y 0 or 1, flat.csv one that never changes.
const BAD_REGRESSIONS: &[(&str, &str, &[&str])] = &[
    ("logistic", "prior_scale = 1", &["'data' is missing", ".csv"]),
    ("logistic", "data = \"no.csv\"", &["data", "cannot read", "no.csv"]),
    ("logistic", "data = \"data.csv\"\nrespons = \"y\"", &["line 3", "'respons'", "response"]),
    ("logistic", "data = \"data.csv\"\nresponse = \"z\"", &["unknown column 'z'"]),
    ("logistic", "data = \"data.csv\"\nresponse = \"a\"", &["row 1 of the response 'a'", "0.5", "0 or 1"]),
    ("logistic", "data = \"data.csv\"\nprior_scale = 0", &["data.csv", "prior scale = 0", "positive"]),
    ("logistic", "data = \"data.csv\"\nnoise = 1", &["no noise"]),
    ("linear", "data = \"data.csv\"\nnoise = -1", &["noise = -1"]),
    ("linear", "data = \"data.csv\"\nnoise = 1\nnoise_scale = 1", &["both noise"]),
    ("linear", "data = \"data.csv\"\ndata_checksum = \"00\"", &["has changed since the run", "00"]),
    ("linear", "data = \"flat.csv\"", &["column 'b'", "standard deviation 0", "standardise = false"]),
    ("linear", "data = \"one.csv\"\nintercept = false", &["no column beside the response"]),
    ("linear", "data = \"nan.csv\"", &["data", "nan.csv, line 2", "NaN"]),
    ("linear", "data = \"header.csv\"", &["names 2 columns but its rows have 3"]),
    ("linear", "data = \"empty.csv\"", &["holds no rows"]),
    ("linear", "data = \".\"", &["data"]),
];

/// Checks that every mistake in a regression's file or data is refused with the key, the column or the row.
#[test]
fn regressions() {
    let folder = folder();
    for (name, text) in [
        ("data.csv", "a,b,y\n0.5,1,0\n1,2,1\n2,0,1\n"),
        ("flat.csv", "a,b,y\n0.5,1,0\n1,1,1\n"),
        ("one.csv", "y\n1\n2\n"),
        ("nan.csv", "a,y\n1,nan\n"),
        ("header.csv", "a,y\n1,2,3\n"),
        ("empty.csv", ""),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (kind, text, words) in BAD_REGRESSIONS {
        fs::write(folder.path().join("t.toml"), format!("kind = \"{kind}-regression\"\n{text}\n")).unwrap();
        refused(folder.path(), &["evaluate", "t.toml", "x.csv"], words);
    }
}

/// (what follows `kind = "samples"`, words of the sentence).
const BAD_SAMPLES: &[(&str, &[&str])] = &[
    ("thin = 2", &["'data' is missing", ".npy"]),
    ("data = \"no.npy\"", &["data", "no.npy", "cannot read"]),
    ("data = \"x.txt\"", &["data", "x.txt", ".npz nor .csv"]),
    ("data = \"many.csv\"\nweigths = \"w.csv\"", &["'weigths'", "weights"]),
    ("data = \"many.csv\"\nthin = 0", &["thin = 0", "at least 1"]),
    ("data = \"many.csv\"\nthin = 9", &["leaves", "held out", "at least 2"]),
    ("data = \"many.csv\"\nheld_out = 1.0", &["held_out = 1", "between 0 and 1"]),
    ("data = \"many.csv\"\nheld_out = nan", &["held_out = NaN"]),
    ("data = \"many.csv\"\nweights = \"two.csv\"", &["weights", "two.csv", "1×2", "10 samples"]),
    ("data = \"many.csv\"\nweights = \"minus.csv\"", &["minus.csv", "weight 3", "-1"]),
    ("data = \"many.csv\"\nweights = \"none.csv\"", &["none.csv", "all weights are 0"]),
    // the remedy keeps the check
    ("data = \"many.csv\"\ndata_checksum = \"00\"", &["changed since the run", "00", "restore it, or start a new run"]),
    ("data = \"nan.csv\"", &["nan.csv", "line 2", "NaN"]),
    ("data = \"far.csv\"", &["far.csv", "row 1, column 0", "1e200"]),
];

/// Ten samples in the plane, and weights that are wrong in a way each.
fn sample_targets(folder: &Path) {
    let rows: String = (0..10).map(|i| format!("{i},{}\n", i % 3)).collect();
    let column = |w: [f64; 10]| w.map(|w| w.to_string()).join("\n") + "\n";
    let mut minus = [1.0; 10];
    minus[2] = -1.0;
    for (name, text) in [
        ("many.csv", rows),
        ("two.csv", "1,2\n".into()),
        ("minus.csv", column(minus)),
        ("none.csv", column([0.0; 10])),
        ("nan.csv", "1,2\n1,nan\n".into()),
        ("far.csv", "1,2\n1e200,2\n3,4\n".into()),
        ("line.csv", "1\n2\n4\n".into()),
        ("one.csv", "1,2\n".into()),
    ] {
        fs::write(folder.join(name), text).unwrap();
    }
}

/// Checks that every mistake in a target of samples is refused with the key, the file and the place; and that what asks for a density is refused
/// by name, with what to choose instead.
#[test]
fn targets_of_samples() {
    let folder = folder();
    sample_targets(folder.path());
    for (text, words) in BAD_SAMPLES {
        fs::write(folder.path().join("t.toml"), format!("kind = \"samples\"\n{text}\n")).unwrap();
        refused(folder.path(), &["evaluate", "t.toml", "x.csv"], words);
    }
    fs::write(folder.path().join("t.toml"), "kind = \"samples\"\ndata = \"many.csv\"\n").unwrap();
    refused(folder.path(), &["check", "t.toml"], &["check asks for a density", "samples alone"]);
    let drift = ["train", "t.toml", "--velocity", "drift", "--steps", "1"];
    refused(folder.path(), &drift, &["samples alone", "sinkhorn or mmd"]);
    refused(folder.path(), &["train", "t.toml", "--method", "flow", "--steps", "1"], &["flow", "generator"]);
    refused(folder.path(), &["train", "t.toml", "--source", "no.csv", "--steps", "1"], &["no.csv", "cannot read"]);
    refused(
        folder.path(),
        &["train", "t.toml", "--source", "line.csv", "--steps", "1"],
        &["line.csv has 1 columns", "2"],
    );
    let flow = ["train", "gmm9", "--method", "flow", "--source", "many.csv", "--steps", "1"];
    refused(folder.path(), &flow, &["'flow'", "takes no points", "generator"]);
}

/// Checks that every mistake in what is to be compared by `distance` is refused with the file, the option and the numbers.
#[test]
fn distances() {
    let folder = folder();
    sample_targets(folder.path());
    for (arguments, words) in [
        (&["many.csv", "line.csv"][..], &["line.csv has 1 columns", "many.csv has 2"][..]),
        (&["many.csv", "no.npy"], &["no.npy", "cannot read"]),
        (&["one.csv", "many.csv"], &["one.csv has 1 sample", "at least 2"]),
        (&["far.csv", "many.csv"], &["far.csv", "row 1, column 0"]),
        (&["many.csv", "x.csv", "--epsilon", "0"], &["epsilon = 0", "positive"]),
        (&["many.csv", "x.csv", "--epsilon=-1"], &["epsilon = -1"]),
        (&["many.csv", "x.csv", "--epsilon", "nan"], &["epsilon = NaN"]),
        (&["many.csv", "x.csv", "--relax", "0"], &["relax = 0", "positive"]),
        (&["many.csv", "x.csv", "--metric", "mmd", "--relax", "1"], &["--relax", "only sinkhorn"]),
        (&["many.csv", "x.csv", "--metric", "w2"], &["w2 of 10 and 3 samples", "equal numbers"]),
        (&["many.csv", "x.csv", "--metric", "energy", "--epsilon", "1"], &["--epsilon", "only sinkhorn"]),
        (&["many.csv", "x.csv", "--metric", "mmd", "--weights", "minus.csv"], &["--weights", "only sinkhorn"]),
        (&["many.csv", "x.csv", "--weights", "minus.csv"], &["minus.csv", "weight 3", "-1"]),
        (&["many.csv", "x.csv", "--weights", "equal", "two.csv"], &["two.csv", "1×2", "3 samples"]),
        (&["many.csv", "x.csv", "--metric", "w3"], &["w3", "sinkhorn"]),
    ] {
        let all: Vec<&str> = ["distance"].iter().chain(arguments).copied().collect();
        refused(folder.path(), &all, words);
    }
}

/// Checks that a name that is not known is answered with the near ones, and wrong dimensions with the allowed ones.
#[test]
fn target_names() {
    let folder = folder();
    refused(folder.path(), &["evaluate", "gmm4O", "x.csv"], &["gmm4O", "gmm40"]);
    refused(folder.path(), &["evaluate", "many-well-3", "x.csv"], &["3"]);
    refused(folder.path(), &["evaluate", "", "x.csv"], &["''"]);
}

/// Checks that files of samples that cannot be judged are refused with the file's name and the offending number.
#[test]
fn sample_files() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("three.csv", b"1,2,3\n4,5,6\n");
    write("one-row.csv", b"1,2\n");
    write("empty.csv", b"");
    write("nan.csv", b"1,2\n3,nan\n");
    write("x.txt", b"1,2\n");
    write("bad.npz", b"PK\x05\x06 and nothing of an archive");
    write("bad.npy", b"not an array at all");
    write("short.npy", b"\x93NUMPY\x01\x00");
    for (name, words) in [
        ("three.csv", &["3 columns", "2 dimensions"][..]),
        ("one-row.csv", &["at least 2"]),
        ("empty.csv", &["no samples"]),
        ("nan.csv", &["line 2", "NaN"]),
        ("x.txt", &[".npz nor .csv"]),
        ("bad.npz", &["no whole .npz archive", "numpy.savez"]),
        ("bad.npy", &["does not start"]),
        ("short.npy", &["ends inside its header"]),
        ("missing.npy", &["cannot read"]),
    ] {
        refused(folder.path(), &["evaluate", "gmm9", name], words);
        refused(folder.path(), &["evaluate", "gmm9", name], &[name]);
    }
}

/// Checks what particles cannot follow: a period that the density does not have or no period at all, an order without a bounded gradient, an
/// exponent p of 1, of less, or that is no number, and several targets of different dimension or on different spaces.
#[test]
fn particle_velocities() {
    let folder = folder();
    let write = |name: &str, dim: usize, log_density: &str, rest: &str| {
        let text = format!("kind = \"formula\"\ndim = {dim}\nlog_density = \"{log_density}\"\n{rest}\n");
        fs::write(folder.path().join(name), text).unwrap();
    };
    write("one.toml", 1, "-0.5*x1^2", "");
    write("two.toml", 2, "-0.5*(x1^2 + x2^2)", "");
    write("circle.toml", 1, "0.5*cos(2*pi*x1)", "period = [1]");
    write("misfit.toml", 1, "0.5*cos(2*pi*x1)", "period = [0.7]");
    write("square.toml", 2, "0.5*cos(2*pi*x1)", "period = [1, 1]");
    let unequal = &["one and two", "dimensions 1 and 2", "targets of one dimension"][..];
    for (targets, more, words) in [
        (
            &["misfit.toml"][..],
            &["--velocity", "riesz"][..],
            &["misfit.toml", "period 0.7 in coordinate 1", "give"][..],
        ),
        (&["one.toml"], &["--velocity", "riesz"], &["'riesz' lives on a torus", "give a target with a period"]),
        (&["circle.toml"], &["--velocity", "riesz", "--set", "order=0.75"], &["order = 0.75", "1 or more"]),
        (&["square.toml"], &["--velocity", "riesz", "--set", "order=1"], &["order = 1", "above 3/2 in two"]),
        (&["two.toml"], &["--velocity", "functional", "--set", "p=1"], &["p = 1", "above 1"]),
        (&["two.toml"], &["--velocity", "functional", "--set", "p=0.5"], &["p = 0.5", "above 1"]),
        (&["two.toml"], &["--velocity", "functional", "--set", "p=-2"], &["p = -2", "positive"]),
        (&["two.toml"], &["--velocity", "functional", "--set", "p=nan"], &["p = NaN", "finite"]),
        (&["one.toml", "two.toml"], &["--velocity", "multi"], unequal),
        (&["one.toml", "circle.toml"], &["--velocity", "multi"], &["one and circle", "different spaces", "one period"]),
    ] {
        refused(folder.path(), &[&["particles"][..], targets, more, &["--out", "no"]].concat(), words);
    }
}
