//! What strangers' files and machines do: a table of input → outcome. To add a case, add a line.
#![cfg(unix)]

mod common;

use common::{ends, folder, names, pushforward, same_run, stderr, succeeds, wait_for};
use pushforward_cli::files::json;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A file of samples of a density in two dimensions → exit code, and words of the one sentence on stderr (of no
/// sentence where there are none).
const SAMPLES: &[(&str, i32, &[&str])] = &[
    ("1,2\n3,4\n0,1\n", 0, &[]),
    ("\u{feff}1,2\n3,4\n", 0, &[]),
    ("\u{feff}\"a\",\"y\"\r\n1.5,0\r\n2.5,1\r\n\r\n", 0, &[]),
    (",a,y\n0,1.5,0\n1,2.5,1\n", 0, &[]),
    ("\"\",\"a\",\"y\"\n\"1\",1.5,0\n\"2\",2.5,1\n", 0, &[]),
    ("\"a\" \"y\"\n\"1\" 1.5 0\n\"2\" 2.5 1\n", 0, &[]),
    ("a;y\n1,5;0\n2,5;1\n", 0, &[]),
    ("# model = m\nlp__,mu,sigma\n# Adaptation\n-1,1.5,0.1\n-2,2.5,1\n# Elapsed\n", 0, &[]),
    ("0,1\n1.5,0.0\n2.5,1.0\n", 0, &["first line", "names", "pandas"]),
    ("# only a comment\n", 2, &["holds no samples"]),
    ("x1,x2\n", 2, &["holds no samples"]),
    ("", 2, &["holds no samples"]),
    ("x1,x2\n1,NA\n2,3\n", 2, &["line 2", "'NA' is not a number"]),
    ("1,2\n\n3\n", 2, &["line 3", "1 columns"]),
    ("1,2\n3,-inf\n", 2, &["line 2", "-inf is not finite"]),
    ("1,2\n3,1e999\n", 2, &["line 2", "inf is not finite"]),
    ("\u{1b}[31mred,2\n\u{1b}[31m,2\n", 2, &["line 1", "'\\u{1b}[31mred'"]),
    ("1\n2\n", 2, &["1 columns", "2 dimensions"]),
    ("x,x1,x2\n0.5,1\n", 2, &["names 3 columns", "rows have 2"]),
];

/// A target file → exit code of `evaluate` on two good samples, and words of the sentence.
const TARGETS: &[(&str, i32, &[&str])] = &[
    ("\u{feff}kind = \"formula\"\ndim = 2\nlog_density = \"-0.5*(x1^2 + x2^2)\"\n", 0, &[]),
    ("kind = \"formula\"\r\ndim = 2\r\nlog_density = \"-0.5*(x1^2 + x2^2)\"\r\n", 0, &[]),
    // zeros of an inverse, rounded at the size of the diagonal
    (
        "kind = \"gaussian-mixture\"\nweights = [1.0]\nmeans = [[0.0, 0.0]]\ncovariances = [[[1.0, -2.8e-17], [1.1e-17, 1.0]]]\n",
        0,
        &[],
    ),
    ("kind = \"\\u001b[2Jx\"\n", 2, &["\\u{1b}[2Jx"]),
    ("kind = \"formula\"\ndim = 1000000000\nlog_density = \"x1\"\n", 2, &["dim = 1000000000"]),
];

/// Arguments of a command that asks for what no machine has → words of the one sentence; exit code 2, and nothing is written.
const TOO_LARGE: &[(&[&str], &[&str])] = &[
    (&["check", "many-well-2000000"], &["the search for the scale in 2000000 dimensions", "TB of memory"]),
    (&["particles", "many-well-2000000", "--out", "no"], &["the search for the scale", "TB of memory"]),
    (&["compare", "many-well-2000000", "--out", "no"], &["the search for the scale", "TB of memory"]),
    (&["symmetry", "funnel-2000", "--points", "18446744073709551615"], &["the search for symmetries", "of memory"]),
    (
        &["train", "two.toml", "--method", "flow", "--set", "components=100000000", "--out", "no"],
        &["components = 100000000", "search_particles = 8192"],
    ),
    (&["distance", "two.csv", "two.csv", "--floor", "18446744073709551615"], &["--floor", "1000000"]),
];

fn lines(out: &std::process::Output) -> Vec<String> {
    stderr(out).lines().filter(|line| !line.starts_with("  ")).map(String::from).collect()
}

/// Asserts the outcome of a command: no sentence where no word is given, else one that has all of them.
fn outcome(folder: &Path, arguments: &[&str], code: i32, words: &[&str], input: &str) {
    let out = pushforward(folder, arguments);
    let said = lines(&out);
    assert_eq!(out.status.code(), Some(code), "{input:?}: {said:?}");
    assert_eq!(said.len(), usize::from(!words.is_empty()), "{input:?}: {said:?}");
    words.iter().for_each(|word| assert!(said[0].contains(word), "{input:?}: '{word}' is not in {}", said[0]));
}

/// Checks the tables of files.
#[test]
fn files_of_strangers() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for (text, code, words) in SAMPLES {
        fs::write(at("s.csv"), text).unwrap();
        outcome(folder.path(), &["evaluate", "two.toml", "s.csv", "--test-size", "0"], *code, words, text);
    }
    fs::write(at("good.csv"), "1,2\n3,4\n").unwrap();
    for (text, code, words) in TARGETS {
        fs::write(at("t.toml"), text).unwrap();
        outcome(folder.path(), &["evaluate", "t.toml", "good.csv", "--test-size", "0"], *code, words, text);
    }
    let means = vec!["0"; 15_000].join(",");
    fs::write(at("wide.toml"), format!("kind = \"gaussian-mixture\"\nweights = [1]\nstd = 1\nmeans = [[{means}]]\n"))
        .unwrap();
    outcome(folder.path(), &["evaluate", "wide.toml", "good.csv"], 2, &["15000 dimensions", "3.4e12"], "30 kB");
    // devices, and files that say they are larger than any memory
    symlink("/dev/zero", at("zero.csv")).unwrap();
    symlink("/dev/zero", at("zero.npy")).unwrap();
    symlink("/dev/zero", at("zero.toml")).unwrap();
    fs::File::create(at("sparse.csv")).unwrap().set_len(1 << 40).unwrap();
    fs::File::create(at("sparse.toml")).unwrap().set_len(1 << 40).unwrap();
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (68719476736, 2), }";
    let npy = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
    let mut sparse = fs::File::create(at("sparse.npy")).unwrap();
    sparse.write_all(&npy).unwrap();
    sparse.set_len(npy.len() as u64 + (1 << 40)).unwrap();
    for (target, file, words) in [
        ("two.toml", "zero.csv", &["zero.csv, line 1", "longer than"][..]),
        ("two.toml", "zero.npy", &["not a regular file"]),
        ("zero.toml", "good.csv", &["zero.toml", "more than"]),
        ("two.toml", "sparse.csv", &["sparse.csv, line 1", "longer than"]),
        ("two.toml", "sparse.npy", &["68719476736×2", "1.1 TB"]),
        ("sparse.toml", "good.csv", &["sparse.toml", "more than"]),
    ] {
        outcome(folder.path(), &["evaluate", target, file], 2, words, file);
    }
}

/// Checks that a run whose model is no file, or one of a terabyte, is refused at once.
#[test]
fn models_of_strangers() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("run")).unwrap();
    fs::write(at("run/config.toml"), "target = \"gmm9\"\n").unwrap();
    let model = at("run/model.safetensors");
    let sample = ["sample", "run", "-n", "10", "-o", "x.npy"];
    outcome(folder.path(), &sample, 2, &["cannot read", "model.safetensors"], "none");
    symlink("/dev/zero", &model).unwrap();
    outcome(folder.path(), &sample, 2, &["not a regular file"], "device");
    fs::remove_file(&model).unwrap();
    fs::File::create(&model).unwrap().set_len(1 << 40).unwrap();
    outcome(folder.path(), &sample, 2, &["1.1 TB"], "sparse");
    assert!(!at("x.npy").exists());
}

/// Checks that flows without a network (one dimension, or no couplings) can be used after they were trained.
#[test]
fn small_flows_come_back() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("one.toml"), "kind = \"formula\"\ndim = 1\nlog_density = \"-0.5*x1^2\"\n").unwrap();
    for (target, columns, more) in
        [("one.toml", "x1", "couplings=2"), ("one.toml", "x1", "hidden=[500]"), ("two.toml", "x1,x2", "couplings=0")]
    {
        let train =
            ["train", target, "--config", "flow.toml", "--set", more, "--steps", "20", "--out", "run", "--force"];
        // what twenty steps taught does not matter
        let centre = if target == "one.toml" { ["--set", "centre=[0.0]"] } else { ["--set", "scale=1.5"] };
        succeeds(&pushforward(folder.path(), &[&train[..], &centre].concat()));
        succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "10000", "-o", "s.npy"]));
        assert!(fs::read(at("s.npy")).unwrap() == fs::read(at("run/samples.npy")).unwrap(), "{more}");
        succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "3", "-o", "s.csv"]));
        assert!(fs::read_to_string(at("s.csv")).unwrap().starts_with(&format!("{columns}\n")));
        succeeds(&pushforward(folder.path(), &["logpdf", "run", "s.csv", "-o", "l.csv"]));
        succeeds(&pushforward(folder.path(), &["report", "run"]));
    }
}

/// A run of a moment in `run`.
fn trained(folder: &Path) {
    succeeds(&pushforward(folder, &["train", "two.toml", "--config", "small.toml", "--out", "run"]));
}

/// Checks that what no file or disk holds is refused before any work, and writes nothing.
#[test]
fn more_than_there_is() {
    let folder = folder();
    trained(folder.path());
    let before = names(folder.path());
    for (number, file, code, words) in [
        ("1000000000000000", "x.npz", 1, &["x.npz", "16.0 PB", "free there"][..]),
        ("1000000000000000", "x.npy", 1, &["x.npy", "16.0 PB", "free there"]),
        ("1000000000000000", "x.csv", 1, &["x.csv", "8.0 PB", "free there"]),
        ("18446744073709551615", "x.npy", 1, &["free there"]),
        ("0", "x.npy", 2, &["at least one"]),
    ] {
        outcome(folder.path(), &["sample", "run", "-n", number, "-o", file], code, words, number);
        assert_eq!(names(folder.path()), before);
    }
}

/// Checks the table of commands that ask for too much.
#[test]
fn commands_that_ask_for_everything() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("two.csv"), "1,2\n3,4\n").unwrap();
    let before = names(folder.path());
    for (arguments, words) in TOO_LARGE {
        let out = pushforward(folder.path(), arguments);
        let said = stderr(&out);
        // notes on the method may come first
        let sentence = said.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(out.status.code() == Some(2) && words.iter().all(|w| sentence.contains(w)), "{arguments:?}: {said}");
        assert_eq!(names(folder.path()), before, "{arguments:?}");
    }
}

/// Checks that the point of an error is one of the samples' coordinates: log p~ is NaN beyond 3·10⁶, whose logarithm is 15.
#[test]
fn points_are_those_of_samples() {
    let folder = folder();
    let text = "kind = \"formula\"\nlog_density = \"tau ~ gamma(4, 2e-6); mu ~ normal(0, 1); 0*sqrt(3e6 - tau)\"\n\
                [parameters]\ntau = { support = \"positive\" }\nmu = {}\n";
    fs::write(folder.path().join("far.toml"), text).unwrap();
    fs::write(folder.path().join("x.csv"), "tau,mu\n2e6,0.5\n4e6,0.25\n").unwrap();
    for (arguments, code) in [
        (&["check", "far.toml"][..], 1),
        (&["train", "far.toml", "--out", "run"], 2),
        (&["evaluate", "far.toml", "x.csv", "--test-size", "0"], 2),
    ] {
        let out = pushforward(folder.path(), arguments);
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &stderr(&out);
        let number = said.split("log-density is NaN at x = [").nth(1).and_then(|rest| rest.split(',').next());
        let tau: f64 = number.and_then(|n| n.parse().ok()).unwrap_or(0.0);
        assert!(out.status.code() == Some(code) && tau > 3e6, "{arguments:?}: {said}");
    }
}

/// Checks that a density that is NaN beyond the samples, where only the certificate looks, is trained, written and sampled.
#[test]
fn undefined_beyond_the_samples() {
    let folder = folder();
    let text = "kind = \"formula\"\ndim = 1\nlog_density = \"normal_lpdf(x1, 1000, 10) + 0*log(1090-x1)\"\n";
    fs::write(folder.path().join("far.toml"), text).unwrap();
    let out = pushforward(folder.path(), &["train", "far.toml", "--steps", "300", "--out", "run"]);
    ends(&out);
    succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "10", "-o", "x.npy"]));
}

/// Checks that --force deletes no folder that is not a run's, nor one with a file of the user's in it, and says which.
#[test]
fn folders_of_others() {
    let folder = folder();
    trained(folder.path());
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("site")).unwrap();
    fs::write(at("site/config.toml"), "title = \"mine\"\n").unwrap();
    fs::write(at("run/thesis.txt"), "years of work").unwrap();
    symlink("run", at("link")).unwrap();
    for (name, word) in [("site", "names no method"), ("run", "holds 'thesis.txt'"), ("link", "is a link")] {
        let before = names(&at(name));
        let out = pushforward(folder.path(), &["train", "gmm9", "--steps", "5", "--out", name, "--force"]);
        assert!(out.status.code() == Some(2) && stderr(&out).contains(word), "{name}: {}", stderr(&out));
        assert_eq!(names(&at(name)), before, "{name}");
    }
    fs::remove_file(at("run/thesis.txt")).unwrap();
    let out = pushforward(folder.path(), &["train", "gmm9", "--steps", "5", "--out", "run", "--force"]);
    ends(&out);
}

/// Checks that a named pipe to which nobody writes is refused at once, as data and in the folder of a run.
#[test]
fn pipes_nobody_writes_to() {
    let folder = folder();
    trained(folder.path());
    let at = |name: &str| folder.path().join(name);
    for (name, arguments) in [
        ("x.csv", &["evaluate", "gmm9", "x.csv"][..]),
        ("x.npy", &["evaluate", "gmm9", "x.npy"]),
        ("run/summary.json", &["sample", "run", "-n", "1", "-o", "y.npy"]),
        ("run/model.safetensors", &["sample", "run", "-n", "1", "-o", "y.npy"]),
    ] {
        let _ = fs::remove_file(at(name));
        if !Command::new("mkfifo").arg(at(name)).status().is_ok_and(|s| s.success()) {
            return;
        }
        let out = pushforward(folder.path(), arguments);
        assert!(out.status.code() == Some(2) && stderr(&out).contains("is a named pipe"), "{name}: {}", stderr(&out));
    }
}

/// Checks that outputs go through links, to pipes and devices, keep the mode of the file that they replace, and that a
/// device that is full is said.
#[test]
fn outputs() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    trained(folder.path());
    let sample = |file: &str| pushforward(folder.path(), &["sample", "run", "-n", "2000", "-o", file]);
    succeeds(&sample("plain.npy"));
    let expected = fs::read(at("plain.npy")).unwrap();
    fs::create_dir(at("far")).unwrap();
    fs::write(at("far/data.npy"), "old").unwrap();
    fs::set_permissions(at("far/data.npy"), fs::Permissions::from_mode(0o604)).unwrap();
    symlink("far/data.npy", at("link.npy")).unwrap();
    succeeds(&sample("link.npy"));
    assert!(at("link.npy").symlink_metadata().unwrap().is_symlink());
    assert!(fs::read(at("far/data.npy")).unwrap() == expected);
    assert_eq!(fs::metadata(at("far/data.npy")).unwrap().permissions().mode() & 0o777, 0o604);
    assert_eq!(names(&at("far")), ["data.npy"]);
    symlink("/dev/null", at("null.npy")).unwrap();
    succeeds(&sample("null.npy"));
    if Path::new("/dev/full").exists() {
        symlink("/dev/full", at("full.csv")).unwrap();
        let out = sample("full.csv");
        assert!(out.status.code() == Some(1) && stderr(&out).contains("full.csv"), "{}", stderr(&out));
    }
    if Command::new("mkfifo").arg(at("pipe.npy")).status().is_ok_and(|s| s.success()) {
        let reader = std::thread::spawn({
            let pipe = at("pipe.npy");
            move || fs::read(pipe).unwrap()
        });
        succeeds(&sample("pipe.npy"));
        assert!(reader.join().unwrap() == expected);
        assert!(!at("pipe.npy").symlink_metadata().unwrap().is_file());
    }
    // what a shell has written to its output stays, and what a link to it gets is added
    symlink("/dev/stdout", at("out.csv")).unwrap();
    let line = "\"$0\" sample run -n 3 -o out.csv >> log.csv";
    fs::write(at("log.csv"), "kept\n").unwrap();
    let mut sh = Command::new("sh");
    let sh = sh.args(["-c", line, env!("CARGO_BIN_EXE_pushforward")]).current_dir(folder.path());
    assert!(sh.status().unwrap().success());
    let log = fs::read_to_string(at("log.csv")).unwrap();
    assert!(log.starts_with("kept\n") && log.lines().count() >= 4, "{log}");
    // a page that is no text is replaced like another
    let page = fs::read(at("run/report.html")).unwrap();
    fs::write(at("run/report.html"), b"\xff\x00").unwrap();
    succeeds(&pushforward(folder.path(), &["report", "run"]));
    assert!(fs::read(at("run/report.html")).unwrap() == page);
    // a link that waits in a run's folder leads nowhere
    fs::write(at("precious"), "years of work").unwrap();
    symlink(at("precious"), at("run/samples.npz")).unwrap();
    succeeds(&pushforward(folder.path(), &["export", "run", "--format", "npz"]));
    assert_eq!(fs::read_to_string(at("precious")).unwrap(), "years of work");
    assert!(!names(folder.path()).iter().any(|n| n.contains(".tmp-")));
}

/// Starts a `sample` of seconds and waits until it writes. Its samples need 160 MB of free space at least, as the command
/// asks for before it begins.
fn long_sample(folder: &Path, prefix: &str) -> std::process::Child {
    let program = env!("CARGO_BIN_EXE_pushforward");
    let mut sh = Command::new("sh");
    sh.args([
        "-c",
        &format!("{prefix} exec \"$0\" \"$@\""),
        program,
        "sample",
        "run",
        "-n",
        "20000000",
        "-o",
        "long.csv",
    ]);
    let mut child = sh.current_dir(folder).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, "writing", || names(folder).iter().any(|n| n.starts_with(".long.csv.tmp-")));
    child
}

/// Checks that Ctrl-C, SIGTERM and SIGHUP end a command with the exit code of the signal and leave nothing, that
/// `nohup` still does what it says, and that what `kill -9` left goes with the next command.
#[test]
fn signals() {
    let folder = folder();
    trained(folder.path());
    let send = |child: &std::process::Child, signal: &str| {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    };
    let before = names(folder.path());
    for (signal, code, word) in [("-INT", 130, "Ctrl-C"), ("-TERM", 143, "SIGTERM"), ("-HUP", 129, "SIGHUP")] {
        let mut child = long_sample(folder.path(), "");
        send(&child, signal);
        let (mut said, status) = (String::new(), child.wait().unwrap());
        child.stderr.unwrap().read_to_string(&mut said).unwrap();
        assert!(
            status.code() == Some(code) && said.contains(word) && said.contains("was not written"),
            "{status}: {said}"
        );
        assert_eq!(names(folder.path()), before, "{signal}");
    }
    if cfg!(target_os = "linux") {
        let mut child = long_sample(folder.path(), "trap '' HUP;");
        send(&child, "-HUP");
        std::thread::sleep(Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "a hang-up that is ignored ends nothing");
        send(&child, "-KILL");
        child.wait().unwrap();
        assert_eq!(names(folder.path()).len(), before.len() + 1);
        succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "10", "-o", "long.csv"]));
        assert!(names(folder.path()).iter().all(|n| !n.contains(".tmp-")));
    }
}

/// Checks that a stderr that is full or closed changes neither what is done nor the exit code.
#[test]
fn nobody_listens() {
    let folder = folder();
    let run = |stderr: &str, arguments: &str| {
        let command = format!("\"$0\" {arguments} {stderr}");
        let mut sh = Command::new("sh");
        let sh = sh.args(["-c", &command, env!("CARGO_BIN_EXE_pushforward")]).current_dir(folder.path());
        sh.stdout(Stdio::null()).status().unwrap().code()
    };
    let mut ways = vec!["2>&-"];
    if Path::new("/dev/full").exists() {
        ways.push("2>/dev/full");
    }
    for way in ways {
        // the weights need a note
        let target = "kind = \"gaussian-mixture\"\nweights = [1, 3]\nmeans = [[0, 0], [1, 1]]\nstd = 1\n";
        fs::write(folder.path().join("note.toml"), target).unwrap();
        assert_eq!(run(way, "train note.toml --config small.toml --out run --force"), Some(0), "{way}");
        assert_eq!(run(way, "train nothing"), Some(2), "{way}");
        assert_eq!(run(way, "sample run -n 10 -o x.npy"), Some(0), "{way}");
        assert_eq!(run(way, "no-such-command"), Some(2), "{way}");
    }
}

/// Checks, fifty times, that of two trainings that start together in one new folder one succeeds and the other is
/// refused, and that the folder is the one's alone; then the same with `--force`, where each that succeeds was whole
/// before it was replaced.
#[test]
fn two_trainings_in_one_folder() {
    let folder = folder();
    fs::write(
        folder.path().join("tiny.toml"),
        fs::read_to_string(folder.path().join("small.toml")).unwrap().replace("60", "3"),
    )
    .unwrap();
    let train = |seed: usize, out: &str, force: bool| {
        let seed = (seed + 1).to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pushforward"));
        command.args(["train", "two.toml", "--config", "tiny.toml", "--threads", "1", "--seed", &seed, "--out", out]);
        // without codes there is no search, so that what is tried is the folder
        command.args(["--method", "kde", "--set", "codes=0", "--set", "sample=128"]);
        let command = command.args(force.then_some("--force")).current_dir(folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for seed in 0..2 {
        assert!(train(seed, &format!("alone{seed}"), false).wait().unwrap().success());
    }
    for round in 0..50 {
        let force = round % 2 == 1;
        let path = format!("run{}", round / 2);
        let children = [train(0, &path, force), train(1, &path, force)];
        let ends = children.map(|child| child.wait_with_output().unwrap());
        let won: Vec<usize> = (0..2).filter(|&k| ends[k].status.success()).collect();
        assert!(won.len() == 1 || (force && won.len() == 2), "round {round}: {won:?}");
        for lost in (0..2).filter(|k| !won.contains(k)) {
            let said = stderr(&ends[lost]);
            assert_eq!(ends[lost].status.code(), Some(2), "{said}");
            assert!(said.contains("exists already") || said.contains("another process"), "{said}");
        }
        let config = fs::read_to_string(folder.path().join(&path).join("config.toml")).unwrap();
        let owner = won.iter().find(|&&k| config.contains(&format!("seed = {}\n", k + 1))).unwrap();
        same_run(folder.path(), &format!("alone{owner}"), &path);
        assert!(names(folder.path()).iter().all(|n| !n.starts_with(".run")), "round {round}");
    }
}

/// Checks that a figure that is infinite is written as the number that Python reads, and that the coordinates of a
/// simplex are read in every precision in which they were written.
#[test]
fn numbers_at_their_ends() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let simplex = "kind = \"formula\"\ndim = 3\nlog_density = \"sum(log(x))\"\nsupport = { x = \"simplex\" }\n";
    fs::write(at("simplex.toml"), simplex).unwrap();
    for (row, code, words) in [
        ("0.1,0.2,0.7", 0, &[][..]),
        ("0.33333334,0.33333334,0.33333334", 0, &[]),
        ("0.333,0.333,0.333", 0, &[]),
        ("0.333333,0.333333,0.33333", 0, &[]),
        ("0.3333333333333333,0.3333333333333333,0.3333333433333333", 0, &[]),
        ("0.3333333333333333,0.3333333333333333,0.3333334333333333", 2, &["row 0", "not inside the simplex"]),
        ("0.3,0.3,0.3", 2, &["row 0", "not inside the simplex"]),
        ("0.333,0.333,0.3", 2, &["row 0", "not inside the simplex"]),
    ] {
        fs::write(at("x.csv"), format!("{row}\n0.2,0.3,0.5\n")).unwrap();
        outcome(folder.path(), &["evaluate", "simplex.toml", "x.csv", "--test-size", "0"], code, words, row);
    }
    // half of the samples are impossible
    let wall = "kind = \"formula\"\ndim = 2\nlog_density = \"-0.5*(x1^2 + x2^2) + log(step(x1))\"\n";
    fs::write(at("wall.toml"), wall).unwrap();
    fs::write(at("half.csv"), "1,0\n2,0\n-1,0\n-2,0\n").unwrap();
    let out = pushforward(folder.path(), &["evaluate", "wall.toml", "half.csv", "--json"]);
    succeeds(&out);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains("\"value\": -Infinity") && text.contains("\"statistic\": Infinity"), "{text}");
    let answer = json::parse(&text).unwrap();
    let figures: Vec<(&str, f64)> = answer["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["metric"].as_str().unwrap(), json::as_real(&m["value"]).unwrap()))
        .collect();
    assert_eq!(figures, [("mean_log_density", f64::NEG_INFINITY), ("outside_support", 0.5)]);
    // 0.1 as single precision has it, in a file of double precision
    let single: Vec<f64> = [0.1f32, 0.2, 0.7].iter().map(|v| f64::from(*v)).collect();
    let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }";
    let numbers = single.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let npy = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &numbers, &numbers]
        .concat();
    fs::write(at("x.npy"), npy).unwrap();
    outcome(folder.path(), &["evaluate", "simplex.toml", "x.npy", "--test-size", "0"], 0, &[], "single");
}

/// Checks that samples of a law with mass within a rounding of its edges are read by `evaluate` and `export`, and that neither they nor the run
/// count any as outside: 1 % of Beta(0.1, 0.1) are nearer to 1 than any number, half of the other law is nearer to 10⁶.
#[test]
fn samples_at_the_edge() {
    let folder = folder();
    for (formula, support) in
        [("-0.9*log(x1) - 0.9*log(1-x1)", "[0, 1]"), ("-0.95*log(x1-1e6) - 0.5*log(1e6+1e-3-x1)", "[1e6, 1000000.001]")]
    {
        let text = format!("kind = \"formula\"\ndim = 1\nlog_density = \"{formula}\"\n[support]\nx1 = {support}\n");
        fs::write(folder.path().join("edge.toml"), text).unwrap();
        let train = ["train", "edge.toml", "--method", "flow", "--steps", "5", "--out", "run", "--force"];
        ends(&pushforward(folder.path(), &train));
        let own = pushforward(folder.path(), &["evaluate", "edge.toml", "run/samples.npy", "--json"]);
        succeeds(&own);
        let summary = fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
        for said in [summary, String::from_utf8(own.stdout).unwrap()] {
            let figures = &json::parse(&said).unwrap()["metrics"];
            let level = figures.as_array().unwrap().iter().find(|m| m["metric"] == "mean_log_density").unwrap();
            assert!(json::as_real(&level["value"]).unwrap().is_finite() && !said.contains("outside"), "{said}");
        }
        succeeds(&pushforward(folder.path(), &["export", "run", "--format", "npz"]));
        succeeds(&pushforward(folder.path(), &["sample", "run", "-n", "5000", "--seed", "7", "-o", "more.csv"]));
        succeeds(&pushforward(folder.path(), &["evaluate", "edge.toml", "more.csv", "--test-size", "0"]));
    }
}

/// Checks that a column of a regression's data that does not vary is refused whatever its size is, and one that varies
/// by little beside its size is not.
#[test]
fn columns_that_do_not_vary() {
    let folder = folder();
    fs::write(folder.path().join("r.toml"), "kind = \"linear-regression\"\ndata = \"d.csv\"\n").unwrap();
    fs::write(folder.path().join("x.csv"), "0,1,1\n0,2,1\n").unwrap();
    for (values, varies) in [
        (["14.62"; 2], false),
        (["1.0"; 2], false),
        (["1e300"; 2], false),
        (["-7e-300"; 2], false),
        (["0"; 2], false),
        (["14.62", "14.620000000000003"], false),
        (["14.62", "14.6200001"], true),
        (["1e-300", "2e-300"], true),
        (["1000000000", "1000000001"], true),
    ] {
        let rows: String = (0..40).map(|i| format!("{},{}\n", values[i % 2], i % 3)).collect();
        fs::write(folder.path().join("d.csv"), rows).unwrap();
        let words: &[&str] = if varies { &[] } else { &["column 1", "does not vary", "standardise = false"] };
        let code = if varies { 0 } else { 2 };
        outcome(folder.path(), &["evaluate", "r.toml", "x.csv", "--test-size", "0"], code, words, values[1]);
    }
}

/// Checks that a prior that is narrow beside the response is said, with what it does, and only then; and that a wide prior
/// finds the intercept, a standardised response the slope: y = 10,000 + 2 a with noise of 1.
#[test]
fn narrow_priors() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let rows = |a: f64, b: f64| (0..40).map(|i| format!("{},{}\n", i % 8, a + b * (i % 8) as f64)).collect::<String>();
    let names = |text: String| format!("a,y\n{text}");
    for (data, keys, words) in [
        (
            rows(10_000.0, 0.1),
            "",
            &["the response has mean 10000", "intercept", "prior_scale", "standardise_response"][..],
        ),
        (rows(10_000.0, 0.1), "prior_scale = 1e4", &[]),
        (rows(10_000.0, 0.1), "intercept = false", &[]),
        (rows(10_000.0, 0.1), "standardise_response = true", &[]),
        (rows(-35.0, 10.0), "noise = 1.0", &["the response has standard deviation 22.9", "slopes", "prior_scale"]),
        (rows(-35.0, 10.0), "prior_scale = 20", &["the noise", "below about 3", "noise_scale"]),
        (rows(-35.0, 10.0), "prior_scale = 20\nnoise_scale = 10", &[]),
        (rows(0.0, 0.5), "", &[]),
    ] {
        fs::write(at("d.csv"), names(data)).unwrap();
        fs::write(at("r.toml"), format!("kind = \"linear-regression\"\ndata = \"d.csv\"\n{keys}\n")).unwrap();
        let columns = 3 - usize::from(keys.contains("intercept")) - usize::from(keys.contains("noise = "));
        let row = vec!["1"; columns].join(",");
        fs::write(at("x.csv"), format!("{row}\n{row}\n")).unwrap();
        outcome(folder.path(), &["evaluate", "r.toml", "x.csv", "--test-size", "0"], 0, words, keys);
    }
    let binary = |ones: usize| names((0..400).map(|i| format!("{},{}\n", i % 8, usize::from(i < ones))).collect());
    for (ones, words) in [(1, &["log-odds", "5.99", "intercept"][..]), (100, &[])] {
        fs::write(at("d.csv"), binary(ones)).unwrap();
        fs::write(at("r.toml"), "kind = \"logistic-regression\"\ndata = \"d.csv\"\n").unwrap();
        fs::write(at("x.csv"), "1,1\n1,1\n").unwrap();
        outcome(folder.path(), &["evaluate", "r.toml", "x.csv", "--test-size", "0"], 0, words, "binary");
    }
    fs::write(at("d.csv"), names(rows(10_000.0, 2.0))).unwrap();
    let mean = |keys: &str| {
        fs::write(at("r.toml"), format!("kind = \"linear-regression\"\ndata = \"d.csv\"\nnoise = 1.0\n{keys}\n"))
            .unwrap();
        let target = pushforward_cli::target::load(at("r.toml").to_str().unwrap(), &mut |_| ()).unwrap();
        target.density.mixture().unwrap().mean()
    };
    // ridge: (N + 1/s²)⁻¹ N times the estimate of least squares; a has the standard deviation √(63/12) = 2.2913
    let shrunk = |s: f64| 40.0 / (40.0 + 1.0 / (s * s));
    let wide = mean("prior_scale = 1e5");
    assert!((wide[0] - 10_007.0 * shrunk(1e5)).abs() < 1e-6 && (wide[1] - 2.0 * (63f64 / 12.0).sqrt()).abs() < 1e-6);
    let units = mean("standardise_response = true");
    assert!(units[0].abs() < 1e-9 && (units[1] - shrunk(1.0)).abs() < 1e-9, "{units:?}");
}
