//! The formulas of examples/targets against the built-in densities or closed forms written here by hand, and their scores against
//! differences.

use pushforward::autodiff::check_score;
use pushforward::density::{self, evaluate};
use pushforward::linalg::Matrix;
use pushforward::num::log_sum_exp;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward_cli::target::{self, Target};
use std::f64::consts::{PI, TAU};
use std::path::Path;

fn load(name: &str) -> Target {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/targets").join(format!("{name}.toml"));
    target::load(path.to_str().unwrap(), &mut |note| panic!("{note}")).unwrap()
}

/// Points u: normal with spread 1.5.
fn points(name: &str, d: usize) -> Matrix {
    let x: Matrix = normal_matrix(41, Purpose::Check, name.len() as u64, 200, d);
    x.map(|v| 1.5 * v)
}

fn sq(x: f64) -> f64 {
    x * x
}

fn normal(x: f64, mean: f64, std: f64) -> f64 {
    -0.5 * sq((x - mean) / std) - std.ln() - 0.5 * TAU.ln()
}

/// log p~ and the sum of the sizes of its terms, for one point x.
type Closed = fn(&[f64]) -> f64;

const Y: [f64; 8] = [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0];
const SIGMA: [f64; 8] = [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0];
const FAILURES: [f64; 10] = [5.0, 1.0, 5.0, 14.0, 3.0, 19.0, 1.0, 1.0, 4.0, 22.0];
const TIME: [f64; 10] = [94.3, 15.7, 62.9, 126.0, 5.24, 31.4, 1.05, 1.05, 2.1, 10.5];
const SERIES: [f64; 12] = [0.4, 0.9, 0.1, -0.6, -0.2, -1.1, -0.9, -0.3, 0.5, 1.2, 0.8, 0.3];

fn distances(x: &[f64], d: usize) -> Vec<f64> {
    let n = x.len() / d;
    let square = |a: usize, b: usize| (0..d).map(|j| sq(x[d * a + j] - x[d * b + j])).sum::<f64>();
    (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).map(|(a, b)| square(a, b)).collect()
}

fn four_particles(x: &[f64]) -> f64 {
    let energy: f64 = distances(x, 2).iter().map(|s| s.sqrt() - 4.0).map(|u| 0.9 * u.powi(4) - 4.0 * u * u).sum();
    let mean = |j: usize| (0..4).map(|k| x[2 * k + j]).sum::<f64>() / 4.0;
    -energy - 0.5 * (sq(mean(0)) + sq(mean(1)))
}

fn thirteen_particles(x: &[f64]) -> f64 {
    let pair = |s: f64| s.powi(-6) - 2.0 * s.powi(-3);
    -distances(x, 3).into_iter().map(pair).sum::<f64>() - 0.5 * x.iter().map(|v| v * v).sum::<f64>()
}

fn phi4(x: &[f64]) -> f64 {
    let padded: Vec<f64> = [&[0.0], x, &[0.0]].concat();
    let steps: f64 = padded.windows(2).map(|w| sq(w[1] - w[0])).sum();
    let wells: f64 = x.iter().map(|v| sq(1.0 - v * v)).sum();
    -20.0 * (0.5 * 0.1 * 32.0 * steps + wells / (4.0 * 0.1 * 32.0))
}

fn mueller_brown(x: &[f64]) -> f64 {
    let table = [
        (-200.0, -1.0, 0.0, -10.0, 1.0, 0.0),
        (-100.0, -1.0, 0.0, -10.0, 0.0, 0.5),
        (-170.0, -6.5, 11.0, -6.5, -0.5, 1.5),
        (15.0, 0.7, 0.6, 0.7, -1.0, 1.0),
    ];
    let term = |(height, a, b, c, u, v): (f64, f64, f64, f64, f64, f64)| {
        let (p, q) = (x[0] - u, x[1] - v);
        height * (a * p * p + b * p * q + c * q * q).exp()
    };
    -table.into_iter().map(term).sum::<f64>() / 20.0
}

fn eight_schools(x: &[f64]) -> f64 {
    let (mu, tau) = (x[0], x[1]);
    let data: f64 = (0..8).map(|i| normal(x[2 + i], 0.0, 1.0) + normal(Y[i], mu + tau * x[2 + i], SIGMA[i])).sum();
    data + normal(mu, 0.0, 5.0) - sq(tau / 5.0).ln_1p()
}

fn pumps(x: &[f64]) -> f64 {
    let pump = |i: usize| (FAILURES[i] + 0.802) * x[i].ln() - (TIME[i] + x[10]) * x[i];
    (0..10).map(pump).sum::<f64>() + (18.02 + 0.01 - 1.0) * x[10].ln() - x[10]
}

fn ar1(x: &[f64]) -> f64 {
    let (phi, s) = (x[0], x[1]);
    let steps: f64 = SERIES.windows(2).map(|w| -0.5 * sq((w[1] - phi * w[0]) / s) - s.ln()).sum();
    steps - 0.5 * (1.0 - phi * phi) * sq(SERIES[0] / s) - s.ln() + 0.5 * (1.0 - phi * phi).ln() - s
}

fn bioassay(x: &[f64]) -> f64 {
    let dose = [-0.86, -0.30, -0.05, 0.73];
    let one = |k: usize| {
        let eta = x[0] + x[1] * dose[k];
        [0.0, 1.0, 3.0, 5.0][k] * eta - 5.0 * (eta.max(0.0) + (-eta.abs()).exp().ln_1p())
    };
    (0..4).map(one).sum()
}

fn rezende(k: usize, x: &[f64]) -> f64 {
    let (w1, w2) = ((TAU * x[0] / 4.0).sin(), 3.0 * (-0.5 * sq((x[0] - 1.0) / 0.6)).exp());
    let w3 = 3.0 / (1.0 + (-(x[0] - 1.0) / 0.3).exp());
    let bell = |u: f64, s: f64| -0.5 * sq(u / s);
    match k {
        1 => bell(x[0].hypot(x[1]) - 2.0, 0.4) + log_sum_exp(&[bell(x[0] - 2.0, 0.6), bell(x[0] + 2.0, 0.6)]),
        2 => bell(x[1] - w1, 0.4),
        3 => log_sum_exp(&[bell(x[1] - w1, 0.35), bell(x[1] - w1 + w2, 0.35)]),
        _ => log_sum_exp(&[bell(x[1] - w1, 0.4), bell(x[1] - w1 + w3, 0.35)]),
    }
}

/// Formulas with no built-in twin, the closed form of log p~(x) beside each.
const CLOSED: &[(&str, Closed)] = &[
    ("rosenbrock10", |x| -x.windows(2).map(|w| 100.0 * sq(w[1] - w[0] * w[0]) + sq(1.0 - w[0])).sum::<f64>() / 20.0),
    ("eight-schools", eight_schools),
    ("student5", |x| -4.0 * (x.iter().map(|v| v * v).sum::<f64>() / 3.0).ln_1p()),
    ("four-particles", four_particles),
    ("thirteen-particles", thirteen_particles),
    ("phi4", phi4),
    ("rezende1", |x| rezende(1, x)),
    ("rezende2", |x| rezende(2, x)),
    ("rezende3", |x| rezende(3, x)),
    ("rezende4", |x| rezende(4, x)),
    ("mueller-brown", mueller_brown),
    ("himmelblau", |x| -(sq(x[0] * x[0] + x[1] - 11.0) + sq(x[0] + x[1] * x[1] - 7.0)) / 10.0),
    ("rastrigin3", |x| -0.1 * x.iter().map(|v| 10.0 + v * v - 10.0 * (2.0 * PI * v).cos()).sum::<f64>()),
    ("bioassay", bioassay),
    ("pumps", pumps),
    ("dirichlet4", |x| x.iter().zip([0.5, 1.0, 2.0, 3.5]).map(|(x, a)| a * x.ln()).sum()),
    ("ar1", ar1),
];

/// Formulas of built-in densities.
const BUILT_IN: &[(&str, &str)] = &[
    ("gmm9", "gmm9"),
    ("gmm9u", "gmm9u"),
    ("ring8", "ring8"),
    ("banana", "banana"),
    ("funnel10", "funnel-10"),
    ("two-moons", "two-moons"),
    ("many-well32", "many-well-32"),
];

/// 1e-12 relative to the log-density, or to 1 where it is small.
fn agree(name: &str, found: f64, exact: f64, x: &[f64]) {
    assert!((found - exact).abs() <= 1e-12 * exact.abs().max(1.0), "{name} at {x:?}: {found} {exact}");
}

/// log |det ∂x/∂u| of the shipped charts of these examples, by hand: u = x, log x, or log (x - a)/(b - x), and Σ log x on a simplex.
fn log_jacobian(name: &str, x: &[f64]) -> f64 {
    let interval = |x: f64, a: f64, b: f64| ((x - a) * (b - x) / (b - a)).ln();
    match name {
        "eight-schools" => x[1].ln(),
        "rezende2" | "rezende3" | "rezende4" => interval(x[0], -4.0, 4.0),
        "pumps" | "dirichlet4" => x.iter().map(|x| x.ln()).sum(),
        "ar1" => interval(x[0], -1.0, 1.0) + x[1].ln(),
        _ => 0.0,
    }
}

/// Checks that 24 densities of the literature written as formulas agree with the built-in ones or with closed forms to 1e-12.
#[test]
fn formulas_agree_with_closed_forms() {
    assert!(CLOSED.len() + BUILT_IN.len() >= 20);
    for (name, closed) in CLOSED {
        let target = load(name);
        let u = points(name, target.density.dim());
        let found = target.density.log_density(&u);
        let x = target.coordinates.constrain(u.clone()).unwrap();
        for (i, x) in x.iter_rows().enumerate() {
            agree(name, found[i], closed(x) + log_jacobian(name, x), x);
        }
    }
    for (file, name) in BUILT_IN {
        let (target, exact) = (load(file), density::by_name(name).unwrap());
        let x = exact.sample(200, 3).unwrap();
        let (a, b) = (evaluate(&*target.density, &x).unwrap(), evaluate(&*exact, &x).unwrap());
        for (i, x) in x.iter_rows().enumerate() {
            agree(file, a.log_density[i], b.log_density[i], x);
            let size = b.score.row(i).iter().fold(1.0f64, |m, s| m.max(s.abs()));
            let worst = a.score.row(i).iter().zip(b.score.row(i)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(worst <= 1e-11 * size, "{file}: score off by {worst:e} at {x:?}");
        }
    }
}

/// Checks that the scores of all example targets are gradients of their log-densities, by differences; thirteen particles from a relaxed lattice, because
/// random points are on its wall.
#[test]
fn scores_of_formulas_are_gradients() {
    let names = CLOSED.iter().map(|(name, _)| *name).chain(BUILT_IN.iter().map(|(file, _)| *file));
    for name in names {
        let density = load(name).density;
        let d = density.dim();
        let mut x = points(name, d).slice_rows(0..40);
        if name == "thirteen-particles" {
            x = Matrix::from_fn(40, d, |i, j| {
                1.1 * ((j / 3) / usize::pow(3, (j % 3) as u32) % 3) as f64 + 0.05 * x[(i, j)]
            });
        }
        let direction = normal_matrix(42, Purpose::Check, 0, 40, d);
        let scaled = |y: &Matrix| y.map(|v| 0.05 * v);
        let score = |y: &Matrix| evaluate(&*density, &scaled(y)).unwrap().score.map(|s| 0.05 * s);
        let check = check_score(|y| density.log_density(&scaled(y)), score, &x.map(|v| v / 0.05), &direction).unwrap();
        assert!(check.passed(), "{name}: {check}");
    }
}

/// Checks that every file of examples/targets loads, so that none can rot.
#[test]
fn every_example_target_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/targets");
    let mut formulas = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let target = target::load(path.to_str().unwrap(), &mut |_| ()).unwrap();
        formulas += usize::from(target.definition["kind"].as_str() == Some("formula"));
    }
    assert_eq!(formulas, CLOSED.len() + BUILT_IN.len());
}
