//! Times of the costly parts, asked for line by line on the standard input, so that another program can run two sides in turn.
//!
//! `cargo bench --bench cases` runs a short list. `cargo bench --bench cases -- serve` answers each line `CASE key=value …` with a line of
//! JSON: `{"median_s", "min_s", "reps", "peak_mb"}`, the last the largest memory of the process during the case, where Linux says it. Cases and keys (defaults in brackets): `kde`, `moments`, `grid` with `n` `d` `dtype`; `step` with
//! `net` (2-128x3-2, 64-256x3-64, or particles-64x3: an equivariant network of 3 layers of 64 features on 13 particles in space) `batch` `dtype`; `realnvp` with `batch` `dtype`; `sample` with `net` `batch` `dtype`; `gemm` with `m` `k` `n` `dtype`; `sinkhorn` with `n` `iterations` `dtype`; `svgd` with `n` `d`
//! `width` (the median rule without it) `dtype`; `multi`, a step towards several targets, with `n` `k` `scheme` (min-norm or moo-svgd); all with
//! `threads` [1] and `budget` [0.3 s]. `multiply-adds` with `dtype` (2^28 operations in each thread) and `copy` (2^28 bytes, one thread) are what a core can do at best. `first-step` makes one training step and ends: the time from the start of a process to a first result.

mod roofline;

use pushforward::density::{self, Affine, Density, GaussianMixture};
use pushforward::divergence;
use pushforward::error::Result;
use pushforward::estimate::{Clock, Exact, Kde, KdeGrid, Reference, SmoothedTarget, Tolerance};
use pushforward::linalg::{Matrix, MeanFree, matmul};
use pushforward::model::flow::{AffineCoupling, Base, Flow, Layer};
use pushforward::model::{FlowModel, FlowSettings, Generator, GeneratorModel, GeneratorSettings, Latent};
use pushforward::num::Real;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Run;
use pushforward::state::Stateful;
use pushforward::transport::{self, Cloud, Sinkhorn};
use pushforward::velocity::{Field, Kernel, Metric, Multi, Pull, Scene, Scheme, Stein, UniversalDrift, Velocity};
use std::collections::HashMap;
use std::hint::black_box;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

/// Median and smallest time of a call: at least three calls, then as many as the budget allows.
struct Time {
    median: f64,
    min: f64,
    reps: usize,
}

fn measure(budget: f64, mut call: impl FnMut()) -> Time {
    call();
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || start.elapsed().as_secs_f64() < budget {
        let t = Instant::now();
        call();
        times.push(t.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Time { median: times[times.len() / 2], min: times[0], reps: times.len() }
}

/// A request: `key=value` words.
struct Request<'a>(HashMap<&'a str, &'a str>);

impl<'a> Request<'a> {
    fn of(words: impl Iterator<Item = &'a str>) -> Self {
        Self(words.filter_map(|w| w.split_once('=')).collect())
    }
    fn number(&self, key: &str, default: f64) -> f64 {
        self.0.get(key).map_or(default, |v| v.parse().expect("a number"))
    }
    fn count(&self, key: &str) -> usize {
        self.number(key, 1024.0) as usize
    }
}

/// A velocity that was given: only the network's part of a step is timed.
struct Given(Matrix);

impl Stateful for Given {}

impl Velocity for Given {
    fn name(&self) -> &str {
        "given"
    }
    fn reference(&self) -> usize {
        1
    }
    fn evaluate(&self, _: &Scene) -> Result<Pull> {
        Ok(Pull::Points(Field::of(self.0.clone())))
    }
}

/// A generator without codes of the named shape.
fn generator<T: Real>(net: &str) -> (Generator<T>, Vec<usize>) {
    if net.starts_with("particles") {
        let space = MeanFree { particles: 13, dim: 3 };
        return (Generator::of_particles(Affine::identity(space.free_dim()), space, (64, 3), 0), vec![64; 3]);
    }
    let (d, hidden) = if net.starts_with("64") { (64, vec![256; 3]) } else { (2, vec![128; 3]) };
    let frame = Affine::identity(d);
    (Generator::new(frame, Latent::Gaussian, &hidden, 0), hidden)
}

/// A Gaussian of covariance s² I.
fn gaussian(mean: &[f64], s: f64) -> Arc<dyn Density> {
    Arc::new(GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[mean]), s).expect("a scale"))
}

/// Calls of a velocity at x.
fn evaluations(budget: f64, velocity: &dyn Velocity, x: &Matrix) -> Time {
    let clock = Clock { step: 0, steps: 1 };
    let scene = Scene { x, reference: Reference::Own, classes: None, at_x: None, law: None, dt: 0.1, clock, seed: 0 };
    measure(budget, || drop(black_box(velocity.evaluate(&scene).expect("finite numbers"))))
}

/// Steps that no measurement reaches.
const STEPS: u64 = 1 << 40;

fn trainer<T: Real>(net: &str, batch: usize) -> Run {
    let (generator, hidden) = generator::<T>(net);
    let velocity = Given(normal_matrix(0, Purpose::Check, 1, batch, generator.dim()));
    let equivariant = generator.particles().map_or(vec![], |space| vec![space.particles, space.dim]);
    let settings = GeneratorSettings { batch, codes: 0, hidden, equivariant, ..GeneratorSettings::default() };
    Run::new(Box::new(GeneratorModel::new(generator, settings)), Box::new(velocity), STEPS, 0).expect("a run")
}

/// Eight affine couplings (hidden 64-64, SiLU) of one Gaussian, moved to ring8 by the path gradient of reverse KL.
fn flow_trainer<T: Real>(batch: usize) -> Run {
    let coupling = |k: usize| Layer::Affine(AffineCoupling::new(2, &[k % 2], &[64, 64]));
    let frame = Affine::identity(2);
    let flow: Flow<T> = Flow::of_layers(frame, Base { dim: 2, components: 1 }, (0..8).map(coupling).collect(), 0);
    let target = SmoothedTarget::new(density::by_name("ring8").expect("a target"), 2);
    let divergence = divergence::by_name("reverse-kl").expect("a divergence");
    let drift = UniversalDrift::new(Box::new(target), Box::new(Exact), divergence);
    let settings = FlowSettings { batch, learning_rate: 1e-3, ..FlowSettings::default() };
    Run::new(Box::new(FlowModel::new(flow, settings)), Box::new(drift), STEPS, 0).expect("a run")
}

fn run<T: Real>(name: &str, r: &Request<'_>) -> Time {
    let (budget, net) = (r.number("budget", 0.3), r.0.get("net").copied().unwrap_or("2-128x3-2"));
    let draw = |unit: u64, n: usize, d: usize| normal_matrix::<T>(0, Purpose::Check, unit, n, d);
    match name {
        "kde" | "moments" | "grid" => {
            let (n, d) = (r.count("n"), r.number("d", 2.0) as usize);
            let (samples, x, h) = (draw(1, n, d), draw(2, n, d), (n as f64).powf(-1.0 / (d as f64 + 4.0)));
            let kde = || Kde::new(&samples, h).expect("a bandwidth");
            let tolerance = Tolerance { density: 1e-4, score: 1e-4 };
            match name {
                "kde" => measure(budget, || drop(black_box(kde().log_density_and_score(&x)))),
                "moments" => measure(budget, || drop(black_box(kde().evaluate(&x)))),
                _ => measure(budget, || {
                    let grid = KdeGrid::new(&samples, h, tolerance).expect("a tolerance");
                    drop(black_box(grid.log_density_and_score(&x)));
                }),
            }
        }
        "step" => {
            let mut trainer = trainer::<T>(net, r.count("batch"));
            measure(budget, || _ = black_box(trainer.step().expect("finite numbers")))
        }
        "realnvp" => {
            let mut trainer = flow_trainer::<T>(r.count("batch"));
            measure(budget, || _ = black_box(trainer.step().expect("finite numbers")))
        }
        "sample" => {
            let (generator, n) = (generator::<T>(net).0, r.count("batch"));
            measure(budget, || drop(black_box(generator.sample(n, 0, 0))))
        }
        // all threads at once, as a case has them
        "multiply-adds" => measure(budget, || {
            let all = rayon::broadcast(|_| roofline::multiply_adds(size_of::<T>() == 4));
            assert!(all.into_iter().all(|there| there), "no vectors to measure");
        }),
        "copy" => {
            let (from, mut to) = (vec![1; roofline::BYTES / 8], vec![0; roofline::BYTES / 8]);
            measure(budget, || roofline::copy(&from, &mut to))
        }
        "gemm" => {
            let (m, k, n) = (r.count("m"), r.count("k"), r.count("n"));
            let (a, b) = (draw(1, m, k), draw(2, k, n));
            measure(budget, || drop(black_box(matmul(&a, &b))))
        }
        "svgd" => {
            let (x, d) = (draw(1, r.count("n"), r.number("d", 2.0) as usize).cast(), r.number("d", 2.0) as usize);
            let width = r.0.contains_key("width").then(|| r.number("width", 1.0));
            let stein = Stein::new(gaussian(&vec![0.0; d], 1.0), Kernel::Rbf(width));
            evaluations(budget, &if size_of::<T>() == 4 { stein.single() } else { stein }, &x)
        }
        "multi" => {
            let target = |k: usize| gaussian(&[(0.6 * k as f64).cos(), (0.6 * k as f64).sin()], 0.7);
            let scheme = if r.0.get("scheme") == Some(&"moo-svgd") { Scheme::MooSvgd } else { Scheme::MinNorm };
            let targets = (0..r.number("k", 10.0) as usize).map(target).collect();
            let multi = Multi::new(targets, Metric::Stein(Kernel::Rbf(Some(1.0))), scheme).expect("targets");
            evaluations(budget, &multi, &draw(1, r.count("n"), 2).cast())
        }
        // the gradient of S_ε in one cloud after so many iterations for each of the three plans, as peers count them
        "sinkhorn" => {
            let n = r.count("n");
            let (x, y) = (draw(1, n, 2).cast(), draw(2, n, 2).map(|v| T::from_f64(0.5) * v + T::ONE).cast());
            let settings =
                Sinkhorn { tolerance: 1e-300, max_iterations: r.count("iterations"), ..Sinkhorn::new(0.0025) };
            let clouds = || (Cloud::<T>::new(&x, None).expect("points"), Cloud::<T>::new(&y, None).expect("points"));
            measure(budget, || {
                let (a, b) = clouds();
                let found = transport::divergence(&a, &b, &settings).expect("a divergence");
                drop(black_box(found.gradient(&a, &b)))
            })
        }
        _ => panic!("there is no case {name}"),
    }
}

/// The largest memory of this process so far, in MB, counted from the last call of [`forget_peak`] on; null where the system does not say.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map_or("null".into(), |k| format!("{:.1}", k / 1024.0))
}

fn forget_peak() {
    // where it may not be written, the peak is that of all cases so far
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

fn answer(line: &str) -> String {
    forget_peak();
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    let request = Request::of(words);
    let threads = request.number("threads", 1.0) as usize;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let double = request.0.get("dtype") == Some(&"float64");
    let t = pool.install(|| if double { run::<f64>(name, &request) } else { run::<f32>(name, &request) });
    let (median, min, reps, peak) = (t.median, t.min, t.reps, peak());
    format!("{{\"median_s\": {median:.5e}, \"min_s\": {min:.5e}, \"reps\": {reps}, \"peak_mb\": {peak}}}")
}

fn main() {
    // as the command does
    pushforward::run::spin(true);
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => {
            for line in std::io::stdin().lock().lines() {
                println!("{}", answer(&line.expect("text on the standard input")));
            }
        }
        Some("first-step") => _ = trainer::<f32>("2-128x3-2", 1024).step().expect("finite numbers"),
        Some(_) => println!("{}", answer(&arguments.join(" "))),
        None => {
            let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
            for case in [
                "kde n=4096 d=2",
                "kde n=4096 d=2 dtype=float64",
                "kde n=4096 d=32",
                "kde n=4096 d=32 dtype=float64",
                "grid n=100000 d=2 dtype=float64",
                "step net=2-128x3-2 batch=1024",
                "step net=64-256x3-64 batch=1024",
                "step net=particles-64x3 batch=512",
                "realnvp batch=1024",
                "sample net=2-128x3-2 batch=65536",
                "gemm m=2048 k=256 n=256",
                "svgd n=4096 width=0.5",
                "svgd n=4096",
                "multi n=2000",
            ] {
                let line = format!("{case} threads={threads}");
                println!("{line}: {}", answer(&line));
            }
        }
    }
}
