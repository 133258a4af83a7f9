//! Saddle-free Newton against its scalar recursion, step counts, spectra and contraction; functionals against differences.

use pushforward::estimate::{Clock, Reference, Scene};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::velocity::{
    Functional, Mmd, Newton, NewtonSettings, Pull, QuarticQuadratic, Solver, VarianceCosine, Velocity,
};
use std::f64::consts::PI;
use std::sync::Arc;

fn newton(functional: impl Functional + 'static, eta: f64, epsilon: f64, solver: Solver, guarded: bool) -> Newton {
    let settings = NewtonSettings { eta, epsilon, ..Default::default() };
    Newton { functional: Arc::new(functional), settings, solver, guarded }
}

/// The particles after a step.
fn step(v: &Newton, x: &Matrix, step: u64) -> Matrix {
    let scene = Scene {
        x,
        reference: Reference::Own,
        at_x: None,
        law: None,
        dt: 0.0,
        clock: Clock { step, steps: 1000 },
        seed: 1,
    };
    match v.evaluate(&scene).unwrap() {
        Pull::Displacement { by, .. } => {
            let mut y = x.clone();
            y.add_scaled(1.0, &by);
            y
        }
        other => panic!("{:?}", other.kind()),
    }
}

/// 64 particles of mean m₀ and standard deviation near 1.
fn cloud(m: f64) -> Matrix {
    let x: Matrix = normal_matrix(9, Purpose::Check, 0, 64, 1);
    let mean = x.column_means()[0];
    x.map(|x| x - mean + m)
}

/// Checks the recursion of F = ½ Var + cos πm: m ← m + ηβπ sin(πm)/√(β²π⁴cos²(πm) + ε), deviations times 1 - η/√(1 + ε), over 30 steps of
/// N = 64 particles with η = ½ and ε = 0.01 from m₀ = 1e-3, by all eigenvectors and by Lanczos, to 1e-10; with the values
/// m_10 = 0.0578244, m_20 = 1.0087319, m_30 = 1.0000085.
#[test]
fn scalar_recursion() {
    for solver in [Solver::Dense, Solver::Lanczos(10)] {
        let v = newton(VarianceCosine { a: 1.0, beta: 1.0 }, 0.5, 1e-2, solver, false);
        let start = cloud(1e-3);
        let (mut x, mut m, mut spread) = (start.clone(), 1e-3f64, 1.0);
        for k in 1..=30 {
            x = step(&v, &x, k);
            m += 0.5 * PI * (PI * m).sin() / (PI.powi(4) * (PI * m).cos().powi(2) + 1e-2).sqrt();
            spread *= 1.0 - 0.5 / 1.01f64.sqrt();
            let gap = (0..64).map(|i| (x[(i, 0)] - m - spread * (start[(i, 0)] - 1e-3)).abs()).fold(0.0, f64::max);
            assert!(gap < 1e-10, "{solver:?}, step {k}: {gap:e}");
            for (at, value) in [(10, 0.0578244), (20, 1.0087319), (30, 1.0000085)] {
                assert!(k != at || (m - value).abs() < 1e-7, "m_{k} = {m}");
            }
        }
    }
}

/// Checks that a saddle of depth β is left in 25 steps whatever β is (η = ½, ε = δ²/100 with δ = βπ², m₀ = 1e-3, to |m - 1| < 0.1), for β = 1, 0.1,
/// 0.01, 0.001, where gradient descent with h = 0.1 takes 11, 87, 844 and 8,411.
#[test]
fn saddles_are_left_at_a_rate_of_their_own() {
    for (beta, expected) in [(1.0, 11), (0.1, 87), (0.01, 844), (0.001, 8411)] {
        let functional = VarianceCosine { a: 1.0, beta };
        let delta = beta * PI * PI;
        let v = newton(functional, 0.5, delta * delta / 100.0, Solver::Lanczos(6), false);
        let count = |next: &dyn Fn(&Matrix, u64) -> Matrix| {
            let (mut x, mut steps) = (cloud(1e-3), 0);
            while (x.column_means()[0] - 1.0).abs() >= 0.1 && steps < 20_000 {
                steps += 1;
                x = next(&x, steps);
            }
            steps
        };
        let found = count(&|x, k| step(&v, x, k));
        let descent = count(&|x, _| {
            let mut y = x.clone();
            y.add_scaled(-0.1, &functional.gradient(x));
            y
        });
        println!("β = {beta}: {found} steps, gradient descent {descent}");
        assert!(found == 25 && descent == expected, "β = {beta}: {found}, {descent}");
    }
}

/// Checks that dense eigenvectors, Lanczos and shifted solves agree on the preconditioned gradient of three functionals to 1e-8, and both readings
/// of the preconditioner between the first two.
#[test]
fn solvers_agree() {
    let line = cloud(0.3).slice_rows(0..20);
    let plane: Matrix = normal_matrix(3, Purpose::Check, 1, 12, 2);
    let samples: Matrix = normal_matrix(3, Purpose::Check, 2, 30, 2);
    let cases: Vec<(Arc<dyn Functional>, Matrix)> = vec![
        (Arc::new(VarianceCosine { a: 1.0, beta: 0.4 }), line.clone()),
        (Arc::new(QuarticQuadratic), line),
        (Arc::new(Mmd { samples, sigma: 1.0 }), plane),
    ];
    for (functional, x) in cases {
        for regularised in ["root", "shifted"] {
            let moved = |solver| {
                let settings = NewtonSettings { epsilon: 0.05, regularised: regularised.into(), ..Default::default() };
                step(&Newton { functional: Arc::clone(&functional), settings, solver, guarded: false }, &x, 0)
            };
            let dense = moved(Solver::Dense);
            let mut others = vec![Solver::Lanczos(60)];
            if regularised == "root" {
                others.push(Solver::Shifted(60));
            }
            for solver in others {
                let other = moved(solver);
                let pairs = dense.as_slice().iter().zip(other.as_slice());
                let gap = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(gap < 1e-8, "{}, {solver:?}: {gap:e}", functional.name());
            }
        }
    }
}

/// Checks gradients and Hessian actions of all functionals by differences of F: (F(x + hu) - F(x - hu))/2h = ⟨v, u⟩ and the second
/// difference = ⟨u, Hu⟩, with order 2 in h to 0.2; and that H is symmetric to rounding.
#[test]
fn functionals_by_differences() {
    let plane: Matrix = normal_matrix(4, Purpose::Check, 1, 9, 2);
    let samples: Matrix = normal_matrix(4, Purpose::Check, 2, 11, 2);
    let line = cloud(0.3).slice_rows(0..9);
    let cases: Vec<(Arc<dyn Functional>, Matrix)> = vec![
        (Arc::new(VarianceCosine { a: 0.7, beta: 0.4 }), line.clone()),
        (Arc::new(QuarticQuadratic), line),
        (Arc::new(Mmd { samples, sigma: 0.9 }), plane),
    ];
    for (f, x) in cases {
        let direction = |unit| normal_matrix::<f64>(5, Purpose::Check, unit, x.rows(), x.cols());
        let (u, w) = (direction(0), direction(1));
        let inner = |a: &Matrix, b: &Matrix| {
            a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f64>() / x.rows() as f64
        };
        let at = |h: f64| {
            let mut y = x.clone();
            y.add_scaled(h, &u);
            f.value(&y)
        };
        let (slope, curvature) = (inner(&f.gradient(&x), &u), inner(&u, &f.hessian(&x, &u)));
        let errors = |h: f64| {
            [(at(h) - at(-h)) / (2.0 * h) - slope, (at(h) - 2.0 * at(0.0) + at(-h)) / (h * h) - curvature].map(f64::abs)
        };
        let (coarse, fine) = (errors(0.04), errors(0.01));
        for k in 0..2 {
            let order = (coarse[k] / fine[k]).log2() / 2.0;
            // the second difference of a quartic with equal spacing may be exact to rounding
            assert!((order - 2.0).abs() < 0.2 || fine[k] < 1e-10, "{} {k}: order {order}, {:e}", f.name(), fine[k]);
        }
        let (left, right) = (inner(&w, &f.hessian(&x, &u)), inner(&u, &f.hessian(&x, &w)));
        assert!((left - right).abs() < 1e-13 * (1.0 + left.abs()), "{}: {left} {right}", f.name());
    }
}

/// Checks the quartic-quadratic interaction from an antithetic cloud of amplitude 1e-3: with η = 1 the guarded steps reach F = -1/16 to 1e-9, and
/// near the minimum the distances contract by 1 - λ/√(λ² + ε), λ = ½: 0.0194 for ε = 0.01 and 0.1548 for ε = 0.1, to 5 %.
#[test]
fn contraction_near_the_minimum() {
    for (epsilon, expected) in [(0.01f64, 0.0194), (0.1, 0.1548)] {
        assert!((1.0 - 0.5 / (0.25 + epsilon).sqrt() - expected).abs() < 1e-4);
        let z: Matrix = normal_matrix(2, Purpose::Check, 0, 50, 1);
        let mut x = Matrix::from_fn(100, 1, |i, _| if i < 50 { 1e-3 * z[(i, 0)] } else { -1e-3 * z[(i - 50, 0)] });
        let v = newton(QuarticQuadratic, 1.0, epsilon, Solver::Lanczos(30), true);
        let distance = |x: &Matrix| (x.as_slice().iter().map(|x| (x.abs() - 0.5).powi(2)).sum::<f64>() / 100.0).sqrt();
        let mut distances = Vec::new();
        for k in 0..40 {
            x = step(&v, &x, k);
            distances.push(distance(&x));
        }
        let (low, high) = (1e-9, 1e-2);
        let mut ratios = distances.windows(2).filter(|p| p[0] < high && p[1] > low).map(|p| p[1] / p[0]);
        let last = ratios.next_back().unwrap();
        assert!(distances[39] < 1e-9, "no kick at a minimum: {}", distances[39]);
        println!("ε = {epsilon}: ratio {last}, {distances:?}");
        assert!((last / expected - 1.0).abs() < 0.05, "ε = {epsilon}: {last}");
        assert!((QuarticQuadratic.value(&x) + 0.0625).abs() < 1e-9);
    }
}

/// Checks that an exact saddle is left by the kick, where the gradient is nothing, and that η = 1 without guard leaves from the inflection where the
/// guarded step does not.
#[test]
fn kick_and_guard() {
    let v = newton(QuarticQuadratic, 1.0, 1e-2, Solver::Lanczos(30), true);
    let mut x = Matrix::zeros(20, 1);
    (0..60).for_each(|k| x = step(&v, &x, k));
    assert!(QuarticQuadratic.value(&x) < -0.06, "{}", QuarticQuadratic.value(&x));
    let functional = VarianceCosine { a: 1.0, beta: 1.0 };
    let end = |guarded| {
        let v = newton(functional, 1.0, 1e-2, Solver::Lanczos(6), guarded);
        let (mut x, mut farthest) = (cloud(1e-3), 0.0f64);
        for k in 0..40 {
            x = step(&v, &x, k);
            farthest = farthest.max(x.column_means()[0].abs());
        }
        farthest
    };
    let (free, held) = (end(false), end(true));
    println!("farthest mean: {free} without guard, {held} with");
    assert!(free > 1.3 && held < 1.15, "{free} {held}");
}
