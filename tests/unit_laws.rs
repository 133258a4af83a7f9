//! The same run in other units gives the same samples in these units: training, certificates and figures under x → a x.

use pushforward::density::{Affine, Density, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::metric::{Certificate, Judge, Options, evaluate};
use pushforward::model::FlowModel;
use pushforward::run::{Method, Run};
use std::sync::Arc;

/// The law of a X, X of density p, by its values; without the constant d log a.
struct Scaled(Arc<dyn Density>, f64);

impl Density for Scaled {
    fn dim(&self) -> usize {
        self.0.dim()
    }
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.0.log_density_into(&x.map(|v| v / self.1), out);
    }
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.0.evaluate_into(&x.map(|v| v / self.1), log_density, score);
        score.as_mut_slice().iter_mut().for_each(|s| *s /= self.1);
    }
}

/// The law of a X: a mixture as one, so that its moments are known in both units.
fn scaled(name: &str, a: f64) -> Arc<dyn Density> {
    let p = by_name(name).unwrap();
    match p.mixture() {
        Some(mixture) => Arc::new(mixture.affine_image(&vec![0.0; p.dim()], a).unwrap()),
        None => Arc::new(Scaled(p, a)),
    }
}

/// A short run of a method; the frame is given where the moments are not known.
fn trained(method: &str, name: &str, a: f64) -> (Target, Run) {
    let target = Target::of(scaled(name, a));
    let mut method = Method::preset(method, &target).unwrap().with("steps", 12).unwrap();
    if target.density.mixture().is_none() {
        method.frame = Some(Affine::new(vec![0.25 * a, -a], 3.0 * a).unwrap());
    }
    for (key, value) in [
        ("batch", 64),
        ("sample", 256),
        ("codes", 16),
        ("couplings", 2),
        ("components", 4),
        ("search_particles", 512),
        ("centres", 64),
    ] {
        if method.has(key) {
            method.set(key, value).unwrap();
        }
    }
    let mut run = method.with("hidden", vec![12]).unwrap().start(&target, None).unwrap();
    run.finish().unwrap();
    (target, run)
}

/// Methods whose models work in a frame; particles move in the units of the target, whose time is that of the theorems.
const METHODS: [&str; 6] = ["generator", "kde", "score", "kde-small", "flow", "flow-lv"];

/// Powers of two, which round nothing.
const SCALES: [i32; 2] = [-27, 20];

/// Checks that training gives the same samples in other units, bit for bit, where the frame is given and where the moments are known.
#[test]
fn training() {
    for name in ["gmm9", "banana"] {
        for method in METHODS {
            let one = trained(method, name, 1.0).1.sample(500, 1, 0);
            for power in SCALES {
                let a = 2f64.powi(power);
                let other = trained(method, name, a).1.sample(500, 1, 0).map(|v| v / a);
                let same = other.as_slice().iter().zip(one.as_slice()).filter(|(x, y)| x == y).count();
                let worst = other.as_slice().iter().zip(one.as_slice()).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max);
                println!("{method} {name} 2^{power}: {same} of 1000 the same, worst {worst:e}");
            }
        }
    }
}
