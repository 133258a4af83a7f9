//! Networks as particles: an arm of seven joints under several targets, and a Bayesian regression on real measurements.

use pushforward::autodiff::Var;
use pushforward::density::{Density, TapeDensity, Target, evaluate};
use pushforward::estimate::{Clock, Reference, Scene};
use pushforward::linalg::Matrix;
use pushforward::num::Summary;
use pushforward::rng::{Purpose, fill_uniform, normal_matrix, stream};
use pushforward::velocity::{
    FunctionalSettings, Ingredients, Kernel, Metric, Multi, Pull, Scheme, SteinSettings, Velocity, VelocitySettings,
};
use std::sync::Arc;

/// A network with tanh in its hidden layers whose numbers are the columns of θ (1×D), at inputs n×w_0; W of a layer is θ/√fan-in.
fn network<'t>(theta: Var<'t>, inputs: &Arc<Matrix>, widths: &[usize]) -> Var<'t> {
    let (mut at, mut h) = (0, theta.tape().shared(inputs));
    for (layer, w) in widths.windows(2).enumerate() {
        let mut take = |rows: usize, cols: usize| {
            at += rows * cols;
            theta.columns(at - rows * cols..at).reshape(rows, cols)
        };
        let weight = take(w[0], w[1]) * (1.0 / (w[0] as f64).sqrt());
        h = h.affine(weight, take(1, w[1]));
        if layer + 2 < widths.len() {
            h = h.tanh();
        }
    }
    h
}

fn size(widths: &[usize]) -> usize {
    widths.windows(2).map(|w| (w[0] + 1) * w[1]).sum()
}

/// The network of particle i at inputs, n×outputs.
fn predict(x: &Matrix, i: usize, inputs: &Arc<Matrix>, widths: &[usize]) -> Matrix {
    let tape = pushforward::autodiff::Tape::new();
    let theta = tape.leaf_from(1, size(widths), &x.row(i)[..size(widths)]);
    network(theta, inputs, widths).value()
}

/// The mean of all particles' networks.
fn ensemble(x: &Matrix, inputs: &Arc<Matrix>, widths: &[usize]) -> Matrix {
    let mut sum = Matrix::zeros(inputs.rows(), widths[widths.len() - 1]);
    (0..x.rows()).for_each(|i| sum.add_scaled(1.0 / x.rows() as f64, &predict(x, i, inputs, widths)));
    sum
}

/// The velocity at particles, after what it learns from them.
fn velocity(v: &mut dyn Velocity, x: &Matrix, step: u64, steps: u64) -> Matrix {
    let clock = Clock { step, steps };
    let scene = Scene { x, reference: Reference::Own, classes: None, at_x: None, law: None, dt: 1.0, clock, seed: 1 };
    v.prepare(&scene).unwrap();
    match v.evaluate(&scene).unwrap() {
        Pull::Points(field) => field.velocity,
        other => panic!("{:?}", other.kind()),
    }
}

/// Adam's steps along a velocity, for each particle and coordinate.
struct Adam {
    mean: Matrix,
    square: Matrix,
    step: i32,
}

impl Adam {
    fn new(x: &Matrix) -> Self {
        let zeros = Matrix::zeros(x.rows(), x.cols());
        Self { mean: zeros.clone(), square: zeros, step: 0 }
    }

    fn step(&mut self, x: &mut Matrix, v: &Matrix, rate: f64) {
        self.step += 1;
        let (a, b) = (1.0 - 0.9f64.powi(self.step), 1.0 - 0.999f64.powi(self.step));
        for (k, v) in v.as_slice().iter().enumerate() {
            let (m, s) = (&mut self.mean.as_mut_slice()[k], &mut self.square.as_mut_slice()[k]);
            *m += 0.1 * (v - *m);
            *s += 0.001 * (v * v - *s);
            x.as_mut_slice()[k] += rate * (*m / a) / ((*s / b).sqrt() + 1e-8);
        }
    }
}

/// Joints, lengths and masses of a planar arm whose masses sit at the ends of its links.
const JOINTS: usize = 7;
const LENGTHS: [f64; JOINTS] = [0.4, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1];
const MASSES: [f64; JOINTS] = [3.0, 2.5, 2.0, 1.5, 1.0, 0.7, 0.5];
const GRAVITY: f64 = 9.81;

/// Torques of the joints at angles q, their rates and accelerations (21 numbers), by Newton's law for each mass: τ_k = Σ_{i≥k} m_i (p_i - p_{k-1}) ×
/// (a_i + g ŷ).
fn torques(x: &[f64]) -> [f64; JOINTS] {
    let (mut angle, mut place, mut pull) = ([0.0; 3], [[0.0; 2]; JOINTS + 1], [[0.0, GRAVITY]; JOINTS + 1]);
    for k in 0..JOINTS {
        (0..3).for_each(|order| angle[order] += x[JOINTS * order + k]);
        let (s, c) = angle[0].sin_cos();
        let l = LENGTHS[k];
        place[k + 1] = [place[k][0] + l * c, place[k][1] + l * s];
        let (turn, square) = (angle[2], angle[1] * angle[1]);
        pull[k + 1] = [pull[k][0] - l * (turn * s + square * c), pull[k][1] + l * (turn * c - square * s)];
    }
    let mut out = [0.0; JOINTS];
    for (k, out) in out.iter_mut().enumerate() {
        for i in k..JOINTS {
            let (p, a) = (place[i + 1], pull[i + 1]);
            *out += MASSES[i] * ((p[0] - place[k][0]) * a[1] - (p[1] - place[k][1]) * a[0]);
        }
    }
    out
}

/// Checks the torques by the balance of power: Σ τ_k q̇_k is the rate at which kinetic and potential energy grow, by differences along q + t q̇ + ½ t² q̈
/// (step 1e-4, error 1e-7 of the terms).
#[test]
fn torques_balance_the_power() {
    let energy = |x: &[f64], t: f64| {
        let (mut angle, mut rate, mut place, mut speed, mut sum) = (0.0, 0.0, [0.0; 2], [0.0; 2], 0.0);
        for k in 0..JOINTS {
            angle += x[k] + t * x[JOINTS + k] + 0.5 * t * t * x[2 * JOINTS + k];
            rate += x[JOINTS + k] + t * x[2 * JOINTS + k];
            let (s, c) = f64::sin_cos(angle);
            place = [place[0] + LENGTHS[k] * c, place[1] + LENGTHS[k] * s];
            speed = [speed[0] - LENGTHS[k] * rate * s, speed[1] + LENGTHS[k] * rate * c];
            sum += MASSES[k] * (0.5 * (speed[0] * speed[0] + speed[1] * speed[1]) + GRAVITY * place[1]);
        }
        sum
    };
    for x in normal_matrix::<f64>(3, Purpose::Check, 0, 20, 3 * JOINTS).iter_rows() {
        let power: f64 = torques(x).iter().zip(&x[JOINTS..]).map(|(t, q)| t * q).sum();
        let grown = (energy(x, 1e-4) - energy(x, -1e-4)) / 2e-4;
        assert!((power - grown).abs() < 1e-5 * (1.0 + power.abs()), "{power} {grown}");
    }
}

/// n rows of angles, rates and accelerations in [-1, 1], and their torques.
fn arm(seed: u64, n: usize) -> (Matrix, Matrix) {
    let mut u = vec![0.0; n * 3 * JOINTS];
    fill_uniform(&mut stream(seed, Purpose::Check, 77), &mut u);
    let inputs = Matrix::from_vec(n, 3 * JOINTS, u.iter().map(|u| 2.0 * u - 1.0).collect());
    let outputs = Matrix::from_fn(n, JOINTS, |i, k| torques(inputs.row(i))[k]);
    (inputs, outputs)
}

fn standardised(y: &Matrix, by: &Matrix) -> Matrix {
    let (mean, covariance) = (by.column_means(), by.column_covariance());
    Matrix::from_fn(y.rows(), y.cols(), |i, j| (y[(i, j)] - mean[j]) / covariance[(j, j)].sqrt())
}

/// log p_k(θ) = -½ weight · mean (f_k - y_k)² - ½|θ|², one density for each output k.
fn tasks(inputs: &Matrix, outputs: &Matrix, widths: &'static [usize], weight: f64) -> Vec<Arc<dyn Density>> {
    let inputs = Arc::new(inputs.clone());
    let one = |k: usize| {
        let (inputs, n) = (Arc::clone(&inputs), outputs.rows());
        let y = Arc::new(Matrix::from_fn(n, 1, |i, _| outputs[(i, k)]));
        let density = TapeDensity::new(size(widths), move |theta| error_of(theta, &inputs, &y, widths, k, weight));
        // each row is a network of its own
        Arc::new(density.rows_at_a_time(1)) as Arc<dyn Density>
    };
    (0..outputs.cols()).map(one).collect()
}

fn error_of<'t>(
    theta: Var<'t>,
    inputs: &Arc<Matrix>,
    y: &Arc<Matrix>,
    widths: &[usize],
    k: usize,
    weight: f64,
) -> Var<'t> {
    let rest = network(theta, inputs, widths).column(k) - theta.tape().shared(y);
    rest.square().mean() * (-0.5 * weight) - theta.square().sum() * 0.5
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Training {
    /// Weights on the simplex for all particles, Stein's fields.
    MtSgd,
    /// The same with normalised scores, as the code of MT-SGD.
    Normalised,
    MooSvgd,
    Mgda,
    /// Each network by itself on the sum of all errors.
    Independent,
}

/// Mean squared test errors of the seven torques, in variances, of the mean of five networks.
fn trained(how: Training, seed: u64, steps: u64) -> Vec<f64> {
    const WIDTHS: &[usize] = &[21, 32, 32, 7];
    const BATCH: usize = 256;
    let ((inputs, raw), (test, unseen)) = (arm(2 * seed, 4096), arm(2 * seed + 1, 2000));
    let (outputs, unseen) = (standardised(&raw, &raw), standardised(&unseen, &raw));
    let mut x: Matrix = normal_matrix(seed, Purpose::Particles, 5, 5, size(WIDTHS));
    let mut adam = Adam::new(&x);
    for step in 0..steps {
        let from = (step as usize * BATCH) % (4096 - BATCH + 1);
        let rows = from..from + BATCH;
        let targets = tasks(&inputs.slice_rows(rows.clone()), &outputs.slice_rows(rows), WIDTHS, 1e4);
        let v = if how == Training::Independent {
            let mut sum = Matrix::zeros(5, x.cols());
            targets.iter().for_each(|p| sum.add_scaled(1.0 / 7.0, &evaluate(&**p, &x).unwrap().score));
            sum
        } else {
            let scheme = match how {
                Training::MtSgd => Scheme::MinNorm,
                Training::Normalised => Scheme::Normalised,
                Training::MooSvgd => Scheme::MooSvgd,
                _ => Scheme::Mgda,
            };
            let mut multi = Multi::new(targets, Metric::Stein(Kernel::Rbf(None)), scheme).unwrap();
            velocity(&mut multi, &x, step, steps)
        };
        let progress = step as f64 / steps as f64;
        adam.step(&mut x, &v, 1e-2 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()));
    }
    let found = ensemble(&x, &Arc::new(test), WIDTHS);
    let error = |k: usize| (0..2000).map(|i| (found[(i, k)] - unseen[(i, k)]).powi(2)).sum::<f64>() / 2000.0;
    (0..JOINTS).map(error).collect()
}

/// Checks that 60 steps, with weights for all particles and with each network by itself, lower the mean error of the torques.
#[test]
fn networks_learn_the_arm() {
    for how in [Training::MtSgd, Training::Independent] {
        let [first, last] = [1, 60].map(|steps| trained(how, 0, steps).iter().sum::<f64>() / 7.0);
        println!("{how:?}: {first:.3} {last:.3}");
        assert!(last < 0.9 * first, "{how:?}: {first} {last}");
    }
}

/// Prints the table of docs/methods.md: five networks as particles, five seeds, 400 steps of 256 rows. Every method explains a part of the torques.
#[test]
#[ignore = "three minutes"]
fn table_of_seven_torques() {
    for how in [Training::MtSgd, Training::Normalised, Training::MooSvgd, Training::Mgda, Training::Independent] {
        let all: Vec<Vec<f64>> = (0..5).map(|seed| trained(how, seed, 400)).collect();
        let tasks: Vec<f64> = (0..JOINTS).map(|k| all.iter().map(|e| e[k]).sum::<f64>() / 5.0).collect();
        let means = Summary::of(&all.iter().map(|e| e.iter().sum::<f64>() / 7.0).collect::<Vec<f64>>());
        println!("{how:?}: {tasks:.3?}, mean {:.4} ± {:.4}", means.mean, means.standard_deviation());
        assert!(means.mean < 1.0, "{tasks:?}");
    }
}

/// The ten mean measurements of 569 tumours.
fn tumours() -> Matrix {
    let text = include_str!("../examples/data/breast-cancer.csv");
    let row = |line: &str| line.split(',').take(10).map(|x| x.parse().unwrap()).collect::<Vec<f64>>();
    Matrix::from_rows(&text.lines().skip(1).map(row).collect::<Vec<_>>())
}

/// Nine inputs, 50 hidden units.
const SHAPE: &[usize] = &[9, 50, 1];

/// log p of θ and log σ, the last coordinate: normal noise, N(0, I) before.
fn posterior(inputs: &Matrix, response: &Matrix) -> Arc<dyn Density> {
    let (inputs, y, n) = (Arc::new(inputs.clone()), Arc::new(response.clone()), response.rows() as f64);
    let all = size(SHAPE);
    Arc::new(TapeDensity::new(all + 1, move |theta| noisy(theta, &inputs, &y, n, all)).rows_at_a_time(1))
}

fn noisy<'t>(theta: Var<'t>, inputs: &Arc<Matrix>, y: &Arc<Matrix>, n: f64, all: usize) -> Var<'t> {
    let noise = theta.column(all);
    let rest = network(theta, inputs, SHAPE) - theta.tape().shared(y);
    rest.square().sum() * (noise * -2.0).exp() * -0.5 - noise * n - theta.square().sum() * 0.5
}

/// RMSE on a tenth of the rows, in deviations of the response, after `steps` steps on the others, by `count` networks; and of the least squares of
/// the nine inputs.
fn regression(settings: &dyn VelocitySettings, split: u64, count: usize, steps: u64) -> [f64; 2] {
    let data = tumours();
    let mut order: Vec<usize> = (0..data.rows()).collect();
    let keys: Matrix = normal_matrix(split, Purpose::Check, 78, data.rows(), 1);
    order.sort_by(|a, b| keys[(*a, 0)].total_cmp(&keys[(*b, 0)]));
    let (test, train) = order.split_at(57);
    let known = data.gather_rows(train);
    let part = |rows: &[usize]| {
        let all = standardised(&data.gather_rows(rows), &known);
        let inputs = Matrix::from_fn(rows.len(), 9, |i, j| all[(i, j)]);
        (inputs, Matrix::from_fn(rows.len(), 1, |i, _| all[(i, 9)]))
    };
    let ((inputs, y), (unseen, truth)) = (part(train), part(test));
    let ingredients =
        Ingredients { target: Target::of(posterior(&inputs, &y)), estimator: None, particles: None, seed: split };
    let mut v = settings.build(ingredients).unwrap();
    let mut x: Matrix = normal_matrix(split, Purpose::Particles, 6, count, size(SHAPE) + 1);
    let mut adam = Adam::new(&x);
    for step in 0..steps {
        let pull = velocity(&mut *v, &x, step, steps);
        let progress = step as f64 / steps as f64;
        adam.step(&mut x, &pull, 2e-2 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()));
    }
    let rmse = |found: &Matrix| {
        (found.as_slice().iter().zip(truth.as_slice()).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / 57.0).sqrt()
    };
    let networks = rmse(&ensemble(&x, &Arc::new(unseen.clone()), SHAPE));
    let moment = pushforward::linalg::matmul(&inputs.transpose(), &inputs);
    let right = pushforward::linalg::matmul(&inputs.transpose(), &y);
    let slopes = pushforward::linalg::Cholesky::factor(&moment, "inputs").unwrap().solve(right.as_slice());
    let line = unseen.iter_rows().map(|row| row.iter().zip(&slopes).map(|(x, s)| x * s).sum()).collect();
    [networks, rmse(&Matrix::from_vec(57, 1, line))]
}

/// Checks that 100 steps of Stein's velocity with ten networks predict better than the mean of the response.
#[test]
fn networks_learn_the_measurements() {
    let [networks, line] = regression(&SteinSettings::default(), 0, 10, 100);
    println!("{networks} {line}");
    assert!(networks < 0.8 && line < 0.8, "{networks} {line}");
}

/// Prints the table of docs/methods.md: 20 networks of 50 units, 300 steps, five splits of nine tenths to one.
#[test]
#[ignore = "three minutes"]
fn table_of_the_measurements() {
    let functional =
        |p: f64, adapt: f64| FunctionalSettings { p, adapt, layers: vec![64, 64], inner: 5, ..Default::default() };
    let methods: [(&str, Box<dyn VelocitySettings>); 4] = [
        ("Stein", Box::<SteinSettings>::default()),
        ("p = 2 (L2-GF)", Box::new(functional(2.0, 0.0))),
        ("p = 3", Box::new(functional(3.0, 0.0))),
        ("adapted from p = 3", Box::new(functional(3.0, 1e-4))),
    ];
    for (name, settings) in methods {
        let all: Vec<[f64; 2]> = (0..5).map(|split| regression(&*settings, split, 20, 300)).collect();
        let [networks, line] = [0, 1].map(|k| Summary::of(&all.iter().map(|e| e[k]).collect::<Vec<f64>>()));
        println!(
            "{name}: RMSE {:.4} ± {:.4}, least squares {:.4} ± {:.4}",
            networks.mean,
            networks.standard_deviation(),
            line.mean,
            line.standard_deviation()
        );
        assert!(networks.mean < 0.8, "{name}");
    }
}

/// Checks the scores of both densities against differences of log p along a direction (step 1e-4, error 1e-7 of the terms).
#[test]
fn scores_of_networks() {
    let (inputs, raw) = arm(1, 30);
    let y = standardised(&raw, &raw);
    let densities = [tasks(&inputs, &y, &[21, 6, 5, 7], 50.0).swap_remove(3), {
        let data = standardised(&tumours(), &tumours());
        let rows: Vec<usize> = (0..40).collect();
        let some = data.gather_rows(&rows);
        posterior(&Matrix::from_fn(40, 9, |i, j| some[(i, j)]), &Matrix::from_fn(40, 1, |i, _| some[(i, 9)]))
    }];
    for p in densities {
        let x: Matrix = normal_matrix(4, Purpose::Check, 0, 3, p.dim()).map(|x: f64| 0.3 * x);
        let u: Matrix = normal_matrix(4, Purpose::Check, 1, 3, p.dim());
        let at = |h: f64| {
            let mut y = x.clone();
            y.add_scaled(h, &u);
            p.log_density(&y)
        };
        let (up, down, score) = (at(1e-4), at(-1e-4), evaluate(&*p, &x).unwrap().score);
        for i in 0..3 {
            let slope: f64 = score.row(i).iter().zip(u.row(i)).map(|(s, u)| s * u).sum();
            let difference = (up[i] - down[i]) / 2e-4;
            assert!((slope - difference).abs() < 1e-5 * (1.0 + slope.abs()), "{slope} {difference}");
        }
    }
}
