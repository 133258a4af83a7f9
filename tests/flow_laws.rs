//! One law for all layers of normalizing flows, and for the flows built of them (T12).

use pushforward::autodiff::{Tape, check_score, jacobian};
use pushforward::density::Affine;
use pushforward::density::Density;
use pushforward::linalg::{Lu, Matrix};
use pushforward::model::flow::{
    ActNorm, AffineCoupling, Architecture, CouplingKind, Flow, Layer, Linear, SplineCoupling,
};
use pushforward::num::Real;
use pushforward::rng::{Purpose, fill_normal, normal_matrix, stream};
use std::sync::Arc;

const DIMENSIONS: [usize; 3] = [1, 2, 5];

/// Every kind of layer in dimension d, with every way in which a coupling can be split.
fn layers(d: usize) -> Vec<(String, Layer)> {
    let mut out = vec![
        ("activation norm".to_string(), Layer::ActNorm(ActNorm { dim: d })),
        ("linear".to_string(), Layer::Linear(Linear { dim: d, given: 0 })),
    ];
    let splits: Vec<Vec<usize>> = match d {
        1 => vec![vec![]],
        2 => vec![vec![], vec![0], vec![1]],
        _ => vec![vec![], vec![0, 1], vec![3, 4], vec![1, 4], vec![0, 2, 3]],
    };
    for kept in splits {
        out.push((format!("affine, kept {kept:?}"), Layer::Affine(AffineCoupling::new(d, &kept, &[7]))));
        out.push((format!("spline, kept {kept:?}"), Layer::Spline(SplineCoupling::new(d, &kept, &[7], 6, 2.5))));
    }
    out
}

/// Its parameters, each moved by normal numbers of size ½.
fn random_parameters<T: Real>(layer: &Layer, unit: u64) -> Vec<Matrix<T>> {
    let mut rng = stream(5, Purpose::Check, unit);
    let mut out = layer.initialise::<T>(&mut rng);
    for m in &mut out {
        let mut noise = vec![0.0; m.as_slice().len()];
        fill_normal(&mut rng, &mut noise);
        m.as_mut_slice().iter_mut().zip(noise).for_each(|(v, e)| *v += T::from_f64(0.5 * e));
    }
    out
}

/// (image, log-determinant of each row) in one of the two directions.
fn apply<T: Real>(layer: &Layer, parameters: &[Matrix<T>], x: &Matrix<T>, forward: bool) -> (Matrix<T>, Vec<f64>) {
    let tape = Tape::new();
    let p: Vec<_> = parameters.iter().map(|m| tape.leaf(m)).collect();
    let x = tape.leaf(x);
    let out = if forward { layer.forward(&p, x) } else { layer.inverse(&p, x) };
    let log_det = out.log_det.broadcast_to((x.shape().0, 1));
    (out.points.value(), log_det.value().as_slice().iter().map(|l| l.to_f64()).collect())
}

fn worst<T: Real>(a: &Matrix<T>, b: &Matrix<T>) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (*a - *b).abs().to_f64()).fold(0.0, f64::max)
}

/// Points inside, outside and on the ends of a spline's interval.
fn points<T: Real>(d: usize, unit: u64) -> Matrix<T> {
    let mut x = normal_matrix::<T>(6, Purpose::Check, unit, 60, d).map(|x| x * T::from_f64(1.5));
    x.row_mut(0).fill(T::from_f64(2.5));
    x.row_mut(1).fill(T::from_f64(-2.5));
    x.row_mut(2).fill(T::from_f64(-40.0));
    x.row_mut(3).fill(T::ZERO);
    x
}

/// ‖(DT)⁻¹‖ (Frobenius) of a layer's direction at each row: by how much a rounding of the image moves the point.
fn conditions(layer: &Layer, parameters: &[Matrix], x: &Matrix, forward: bool) -> Vec<f64> {
    let one = |row: &[f64]| {
        let dense = jacobian(row, |x| {
            let p: Vec<_> = parameters.iter().map(|m| x.tape().leaf(m)).collect();
            if forward { layer.forward(&p, x).points } else { layer.inverse(&p, x).points }
        });
        let inverse = Lu::factor(&dense).inverse().unwrap();
        inverse.as_slice().iter().map(|v| v * v).sum::<f64>().sqrt()
    };
    x.iter_rows().map(one).collect()
}

/// Checks T⁻¹ T = T T⁻¹ = id for every layer to 64 ε (size of the points) (1 + ‖(DT)⁻¹‖), a few dozen roundings on either side of
/// the map, in both precisions; that this is 1e-10 in f64 wherever the condition is at most 1000; and that the log-determinants of
/// both directions cancel (to 1e4 of the same roundings: the slope of a spline changes by its curvature times the error).
#[test]
fn inverses() {
    fn run<T: Real>() {
        for d in DIMENSIONS {
            for (unit, (name, layer)) in layers(d).iter().enumerate() {
                let (p, x) = (random_parameters::<T>(layer, unit as u64), points::<T>(d, unit as u64));
                let double: Vec<Matrix> = p.iter().map(|m| m.cast()).collect();
                for forward in [true, false] {
                    let (y, there) = apply(layer, &p, &x, forward);
                    let (back, again) = apply(layer, &p, &y, !forward);
                    let conditions = conditions(layer, &double, &x.cast(), forward);
                    for i in 0..x.rows() {
                        let row = |m: &Matrix<T>| m.slice_rows(i..i + 1);
                        let (error, size) = (worst(&row(&back), &row(&x)), x.row(i).iter().chain(y.row(i)));
                        let size = size.fold(1.0f64, |m, v| m.max(v.to_f64().abs()));
                        let bound = 64.0 * T::EPSILON.to_f64() * size * (1.0 + conditions[i]);
                        let what = format!("{name}, d = {d}, forward {forward}, {}, row {i}", T::NAME);
                        assert!(error <= bound, "{what}: {error:e}, condition {}", conditions[i]);
                        if T::NAME == "f64" && conditions[i] < 1e3 {
                            assert!(error < 1e-10, "{what}: {error:e}");
                        }
                        let sum = (there[i] + again[i]).abs();
                        assert!(sum <= 1e4 * bound, "{what}: log-determinants {sum:e}, condition {}", conditions[i]);
                    }
                }
            }
        }
    }
    run::<f64>();
    run::<f32>();
}

/// Checks that the log-determinant is that of the dense Jacobian from the tape, in both directions, to 1e-9 (d² roundings times the
/// condition), and that the check bites: the other sign is far off somewhere.
#[test]
fn log_determinants() {
    for d in DIMENSIONS {
        for (unit, (name, layer)) in layers(d).iter().enumerate() {
            let (p, x) = (random_parameters::<f64>(layer, unit as u64), points::<f64>(d, 100 + unit as u64));
            for forward in [true, false] {
                let (_, log_det) = apply(layer, &p, &x, forward);
                let mut wrong = 0.0f64;
                // the first two rows are knots, where one-sided slopes agree and the Jacobian is whichever side the tape takes
                for (row, l) in x.iter_rows().zip(&log_det).skip(2) {
                    let dense = jacobian(row, |x| {
                        let p: Vec<_> = p.iter().map(|m| x.tape().leaf(m)).collect();
                        if forward { layer.forward(&p, x).points } else { layer.inverse(&p, x).points }
                    });
                    let exact = Lu::factor(&dense).log_abs_det();
                    assert!((l - exact).abs() < 1e-9, "{name}, d = {d}, forward {forward}: {l} {exact}");
                    wrong = wrong.max((l + exact).abs());
                }
                assert!(wrong > 1e-3, "{name}, d = {d}: the log-determinants are too small to tell a sign");
            }
        }
    }
}

/// Checks that initial parameters give the identity, so that a flow starts as its base (12 roundings of numbers up to 40).
#[test]
fn starts_as_identity() {
    for d in DIMENSIONS {
        for (name, layer) in layers(d) {
            let (p, x) = (layer.initialise::<f64>(&mut stream(1, Purpose::Check, 0)), points::<f64>(d, 7));
            let (y, log_det) = apply(&layer, &p, &x, true);
            let largest = log_det.iter().fold(0.0f64, |m, l| m.max(l.abs()));
            assert!(worst(&y, &x) < 1e-13 && largest < 1e-13, "{name}, d = {d}: {:e} {largest:e}", worst(&y, &x));
        }
    }
}

/// Every kind of flow in dimension d, with all parameters moved from the identity.
fn flows<T: Real>(d: usize) -> Vec<(String, Flow<T>)> {
    flows_given(d, 0)
}

/// The same with so many conditions, in a frame with shears where there are some.
fn flows_given<T: Real>(d: usize, given: usize) -> Vec<(String, Flow<T>)> {
    let spline = CouplingKind::Spline { bins: 5, reach: 3.0 };
    let mut out = Vec::new();
    // splines with wide bins: a grid must resolve them
    for (name, coupling, size) in [("affine", CouplingKind::Affine, 0.15), ("spline", spline, 0.07)] {
        for components in [1, 4] {
            let architecture = Architecture { coupling, couplings: 4, hidden: vec![6], components, given };
            let centre = (0..d).map(|j| j as f64 - 0.5).collect();
            let frame = match given {
                0 => Affine::new(centre, 1.7),
                _ => Affine::from_parts(
                    centre,
                    Matrix::from_fn(d, d, |i, j| [0.0, 1.7, 0.6][usize::from(i >= j) + usize::from(i > j)]),
                ),
            }
            .unwrap();
            let mut flow = Flow::new(frame, architecture, 3);
            for (k, p) in flow.parameters.iter_mut().enumerate() {
                let noise: Matrix<T> = normal_matrix(8, Purpose::Check, k as u64, p.rows(), p.cols());
                Arc::make_mut(p).update(|p| p.add_scaled(T::from_f64(size), &noise));
            }
            out.push((format!("{name}, {components} components"), flow));
        }
    }
    out
}

/// Checks that q has mass 1 on the line and in the plane, by the trapezium rule on a grid that holds all but e^-15 of it (the rule's
/// error on a spline flow, whose density has corners, is of order 2 in the spacing: below 1e-4), and that samples follow q: the means
/// of three bounded functions over 40,000 samples within 4.5 standard errors of the integrals (fails by chance in 1 of 6,000 for 24).
#[test]
fn mass_and_samples() {
    let tests: [fn(&[f64]) -> f64; 3] = [|x| x[0].sin(), |x| x[x.len() - 1].tanh(), |x| (-x[0] * x[0]).exp()];
    for d in [1, 2] {
        for (name, flow) in flows::<f64>(d) {
            let x = flow.sample_block(40_000, 11, 0);
            let farthest = x.as_slice().iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let (half, steps) = (1.3 * farthest + 1.0, if d == 1 { 16_000usize } else { 600 });
            let h = 2.0 * half / steps as f64;
            let place = |k: usize| h * (k as f64 + 0.5) - half;
            let n = steps.pow(d as u32);
            let grid = Matrix::from_fn(n, d, |i, j| place(if j == 0 { i % steps } else { i / steps }));
            let q: Vec<f64> = flow.log_density(&grid).iter().map(|l| l.exp() * h.powi(d as i32)).collect();
            let mass: f64 = q.iter().sum();
            assert!((mass - 1.0).abs() < 2e-4, "{name}, d = {d}: mass {mass}");
            for f in tests {
                let integral = |g: &dyn Fn(f64) -> f64| grid.iter_rows().zip(&q).map(|(x, q)| g(f(x)) * q).sum::<f64>();
                let (mean, square) = (integral(&|v| v), integral(&|v| v * v));
                let found = x.iter_rows().map(f).sum::<f64>() / x.rows() as f64;
                let z = (found - mean) / ((square - mean * mean) / x.rows() as f64).sqrt();
                assert!(z.abs() < 4.5, "{name}, d = {d}: {found} for {mean}, z = {z}");
            }
        }
    }
}

/// Checks the law of a flow given its first coordinates: log q(c) is the integral of q over the last one, by the trapezium rule (2e-4, as
/// above, relative), log q(x | c) = log q(c, x) - log q(c) at its samples to rounding, and the means of two bounded functions over 40,000 of
/// them within 4.5 standard errors of the integrals (fails by chance in 1 of 6,000 for 16). That the law bites: without conditions there is
/// none, and the first coordinates of T⁻¹ depend on the last one.
#[test]
fn laws_given_conditions() {
    let tests: [fn(f64) -> f64; 2] = [|x| x.sin(), |x| x.tanh()];
    for (d, g) in [(2, 1), (3, 2)] {
        for (name, flow) in flows_given::<f64>(d, g) {
            let c: Vec<f64> = (0..g).map(|j| 0.4 - 0.9 * j as f64).collect();
            let given = flow.given(&c).unwrap();
            let (x, log_q) = given.sample(40_000, 7, 0);
            let joint = flow.log_density(&x);
            for ((row, l), joint) in x.iter_rows().zip(&log_q).zip(&joint) {
                assert_eq!(row[..g], c);
                assert!((l + given.log_density_of_condition() - joint).abs() < 1e-12, "{name}: {l} {joint}");
            }
            let farthest = x.iter_rows().fold(0.0f64, |m, row| m.max(row[g].abs()));
            let (half, steps) = (1.3 * farthest + 1.0, 16_000);
            let h = 2.0 * half / f64::from(steps);
            let place = |k: usize| h * (k as f64 + 0.5) - half;
            let grid = Matrix::from_fn(steps as usize, d, |i, j| if j < g { c[j] } else { place(i) });
            let q: Vec<f64> =
                flow.log_density(&grid).iter().map(|l| (l - given.log_density_of_condition()).exp() * h).collect();
            let mass: f64 = q.iter().sum();
            assert!((mass - 1.0).abs() < 2e-4, "{name}, {g} of {d}: mass {mass}");
            for f in tests {
                let integral = |p: i32| q.iter().enumerate().map(|(i, q)| f(place(i)).powi(p) * q).sum::<f64>();
                let (mean, square) = (integral(1), integral(2));
                let found = x.iter_rows().map(|row| f(row[g])).sum::<f64>() / x.rows() as f64;
                let z = (found - mean) / ((square - mean * mean) / x.rows() as f64).sqrt();
                assert!(z.abs() < 4.5, "{name}, {g} of {d}: {found} for {mean}, z = {z}");
            }
            assert!(flow.given(&c[1..]).is_err() && flow.given(&vec![f64::NAN; g]).is_err(), "{name}");
            assert!(flow.given(&vec![1e300; g]).is_err(), "{name}");
        }
        let first = |flow: &Flow<f64>, last: f64| {
            let tape = Tape::new();
            let p: Vec<_> = flow.parameters.iter().map(|m| tape.parameter(m)).collect();
            let x = Matrix::from_fn(1, d, |_, j| if j + 1 == d { last } else { 0.3 });
            flow.inverse(&p, tape.leaf(&x)).points.value().as_slice()[..g].to_vec()
        };
        for ((_, with), (name, without)) in flows_given(d, g).iter().zip(&flows(d)) {
            assert_eq!(first(with, 0.1), first(with, 0.9), "{name}");
            assert_ne!(first(without, 0.1), first(without, 0.9), "{name}");
            assert!(without.given(&vec![0.0; g]).is_err());
        }
    }
}

/// Checks ∇ log q against central differences of log q by slope, for flows without corners.
#[test]
fn scores() {
    for d in DIMENSIONS {
        for (name, flow) in flows::<f64>(d).into_iter().filter(|(name, _)| name.starts_with("affine")) {
            let x = flow.sample_block(20, 2, 0);
            let v: Matrix = normal_matrix(3, Purpose::Check, 9, 20, d);
            let score = |x: &Matrix| {
                let (mut l, mut s) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), d));
                flow.evaluate_into(x, &mut l, &mut s);
                s
            };
            let check = check_score(|x| flow.log_density(x), score, &x, &v).unwrap();
            assert!(check.passed(), "{name}, d = {d}: {check}");
        }
    }
}

/// Checks the recursion of T12 for the score, layer by layer: the score at y = T(x) pushed forward from a standard normal law of x is
/// ∇ (log φ(T⁻¹y) + log |det DT⁻¹(y)|) by reverse mode through the inverse, within 1e4 ε (1 + ‖(DT)⁻¹‖)² of its size; that whole flows have
/// the log q and the score of their inverse road at their own samples; and that the law bites: the score of x itself is far off.
#[test]
fn scores_by_recursion() {
    for d in DIMENSIONS {
        for (unit, (name, layer)) in layers(d).iter().enumerate() {
            // not the points on the ends of splines, where the score jumps
            let (p, x) = (random_parameters::<f64>(layer, unit as u64), points::<f64>(d, 200 + unit as u64));
            let (x, conditions) = (x.slice_rows(4..60), &conditions(layer, &p, &x, true)[4..]);
            let tape = Tape::new();
            let p: Vec<_> = p.iter().map(|m| tape.leaf(m)).collect();
            let x = tape.leaf(&x);
            let (y, score) = layer.forward_with_score(&p, x, -x);
            let back = layer.inverse(&p, y.points);
            let log_q = back.points.square().row_sums() * -0.5 + back.log_det.broadcast_to((x.shape().0, 1));
            let exact = tape.gradient(log_q, &[y.points])[0].value();
            assert_eq!(layer.forward(&p, x).points.value(), y.points.value(), "{name}, d = {d}");
            let far = agree(&score.value(), &exact, |i| 1e4 * f64::EPSILON * (1.0 + conditions[i]).powi(2));
            assert!(far.is_none(), "{name}, d = {d}: {far:?}");
            let control = agree(&(-x).value(), &exact, |_| 1e-3);
            assert!(control.is_some(), "{name}, d = {d}: the layer leaves the score alone");
        }
        for (name, flow) in flows::<f64>(d) {
            let tape = Tape::new();
            let p: Vec<_> = flow.parameters.iter().map(|m| tape.parameter(m)).collect();
            let at = flow.forward_with_score(&p, tape.leaf(&points::<f64>(d, 300).slice_rows(4..60)));
            let log_q = flow.log_density_of(&p, at.points);
            let exact = tape.gradient(log_q, &[at.points])[0].value();
            // conditions of four couplings and three layers stay below 1e4
            let far =
                agree(&at.score.value(), &exact, |_| 1e-8).or(agree(&at.log_density.value(), &log_q.value(), |_| 1e-8));
            assert!(far.is_none(), "{name}, d = {d}: {far:?}");
        }
    }
}

/// The first row of `a` that is farther from that of `b` than `tolerance` times (1 + its size): (row, distance, size).
fn agree(a: &Matrix, b: &Matrix, tolerance: impl Fn(usize) -> f64) -> Option<(usize, f64, f64)> {
    let size = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>().sqrt();
    let one = |i: usize| {
        let apart: Vec<f64> = a.row(i).iter().zip(b.row(i)).map(|(a, b)| a - b).collect();
        (i, size(&apart), size(b.row(i)))
    };
    (0..a.rows()).map(one).find(|&(i, apart, size)| apart.is_nan() || apart > tolerance(i) * (1.0 + size))
}

/// Checks that log q of samples agrees between precisions (f32 to 2e-3: a thousand roundings), that the same bits come from 1 and 3
/// threads, and that blocks differ.
#[test]
fn precision_threads_and_blocks() {
    for (name, flow) in flows::<f32>(2) {
        let (x, log_q) = flow.sample_with_log_density(700, 4, 1);
        let double = flow.cast::<f64>().log_density(&x);
        let far = log_q.iter().zip(&double).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max);
        assert!(far < 2e-3, "{name}: {far:e}");
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| flow.sample_with_log_density(700, 4, 1)), (x.clone(), log_q.clone()), "{name}");
        }
        assert_ne!(flow.sample_block(700, 4, 2), x);
        assert_eq!(flow.parameter_names().len(), flow.parameters.len());
    }
}
