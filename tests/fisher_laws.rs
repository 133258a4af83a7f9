//! Fisher training: particles against its Gaussian laws without and with noise (T33), a mixture by a learnt score, and what it refuses.

mod common;

use common::{affine_denoising, of_moments};
use pushforward::Error;
use pushforward::density::{Density, Domain, GaussianMixture, Target};
use pushforward::estimate::{AffineScore, Clock, Exact, Reference, Scene, ScoreNet, ScoreSettings};
use pushforward::linalg::Matrix;
use pushforward::model::{Particles, ParticlesSettings};
use pushforward::num::fit_line;
use pushforward::run::{Method, Run};
use pushforward::velocity::{FisherFlow, FisherSettings, Pull, Velocity};
use std::sync::Arc;

fn gaussian(mean: f64, variance: f64) -> Arc<dyn Density> {
    Arc::new(GaussianMixture::gaussian(&[mean], Matrix::filled(1, 1, variance)).unwrap())
}

/// Mean and variance of particles that start with mean m and variance u exactly, after the time in `steps` steps.
fn moments(target: &Arc<dyn Density>, m: f64, u: f64, time: f64, steps: u64) -> (f64, f64) {
    let start = of_moments(30, (m, u), 5, 0);
    let settings = ParticlesSettings { dt: time / steps as f64, ..Default::default() };
    let particles = Particles::new(start, Domain::Euclidean, settings).unwrap();
    let flow = FisherFlow::new(Arc::clone(target), Box::new(AffineScore), FisherSettings::default());
    let mut run = Run::new(Box::new(particles), Box::new(flow), steps, 1).unwrap();
    run.finish().unwrap();
    let x = run.sample(30, 0, 0);
    (x.column_means()[0], x.column_covariance()[(0, 0)])
}

/// Checks that particles with the affine score follow u² = Q² + (u₀² - Q²)e^{-4t/Q²} and m - b = (m₀ - b)e^{-t/Q²} with an error of order
/// 1.00 ± 0.05 in the step over four halvings, from laws that are too narrow and too wide; and that the law of KL training is told from it.
#[test]
fn particles_follow_the_gaussian_laws() {
    for (q, u0, m0, time) in [(2.0f64, 0.5f64, 1.0f64, 1.0f64), (0.8, 1.4, -0.5, 0.3)] {
        let target = gaussian(0.3, q);
        let decay = (-time / (q * q)).exp();
        let (m, u) = (0.3 + (m0 - 0.3) * decay, (q * q + (u0 * u0 - q * q) * decay.powi(4)).sqrt());
        let (mut steps, mut errors) = (Vec::new(), [Vec::new(), Vec::new()]);
        for k in 0..5u32 {
            let n = 50 * 2u64.pow(k);
            let found = moments(&target, m0, u0, time, n);
            steps.push((time / n as f64).ln());
            errors[0].push((found.0 - m).abs().ln());
            errors[1].push((found.1 - u).abs().ln());
        }
        for (what, errors) in ["mean", "variance"].iter().zip(&errors) {
            let slope = fit_line(&steps, errors).unwrap().slope;
            assert!((slope - 1.0).abs() < 0.05, "Q = {q}, {what}: {slope}, {errors:?}");
        }
        let of_kl = q + (u0 - q) * (-2.0 * time / q).exp();
        assert!((of_kl - u).abs() > 20.0 * errors[1].last().unwrap().exp(), "KL's law: {of_kl} {u}");
    }
}

/// Checks Fisher training at the noise (a, s) = (0.8, 0.6) by the best affine score of denoising (T33 (e)): 20,000 particles on a line against the recursion
/// m' = m - h a² (m - b)/Q_t², u' = u (1 + h a² c)² + (h a s c)², c = 1/u_t² - 1/Q_t², u_t = a² u + s², within 5 standard errors. The recursion tends to
/// u̇ = 2 a² u c with order 1.00 ± 0.05 over four halvings. Told from it, by 20 standard errors: the law (b) without noise, the law (b) of the noised
/// variance u_t, and the field without its factor a.
#[test]
fn noised_moments_are_a_recursion() {
    let (a, s, b, q, h, n, steps) = (0.8f64, 0.6f64, 0.5, 2.0, 0.02, 20_000, 50u64);
    let noised = |u: f64| a * a * u + s * s;
    let c = |u: f64| noised(u).powi(-2) - noised(q).powi(-2);
    for start in [0.3, 5.0] {
        let x = of_moments(n, (-1.0, start), 4, 3);
        let settings = ScoreSettings { levels: 1, ..affine_denoising(s / a) };
        let flow = FisherFlow::new(gaussian(b, q), Box::new(ScoreNet::<f64>::new(settings)), FisherSettings::default());
        let own = ParticlesSettings { dt: h, ..Default::default() };
        let particles = Particles::new(x, Domain::Euclidean, own).unwrap();
        let mut run = Run::new(Box::new(particles), Box::new(flow), steps, 1).unwrap();
        run.finish().unwrap();
        let x = run.sample(n, 0, 0);
        let (mut m, mut u, mut variance) = (-1.0, start, [0.0; 2]);
        for _ in 0..steps {
            // of the sample's mean of the noise, and of its covariance with x, after this step and what is left of them at its end
            variance[0] =
                (1.0 - h * a * a / noised(q).powi(2)).powi(2) * variance[0] + (h * a * s * c(u)).powi(2) / n as f64;
            let keeps = 1.0 + 2.0 * h * a * a * (c(u) - 2.0 * a * a * u / noised(u).powi(3));
            variance[1] = keeps * keeps * variance[1] + (2.0 * h * a * s * c(u)).powi(2) * u / n as f64;
            m -= h * a * a * (m - b) / noised(q).powi(2);
            u = u * (1.0 + h * a * a * c(u)).powi(2) + (h * a * s * c(u)).powi(2);
        }
        let found = (x.column_means()[0], x.column_covariance()[(0, 0)]);
        let (of_mean, of_variance) = ((found.0 - m) / variance[0].sqrt(), (found.1 - u) / variance[1].sqrt());
        println!("from {start}: {found:?}, recursion {m} {u}, {of_mean:.2} and {of_variance:.2} standard errors");
        assert!(of_mean.abs() < 5.0 && of_variance.abs() < 5.0, "{start}: {found:?} {m} {u}: {of_mean} {of_variance}");
        let time = h * steps as f64;
        let law = |q: f64, u: f64, rate: f64| (q * q + (u * u - q * q) * (-4.0 * rate * time / (q * q)).exp()).sqrt();
        let of_noised = (law(noised(q), noised(start), 1.0) - s * s) / (a * a);
        let flow = |steps: usize, factor: f64| {
            let h = time / steps as f64;
            let slope = |u: f64| 2.0 * factor * u * c(u);
            (0..steps).fold(start, |u, _| {
                let k = slope(u + 0.5 * h * slope(u));
                u + h * k
            })
        };
        for (what, other) in
            [("without noise", law(q, start, 1.0)), ("of u_t", of_noised), ("without a", flow(4000, a))]
        {
            assert!((found.1 - other).abs() > 20.0 * variance[1].sqrt(), "{start}, {what}: {} {other}", found.1);
        }
        let (mut widths, mut errors) = (Vec::new(), Vec::new());
        for k in 0..5 {
            let steps = 100 << k;
            let h = time / steps as f64;
            let end = (0..steps).fold(start, |u, _| u * (1.0 + h * a * a * c(u)).powi(2) + (h * a * s * c(u)).powi(2));
            widths.push(h.ln());
            errors.push((end - flow(20_000, a * a)).abs().ln());
        }
        let order = fit_line(&widths, &errors).unwrap().slope;
        assert!((order - 1.0).abs() < 0.05, "{start}: {order}");
    }
}

/// Checks the velocity with exact scores on mixtures of one dimension against differences of H by hand, H = s²/2 + s', at 40 points: the error is of
/// the square of the reach, 4 for a half.
#[test]
fn differences_are_of_second_order() {
    let mixture = |w: f64, m: f64, v: f64| {
        GaussianMixture::new(&[w, 1.0 - w], Matrix::from_rows(&[[-m], [m]]), vec![Matrix::filled(1, 1, v); 2]).unwrap()
    };
    let (p, q) = (mixture(0.3, 1.0, 0.8), mixture(0.6, 0.8, 1.1));
    let x = q.sample(40, 3).unwrap();
    let exact = |i: usize| {
        let h = |m: &GaussianMixture, x: f64| {
            let s = |x: f64| pushforward::density::evaluate(m, &Matrix::filled(1, 1, x)).unwrap().score[(0, 0)];
            0.5 * s(x).powi(2) + (s(x + 1e-4) - s(x - 1e-4)) / 2e-4
        };
        let slope = |m: &GaussianMixture| (h(m, x[(i, 0)] + 1e-2) - h(m, x[(i, 0)] - 1e-2)) / 2e-2;
        slope(&q) - slope(&p)
    };
    let error = |reach: f64| {
        let settings = FisherSettings { reach, ..Default::default() };
        let flow = FisherFlow::new(Arc::new(p.clone()), Box::new(Exact), settings);
        let clock = Clock { step: 0, steps: 1 };
        let scene = Scene {
            x: &x,
            reference: Reference::Own,
            classes: None,
            at_x: None,
            law: Some(&q),
            dt: 0.0,
            clock,
            seed: 1,
        };
        let Pull::Points(field) = flow.evaluate(&scene).unwrap() else { panic!("another pull") };
        (0..40).map(|i| (field.velocity[(i, 0)] - exact(i)).powi(2)).sum::<f64>().sqrt()
    };
    let ratio = error(0.2) / error(0.1);
    assert!((ratio / 4.0 - 1.0).abs() < 0.1, "{ratio}");
}

/// Checks that an estimator that adds noise is refused by name with a remedy, and that a learnt score is followed.
#[test]
fn noise_is_refused() {
    let target = Target::of(gaussian(0.0, 1.0));
    let run = |estimator: &str| {
        let method = Method::of("particles", "fisher", estimator, &target).unwrap();
        let mut run = method.with("particles", 64).unwrap().with("steps", 2).unwrap().start(&target, None).unwrap();
        run.step()
    };
    let refused = run("kde").unwrap_err();
    assert!(matches!(refused, Error::Mismatch { .. }) && refused.to_string().contains("'kde'"), "{refused}");
    assert!(run("score").unwrap().figure("fisher").is_some());
}
