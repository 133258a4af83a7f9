//! The same run in other units gives the same samples in these units: training, certificates and figures under x → a x, and training under x → x + b.

use pushforward::density::{Affine, Density, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::metric::{Certificate, Judge, Options, evaluate};
use pushforward::model::FlowModel;
use pushforward::model::flow::Flow;
use pushforward::run::{Method, Run};
use std::sync::Arc;

/// The law of a X + b, X of density p, by its values; without the constant d log a.
struct Image(Arc<dyn Density>, f64, f64);

impl Density for Image {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.0.log_density_into(&x.map(|v| (v - self.2) / self.1), out);
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.0.evaluate_into(&x.map(|v| (v - self.2) / self.1), log_density, score);
        score.as_mut_slice().iter_mut().for_each(|s| *s /= self.1);
    }
    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        Some(self.0.sample(n, seed)?.map(|v| v * self.1 + self.2))
    }
}

/// The law of a X + b: a mixture as one, so that its moments are known in both units.
fn image(name: &str, a: f64, b: f64) -> Arc<dyn Density> {
    let p = by_name(name).unwrap();
    match p.mixture() {
        Some(mixture) => Arc::new(mixture.affine_image(&vec![b; p.dim()], a).unwrap()),
        None => Arc::new(Image(p, a, b)),
    }
}

/// The law of a X.
fn scaled(name: &str, a: f64) -> Arc<dyn Density> {
    image(name, a, 0.0)
}

/// A frame that is given, in units of a.
fn frame(a: f64) -> Option<Affine> {
    Some(Affine::new(vec![0.25 * a, -a], 3.0 * a).unwrap())
}

/// A short run of a method in a frame. Where none is given a search begins in that of a mixture's moments, and otherwise finds the units, by
/// randomness that is not scaled.
fn trained(method: &str, name: &str, a: f64, frame: Option<Affine>) -> (Target, Run) {
    trained_on(method, scaled(name, a), frame)
}

fn trained_on(method: &str, density: Arc<dyn Density>, frame: Option<Affine>) -> (Target, Run) {
    let target = Target::of(density);
    let mut method = Method::preset(method, &target).unwrap().with("steps", 4).unwrap();
    method.frame = frame;
    for (key, value) in [
        ("batch", 32),
        ("sample", 128),
        ("codes", 8),
        ("couplings", 2),
        ("components", 4),
        ("search_particles", 256),
        ("centres", 32),
    ] {
        if method.has(key) {
            method.set(key, value).unwrap();
        }
    }
    let mut run = method.with("hidden", vec![12]).unwrap().start(&target, None).unwrap();
    run.finish().unwrap();
    (target, run)
}

/// Checks that particles at the pace of their target are the same in other units, to the rounding of log-determinants and of log h, which
/// responsibilities and kernel estimates see (4 steps).
#[test]
fn particles() {
    for velocity in ["ula", "mala", "stein", "drift"] {
        let moved = |a: f64| {
            let target = Target::of(scaled("gmm9", a));
            let method = Method::of("particles", velocity, "kde", &target).unwrap().paced(&target).unwrap();
            let method = method.with("steps", 4).unwrap().with("particles", 64).unwrap();
            let mut run = method.start(&target, None).unwrap();
            run.finish().unwrap();
            run.sample(64, 1, 0)
        };
        let one = moved(1.0);
        for power in SCALES {
            let a = 2f64.powi(power);
            for (x, y) in moved(a).as_slice().iter().zip(one.as_slice()) {
                assert!((x / a - y).abs() <= 1e-12 * (1.0 + y.abs()), "{velocity}, 2^{power}: {} {y}", x / a);
            }
        }
    }
}

/// Methods whose models work in a frame.
const METHODS: [&str; 6] = ["generator", "kde", "score", "kde-small", "flow", "flow-lv"];

/// Powers of two, which round nothing.
const SCALES: [i32; 2] = [-27, 27];

/// Checks that training in a frame that is scaled along, or in that of known moments, gives the same samples in other units: bit for bit for
/// flows; for generators, whose start is fitted by log p~ with the constant 2 log a in it, to the rounding of that constant (4 steps, measured
/// 1e-14).
#[test]
fn training() {
    for (name, given) in [("gmm9", true), ("banana", true), ("gmm9", false), ("ring8", false)] {
        for method in METHODS {
            let samples = |a: f64| trained(method, name, a, frame(a).filter(|_| given)).1.sample(200, 1, 0);
            let one = samples(1.0);
            let most = if method.starts_with("flow") { 0.0 } else { 1e-12 };
            for power in SCALES {
                let a = 2f64.powi(power);
                for (x, y) in samples(a).as_slice().iter().zip(one.as_slice()) {
                    let same = (x / a - y).abs() <= most * (1.0 + y.abs());
                    assert!(same, "{method} on {name}, frame given: {given}, 2^{power}: {} {y}", x / a);
                }
            }
        }
    }
}

/// Checks that training far from 0 gives the same samples there, to the rounding of coordinates, ε |b| = 2e-10 of a width at a million widths, which
/// four steps of Adam, whose first are signs of the gradient, may enlarge a thousandfold.
#[test]
fn training_far_from_zero() {
    for (name, given) in [("gmm9", true), ("banana", true), ("gmm9", false)] {
        for method in METHODS {
            let samples = |b: f64| {
                let frame = Affine::new(vec![0.25 + b, b - 1.0], 3.0).unwrap();
                trained_on(method, image(name, 1.0, b), Some(frame).filter(|_| given)).1.sample(200, 1, 0)
            };
            let one = samples(0.0);
            for b in [1e6, -1e3] {
                let most = 1e3 * f64::EPSILON * f64::abs(b);
                for (x, y) in samples(b).as_slice().iter().zip(one.as_slice()) {
                    let gap = (x - b - y).abs();
                    assert!(gap <= most * (1.0 + y.abs()), "{method} on {name}, frame given: {given}, {b:e}: {gap:e}");
                }
            }
        }
    }
}

/// log p~ - log q of a flow at its own samples, on the law of a X.
fn log_weights(method: &str, name: &str, a: f64) -> Vec<f64> {
    let (target, run) = trained(method, name, a, frame(a));
    let flow: Flow<f64> = run.model_as::<FlowModel<f32>>().unwrap().flow().cast();
    let (x, log_q) = flow.sample_with_log_density(500, 3, 0);
    target.densities[0].log_density(&x).iter().zip(log_q).map(|(p, q)| p - q).collect()
}

/// Checks that a certificate does not depend on the units: log-weights are the same up to the constant 2 log a that the image's values leave
/// out (sums of ten numbers below 100: 1e-12), the effective fraction and the tail index to what that moves them, and the verdict.
#[test]
fn certificates() {
    for (method, name) in [("flow", "gmm9"), ("flow-lv", "banana"), ("flow", "banana")] {
        let one = log_weights(method, name, 1.0);
        let own = Certificate::of(&one, None).unwrap();
        for power in SCALES {
            let a = 2f64.powi(power);
            let constant = if by_name(name).unwrap().mixture().is_some() { 0.0 } else { 2.0 * a.ln() };
            let other = log_weights(method, name, a);
            for (x, y) in other.iter().zip(&one) {
                assert!((x - y - constant).abs() < 1e-10, "{method} {name} 2^{power}: {x} {y}");
            }
            let image = Certificate::of(&other, None).unwrap();
            assert!((image.log_z.value - own.log_z.value - constant).abs() < 1e-10);
            assert!((image.reverse_ess - own.reverse_ess).abs() < 1e-9, "{} {}", image.reverse_ess, own.reverse_ess);
            assert!((image.pareto_k - own.pareto_k).abs() < 1e-6, "{} {}", image.pareto_k, own.pareto_k);
            assert_eq!(image.outside, own.outside);
        }
    }
}

/// Checks that figures and tests judge the same in other units: distances beside their floors, levels less their floors, and p-values.
#[test]
fn figures_and_tests() {
    let options = Options {
        truth_size: 20_000,
        log_density_size: 2_000,
        transport_sizes: vec![50],
        sliced_size: 300,
        projections: 16,
        pair_size: 200,
        test_size: 150,
        resamples: 49,
        ..Options::default()
    };
    for name in ["gmm9", "banana"] {
        // samples that are not exact
        let x = by_name(name).unwrap().sample(300, 5).unwrap().map(|v| 1.1 * v);
        let judged = |a: f64| {
            let report = evaluate(&*scaled(name, a), &x.map(|v| a * v), &options).unwrap();
            let metrics: Vec<(&str, f64)> = (report.metrics.iter())
                .map(|m| {
                    let floor = m.floor.as_ref().map_or(f64::NAN, |f| f.mean);
                    (m.kind.key, if m.kind.judge == Judge::Ratio { m.value / floor } else { m.value - floor })
                })
                .collect();
            let tests: Vec<f64> = report.tests.iter().map(|t| t.p_value).collect();
            (metrics, tests)
        };
        let one = judged(1.0);
        assert!(one.1.len() > usize::from(name == "gmm9"), "{one:?}");
        for power in SCALES {
            let other = judged(2f64.powi(power));
            assert_eq!(other.1, one.1, "{name} 2^{power}");
            for ((key, x), (_, y)) in other.0.iter().zip(&one.0) {
                let same = (x - y).abs() <= 1e-9 * (1.0 + y.abs()) || (x.is_nan() && y.is_nan());
                assert!(same, "{name} 2^{power}, {key}: {x} {y}");
            }
        }
    }
}
