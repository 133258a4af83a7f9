//! How near one pass of an equivariant network comes to LJ-13 when it may see samples, of the search or of long chains: a study, in no test.
//!
//! A flow is fitted to the samples, and a generator to the map from z to where the flow ends.

use pushforward::autodiff::Tape;
use pushforward::density::{Density, NBody};
use pushforward::linalg::{Matrix, MeanFree};
use pushforward::metric::{Bins, assign, histogram_tv, wasserstein2_sorted};
use pushforward::nn::{Adam, AdamState, Equivariant, Network, Parameters};
use pushforward::rng::{Purpose, Stream, fill_normal, normal_matrix, stream, uniform};
use pushforward::search::{SearchSettings, Sweeps, metropolis, search};
use std::sync::Arc;
use std::time::Instant;

const SPACE: MeanFree = MeanFree { particles: 13, dim: 3 };
const D: usize = 36;
/// Standard deviation of a coordinate of LJ-13: the unit of the networks.
const SCALE: f64 = 0.71;
/// What a flow sees of its time.
const MARKS: usize = 4;

fn setting(name: &str, default: f64) -> f64 {
    std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

/// A network with its optimiser.
struct Learner {
    network: Network,
    parameters: Parameters<f32>,
    adam: AdamState<f32>,
    tape: Tape<f32>,
}

impl Learner {
    fn new(width: usize, layers: usize, marks: usize) -> Self {
        let network = Network::Equivariant(Equivariant::new(SPACE, width, layers, marks, false));
        let initial = network.initialise::<f32>(&mut stream(1, Purpose::Initialise, 0));
        Self::of(network, initial.into_iter().map(|m| Arc::new(m.into())).collect())
    }

    fn of(network: Network, parameters: Parameters<f32>) -> Self {
        Self { adam: AdamState::new(&parameters), network, parameters, tape: Tape::new() }
    }

    /// Without marks, as if these were always 0.
    fn unmarked(&self, width: usize, layers: usize) -> Self {
        let network = Network::Equivariant(Equivariant::new(SPACE, width, layers, 0, false));
        let kept = self.parameters.iter().enumerate().filter(|(k, _)| *k != 1).map(|(_, p)| Arc::clone(p));
        Self::of(network, kept.collect())
    }

    fn at(&mut self, x: &Matrix<f32>, marks: Option<&Matrix<f32>>) -> Matrix<f32> {
        self.tape.reset();
        let tape = &self.tape;
        let p: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
        self.network.forward(&p, tape.leaf(x), marks.map(|m| tape.leaf(m))).value()
    }

    /// One step of Adam along the cotangent of the output that `f` gives for it.
    fn learn(
        &mut self,
        x: &Matrix<f32>,
        marks: Option<&Matrix<f32>>,
        rate: f64,
        f: impl FnOnce(&Matrix<f32>) -> Matrix<f32>,
    ) {
        self.tape.reset();
        let gradient: Vec<Matrix<f32>> = {
            let tape = &self.tape;
            let p: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
            let out = self.network.forward(&p, tape.leaf(x), marks.map(|m| tape.leaf(m)));
            let g = f(&out.value());
            tape.pull_back(out, tape.leaf(&g), &p).iter().map(|g| g.value()).collect()
        };
        self.tape.reset();
        let norm = gradient.iter().flat_map(|g| g.as_slice()).map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        if !norm.is_finite() {
            println!("a gradient is not finite");
            return;
        }
        Adam::default().step(&mut self.parameters, &gradient, &mut self.adam, rate);
    }
}

fn cosine(rate: f64, k: usize, steps: usize) -> f64 {
    rate * 0.5 * (1.0 + (std::f64::consts::PI * k as f64 / steps as f64).cos())
}

fn noise(seed: u64, unit: u64, n: usize) -> Matrix<f32> {
    normal_matrix(seed, Purpose::Sample, unit, n, D)
}

/// t, in the form that a flow sees; 0 at t = 0.
fn marks(t: &[f32]) -> Matrix<f32> {
    Matrix::from_fn(t.len(), MARKS, |i, j| match j {
        0 => t[i],
        1 => t[i] * t[i],
        2 => t[i].powi(4),
        _ => (3.0 * t[i]).sin(),
    })
}

/// The orthogonal matrix nearest to m (3×3), by Newton's iteration.
fn polar(mut m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    for _ in 0..30 {
        let minor = |i: usize, j: usize| {
            let (a, b, c, d) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
            m[a][c] * m[b][d] - m[a][d] * m[b][c]
        };
        let det: f64 = (0..3).map(|j| m[0][j] * minor(0, j)).sum();
        let next: [[f64; 3]; 3] = std::array::from_fn(|i| std::array::from_fn(|j| 0.5 * (m[i][j] + minor(i, j) / det)));
        let moved: f64 = (0..9).map(|k| (next[k / 3][k % 3] - m[k / 3][k % 3]).abs()).sum();
        m = next;
        if moved < 1e-12 {
            break;
        }
    }
    m
}

/// y, renumbered, then turned or reflected so that it is near x, twice over.   Both 39 positions.
fn aligned(x: &[f64], y: &[f64]) -> Vec<f64> {
    let mut y = y.to_vec();
    for _ in 0..2 {
        let far = |p: usize, q: usize| (0..3).map(|c| (x[3 * p + c] - y[3 * q + c]).powi(2)).sum();
        let order = assign(&Matrix::from_fn(13, 13, far)).columns;
        let numbered: Vec<f64> = order.iter().flat_map(|&q| [y[3 * q], y[3 * q + 1], y[3 * q + 2]]).collect();
        let m =
            std::array::from_fn(|a| std::array::from_fn(|b| (0..13).map(|p| x[3 * p + a] * numbered[3 * p + b]).sum()));
        let turn = polar(m);
        for p in 0..13 {
            for a in 0..3 {
                y[3 * p + a] = (0..3).map(|b| turn[a][b] * numbered[3 * p + b]).sum();
            }
        }
    }
    y
}

/// Rows of `data`, each moved by the group towards its z; both in units of the networks.
fn pairs(z: &Matrix<f32>, data: &Matrix, rng: &mut Stream) -> Matrix<f32> {
    let x = SPACE.positions(&z.cast::<f64>());
    let rows: Vec<usize> =
        (0..z.rows()).map(|_| ((uniform(rng) * data.rows() as f64) as usize).min(data.rows() - 1)).collect();
    let y = SPACE.positions(&data.gather_rows(&rows));
    let all: Vec<f64> = (0..z.rows()).flat_map(|i| aligned(x.row(i), y.row(i))).collect();
    SPACE.coordinates(&Matrix::from_vec(z.rows(), 39, all)).cast()
}

/// A flow x' = v(x, t) from N(0, I) to the data, by regression on straight paths between aligned pairs.
fn flow(data: &Matrix, (width, layers): (usize, usize), steps: usize, batch: usize, rate: f64) -> Learner {
    let mut v = Learner::new(width, layers, MARKS);
    let (mut rng, start, mut loss) = (stream(7, Purpose::Check, 0), Instant::now(), 0.0);
    for k in 0..steps {
        let z = noise(11, k as u64, batch);
        let y = pairs(&z, data, &mut rng);
        let t: Vec<f32> = (0..batch).map(|i| ((i as f64 + uniform(&mut rng)) / batch as f64) as f32).collect();
        let x = Matrix::from_fn(batch, D, |i, j| (1.0 - t[i]) * z[(i, j)] + t[i] * y[(i, j)]);
        v.learn(&x, Some(&marks(&t)), cosine(rate, k, steps), |out| {
            let e = Matrix::from_fn(batch, D, |i, j| out[(i, j)] - (y[(i, j)] - z[(i, j)]));
            loss += e.as_slice().iter().map(|e| f64::from(e * e)).sum::<f64>() / (batch * D) as f64;
            e.map(|e| e / batch as f32)
        });
        if (k + 1) % (steps / 10).max(1) == 0 {
            println!(
                "flow {} of {steps}: loss {:.4}, {:.0} s",
                k + 1,
                loss / (steps / 10).max(1) as f64,
                start.elapsed().as_secs_f64()
            );
            loss = 0.0;
        }
    }
    v
}

/// The flow from z at t = 1, by the midpoint rule.
fn follow(v: &mut Learner, z: &Matrix<f32>, steps: usize) -> Matrix<f32> {
    let (mut x, n, h) = (z.clone(), z.rows(), 1.0 / steps as f32);
    for k in 0..steps {
        let at = |t: f32| marks(&vec![t; n]);
        let half = v.at(&x, Some(&at(k as f32 * h)));
        let mut middle = x.clone();
        middle.add_scaled(0.5 * h, &half);
        let whole = v.at(&middle, Some(&at((k as f32 + 0.5) * h)));
        x.add_scaled(h, &whole);
    }
    x
}

/// Σ over pairs of w(r°) (r - r°)², w = r°⁻⁴, added to the cotangent of x by half of its gradient: short distances are those that cost energy.
fn add_contacts(x: &Matrix<f32>, y: &Matrix<f32>, weight: f64, g: &mut Matrix<f32>, scale: f64) {
    let (x, y) = (SPACE.positions(&x.cast::<f64>()), SPACE.positions(&y.cast::<f64>()));
    let mut pull = Matrix::zeros(x.rows(), 39);
    for r in 0..x.rows() {
        let (x, y, pull) = (x.row(r), y.row(r), pull.row_mut(r));
        for i in 0..13 {
            for j in i + 1..13 {
                let distance = |x: &[f64]| (0..3).map(|c| (x[3 * i + c] - x[3 * j + c]).powi(2)).sum::<f64>().sqrt();
                let (own, aim) = (distance(x), distance(y));
                let size = weight * (SCALE * aim).max(0.5).powi(-4) * (own - aim) / own.max(0.05);
                for c in 0..3 {
                    let force = size * (x[3 * i + c] - x[3 * j + c]);
                    pull[3 * i + c] += force;
                    pull[3 * j + c] -= force;
                }
            }
        }
    }
    let pull = SPACE.coordinates(&pull);
    g.as_mut_slice().iter_mut().zip(pull.as_slice()).for_each(|(g, p)| *g += (p * scale) as f32);
}

/// Fits y to z + network(z) on given pairs.
fn distil(g: &mut Learner, z: &Matrix<f32>, y: &Matrix<f32>, steps: usize, batch: usize, rate: f64, contacts: f64) {
    let (mut rng, start, mut loss) = (stream(8, Purpose::Check, 0), Instant::now(), 0.0);
    for k in 0..steps {
        let rows: Vec<usize> =
            (0..batch).map(|_| ((uniform(&mut rng) * z.rows() as f64) as usize).min(z.rows() - 1)).collect();
        let (z, y) = (z.gather_rows(&rows), y.gather_rows(&rows));
        g.learn(&z, None, cosine(rate, k, steps), |out| {
            let x = Matrix::from_fn(batch, D, |i, j| z[(i, j)] + out[(i, j)]);
            let e = Matrix::from_fn(batch, D, |i, j| x[(i, j)] - y[(i, j)]);
            loss += e.as_slice().iter().map(|e| f64::from(e * e)).sum::<f64>() / (batch * D) as f64;
            let mut e = e.map(|e| e / batch as f32);
            if contacts > 0.0 {
                add_contacts(&x, &y, contacts, &mut e, 1.0 / batch as f64);
            }
            e
        });
        if (k + 1) % (steps / 10).max(1) == 0 {
            println!(
                "distil {} of {steps}: loss {:.4}, {:.0} s",
                k + 1,
                loss / (steps / 10).max(1) as f64,
                start.elapsed().as_secs_f64()
            );
            loss = 0.0;
        }
    }
}

/// Sweeps of single-particle Metropolis moves at temperature 1 from each row, in place: the moves of the reference.
fn sweeps(p: &NBody, y: &mut Matrix, count: usize) {
    let mut x = SPACE.positions(y);
    for r in 0..x.rows() {
        let mut rng = stream(77, Purpose::Chain, r as u64);
        let x = x.row_mut(r);
        for _ in 0..count {
            let mut xi = [0.0; 39];
            fill_normal(&mut rng, &mut xi);
            for i in 0..13 {
                let length = [0.12, 0.3, 0.9][((uniform(&mut rng) * 3.0) as usize).min(2)];
                let new: [f64; 3] = std::array::from_fn(|c| x[3 * i + c] + length * xi[3 * i + c]);
                let pair = |at: &[f64]| -> f64 {
                    (0..13)
                        .filter(|&j| j != i)
                        .map(|j| p.pair().energy((0..3).map(|c| (x[3 * j + c] - at[c]).powi(2)).sum()))
                        .sum()
                };
                let mean = |c: usize| (0..13).map(|j| x[3 * j + c]).sum::<f64>() / 13.0;
                let spring: f64 = (0..3)
                    .map(|c| {
                        let step = new[c] - x[3 * i + c];
                        step * (2.0 * (x[3 * i + c] - mean(c)) + step * 12.0 / 13.0)
                    })
                    .sum();
                let rise = pair(&new) - pair(&x[3 * i..3 * i + 3]) + 0.5 * p.trap() * spring;
                if uniform(&mut rng) < (-rise).exp() {
                    x[3 * i..3 * i + 3].copy_from_slice(&new);
                }
            }
        }
    }
    *y = SPACE.coordinates(&x);
}

struct Truth {
    energies: Vec<f64>,
    distances: Vec<f64>,
}

fn sorted(mut v: Vec<f64>) -> Vec<f64> {
    v.sort_unstable_by(f64::total_cmp);
    v
}

fn measured(p: &NBody, y: &Matrix) -> Truth {
    Truth {
        energies: sorted(p.log_density(y).iter().map(|l| -l).collect()),
        distances: sorted(p.distances(y).into_vec()),
    }
}

fn report(p: &NBody, name: &str, y: &Matrix, truth: &Truth) {
    let own = measured(p, y);
    let n = own.energies.len();
    let above = own.energies.iter().filter(|e| **e > 0.0).count() as f64 / n as f64;
    println!(
        "| {name} | {n} | TVD-D {:.4} | TVD-E {:.3} | E>0 {:.4} | E-W2 {:.2} | median E {:.1} | 90% {:.1} | mean r {:.3} |",
        histogram_tv(&own.distances, &truth.distances, Bins::OfReference),
        histogram_tv(&own.energies, &truth.energies, Bins::OfReference),
        above,
        wasserstein2_sorted(&own.energies, &truth.energies),
        own.energies[n / 2],
        own.energies[n * 9 / 10],
        own.distances.iter().sum::<f64>() / own.distances.len() as f64,
    );
}

fn restored(y: &Matrix<f32>) -> Matrix {
    y.cast::<f64>().map(|v| v * SCALE)
}

fn both(p: &NBody, name: &str, y: &Matrix<f32>, truth: &Truth) {
    let mut y = restored(y);
    report(p, name, &y, truth);
    for (more, all) in [(5, 5), (15, 20)] {
        sweeps(p, &mut y, more);
        report(p, &format!("{name}, {all} sweeps"), &y, truth);
    }
}

/// Prints figures of the samples, of the flow, and of one pass, raw and after 5 and 20 Metropolis sweeps, beside long chains.
///
/// SEARCH=8192 cargo test --release --test cluster_study -- --ignored --nocapture
#[test]
#[ignore = "a study: half an hour"]
fn one_pass_to_lj13() {
    let p = NBody::lj13();
    let n = setting("N", 10_000.0) as usize;
    let clock = Instant::now();
    let s = Sweeps::default();
    let truth_rows = metropolis(&p, s, 2 * n, 5);
    println!("truth: {:.0} s", clock.elapsed().as_secs_f64());
    let truth = measured(&p, &truth_rows.slice_rows(0..n));
    report(&p, "floor", &truth_rows.slice_rows(n..2 * n), &truth);
    let data = if setting("SEARCH", 0.0) > 0.0 {
        let found =
            search(&p, &SearchSettings { particles: setting("SEARCH", 0.0) as usize, seed: 0, start: None }).unwrap();
        println!(
            "search: {} calls, {} with scores, {:.0} s",
            found.calls,
            found.score_calls,
            clock.elapsed().as_secs_f64()
        );
        found.particles
    } else {
        metropolis(&p, s, setting("DATA", 20_000.0) as usize, 6)
    };
    report(&p, "data", &data, &truth);
    let unit = data.map(|v| v / SCALE);
    let (width, layers) = (setting("WIDTH", 48.0) as usize, setting("LAYERS", 4.0) as usize);
    let (batch, rate) = (setting("BATCH", 128.0) as usize, setting("RATE", 3e-3));
    let mut v = flow(&unit, (width, layers), setting("FLOW", 2000.0) as usize, batch, rate);
    let in_blocks = |n: usize, f: &mut dyn FnMut(u64) -> Matrix<f32>| -> Matrix<f32> {
        let parts: Vec<f32> = (0..n.div_ceil(200)).flat_map(|b| f(b as u64).into_vec()).collect();
        let rows = parts.len() / D;
        Matrix::from_vec(rows, D, parts).slice_rows(0..n.min(rows))
    };
    let few = setting("FEW", 2000.0) as usize;
    for steps in [1, 4, setting("ODE", 12.0) as usize] {
        let y = in_blocks(few, &mut |b| follow(&mut v, &noise(21, b, 200), steps));
        report(&p, &format!("flow, {steps} midpoint steps"), &restored(&y), &truth);
    }
    let count = setting("PAIRS", 10_000.0) as usize;
    let z = in_blocks(count, &mut |b| noise(22, b, 200));
    let y = in_blocks(count, &mut |b| follow(&mut v, &noise(22, b, 200), setting("ODE", 12.0) as usize));
    println!("pairs: {:.0} s", clock.elapsed().as_secs_f64());
    let mut g = v.unmarked(width, layers);
    distil(&mut g, &z, &y, setting("DISTIL", 2000.0) as usize, batch, rate, setting("CONTACTS", 0.3));
    let one_pass = |g: &mut Learner| {
        in_blocks(n, &mut |b| {
            let z = noise(23, b, 200);
            let mut x = g.at(&z, None);
            x.add_scaled(1.0, &z);
            x
        })
    };
    both(&p, "one pass, distilled", &one_pass(&mut g), &truth);
    println!("all: {:.0} s", clock.elapsed().as_secs_f64());
}
