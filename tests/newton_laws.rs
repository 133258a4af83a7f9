//! Saddle-free Newton against its scalar recursion, step counts, spectra and contraction; functionals against differences.

mod level_counts;

use level_counts::counts;
use pushforward::density::{GaussianMixture, evaluate};
use pushforward::estimate::{Clock, Reference, Scene};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::velocity::{
    Functional, Ksd, Mmd, Newton, NewtonSettings, Pull, QuarticQuadratic, SecondOrder, Solver, TanhFactorisation,
    VarianceCosine, Velocity, check_functional,
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

/// Every functional with a cloud.
fn cases() -> Vec<(Arc<dyn Functional>, Matrix)> {
    let plane = |unit, n| normal_matrix::<f64>(4, Purpose::Check, unit, n, 2);
    let line = cloud(0.3).slice_rows(0..9);
    let covariances = [[[1.0, 0.3], [0.3, 0.5]], [[0.7, -0.2], [-0.2, 1.5]], [[0.4, 0.0], [0.0, 0.4]]];
    let means = Matrix::from_rows(&[[1.0, 0.0], [-1.0, 0.5], [0.2, -1.5]]);
    let mixture = GaussianMixture::new(&[0.5, 0.3, 0.2], means, covariances.map(|c| Matrix::from_rows(&c)).into());
    vec![
        (Arc::new(VarianceCosine { a: 0.7, beta: 0.4 }), line.clone()),
        (Arc::new(QuarticQuadratic), line),
        (Arc::new(Mmd::gaussian(plane(2, 11), 0.9)), plane(1, 9)),
        (Arc::new(Mmd::energy(plane(2, 11))), plane(1, 9)),
        (Arc::new(Ksd::new(mixture.unwrap(), 0.9)), plane(1, 9)),
        (Arc::new(TanhFactorisation::alternating(4)), normal_matrix(4, Purpose::Check, 3, 6, 8)),
    ]
}

/// Checks that dense eigenvectors, Lanczos and shifted solves agree on the preconditioned gradient of every functional to 1e-8, and both readings
/// of the preconditioner between the first two.
#[test]
fn solvers_agree() {
    for (functional, x) in cases() {
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
    for (f, x) in cases() {
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
        let (coarse, fine) = (errors(0.02), errors(0.005));
        for k in 0..2 {
            let order = (coarse[k] / fine[k]).log2() / 2.0;
            // the second difference of a quartic with equal spacing may be exact to rounding
            assert!((order - 2.0).abs() < 0.2 || fine[k] < 1e-10, "{} {k}: order {order}, {:e}", f.name(), fine[k]);
        }
        let (left, right) = (inner(&w, &f.hessian(&x, &u)), inner(&u, &f.hessian(&x, &w)));
        assert!((left - right).abs() < 1e-13 * (1.0 + left.abs()), "{}: {left} {right}", f.name());
    }
}

/// A functional with a fault.
struct Faulty {
    inner: Arc<dyn Functional>,
    fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The gradient of F_N without its factor N.
    Euclidean,
    /// The Hessian 1e-4 too large.
    Scaled,
    /// The Hessian without what couples particles.
    Uncoupled,
    /// The coupling without its sign.
    Coupling,
}

impl Functional for Faulty {
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    fn value(&self, x: &Matrix) -> f64 {
        self.inner.value(x)
    }
    fn gradient(&self, x: &Matrix) -> Matrix {
        let factor = if self.fault == Fault::Euclidean { 1.0 / x.rows() as f64 } else { 1.0 };
        self.inner.gradient(x).map(|v| factor * v)
    }
    fn hessian(&self, x: &Matrix, u: &Matrix) -> Matrix {
        let mut out = self.inner.hessian(x, u).map(|v| if self.fault == Fault::Scaled { 1.0001 * v } else { v });
        if self.fault == Fault::Uncoupled {
            out.add_scaled(-1.0, &self.inner.coupling(x, u));
        }
        out
    }
    fn coupling(&self, x: &Matrix, u: &Matrix) -> Matrix {
        self.inner.coupling(x, u).map(|v| if self.fault == Fault::Coupling { -v } else { v })
    }
}

/// Checks that the library's own check passes every functional, and refuses each with a gradient in the wrong units, a Hessian that is 1e-4 too
/// large or does not couple particles, and a coupling of the wrong sign: in a sentence with the name, what is wrong and its slope.
#[test]
fn wrong_derivatives_are_refused() {
    for (inner, x) in cases() {
        for (fault, words) in [
            (Fault::None, &[][..]),
            (Fault::Euclidean, &["wrong gradient", "slope of"]),
            (Fault::Scaled, &["wrong Hessian", "slope of"]),
            (Fault::Uncoupled, &["wrong Hessian", "slope of"]),
            (Fault::Coupling, &["wrong coupling"]),
        ] {
            let f = Faulty { inner: Arc::clone(&inner), fault };
            match check_functional(&f, &x, 1) {
                Ok(()) => assert_eq!(fault, Fault::None, "{}", f.name()),
                Err(error) => {
                    let said = error.to_string();
                    println!("{said}");
                    let all = said.contains(f.name()) && words.iter().all(|w| said.contains(w));
                    assert!(fault != Fault::None && all, "{}, {fault:?}: {said}", f.name());
                }
            }
        }
    }
}

/// Checks half the energy distance and half the squared MMD against `metric`'s, to rounding, and ½ KSD² against the double sum of
/// k s·s' + s·∇'k + s'·∇k + tr ∇∇'k with derivatives of k by central differences (step 1e-4, error 1e-7).
#[test]
fn distances_by_other_roads() {
    let (x, y) = (&normal_matrix::<f64>(4, Purpose::Check, 1, 9, 2), normal_matrix::<f64>(4, Purpose::Check, 2, 11, 2));
    let energy = pushforward::metric::energy_distance(x, &y).biased;
    let mmd = pushforward::metric::mmd2(x, &y, 0.9).unwrap().biased;
    assert!((Mmd::energy(y.clone()).value(x) - 0.5 * energy).abs() < 1e-13, "{energy}");
    assert!((Mmd::gaussian(y, 0.9).value(x) - 0.5 * mmd).abs() < 1e-13, "{mmd}");
    let p = GaussianMixture::isotropic(&[0.6, 0.4], Matrix::from_rows(&[[1.0, 0.0], [-1.0, 0.5]]), 0.8).unwrap();
    let score = evaluate(&p, x).unwrap().score;
    let k = |a: [f64; 2], b: [f64; 2]| (-((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)) / 1.62).exp();
    let shifted = |i: usize, e: usize, h: f64| [0, 1].map(|j| x[(i, j)] + if j == e { h } else { 0.0 });
    let (h, mut sum) = (1e-4, 0.0);
    for i in 0..9 {
        for j in 0..9 {
            let at = |e: usize, a: f64, b: f64| k(shifted(i, e, a), shifted(j, e, b));
            for e in 0..2 {
                let (si, sj) = (score[(i, e)], score[(j, e)]);
                let (over_i, over_j) = (at(e, h, 0.0) - at(e, -h, 0.0), at(e, 0.0, h) - at(e, 0.0, -h));
                let mixed = (at(e, h, h) - at(e, h, -h) - at(e, -h, h) + at(e, -h, -h)) / (4.0 * h * h);
                sum += at(e, 0.0, 0.0) * si * sj + (si * over_j + sj * over_i) / (2.0 * h) + mixed;
            }
        }
    }
    let (found, expected) = (Ksd::new(p, 0.9).value(x), 0.5 * sum / 81.0);
    assert!((found - expected).abs() < 1e-6 * expected, "{found} {expected}");
}

/// Checks the second-order certificate of a run: 40 particles in a heap between two far atoms, a saddle of ½ MMD² with λ_min = -1 in closed form,
/// and where 3,000 steps of the gradient flow from there have led: a gradient below 1e-3 and no curvature below -0.01.
#[test]
fn runs_have_a_second_order_certificate() {
    let f = Mmd::gaussian(Matrix::from_vec(2, 1, vec![-1.0, 1.0]), 1.0);
    let start = Matrix::from_fn(40, 1, |i, _| 1e-9 * (i as f64 - 19.5));
    let heap = SecondOrder::of(&f, &start, 40, 1).unwrap();
    assert!((heap.lowest + 1.0).abs() < 1e-6 && heap.gradient_norm < 1e-6, "{heap:?}");
    let mut x = start;
    for _ in 0..3000 {
        let v = f.gradient(&x);
        x.add_scaled(-1.0, &v);
    }
    let end = SecondOrder::of(&f, &x, 40, 1).unwrap();
    println!("{heap:?} {end:?}");
    assert!(end.gradient_norm < 1e-3 && end.lowest > -0.01, "{end:?}");
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
            let v = newton(Mmd::gaussian(samples, unit), 1.0, 1e-2, Solver::Lanczos(6), true);
            step(&v, &Matrix::zeros(1, 1), 0)[(0, 0)]
        };
        let (saddle, minimum) = (after(Matrix::from_rows(&[[-2.0 * unit], [2.0 * unit]])), after(Matrix::zeros(1, 1)));
        assert!(saddle != 0.0 && minimum == 0.0, "sigma = {unit:e}: {saddle:e}, {minimum:e}");
    }
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
