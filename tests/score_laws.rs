//! Learnt scores: exact minimisers of every objective, equivariance, states, refusals, and the flows that follow them.

mod common;

use common::{Course, ill_conditioned, modes, worst};
use pushforward::density::{Affine, Density, GaussianMixture, Target, by_name, evaluate};
use pushforward::estimate::{
    AffineScore, Clock, Estimator, EstimatorSettings, Levels, Reference, Scene, ScoreNet, ScoreSettings, SmoothedTarget,
};
use pushforward::linalg::{Matrix, matmul};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use pushforward::state::{State, Stateful};
use pushforward::velocity::{UniversalDrift, Velocity};
use pushforward::{Error, Result};
use std::sync::Arc;

const OBJECTIVES: [(&str, Option<usize>); 4] =
    [("implicit", Some(0)), ("implicit", Some(1)), ("sliced", Some(1)), ("denoising", None)];

/// A two-dimensional law whose score is far from affine.
fn bimodal() -> GaussianMixture {
    let covariances =
        vec![Matrix::from_rows(&[[0.5, 0.2], [0.2, 0.4]]), Matrix::from_rows(&[[0.3, -0.1], [-0.1, 0.6]])];
    GaussianMixture::new(&[0.4, 0.6], Matrix::from_rows(&[[-1.2, 0.3], [1.0, -0.4]]), covariances).unwrap()
}

fn settings(objective: &str, probes: Option<usize>, form: &str) -> ScoreSettings {
    ScoreSettings {
        objective: objective.into(),
        probes,
        form: form.into(),
        score_layers: vec![32, 32],
        score_batch: 256,
        noise_start: 0.4,
        noise_end: 0.4,
        ..Default::default()
    }
}

fn scene<'a>(x: &'a Matrix, reference: Reference<'a>, step: u64) -> Scene<'a> {
    Scene { x, reference, classes: None, at_x: None, law: None, dt: 0.0, clock: Clock { step, steps: 1000 }, seed: 3 }
}

/// No target: the score of q does not ask for one.
fn nowhere(d: usize) -> SmoothedTarget {
    SmoothedTarget::new(Arc::new(GaussianMixture::standard(d).unwrap()), 2)
}

/// After training on `steps` fresh samples of `q`.
fn trained(q: &GaussianMixture, settings: ScoreSettings, steps: u64) -> ScoreNet<f32> {
    let mut net = ScoreNet::new(settings);
    for step in 0..steps {
        let sample = q.sample(1280, 100 + step).unwrap();
        net.prepare(&scene(&sample, Reference::Independent(&sample), step)).unwrap();
    }
    net
}

/// E_q|s - ∇log q_s|² / E_q|∇log q_s|² at fresh points, q_s the law at the noise that `exact` has.
fn relative_error(net: &dyn Estimator, q: &GaussianMixture, exact: &dyn Density) -> f64 {
    let x = q.sample(2000, 7).unwrap();
    let at = net.noised(&scene(&x, Reference::Independent(&x), 60), &nowhere(2)).unwrap();
    let truth = evaluate(exact, &at.y).unwrap().score;
    let square = |f: &dyn Fn(usize) -> f64| (0..truth.as_slice().len()).map(|k| f(k).powi(2)).sum::<f64>();
    square(&|k| at.q.score.as_slice()[k] - truth.as_slice()[k]) / square(&|k| truth.as_slice()[k])
}

/// Checks that every objective in both forms, with the divergence exact and by random signs, has the score as its minimiser: after 60
/// steps on fresh samples of a bimodal law the relative squared error is below 5 %, where the best affine score leaves more than 20 %;
/// and that denoising learns the score of the noised law and not that of the law itself.
#[test]
fn minimisers_are_the_score() {
    let q = bimodal();
    let noised = q.smoothed(0.4).unwrap();
    let affine = trained(&q, ScoreSettings { score_layers: vec![], ..settings("implicit", None, "potential") }, 1);
    assert!(relative_error(&affine, &q, &q) > 0.2);
    for form in ["potential", "field"] {
        for (objective, probes) in OBJECTIVES {
            let net = trained(&q, settings(objective, probes, form), 60);
            let law: &dyn Density = if objective == "denoising" { &*noised } else { &q };
            let error = relative_error(&net, &q, law);
            println!("{objective} {probes:?} {form}: {error:.4}");
            assert!(error < 0.05, "{objective}, {probes:?}, {form}: {error}");
            if objective == "denoising" {
                let bare = relative_error(&net, &q, &q);
                assert!(bare > 2.0 * error, "{form}: noise does not show: {bare} {error}");
            }
        }
    }
}

/// Checks that a law near q stands in the place of the affine score: where it is q itself, the score after 3 steps is right within 1 %, where the best
/// affine one leaves more than 20 % ([`minimisers_are_the_score`]); from another mixture, whose own score is off by more than 20 %, the network learns
/// the rest in 60 steps, to below 5 %, by implicit matching and by denoising; and a potential integrates to 1 within 3 %.
#[test]
fn a_law_nearby_is_where_it_starts() {
    let q = bimodal();
    let other = GaussianMixture::isotropic(&[0.7, 0.3], Matrix::from_rows(&[[-1.5, 0.0], [0.8, 0.2]]), 0.7).unwrap();
    let after = |near: &GaussianMixture, settings: ScoreSettings, steps: u64| {
        let (mut net, near) = (ScoreNet::<f32>::new(settings), Arc::new(near.clone()) as Arc<dyn Density>);
        for step in 0..steps {
            let sample = q.sample(1280, 100 + step).unwrap();
            net.start_from(&near);
            net.prepare(&scene(&sample, Reference::Independent(&sample), step)).unwrap();
        }
        net
    };
    let at_once = relative_error(&after(&q, settings("implicit", Some(0), "field"), 3), &q, &q);
    assert!(at_once < 0.01, "{at_once}");
    let x = q.sample(2000, 7).unwrap();
    let (s, t) = (evaluate(&other, &x).unwrap().score, evaluate(&q, &x).unwrap().score);
    let square = |f: &dyn Fn(usize) -> f64| (0..4000).map(|k| f(k).powi(2)).sum::<f64>();
    let off = square(&|k| s.as_slice()[k] - t.as_slice()[k]) / square(&|k| t.as_slice()[k]);
    assert!(off > 0.2, "{off}");
    let noised = q.smoothed(0.4).unwrap();
    for (objective, form, law) in [
        ("implicit", "field", &q as &dyn Density),
        ("implicit", "potential", &q as _),
        ("denoising", "field", &*noised),
    ] {
        let net = after(&other, settings(objective, Some(0).filter(|_| objective == "implicit"), form), 60);
        let error = relative_error(&net, &q, law);
        println!("{objective} {form}: {error:.4}");
        assert!(error < 0.05, "{objective}, {form}: {error}");
        if form == "potential" {
            let sample = q.sample(1280, 1).unwrap();
            let (n, h) = (120, 0.1);
            let grid =
                Matrix::from_fn(n * n, 2, |k, j| h * ((if j == 0 { k / n } else { k % n }) as f64 - 0.5 * n as f64));
            let at = net.noised(&scene(&grid, Reference::Independent(&sample), 60), &nowhere(2)).unwrap().q;
            let mass: f64 = at.log_density.iter().map(|l| h * h * l.exp()).sum();
            assert!((mass - 1.0).abs() < 0.03, "{mass}");
        }
    }
}

/// Checks denoising at six noise levels at once, from h = 0.1 to 2: the relative squared error over all of them is below 2 %, where the best affine
/// score leaves more than 5 %, in both forms; a potential's log q is that of the noised law to 0.1 in the mean over the points of each level.
#[test]
fn many_levels_at_once() {
    let q = bimodal();
    let sample = q.sample(4000, 7).unwrap();
    for form in ["field", "potential"] {
        let error = |layers: Vec<usize>, steps: u64| {
            let settings = ScoreSettings {
                levels: 6,
                noise_start: 2.0,
                noise_end: 0.1,
                score_layers: layers,
                ..settings("denoising", None, form)
            };
            let net = trained(&q, settings, steps);
            let at = net.noised(&scene(&sample, Reference::Independent(&sample), 60), &nowhere(2)).unwrap();
            let (mut wrong, mut all, mut gaps) = (0.0, 0.0, vec![(0.0, 0.0); 6]);
            let levels = Levels::geometric(6, 0.1, 2.0);
            for (k, level) in levels.all().iter().enumerate() {
                let rows: Vec<usize> = (0..4000).filter(|i| at.noise[*i] == *level).collect();
                assert!(rows.len() > 500, "{}", rows.len());
                let y = at.y.gather_rows(&rows).map(|y| y / level.a);
                let exact = evaluate(&q.smoothed_mixture(level.s / level.a).unwrap(), &y).unwrap();
                for (r, &i) in rows.iter().enumerate() {
                    for j in 0..2 {
                        let truth = exact.score[(r, j)] / level.a;
                        // in units of the noise, so that no level outweighs the others
                        wrong += (level.s * (at.q.score[(i, j)] - truth)).powi(2);
                        all += (level.s * truth).powi(2);
                    }
                    if let Some(l) = at.q.log_density.get(i) {
                        gaps[k].0 += l - (exact.log_density[r] - 2.0 * level.a.ln());
                        gaps[k].1 += 1.0;
                    }
                }
            }
            (wrong / all, gaps.iter().map(|(sum, n): &(f64, f64)| (sum / n.max(1.0)).abs()).fold(0.0, f64::max))
        };
        let (affine, (net, gap)) = (error(vec![], 1).0, error(vec![32, 32], 100));
        println!("{form}: {net:.4}, affine {affine:.4}, log q {gap:.3}");
        assert!(net < 0.02 && affine > 0.05, "{form}: {net} {affine}");
        assert!(form == "field" || gap < 0.1, "{form}: {gap}");
    }
}

/// Checks that a score goes over to the target's own where q is p: with 4,000 draws of a bimodal law as particles, the eleventh step looks and turns, and the
/// score is that of p to 2 % of its mean square (the affine rest has six numbers, each with a variance of some 1/4,000 of that of its terms), nearer than
/// half of what the affine score and its network leave. Its state has the rest and gives the same bits; without the rest it is refused. Where q is not p,
/// 3 units away from it, it stays as it was, bit for bit.
#[test]
fn near_its_target_it_follows_the_score_of_that() {
    let p = bimodal();
    let target = SmoothedTarget::new(Arc::new(p.clone()), 2);
    let after = |x: &Matrix, towards: bool| {
        let mut net = ScoreNet::<f64>::new(settings("implicit", Some(0), "field"));
        for step in 0..11 {
            match towards {
                true => net.prepare_towards(&scene(x, Reference::Own, step), &target).unwrap(),
                false => net.prepare(&scene(x, Reference::Own, step)).unwrap(),
            }
        }
        net
    };
    let score = |net: &ScoreNet<f64>, x: &Matrix| net.noised(&scene(x, Reference::Own, 10), &target).unwrap().q.score;
    let x = p.sample(4000, 5).unwrap();
    let truth = evaluate(&p, &x).unwrap().score;
    let square = |f: &dyn Fn(usize) -> f64| (0..8000).map(|k| f(k).powi(2)).sum::<f64>();
    let off = |s: &Matrix| square(&|k| s.as_slice()[k] - truth.as_slice()[k]) / square(&|k| truth.as_slice()[k]);
    let turned = after(&x, true);
    let (found, plain) = (score(&turned, &x), off(&score(&after(&x, false), &x)));
    println!("towards its target {:.4}, without {plain:.4}", off(&found));
    assert!(off(&found) < 0.02 && off(&found) < 0.5 * plain, "{} {plain}", off(&found));

    let mut state = State::default();
    turned.save(&mut state);
    assert_eq!(state.counters["towards"], 1);
    let mut again = ScoreNet::<f64>::new(settings("implicit", Some(0), "field"));
    again.restore(&state).unwrap();
    assert_eq!(score(&again, &x).as_slice(), found.as_slice());
    state.tensors.remove("rest");
    assert!(matches!(again.restore(&state), Err(Error::State { .. })));

    let far = x.map(|x| x + 3.0);
    assert_eq!(score(&after(&far, true), &far).as_slice(), score(&after(&far, false), &far).as_slice());
}

/// Checks that a potential gives log q with its constant: it integrates to 1 over a grid within 3 % (the constant has 1,024 draws; two parts
/// in a hundred at these values of φ, and the network's own error), and its differences are the score to 1e-5 of its size (f32 inside).
#[test]
fn a_potential_is_a_log_density() {
    let q = bimodal();
    let net = trained(&q, settings("implicit", Some(0), "potential"), 60);
    let sample = q.sample(1280, 1).unwrap();
    let at = |x: &Matrix| net.noised(&scene(x, Reference::Independent(&sample), 60), &nowhere(2)).unwrap().q;
    let (n, h) = (120, 0.1);
    let grid = Matrix::from_fn(n * n, 2, |k, j| h * ((if j == 0 { k / n } else { k % n }) as f64 - 0.5 * n as f64));
    let mass: f64 = at(&grid).log_density.iter().map(|l| h * h * l.exp()).sum();
    assert!((mass - 1.0).abs() < 0.03, "{mass}");
    let q64 = ScoreNet::<f64>::new(settings("implicit", Some(0), "potential"));
    let mut q64 = q64;
    q64.prepare(&scene(&sample, Reference::Own, 0)).unwrap();
    let law = |x: &Matrix| q64.noised(&scene(x, Reference::Independent(&sample), 0), &nowhere(2)).unwrap().q;
    let x = q.sample(50, 2).unwrap();
    let score = law(&x).score;
    for j in 0..2 {
        let moved = |e: f64| law(&Matrix::from_fn(50, 2, |i, k| x[(i, k)] + if k == j { e } else { 0.0 })).log_density;
        let (up, down) = (moved(1e-5), moved(-1e-5));
        for i in 0..50 {
            let slope = (up[i] - down[i]) / 2e-5;
            assert!((slope - score[(i, j)]).abs() < 1e-7 * (1.0 + slope.abs()), "{slope} {}", score[(i, j)]);
        }
    }
}

/// Checks that without a network the estimator is the affine score of the sample, to 1e-12 in score and log q.
#[test]
fn without_a_network_it_is_affine() {
    let x: Matrix = normal_matrix(4, Purpose::Check, 0, 40, 3);
    let settings = ScoreSettings { score_layers: vec![], ..Default::default() };
    let mut net = ScoreNet::<f64>::new(settings);
    let scene = scene(&x, Reference::Own, 0);
    net.prepare(&scene).unwrap();
    let (a, b) = (net.noised(&scene, &nowhere(3)).unwrap().q, AffineScore.noised(&scene, &nowhere(3)).unwrap().q);
    let gap = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(gap(a.score.as_slice(), b.score.as_slice()) < 1e-12);
    assert!(gap(&a.log_density, &b.log_density) < 1e-12);
}

/// Checks that training commutes with x ↦ Ax + b for a lower triangular A of condition 1,000 with a positive diagonal: whitened points are the same, so the
/// scores of the images are A⁻ᵀ times the scores, to 1e-6 of their size after 5 trained steps in f64 (rounding times the condition,
/// through 50 steps of Adam); a network on points that are not whitened would learn another one.
#[test]
fn condition_does_not_matter() {
    let x = bimodal().sample(400, 5).unwrap();
    let a = Matrix::from_rows(&[[0.02, 0.0], [3.0, 20.0]]);
    let mut image = matmul(&x, &a.transpose());
    image.as_mut_slice().iter_mut().for_each(|v| *v += 5.0);
    for objective in ["implicit", "sliced"] {
        let score = |x: &Matrix| {
            let mut net = ScoreNet::<f64>::new(settings(objective, None, "potential"));
            (0..5).for_each(|step| net.prepare(&scene(x, Reference::Own, step)).unwrap());
            net.noised(&scene(x, Reference::Own, 5), &nowhere(2)).unwrap().q.score
        };
        let (own, there) = (score(&x), matmul(&score(&image), &a));
        let size = own.as_slice().iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let gap = own.as_slice().iter().zip(there.as_slice()).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
        assert!(gap < 1e-6 * size, "{objective}: {gap} of {size}");
    }
}

/// Checks that particles and generators that follow a learnt score, in both forms and for denoising, go on from every state with the same
/// bits on 1, 2 and 3 threads, and that a state from which a part was taken is refused.
#[test]
fn runs_resume_with_the_same_bits() {
    let target = Target::of(by_name("gmm9").unwrap());
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    for (model, form, objective) in [
        ("particles", "field", "implicit"),
        ("particles", "potential", "denoising"),
        ("generator", "potential", "implicit"),
    ] {
        let mut method = Method::of(model, "drift", "score", &target).unwrap().with("steps", 4).unwrap();
        for (key, value) in [("batch", 64), ("sample", 128), ("codes", 8), ("particles", 60), ("search_particles", 256)]
        {
            if method.has(key) {
                method.set(key, value).unwrap();
            }
        }
        method.set("form", form).unwrap();
        method.set("objective", objective).unwrap();
        method.set("score_layers", vec![8]).unwrap();
        method.frame = Some(Affine::new(vec![0.0, 0.0], 4.0).unwrap());
        let mut run = method.start(&target, None).unwrap();
        let mut states = Vec::new();
        while !run.is_finished() {
            states.push(run.state());
            run.step().unwrap();
        }
        for (k, saved) in states.iter().enumerate() {
            let again = pool(1 + k % 3).install(|| {
                let mut again = method.resume(&target, saved).unwrap();
                again.finish().unwrap();
                again.state()
            });
            assert!(again == run.state(), "{model}, {form}, resumed at step {k}");
        }
        let whole = run.state();
        let own = whole.tensors.keys().filter(|name| name.starts_with("velocity.estimator."));
        assert!(own.clone().count() > 8);
        for name in own {
            let mut without = whole.clone();
            without.tensors.remove(name);
            assert!(matches!(method.resume(&target, &without), Err(Error::State { .. })), "{name}");
        }
    }
}

/// Checks that what cannot be is refused in a sentence with its remedy: weights or births that ask for log q of a field, fewer particles than
/// a covariance takes, and noise that rises.
#[test]
fn refusals() {
    let target = Target::of(by_name("gmm9").unwrap());
    let method = || Method::of("particles", "drift", "score", &target).unwrap();
    let words = |result: Result<()>| result.unwrap_err().to_string();
    let field = || method().with("form", "field").unwrap();
    field().check().unwrap();
    let asked = words(field().with("divergence", "forward-kl").unwrap().check());
    assert!(asked.contains("'forward-kl'") && asked.contains("form=potential"), "{asked}");
    let asked = words(field().with("birth_death", 1.0).unwrap().check());
    assert!(asked.contains("birth_death = 1") && asked.contains("form=potential"), "{asked}");
    let asked = words(method().with("noise_end", 1e3).unwrap().check());
    assert!(asked.contains("noise_end = 1000"), "{asked}");
    let few = method().with("particles", 3).unwrap();
    let asked = few.start(&target, None).unwrap().step().unwrap_err().to_string();
    assert!(asked.contains("3 points") && asked.contains("at least 4"), "{asked}");
    // a library user who puts them together by hand is told at the first step
    let net = ScoreSettings { form: "field".into(), ..Default::default() }.build(false).unwrap();
    let p = Arc::new(GaussianMixture::standard(2).unwrap());
    let forward = pushforward::divergence::by_name("forward-kl").unwrap();
    let mut drift = UniversalDrift::new(Box::new(SmoothedTarget::new(p, 2)), net, forward);
    let x: Matrix = normal_matrix(1, Purpose::Check, 0, 50, 2);
    drift.prepare(&scene(&x, Reference::Own, 0)).unwrap();
    let asked = drift.evaluate(&scene(&x, Reference::Own, 0)).unwrap_err().to_string();
    assert!(asked.contains("'forward-kl'") && asked.contains("'score'"), "{asked}");
}

/// KL and E|∇log(q/p)|² along the flow of reverse KL from N(0, 1) to ¼N(-2, 1) + ¾N(2, 1), by a finite-volume solution (4,001 cells).
const NEAR: [(f64, f64, f64); 4] =
    [(0.5, 0.3496, 0.6827), (1.0, 0.1439, 0.2287), (2.0, 0.0444, 0.03478), (3.0, 0.02583, 0.00983)];

/// A field that is learnt with care.
fn careful() -> ScoreSettings {
    ScoreSettings { form: "field".into(), score_rate: 5e-4, score_steps: 20, ..Default::default() }
}

/// Checks particles with a learnt score on two near modes against the finite-volume solution at t = 0.5 and 1: KL and the mean |V|² within 5 %
/// (Euler's step of 0.01 takes about 1 %), and that KL falls by the integral of the mean |V|² (T35) within 3 %; twice that rate would not.
#[test]
fn near_modes_follow_the_exact_flow() {
    let times: Vec<f64> = (0..=50).map(|k| 0.5 + 0.01 * k as f64).collect();
    let found = Course::new(&modes(2.0), (0.0, 1.0), 1000, 0.01, &careful()).at(&times);
    for (place, (_, kl, rate)) in [found[0], found[50]].iter().zip(NEAR) {
        assert!(
            (place.kl / kl - 1.0).abs() < 0.05 && (place.rate / rate - 1.0).abs() < 0.05,
            "{place:?}: {kl}, {rate}"
        );
    }
    let fall = found[0].kl - found[50].kl;
    let integral: f64 = found[..50].iter().zip(&found[1..]).map(|(a, b)| 0.005 * (a.rate + b.rate)).sum();
    assert!((integral / fall - 1.0).abs() < 0.03, "{integral} {fall}");
}

/// The same up to t = 3 with 2,000 particles: KL within 5 %, the mean |V|² within 8 % (at t = 3 it is 0.0098, and the error of the score is in it).
/// About six seconds of one core.
#[test]
#[ignore = "a longer study of the same law"]
fn near_modes_follow_the_exact_flow_to_its_end() {
    let times: Vec<f64> = NEAR.iter().map(|row| row.0).collect();
    let found = Course::new(&modes(2.0), (0.0, 1.0), 2000, 0.01, &careful()).at(&times);
    for (place, (t, kl, rate)) in found.iter().zip(NEAR) {
        println!("t = {t:.1}: KL {:.5} ({kl}), mean |V|^2 {:.5} ({rate})", place.kl, place.rate);
        assert!((place.kl / kl - 1.0).abs() < 0.05 && (place.rate / rate - 1.0).abs() < 0.08, "{place:?}");
    }
}

/// Checks a one-step generator by a learnt score on N(0, Σ), condition 100, d = 10, in a frame that is a scalar: after 200 steps from its start at a
/// fitted mixture, variances within 5 % and correlations within 0.03 at 100,000 samples (exact samples: about 0.011 and 0.008).
#[test]
#[ignore = "a longer study"]
fn a_generator_keeps_an_ill_conditioned_gaussian() {
    let d = 10;
    let sigma = ill_conditioned(d);
    let target = Target::of(Arc::new(GaussianMixture::gaussian(&vec![0.0; d], sigma.clone()).unwrap()));
    let mut method = Method::preset("score", &target).unwrap().with("steps", 200).unwrap();
    let scale = ((0..d).map(|i| sigma[(i, i)]).sum::<f64>() / d as f64).sqrt();
    method.frame = Some(Affine::new(vec![0.0; d], scale).unwrap());
    let mut run = method.start(&target, None).unwrap();
    run.finish().unwrap();
    let (variance, correlation) = worst(&run.sample(100_000, 9, 0), &sigma);
    let floor = worst(&target.densities[0].sample(100_000, 5).unwrap(), &sigma);
    println!("variance {variance:.4} [{:.4}], correlation {correlation:.4} [{:.4}]", floor.0, floor.1);
    assert!(variance < 0.05 && correlation < 0.03, "{variance} {correlation}");
}
