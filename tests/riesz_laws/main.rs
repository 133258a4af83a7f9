//! The flow of Riesz kernels on the torus against its exact laws, an eigensolve and a pseudo-spectral solver.

mod plane;
mod spectral;

use pushforward::Error;
use pushforward::density::{Density, Domain, GaussianMixture, Harmonic, TorusDensity};
use pushforward::estimate::{Clock, Reference, Scene};
use pushforward::linalg::{Cholesky, Matrix, SymmetricEigen};
use pushforward::model::{Particles, ParticlesSettings};
use pushforward::num::{fit_line, mean, variance};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Run;
use pushforward::velocity::{Pull, Riesz, Velocity, bernoulli, truncation};
use spectral::{Circle, Plane};
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

fn uniform(period: &[f64]) -> Arc<dyn Density> {
    Arc::new(TorusDensity::new(period.to_vec(), Vec::new()).unwrap())
}

/// log p~ = ½ cos 2πx.
fn bump() -> Arc<dyn Density> {
    let term = Harmonic { frequency: vec![1], cosine: 0.5, sine: 0.0 };
    Arc::new(TorusDensity::new(vec![1.0], vec![term]).unwrap())
}

fn riesz(target: Arc<dyn Density>, period: &[f64], order: f64, modes: usize) -> Riesz {
    Riesz::new(target, &Domain::Torus(period.to_vec()), order, modes).unwrap()
}

fn velocity(v: &Riesz, x: &Matrix) -> Matrix {
    let clock = Clock { step: 0, steps: 1 };
    let scene = Scene { x, reference: Reference::Own, classes: None, at_x: None, law: None, dt: 0.1, clock, seed: 1 };
    match v.evaluate(&scene).unwrap() {
        Pull::Points(field) => field.velocity,
        other => panic!("{:?}", other.kind()),
    }
}

fn moved(start: &Matrix, v: Riesz, period: &[f64], stepper: &str, dt: f64, steps: u64) -> Matrix {
    let settings = ParticlesSettings { dt, stepper: stepper.into(), ..Default::default() };
    let particles = Particles::new(start.clone(), Domain::Torus(period.to_vec()), settings).unwrap();
    let mut run = Run::new(Box::new(particles), Box::new(v), steps, 1).unwrap();
    run.finish().unwrap();
    run.sample(start.rows(), 0, 0)
}

/// Distance on the circle of length l.
fn apart(a: f64, b: f64, l: f64) -> f64 {
    let turn = ((a - b) / l).rem_euclid(1.0);
    l * turn.min(1.0 - turn)
}

/// Checks the exact law of s = 1 for the uniform target and N = 1, 2, 9, 50 particles, x_i(t) = x̄ + y_i + (x_i(0) - x̄ - y_i) e^{-t},
/// y_i = L (2i - N - 1)/(2N): straight lines towards equal spacing. Euler's steps have (1 - h)^k in place of e^{-t}, Runge–Kutta's
/// (1 - h + h²/2 - h³/6 + h⁴/24)^k; on circles of length 1 and 2.5, to 1e-10, which is rounding.
#[test]
fn coulomb_particles_move_on_straight_lines() {
    for (n, l) in [(1usize, 1.0), (2, 1.0), (9, 1.0), (50, 2.5)] {
        // all within less than half a turn, so that the order along the circle is that of the numbers
        let z: Matrix = normal_matrix(5, Purpose::Check, n as u64, n, 1);
        let mut x: Vec<f64> = z.as_slice().iter().map(|z| l * (0.5 + 0.2 * z.tanh())).collect();
        x.sort_by(f64::total_cmp);
        let mean = x.iter().sum::<f64>() / n as f64;
        let start = Matrix::from_vec(n, 1, x.clone());
        for (stepper, h) in [("euler", 0.1f64), ("rk4", 0.25)] {
            let steps = 12;
            let factor = match stepper {
                "euler" => 1.0 - h,
                _ => 1.0 - h + h * h / 2.0 - h.powi(3) / 6.0 + h.powi(4) / 24.0,
            };
            // time is that of the unit circle: the rate is the mean density 1/L
            let (dt, decay) = (h * l, factor.powi(steps));
            let end = moved(&start, riesz(uniform(&[l]), &[l], 1.0, 4), &[l], stepper, dt, steps as u64);
            for (i, x) in x.iter().enumerate() {
                let spaced = mean + l * (2.0 * (i + 1) as f64 - n as f64 - 1.0) / (2.0 * n as f64);
                let gap = apart(end[(i, 0)], spaced + (x - spaced) * decay, l);
                assert!(gap < 1e-10, "N = {n}, {stepper}, particle {i}: {gap:e}");
            }
        }
    }
}

/// Checks the rates of N = 9 equispaced particles, λ_m = Σ_{n≡m (N)} |2πn|^{2-2s} - Σ_{n≡0, n≠0} |2πn|^{2-2s}: for s = 2 the closed form
/// (1/(4N²))(1/sin²(πm/N) - 1/3), for s = 1 and s = 3 and s = 1.5 the sums themselves (the last within the truncation), from velocities
/// at perturbations ±2e-6, to 1e-8 relative for the closed kernels.
#[test]
fn rates_of_equispaced_particles() {
    let n = 9usize;
    let sum = |s: f64, m: i64, last: i64| {
        let power = |k: i64| (TAU * k.abs() as f64).powf(2.0 - 2.0 * s);
        let pieces = (-last..=last).map(|j| {
            let (with, without) = (m + j * n as i64, j * n as i64);
            power(with) - if without == 0 { 0.0 } else { power(without) }
        });
        pieces.sum::<f64>()
    };
    for (s, modes, tolerance) in [(2.0, 8, 1e-8), (3.0, 8, 1e-8), (1.0, 8, 1e-8), (2.5, 400, 1e-5)] {
        let v = riesz(uniform(&[1.0]), &[1.0], s, modes);
        for m in [1i64, 2, 4] {
            let e = 2e-6;
            let wave = |i: usize| (TAU * m as f64 * i as f64 / n as f64).sin();
            let at = |e: f64| {
                velocity(&v, &Matrix::from_fn(n, 1, |i, _| (i as f64 / n as f64 + e * wave(i)).rem_euclid(1.0)))
            };
            let (up, down) = (at(e), at(-e));
            let norm: f64 = (0..n).map(|i| wave(i) * wave(i)).sum();
            let found = -(0..n).map(|i| wave(i) * (up[(i, 0)] - down[(i, 0)]) / (2.0 * e)).sum::<f64>() / norm;
            let expected = match s {
                2.0 => (1.0 / (PI * m as f64 / n as f64).sin().powi(2) - 1.0 / 3.0) / (4 * n * n) as f64,
                1.0 => 1.0,
                _ => sum(s, m, 20_000),
            };
            assert!((found / expected - 1.0).abs() < tolerance, "s = {s}, m = {m}: {found} {expected}");
        }
    }
}

/// Checks the Bernoulli kernels against their Fourier series Σ 2 (2πn)^{-2s} cos 2πnt, n ≤ 4,000, and the slopes by the series of sines, within
/// the tail of the series; and that the Fourier path of the velocity differs from the closed one by at most its stated truncation, times
/// 1 + 1/(2M) where the score of the target is at most π: the tail of K is that of ∇K over 2πM.
#[test]
fn kernels_and_truncation() {
    for order in [1u32, 2, 3] {
        for t in [0.0, 0.1, 0.37, 0.5, 0.93] {
            let s = f64::from(order);
            let term = |n: u32| 2.0 * (TAU * f64::from(n)).powf(-2.0 * s);
            let series: f64 = (1..=4000).rev().map(|n| term(n) * (TAU * f64::from(n) * t).cos()).sum();
            let slope: f64 =
                (1..=4000).rev().map(|n| -term(n) * TAU * f64::from(n) * (TAU * f64::from(n) * t).sin()).sum();
            let (k, dk) = bernoulli(order, t);
            assert!((k - series).abs() < 2e-5f64.powi(order.min(2) as i32) + 1e-13, "{order} {t}: {k} {series}");
            assert!((dk - slope).abs() < if order == 1 { 1e-3 } else { 1e-8 }, "{order} {t}: {dk} {slope}");
        }
    }
    let z: Matrix = normal_matrix(8, Purpose::Check, 0, 30, 1);
    let x = z.map(|z| (0.5 + 0.3 * z).rem_euclid(1.0));
    for (order, modes) in [(2.0, 8), (2.0, 16), (3.0, 8)] {
        for (target, factor) in [(uniform(&[1.0]), 1.0), (bump(), 1.0 + 0.5 / modes as f64)] {
            let closed = velocity(&riesz(Arc::clone(&target), &[1.0], order, modes), &x);
            // an order a hair away takes the other path
            let summed = velocity(&riesz(target, &[1.0], order + 1e-12, modes), &x);
            let gap = (0..30).map(|i| (closed[(i, 0)] - summed[(i, 0)]).abs()).fold(0.0, f64::max);
            let bound = factor * truncation(1, order, modes).unwrap();
            assert!(gap <= bound && gap > 1e-5 * bound, "s = {order}, M = {modes}: {gap:e} {bound:e}");
        }
    }
}

/// Checks on the circle and the torus that with s = 1 and the uniform target every point moves so that ρ = 1/(1 + (1/ρ₀ - 1) e^{-t}) along
/// characteristics, d = 1 and d = 2, by a pseudo-spectral solver with tracers: to 1e-8; and so the maximum and the minimum of ρ (at points
/// of symmetry), to 1e-10.
#[test]
fn coulomb_density_along_characteristics() {
    let law = |rho: f64, t: f64| 1.0 / (1.0 + (1.0 / rho - 1.0) * (-t).exp());
    let circle = Circle::new(128, 1.0, |_| 1.0);
    let start = circle.sampled(|x| 1.0 + 0.4 * (TAU * x).cos() + 0.1 * (2.0 * TAU * x).cos());
    let (end, time) = (circle.run(&start, 0.01, 150), 1.5);
    let extreme = |rho: &[f64]| rho.iter().fold((f64::INFINITY, 0.0f64), |(a, b), r| (a.min(*r), b.max(*r)));
    let ((low, high), (least, most)) = (extreme(&start), extreme(&end));
    assert!((least - law(low, time)).abs() < 1e-9 && (most - law(high, time)).abs() < 1e-9, "{least} {most}");

    let plane = Plane::new(64, 1.0);
    let rho = |x: f64, y: f64| 1.0 + 0.3 * (TAU * x).cos() * (TAU * y).sin() + 0.2 * (TAU * (x + y)).cos();
    let tracers: Vec<[f64; 2]> = (0..12).map(|k| [0.083 * f64::from(k), (0.37 * f64::from(k)).fract()]).collect();
    let (end, places) = plane.run(&plane.sampled(rho), &tracers, 0.02, 50);
    for (from, to) in tracers.iter().zip(&places) {
        let (found, expected) = (plane.at(&end, *to), law(rho(from[0], from[1]), 1.0));
        assert!((found - expected).abs() < 1e-8, "{from:?}: {found} {expected}");
    }
}

/// Checks d/dt KL(ρ‖p) = -KSD² of the spectral solution with target exp(½ cos 2πx), s = 1, 1.5 and 2: the central difference of KL over ±h
/// meets -KSD² with order 2 in h (to 0.1 over two halvings).
#[test]
fn dissipation_is_the_discrepancy() {
    for s in [1.0, 1.5, 2.0] {
        let circle = Circle::new(128, s, |x| (0.5 * (TAU * x).cos()).exp());
        let start = circle.sampled(|x| 1.0 + 0.5 * (TAU * x).sin() + 0.2 * (3.0 * TAU * x).cos());
        let error = |h: f64| {
            // 2k steps of h/8: KL at 0, h, 2h
            let (fine, unit) = (h / 8.0, (TAU).powf(2.0 * s - 2.0));
            let middle = circle.run(&start, fine * unit, 64);
            // the same middle for every h: 8 units of time
            let middle = if h > 0.0 { middle } else { start.clone() };
            let (back, on) = (circle.run(&middle, -fine * unit, 8), circle.run(&middle, fine * unit, 8));
            let slope = (circle.kl(&on) - circle.kl(&back)) / (2.0 * h * unit);
            (slope + circle.discrepancy(&middle)).abs() / circle.discrepancy(&middle)
        };
        let (coarse, fine) = (error(0.1), error(0.025));
        let order = (coarse / fine).log2() / 2.0;
        assert!((order - 2.0).abs() < 0.1 && fine < 5e-3, "s = {s}: order {order}, {coarse:e} {fine:e}");
    }
}

/// The smallest eigenvalue of h ↦ -(1/p)∂(p K*(p h')) in L²(p), K of order 1, for p ∝ exp(½ cos 2πx): Galerkin with sines and cosines of
/// frequencies up to 24, integrals by the trapezoid rule.
fn slowest_rate() -> f64 {
    let (grid, modes) = (256usize, 24usize);
    let p: Vec<f64> = {
        let raw: Vec<f64> = (0..grid).map(|i| (0.5 * (TAU * i as f64 / grid as f64).cos()).exp()).collect();
        let z = raw.iter().sum::<f64>() / grid as f64;
        raw.iter().map(|r| r / z).collect()
    };
    let point = |i: usize| i as f64 / grid as f64;
    let wave = |m: usize, x: f64| {
        let k = TAU * (m / 2 + 1) as f64;
        if m.is_multiple_of(2) { ((k * x).cos(), -k * (k * x).sin()) } else { ((k * x).sin(), k * (k * x).cos()) }
    };
    let (size, kept) = (2 * modes, 100u32);
    // p h' of each basis function in Fourier space
    let coefficients: Vec<Vec<[f64; 2]>> = (0..size)
        .map(|m| {
            (1..=kept)
                .map(|n| {
                    (0..grid).fold([0.0; 2], |[re, im], i| {
                        let u = p[i] * wave(m, point(i)).1 / grid as f64;
                        let (s, c) = (TAU * f64::from(n) * point(i)).sin_cos();
                        [re + u * c, im - u * s]
                    })
                })
                .collect()
        })
        .collect();
    let stiffness = Matrix::from_fn(size, size, |a, b| {
        let term = |n: usize| {
            let (u, v) = (coefficients[a][n], coefficients[b][n]);
            2.0 * (u[0] * v[0] + u[1] * v[1]) / (TAU * (n + 1) as f64).powi(2)
        };
        (0..kept as usize).map(term).sum()
    });
    // centred, so that constants are orthogonal
    let average = |m: usize| (0..grid).map(|i| p[i] * wave(m, point(i)).0).sum::<f64>() / grid as f64;
    let averages: Vec<f64> = (0..size).map(average).collect();
    let mass = Matrix::from_fn(size, size, |a, b| {
        let inner = |i: usize| p[i] * (wave(a, point(i)).0 - averages[a]) * (wave(b, point(i)).0 - averages[b]);
        (0..grid).map(inner).sum::<f64>() / grid as f64
    });
    let root = SymmetricEigen::of(&mass, "mass").unwrap().map(|m| m.powf(-0.5));
    let product = |a: &Matrix, b: &Matrix| pushforward::linalg::matmul(a, b);
    let reduced = product(&product(&root, &stiffness), &root);
    let symmetric = Matrix::from_fn(size, size, |i, j| 0.5 * (reduced[(i, j)] + reduced[(j, i)]));
    assert!(Cholesky::factor(&mass, "mass").is_ok());
    SymmetricEigen::of(&symmetric, "stiffness").unwrap().values[0]
}

/// Checks that for the target exp(½ cos 2πx) and s = 1 the spectral solution converges in L² at the smallest eigenvalue of the linearised
/// operator by an independent eigensolve, 0.5538, within 2 %, and not at min p = 0.5703; and KL twice as fast.
#[test]
fn coulomb_rate_is_an_eigenvalue() {
    let rate = slowest_rate();
    assert!((rate - 0.5538).abs() < 1e-4, "{rate}");
    let circle = Circle::new(128, 1.0, |x| (0.5 * (TAU * x).cos()).exp());
    let start = circle.sampled(|x| 1.0 + 0.5 * (TAU * x).sin() + 0.2 * (2.0 * TAU * x).cos());
    let mut rho = circle.run(&start, 0.02, 1300);
    let (mut t, mut l2, mut kl) = (Vec::new(), Vec::new(), Vec::new());
    for k in 0..8 {
        t.push(f64::from(k));
        l2.push(circle.distance(&rho).ln());
        kl.push(circle.kl(&rho).ln());
        rho = circle.run(&rho, 0.02, 50);
    }
    let slope = |y: &[f64]| -fit_line(&t, y).unwrap().slope;
    let (found, twice) = (slope(&l2), slope(&kl));
    let low = circle.least();
    println!("L2 {found}, KL {twice}, eigenvalue {rate}, min p {low}");
    assert!((found / rate - 1.0).abs() < 0.02 && (twice / (2.0 * rate) - 1.0).abs() < 0.02, "{found} {twice} {rate}");
    assert!((found / rate - 1.0).abs() < (found / low - 1.0).abs());
}

/// The slope of log ‖ρ - p‖ against log t over the window, for the start p (1 + h), |h_n| ∝ n^{-a}, n ≤ grid/4, with the phases of a draw and
/// max|h| = 0.2; p is uniform, or ∝ exp(½ cos 2πx) where `bumpy`.
fn slope(grid: usize, (s, a): (f64, f64), bumpy: bool, window: [f64; 2], longest: f64, draw: u64) -> f64 {
    let circle = Circle::new(grid, s, move |x| if bumpy { (0.5 * (TAU * x).cos()).exp() } else { 1.0 });
    let phases: Matrix = normal_matrix(11, Purpose::Check, draw, grid / 4, 1);
    let wave = |n: usize, x: f64| (n as f64).powf(-a) * (TAU * (n as f64 * x + phases[(n - 1, 0)])).cos();
    let raw = circle.sampled(|x| (1..=grid / 4).map(|n| wave(n, x)).sum());
    let largest = raw.iter().fold(0.0f64, |m, h| m.max(h.abs()));
    let mut rho = circle.scaled(&raw, 0.2 / largest);
    let (mut time, mut x, mut y) = (0.0f64, Vec::new(), Vec::new());
    while time < window[1] {
        let h = circle.longest_step(&rho).min(longest);
        rho = circle.run(&rho, h, 1);
        time += h;
        if time >= window[0] {
            x.push(time.ln());
            y.push(circle.distance(&rho).ln());
        }
    }
    // equal weight to equal pieces of log t
    let at = |k: usize| x.iter().position(|l| *l >= x[0] + (x[x.len() - 1] - x[0]) * k as f64 / 20.0).unwrap();
    let picks: Vec<usize> = (0..=20).map(at).collect();
    let pick = |v: &[f64]| picks.iter().map(|&k| v[k]).collect::<Vec<f64>>();
    fit_line(&pick(&x), &pick(&y)).unwrap().slope
}

/// Checks the polynomial rate of s = 1.5, ‖ρ - p‖ ~ t^{-(a - ½)/(2s - 2)}, for a = 1.5 on t in [31, 100], to 10 %, for the uniform target and for
/// exp(½ cos 2πx).
#[test]
fn polynomial_rates() {
    for bumpy in [false, true] {
        let found = slope(512, (1.5, 1.5), bumpy, [31.0, 100.0], 1.0, 0);
        println!("s = 1.5, a = 1.5, bumpy {bumpy}: slope {found}, predicted -1");
        assert!((found + 1.0).abs() < 0.1, "{found}");
    }
}

/// Checks the table of slopes in the windows t in [31, 160] (s = 1.5) and [1e3, 2.5e4] (s = 2), uniform target and exp(½ cos 2πx), beside those that
/// another solver measured for the nonlinear equation with phases of its own: for a ≤ 2 to 10 %. For a = 3 the long waves carry the short ones
/// along, and the phases decide: single draws scatter by some 8 %, so that no draw has another's number to 10 %. There the mean of 12 draws
/// meets the exponent of the linear flow to 10 %, and what was measured lies within 2.5 deviations of the draws.
#[test]
#[ignore = "ten minutes"]
fn table_of_slopes() {
    let (early, late) = (([31.0, 160.0], 1.0), ([1e3, 2.5e4], 8.0));
    for (s, a, (window, longest), measured) in [
        (1.5, 1.5, early, [-1.04, -1.05]),
        (1.5, 2.0, early, [-1.57, -1.55]),
        (1.5, 3.0, early, [-2.37, -2.31]),
        (2.0, 1.5, late, [-0.50, -0.52]),
        (2.0, 2.0, late, [-0.78, -0.83]),
        (2.0, 3.0, late, [-1.39, -1.53]),
    ] {
        let (grid, draws) = if a < 3.0 { (1024, 1) } else { (512, 12) };
        for (bumpy, measured) in [false, true].into_iter().zip(measured) {
            let of = |draw| slope(grid, (s, a), bumpy, window, longest, draw);
            let (found, linear) = ((0..draws).map(of).collect::<Vec<f64>>(), -(a - 0.5) / (2.0 * s - 2.0));
            let (mean, deviation) = (mean(&found), variance(&found).sqrt());
            println!(
                "s = {s}, a = {a}, bumpy {bumpy}: slope {mean:.3}, of {draws} with deviation {deviation:.3}, measured {measured}, linear {linear}"
            );
            if draws == 1 {
                assert!((mean / measured - 1.0).abs() < 0.1, "s = {s}, a = {a}: {mean} {measured}");
            } else {
                assert!((mean / linear - 1.0).abs() < 0.1, "s = {s}, a = {a}: {mean} {linear}");
                assert!((measured - mean).abs() < 2.5 * deviation, "s = {s}, a = {a}: {mean} {deviation} {measured}");
            }
        }
    }
}

/// Checks particles from quantiles of ρ₀ against the spectral density at t = 1, s = 2 in one dimension with the target exp(½ cos 2πx): the
/// first five Fourier coefficients agree with an error that falls like 1/N or faster, N = 50 and 200.
#[test]
fn particles_follow_the_density() {
    let circle = Circle::new(128, 2.0, |x| (0.5 * (TAU * x).cos()).exp());
    let start = circle.sampled(|x| 1.0 + 0.5 * (TAU * x).sin());
    let end = circle.run(&start, 1.0, 40);
    let error = |n: usize| {
        let quantile = |u: f64| {
            let mut x = u;
            // F(x) = x + (0.5/2π)(1 - cos 2πx)
            (0..60).for_each(|_| {
                let gap = x + 0.5 / TAU * (1.0 - (TAU * x).cos()) - u;
                x -= gap / (1.0 + 0.5 * (TAU * x).sin());
            });
            x
        };
        let x = Matrix::from_fn(n, 1, |i, _| quantile((i as f64 + 0.5) / n as f64));
        let x = moved(&x, riesz(bump(), &[1.0], 2.0, 8), &[1.0], "rk4", 1.0, 40);
        let coefficient = |m: f64| {
            let sum = |f: fn(f64) -> f64| x.as_slice().iter().map(|x| f(TAU * m * x)).sum::<f64>() / n as f64;
            [sum(f64::cos), -sum(f64::sin)]
        };
        let gap = |m: u32| {
            let (a, b) = (coefficient(f64::from(m)), circle.coefficient(&end, m as usize));
            (a[0] - b[0]).hypot(a[1] - b[1]) / f64::from(m).powi(2)
        };
        (1..=5).map(gap).fold(0.0, f64::max)
    };
    let (few, many) = (error(50), error(200));
    println!("N = 50: {few:e}, N = 200: {many:e}");
    assert!(many < 0.35 * few && many < 1e-4, "{few:e} {many:e}");
}

/// Checks that a target on R^d, a period that the density does not have, kernels without a bounded gradient and three dimensions are refused
/// in a sentence each.
#[test]
fn refusals() {
    let gaussian: Arc<dyn Density> = Arc::new(GaussianMixture::gaussian(&[0.0], Matrix::from_rows(&[[1.0]])).unwrap());
    let new = |p: &Arc<dyn Density>, domain: Domain, s: f64| Riesz::new(Arc::clone(p), &domain, s, 8).err();
    let words = |e: Option<Error>| e.expect("refused").to_string();
    assert!(words(new(&gaussian, Domain::Euclidean, 1.0)).contains("lives on a torus"));
    assert!(
        words(new(&gaussian, Domain::Torus(vec![1.0]), 1.0))
            .contains("does not repeat itself with period 1 in coordinate 1")
    );
    assert!(words(new(&bump(), Domain::Torus(vec![0.7]), 1.0)).contains("period 0.7"));
    assert!(new(&bump(), Domain::Torus(vec![2.0]), 1.0).is_none());
    assert!(words(new(&bump(), Domain::Torus(vec![1.0]), 0.75)).contains("order = 0.75"));
    let plane = uniform(&[1.0, 1.0]);
    assert!(words(new(&plane, Domain::Torus(vec![1.0, 1.0]), 1.0)).contains("order = 1"));
    assert!(new(&plane, Domain::Torus(vec![1.0, 1.0]), 2.0).is_none());
    let space = uniform(&[1.0; 3]);
    assert!(words(new(&space, Domain::Torus(vec![1.0; 3]), 3.0)).contains("size 3"));
}
