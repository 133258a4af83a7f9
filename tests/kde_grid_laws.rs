//! Laws of the near-linear kernel density estimate: the stated error bound holds wherever it is compared with the exact kernel.

use pushforward::estimate::{Kde, KdeGrid, Tolerance};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};

fn points(n: usize, d: usize, unit: u64) -> Matrix {
    normal_matrix(8, Purpose::Check, unit, n, d)
}

/// Worst (relative error of the density, absolute error of the score) against the exact kernel.
fn errors(samples: &Matrix, x: &Matrix, h: f64, tolerance: Tolerance) -> (f64, f64, bool) {
    let grid = KdeGrid::new(samples, h, tolerance).unwrap();
    let (log_density, score) = grid.log_density_and_score(x);
    let (exact_log, exact_score) = Kde::new(samples, h).unwrap().log_density_and_score(x);
    let relative = |(a, b): (&f64, &f64)| (a - b).exp_m1().abs();
    let density = log_density.iter().zip(&exact_log).map(relative).fold(0.0, f64::max);
    let difference = score.as_slice().iter().zip(exact_score.as_slice()).map(|(a, b)| (a - b).abs());
    (density, difference.fold(0.0, f64::max), grid.uses_grid())
}

/// Checks the caller's bound, in 1, 2 and 3 dimensions, three tolerances, bandwidths from far too small to far too large, with queries
/// far outside, duplicates and queries on samples; and that the grid is in use in the middle of the range for d ≤ 2, for values and not
/// in name only: its bits are not those of the exact kernel.
#[test]
fn within_the_tolerance() {
    for (n, d) in [(20_000, 1), (20_000, 2), (3_000, 3)] {
        let mut samples = points(n, d, 1);
        let first = samples.row(0).to_vec();
        (0..50).for_each(|j| samples.row_mut(100 + j).copy_from_slice(&first));
        let mut x = points(1_000, d, 2);
        x.row_mut(0).copy_from_slice(&first);
        (1..20).for_each(|i| x[(i, 0)] = i as f64 * 2.0 - 20.0);
        for h in [1e-3, 0.03, 0.2, 1.0, 10.0, 1e3] {
            for (density, score) in [(1e-2, 1e-2), (1e-4, 1e-4), (1e-6, 1e-3)] {
                let (relative, absolute, used) = errors(&samples, &x, h, Tolerance { density, score });
                let place =
                    format!("n={n} d={d} h={h}: density {relative:e} of {density:e}, score {absolute:e} of {score:e}");
                assert!(relative <= density && absolute <= score, "{place}");
                assert!(!used || h != 0.2 || (relative > 0.0 && absolute > 0.0), "no value is the grid's: {place}");
                assert!(used || d == 3 || h != 0.2, "the grid was not used: {place}");
            }
        }
    }
}

/// Checks that 1, 2, 3 and 64 threads give the same bits.
#[test]
fn bits_do_not_depend_on_threads() {
    let (samples, x) = (points(20_000, 2, 1), points(3_000, 2, 2));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let tolerance = Tolerance { density: 1e-4, score: 1e-4 };
        pool.install(|| KdeGrid::new(&samples, 0.2, tolerance).unwrap().log_density_and_score(&x))
    };
    let one = run(1);
    for threads in [2, 3, 64] {
        assert_eq!(one, run(threads), "{threads} threads");
    }
}

/// Checks that a tolerance without meaning is refused, and that few points go to the exact kernel.
#[test]
fn refusals_and_fallback() {
    let few = points(50, 2, 1);
    for (density, score) in [(0.0, 1.0), (1.0, -1.0), (f64::NAN, 1.0)] {
        assert!(KdeGrid::new(&few, 1.0, Tolerance { density, score }).is_err());
    }
    let tolerance = Tolerance { density: 1e-4, score: 1e-4 };
    assert!(!KdeGrid::new(&few, 0.1, tolerance).unwrap().uses_grid());
    assert!(!KdeGrid::new(&points(5_000, 5, 1), 1.0, tolerance).unwrap().uses_grid());
}
