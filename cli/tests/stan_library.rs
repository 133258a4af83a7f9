//! The C interface of BridgeStan: a library compiled here by the system's C compiler. Without one (`cc`), these tests say so and end.

mod common;

use common::pushforward;
use pushforward::autodiff::check_score;
use pushforward::density::evaluate;
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward_cli::target::{self, Target};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with normal.so and normal.toml of the example; None where there is no C compiler.
fn compiled(flags: &[&str]) -> Option<tempfile::TempDir> {
    compiled_example("normal", flags)
}

/// The same of any example.
fn compiled_example(name: &str, flags: &[&str]) -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/stan-library");
    let library = folder.path().join(name).with_extension("so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(library);
    let out = match cc.args(flags).arg(source.join(name).with_extension("c")).arg("-lm").output() {
        Ok(out) => out,
        Err(e) => {
            println!("skipped: no C compiler 'cc' here ({e})");
            return None;
        }
    };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let toml = Path::new(name).with_extension("toml");
    fs::copy(source.join(&toml), folder.path().join(toml)).unwrap();
    Some(folder)
}

fn load(folder: &Path, name: &str) -> Target {
    target::load(folder.join(name).to_str().unwrap(), &mut |_| ()).unwrap()
}

/// Checks that the library's log-density, score, transform and names come through, by the same model as a formula: 1e-12 of the log-density's
/// size, both being sums of a dozen terms; and that a batch on four threads has the bits of single calls.
#[test]
fn two_doors_to_one_model() {
    let Some(folder) = compiled(&[]) else { return };
    let formula = "kind = \"formula\"\ndim = 2\nlog_density = \"sum(-0.5*((y - x1)/x2)^2) - 5*log(x2) - 0.02*x1^2 - x2\"\n\
                   constants = { y = [1.2, 0.4, 2.6, 1.9, 0.8] }\nsupport = { x2 = \"positive\" }\n";
    fs::write(folder.path().join("same.toml"), formula).unwrap();
    fs::write(folder.path().join("y.json"), "{\"y\": [1.2, 0.4, 2.6, 1.9, 0.8]}").unwrap();
    fs::write(folder.path().join("file.toml"), "kind = \"stan-library\"\nlibrary = \"normal.so\"\ndata = \"y.json\"\n")
        .unwrap();
    let u: Matrix = normal_matrix(2, Purpose::Check, 0, 500, 2);
    let exact = load(folder.path(), "same.toml");
    let b = evaluate(&*exact.density, &u).unwrap();
    for name in ["normal.toml", "file.toml"] {
        let model = load(folder.path(), name);
        let a = evaluate(&*model.density, &u).unwrap();
        for i in 0..500 {
            let size = 1.0 + b.log_density[i].abs();
            assert!((a.log_density[i] - b.log_density[i]).abs() < 1e-12 * size, "{name}: row {i}");
            for j in 0..2 {
                assert!((a.score[(i, j)] - b.score[(i, j)]).abs() < 1e-11 * size, "{name}: row {i}, {j}");
            }
            assert_eq!(evaluate(&*model.density, &u.slice_rows(i..i + 1)).unwrap().log_density[0], a.log_density[i]);
        }
        assert_eq!(model.density.log_density(&u), a.log_density);
        let x = model.coordinates.constrain(u.clone()).unwrap();
        assert_eq!(x, exact.coordinates.constrain(u.clone()).unwrap());
        let back = model.coordinates.free(x).unwrap();
        assert!(back.as_slice().iter().zip(u.as_slice()).all(|(a, b)| (a - b).abs() < 1e-14 * (1.0 + b.abs())));
        assert_eq!(model.coordinates.names(), ["mu", "sigma"]);
        let score = |y: &Matrix| evaluate(&*model.density, y).unwrap().score;
        let direction = normal_matrix(2, Purpose::Check, 1, 500, 2);
        assert!(check_score(|y| model.density.log_density(y), score, &u, &direction).unwrap().passed());
    }
    // exp(800) is infinite: the model rejects the point, and that is -inf as in Stan
    let far = evaluate(&*load(folder.path(), "normal.toml").density, &Matrix::from_rows(&[[0.0, 800.0]])).unwrap();
    assert_eq!((far.log_density[0], far.score.row(0)), (f64::NEG_INFINITY, &[0.0, 0.0][..]));
}

/// Checks the GARCH example: log p~ at 50 points against the recursion written here, with the Jacobian of its transform by its formula, to
/// 1e-11 of the size of sums of 200 terms; and its score against differences.
#[test]
fn a_state_runs_along() {
    let Some(folder) = compiled_example("garch", &[]) else { return };
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/stan-library/garch.json");
    fs::copy(&source, folder.path().join("garch.json")).unwrap();
    let data: serde_json::Value = serde_json::from_str(&fs::read_to_string(source).unwrap()).unwrap();
    let y: Vec<f64> = data["y"].as_array().unwrap().iter().map(|y| y.as_f64().unwrap()).collect();
    let model = load(folder.path(), "garch.toml");
    let mut u: Matrix = normal_matrix(5, Purpose::Check, 0, 50, 4);
    (0..50).for_each(|i| u.row_mut(i)[0] += 5.0);
    let x = model.coordinates.constrain(u.clone()).unwrap();
    let found = model.density.log_density(&u);
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / y.len() as f64;
    for (x, found) in x.iter_rows().zip(found) {
        let [mu, a0, a1, b1] = [x[0], x[1], x[2], x[3]];
        let mut v = variance;
        let mut log_p = (a0 * a1 * (1.0 - a1) * b1 * (1.0 - b1 / (1.0 - a1))).ln();
        for y in &y {
            let square = (y - mu).powi(2);
            log_p -= 0.5 * (square / v + v.ln());
            v = a0 + a1 * square + b1 * v;
        }
        assert!((found - log_p).abs() < 1e-11 * (1.0 + log_p.abs()), "{x:?}: {found}, {log_p}");
    }
    let back = model.coordinates.free(x).unwrap();
    assert!(back.as_slice().iter().zip(u.as_slice()).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())));
    let score = |u: &Matrix| evaluate(&*model.density, u).unwrap().score;
    let direction = normal_matrix(5, Purpose::Check, 1, 50, 4);
    assert!(check_score(|u| model.density.log_density(u), score, &u, &direction).unwrap().passed());
}

/// Checks ARMA and the hidden states: log p~ at 50 points, up to one constant, against recursions written here, the hidden states' by products
/// of probabilities where the example adds logarithms, to 1e-11 of the size of sums of 200 terms; the transforms; and scores against differences.
#[test]
fn states_of_arma_and_hidden_ones() {
    let normal = |e: f64, s: f64| -0.5 * (e / s).powi(2) - s.ln();
    let logistic = |p: f64| (p * (1.0 - p)).ln();
    let arma = |x: &[f64], y: &[f64]| {
        let mut log_p =
            -x[0] * x[0] / 200.0 - (x[1] * x[1] + x[2] * x[2]) / 8.0 - (x[3] / 2.5).powi(2).ln_1p() + x[3].ln();
        let (mut past, mut e) = (x[0], 0.0);
        for &y in y {
            e = y - (x[0] + x[1] * past + x[2] * e);
            log_p += normal(e, x[3]);
            past = y;
        }
        log_p
    };
    let hidden = |x: &[f64], y: &[f64]| {
        let mut log_p = normal(x[0] - 3.0, 1.0) + normal(x[1] - 10.0, 1.0) + logistic(x[2]) + logistic(x[3]);
        log_p += x[0].ln() + (x[1] - x[0]).ln();
        let mut a = [1.0, 1.0];
        for (t, &y) in y.iter().enumerate() {
            if t > 0 {
                a = [a[0] * x[2] + a[1] * (1.0 - x[3]), a[1] * x[3] + a[0] * (1.0 - x[2])];
            }
            let l = [normal(y - x[0], 1.0), normal(y - x[1], 1.0)];
            let top = l[0].max(l[1]);
            a = [a[0] * (l[0] - top).exp(), a[1] * (l[1] - top).exp()];
            let sum = a[0] + a[1];
            a = a.map(|a| a / sum);
            log_p += top + sum.ln();
        }
        log_p
    };
    type Recursion<'a> = &'a dyn Fn(&[f64], &[f64]) -> f64;
    let models: [(&str, Recursion); 2] = [("arma", &arma), ("hmm", &hidden)];
    for (name, exact) in models {
        let Some(folder) = compiled_example(name, &[]) else { return };
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../examples/stan-library/{name}.json"));
        fs::copy(&source, folder.path().join(format!("{name}.json"))).unwrap();
        let data: serde_json::Value = serde_json::from_str(&fs::read_to_string(source).unwrap()).unwrap();
        let y: Vec<f64> = data["y"].as_array().unwrap().iter().map(|y| y.as_f64().unwrap()).collect();
        let model = load(folder.path(), &format!("{name}.toml"));
        // |theta| well below 1, so that the errors of the recursion do not grow
        let mut u: Matrix = normal_matrix(6, Purpose::Check, 0, 50, 4);
        (0..50).for_each(|i| u.row_mut(i).iter_mut().for_each(|v| *v *= 0.3));
        let x = model.coordinates.constrain(u.clone()).unwrap();
        let found = model.density.log_density(&u);
        let apart: Vec<f64> = x.iter_rows().zip(&found).map(|(x, found)| found - exact(x, &y)).collect();
        for (i, difference) in apart.iter().enumerate() {
            let size = 1.0 + found[i].abs() + found[0].abs();
            assert!((difference - apart[0]).abs() < 1e-11 * size, "{name}, row {i}: {difference}, {}", apart[0]);
        }
        let back = model.coordinates.free(x).unwrap();
        assert!(back.as_slice().iter().zip(u.as_slice()).all(|(a, b)| (a - b).abs() < 1e-12 * (1.0 + b.abs())));
        let score = |u: &Matrix| evaluate(&*model.density, u).unwrap().score;
        let direction = normal_matrix(6, Purpose::Check, 1, 50, 4);
        assert!(check_score(|u| model.density.log_density(u), score, &u, &direction).unwrap().passed());
    }
}

/// Checks that the command trains from a library, writes constrained samples, the same from `train` and from `sample`, and that `evaluate` takes
/// them back and refuses points outside.
#[test]
fn the_command_opens_libraries() {
    let Some(folder) = compiled(&[]) else { return };
    let at = |name: &str| folder.path().join(name);
    let run = |arguments: &[&str]| {
        let out = pushforward(folder.path(), arguments);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    };
    fs::write(
        at("small.toml"),
        "[run]\nsteps = 20\n[model]\nbatch = 64\nhidden = [8]\ncentres = 128\nsearch_particles = 512\n",
    )
    .unwrap();
    run(&["train", "normal.toml", "--config", "small.toml", "--out", "run"]);
    run(&["sample", "run", "-n", "10000", "-o", "s.npy", "--trust-library"]);
    assert!(fs::read(at("s.npy")).unwrap() == fs::read(at("run/samples.npy")).unwrap());
    run(&["evaluate", "normal.toml", "s.npy"]);
    fs::write(at("bad.csv"), "mu,sigma\n1,1\n1,-1\n").unwrap();
    let out = pushforward(folder.path(), &["evaluate", "normal.toml", "bad.csv"]);
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        out.status.code() == Some(2) && stderr.contains("row 1") && stderr.contains("sigma must be positive"),
        "{stderr}"
    );
}

/// Compiles `code` behind the example's source to `name` in `folder`.
fn compile_more(folder: &Path, code: &str, name: &str) {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/stan-library/normal.c");
    fs::write(folder.join("more.c"), format!("#include \"{}\"\n{code}\n", source.display())).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o", name, "more.c", "-lm"]);
    assert!(cc.current_dir(folder).status().unwrap().success());
}

/// Checks that no command on a run's folder or configuration runs the code of the library that it names, unless it is
/// trusted: `sample` and `logpdf` do without, in the unconstrained coordinates, the others refuse.
#[test]
fn nothing_runs_without_trust() {
    let Some(folder) = compiled(&[]) else { return };
    let at = |name: &str| folder.path().join(name);
    let run = |arguments: &[&str]| pushforward(folder.path(), arguments);
    let said = |out: &std::process::Output| String::from_utf8_lossy(&out.stderr).into_owned();
    // to open this library leaves a trace
    let trace = at("trace");
    let code = format!(
        "#include <stdio.h>\n__attribute__((constructor)) static void ran(void) {{ fclose(fopen(\"{}\", \"w\")); }}",
        trace.display()
    );
    fs::remove_file(at("normal.so")).unwrap();
    compile_more(folder.path(), &code, "normal.so");
    let small = "method = \"flow\"\n[run]\nsteps = 20\n[model]\ncomponents = 2\nbatch = 64\nhidden = [8]\n";
    fs::write(at("small.toml"), small).unwrap();
    let out = run(&["train", "normal.toml", "--config", "small.toml", "--out", "run"]);
    assert!(out.status.success(), "{}", said(&out));
    fs::remove_file(&trace).expect("to train opens the library");
    let out = run(&["sample", "run", "-n", "20", "-o", "u.csv"]);
    assert!(out.status.success() && said(&out).contains("--trust-library"), "{}", said(&out));
    assert!(fs::read_to_string(at("u.csv")).unwrap().starts_with("u1,u2\n"));
    let out = run(&["logpdf", "run", "u.csv", "-o", "l.npy"]);
    assert!(out.status.success() && said(&out).contains("--trust-library"), "{}", said(&out));
    for arguments in [
        &["export", "run", "--format", "csv"][..],
        &["report", "run"],
        &["train", "--resume", "run"],
        &["train", "--config", "run/config.toml", "--out", "other"],
        &["sample", "run", "-n", "20", "-o", "x.csv", "--polish", "3"],
    ] {
        let out = run(arguments);
        let complete = arguments.contains(&"--resume");
        assert_eq!(out.status.code(), Some(if complete { 0 } else { 2 }), "{arguments:?}: {}", said(&out));
        assert!(complete || said(&out).contains("--trust-library"), "{arguments:?}: {}", said(&out));
        assert!(!trace.exists(), "{arguments:?}");
    }
    // nor through a file that the configuration names
    fs::create_dir(at("named")).unwrap();
    fs::copy(at("run/samples.npy"), at("named/samples.npy")).unwrap();
    fs::write(at("named/config.toml"), "target = \"./normal.toml\"\n").unwrap();
    for arguments in [
        &["export", "named", "--format", "csv"][..],
        &["report", "named"],
        &["train", "--config", "named/config.toml", "--out", "n"],
    ] {
        let out = run(arguments);
        assert!(
            out.status.code() == Some(2) && said(&out).contains("--trust-library"),
            "{arguments:?}: {}",
            said(&out)
        );
        assert!(!trace.exists(), "{arguments:?}");
    }
    let out = run(&["sample", "run", "-n", "20", "-o", "x.csv", "--trust-library"]);
    assert!(out.status.success() && trace.exists(), "{}", said(&out));
    assert!(fs::read_to_string(at("x.csv")).unwrap().starts_with("mu,sigma\n"));
    // both are the same points: log sigma is the second free parameter
    let rows = |name: &str| -> Vec<Vec<f64>> {
        let text = fs::read_to_string(at(name)).unwrap();
        text.lines().skip(1).map(|line| line.split(',').map(|v| v.parse().unwrap()).collect()).collect()
    };
    for (u, x) in rows("u.csv").iter().zip(rows("x.csv")) {
        assert!(u[0] == x[0] && (u[1].exp() - x[1]).abs() <= 4.0 * f64::EPSILON * x[1], "{u:?}, {x:?}");
    }
}

/// Checks that a run on a library goes on, and is exported, reported and polished, only with the library and the data that
/// it had, and that a library that changed is refused before its code runs.
#[test]
fn changed_libraries_and_data() {
    let Some(folder) = compiled(&[]) else { return };
    let at = |name: &str| folder.path().join(name);
    let run = |arguments: &[&str]| pushforward(folder.path(), &[arguments, &["--trust-library"]].concat());
    let said = |out: &std::process::Output| String::from_utf8_lossy(&out.stderr).into_owned();
    let data = "{\"y\": [1.2, 0.4, 2.6, 1.9, 0.8]}";
    fs::write(at("y.json"), data).unwrap();
    fs::write(at("file.toml"), "kind = \"stan-library\"\nlibrary = \"normal.so\"\ndata = \"y.json\"\n").unwrap();
    let small = "[run]\nsteps = 20\n[model]\nbatch = 64\nhidden = [8]\ncentres = 128\nsearch_particles = 512\n";
    fs::write(at("small.toml"), small).unwrap();
    let whole = run(&["train", "file.toml", "--config", "small.toml", "--out", "run"]);
    assert!(whole.status.success(), "{}", said(&whole));
    let part = ["--steps", "1000000", "--max-time", "6s", "--checkpoint-every", "10ms", "--out", "part"];
    let part = run(&[&["train", "file.toml", "--config", "small.toml"][..], &part].concat());
    assert!(part.status.success(), "{}", said(&part));
    let commands = [
        &["train", "--resume", "part", "--max-time", "1s"][..],
        &["export", "run", "--format", "npz"],
        &["report", "run"],
        &["sample", "run", "-n", "5", "-o", "x.csv", "--polish", "2"],
        &["sample", "run", "-n", "5", "-o", "x.csv"],
        &["train", "--config", "run/config.toml", "--out", "again"],
    ];
    let all_refuse = |word: &str| {
        for arguments in commands {
            let out = run(arguments);
            assert!(out.status.code() == Some(2) && said(&out).contains(word), "{arguments:?}: {}", said(&out));
            assert!(said(&out).contains("has changed since the run"), "{arguments:?}: {}", said(&out));
        }
    };
    fs::write(at("y.json"), data.replace("0.4", "0.5")).unwrap();
    all_refuse("y.json");
    fs::write(at("y.json"), data).unwrap();
    let library = fs::read(at("normal.so")).unwrap();
    fs::remove_file(at("normal.so")).unwrap();
    let code =
        "#include <stdio.h>\n__attribute__((constructor)) static void ran(void) { fclose(fopen(\"ran\", \"w\")); }";
    compile_more(folder.path(), code, "normal.so");
    all_refuse("normal.so");
    assert!(!at("ran").exists());
    // without trust the library is not opened, and its change is said
    let out = pushforward(folder.path(), &["sample", "run", "-n", "5", "-o", "u.csv"]);
    assert!(out.status.success() && said(&out).contains("normal.so has changed since the run"), "{}", said(&out));
    fs::remove_file(at("normal.so")).unwrap();
    fs::write(at("normal.so"), library).unwrap();
    for arguments in commands {
        let out = run(arguments);
        assert!(out.status.success(), "{arguments:?}: {}", said(&out));
    }
}

/// Checks that a library that calls exit(0), when it is opened or while it is evaluated, ends no command with success, and
/// that one that changes the working folder moves no output.
#[test]
fn libraries_that_leave() {
    let Some(folder) = compiled(&[]) else { return };
    let at = |name: &str| folder.path().join(name);
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/stan-library/normal.c");
    let compile = |opened: &str, evaluated: &str| {
        let _ = fs::remove_file(at("normal.so"));
        let code = format!(
            "#define bs_log_density_gradient inner\n#include \"{}\"\n#undef bs_log_density_gradient\n#include <unistd.h>\n\
             __attribute__((constructor)) static void opened(void) {{ {opened} }}\n\
             int bs_log_density_gradient(const bs_model *m, bool p, bool j, const double *u, double *v, double *g, char **e) \
             {{ static int calls = 0; if (calls++ == 3000) {{ {evaluated} }} return inner(m, p, j, u, v, g, e); }}\n",
            source.display()
        );
        fs::write(at("more.c"), code).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o", "normal.so", "more.c", "-lm"]);
        assert!(cc.current_dir(folder.path()).status().unwrap().success());
    };
    let small = "[run]\nsteps = 100\n[search]\ncentre = [1.0, 0.0]\nscale = 1.0\n[model]\nbatch = 64\nhidden = [8]\ncentres = 128\nsearch_particles = 512\n";
    fs::write(at("small.toml"), small).unwrap();
    let train =
        || pushforward(folder.path(), &["train", "normal.toml", "--config", "small.toml", "--out", "run", "--force"]);
    for (opened, evaluated) in [("exit(0);", ""), ("", "exit(0);")] {
        compile(opened, evaluated);
        let out = train();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(1) && said.contains("library ended the process"), "{said}");
    }
    fs::create_dir(at("far")).unwrap();
    let leave = format!("if (chdir(\"{}\")) abort();", at("far").display());
    for (opened, evaluated) in [(leave.as_str(), ""), ("", leave.as_str())] {
        compile(opened, evaluated);
        let out = train();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        for arguments in [
            &["sample", "run", "-n", "5", "-o", "s.csv", "--polish", "300", "--trust-library"][..],
            &["export", "run", "--format", "npz", "--trust-library"],
            &["report", "run", "--trust-library"],
        ] {
            let out = pushforward(folder.path(), arguments);
            assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
        assert!(at("run/samples.npy").is_file() && at("run/samples.npz").is_file() && at("s.csv").is_file());
        assert_eq!(fs::read_dir(at("far")).unwrap().count(), 0);
        fs::remove_file(at("s.csv")).unwrap();
    }
}

/// Checks names with indices, and that transformed parameters and generated quantities stand behind the parameters: by their formulas, what is
/// drawn the same for the same point and other for another, NaN where the model refuses; that they do not matter on the way back, and
/// that a vector is one variable of the ArviZ export.
#[test]
fn what_a_model_computes() {
    let Some(folder) = compiled(&[]) else { return };
    let at = |name: &str| folder.path().join(name);
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/stan-library/normal.c");
    let code = format!(
        "#define bs_param_names inner_names\n#define bs_param_constrain inner_constrain\n#include \"{}\"\n\
         #undef bs_param_names\n#undef bs_param_constrain\n\
         typedef struct bs_rng {{ unsigned int seed; }} bs_rng;\n\
         bs_rng *bs_rng_construct(unsigned int seed, char **e) {{ (void)e; bs_rng *r = malloc(sizeof *r); r->seed = seed; return r; }}\n\
         void bs_rng_destruct(bs_rng *r) {{ free(r); }}\n\
         const char *bs_param_names(const bs_model *m, bool tp, bool gq) {{\n  (void)m;\n\
           return tp && gq ? \"mu,sigma,powers.1,powers.2,B.1.2,drawn\" : tp ? \"mu,sigma,powers.1,powers.2,B.1.2\" : \"mu,sigma\"; }}\n\
         int bs_param_constrain(const bs_model *m, bool tp, bool gq, const double *u, double *x, bs_rng *r, char **e) {{\n\
           inner_constrain(m, false, false, u, x, NULL, e);\n\
           if (tp && u[0] > 30) return say(e, \"mu is too large\"), -1;\n\
           if (tp) x[2] = x[1], x[3] = x[1] * x[1], x[4] = x[0] + x[1];\n  if (gq) x[5] = r->seed;\n  return 0; }}\n",
        source.display()
    );
    fs::remove_file(at("normal.so")).unwrap();
    fs::write(at("more.c"), code).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o", "normal.so", "more.c", "-lm"]);
    assert!(cc.current_dir(folder.path()).status().unwrap().success());
    let model = load(folder.path(), "normal.toml");
    assert_eq!(model.coordinates.names(), ["mu", "sigma", "powers[1]", "powers[2]", "B[1,2]", "drawn"]);
    let u = Matrix::from_rows(&[[0.5, 0.2], [0.6, 0.2], [0.5, 0.2], [40.0, 0.1]]);
    let x = model.coordinates.constrain(u.clone()).unwrap();
    for row in x.iter_rows().take(3) {
        assert_eq!(row[2..5], [row[1], row[1] * row[1], row[0] + row[1]]);
    }
    assert!(x[(0, 5)] == x[(2, 5)] && x[(0, 5)] != x[(1, 5)]);
    assert!(x.row(3)[..2].iter().all(|v| v.is_finite()) && x.row(3)[2..].iter().all(|v| v.is_nan()));
    let parameters = Matrix::from_fn(4, 2, |i, j| x[(i, j)]);
    let back = model.coordinates.free(x).unwrap();
    assert_eq!(back, model.coordinates.free(parameters).unwrap());
    assert!(back.as_slice().iter().zip(u.as_slice()).all(|(a, b)| (a - b).abs() < 1e-14 * (1.0 + b.abs())));
    let small = "method = \"kde\"\n[run]\nsteps = 3\n[model]\nbatch = 64\nhidden = [8]\ncentres = 128\nsearch_particles = 512\n";
    fs::write(at("small.toml"), small).unwrap();
    for arguments in [
        &["train", "normal.toml", "--config", "small.toml", "--out", "run"][..],
        &["export", "run", "--format", "arviz", "--trust-library"],
        &["sample", "run", "-n", "10000", "-o", "s.npy", "--trust-library"],
    ] {
        let out = pushforward(folder.path(), arguments);
        assert!(matches!(out.status.code(), Some(0 | 3)), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    assert!(fs::read(at("s.npy")).unwrap() == fs::read(at("run/samples.npy")).unwrap());
    let text = fs::read_to_string(at("run/samples.arviz.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text.replace("NaN", "null")).unwrap();
    assert_eq!(json["posterior"]["powers"][0][0].as_array().unwrap().len(), 2);
}

/// Checks that a library that writes another number of parameters than it names is refused.
#[test]
fn libraries_that_contradict_themselves() {
    let Some(folder) = compiled(&[]) else { return };
    fs::remove_file(folder.path().join("normal.so")).unwrap();
    fs::write(folder.path().join("x.csv"), "1,2\n3,4\n").unwrap();
    let three = "int bs_param_num(const bs_model *m, bool tp, bool gq) { return (void)m, (void)tp, (void)gq, 3; }";
    compile_more(folder.path(), three, "normal.so");
    let out = pushforward(folder.path(), &["evaluate", "normal.toml", "x.csv"]);
    let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(2) && stderr.contains("writes 3 parameters but names 2"), "{stderr}");
}

/// Checks that every mistake in the file, the data or the library is one sentence with the remedy.
#[test]
fn bad_libraries() {
    let Some(folder) = compiled(&["-Dbs_param_unc_num=another_name"]) else { return };
    fs::rename(folder.path().join("normal.so"), folder.path().join("partial.so")).unwrap();
    let whole = compiled(&[]).unwrap();
    fs::copy(whole.path().join("normal.so"), folder.path().join("normal.so")).unwrap();
    fs::write(folder.path().join("text.so"), "this is no library").unwrap();
    fs::write(folder.path().join("x.csv"), "1,2\n3,4\n").unwrap();
    for (keys, words) in [
        ("", &["'library' is missing"][..]),
        ("library = \"no.so\"", &["cannot read", "no.so"]),
        ("library = \"text.so\"", &["text.so", "cannot be opened", "BridgeStan"]),
        ("library = \"partial.so\"", &["no function bs_param_unc_num", "BridgeStan 2"]),
        ("library = \"normal.so\"", &["cannot be constructed", "variable y is missing"]),
        ("library = \"normal.so\"\ndata = \"no.json\"", &["cannot read", "no.json"]),
        ("library = \"normal.so\"\ndata = \"x.csv\"", &["does not end in .json"]),
        ("library = \"normal.so\"\ndata = 3", &["data must be"]),
        ("libary = \"normal.so\"", &["'libary'", "library"]),
    ] {
        fs::write(folder.path().join("t.toml"), format!("kind = \"stan-library\"\n{keys}\n")).unwrap();
        let out = pushforward(folder.path(), &["evaluate", "t.toml", "x.csv"]);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{keys}: {stderr}");
        assert!(stderr.lines().count() == 1 && words.iter().all(|w| stderr.contains(w)), "{keys}: {stderr}");
    }
}

/// Checks that `unsafe` in the command stays in the one file that opens libraries.
#[test]
fn unsafe_stays_in_one_file() {
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
        entries.flat_map(|p| if p.is_dir() { files(&p) } else { vec![p] }).collect()
    }
    let lifts = |path: &PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("allow(unsafe_code)"));
    let found: Vec<PathBuf> =
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).into_iter().filter(lifts).collect();
    assert!(found.len() == 1 && found[0].ends_with("target/stan.rs"), "{found:?}");
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    assert!(lib.contains("\n#![deny(unsafe_code)]\n"));
}
