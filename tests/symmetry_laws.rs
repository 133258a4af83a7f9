//! Symmetries from the score where they are known: targets of the library, a double well of particles and a Lennard-Jones cluster.

use pushforward::density::{Affine, Density, GaussianMixture, MeanFree, NBody, Pointwise, by_name, evaluate};
use pushforward::linalg::Matrix;
use pushforward::metric::energy_distance;
use pushforward::num::Summary;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::symmetry::{AffineField, Found, Settings, find};
use pushforward::{Error, Result};

/// Plain means of ⟨v, g⟩², as on the theory page.
fn plain() -> Settings {
    Settings { origin: true, relative: false, ..Settings::default() }
}

/// Largest |log p after the flow - log p before| over some points and times, in units of 1 + |log p|.
fn drift(p: &dyn Density, v: &AffineField, x: &Matrix) -> f64 {
    let before = p.log_density(x);
    let gap = |t: f64| -> f64 {
        let after = p.log_density(&v.flow(t, x));
        after.iter().zip(&before).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max)
    };
    [0.3, 2.0, -5.0].into_iter().map(gap).fold(0.0, f64::max)
}

/// -(|x| - R)²/(2 w²) in the plane.
struct Donut {
    radius: f64,
    width: f64,
}

impl Pointwise for Donut {
    fn dim(&self) -> usize {
        2
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let r = x[0].hypot(x[1]);
        let pull = -(r - self.radius) / (self.width * self.width * r);
        score.iter_mut().zip(x).for_each(|(s, x)| *s = pull * x);
        -0.5 * ((r - self.radius) / self.width).powi(2)
    }
}

/// An icosahedron with its centre, edges near 1, every copy turned and every atom displaced.
fn icosahedra(space: MeanFree, n: usize) -> Matrix {
    let golden = 0.5 * (1.0 + 5f64.sqrt());
    let mut atoms = vec![[0.0; 3]];
    for (a, b) in [(1.0, golden), (1.0, -golden), (-1.0, golden), (-1.0, -golden)] {
        atoms.extend([[0.0, a, b], [a, b, 0.0], [b, 0.0, a]].map(|p| p.map(|v| 0.52 * v)));
    }
    let noise: Matrix = normal_matrix(7, Purpose::Check, 1, n, 39);
    let turns: Matrix = normal_matrix(7, Purpose::Check, 2, n, 3);
    let one = |i: usize| {
        let (a, b, c) = (turns[(i, 0)], turns[(i, 1)], turns[(i, 2)]);
        let skew = Matrix::from_rows(&[[0.0, -c, b], [c, 0.0, -a], [-b, a, 0.0]]);
        let turn = AffineField { matrix: skew, shift: vec![0.0; 3] };
        let turned = turn.flow(2.0, &Matrix::from_rows(&atoms));
        let x: Vec<f64> = turned.as_slice().iter().zip(noise.row(i)).map(|(x, z)| x + 0.07 * z).collect();
        let mut y = vec![0.0; space.free_dim()];
        space.coordinates_of(&x, &mut y);
        y
    };
    Matrix::from_rows(&(0..n).map(one).collect::<Vec<_>>())
}

fn found(p: &dyn Density, n: usize, settings: &Settings) -> Found {
    find(p, &p.sample(n, 3).expect("exact samples"), settings).expect("a density without a boundary")
}

/// Checks N(0, diag(4, 1)) about the origin: one symmetry, (x, y) ↦ (y, -x/4) in its flow's field, as exact as rounding; and the page's
/// values of plain eigenvalues: of a donut 0 and then ¼(R²/w² + 9) = 7.8125 for R/w = 4.5 (every traceless symmetric A), of
/// ring8, which a turn by 45° keeps and no group does, 23.772. z-scores below 5 (chance 6e-7 each).
#[test]
fn eigenvalues_of_the_page() {
    let gaussian =
        GaussianMixture::new(&[1.0], Matrix::zeros(1, 2), vec![Matrix::from_rows(&[[4.0, 0.0], [0.0, 1.0]])]).unwrap();
    let one = found(&gaussian, 2000, &plain());
    let a = &one.basis[0].matrix;
    assert_eq!(one.basis.len(), 1);
    let (x, y) = (a[(0, 1)], a[(1, 0)]);
    assert!((x / y + 4.0).abs() < 1e-10 && a[(0, 0)] == 0.0 && a[(1, 1)] == 0.0, "{a:?}");
    assert!(one.eigenvalues[0].abs() < 1e-12, "{:?}", one.eigenvalues);

    let donut = Donut { radius: 4.5, width: 1.0 };
    // points of the donut itself: a radius of density r exp(-(r - R)²/2) by rejection, and an angle
    let z: Matrix = normal_matrix(2, Purpose::Check, 3, 40_000, 4);
    let rows: Vec<[f64; 2]> = z
        .iter_rows()
        .filter_map(|z| {
            let r = 4.5 + z[0];
            let u = (-0.5 * (z[3] * z[3])).exp().clamp(0.0, 1.0);
            let keep = r > 0.0 && normal_cdf(z[3]) < r / 12.0 && u > 0.0;
            let length = z[1].hypot(z[2]);
            keep.then(|| [r * z[1] / length, r * z[2] / length])
        })
        .collect();
    let ring = find(&donut, &Matrix::from_rows(&rows), &plain()).unwrap();
    let (gap, error) = ring.gap.unwrap();
    assert_eq!(ring.basis.len(), 1);
    // about R²/w² + 9 up to the mass at r < 0, 3e-6
    assert!(((gap - 0.25 * (4.5f64 * 4.5 + 9.0)) / error).abs() < 5.0, "{gap} ± {error}");

    let p = by_name("ring8").unwrap();
    let eight = found(&*p, 40_000, &plain());
    let (gap, error) = eight.gap.unwrap();
    // ½ E⟨s, Jx⟩² by the trapezium rule
    let grid =
        Matrix::from_fn(161 * 161, 2, |k, j| if j == 0 { (k / 161) as f64 } else { (k % 161) as f64 } * 0.1 - 8.0);
    let e = evaluate(&*p, &grid).unwrap();
    let turned = |x: &[f64], s: &[f64]| 0.5 * (s[0] * x[1] - s[1] * x[0]).powi(2);
    let squares =
        grid.iter_rows().zip(e.score.iter_rows()).zip(&e.log_density).map(|((x, s), l)| 0.01 * l.exp() * turned(x, s));
    let exact: f64 = squares.sum();
    assert!((exact - 23.772).abs() < 1e-3, "{exact}");
    assert!(eight.basis.is_empty() && ((gap - exact) / error).abs() < 5.0, "{gap} ± {error}");
}

/// Φ(z) by its integral in steps of 1e-3: an error below 1e-6.
fn normal_cdf(z: f64) -> f64 {
    let steps = 400;
    let h = z / f64::from(steps);
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    let middle = |k: i32| density((f64::from(k) + 0.5) * h);
    0.5 + h * (0..steps).map(middle).sum::<f64>()
}

/// Checks the dimension for every target of the registry: (d-1)(d-2)/2 for a funnel, whose d-1 other coordinates turn into each other,
/// (d/2)(d/2-1)/2 for a many-well, whose d/2 Gaussian ones do, 1 for DW-4, 0 for the others. Along each found field log p is constant to 1e-8.
#[test]
fn targets_of_the_registry() {
    let names = pushforward::density::all_densities().iter().flat_map(|e| e.names()).collect::<Vec<_>>();
    for name in names.into_iter().chain(["many-well-8".into()]) {
        let p = by_name(&name).unwrap();
        let d = p.dim();
        if d > 16 {
            continue; // seconds for what the smaller member of the family says
        }
        let expected = match name.split('-').next().unwrap() {
            "funnel" => (d - 1) * (d - 2) / 2,
            "many" => (d / 2) * (d / 2 - 1) / 2,
            "dw4" => 1, // the plane turns
            _ => 0,
        };
        // two-moons has no sampler: any points on its support do
        let n = 6 * (d * d + d).max(200);
        let spread = |p: &dyn Density| normal_matrix::<f64>(1, Purpose::Check, 5, n, p.dim()).map(|z| 1.5 * z);
        let x = p.sample(n, 1).unwrap_or_else(|| spread(&*p));
        let found = find(&*p, &x, &Settings::default()).unwrap();
        assert_eq!(found.basis.len(), expected, "{name}: {:?} {:?}", found.eigenvalues, found.gap);
        let (gap, error) = found.gap.unwrap();
        assert!(gap > 5.0 * error, "{name}: {gap} ± {error}");
        for v in found.basis.iter().take(3) {
            assert!(drift(&*p, v, &x.slice_rows(0..20)) < 1e-8, "{name}");
        }
    }
}

/// Checks DW-4 (dimension 1) and LJ-13 (3) on the configurations of mean 0, from points that are no sample of them, and that the fields
/// turn all particles alike.
#[test]
fn clusters_of_particles() {
    let four = NBody::dw4();
    let x = normal_matrix::<f64>(4, Purpose::Check, 6, 1000, 6).map(|z| 2.5 * z);
    let one = find(&four, &x, &Settings::default()).unwrap();
    assert_eq!(one.basis.len(), 1, "{:?}", one.eigenvalues);
    let a = &one.basis[0].matrix;
    let turn = |i: usize, j: usize| {
        if i / 2 != j / 2 || i == j {
            0.0
        } else if i < j {
            1.0
        } else {
            -1.0
        }
    };
    let gap = (0..36).map(|k| (a[(k / 6, k % 6)] - turn(k / 6, k % 6) * a[(0, 1)]).abs()).fold(0.0, f64::max);
    assert!(gap < 1e-7 && a[(0, 1)].abs() > 0.9, "{a:?}");

    let thirteen = NBody::lj13();
    let x = icosahedra(thirteen.space(), 4 * 36 * 37);
    let three = find(&thirteen, &x, &Settings::default()).unwrap();
    assert_eq!(three.basis.len(), 3, "{:?} {:e}", three.eigenvalues, three.residual);
    assert_eq!(three.candidates, 36 * 37);
    for v in &three.basis {
        assert!(drift(&thirteen, v, &x.slice_rows(0..5)) < 1e-7);
    }
}

/// Checks the reduction by an exact covariance: d(d-1)/2 candidates find the algebra of the full search on Gaussians (all of so(d)) and on a
/// mixture of two, about whose line of means d - 1 coordinates turn; on a wrong covariance they find nothing, and the full search still does.
#[test]
fn exact_covariance_leaves_few_candidates() {
    for d in [2usize, 3, 5] {
        let covariance = Matrix::from_fn(d, d, |i, j| if i == j { 1.0 + i as f64 } else { 0.3 });
        let lone = GaussianMixture::new(&[1.0], Matrix::filled(1, d, 2.0), vec![covariance]).unwrap();
        let means = Matrix::from_fn(2, d, |k, j| if j == 0 { 3.0 * k as f64 } else { 0.5 });
        let two = GaussianMixture::new(&[0.3, 0.7], means, vec![Matrix::identity(d); 2]).unwrap();
        for (p, expected) in [(lone, d * (d - 1) / 2), (two, (d - 1) * (d - 2) / 2)] {
            let factor = pushforward::linalg::Cholesky::factor(&p.covariance(), "c").unwrap().lower().clone();
            let exact = Affine::from_parts(p.mean(), factor.clone()).unwrap();
            let few = found(&p, 800, &Settings { exact: Some(exact), ..Settings::default() });
            let all = found(&p, 800, &Settings::default());
            assert_eq!((few.candidates, all.candidates), (d * (d - 1) / 2, d * d + d));
            assert_eq!((few.basis.len(), all.basis.len()), (expected, expected), "d = {d}");
            let x = p.sample(20, 9).unwrap();
            assert!(few.basis.iter().chain(&all.basis).all(|v| drift(&p, v, &x) < 1e-8), "d = {d}");
            let stretched = Matrix::from_fn(d, d, |i, j| factor[(i, j)] * (1.0 + 0.02 * i as f64));
            let wrong = Affine::from_parts(p.mean(), stretched).unwrap();
            let none = found(&p, 800, &Settings { exact: Some(wrong), ..Settings::default() });
            assert!(none.basis.len() < expected.max(1), "d = {d}");
        }
    }
}

/// Checks that no symmetry is found where none is, on 40 mixtures of random modes (each a law with dimension 0 almost surely), nor in one that
/// is broken by 1e-3 of a mode's width; and that the bound on the mass says ln((1 + K)/level)/n.
#[test]
fn no_false_discoveries() {
    for seed in 0..40 {
        let means: Matrix = normal_matrix(seed, Purpose::Check, 8, 4, 2).map(|z: f64| 2.0 * z);
        let p = GaussianMixture::new(&[0.25; 4], means, vec![Matrix::identity(2); 4]).unwrap();
        assert!(found(&p, 400, &Settings::default()).basis.is_empty(), "seed {seed}");
    }
    let broken = |e: f64| {
        let covariance = Matrix::from_rows(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
        let means = Matrix::from_rows(&[[1.0, 0.0, 0.0], [-1.0, e, 0.0], [0.0, 0.0, 2.0]]);
        GaussianMixture::new(&[0.4, 0.4, 0.2], means, vec![covariance; 3]).unwrap()
    };
    // three means span a plane that contains no axis of rotation, whatever e
    assert!(found(&broken(1e-3), 400, &Settings::default()).basis.is_empty());
    let line =
        GaussianMixture::new(&[0.5; 2], Matrix::from_rows(&[[0.0; 3], [2.0, 0.0, 0.0]]), vec![Matrix::identity(3); 2])
            .unwrap();
    let one = found(&line, 1000, &Settings::default());
    assert_eq!(one.basis.len(), 1);
    assert!((one.unseen - (2.0f64 / 1e-3).ln() / 500.0).abs() < 1e-12 && one.residual < 1e-10, "{one:?}");
    let bent = Matrix::from_rows(&[[0.0; 3], [2.0, 0.0, 0.0]]);
    let flat = Matrix::from_rows(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.001]]);
    let p = GaussianMixture::new(&[0.5; 2], bent, vec![flat, Matrix::identity(3)]).unwrap();
    assert!(found(&p, 1000, &Settings::default()).basis.is_empty());
}

/// Checks the use of a found group, the rotations of N(0, I) in the plane (T34 d): the average of x₁⁴ over 16 turns keeps its mean 3 and lowers its
/// variance from 96 to 45, z-scores below 5 (of means of x₁⁴ and x₁⁸, chance 6e-7 each); and turning every sample of a law that is off centre
/// by an angle of its own brings it nearer, energy distance to a half or less.
#[test]
fn averages_over_a_found_group() {
    let p = GaussianMixture::new(&[1.0], Matrix::zeros(1, 2), vec![Matrix::identity(2)]).unwrap();
    let exact = Affine::new(vec![0.0; 2], 1.0).unwrap();
    let one = found(&p, 400, &Settings { exact: Some(exact), ..Settings::default() });
    let v = &one.basis[0];
    assert_eq!(v.matrix.as_slice(), [0.0, 1.0, -1.0, 0.0]);
    let n = 20_000;
    let x = p.sample(n, 5).unwrap();
    let mut average = vec![0.0; n];
    for k in 0..16 {
        let turned = v.flow(std::f64::consts::TAU * f64::from(k) / 16.0, &x);
        average.iter_mut().zip(turned.iter_rows()).for_each(|(a, r)| *a += r[0].powi(4) / 16.0);
    }
    let plain: Vec<f64> = x.iter_rows().map(|r| r[0].powi(4)).collect();
    for (values, variance) in [(&plain, 96.0), (&average, 45.0)] {
        let summary = Summary::of(values);
        assert!(((summary.mean - 3.0) / summary.standard_error()).abs() < 5.0, "{summary:?}");
        let squares = Summary::of(&values.iter().map(|v| (v - 3.0).powi(2)).collect::<Vec<_>>());
        assert!(((squares.mean - variance) / squares.standard_error()).abs() < 5.0, "{squares:?} {variance}");
        println!(
            "mean {:.3} ± {:.3}, variance {:.1} (exact {variance})",
            summary.mean,
            summary.standard_error(),
            squares.mean
        );
    }
    let q = x.slice_rows(0..1000).map(|v| 0.8 * v + 0.5);
    let angles: Matrix = normal_matrix(6, Purpose::Check, 50, 1000, 1);
    let turned: Vec<f64> =
        (0..1000).flat_map(|i| v.flow(20.0 * angles[(i, 0)], &q.slice_rows(i..i + 1)).into_vec()).collect();
    let truth = p.sample(1000, 8).unwrap();
    let before = energy_distance(&q, &truth).biased;
    let after = energy_distance(&Matrix::from_vec(1000, 2, turned), &truth).biased;
    println!("energy distance {before:.4}, averaged {after:.4}");
    assert!(after < 0.5 * before, "{before} {after}");
}

/// A ring of x around y c, of radius 1.5 + 0.4 sin y, with log p(y) = -y⁴/4 up to the ring's mass; or the law of x alone, by the midpoint rule in y.
struct MovingRing {
    joint: bool,
}

impl MovingRing {
    /// log p(x, y), and its derivatives in x.
    fn ring(x: &[f64], y: f64) -> (f64, [f64; 2]) {
        let u = [x[0] - 0.7 * y, x[1] + 0.4 * y];
        let (length, radius) = (u[0].hypot(u[1]), 1.5 + 0.4 * y.sin());
        let pull = -(length - radius) / (0.36 * length);
        (-(length - radius).powi(2) / 0.72 - 0.25 * y.powi(4), [pull * u[0], pull * u[1]])
    }
}

impl Pointwise for MovingRing {
    fn dim(&self) -> usize {
        2 + usize::from(self.joint)
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        if self.joint {
            let (y, x, h) = (x[0], &x[1..], 1e-5);
            let (value, by_x) = Self::ring(x, y);
            // four values: the error h⁴ is below 1e-19
            let at = |k: f64| Self::ring(x, y + k * h).0;
            score[0] = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h);
            score[1..].copy_from_slice(&by_x);
            return value;
        }
        // y⁴/4 is 10 at 2.5, and an analytic integrand has no error at 200 points
        let nodes: Vec<(f64, [f64; 2])> =
            (0..200).map(|k| Self::ring(x, 8.0 * (k as f64 + 0.5) / 200.0 - 4.0)).collect();
        let most = nodes.iter().fold(f64::NEG_INFINITY, |m, n| m.max(n.0));
        let mass: f64 = nodes.iter().map(|n| (n.0 - most).exp()).sum();
        score.fill(0.0);
        for (l, s) in &nodes {
            (0..2).for_each(|j| score[j] += (l - most).exp() / mass * s[j]);
        }
        most + mass.ln()
    }
}

/// Checks T36 where only the conditional law is symmetric: rings of x given y have one symmetry, about a centre that moves with y; the law of x alone,
/// their mixture, has none.
#[test]
fn conditional_symmetry_alone() {
    let z: Matrix = normal_matrix(5, Purpose::Check, 370, 2000, 3);
    let x = Matrix::from_fn(2000, 3, |i, j| match j {
        0 => z[(i, 0)],
        _ => 1.2 * z[(i, j)] + [0.7, -0.4][j - 1] * z[(i, 0)],
    });
    // differences of log p in y err by 1e-11
    let settings = Settings { given: vec![0], tolerance: 1e-6, ..Settings::default() };
    let conditional = find(&MovingRing { joint: true }, &x, &settings).unwrap();
    let marginal =
        find(&MovingRing { joint: false }, &Matrix::from_fn(2000, 2, |i, j| x[(i, j + 1)]), &Settings::default())
            .unwrap();
    assert_eq!((conditional.basis.len(), marginal.basis.len()), (1, 0), "{:?}", marginal.eigenvalues);
    assert!(conditional.basis[0].matrix[(1, 0)].abs() > 1e-3, "a centre that moves: {:?}", conditional.basis[0].matrix);
}

/// Checks that fewer points than 4 a candidate, points in a plane, a bounded support and settings out of range are refused in words.
#[test]
fn refusals() {
    struct Box;
    impl Pointwise for Box {
        fn dim(&self) -> usize {
            2
        }
        fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
            score.fill(0.0);
            if x.iter().all(|x| x.abs() < 1.0) { 0.0 } else { f64::NEG_INFINITY }
        }
    }
    let x: Matrix = normal_matrix(1, Purpose::Check, 9, 100, 2);
    let words = |out: Result<Found>| out.map(|f| f.basis.len()).unwrap_err();
    let p = by_name("gmm9").unwrap();
    assert!(words(find(&Box, &x, &Settings::default())).to_string().contains("bounded support"));
    assert!(matches!(words(find(&*p, &x.slice_rows(0..20), &Settings::default())), Error::Parameter { .. }));
    let flat = Matrix::from_fn(100, 2, |i, _| i as f64);
    assert!(words(find(&*p, &flat, &Settings::default())).to_string().contains("plane"));
    for (tolerance, level) in [(0.0, 0.1), (f64::NAN, 0.1), (1e-6, 1.0)] {
        let settings = Settings { tolerance, level, ..Settings::default() };
        assert!(matches!(words(find(&*p, &x, &settings)), Error::Parameter { .. }));
    }
}
