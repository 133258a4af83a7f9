//! One set of laws for every density: the registry's targets and every wrapper. A new target is covered once it is listed.
//!
//! The laws: the score is the gradient of the log-density (order of convergence of differences); p~ integrates to Z and has
//! the sampler's characteristic function (quadrature, d ≤ 2); the sampler leaves Metropolis steps in balance (any d); shapes,
//! empty batches, and batches equal to rows. The same checkers must catch densities that are wrong on purpose.

mod checks;
mod members;

use checks::{Waves, balance_z, characteristic_z, check, integrals, log_z, points};
use members::{geometry, members, square};
use pushforward::density::*;
use pushforward::linalg::Matrix;

/// |z| of the largest of 16 dependent normals stays below 5.5 but for a chance of 16 · 3.8e-8 = 6e-7 a member, 2e-5 a test.
const Z: f64 = 5.5;

/// Checks for every member that the score is the gradient of the log-density: differences converge to it with order 2.
#[test]
fn scores_are_gradients() {
    for m in members() {
        let report = check(&*m.density, m.length);
        assert!(report.passed(), "{}: {report}", m.name);
    }
}

/// Checks for every member with d ≤ 2 and known log Z that p~ integrates to Z. Tolerance: N roundings of a sum of N < 3e5 terms that
/// adds to 1, and 1e-12 of log-densities of size 1e3: 1e-10.
#[test]
fn normalisers_are_integrals() {
    for m in members() {
        let Some(grid) = &m.grid else { continue };
        let (mass, _) = integrals(&*m.density, log_z(&*m.density), grid, &Waves::new(0, m.density.dim(), 1.0));
        assert!((mass - 1.0).abs() < 1e-10, "{}: ∫ p~/Z = 1 + {:e}", m.name, mass - 1.0);
    }
}

/// Checks for every member with a grid and a sampler that samples have the density's characteristic function at 16 frequencies.
#[test]
fn samples_have_the_characteristic_function() {
    for m in members().iter().filter(|m| m.density.sample(1, 0).is_some()) {
        let Some(grid) = &m.grid else { continue };
        let z = characteristic_z(&*m.density, &*m.density, grid, m.length);
        assert!(z < Z, "{}: |z| = {z}", m.name);
    }
}

/// Checks for every member with a sampler, in any dimension, that its samples are in detailed balance under its log-density.
#[test]
fn samples_are_in_balance() {
    for m in members().iter().filter(|m| m.density.sample(1, 0).is_some()) {
        let z = balance_z(&*m.density, &*m.density, m.length);
        assert!(z < Z, "{}: |z| = {z}", m.name);
    }
}

/// Checks that batches are rows: a batch of 300 equals its rows one by one and in reverse, bit for bit; the two evaluations agree;
/// empty batches work; samples have the right shape, depend on the seed, and nothing else.
#[test]
fn batches_are_rows() {
    for m in members() {
        let (p, d, name) = (&*m.density, m.density.dim(), &m.name);
        let x = points(p, 300);
        let at = evaluate(p, &x).unwrap();
        assert_eq!(at.log_density, p.log_density(&x), "{name}: log-density alone");
        let reversed = evaluate(p, &x.gather_rows(&(0..300).rev().collect::<Vec<_>>())).unwrap();
        for i in (0..300).step_by(7) {
            let one = evaluate(p, &x.slice_rows(i..i + 1)).unwrap();
            assert_eq!((one.log_density[0], one.score.row(0)), (at.log_density[i], at.score.row(i)), "{name}: row {i}");
            assert_eq!(reversed.log_density[299 - i], at.log_density[i], "{name}: reversed row {i}");
        }
        assert_eq!(evaluate(p, &Matrix::zeros(0, d)).unwrap().score.shape(), (0, d), "{name}: empty batch");
        if let Some(sample) = p.sample(300, 11) {
            assert_eq!(sample, x, "{name}: the same seed");
            assert_ne!(p.sample(300, 12).unwrap(), x, "{name}: another seed");
            assert_eq!(p.sample(0, 11).unwrap().shape(), (0, d), "{name}: no samples");
        }
    }
}

/// Checks that samples, log-densities and scores of 1,000 points have the same bits on 1 and on 3 threads.
#[test]
fn bits_do_not_depend_on_threads() {
    for m in members() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let x = points(&*m.density, 1000);
                (evaluate(&*m.density, &x).unwrap(), x)
            })
        };
        assert_eq!(run(1), run(3), "{}", m.name);
    }
}

/// Checks that the checkers can fail: a score with one wrong sign, a score off by a relative 1e-4, a normaliser off by 1e-8,
/// samples of other weights and of another variance are all caught.
#[test]
fn wrong_densities_are_caught() {
    let wrong = |factor: f64, sign: f64| {
        Handwritten::new(
            2,
            |x: &[f64]| -0.25 * (x[0].powi(4) + x[1].powi(4)),
            move |x: &[f64], s: &mut [f64]| {
                s[0] = -factor * x[0].powi(3);
                s[1] = -sign * x[1].powi(3);
            },
        )
    };
    assert!(check(&wrong(1.0, 1.0), 0.5).passed());
    assert!(!check(&wrong(1.0, -1.0), 0.5).passed());
    assert!(!check(&wrong(1.0001, 1.0), 0.5).passed());
    let (length, grid) = geometry("gmm9");
    let grid = grid.unwrap();
    let (even, uneven) = (gmm9(), gmm9u());
    let wider = gmm9().smoothed_mixture(0.5).unwrap();
    for other in [&uneven as &dyn Density, &wider] {
        let (a, b) = (characteristic_z(other, &even, &grid, length), balance_z(other, &even, length));
        assert!(a > Z && b > Z, "{a} {b}");
    }
    let shifted =
        Handwritten::new(2, |x: &[f64]| 1e-8 - 0.5 * (x[0] * x[0] + x[1] * x[1]), |_: &[f64], _: &mut [f64]| {});
    let unit = square(9.0, 0.5).unwrap();
    let (mass, _) = integrals(&shifted, std::f64::consts::TAU.ln(), &unit, &Waves::new(0, 2, 1.0));
    assert!((mass - 1.0).abs() > 0.9e-8, "{mass}");
}
