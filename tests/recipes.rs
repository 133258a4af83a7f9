//! The recipes of CONTRIBUTING.md, followed for toy members that live here only; and that the files they name are there.

use pushforward::Result;
use pushforward::autodiff::check_score;
use pushforward::density::{Density, Domain, Pointwise, by_name, evaluate};
use pushforward::divergence::{Divergence, check};
use pushforward::linalg::Matrix;
use pushforward::metric::{Examination, Floor, Judge, Kind, Metric, Options, evaluate_by};
use pushforward::model::{Particles, ParticlesSettings};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Run;
use pushforward::state::Stateful;
use pushforward::velocity::{Field, Pull, Scene, Velocity};
use pushforward::verify::{Budget, Claim, Comparison, Hypothesis, Outcome, Takes};
use std::path::Path;

/// A toy density: log p~(x) = -x⁴/4 - log cosh x.
struct Toy;

impl Pointwise for Toy {
    fn dim(&self) -> usize {
        1
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        score[0] = -x[0].powi(3) - x[0].tanh();
        -0.25 * x[0].powi(4) - x[0].cosh().ln()
    }
}

/// Checks the recipe for a density: one implementation, and the library's own check passes; with a wrong sign it does not.
#[test]
fn a_density() {
    let x: Matrix = normal_matrix(1, Purpose::Check, 0, 50, 1);
    let v: Matrix = normal_matrix(1, Purpose::Check, 1, 50, 1);
    let score = |sign: f64| move |x: &Matrix| evaluate(&Toy, x).unwrap().score.map(|s| sign * s);
    assert!(check_score(|x| Toy.log_density(x), score(1.0), &x, &v).unwrap().passed());
    assert!(!check_score(|x| Toy.log_density(x), score(-1.0), &x, &v).unwrap().passed());
}

/// A toy divergence: KL(q‖p), with its weight off by a factor.
struct ToyDivergence(f64);

impl Divergence for ToyDivergence {
    fn name(&self) -> &str {
        "toy"
    }
    fn formula(&self) -> String {
        "f(u) = -log u".into()
    }
    fn weight_formula(&self) -> String {
        "1".into()
    }
    fn elasticity_formula(&self) -> String {
        "0".into()
    }
    fn f(&self, l: f64) -> f64 {
        -l
    }
    fn u_df(&self, _: f64) -> f64 {
        -1.0
    }
    fn first_variation(&self, l: f64) -> f64 {
        1.0 - l
    }
    fn log_weight(&self, _: f64) -> f64 {
        self.0.ln()
    }
    fn elasticity(&self, _: f64) -> f64 {
        0.0
    }
}

/// Checks the recipe for a divergence: its laws hold, and a factor in the weight is found.
#[test]
fn a_divergence() {
    assert!(check(&ToyDivergence(1.0)).passed());
    assert!(!check(&ToyDivergence(2.0)).passed());
}

/// A toy velocity: towards the origin.
struct Inwards;

impl Stateful for Inwards {}

impl Velocity for Inwards {
    fn name(&self) -> &str {
        "inwards"
    }
    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        Ok(Pull::Points(Field::of(scene.x.map(|x| -x))))
    }
}

/// Checks the recipe for a velocity: two methods, and Euler's steps of it shrink particles by exactly (1 - η)ᵏ, k = 10.
#[test]
fn a_velocity() {
    let start: Matrix = normal_matrix(2, Purpose::Check, 0, 20, 3);
    let settings = ParticlesSettings { dt: 0.1, ..ParticlesSettings::default() };
    let particles = Particles::new(start.clone(), Domain::Euclidean, settings).unwrap();
    let mut run = Run::new(Box::new(particles), Box::new(Inwards), 10, 0).unwrap();
    run.finish().unwrap();
    let (x, exact) = (run.sample(20, 0, 0), start.map(|v| v * 0.9f64.powi(10)));
    assert!(x.as_slice().iter().zip(exact.as_slice()).all(|(a, b)| (a - b).abs() < 1e-14));
}

/// A toy metric: the share of samples in the upper half.
static UPPER: Kind =
    Kind { key: "upper", name: "upper half", meaning: "Share above 0.", judge: Judge::Difference, sized: false };

fn upper(job: &Examination) -> Result<Vec<Metric>> {
    let share = |x: &Matrix| x.iter_rows().filter(|r| r[1] > 0.0).count() as f64 / x.rows() as f64;
    let n = job.samples.rows();
    let floor: Vec<f64> = (0..16).map(|unit| share(&job.exact(n, unit))).collect();
    let (value, floor) = (share(&job.samples), Some(Floor::of(&floor)));
    Ok(vec![Metric { kind: &UPPER, value, floor, size: n, blocks: 1, note: String::new() }])
}

/// Checks the recipe for a metric: one function with its kind; its floor on ring8 is ½ with the spread of n coins, and samples that are
/// moved up by a radius are seen.
#[test]
fn a_metric() {
    let p = by_name("ring8").unwrap();
    let of = |x: &Matrix| evaluate_by(&[upper], &*p, x, &Options { test_size: 0, ..Options::default() }).unwrap();
    let (n, exact) = (2_000, p.sample(2_000, 1).unwrap());
    let floor = of(&exact).metric("upper").unwrap().floor.clone().unwrap();
    let coin = 0.5 / (n as f64).sqrt();
    // the mean of 16: 4.5 of its standard deviations, 7e-6; the spread of 16: χ² with 15 degrees beyond [2.4, 48], 1e-4
    assert!((floor.mean - 0.5).abs() < 4.5 * coin / 4.0, "{floor:?}");
    assert!((0.4 * coin..1.8 * coin).contains(&floor.spread), "{floor:?}");
    assert!(of(&exact).metric("upper").unwrap().z().unwrap().abs() < 6.0);
    assert!(
        of(&Matrix::from_fn(n, 2, |i, j| exact[(i, j)] + 4.0 * j as f64)).metric("upper").unwrap().z().unwrap() > 20.0
    );
}

/// Checks the recipe for a theorem: a claim with both sides and a false variant that the same comparison rejects.
#[test]
fn a_theorem() {
    fn check(_: &Budget) -> Vec<Outcome> {
        let sum: f64 = (1..=100).map(f64::from).sum();
        let compare = |right: f64| Comparison::exact("n = 100", sum, right, right, 1e-12);
        vec![Outcome { comparisons: vec![compare(5050.0)], mutants: vec![("n² / 2 without n / 2", compare(5000.0))] }]
    }
    const HYPOTHESES: &[Hypothesis] = &[Hypothesis::variant("both halves are counted", "n² / 2 without n / 2")];
    let claim =
        Claim { id: "T99", title: "1 + … + n = n(n + 1)/2", takes: Takes::NoPair, hypotheses: HYPOTHESES, check };
    let evidence = claim.run(&Budget::quick());
    assert!(evidence.holds() && evidence.all_mutants_caught(), "{evidence}");
    assert!(evidence.hypotheses.iter().all(|h| h.is_caught()), "{evidence}");
}

/// Checks that every file that CONTRIBUTING.md names in backquotes exists, and that it names the registries.
#[test]
fn named_files_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
    let named: Vec<&str> =
        text.split('`').skip(1).step_by(2).filter(|w| w.contains('/') && !w.contains([' ', '<'])).collect();
    for name in &named {
        assert!(root.join(name).exists(), "CONTRIBUTING.md names {name}, which is not there");
    }
    for registry in ["src/density/registry.rs", "src/divergence/registry.rs", "src/verify/mod.rs"] {
        assert!(named.contains(&registry), "{registry}");
    }
}
