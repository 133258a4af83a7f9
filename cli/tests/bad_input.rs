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
    let errors: Vec<&str> = stderr.lines().filter(|l| !l.starts_with("note: ")).collect();
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

/// Proves that every malformed target file is refused with the file's name and the words that say what is wrong and where.
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

/// Proves that a name that is not known is answered with the near ones, and wrong dimensions with the allowed ones.
#[test]
fn target_names() {
    let folder = folder();
    refused(folder.path(), &["evaluate", "gmm4O", "x.csv"], &["gmm4O", "gmm40"]);
    refused(folder.path(), &["evaluate", "many-well-3", "x.csv"], &["3"]);
    refused(folder.path(), &["evaluate", "", "x.csv"], &["''"]);
}

/// Proves that files of samples that cannot be judged are refused with the file's name and the offending number.
#[test]
fn sample_files() {
    let folder = folder();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("three.csv", b"1,2,3\n4,5,6\n");
    write("one-row.csv", b"1,2\n");
    write("empty.csv", b"");
    write("nan.csv", b"1,2\n3,nan\n");
    write("x.txt", b"1,2\n");
    write("bad.npy", b"not an array at all");
    write("short.npy", b"\x93NUMPY\x01\x00");
    for (name, words) in [
        ("three.csv", &["3 columns", "2 dimensions"][..]),
        ("one-row.csv", &["at least 2"]),
        ("empty.csv", &["no samples"]),
        ("nan.csv", &["line 2", "NaN"]),
        ("x.txt", &[".npy nor .csv"]),
        ("bad.npy", &["does not start"]),
        ("short.npy", &["ends inside its header"]),
        ("missing.npy", &["cannot read"]),
    ] {
        refused(folder.path(), &["evaluate", "gmm9", name], words);
        refused(folder.path(), &["evaluate", "gmm9", name], &[name]);
    }
}
