//! Forty modes, 35 of their widths apart, in many dimensions: what a search of few particles loses, and generators that regain it.

use pushforward::density::{BlackBox, Density, GaussianMixture, Target, by_name};
use pushforward::linalg::Matrix;
use pushforward::metric::ModeTruth;
use pushforward::model::GeneratorModel;
use pushforward::rng::{Purpose, stream, uniform};
use pushforward::run::Method;
use pushforward::search::{Found, Lacking, SearchSettings, search_for_modes};
use std::sync::Arc;

/// The deviation of the modes of gmm40.
const WIDTH: f64 = 1.313_261_687_518_222_8;

/// 40 equal modes in R^d, their means uniform in [-1, 1]^d 40/√(d/2).
fn forty(d: usize) -> GaussianMixture {
    let mut rng = stream(7, Purpose::Check, 0);
    let reach = 40.0 / (d as f64 / 2.0).sqrt();
    let means = Matrix::from_fn(40, d, |_, _| reach * (2.0 * uniform(&mut rng) - 1.0));
    GaussianMixture::isotropic(&[1.0 / 40.0; 40], means, WIDTH).unwrap()
}

/// The mode next to a point, and |point - mean|² in squares of its width.
fn nearest(p: &GaussianMixture, x: &[f64]) -> (usize, f64) {
    let square = |k: usize| x.iter().zip(p.means().row(k)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let all = (0..p.components()).map(|k| (k, square(k) / (WIDTH * WIDTH)));
    all.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

/// How many of the points are nearest to each mode.
fn counts(p: &GaussianMixture, x: &Matrix) -> Vec<usize> {
    let mut counts = vec![0; p.components()];
    x.iter_rows().for_each(|row| counts[nearest(p, row).0] += 1);
    counts
}

fn hidden(p: &GaussianMixture) -> Arc<dyn Density> {
    Arc::new(BlackBox(Arc::new(p.clone())))
}

fn found(p: &dyn Density, particles: usize) -> Found {
    search_for_modes(p, &SearchSettings { particles, seed: 1, start: None }).unwrap()
}

/// Checks a search of 2,048 particles in 8 dimensions, of a mixture and of its values alone: some modes have no particle, and each of them is
/// among the peaks that are found lacking, which are modes (mean to 1e-3 and variances to 1 %, from differences), each once, with shares of the mass
/// that add up; all peaks together are the 40 modes. Where all modes have their particles, nothing is lacking.
#[test]
fn modes_without_particles_are_found() {
    let p = forty(8);
    for target in [Arc::new(p.clone()) as Arc<dyn Density>, hidden(&p)] {
        let found = found(&*target, 2048);
        let particles = counts(&p, &found.particles);
        let Lacking { peaks: lacking, share, all } = found.lacking.expect("modes are missing");
        let named = counts(&p, lacking.means());
        println!("particles {particles:?}, lacking {named:?} with {share:.3}");
        assert!(particles.contains(&0), "nothing to find");
        assert!((0..40).all(|k| named[k] <= 1 && (particles[k] > 0 || named[k] == 1)), "{particles:?} {named:?}");
        assert!(lacking.weights().iter().all(|w| (w * lacking.components() as f64 - 1.0).abs() < 0.01));
        assert!(share > 0.0 && share < 1.0);
        assert_eq!(counts(&p, all.means()), [1; 40]);
        for (mean, covariance) in lacking.means().iter_rows().zip(lacking.covariances()) {
            let gap = |k: usize| mean.iter().zip(p.means().row(k)).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
            let nearest = (0..40).map(gap).fold(f64::INFINITY, f64::min);
            assert!(nearest < 1e-3, "{nearest}");
            assert!((0..8).all(|i| (covariance[(i, i)] / (WIDTH * WIDTH) - 1.0).abs() < 0.01));
        }
    }
    assert!(found(&*by_name("gmm9").unwrap(), 2048).lacking.is_none());
}

/// A study: generators in DIMENSIONS (10), SEEDS (0, 1, 2), given as GIVEN (a mixture, and by its values alone), by a search of PARTICLES (8192), at
/// 200,000 samples beside exact ones: modes, total variation of their masses, share more than √d + 3 widths from every mode, and the mean of |x - m|²/dσ²
/// over the others.
#[test]
#[ignore = "a study of minutes"]
fn forty_modes_by_a_generator() {
    let list = |name: &str, or: &str| {
        let words = std::env::var(name).unwrap_or(or.into());
        words.split(',').map(|v| v.parse().unwrap()).collect::<Vec<usize>>()
    };
    for d in list("DIMENSIONS", "10") {
        let p = forty(d);
        let truth = ModeTruth::new(&p, 200_000, 0);
        let row = |what: &str, x: &Matrix| {
            let r = truth.report(x);
            let limit = ((d as f64).sqrt() + 3.0).powi(2);
            let near: Vec<f64> = x.iter_rows().map(|row| nearest(&p, row).1).filter(|s| *s < limit).collect();
            let outside = 100.0 * (1.0 - near.len() as f64 / x.rows() as f64);
            let (tv, width) = (r.total_variation, near.iter().sum::<f64>() / (near.len() * d) as f64);
            println!(
                "d = {d}, {what}: {} modes, TV {tv:.4}, beyond {outside:.3} %, variance ratio {width:.4}",
                r.covered
            );
        };
        row("exact", &p.sample(200_000, 5).unwrap());
        let given = std::env::var("GIVEN").unwrap_or("mixture,values".into());
        let both = [("mixture", Arc::new(p.clone()) as Arc<dyn Density>), ("values", hidden(&p))];
        for (name, target) in both.into_iter().filter(|(name, _)| given.contains(name)) {
            for seed in list("SEEDS", "0,1,2") {
                let clock = std::time::Instant::now();
                let target = Target::of(Arc::clone(&target));
                let mut method = Method::preset("score", &target).unwrap().with("seed", seed).unwrap();
                method.set("search_particles", list("PARTICLES", "8192")[0]).unwrap();
                if let Ok(steps) = std::env::var("STEPS") {
                    method.set("steps", steps.parse::<u64>().unwrap()).unwrap();
                }
                let mut run = method.start(&target, None).unwrap();
                run.finish().unwrap();
                let codes = run.model_as::<GeneratorModel<f32>>().unwrap().generator().latent.codes();
                let seconds = clock.elapsed().as_secs_f64();
                let counts = run.counts().all().total() as f64;
                let what = format!("{name}, seed {seed}, {codes} codes, {seconds:.0} s, {counts:.1e} evaluations");
                row(&what, &run.sample(200_000, 9, 0));
            }
        }
    }
}
