//! Saddle-free Newton against its scalar recursion, step counts, spectra and contraction; functionals against differences.

use pushforward::estimate::{Clock, Reference, Scene};
use pushforward::linalg::{Lanczos, Matrix};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::velocity::{
    Functional, Mmd, Newton, NewtonSettings, Pull, QuarticQuadratic, Solver, TanhFactorisation, VarianceCosine,
    Velocity,
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
        classes: None,
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
        (Arc::new(TanhFactorisation::alternating(4)), normal_matrix(4, Purpose::Check, 3, 6, 8)),
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

/// Checks that a saddle is a saddle in any units: a particle in the middle of two samples 4σ apart is kicked by ½ MMD², whose curvature there is
/// -e^-2 3/σ², for σ from 1e-6 to 1e6, and that one at a minimum, with one sample, stays.
#[test]
fn saddles_in_any_units() {
    for unit in [1e-6, 1.0, 1e6] {
        let after = |samples: Matrix| {
            let v = newton(Mmd { samples, sigma: unit }, 1.0, 1e-2, Solver::Lanczos(6), true);
            step(&v, &Matrix::zeros(1, 1), 0)[(0, 0)]
        };
        let (saddle, minimum) = (after(Matrix::from_rows(&[[-2.0 * unit], [2.0 * unit]])), after(Matrix::zeros(1, 1)));
        assert!(saddle != 0.0 && minimum == 0.0, "sigma = {unit:e}: {saddle:e}, {minimum:e}");
    }
}

/// Steps until a figure is below each level.
fn counts(levels: &[f64], most: usize, mut next: impl FnMut() -> f64) -> Vec<usize> {
    let mut found = Vec::new();
    for step in 1..=most {
        let value = next();
        while found.len() < levels.len() && value < levels[found.len()] {
            found.push(step);
        }
        if found.len() == levels.len() {
            break;
        }
    }
    found
}

/// Checks the quartic-quadratic interaction of 100 antithetic particles by the steps between W2 < 1e-4 and < 1e-8, which start and kick do not enter:
/// gradient descent with h = 0.1 and 0.5 takes 180 and 32, ln 10⁴/-ln(1 - h/2), and saddle-free Newton with (ε, η) = (0.1, 1), (0.01, 1),
/// (1e-4, 1), (0.01, 0.5) takes 5, 2, 2 and 14; within 2 (descent) and 1.
#[test]
fn steps_between_levels() {
    let z: Matrix = normal_matrix(2, Purpose::Check, 0, 50, 1);
    let start = Matrix::from_fn(100, 1, |i, _| if i < 50 { 1e-3 * z[(i, 0)] } else { -1e-3 * z[(i - 50, 0)] });
    let distance = |x: &Matrix| (x.as_slice().iter().map(|x| (x.abs() - 0.5).powi(2)).sum::<f64>() / 100.0).sqrt();
    let between = |next: &dyn Fn(&Matrix, u64) -> Matrix| {
        let (mut x, mut k) = (start.clone(), 0);
        let found = counts(&[0.1, 1e-2, 1e-4, 1e-8], 600, || {
            (x, k) = (next(&x, k), k + 1);
            distance(&x)
        });
        println!("{found:?}");
        found[3] as i64 - found[2] as i64
    };
    for (h, expected) in [(0.1, 180i64), (0.5, 32)] {
        let found = between(&|x, _| {
            let mut y = x.clone();
            y.add_scaled(-h, &QuarticQuadratic.gradient(x));
            y
        });
        assert!((found - expected).abs() <= 2, "h = {h}: {found} {expected}");
    }
    for (epsilon, eta, expected) in [(0.1, 1.0, 5i64), (0.01, 1.0, 2), (1e-4, 1.0, 2), (0.01, 0.5, 14)] {
        let v = newton(QuarticQuadratic, eta, epsilon, Solver::Lanczos(30), true);
        let found = between(&|x, k| step(&v, x, k));
        assert!((found - expected).abs() <= 1, "ε = {epsilon}, η = {eta}: {found} {expected}");
    }
}

/// 64 antithetic particles of 32×2 standard normal entries: A = 0, a saddle of the factorisation.
fn neurons() -> Matrix {
    let z: Matrix = normal_matrix(6, Purpose::Check, 0, 32, 64);
    Matrix::from_fn(64, 64, |i, e| if i < 32 { z[(i, e)] } else { -z[(i - 32, e)] })
}

/// Checks the factorisation at its saddle, F = 0.3125 with no gradient to rounding and the smallest eigenvalue of H near -E(1 - tanh²)² = -0.460 (within
/// 0.05: 64 particles), and from there after a kick of 0.2: steps of gradient descent between F < 0.2, 1e-2, 1e-4, 1e-8, 1e-12 stand as 1/h (h = 0.5
/// and 1, to 3 steps in 10), those of saddle-free Newton are at most 10 in all from F < 0.2 on for ε = 0.01.
#[test]
fn factorisation_by_neurons() {
    let f = TanhFactorisation::alternating(32);
    let start = neurons();
    assert!((f.value(&start) - 0.3125).abs() < 1e-12, "{}", f.value(&start));
    let none = f.gradient(&start).as_slice().iter().fold(0.0f64, |a, v| a.max(v.abs()));
    assert!(none < 1e-15, "{none:e}");
    let kick: Matrix = normal_matrix(7, Purpose::Check, 0, 64, 64);
    let product = |u: &[f64]| f.hessian(&start, &Matrix::from_vec(64, 64, u.to_vec())).into_vec();
    let lowest = Lanczos::new(kick.as_slice(), 40, product).unwrap().values()[0];
    println!("smallest eigenvalue {lowest}");
    assert!((lowest + 0.460).abs() < 0.05, "{lowest}");
    let levels = [0.2, 1e-2, 1e-4, 1e-8, 1e-12];
    let run = |next: &dyn Fn(&Matrix, u64) -> Matrix| {
        let (mut x, mut k) = (start.clone(), 0);
        x.add_scaled(0.2, &kick);
        counts(&levels, 200, || {
            (x, k) = (next(&x, k), k + 1);
            f.value(&x)
        })
    };
    let descent = |h: f64| {
        run(&|x, _| {
            let mut y = x.clone();
            y.add_scaled(-h, &f.gradient(x));
            y
        })
    };
    let (slow, fast) = (descent(0.5), descent(1.0));
    let mut v = newton(TanhFactorisation::alternating(32), 1.0, 1e-2, Solver::Lanczos(40), true);
    // 64 coordinates a particle: the trust radius would be what is counted
    v.settings.trust = 1e3;
    let newtonian = run(&|x, k| step(&v, x, k));
    println!("h = 0.5 {slow:?}, h = 1 {fast:?}, Newton {newtonian:?}");
    assert_eq!([slow.len(), fast.len(), newtonian.len()], [5; 3]);
    let gap = |steps: &[usize]| (steps[4] - steps[0]) as f64;
    assert!((gap(&slow) / gap(&fast) - 2.0).abs() < 0.3, "{slow:?} {fast:?}");
    assert!(gap(&newtonian) <= 10.0, "{newtonian:?}");
}

/// Checks perturbed gradient flow by the controller of arXiv 2610.10218, appendix C, on the factorisation: Runge–Kutta's steps of 0.05, looked at every
/// 0.1; where |v| ≤ 0.01 a jump of 0.2 ξ, ξ_i = N^{-1/2} Σ_j M_ij g_j, and if F has not fallen by 1e-3 in the next 10 units of time the law
/// before the jump is returned: F of the size |v|²/2λ with λ from a quarter to a half, 1e-4 to 2e-4. From N(0, I) it is 1.9e-4; fifteen published runs, from
/// a law that could not be read, have 1.12e-4 to 1.41e-4.
#[test]
fn perturbed_flow_returns_near_the_minimum() {
    let f = TanhFactorisation::alternating(32);
    let mut x = neurons();
    let moved = |x: &Matrix, h: f64, v: &Matrix| {
        let mut y = x.clone();
        y.add_scaled(-h, v);
        y
    };
    let flow = |x: &Matrix, h: f64| {
        let a = f.gradient(x);
        let b = f.gradient(&moved(x, 0.5 * h, &a));
        let c = f.gradient(&moved(x, 0.5 * h, &b));
        let d = f.gradient(&moved(x, h, &c));
        let sum = Matrix::from_fn(64, 64, |i, e| (a[(i, e)] + 2.0 * (b[(i, e)] + c[(i, e)]) + d[(i, e)]) / 6.0);
        moved(x, h, &sum)
    };
    let size = |v: &Matrix| (v.as_slice().iter().map(|v| v * v).sum::<f64>() / 64.0).sqrt();
    let (mut jump, mut jumps, mut ended) = (None::<(Matrix, usize)>, 0u64, false);
    for tick in 0..1000 {
        if let Some((before, at)) = &jump {
            if tick - at >= 100 {
                if f.value(before) - f.value(&x) < 1e-3 {
                    (x, ended) = (before.clone(), true);
                    break;
                }
                jump = None;
            }
        } else if size(&f.gradient(&x)) <= 0.01 {
            let g: Matrix = normal_matrix(8, Purpose::Check, jumps, 64, 64);
            jump = Some((x.clone(), tick));
            // coupling is the mean of M_ij g_j
            x = moved(&x, -0.2 * 8.0, &f.coupling(&x, &g));
            jumps += 1;
        }
        x = flow(&flow(&x, 0.05), 0.05);
    }
    println!("F = {:e} after {jumps} jumps", f.value(&x));
    assert!(ended && jumps >= 2 && (1e-4..2e-4).contains(&f.value(&x)), "{:e} {jumps}", f.value(&x));
}
