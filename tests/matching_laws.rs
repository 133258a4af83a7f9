//! The drift between two learnt scores, and the start of an equivariant generator: exact on Gaussians, near on particles, with controls.

use pushforward::Error;
use pushforward::density::{NBody, Target, WeightedSamples, by_name};
use pushforward::estimate::{Clock, EstimatorSettings, Levels, Reference, Scene, ScoreSettings};
use pushforward::linalg::{Cholesky, Matrix};
use pushforward::metric::{Bins, histogram_tv};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use pushforward::velocity::{Ingredients, MatchingSettings, Pull, Velocity, VelocitySettings};

const STEPS: u64 = 20;

/// Towards these points, with both scores affine.
fn towards(points: &Matrix, levels: usize) -> Box<dyn Velocity> {
    let score = ScoreSettings {
        objective: "denoising".into(),
        score_layers: Vec::new(),
        levels,
        noise_start: 1.5,
        noise_end: 0.1,
        ..Default::default()
    };
    let target = Target::of_samples(WeightedSamples { points: points.clone(), log_weights: None, labels: None });
    let estimator = Some(score.build(false).unwrap());
    let settings = MatchingSettings { points: 0, ..Default::default() };
    settings.build(Ingredients { target, estimator, particles: None, seed: 1 }).unwrap()
}

fn scene<'a>(x: &'a Matrix, sample: &'a Matrix, step: u64) -> Scene<'a> {
    let clock = Clock { step, steps: STEPS };
    let reference = Reference::Independent(sample);
    Scene { x, reference, classes: None, at_x: None, law: None, dt: 0.0, clock, seed: 5 }
}

fn field(velocity: &mut dyn Velocity, scene: &Scene) -> Matrix {
    velocity.prepare(scene).unwrap();
    let Pull::Points(field) = velocity.evaluate(scene).unwrap() else { panic!("a field") };
    field.velocity
}

/// Points with a mean and correlated coordinates.
fn cloud(unit: u64, shift: f64, stretch: f64) -> Matrix {
    let z: Matrix = normal_matrix(2, Purpose::Check, unit, 400, 3);
    Matrix::from_fn(400, 3, |i, j| shift + stretch * (z[(i, j)] + 0.5 * z[(i, 0)]))
}

/// Checks V between two laws whose learnt scores are those of Gaussians with the moments of the points: h (C_q⁻¹(y - a m_q) - C_p⁻¹(y - a m_p)),
/// C = a² Cov + s² I, at y = a x + s ξ with the noise of the step, to 1e-10; that V is 0 while the target is learnt, and where both samples are
/// the same.
#[test]
fn gaussians_in_closed_form() {
    let (p, q) = (cloud(1, 0.3, 1.0), cloud(2, -0.2, 0.6));
    let x: Matrix = normal_matrix(2, Purpose::Check, 3, 50, 3);
    let mut velocity = towards(&p, 4);
    let mut same = towards(&p, 4);
    for step in 0..8 {
        let at = scene(&x, &q, step);
        let found = field(&mut *velocity, &at);
        let none = field(&mut *same, &scene(&x, &p, step));
        assert!(none.as_slice().iter().all(|v| v.abs() < 1e-10), "step {step}: both laws are the same");
        // a fifth of the steps learns, and a quarter of that waits
        if step < 5 {
            assert!(found.as_slice().iter().all(|v| *v == 0.0), "step {step}");
            continue;
        }
        let levels = Levels::geometric(4, 0.1, 1.5);
        let xi: Matrix = normal_matrix(5, Purpose::Jitter, step, 50, 3);
        for (i, &level) in levels.choose(50, &at).iter().enumerate() {
            let noise = levels.all()[level];
            let score = |points: &Matrix| {
                let (mean, mut c) = (points.column_means(), points.column_covariance());
                c = c.map(|v| noise.a * noise.a * v);
                (0..3).for_each(|k| c[(k, k)] += noise.s * noise.s);
                let inverse = Cholesky::factor(&c, "check").unwrap().inverse();
                let y = |j: usize| noise.a * x[(i, j)] + noise.s * xi[(i, j)] - noise.a * mean[j];
                (0..3).map(|j| -(0..3).map(|k| inverse[(j, k)] * y(k)).sum::<f64>()).collect::<Vec<f64>>()
            };
            let (of_p, of_q) = (score(&p), score(&q));
            for j in 0..3 {
                let expected = noise.s / noise.a * (of_p[j] - of_q[j]);
                assert!((found[(i, j)] - expected).abs() < 1e-10, "step {step}: {} {expected}", found[(i, j)]);
            }
        }
    }
}

/// Checks that a score without noise levels, or an exact one, is refused with the remedy.
#[test]
fn what_has_no_levels_is_refused() {
    let target = Target::of(by_name("gmm9").unwrap());
    for estimator in ["score", "exact"] {
        let mut method = Method::of("generator", "matching", estimator, &target).unwrap();
        if estimator == "score" {
            method.set("levels", 0u64).unwrap();
        }
        let refused = method.with("search_particles", 64u64).unwrap().start(&target, None).err();
        assert!(
            matches!(&refused, Some(Error::Mismatch { what, remedy })
                if what.contains("matching") && what.contains(estimator) && remedy.contains("levels=12")),
            "{refused:?}"
        );
    }
}

/// Checks where an equivariant generator starts, on samples of DW-4 (exact ones, 4,000): after fits of 400 steps by two layers of 24 the total
/// variation of the pair distances to 2,000 other exact samples (among exact ones: 0.06) is less than two thirds of the identity's.
#[test]
fn an_equivariant_generator_starts_near_its_samples() {
    let p = NBody::dw4();
    let distances = |y: &Matrix| p.distances(y).into_vec();
    let exact = distances(&pushforward::density::Density::sample(&p, 2000, 1).unwrap());
    let points = pushforward::density::Density::sample(&p, 4000, 2).unwrap();
    let target = Target::of_samples(WeightedSamples { points, log_weights: None, labels: None });
    let start = |fit: u64| {
        let mut method = Method::of("generator", "matching", "score", &target).unwrap();
        for (key, value) in
            [("fit", fit), ("codes", 0), ("steps", 1), ("batch", 32), ("sample", 64), ("score_steps", 1)]
        {
            method.set(key, value).unwrap();
        }
        method.set("model.equivariant", vec![4usize, 2]).unwrap();
        method.set("estimator.equivariant", vec![4usize, 2]).unwrap();
        method.set("score_layers", vec![8usize]).unwrap();
        let run = method.with("hidden", vec![24usize, 24]).unwrap().start(&target, None).unwrap();
        histogram_tv(&distances(&run.sample(2000, 3, 0)), &exact, Bins::OfReference)
    };
    let (fitted, identity) = (start(400), start(0));
    println!("fitted {fitted:.3}, identity {identity:.3}");
    assert!(fitted < 2.0 / 3.0 * identity, "{fitted} {identity}");
}
