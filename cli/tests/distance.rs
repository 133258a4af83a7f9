//! Distances between files of samples, and targets that are known by samples alone.

mod common;

use common::{pushforward, stderr, stopped, succeeds};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix, stream, uniform};
use std::fs;
use std::path::Path;
use std::time::Instant;

fn write(path: &Path, x: &Matrix) {
    let line = |row: &[f64]| row.iter().map(f64::to_string).collect::<Vec<_>>().join(",") + "\n";
    fs::write(path, x.iter_rows().map(line).collect::<String>()).unwrap();
}

fn stdout(folder: &Path, arguments: &[&str]) -> String {
    let out = pushforward(folder, arguments);
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn normals(unit: u64, n: usize) -> Matrix {
    normal_matrix(31, Purpose::Check, unit, n, 2)
}

/// Checks that the first word of `distance` is the value: of a translation by (3, 4) it is ½ · 25 for sinkhorn at every ε and 5 for w2, to 1e-10;
/// of a file and itself 0; that it is the same the other way round to the last digit; that the floor of two samples of one law is near their
/// value (within a factor of 3); and that weights are seen.
#[test]
fn distances() {
    let folder = tempfile::tempdir().unwrap();
    let (x, y) = (normals(0, 60), normals(1, 60));
    let moved = Matrix::from_fn(60, 2, |i, j| x[(i, j)] + if j == 0 { 3.0 } else { 4.0 });
    for (name, x) in [("a.csv", &x), ("b.csv", &y), ("moved.csv", &moved)] {
        write(&folder.path().join(name), x);
    }
    let value = |arguments: &[&str]| -> f64 {
        let all: Vec<&str> = ["distance"].iter().chain(arguments).copied().collect();
        let text = stdout(folder.path(), &all);
        assert!(text.lines().count() == 3 && text.contains("floor"), "{text}");
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    for epsilon in ["0.5", "20"] {
        assert!((value(&["a.csv", "moved.csv", "--epsilon", epsilon]) - 12.5).abs() < 1e-9);
    }
    assert!((value(&["a.csv", "moved.csv", "--metric", "w2"]) - 5.0).abs() < 1e-10);
    assert!(value(&["a.csv", "a.csv"]).abs() < 1e-10);
    // the default ε is a mean over both files, in their order
    let (ab, ba) = (value(&["a.csv", "b.csv"]), value(&["b.csv", "a.csv", "--floor", "1"]));
    assert!((ab / ba - 1.0).abs() < 1e-12, "{ab} {ba}");
    let json = |arguments: &[&str]| -> serde_json::Value {
        let all: Vec<&str> = ["distance", "--json"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&stdout(folder.path(), &all)).unwrap()
    };
    for metric in ["sinkhorn", "w2", "energy", "mmd"] {
        let out = json(&["a.csv", "b.csv", "--metric", metric, "--floor", "9"]);
        let (value, floor) = (out["value"].as_f64().unwrap(), out["floor"]["mean"].as_f64().unwrap());
        assert!(value < 3.0 * floor && value > floor / 3.0, "{metric}: {value} {floor}");
        let far = json(&["a.csv", "moved.csv", "--metric", metric]);
        assert!(far["value"].as_f64().unwrap() > 5.0 * floor, "{metric}");
    }
    // all weight on the first row
    fs::write(folder.path().join("w.csv"), "1\n".to_string() + &"0\n".repeat(59)).unwrap();
    write(&folder.path().join("first.csv"), &Matrix::from_fn(2, 2, |_, j| x[(0, j)]));
    let out = json(&["a.csv", "first.csv", "--weights", "w.csv", "equal", "--floor", "0"]);
    assert!(out["value"].as_f64().unwrap().abs() < 1e-10 && out["floor"].is_null(), "{out}");
}

/// Checks `--relax`: two points at distance 3 with the masses 2 and 0.7 have the closed form of `relaxed_points` in the library's tests; where
/// the sums of weights agree and RHO is 10⁸ the value is that without it to 1e-6; and an outlier that moves the mean by 10 counts for less.
#[test]
fn relaxed_marginals() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("x.csv", "0,0\n0,0\n"), ("y.csv", "3,0\n3,0\n"), ("v.csv", "1\n1\n"), ("w.csv", "0.3\n0.4\n")]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let json = |arguments: &[&str]| -> serde_json::Value {
        let all: Vec<&str> = ["distance", "--json", "--floor", "1"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&stdout(folder.path(), &all)).unwrap()
    };
    let (m, n, c, epsilon, rho) = (2.0f64, 0.7f64, 4.5, 0.5, 3.0);
    let value = |m: f64, n: f64, c: f64| {
        let plan = (((epsilon + rho) * (m * n).ln() - c) / (epsilon + 2.0 * rho)).exp();
        epsilon * m * n + rho * (m + n) - (epsilon + 2.0 * rho) * plan
    };
    let exact = value(m, n, c) - 0.5 * (value(m, m, 0.0) + value(n, n, 0.0)) + 0.5 * epsilon * (m - n) * (m - n);
    let out = json(&["x.csv", "y.csv", "--epsilon", "0.5", "--relax", "3", "--weights", "v.csv", "w.csv"]);
    assert!((out["value"].as_f64().unwrap() - exact).abs() < 1e-9, "{out} {exact}");
    assert_eq!(out["masses"].to_string(), "[2.0,0.7]");
    let (x, mut y) = (normals(4, 50), normals(5, 50));
    write(&folder.path().join("a.csv"), &x);
    write(&folder.path().join("b.csv"), &y);
    let of = |arguments: &[&str]| json(arguments)["value"].as_f64().unwrap();
    let (plain, wide) =
        (of(&["a.csv", "b.csv", "--epsilon", "1"]), of(&["a.csv", "b.csv", "--epsilon", "1", "--relax", "1e8"]));
    assert!((plain - wide).abs() < 1e-6, "{plain} {wide}");
    y[(0, 0)] = 500.0;
    write(&folder.path().join("c.csv"), &y);
    let (plain, relaxed) =
        (of(&["a.csv", "c.csv", "--epsilon", "1"]), of(&["a.csv", "c.csv", "--epsilon", "1", "--relax", "4"]));
    // giving the outlier up costs ρ for its share 1/50 on either side
    assert!(plain > 1000.0 && relaxed < 0.3, "{plain} {relaxed}");
}

/// Checks `-o`: the plan of three points that move by (3, 4) is three lines of a third of the mass each between the points' places, with the
/// names of files and columns and the note of what is drawn; of w2 it is the same; the entropic plan of many points draws the heaviest lines and
/// says their share; and what has no picture is refused in a sentence.
#[test]
fn plans_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.csv"), "east,north\n0,0\n1,0\n0,2\n").unwrap();
    fs::write(at("b.csv"), "east,north\n3,4\n4,4\n3,6\n").unwrap();
    for flags in [&["--epsilon", "0.01"][..], &["--metric", "w2"]] {
        let all = [&["distance", "a.csv", "b.csv", "-o", "plan.svg"], flags].concat();
        stdout(folder.path(), &all);
        let svg = fs::read_to_string(at("plan.svg")).unwrap();
        for words in [
            "a.csv",
            "b.csv",
            "east, in units of the samples",
            "north, in units",
            "mass 0.33",
            "3 lines, 100 % of the mass",
        ] {
            assert!(svg.contains(words), "{words}: {svg}");
        }
        assert_eq!(svg.matches("stroke-width=\"4.00\"").count(), 3, "{svg}");
        assert_eq!((svg.matches("<circle").count(), svg.matches("<rect").count()), (4, 3 + 1 + 3), "{svg}");
        assert!(!svg.contains("NaN") && svg.trim_end().ends_with("</svg>"));
    }
    let (x, y) = (normals(7, 2500), normals(8, 200));
    write(&at("many.csv"), &x);
    write(&at("few.csv"), &y);
    stdout(folder.path(), &["distance", "many.csv", "few.csv", "--floor", "0", "-o", "wide.svg"]);
    let svg = fs::read_to_string(at("wide.svg")).unwrap();
    assert!(svg.contains("3,000 lines, ") && svg.contains("(2,000 of 2,500 and 200)"), "{}", &svg[svg.len() - 400..]);
    let line = Matrix::from_fn(20, 1, |i, _| i as f64);
    write(&at("line.csv"), &line);
    let files = ["distance", "line.csv", "line.csv", "-o", "none.svg"];
    let refused = pushforward(folder.path(), &files);
    assert!(
        refused.status.code() == Some(2) && stderr(&refused).contains("line.csv has 1 columns"),
        "{}",
        stderr(&refused)
    );
    let refused = pushforward(folder.path(), &["distance", "a.csv", "b.csv", "--metric", "energy", "-o", "none.svg"]);
    assert!(
        refused.status.code() == Some(2) && stderr(&refused).contains("only sinkhorn and w2"),
        "{}",
        stderr(&refused)
    );
    assert!(!at("none.svg").exists());
}

/// Checks that `distance` of more than 10,000 points is within the error that it prints: 10,050 points on the line and their translation by 3
/// are at ½ · 9, to 1e-5.
#[test]
fn many_points() {
    let folder = tempfile::tempdir().unwrap();
    let z = normals(6, 10_050);
    let line = |shift: f64| Matrix::from_fn(10_050, 1, |i, _| z[(i, 0)] + shift);
    write(&folder.path().join("a.csv"), &line(0.0));
    write(&folder.path().join("b.csv"), &line(3.0));
    let text = stdout(folder.path(), &["distance", "a.csv", "b.csv", "--epsilon", "0.1", "--floor", "0"]);
    let value: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    let bound: f64 = text.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(bound <= 1e-5 && (value - 4.5).abs() <= bound + 1e-10, "{text}");
}

/// Checks that a target of samples is followed and judged: particles and a generator trained on 400 points of N((5, -3), I) have their mean within
/// 0.3 of it, by no flag about the velocity; the report and the summary hold distances with floors and no log-density; a run that
/// stopped goes on without the target's file beside it; and fresh points score a sliced distance below three floors.
#[test]
fn targets_of_samples() {
    let folder = tempfile::tempdir().unwrap();
    let shifted = |unit: u64, n: usize| {
        let z = normals(unit, n);
        Matrix::from_fn(n, 2, |i, j| z[(i, j)] + if j == 0 { 5.0 } else { -3.0 })
    };
    write(&folder.path().join("data.csv"), &shifted(2, 400));
    write(&folder.path().join("fresh.csv"), &shifted(3, 300));
    fs::write(folder.path().join("t.toml"), "kind = \"samples\"\ndata = \"data.csv\"\n").unwrap();
    let common = ["--set", "velocity.points=128", "--set", "velocity.iterations=50"];
    let particles = ["particles", "t.toml", "-n", "200", "--time", "6", "--dt", "0.25", "--out", "p"];
    let train = ["train", "t.toml", "--steps", "150", "--batch", "128", "--set", "velocity.second=128", "--out", "g"];
    for (arguments, out) in [(&particles[..], "p"), (&train[..], "g")] {
        let all: Vec<&str> = arguments.iter().chain(&common).copied().collect();
        stdout(folder.path(), &all);
        let summary = fs::read_to_string(folder.path().join(out).join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["velocity"], "sinkhorn");
        let text = summary.to_string();
        assert!(text.contains("sliced_w2") && !text.contains("mean_log_density"), "{text}");
        let samples = folder.path().join(out).join("samples.npy");
        let x = pushforward_cli::files::samples::read_samples(&samples).unwrap();
        let mean = x.column_means();
        assert!((mean[0] - 5.0).abs() < 0.3 && (mean[1] + 3.0).abs() < 0.3, "{out}: {mean:?}");
        assert!(folder.path().join(out).join("report.html").is_file());
    }
    let out: serde_json::Value =
        serde_json::from_str(&stdout(folder.path(), &["evaluate", "t.toml", "fresh.csv", "--json"])).unwrap();
    let metrics = out["metrics"].to_string();
    assert!(metrics.contains("sliced"), "{out}");
}

/// Checks `train --source`: a generator carries 400 points around (-2, 0) to 400 around (5, -3) by a map near the translation by (7, -3): within
/// 0.5 in root mean square at 200 fresh points, where a map that mixes them would be 2 off; `sample --source` writes the image of each
/// row, `sample -n` draws images of points of the source; a run that was stopped goes on without the file to the same bits; another file in its
/// place is refused where the run begins anew, and what carries nothing is told so.
#[test]
fn samples_are_carried() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let shifted = |unit: u64, n: usize, by: [f64; 2]| {
        let z = normals(unit, n);
        Matrix::from_fn(n, 2, |i, j| z[(i, j)] + by[j])
    };
    write(&at("data.csv"), &shifted(10, 400, [5.0, -3.0]));
    write(&at("source.csv"), &shifted(11, 400, [-2.0, 0.0]));
    let fresh = shifted(12, 200, [-2.0, 0.0]);
    write(&at("fresh.csv"), &fresh);
    fs::write(at("t.toml"), "kind = \"samples\"\ndata = \"data.csv\"\n").unwrap();
    let train = [
        "train",
        "t.toml",
        "--source",
        "source.csv",
        "--steps",
        "300",
        "--batch",
        "128",
        "--set",
        "hidden=[32,32]",
        "--set",
        "learning_rate=5e-3",
    ];
    let train = [&train[..], &["--set", "velocity.points=128", "--set", "velocity.second=128", "--out"]].concat();
    succeeds(&pushforward(folder.path(), &[&train[..], &["whole"]].concat()));
    stdout(folder.path(), &["sample", "whole", "--source", "fresh.csv", "-o", "carried.npy"]);
    let read = |name: &str| pushforward_cli::files::samples::read_samples(&at(name)).unwrap();
    let carried = read("carried.npy");
    assert_eq!(carried.shape(), (200, 2));
    let off = |i: usize| (carried[(i, 0)] - fresh[(i, 0)] - 7.0).hypot(carried[(i, 1)] - fresh[(i, 1)] + 3.0);
    let rms = ((0..200).map(|i| off(i) * off(i)).sum::<f64>() / 200.0).sqrt();
    assert!(rms < 0.5, "{rms}");
    stdout(folder.path(), &["sample", "whole", "--source", "source.csv", "-o", "images.npy"]);
    stdout(folder.path(), &["sample", "whole", "-n", "50", "-o", "drawn.npy"]);
    let (images, drawn) = (read("images.npy"), read("drawn.npy"));
    let near = |y: &[f64]| images.iter_rows().any(|x| (x[0] - y[0]).hypot(x[1] - y[1]) < 1e-4);
    assert!(drawn.iter_rows().all(near) && drawn.rows() == 50);
    stopped(folder.path(), &[&train[..], &["part"]].concat(), "part");
    assert!(fs::read_to_string(at("part/config.toml")).unwrap().contains("start_checksum = "));
    write(&at("source.csv"), &fresh);
    let again = pushforward(folder.path(), &["train", "--config", "part/config.toml", "--out", "again"]);
    assert!(
        again.status.code() == Some(2) && stderr(&again).contains("source.csv has changed since the run"),
        "{}",
        stderr(&again)
    );
    fs::remove_file(at("source.csv")).unwrap();
    succeeds(&pushforward(folder.path(), &["train", "--resume", "part"]));
    assert_eq!(fs::read(at("whole/samples.npy")).unwrap(), fs::read(at("part/samples.npy")).unwrap());
    let plain = [
        "train",
        "t.toml",
        "--steps",
        "2",
        "--batch",
        "8",
        "--set",
        "velocity.points=16",
        "--set",
        "velocity.second=16",
        "--out",
        "p",
    ];
    succeeds(&pushforward(folder.path(), &plain));
    let refused = pushforward(folder.path(), &["sample", "p", "--source", "fresh.csv", "-o", "none.npy"]);
    assert!(
        refused.status.code() == Some(2) && stderr(&refused).contains("train one with --source"),
        "{}",
        stderr(&refused)
    );
}

/// Checks `label`: of two classes of a quarter and three quarters around (3, 0) and (-1, 0), so that the mean of all is 0, a generator draws each alone (means
/// within 0.25: 500 draws have 0.05, the training set 0.06), both by their shares where none is named, and with guidance 1 beyond them: the
/// velocity vanishes where the mean is m_c + (m_c - m) = (6, 0), within 0.8 of it and farther than 1.5 from (3, 0) (training is short); the same bits
/// after a stop; and what has no class is refused with what there is.
#[test]
fn classes_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let z = normals(20, 1200);
    let first = |i: usize| i.is_multiple_of(4);
    let rows = (0..1200).map(|i| {
        let (x, class) = if first(i) { (3.0, 7) } else { (-1.0, 2) };
        format!("{},{class},{}\n", x + 0.5 * z[(i, 0)], 0.5 * z[(i, 1)])
    });
    fs::write(at("data.csv"), "u,kind,v\n".to_string() + &rows.collect::<String>()).unwrap();
    fs::write(at("t.toml"), "kind = \"samples\"\ndata = \"data.csv\"\nlabel = \"kind\"\n").unwrap();
    let train = ["train", "t.toml", "--steps", "300", "--batch", "128", "--set", "codes=8", "--set", "hidden=[32,32]"];
    let sets = ["--set", "velocity.points=128", "--set", "velocity.second=128", "--set", "velocity.iterations=40"];
    let rate = ["--set", "learning_rate=5e-3", "--set", "guidance=1", "--out"];
    let train = [&train[..], &sets, &rate].concat();
    succeeds(&pushforward(folder.path(), &[&train[..], &["whole"]].concat()));
    let mean = |flags: &[&str]| {
        stdout(folder.path(), &[&["sample", "whole", "-n", "500", "-o", "x.npy"], flags].concat());
        pushforward_cli::files::samples::read_samples(&at("x.npy")).unwrap().column_means()
    };
    for (label, x) in [("7", 3.0), ("2", -1.0)] {
        let m = mean(&["--label", label]);
        assert!(m.len() == 2 && (m[0] - x).abs() < 0.25 && m[1].abs() < 0.25, "{label}: {m:?}");
    }
    let m = mean(&[]);
    // 5 standard errors of 500 draws, deviation 1.8
    assert!(m[0].abs() < 0.4, "{m:?}");
    let m = mean(&["--label", "7", "--guidance", "1"]);
    assert!((m[0] - 6.0).abs() < 0.8 && m[0] > 4.5 && m[1].abs() < 0.4, "{m:?}");
    stopped(folder.path(), &[&train[..], &["part"]].concat(), "part");
    succeeds(&pushforward(folder.path(), &["train", "--resume", "part"]));
    assert_eq!(fs::read(at("whole/samples.npy")).unwrap(), fs::read(at("part/samples.npy")).unwrap());
    // the data are as they were, and then they are not
    let sample = ["sample", "whole", "-n", "5", "-o", "x.npy"];
    let same = pushforward(folder.path(), &sample);
    assert!(!stderr(&same).contains("has changed"), "{}", stderr(&same));
    let data = fs::read_to_string(at("data.csv")).unwrap();
    fs::write(at("data.csv"), data.replacen('1', "2", 1)).unwrap();
    let other = pushforward(folder.path(), &sample);
    assert!(other.status.success() && stderr(&other).contains("data.csv has changed"), "{}", stderr(&other));
    fs::write(at("data.csv"), data).unwrap();
    for (flags, words) in [
        (&["--label", "3"][..], "it has 2, 7"),
        (&["--label", "7", "--guidance", "1.5"], "learnt guidance from 0 to 1"),
        (&["--guidance", "1"], "--label"),
    ] {
        let out = pushforward(folder.path(), &[&["sample", "whole", "-n", "5", "-o", "x.npy"], flags].concat());
        assert!(out.status.code() == Some(2) && stderr(&out).contains(words), "{}", stderr(&out));
    }
    for (label, words) in [("sort", "it has u, kind, v"), ("u", "give from 2 to 100 classes")] {
        fs::write(at("bad.toml"), format!("kind = \"samples\"\ndata = \"data.csv\"\nlabel = \"{label}\"\n")).unwrap();
        let out = pushforward(folder.path(), &["train", "bad.toml", "--out", "none"]);
        assert!(out.status.code() == Some(2) && stderr(&out).contains(words), "{}", stderr(&out));
    }
}

/// The laws of the measurements below, each a draw by uniforms u and normals z.
fn law(name: &str, u: &[f64], z: &[f64]) -> [f64; 2] {
    use std::f64::consts::PI;
    match name {
        // centres on a circle of radius 5, variance 0.1
        "8-gaussians" => {
            let angle = (u[0] * 8.0).floor() * PI / 4.0;
            [5.0 * angle.cos() + 0.1f64.sqrt() * z[0], 5.0 * angle.sin() + 0.1f64.sqrt() * z[1]]
        }
        // two half circles with noise 0.2, three times as large, moved by -1
        "two-moons" => {
            let (t, upper) = (PI * u[1], u[0] < 0.5);
            let (x, y) = if upper { (t.cos(), t.sin()) } else { (1.0 - t.cos(), 0.5 - t.sin()) };
            [3.0 * (x + 0.2 * z[0]) - 1.0, 3.0 * (y + 0.2 * z[1]) - 1.0]
        }
        // the squares of one colour of [-4, 4]², four by four
        "checkerboard" => {
            let x = 4.0 * u[0] - 2.0;
            let y = u[1] - if u[2] < 0.5 { 0.0 } else { 2.0 } + x.floor().rem_euclid(2.0);
            [2.0 * x, 2.0 * y]
        }
        // (sin t, sign t (cos t - 1)) for |t| < 3π/2, noise 0.1
        "s-curve" => {
            let t = 3.0 * PI * (u[0] - 0.5);
            [t.sin() + 0.1 * z[0], t.signum() * (t.cos() - 1.0) + 0.1 * z[1]]
        }
        _ => panic!("{name}"),
    }
}

fn draws(name: &str, seed: u64, n: usize) -> Matrix {
    let z: Matrix = normal_matrix(seed, Purpose::Check, 0, n, 2);
    let mut rng = stream(seed, Purpose::Check, 1);
    let rows: Vec<[f64; 2]> = (0..n).map(|i| law(name, &[(); 3].map(|()| uniform(&mut rng)), z.row(i))).collect();
    Matrix::from_rows(&rows)
}

/// How generators are trained from samples here.
const TRAINED: &[&str] = &[
    "--steps",
    "60",
    "--batch",
    "512",
    "--set",
    "velocity.points=512",
    "--set",
    "velocity.second=512",
    "--set",
    "velocity.iterations=40",
];

/// Trains a generator in 60 steps on 10,000 samples of each law, writes the files to `target/samples/` and prints the rows of
/// docs/transport.md; energy distances to 10,000 fresh samples are within two floors. `--ignored`: minutes.
#[test]
#[ignore = "a measurement"]
fn generators_from_samples() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("samples");
    fs::create_dir_all(&folder).unwrap();
    println!(
        "| law | energy distance (floor) | W2 at 2,000 (floor) | W2, published | training, s | 10,000 samples, s |"
    );
    let published = [("8-gaussians", 0.285), ("two-moons", 0.077), ("checkerboard", 0.252), ("s-curve", 0.117)];
    let mut failures = Vec::new();
    for (name, published) in published {
        let file = |what: &str| format!("{name}-{what}.csv");
        write(&folder.join(file("data")), &draws(name, 1, 10_000));
        write(&folder.join(file("fresh")), &draws(name, 2, 10_000));
        write(&folder.join(file("fresh-few")), &draws(name, 3, 2000));
        fs::write(folder.join(format!("{name}.toml")), format!("kind = \"samples\"\ndata = \"{}\"\n", file("data")))
            .unwrap();
        let start = Instant::now();
        stdout(&folder, &[&["train", &format!("{name}.toml")], TRAINED, &["--force", "--out", name]].concat());
        let training = start.elapsed().as_secs_f64();
        let start = Instant::now();
        stdout(&folder, &["sample", name, "-n", "10000", "-o", &file("drawn").replace("csv", "npy")]);
        let sampling = start.elapsed().as_secs_f64();
        stdout(&folder, &["sample", name, "-n", "2000", "--seed", "1", "-o", &file("drawn-few")]);
        let measure = |a: &str, b: &str, metric: &str| {
            let splits = if metric == "w2" { "3" } else { "10" };
            let text = stdout(&folder, &["distance", a, b, "--metric", metric, "--floor", splits, "--json"]);
            let out: serde_json::Value = serde_json::from_str(&text).unwrap();
            (out["value"].as_f64().unwrap(), out["floor"]["mean"].as_f64().unwrap())
        };
        let (energy, floor) = measure(&file("drawn").replace("csv", "npy"), &file("fresh"), "energy");
        let (w2, w2_floor) = measure(&file("drawn-few"), &file("fresh-few"), "w2");
        println!(
            "| {name} | {energy:.5} ({floor:.5}) | {w2:.3} ({w2_floor:.3}) | {published} | {training:.1} | {sampling:.2} |"
        );
        if energy > 2.0 * floor {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Prints the seconds that 10,000 samples of the 8 Gaussians take by a generator trained from 10,000 samples (in one pass, beside its training), and by
/// particles that follow ULA and the drift on the density until their energy distance to 10,000 fresh samples is at most the generator's, at
/// doubling times. `--ignored`: minutes.
#[test]
#[ignore = "a measurement"]
fn seconds_of_ten_thousand_samples() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("seconds");
    fs::create_dir_all(&folder).unwrap();
    write(&folder.join("data.csv"), &draws("8-gaussians", 1, 10_000));
    write(&folder.join("fresh.csv"), &draws("8-gaussians", 2, 10_000));
    fs::write(folder.join("data.toml"), "kind = \"samples\"\ndata = \"data.csv\"\n").unwrap();
    let at = |k: usize| (k as f64 * std::f64::consts::FRAC_PI_4).sin_cos();
    let means: Vec<String> = (0..8).map(|k| format!("[{}, {}]", 5.0 * at(k).1, 5.0 * at(k).0)).collect();
    let density = format!("weights = [{}]\nmeans = [{}]\nstd = {}\n", "1, ".repeat(8), means.join(", "), 0.1f64.sqrt());
    fs::write(folder.join("eight.toml"), format!("kind = \"gaussian-mixture\"\n{density}")).unwrap();
    let energy = |file: &str| {
        let text = stdout(&folder, &["distance", file, "fresh.csv", "--metric", "energy", "--floor", "0"]);
        text.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    };
    let seconds = |run: &str| -> f64 {
        let text = fs::read_to_string(folder.join(run).join("summary.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["train_seconds"].as_f64().unwrap()
    };
    succeeds(&pushforward(&folder, &[&["train", "data.toml"], TRAINED, &["--force", "--out", "generator"]].concat()));
    let start = Instant::now();
    stdout(&folder, &["sample", "generator", "-n", "10000", "-o", "drawn.npy"]);
    let (sampling, wanted) = (start.elapsed().as_secs_f64(), energy("drawn.npy"));
    println!("| generator | {wanted:.5} | {sampling:.2} (and {:.0} of training) |", seconds("generator"));
    for velocity in ["ula", "drift"] {
        for doublings in 0..8 {
            let time = format!("{}", 0.25 * 2f64.powi(doublings));
            let follow = ["particles", "eight.toml", "--velocity", velocity, "-n", "10000", "--time", &time];
            // particles that are not yet at rest end with 3
            common::ends(&pushforward(&folder, &[&follow[..], &["--force", "--out", velocity]].concat()));
            let (found, taken) = (energy(&format!("{velocity}/samples.npy")), seconds(velocity));
            println!("| {velocity}, time {time} | {found:.5} | {taken:.2} |");
            if found <= wanted || taken > 200.0 {
                break;
            }
        }
    }
}

/// Carries 10,000 samples of eight Gaussians to two moons and prints W2 to fresh moons and the cost of the map beside that of exact transport
/// of 2,000 fresh points. `--ignored`: minutes.
#[test]
#[ignore = "a measurement"]
fn eight_gaussians_to_moons() {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("carried");
    fs::create_dir_all(&folder).unwrap();
    write(&folder.join("source.csv"), &draws("8-gaussians", 1, 10_000));
    write(&folder.join("data.csv"), &draws("two-moons", 1, 10_000));
    let few = draws("8-gaussians", 4, 2000);
    write(&folder.join("few.csv"), &few);
    write(&folder.join("fresh.csv"), &draws("two-moons", 5, 2000));
    fs::write(folder.join("t.toml"), "kind = \"samples\"\ndata = \"data.csv\"\n").unwrap();
    let extra = std::env::var("PUSHFORWARD_FLAGS").unwrap_or_default();
    let train = ["train", "t.toml", "--source", "source.csv", "--force", "--out", "run"];
    let train: Vec<&str> = train.into_iter().chain(extra.split_whitespace()).collect();
    let start = Instant::now();
    stdout(&folder, &train);
    let seconds = start.elapsed().as_secs_f64();
    stdout(&folder, &["sample", "run", "--source", "few.csv", "-o", "carried.csv"]);
    let carried = pushforward_cli::files::samples::read_samples(&folder.join("carried.csv")).unwrap();
    let square: f64 = carried.as_slice().iter().zip(few.as_slice()).map(|(y, x)| (y - x) * (y - x)).sum();
    let cost = (square / 2000.0).sqrt();
    let w2 = |a: &str, b: &str| -> f64 {
        let text = stdout(&folder, &["distance", a, b, "--metric", "w2", "--floor", "0"]);
        text.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (gap, exact) = (w2("carried.csv", "fresh.csv"), w2("few.csv", "fresh.csv"));
    write(&folder.join("other.csv"), &draws("two-moons", 6, 2000));
    let floor = w2("other.csv", "fresh.csv");
    println!(
        "W2 {gap:.3} (floor {floor:.3}); cost {cost:.3}, exact {exact:.3}, ratio {:.3}; {seconds:.1} s",
        cost / exact
    );
    assert!((cost / exact - 1.0).abs() < 0.1, "{cost} {exact}");
}
