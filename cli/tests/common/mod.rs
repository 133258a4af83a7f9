//! Running the real binary.
#![allow(dead_code)] // each test file uses a part

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// Runs `pushforward` with `arguments` in `folder`.
pub fn pushforward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pushforward"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// The same, not waited for.
pub fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushforward"));
    command.args(arguments).current_dir(folder);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Sends these signals to a process, one right after the other.
pub fn signal(child: &Child, names: &[&str]) {
    let id = child.id();
    let kills: Vec<String> = names.iter().map(|name| format!("kill -{name} {id}")).collect();
    assert!(Command::new("sh").args(["-c", &kills.join("; ")]).status().unwrap().success());
}

/// Waits, as long as the process lives, until `there` says that something is there.
pub fn wait_for(child: &mut Child, what: &str, there: impl Fn() -> bool) {
    while !there() {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            let _ = child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
            panic!("the process has ended without {what}, {status}: {said}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Trains in the folder `run` of `folder`, or goes on there, and is stopped by Ctrl-C once the run has two checkpoints.
pub fn stopped(folder: &Path, arguments: &[&str], run: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushforward"));
    command.args(arguments).args(["--checkpoint-every", "1ms"]);
    let out = stopped_child(command, folder, run);
    assert_eq!(out.status.code(), Some(130), "{}", stderr(&out));
    out
}

/// The same for a command that trains in `folder/run` and saves often.
pub fn stopped_child(mut command: Command, folder: &Path, run: &str) -> Output {
    let previous = folder.join(run).join("checkpoint.previous.safetensors");
    let _ = fs::remove_file(&previous);
    command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for(&mut child, "a second checkpoint", || previous.exists());
    signal(&child, &["INT"]);
    child.wait_with_output().unwrap()
}

/// A folder with a formula of two modes, and for each method a configuration of a run of a moment: what it learns does not matter here. A formula has
/// no exact samples, so judging it is quick too.
pub fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let formula = "log(exp(-0.5*(x1^2 + x2^2)) + 2*exp(-0.5*((x1 - 3)^2 + (x2 - 1)^2)))";
    let target = format!("kind = \"formula\"\ndim = 2\nlog_density = \"{formula}\"\n");
    fs::write(folder.path().join("two.toml"), target).unwrap();
    let head = "[run]\nsteps = 60\n[search]\ncentre = [2.0, 0.6]\nscale = 1.5\n[model]\nbatch = 64\nhidden = [8]\n";
    let config = "codes = 8\nsearch_particles = 512\ncentres = 128\n[velocity]\ndraws = 4\n";
    fs::write(folder.path().join("small.toml"), format!("format = 2\n{head}{config}")).unwrap();
    for method in ["flow", "flow-lv"] {
        let text = format!("format = 2\nmethod = \"{method}\"\n{head}couplings = 2\ncomponents = 2\n");
        fs::write(folder.path().join(format!("{method}.toml")), text).unwrap();
    }
    folder
}

/// What it said on stderr.
pub fn stderr(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// Asserts exit code 0.
pub fn succeeds(out: &Output) {
    assert_eq!(out.status.code(), Some(0), "{}", stderr(out));
}

/// Asserts that a run took all its steps, whatever its samples are worth: exit code 0 or 3.
pub fn ends(out: &Output) {
    assert!(matches!(out.status.code(), Some(0 | 3)), "{}", stderr(out));
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that two complete runs have the same files, and the same bits where results are.
pub fn same_run(folder: &Path, a: &str, b: &str) {
    let (a, b) = (folder.join(a), folder.join(b));
    assert_eq!(names(&a), names(&b));
    for name in ["model.safetensors", "samples.npy", "metrics.jsonl", "pictures.safetensors"] {
        assert!(fs::read(a.join(name)).unwrap() == fs::read(b.join(name)).unwrap(), "{name} of {}", b.display());
    }
}

/// User and system time in seconds, of all threads: of this process, and of the commands that it has waited for; NaN where there is no /proc.
pub fn cpu_seconds() -> [f64; 2] {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the name of the process, in brackets, may hold blanks; the times are the fields 12 to 15 behind it, in 1/100 s
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    let ticks: Vec<f64> = fields.filter_map(|f| f.parse().ok()).collect();
    if ticks.len() == 4 { [(ticks[0] + ticks[1]) / 100.0, (ticks[2] + ticks[3]) / 100.0] } else { [f64::NAN; 2] }
}
