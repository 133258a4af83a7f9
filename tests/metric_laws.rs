//! The laws every distance between samples obeys, over all of them, and exact answers.

use pushforward::density::{Density, gmm9};
use pushforward::linalg::{Matrix, matmul};
use pushforward::metric::*;
use pushforward::num::Summary;
use pushforward::rng::{Purpose, normal_matrix};

type Function = fn(&Matrix, &Matrix) -> f64;

/// One distance, and how it transforms.
struct Distance {
    name: &'static str,
    value: Function,
    /// distance(c x, c y) = c^degree distance(x, y).
    degree: i32,
    /// Whether it is unchanged by one rotation of both (sliced: only on average over directions).
    rotation: bool,
}

/// All distances between samples.
fn distances() -> Vec<Distance> {
    let mmd = |x: &Matrix, y: &Matrix| mmd2(x, y, median_distance(y, 1) + median_distance(x, 1)).unwrap().biased;
    vec![
        Distance { name: "W2", value: |x, y| wasserstein2(x, y).distance, degree: 1, rotation: true },
        Distance { name: "sliced W2", value: |x, y| sliced_wasserstein2(x, y, 64, 1), degree: 1, rotation: false },
        Distance { name: "MMD²", value: mmd, degree: 0, rotation: true },
        Distance { name: "energy", value: |x, y| energy_distance(x, y).biased, degree: 1, rotation: true },
    ]
}

fn normal(unit: u64, n: usize, d: usize) -> Matrix {
    normal_matrix(5, Purpose::Check, unit, n, d)
}

/// Checks for every distance: symmetry, zero on the same set in another order, invariance under a common permutation,
/// translation and rotation, and the degree under scaling. Sums of n² terms of size at most 20 err by 20 n ε, W2 by the root.
#[test]
fn symmetries() {
    let (n, d) = (120, 3);
    let (x, y) = (normal(1, n, d), normal(2, n, d).map(|v| 1.3 * v + 0.4));
    let reversed: Vec<usize> = (0..n).rev().collect();
    let shift = [3.0, -7.0, 11.0];
    let moved = |m: &Matrix| Matrix::from_fn(n, d, |i, j| m[(i, j)] + shift[j]);
    let (s, c) = 0.7f64.sin_cos();
    let turn = Matrix::from_rows(&[[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]);
    let tolerance = 20.0 * n as f64 * f64::EPSILON;
    for Distance { name, value, degree, rotation } in distances() {
        let base = value(&x, &y);
        let same = |what: &str, other: f64| assert!((other - base).abs() <= tolerance, "{name} {what}: {other} {base}");
        assert!(base > 1e-3, "{name}");
        same("swapped", value(&y, &x));
        same("permuted", value(&x.gather_rows(&reversed), &y));
        same("translated", value(&moved(&x), &moved(&y)));
        same("scaled", value(&x.map(|v| 8.0 * v), &y.map(|v| 8.0 * v)) / 8f64.powi(degree));
        if rotation {
            same("rotated", value(&matmul(&x, &turn), &matmul(&y, &turn)));
        }
        let zero = value(&x, &x.gather_rows(&reversed));
        assert!(zero.abs() <= tolerance.sqrt(), "{name} of a set and itself: {zero:e}");
    }
}

/// Checks that every distance sees a shift of (0.5, 0.5) of a normal cloud at n = 400, at least 5 standard deviations above the floor of
/// 20 exact pairs, and that an exact pair is not that far (|z| < 5 on 4 nearly normal figures: below 1 in 1e5).
#[test]
fn shifts_stand_out_from_the_floor() {
    let n = 400;
    let exact = |unit| normal(unit, n, 2);
    for Distance { name, value, .. } in distances() {
        let floor: Vec<f64> = (0..20).map(|k| value(&exact(300 + 2 * k), &exact(301 + 2 * k))).collect();
        let floor = Summary::of(&floor);
        let z = |v: f64| (v - floor.mean) / floor.standard_deviation();
        let (clean, shifted) = (z(value(&exact(1), &exact(2))), z(value(&exact(1).map(|v| v + 0.5), &exact(2))));
        assert!(clean.abs() < 5.0 && shifted > 5.0, "{name}: exact z = {clean}, shifted z = {shifted}");
    }
}

/// Checks W2 against an exact answer in any dimension: x ↦ Ax + b with A symmetric positive definite is the gradient of a convex
/// function, so pairing each point with its image is optimal (Brenier); also for duplicates, with several optimal plans.
#[test]
fn transport_of_affine_images() {
    for d in [1, 2, 5] {
        let n = 200;
        let mut x = normal(10 + d as u64, n, d);
        (0..50).for_each(|i| {
            let copy = x.row(i).to_vec();
            x.row_mut(n - 1 - i).copy_from_slice(&copy);
        });
        let root = normal(20, d, d);
        let mut a = Matrix::identity(d);
        pushforward::linalg::gemm(0.1, root.t(), root.view(), 0.5, &mut a);
        let y = matmul(&x, &a).map(|v| v + 0.3);
        let exact: f64 =
            (0..n).map(|i| (0..d).map(|j| (x[(i, j)] - y[(i, j)]).powi(2)).sum::<f64>()).sum::<f64>() / n as f64;
        let order: Vec<usize> = (0..n).map(|i| (i * 37 + 11) % n).collect();
        let found = wasserstein2(&x, &y.gather_rows(&order));
        // n sums of d squares of size at most 30
        assert!((found.distance.powi(2) - exact).abs() < 30.0 * n as f64 * f64::EPSILON, "d = {d}");
        let mut columns = found.assignment.columns.clone();
        columns.sort_unstable();
        assert!(columns.iter().enumerate().all(|(i, &c)| i == c), "not a permutation");
    }
}

/// Cheapest permutation by trying all of them.
fn brute_force(costs: &Matrix, row: usize, used: &mut Vec<bool>) -> f64 {
    if row == costs.rows() {
        return 0.0;
    }
    let mut best = f64::INFINITY;
    for j in 0..costs.rows() {
        if !used[j] {
            used[j] = true;
            best = best.min(costs[(row, j)] + brute_force(costs, row + 1, used));
            used[j] = false;
        }
    }
    best
}

/// Checks the solver against all permutations for n ≤ 7: small integers (many ties, exact equality), negative ones too, and reals.
#[test]
fn assignment_against_brute_force() {
    for n in 0..=7 {
        for instance in 0..40 {
            let unit = 1000 + 100 * n as u64 + instance;
            let costs = normal(unit, n, n);
            let integers = costs.map(|c| (2.0 * c).round());
            assert_eq!(assign(&integers).cost, brute_force(&integers, 0, &mut vec![false; n]), "n = {n}, {instance}");
            let (found, best) = (assign(&costs).cost, brute_force(&costs, 0, &mut vec![false; n]));
            assert!((found - best).abs() <= 4.0 * n as f64 * f64::EPSILON * 5.0, "n = {n}, instance {instance}");
        }
    }
}

/// Checks optimality on hundreds of points by the certificate: prices feasible and tight. A price changes at most once a search and
/// reduction, each time with an error of ε max c, so 4 n ε max c bounds both. Instances: clouds, noise, equal costs, a chain.
#[test]
fn assignment_certificates() {
    let cloud = |n: usize, unit: u64| squared_distances(&normal(unit, n, 2), &gmm9().sample(n, unit).unwrap());
    let cases = [
        cloud(300, 41),
        squared_distances(&normal(1, 120, 3), &normal(2, 120, 3).map(|v| 1.3 * v + 0.4)),
        cloud(257, 42),
        normal(43, 200, 200),
        normal(44, 150, 150).map(|c| c.round()),
        Matrix::filled(64, 64, 2.5),
        Matrix::from_fn(120, 120, |i, j| ((i + 1) * (j + 1)) as f64),
        cloud(200, 45).map(|c| 1e9 + c),
    ];
    for (case, costs) in cases.iter().enumerate() {
        let n = costs.rows();
        let found = assign(costs);
        let largest = costs.as_slice().iter().fold(0.0f64, |m, c| m.max(c.abs()));
        let tolerance = 4.0 * n as f64 * f64::EPSILON * largest;
        let slack = |i: usize, j: usize| costs[(i, j)] - found.row_prices[i] - found.column_prices[j];
        let least =
            (0..n).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| slack(i, j)).fold(f64::INFINITY, f64::min);
        assert!(least >= -tolerance, "case {case}: a reduced cost of {least:e}");
        assert!((0..n).all(|i| slack(i, found.columns[i]).abs() <= tolerance), "case {case}: not tight");
        let mut seen = vec![false; n];
        found.columns.iter().for_each(|&j| assert!(!std::mem::replace(&mut seen[j], true), "case {case}: {j} twice"));
    }
}

/// Checks that in one dimension the three computations agree: assignment, sorted pairs, the single slice.
#[test]
fn one_dimension() {
    let n = 150;
    let (x, y) = (normal(51, n, 1), normal(52, n, 1).map(|v| v.powi(3)));
    let sorted = |m: &Matrix| {
        let mut v = m.as_slice().to_vec();
        v.sort_by(f64::total_cmp);
        v
    };
    let (a, b) = (sorted(&x), sorted(&y));
    let exact = (a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / n as f64).sqrt();
    for found in [wasserstein2(&x, &y).distance, wasserstein2_sorted(&a, &b), sliced_wasserstein2(&x, &y, 9, 1)] {
        assert!((found - exact).abs() <= n as f64 * f64::EPSILON * exact, "{found} {exact}");
    }
}

/// Checks the coupling of unequal sizes: repeating every point k and m times gives equal sizes and the same measures.
#[test]
fn unequal_sizes() {
    for (n, m) in [(3, 7), (4, 6), (1, 5), (10, 10)] {
        let sorted = |unit, n| {
            let mut v = normal(unit, n, 1).into_vec();
            v.sort_by(f64::total_cmp);
            v
        };
        let (a, b) = (sorted(61, n), sorted(62, m));
        let repeat = |v: &[f64], k: usize| v.iter().flat_map(|&x| std::iter::repeat_n(x, k)).collect::<Vec<_>>();
        let (long_a, long_b) = (repeat(&a, m), repeat(&b, n));
        let exact = (long_a.iter().zip(&long_b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (n * m) as f64).sqrt();
        assert!((wasserstein2_sorted(&a, &b) - exact).abs() < 1e-14 * exact.max(1.0), "{n}, {m}");
    }
}

/// Checks the sliced distance of a pure shift b: E (θ·b)² = |b|²/d exactly, over 2,000 directions; in d = 2 (θ·b)² = |b|² cos²
/// has variance |b|⁴/8, so |z| < 5 fails in 1 of 1.7e6.
#[test]
fn sliced_shift() {
    let x = normal(71, 50, 2);
    let y = Matrix::from_fn(50, 2, |i, j| x[(i, j)] + [3.0, 4.0][j]);
    let directions = 2_000;
    let z = (sliced_wasserstein2(&x, &y, directions, 3).powi(2) / 25.0 - 0.5) / (0.125 / directions as f64).sqrt();
    assert!(z.abs() < 5.0, "z = {z}");
}

/// Checks the unbiased statistics against the closed forms for N(0, 1) and N(0.5, 4) on the line (energy: equal means), as means of 40
/// independent samples of 200: |z| < 5 by Student's t with 39 degrees of freedom fails in 1 of 8e4.
#[test]
fn gaussians_on_the_line() {
    let (n, h, mu, s) = (200, 1.5f64, 0.5f64, 2.0f64);
    let kernel =
        |variance: f64, shift: f64| h / (h * h + variance).sqrt() * (-0.5 * shift * shift / (h * h + variance)).exp();
    let mmd_exact = kernel(2.0, 0.0) + kernel(2.0 * s * s, 0.0) - 2.0 * kernel(1.0 + s * s, mu);
    // E|N(0, v)| = √(2v/π)
    let folded = |v: f64| (2.0 * v / std::f64::consts::PI).sqrt();
    let energy_exact = 2.0 * folded(1.0 + s * s) - folded(2.0) - folded(2.0 * s * s);
    let sample = |k: u64, mean: f64, std: f64| normal(k, n, 1).map(|v| mean + std * v);
    let z = |values: &dyn Fn(u64) -> f64, exact: f64| {
        let summary = Summary::of(&(0..40).map(|k| values(200 + 2 * k)).collect::<Vec<_>>());
        (summary.mean - exact) / summary.standard_error()
    };
    let mmd = z(&|k| mmd2(&sample(k, 0.0, 1.0), &sample(k + 1, mu, s), h).unwrap().unbiased, mmd_exact);
    let energy = z(&|k| energy_distance(&sample(k, 0.0, 1.0), &sample(k + 1, 0.0, s)).unbiased, energy_exact);
    assert!(mmd.abs() < 5.0 && energy.abs() < 5.0, "z of MMD² {mmd}, of energy {energy}");
}

/// Checks the pair statistics against the plain double loop, n ≠ m.
#[test]
fn pair_statistics_against_double_loop() {
    let (x, y, h) = (normal(81, 37, 2), normal(82, 53, 2), 0.8);
    let mean = |a: &Matrix, b: &Matrix, skip: bool, k: &dyn Fn(f64) -> f64| {
        let mut total = (0.0, 0.0);
        for (i, p) in a.iter_rows().enumerate() {
            for (j, q) in b.iter_rows().enumerate().filter(|&(j, _)| !(skip && i == j)) {
                let _ = j;
                total = (total.0 + k((p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2)), total.1 + 1.0);
            }
        }
        total.0 / total.1
    };
    let gauss = |s: f64| (-0.5 * s / (h * h)).exp();
    let negative = |s: f64| -s.sqrt();
    for (found, k) in [(mmd2(&x, &y, h).unwrap(), &gauss as &dyn Fn(f64) -> f64), (energy_distance(&x, &y), &negative)]
    {
        for (value, skip) in [(found.unbiased, true), (found.biased, false)] {
            let exact = mean(&x, &x, skip, k) + mean(&y, &y, skip, k) - 2.0 * mean(&x, &y, false, k);
            // means of at most 53² terms below 6
            assert!((value - exact).abs() < 6.0 * 53.0 * f64::EPSILON * 4.0, "{value} {exact}");
        }
    }
    assert!(mmd2(&x, &y, 0.0).is_err() && mmd2(&x, &y, f64::NAN).is_err());
}

/// Checks that every distance has the same bits on 1 and 3 threads.
#[test]
fn bits_do_not_depend_on_threads() {
    let (x, y) = (normal(91, 150, 3), normal(92, 150, 3));
    let run = |threads: usize| -> Vec<f64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| distances().iter().map(|d| (d.value)(&x, &y)).collect())
    };
    assert_eq!(run(1), run(3));
}
