//! Draws of x_0 given x_t, where the posterior is known, and the estimates of the noised score that come from them.

use pushforward::density::{BlackBox, Density, GaussianMixture, evaluate, gmm40};
use pushforward::linalg::Matrix;
use pushforward::num::{Summary, exp};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::search::posterior::{Annealing, Gate, Level, Posterior, PosteriorChains, ais, exact, importance};
use std::sync::Arc;

/// |z| of one test beyond this has a chance of 6e-7.
const Z: f64 = 5.0;

/// Points of p_t.
fn noised_points(p: &dyn Density, level: Level, n: usize, seed: u64) -> Matrix {
    let (x, z) = (p.sample(n, seed).unwrap(), normal_matrix::<f64>(seed, Purpose::Check, 1, n, p.dim()));
    Matrix::from_fn(n, p.dim(), |i, j| level.a * x[(i, j)] + level.s * z[(i, j)])
}

/// ∇log p_t in closed form: that of p blurred by s/a at x_t/a, over a.
fn noised_score(p: &GaussianMixture, level: Level, xt: &Matrix) -> Matrix {
    let blurred = p.smoothed_mixture(level.bandwidth()).unwrap();
    evaluate(&blurred, &xt.map(|v| v / level.a)).unwrap().score.map(|s| s / level.a)
}

/// Largest |z| of the means of (estimate - truth) and (estimate - truth)·truth over n independent x_t, coordinate by coordinate. The second is
/// needed: the mean over x_t of what does not depend on x_t is right as well.
fn largest_z(estimates: &Matrix, truth: &Matrix) -> f64 {
    let column = |j: usize, power: i32| {
        let error = |i: usize| (estimates[(i, j)] - truth[(i, j)]) * truth[(i, j)].powi(power);
        let s = Summary::of(&(0..truth.rows()).map(error).collect::<Vec<_>>());
        (s.mean / s.standard_error()).abs()
    };
    (0..2 * truth.cols()).map(|k| column(k / 2, (k % 2) as i32)).fold(0.0, f64::max)
}

/// The noise of DiKL for mixtures: 29 levels of a linear β from 1e-4 to 0.7 over 30 steps.
fn levels() -> Vec<Level> {
    let mut product = 1.0f64;
    let all = (0..30).map(|k| {
        product *= 1.0 - (1e-4 + (0.7 - 1e-4) * f64::from(k) / 29.0);
        Level::preserving(product.sqrt()).unwrap()
    });
    all.skip(1).collect()
}

/// Checks at 29 levels of gmm40, with exact draws, that Tweedie's estimate, the target score, the mixed one and both gates, taken from
/// other draws, have the mean ∇log p_t: |z| < 5 for 580 z-scores (by chance in 1 of 3,000 seeds). Their variances are in the order that T32 says.
#[test]
fn estimates_are_unbiased_at_every_level() {
    let p = gmm40();
    let (n, draws) = (400, 6);
    for (k, level) in levels().into_iter().enumerate() {
        let xt = noised_points(&p, level, n, 100 + k as u64);
        let of = |seed: u64| {
            let x0 = exact(&p, level, &xt, draws, seed).unwrap();
            Posterior::of(&p, level, &xt, &x0, draws).unwrap()
        };
        let (first, second) = (of(1), of(2));
        let truth = noised_score(&p, level, &xt);
        let gates = [
            Gate::Scalar(0.0),
            Gate::Scalar(1.0),
            Gate::Scalar(level.a * level.a),
            first.scalar_gate(),
            first.matrix_gate().unwrap(),
        ];
        for gate in &gates {
            let z = largest_z(&second.score(gate), &truth);
            assert!(z < Z, "level {k}, {gate:?}: z = {z}");
        }
        let variance = |g: &Gate| second.variance(g);
        assert!(variance(&gates[4]) <= 1.1 * variance(&gates[3]), "level {k}");
        let classic = gates[..3].iter().map(variance).fold(f64::INFINITY, f64::min);
        assert!(variance(&gates[3]) <= 1.1 * classic, "level {k}: {} {classic}", variance(&gates[3]));
    }
}

/// Checks that exact draws of a mixture with full covariances have the noised score with three gates; draws of the prior fail.
#[test]
fn exact_draws_have_the_posterior_score() {
    let covariance = |r: f64| Matrix::from_rows(&[[1.0, r], [r, 0.6]]);
    let means = Matrix::from_rows(&[[-1.5, 0.0], [1.0, 1.0]]);
    let p = GaussianMixture::new(&[0.3, 0.7], means, vec![covariance(0.5), covariance(-0.3)]).unwrap();
    let level = Level::preserving(0.7).unwrap();
    let xt = noised_points(&p, level, 20_000, 5);
    let truth = noised_score(&p, level, &xt);
    let worst = |x0: &Matrix| {
        let one = Posterior::of(&p, level, &xt, x0, 1).unwrap();
        [0.0, 0.4, 1.0].into_iter().map(|g| largest_z(&one.score(&Gate::Scalar(g)), &truth)).fold(0.0, f64::max)
    };
    assert!(worst(&exact(&p, level, &xt, 1, 6).unwrap()) < Z);
    assert!(worst(&p.sample(20_000, 8).unwrap()) > Z);
}

/// Checks the matrix gate on Gaussians with six draws: variance below 1e-24 (estimates of size one, to 1e-12), and 0.76 within 5 % for the
/// scalar one on diag(4, ¼) at a = 0.8, whose own noise is √(2/200,000) of it.
#[test]
fn gates_on_gaussians() {
    let p = GaussianMixture::gaussian(&[0.5, -0.2], Matrix::from_rows(&[[4.0, 0.0], [0.0, 0.25]])).unwrap();
    let level = Level::preserving(0.8).unwrap();
    let xt = noised_points(&p, level, 1, 3);
    let of = |xt: &Matrix, draws: usize, seed: u64| {
        let x0 = exact(&p, level, xt, draws, seed).unwrap();
        Posterior::of(&p, level, xt, &x0, draws).unwrap()
    };
    let gate = of(&xt, 6, 1).matrix_gate().unwrap();
    let variance = of(&xt, 100, 2).variance(&gate);
    assert!(variance < 1e-24, "{variance:e}");
    let many = noised_points(&p, level, 20_000, 4);
    let scalar = of(&many, 6, 5).variance(&of(&many, 6, 6).scalar_gate());
    assert!((scalar / 0.76 - 1.0).abs() < 0.05, "{scalar}");
    let mixed = of(&many, 6, 5).variance(&Gate::Scalar(0.64));
    assert!(mixed > 1.1 * scalar, "{mixed}");
}

/// Checks the variances of ¼N(-2, ½²) + ¾N(2, ½²), averaged over x_t, within 5 %: Tweedie, target score, mixed, and the gate that is best for each
/// x_t, whose mean is the last number. Values by quadrature; 4,000 x_t with 40 draws each for the gate of each x_t and 40 others, so
/// that what the gate's own noise adds (a factor 1 + 1/39) stays below the tolerance.
#[test]
fn variances_of_the_table() {
    let p = GaussianMixture::isotropic(&[0.25, 0.75], Matrix::from_rows(&[[-2.0], [2.0]]), 0.5).unwrap();
    let table = [
        (0.95, [1.37, 7.20, 0.646, 0.035], 0.699),
        (0.8, [4.64, 1.18, 1.315, 0.321], 0.308),
        (0.6, [10.3, 0.720, 1.236, 0.528], 0.123),
        (0.4, [24.2, 0.419, 0.708, 0.365], 0.046),
        (0.2, [98.9, 0.123, 0.202, 0.113], 0.010),
    ];
    let (n, draws) = (4_000, 100);
    for (k, (a, expected, mean_gate)) in table.into_iter().enumerate() {
        let level = Level::preserving(a).unwrap();
        let xt = noised_points(&p, level, n, 20 + k as u64);
        let all = |seed: u64| exact(&p, level, &xt, draws, seed).unwrap();
        let (fit, use_) = (all(1), all(2));
        let whole = Posterior::of(&p, level, &xt, &use_, draws).unwrap();
        let classic = [1.0, 0.0, a * a].map(|g| whole.variance(&Gate::Scalar(g)));
        let (mut variance, mut gates) = (0.0, 0.0);
        for i in 0..n {
            let one = |x0: &Matrix| {
                let rows = x0.slice_rows(i * draws..(i + 1) * draws);
                Posterior::of(&p, level, &xt.slice_rows(i..i + 1), &rows, draws).unwrap()
            };
            let gate = one(&fit).scalar_gate();
            variance += one(&use_).variance(&gate) / n as f64;
            gates += if let Gate::Scalar(g) = gate { g / n as f64 } else { f64::NAN };
        }
        let found = [classic[0], classic[1], classic[2], variance];
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found / expected - 1.0).abs() < 0.05, "a = {a}: {found} {expected}");
        }
        assert!((gates - mean_gate).abs() < 0.05 * mean_gate + 5e-4, "a = {a}: {gates} {mean_gate}");
    }
}

/// A target without closed forms, and its noised score.
fn two_modes() -> (GaussianMixture, BlackBox) {
    let p = GaussianMixture::isotropic(&[0.3, 0.7], Matrix::from_rows(&[[-1.0, 0.0], [1.0, 0.5]]), 0.6).unwrap();
    (p.clone(), BlackBox(Arc::new(p)))
}

/// Checks importance sampling: the mean weight is the noised density (z-score of the ratio), one of 64 particles has the noised score
/// in the mean, one of a single particle, the likelihood itself, has not.
#[test]
fn importance_draws() {
    let (p, hidden) = two_modes();
    let level = Level::preserving(0.8).unwrap();
    let xt = noised_points(&p, level, 4_000, 30);
    let truth = noised_score(&p, level, &xt);
    let found = importance(&hidden, level, &xt, 64, 1).unwrap();
    let z = largest_z(&Posterior::of(&hidden, level, &xt, &found.draws, 1).unwrap().score(&Gate::Scalar(1.0)), &truth);
    assert!(z < Z, "{z}");
    let alone = importance(&hidden, level, &xt, 1, 1).unwrap();
    let z = largest_z(&Posterior::of(&hidden, level, &xt, &alone.draws, 1).unwrap().score(&Gate::Scalar(1.0)), &truth);
    assert!(z > 2.0 * Z, "{z}");
    assert!(found.effective.iter().all(|e| *e >= 1.0 && *e <= 64.0));
    let blurred = p.smoothed_mixture(level.bandwidth()).unwrap().log_density(&xt.map(|v| v / level.a));
    let ratios: Vec<f64> = found.log_normaliser.iter().zip(&blurred).map(|(l, e)| exp(l - e)).collect();
    let s = Summary::of(&ratios);
    assert!(((s.mean - 1.0) / s.standard_error()).abs() < Z, "{s:?}");
}

/// Checks annealed importance sampling, from the likelihood and from its product with a Gaussian: the mean weight is unbiased with few particles
/// too, and spreads less than without rungs.
#[test]
fn annealed_draws() {
    let (p, hidden) = two_modes();
    let level = Level::preserving(0.8).unwrap();
    let xt = noised_points(&p, level, 4_000, 31);
    let blurred = p.smoothed_mixture(level.bandwidth()).unwrap().log_density(&xt.map(|v| v / level.a));
    let of = |l: &[f64]| Summary::of(&l.iter().zip(&blurred).map(|(l, e)| exp(l - e)).collect::<Vec<_>>());
    let plain = of(&importance(&hidden, level, &xt, 8, 2).unwrap().log_normaliser);
    for precision in [0.0, 0.4] {
        let how = Annealing { particles: 8, kept: 1, rungs: 8, step: 0.1, precision };
        let found = ais(&hidden, level, &xt, how, 2).unwrap();
        let s = of(&found.log_normaliser);
        assert!(((s.mean - 1.0) / s.standard_error()).abs() < Z, "{precision}: {s:?}");
        assert!(s.variance < plain.variance, "{precision}");
        assert!(found.acceptance > 0.5 && found.acceptance < 1.0, "{precision}: {}", found.acceptance);
    }
}

/// Checks persistent chains at three levels at once: the acceptance of each level is 0.574 ± 0.03 in the end, its step is of its own, and the
/// noised score comes out; chains that start at the likelihood and do not move have it wrong.
#[test]
fn persistent_chains() {
    let (p, hidden) = two_modes();
    let levels: Vec<Level> = [0.95, 0.7, 0.4].map(|a| Level::preserving(a).unwrap()).to_vec();
    let each = 1_500;
    let of: Vec<usize> = (0..3 * each).map(|i| i / each).collect();
    let xt = Matrix::from_rows(
        &levels
            .iter()
            .enumerate()
            .flat_map(|(k, l)| {
                let x = noised_points(&p, *l, each, 40 + k as u64);
                x.iter_rows().map(<[f64]>::to_vec).collect::<Vec<_>>()
            })
            .collect::<Vec<_>>(),
    );
    let start = Matrix::from_fn(3 * each, 2, |i, j| xt[(i, j)] / levels[of[i]].a);
    let mut chains = PosteriorChains::new(Arc::new(hidden), levels.clone(), of, start, 9).unwrap();
    let z_of = |chains: &PosteriorChains, k: usize| {
        let rows = k * each..(k + 1) * each;
        let (x, t) = (chains.points().slice_rows(rows.clone()), xt.slice_rows(rows));
        let one = Posterior::of(&p, levels[k], &t, &x, 1).unwrap();
        largest_z(&one.score(&Gate::Scalar(0.0)), &noised_score(&p, levels[k], &t))
    };
    assert!((0..3).any(|k| z_of(&chains, k) > Z));
    chains.advance(&xt, 60);
    chains.freeze();
    chains.advance(&xt, 40);
    for (k, acceptance) in chains.acceptance().iter().enumerate() {
        assert!((acceptance - 0.574).abs() < 0.03, "{k}: {acceptance}");
        assert!(z_of(&chains, k) < Z, "{k}: {}", z_of(&chains, k));
    }
    let steps = chains.steps();
    assert!(steps[0] < steps[1] && steps[1] < steps[2], "{steps:?}");
}
