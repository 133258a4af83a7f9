//! Generalised Wasserstein gradients against closed forms: translations, finite extinction, chatter, dissipation, the table of PFG.

use pushforward::Error;
use pushforward::density::{Density, Domain, GaussianMixture, Target, evaluate};
use pushforward::linalg::Matrix;
use pushforward::model::{Particles, ParticlesSettings};
use pushforward::num::{GaussLegendre, mean, variance};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::{Method, Run};
use pushforward::velocity::{FunctionalGradient, Velocity, Young};
use std::sync::Arc;

fn gaussian(mean: &[f64], covariance: &[&[f64]]) -> Arc<dyn Density> {
    Arc::new(GaussianMixture::gaussian(mean, Matrix::from_rows(covariance)).unwrap())
}

fn young(p: f64) -> Young {
    Young::new(p, Vec::new()).unwrap()
}

fn moved(start: &Matrix, v: impl Velocity + 'static, stepper: &str, dt: f64, steps: u64) -> Matrix {
    let settings = ParticlesSettings { dt, stepper: stepper.into(), ..Default::default() };
    let particles = Particles::new(start.clone(), Domain::Euclidean, settings).unwrap();
    let mut run = Run::new(Box::new(particles), Box::new(v), steps, 1).unwrap();
    run.finish().unwrap();
    run.sample(start.rows(), 0, 0)
}

/// Eleven particles of mean exactly m₀ = (0.7, -1.3), to rounding.
fn start() -> Matrix {
    let mut x: Matrix = normal_matrix(6, Purpose::Check, 0, 11, 2);
    let m = x.column_means();
    x.as_mut_slice().iter_mut().enumerate().for_each(|(at, x)| *x += [0.7, -1.3][at % 2] - m[at % 2]);
    x
}

/// |m(t)| of the translation law |m|' = -|m|^{q-1}.
fn law(m: f64, q: f64, t: f64) -> f64 {
    match q {
        2.0 => m * (-t).exp(),
        q => (m.powf(2.0 - q) + (q - 2.0) * t).max(0.0).powf(1.0 / (2.0 - q)),
    }
}

/// Checks the translation laws towards N(0, I) with fields of constants: e^{-t} for q = 2, a power for q = 3, and q = 1.5 up to a hundredth before
/// its extinction at |m₀|^{2-q}/(2 - q), to 1e-8 by Runge–Kutta's steps of 1e-3; each coordinate by itself, the shape of the cloud kept
/// to rounding.
#[test]
fn translations() {
    let target = gaussian(&[0.0, 0.0], &[&[1.0, 0.0], &[0.0, 1.0]]);
    let x = start();
    for (p, q) in [(3.0, 1.5), (2.0, 2.0), (1.5, 3.0)] {
        let extinction = if q < 2.0 { 0.7f64.powf(2.0 - q) / (2.0 - q) - 0.01 } else { 2.0 };
        let steps = (extinction / 1e-3) as u64;
        let end = moved(&x, FunctionalGradient::constants(Arc::clone(&target), young(p)), "rk4", 1e-3, steps);
        let m = end.column_means();
        for (k, m0) in [0.7f64, -1.3].into_iter().enumerate() {
            let expected = law(m0.abs(), q, steps as f64 * 1e-3).copysign(m0);
            assert!((m[k] - expected).abs() < 1e-8, "q = {q}: {} {expected}", m[k]);
        }
        let (before, after) = (x.column_covariance(), end.column_covariance());
        let gap = before.as_slice().iter().zip(after.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(gap < 1e-12, "{gap:e}");
    }
}

fn named(name: &str) -> Young {
    Young::named(name, 2.0, Vec::new()).unwrap()
}

/// Checks the translation laws of the hyperbolic Young functions by Runge–Kutta's steps of 1e-2, to 1e-8: tanh(|m|/2) = tanh(|m₀|/2) e^{-t} for
/// |m|' = -sinh|m|; and for |m|' = -arsinh|m| the time ∫ dm/arsinh m between start and end, by quadrature.
#[test]
fn hyperbolic_translations() {
    let target = gaussian(&[0.0, 0.0], &[&[1.0, 0.0], &[0.0, 1.0]]);
    let m = |name| {
        moved(&start(), FunctionalGradient::constants(Arc::clone(&target), named(name)), "rk4", 1e-2, 150)
            .column_means()
    };
    let (cosh, asinh) = (m("cosh"), m("asinh"));
    let line = GaussLegendre::new(20);
    for (k, m0) in [0.7f64, -1.3].into_iter().enumerate() {
        let expected = 2.0 * ((0.5 * m0).tanh() * (-1.5f64).exp()).atanh();
        assert!((cosh[k] - expected).abs() < 1e-8, "{} {expected}", cosh[k]);
        let time = line.integrate(asinh[k].abs(), m0.abs(), 20, |m| 1.0 / m.asinh());
        assert!((time - 1.5).abs() < 1e-7, "{time}");
    }
}

/// Checks that g', (g*)' and g belong together for all three Young functions, with m = 1 and 2.5: (g*)' inverts g' to 1e-14 of its size, and g' is the
/// slope of g by central differences (step 1e-5, error 1e-9 of its size).
#[test]
fn young_functions_belong_together() {
    for name in ["power", "cosh", "asinh"] {
        for scale in [1.0, 2.5] {
            let young = Young::named(name, 3.0, vec![scale]).unwrap();
            for f in [-4.0, -0.3, 1e-3, 0.8, 6.0] {
                let s = young.gradient(f, 0);
                assert!((young.velocity(s, 0) / f - 1.0).abs() < 1e-14 * 20.0, "{name}: {f}");
                let slope = (young.cost(f + 1e-5, 0) - young.cost(f - 1e-5, 0)) / 2e-5;
                assert!((slope - s).abs() < 1e-8 * (1.0 + s.abs()), "{name}, m = {scale}: {slope} {s}");
            }
        }
    }
}

/// Checks that Euler's steps with q = 1.5 end in an orbit of period 2 and amplitude (h/2)^{1/(2-q)}, 0.0025 for h = 0.1, which attracts
/// faster than linearly: to 1e-12; and that the implicit step m₊ + h sign(m₊)|m₊|^{q-1} = m, solved by bisection, falls to nothing.
#[test]
fn chatter() {
    let target = gaussian(&[0.0, 0.0], &[&[1.0, 0.0], &[0.0, 1.0]]);
    for h in [0.1f64, 0.02] {
        let at = |steps| {
            let v = FunctionalGradient::constants(Arc::clone(&target), young(3.0));
            moved(&start(), v, "euler", h, steps).column_means()
        };
        let (one, next) = (at(400), at(401));
        for k in 0..2 {
            let amplitude = (h / 2.0).powf(2.0);
            assert!((one[k].abs() - amplitude).abs() < 1e-12 && (one[k] + next[k]).abs() < 1e-12, "{one:?} {next:?}");
        }
        let mut m = 1.3f64;
        for _ in 0..400 {
            let (mut low, mut high) = (0.0, m);
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                if middle + h * middle.sqrt() > m { high = middle } else { low = middle }
            }
            m = low;
        }
        assert!(m < 1e-12, "{m:e}");
    }
}

/// Checks d/dt KL(q‖p) = -E s V(s), s = (log p/q)', which is -E|s|^q for powers, by quadrature (Gauss–Legendre, central differences of step 1e-6 in t, as the slopes of V reach 100) for two mixtures and
/// q = 1.5, 2, 3 and the hyperbolic Young functions, to 1e-6 relative; the start N(0, 1) where s changes its sign only for q ≥ 2, whose fields are smooth there.
#[test]
fn dissipation() {
    let line = GaussLegendre::new(60);
    for (means, b, exponents) in [([-2.0, 2.0], -4.0, vec![1.5, 2.0, 3.0]), ([-1.0, 1.5], 0.0, vec![2.0, 3.0])] {
        let log_p = |x: f64| {
            let one = |w: f64, m: f64| w * (-0.5 * (x - m) * (x - m)).exp();
            (one(0.25, means[0]) + one(0.75, means[1])).ln()
        };
        let score = |x: f64| {
            let one = |w: f64, m: f64| w * (-0.5 * (x - m) * (x - m)).exp();
            let (a, c) = (one(0.25, means[0]), one(0.75, means[1]));
            (a * (means[0] - x) + c * (means[1] - x)) / (a + c) + (x - b)
        };
        let q_of = |x: f64| (-0.5 * (x - b) * (x - b)).exp() / std::f64::consts::TAU.sqrt();
        let powers = exponents.into_iter().map(|q: f64| young(q / (q - 1.0)));
        for young in powers.chain([named("cosh"), named("asinh")]) {
            let v = |x: f64| young.velocity(score(x), 0);
            let kl = |t: f64| {
                let slope = |x: f64| (v(x + 1e-4) - v(x - 1e-4)) / 2e-4;
                line.integrate(b - 9.0, b + 9.0, 200, |x| q_of(x) * (-(t * slope(x)).ln_1p() - log_p(x + t * v(x))))
            };
            let rate = (kl(1e-6) - kl(-1e-6)) / 2e-6;
            let expected = line.integrate(b - 9.0, b + 9.0, 200, |x| q_of(x) * score(x) * v(x));
            assert!((rate / expected + 1.0).abs() < 1e-6, "{young:?}: {rate} {expected}");
            if let Some(q) = young.q() {
                let power = line.integrate(b - 9.0, b + 9.0, 200, |x| q_of(x) * score(x).abs().powf(q));
                assert!((power / expected - 1.0).abs() < 1e-12, "q = {q}: {power} {expected}");
            }
        }
    }
}

/// Checks KL(q‖p) on N((20, 20), diag(100, 1)) from exactly N(0, I) by Euler's steps of 1e-3 with affine fields: the columns of the
/// plain gradient and of that preconditioned by m = (100, 1) at t = 0.1, 1, 2, 4, 10, to four digits.
#[test]
fn table_of_the_ill_conditioned_gaussian() {
    let target = gaussian(&[20.0, 20.0], &[&[100.0, 0.0], &[0.0, 1.0]]);
    let kl = |x: &Matrix| {
        let (m, c) = (x.column_means(), x.column_covariance());
        let each = |j: usize, q: f64| c[(j, j)] / q - 1.0 + (m[j] - 20.0).powi(2) / q + q.ln();
        0.5 * (each(0, 100.0) + each(1, 1.0) - (c[(0, 0)] * c[(1, 1)] - c[(0, 1)].powi(2)).ln())
    };
    let plain = [167.444, 30.275, 6.6115, 2.6821, 2.0640];
    let preconditioned = [165.791, 27.315, 3.6924, 0.06749, 4.122e-7];
    for (scale, column) in [(Vec::new(), plain), (vec![100.0, 1.0], preconditioned)] {
        let mut x = Matrix::from_rows(&[[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]);
        let mut time = 0;
        for (until, expected) in [100u64, 1000, 2000, 4000, 10_000].into_iter().zip(column) {
            let v = FunctionalGradient::affine(Arc::clone(&target), Young::new(2.0, scale.clone()).unwrap());
            x = moved(&x, v, "euler", 1e-3, until - time);
            time = until;
            let found = kl(&x);
            println!("t = {}: {found}", until as f64 * 1e-3);
            assert!((found / expected - 1.0).abs() < 2e-4, "t = {}: {found} {expected}", until as f64 * 1e-3);
        }
    }
}

/// Checks that the affine field is the maximiser for p = 1.5 and 3 and the hyperbolic Young functions: the optimality conditions E[s_k x̃] + e_k = E[∇g(f_k) x̃], x̃ = (x, 1), hold
/// on 40 particles to 1e-6 of their size.
#[test]
fn affine_fields_are_optimal() {
    let target = gaussian(&[1.0, 0.0], &[&[2.0, 0.5], &[0.5, 1.0]]);
    let x: Matrix = normal_matrix(2, Purpose::Check, 3, 40, 2);
    let score = evaluate(&*target, &x).unwrap().score;
    for young in [young(1.5), young(3.0), named("cosh"), named("asinh")] {
        let end = moved(&x, FunctionalGradient::affine(Arc::clone(&target), young.clone()), "euler", 1.0, 1);
        let f = Matrix::from_fn(40, 2, |i, k| end[(i, k)] - x[(i, k)]);
        for k in 0..2 {
            for j in 0..3 {
                let feature = |i: usize| if j < 2 { x[(i, j)] } else { 1.0 };
                let left =
                    (0..40).map(|i| score[(i, k)] * feature(i)).sum::<f64>() / 40.0 + f64::from(u8::from(j == k));
                let right = (0..40).map(|i| young.gradient(f[(i, k)], k) * feature(i)).sum::<f64>() / 40.0;
                assert!((left - right).abs() < 1e-6 * (1.0 + left.abs()), "{young:?}, {k}, {j}: {left} {right}");
            }
        }
    }
}

/// Checks that the trained field carries 400 particles from N(2, 0.5²) to N(0, 1): mean within 0.2 and standard deviation within 0.2 of 1 at t = 6,
/// with p = 2 and along arsinh of the gradient, which is no longer than the gradient itself.
#[test]
fn trained_field() {
    let target = Target::of(gaussian(&[0.0], &[&[1.0]]));
    let z: Matrix = normal_matrix(3, Purpose::Check, 0, 400, 1);
    let method = Method::of("particles", "functional", "kde", &target).unwrap();
    let method = method.with("steps", 120).unwrap().with("dt", 0.05).unwrap().with("learning_rate", 5e-3).unwrap();
    for young in ["power", "asinh"] {
        let method = method.clone().with("young", young).unwrap();
        let mut run = method.start(&target, Some(z.map(|z| 2.0 + 0.5 * z))).unwrap();
        run.finish().unwrap();
        let x = run.sample(400, 0, 0);
        let (m, s) = (mean(x.as_slice()), variance(x.as_slice()).sqrt());
        println!("{young}: mean {m}, standard deviation {s}");
        assert!(m.abs() < 0.2 && (s - 1.0).abs() < 0.2, "{young}: {m} {s}");
    }
}

/// Checks the divergence by random directions, which more than four dimensions take: 400 particles from N(0, ½² I) in ten of them towards N(0, I) are
/// wider at t = 3, their mean deviation within 0.2 of 1, where the score alone would shrink them to ½ e^{-3}.
#[test]
fn trained_field_by_random_directions() {
    let unit = Matrix::from_fn(10, 10, |i, j| f64::from(u8::from(i == j)));
    let target = Target::of(Arc::new(GaussianMixture::gaussian(&[0.0; 10], unit).unwrap()));
    let z: Matrix = normal_matrix(3, Purpose::Check, 1, 400, 10);
    let method = Method::of("particles", "functional", "kde", &target).unwrap();
    let method = method.with("steps", 60).unwrap().with("dt", 0.05).unwrap().with("learning_rate", 5e-3).unwrap();
    let mut run = method.start(&target, Some(z.map(|z| 0.5 * z))).unwrap();
    run.finish().unwrap();
    let c = run.sample(400, 0, 0).column_covariance();
    let deviation = (0..10).map(|k| c[(k, k)].sqrt()).sum::<f64>() / 10.0;
    println!("mean deviation {deviation}");
    assert!((deviation - 1.0).abs() < 0.2, "{deviation}");
}

/// Checks that an adapted exponent moves q along d/dq (1/q) E|s|_q^q with s fixed: with constants s is -m, so q' = q + r Σ_k (|m_k|^q log|m_k|/q
/// - |m_k|^q/q²), to 1e-12.
#[test]
fn adapted_exponent() {
    let target = Target::of(gaussian(&[0.0, 0.0], &[&[1.0, 0.0], &[0.0, 1.0]]));
    let method = Method::of("particles", "functional", "kde", &target).unwrap();
    let method = method.with("steps", 1).unwrap().with("field", "constants").unwrap().with("p", 3.0).unwrap();
    let mut run = method.with("adapt", 0.05).unwrap().start(&target, Some(start())).unwrap();
    let report = run.step().unwrap();
    let q = 1.5f64;
    let slope: f64 = [0.7f64, 1.3].iter().map(|m| m.powf(q) * m.ln() / q - m.powf(q) / (q * q)).sum();
    let next = q + 0.05 * slope;
    let found = report.figure("exponent").unwrap();
    assert!((found - next / (next - 1.0)).abs() < 1e-12, "{found}");
}

/// Checks that p ≤ 1, a list of another size and a divergence that a fitted field cannot follow are refused in a sentence each.
#[test]
fn refusals() {
    assert!(matches!(Young::new(1.0, Vec::new()), Err(Error::Parameter { .. })));
    let target = Target::of(gaussian(&[0.0, 0.0], &[&[1.0, 0.0], &[0.0, 1.0]]));
    let method = || Method::of("particles", "functional", "kde", &target).unwrap();
    let words = |m: Method| m.start(&target, None).err().unwrap().to_string();
    assert!(words(method().with("p", 1.0).unwrap()).contains("p = 1 is out of range: expected a number above 1"));
    assert!(
        words(method().with("precondition", vec![1.0, 2.0, 3.0]).unwrap())
            .contains("precondition has size 3, expected 2")
    );
    let cosh = || method().with("young", "cosh").unwrap();
    assert!(words(cosh().with("adapt", 0.1).unwrap()).contains("adapt = 0.1"));
    assert!(matches!(Young::named("sinh", 2.0, Vec::new()), Err(Error::UnknownName { .. })));
    assert!(words(method().with("divergence", "hellinger").unwrap()).contains("divergence = hellinger"));
}
