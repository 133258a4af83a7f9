//! Particles: the exact samples of DW-4, the Metropolis chains that stand in for those of Lennard-Jones clusters, and the figures
//! by which configurations are compared.

use pushforward::density::{Density, MeanFree, NBody, evaluate};
use pushforward::linalg::Matrix;
use pushforward::metric::{self, Bins, Metric, Options, aligned_wasserstein2, histogram_tv};
use pushforward::num::Summary;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::search::{Sweeps, metropolis, sweep};

/// y · ∇E of each configuration, whose mean under p is d.
fn virial(p: &NBody, y: &Matrix) -> Vec<f64> {
    let at = evaluate(p, y).unwrap();
    y.iter_rows().zip(at.score.iter_rows()).map(|(y, s)| -y.iter().zip(s).map(|(a, b)| a * b).sum::<f64>()).collect()
}

fn energies(p: &NBody, y: &Matrix) -> Vec<f64> {
    p.log_density(y).iter().map(|l| -l).collect()
}

/// The share of pairs closer than 4, of each configuration.
fn near(p: &NBody, y: &Matrix) -> Vec<f64> {
    let distances = p.distances(y);
    distances.iter_rows().map(|r| r.iter().filter(|r| **r < 4.0).count() as f64 / r.len() as f64).collect()
}

/// (mean - expected)/standard error, where row i is of chain i mod `chains`: the means of chains are independent.
fn z_of_chains(values: &[f64], chains: usize, expected: f64) -> f64 {
    let of = |c: usize| Summary::of(&values.iter().skip(c).step_by(chains).copied().collect::<Vec<_>>()).mean;
    let means = Summary::of(&(0..chains).map(of).collect::<Vec<_>>());
    (means.mean - expected) / means.standard_error()
}

/// |z| beyond this has a chance of 6e-7.
const Z: f64 = 5.0;

/// Checks the exact sampler of DW-4 by the virial, 6, and that samples of another temperature or another scale fail it.
#[test]
fn exact_samples_have_the_virial() {
    let p = NBody::dw4();
    let y = p.sample(50_000, 1).unwrap();
    let z = |y: &Matrix| z_of_chains(&virial(&p, y), y.rows(), 6.0);
    assert!(z(&y).abs() < Z, "{}", z(&y));
    for factor in [0.995, 1.005] {
        assert!(z(&y.map(|v| factor * v)).abs() > Z, "{factor}");
    }
}

/// Checks Metropolis chains of DW-4 against the exact sampler, whose own error is added: mean energy, share of distances below 4, virial.
/// Chains after a single sweep fail.
#[test]
fn metropolis_agrees_with_exact_samples() {
    let p = NBody::dw4();
    let exact = p.sample(40_000, 2).unwrap();
    let chains = 200;
    let worst = |burn_in: usize, between: usize, n: usize| {
        let y = metropolis(&p, Sweeps { chains, burn_in, between }, n, 3);
        let z = |f: &dyn Fn(&NBody, &Matrix) -> Vec<f64>| {
            let truth = Summary::of(&f(&p, &exact));
            let own = f(&p, &y);
            let z = z_of_chains(&own, chains, truth.mean);
            // the error of the exact mean, in units of the chains'
            let ratio = truth.standard_error() * z / (Summary::of(&own).mean - truth.mean);
            z.abs() / (1.0 + ratio * ratio).sqrt()
        };
        [z(&energies), z(&near), z(&virial)].into_iter().fold(0.0, f64::max)
    };
    let (right, wrong) = (worst(400, 20, 1_000), worst(0, 1, chains));
    assert!(right < Z && wrong > Z, "{right} {wrong}");
}

/// Checks that sweeps from exact samples of DW-4 leave their law: mean energy and virial after 20 of them within five standard errors of the known
/// ones, where samples 3 % too wide are far off at first and nearer after the sweeps.
#[test]
fn sweeps_leave_the_law() {
    let p = NBody::dw4();
    let exact = p.sample(4_000, 4).unwrap();
    let z = |y: &Matrix| (Summary::of(&virial(&p, y)).mean - 6.0) / Summary::of(&virial(&p, y)).standard_error();
    let mut y = exact.clone();
    sweep(&p, &mut y, 20, 5);
    let gap = Summary::of(&energies(&p, &y)).mean - Summary::of(&energies(&p, &exact)).mean;
    let error = Summary::of(&energies(&p, &exact)).standard_error() * 2f64.sqrt();
    assert!(z(&y).abs() < Z && gap.abs() < Z * error, "{} {gap} {error}", z(&y));
    let mut wide = exact.map(|v| 1.03 * v);
    let before = z(&wide);
    sweep(&p, &mut wide, 20, 5);
    assert!(before > Z && z(&wide).abs() < before / 3.0, "{before} {}", z(&wide));
}

/// Checks LJ-13 by its virial, 36, and its mean energy by the same from other chains of twice the length (two seeds, so that
/// a burn-in that is too short would show as a difference).
#[test]
fn lennard_jones_chains_have_the_virial() {
    let p = NBody::lj13();
    let chains = 100;
    let run = |burn_in: usize, seed: u64| metropolis(&p, Sweeps { chains, burn_in, between: 50 }, 1_000, seed);
    let (short, long) = (run(1_000, 4), run(2_000, 5));
    for y in [&short, &long] {
        let z = z_of_chains(&virial(&p, y), chains, 36.0);
        assert!(z.abs() < Z, "{z}");
    }
    let truth = Summary::of(&energies(&p, &long)).mean;
    // both sides have the same error
    let z = z_of_chains(&energies(&p, &short), chains, truth) / 2f64.sqrt();
    assert!(z.abs() < Z, "{z}");
}

/// Checks that chains have the same bits on 1 and 3 threads, and other bits under another seed.
#[test]
fn chains_depend_on_the_seed_alone() {
    let run = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| metropolis(&NBody::lj13(), Sweeps { chains: 7, burn_in: 20, between: 3 }, 20, seed))
    };
    assert_eq!(run(1, 1), run(3, 1));
    assert_ne!(run(1, 1), run(1, 2));
}

/// Particles of each configuration in the order π, then turned by the orthogonal matrix of `angle` in the first two coordinates.
fn moved(space: MeanFree, y: &Matrix, order: &[usize], angle: f64, mirror: f64) -> Matrix {
    let x = space.positions(y);
    let k = space.dim;
    let (c, s) = (angle.cos(), angle.sin());
    let turned = Matrix::from_fn(x.rows(), x.cols(), |i, e| {
        let at = |axis: usize| x[(i, order[e / k] * k + axis)];
        match e % k {
            0 => c * at(0) - s * at(1),
            1 => mirror * (s * at(0) + c * at(1)),
            axis => at(axis),
        }
    });
    space.coordinates(&turned)
}

/// Checks that energies do not change when particles are renumbered, turned or reflected (100 roundings of energies of size |E| + 100), and
/// that scores turn with them.
#[test]
fn energies_are_symmetric() {
    for p in [NBody::dw4(), NBody::lj13(), NBody::lj55()] {
        let (space, d) = (p.space(), p.dim());
        let y = metropolis(&p, Sweeps { chains: 5, burn_in: 50, between: 1 }, 5, 6);
        let order: Vec<usize> = (0..space.particles).map(|i| (i * 2 + 1) % space.particles).collect();
        let order = if space.particles.is_multiple_of(2) { (0..space.particles).rev().collect() } else { order };
        let image = |y: &Matrix| moved(space, y, &order, 0.7, -1.0);
        let (a, b) = (evaluate(&p, &y).unwrap(), evaluate(&p, &image(&y)).unwrap());
        for (a, b) in a.log_density.iter().zip(&b.log_density) {
            assert!((a - b).abs() < 1e-10 * (a.abs() + 100.0), "{a} {b}");
        }
        let turned = image(&a.score);
        let size = turned.as_slice().iter().fold(100.0f64, |m, v| m.max(v.abs()));
        for k in 0..5 * d {
            let gap = (turned.as_slice()[k] - b.score.as_slice()[k]).abs();
            assert!(gap < 1e-9 * size, "{gap}");
        }
    }
}

/// Checks histograms by hand: bins of the reference drop what is outside and have their upper end; fixed bins have width 1; no value inside is 1.
#[test]
fn histograms_by_hand() {
    let reference = [0.0, 0.5, 1.5, 200.0];
    // bins of width 1: the reference has halves in [0, 1), [1, 2) and the last; of x, two of four values are inside, both in the first
    let tv = histogram_tv(&[0.2, 0.9, -3.0, 201.0], &reference, Bins::OfReference);
    assert!((tv - 0.5).abs() < 1e-12, "{tv}");
    let whole = histogram_tv(&[200.0], &[0.0, 200.0], Bins::OfReference);
    assert!((whole - 0.5).abs() < 1e-12, "{whole}");
    let fixed = histogram_tv(&[0.2, 1.9, 150.0], &[0.3, 0.4], Bins::Fixed);
    assert!((fixed - 0.5).abs() < 1e-12, "{fixed}");
    assert!((histogram_tv(&[5.0], &[0.0, 1.0], Bins::OfReference) - 1.0).abs() < 1e-12);
}

/// Checks that W2 up to symmetry is 0 (√ε, a difference of squares) between configurations and the same renumbered or slightly turned or
/// reflected in another order, and at most plain W2 otherwise, above which it is not in any case of the two targets.
#[test]
fn aligned_distance() {
    for p in [NBody::dw4(), NBody::lj13()] {
        let space = p.space();
        let y = metropolis(&p, Sweeps { chains: 20, burn_in: 300, between: 1 }, 20, 7);
        let size = y.as_slice().iter().map(|v| v * v).sum::<f64>().sqrt();
        let forward: Vec<usize> = (0..space.particles).collect();
        let back: Vec<usize> = (0..space.particles).rev().collect();
        for (order, angle) in [(&forward, 0.0), (&back, 0.0), (&back, 0.02)] {
            let other = moved(space, &y, order, angle, 1.0).gather_rows(&(0..20).rev().collect::<Vec<_>>());
            let found = aligned_wasserstein2(space, &y, &other);
            assert!(found < 1e-6 * size, "{angle}: {found}");
        }
        let z: Matrix = normal_matrix(8, Purpose::Check, 1, 20, y.cols());
        assert!(aligned_wasserstein2(space, &y, &z) <= metric::wasserstein2(&y, &z).distance + 1e-9);
        assert!(aligned_wasserstein2(space, &y, &z) > 0.1);
    }
}

fn figures(p: &NBody, y: &Matrix) -> Vec<Metric> {
    let options = Options {
        n_body_size: 500,
        n_body_repeats: 4,
        aligned_size: 50,
        log_density_size: 5_000,
        transport_sizes: Vec::new(),
        sliced_size: 100,
        pair_size: 100,
        test_size: 0,
        ..Options::default()
    };
    metric::evaluate(p, y, &options).unwrap().metrics
}

/// Checks the report of DW-4: exact samples are within 20 spreads of every floor (Student's t with 3 degrees of freedom is beyond in 1 of 3,600), and
/// those that were pulled together by 6 % are seen by energies, distances and the virial, those with most pairs apart by
/// the share below 4.
#[test]
fn reports_see_wrong_configurations() {
    let p = NBody::dw4();
    let y = p.sample(2_000, 9).unwrap();
    for m in figures(&p, &y) {
        assert!(m.value.is_finite() && m.z().unwrap().abs() < 20.0, "{m:?}");
    }
    let worse = figures(&p, &y.map(|v| 0.94 * v));
    for name in ["mean energy", "virial", "energy TVD", "pair-distance TVD", "energy W2", "pair-distance W2"] {
        let m = worse.iter().find(|m| m.kind.name == name).unwrap_or_else(|| panic!("no {name}"));
        assert!(m.z().unwrap().abs() > 5.0, "{m:?}");
    }
    let apart: Vec<usize> = near(&p, &y).iter().enumerate().filter(|(_, v)| **v < 0.6).map(|(i, _)| i).collect();
    let kept = figures(&p, &y.gather_rows(&apart));
    let m = kept.iter().find(|m| m.kind.name == "pair distances below 4").unwrap();
    assert!(m.z().unwrap() < -5.0, "{m:?}");
}
