//! Laws of frames, x = c + L y: round trips, Jacobian, scores, composition, images of mixtures, up to a condition of 1e10.

use pushforward::Error;
use pushforward::density::{Affine, Density, GaussianMixture, Standardised, by_name};
use pushforward::linalg::{Matrix, SymmetricEigen, gemm, log_abs_det, solve_lower_rows};
use pushforward::rng::{Purpose, normal_matrix};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Σ_k λ_k v_k v_kᵀ with λ geometric from 10^(-e/2) to 10^(e/2) and random orthonormal v_k.
fn covariance(d: usize, e: i32) -> Matrix {
    let a: Matrix = normal_matrix(5, Purpose::Check, e as u64, d, d);
    let mut gram = Matrix::zeros(d, d);
    gemm(1.0, a.view(), a.t(), 0.0, &mut gram);
    let v = SymmetricEigen::of(&symmetric(&gram), "random").unwrap().vectors;
    let power = |k: usize| f64::from(e) * (k as f64 / (d - 1) as f64 - 0.5);
    let entry = |i: usize, j: usize| (0..d).map(|k| 10f64.powf(power(k)) * v[(k, i)] * v[(k, j)]).sum();
    symmetric(&Matrix::from_fn(d, d, entry))
}

fn symmetric(a: &Matrix) -> Matrix {
    Matrix::from_fn(a.rows(), a.rows(), |i, j| a[(i.max(j), i.min(j))])
}

/// N(m, C) with a C of condition 10^e, and its frame with the full factor.
fn gaussian(d: usize, e: i32) -> (GaussianMixture, Affine) {
    let mean: Matrix = normal_matrix(6, Purpose::Check, d as u64, 1, d);
    let p = GaussianMixture::new(&[1.0], mean.map(|v| 10.0 * v), vec![covariance(d, e)]).unwrap();
    let frame = Affine::from_parts(p.means().row(0).to_vec(), p.factors()[0].lower().clone()).unwrap();
    (p, frame)
}

const CASES: [(usize, i32); 6] = [(2, 0), (2, 10), (5, 4), (5, 10), (30, 7), (30, 10)];

/// |a|, entry by entry.
fn absolute(a: &Matrix) -> Matrix {
    a.map(f64::abs)
}

/// Checks that restore ∘ standardise is the identity to the backward error of a triangular solve and product, 4 (d + 2) ε (|L| |y| + |c|
/// + |x|) in each coordinate (Higham, Accuracy and Stability, theorem 8.5), and that the two maps of scores undo each other likewise.
#[test]
fn round_trips() {
    for (d, e) in CASES {
        let (p, frame) = gaussian(d, e);
        let x = p.sample(50, 3).unwrap();
        let (y, (centre, l)) = (frame.standardise(&x), frame.parts());
        let back = frame.restore(&y);
        let mut size = Matrix::zeros(50, d);
        gemm(1.0, absolute(&y).view(), absolute(&l).t(), 0.0, &mut size);
        for (i, j) in (0..50).flat_map(|i| (0..d).map(move |j| (i, j))) {
            let bound = 4.0 * (d + 2) as f64 * f64::EPSILON * (size[(i, j)] + centre[j].abs() + x[(i, j)].abs());
            assert!((back[(i, j)] - x[(i, j)]).abs() <= bound, "d = {d}, condition 1e{e}: {i}, {j}");
        }
        let score_y: Matrix = normal_matrix(9, Purpose::Check, 1, 50, d);
        let mut score_x = score_y.clone();
        frame.restore_score(score_x.as_mut_slice());
        let mut size = Matrix::zeros(50, d);
        gemm(1.0, absolute(&score_x).view(), absolute(&l).view(), 0.0, &mut size);
        let mut back = score_x;
        frame.standardise_score(&mut back);
        for k in 0..50 * d {
            let (found, exact) = (back.as_slice()[k], score_y.as_slice()[k]);
            let bound = 4.0 * (d + 2) as f64 * f64::EPSILON * (size.as_slice()[k] + exact.abs());
            assert!((found - exact).abs() <= bound, "score, d = {d}, condition 1e{e}: {found} {exact}");
        }
    }
}

/// Checks that log |det L| is that of the map's own Jacobian by LU, column j of which is restore(e_j) for centre 0 (exact: one product and
/// zeros), to d ε on each of the logarithms; that the scale is its d-th root; and that a composition is the product of the maps.
#[test]
fn jacobian_and_composition() {
    for (d, e) in CASES {
        let (_, frame) = gaussian(d, e);
        let linear = Affine::from_parts(vec![0.0; d], frame.parts().1).unwrap();
        let jacobian = linear.restore(&Matrix::<f64>::identity(d)).transpose();
        let (found, exact) = (frame.log_jacobian(), log_abs_det(&jacobian));
        let bound = 10.0 * (d * d) as f64 * f64::EPSILON * (1.0 + f64::from(e));
        assert!((found - exact).abs() <= bound, "{found} {exact}");
        assert!((frame.scale().ln() * d as f64 - exact).abs() <= bound);

        let outer = Affine::from_parts(vec![1.0; d], covariance_factor(d)).unwrap();
        let both = outer.after(&linear).unwrap();
        let y: Matrix = normal_matrix(2, Purpose::Check, 8, 20, d);
        let (one, two) = (both.restore(&y), outer.restore(&linear.restore(&y)));
        // both are products of d terms of at most this size
        let size =
            y.as_slice().iter().fold(1.0f64, |m, v| m.max(v.abs())) * 10f64.powf(0.5 * f64::from(e)) * (d * d) as f64;
        for (a, b) in one.as_slice().iter().zip(two.as_slice()) {
            assert!((a - b).abs() <= 40.0 * d as f64 * f64::EPSILON * size, "{a} {b}");
        }
        let sum = outer.log_jacobian() + linear.log_jacobian();
        assert!((both.log_jacobian() - sum).abs() <= bound);
    }
}

/// A well-conditioned lower factor.
fn covariance_factor(d: usize) -> Matrix {
    Matrix::from_fn(d, d, |i, j| {
        if i == j {
            1.5
        } else if i > j {
            0.3 / d as f64
        } else {
            0.0
        }
    })
}

/// Checks that N(c, L Lᵀ) is N(0, I) in its own frame, in log-density and score: the image of the mixture to 10 d ε, and the density
/// standardised point by point to what the rounding of x = c + L y costs, |L⁻¹| ε (|c| + |L| |y|) in units of y.
#[test]
fn a_gaussian_is_standard_in_its_frame() {
    for (d, e) in CASES {
        let (p, frame) = gaussian(d, e);
        let image = p.standardised(&frame).unwrap();
        let y: Matrix = normal_matrix(4, Purpose::Check, 2, 40, d);
        let standard = Standardised::new(Arc::new(p), frame.clone()).unwrap();
        let (mut l, mut s) = (vec![0.0; 40], Matrix::zeros(40, d));
        let (mut l_image, mut s_image) = (l.clone(), s.clone());
        standard.evaluate_into(&y, &mut l, &mut s);
        image.evaluate_into(&y, &mut l_image, &mut s_image);
        let (centre, factor) = frame.parts();
        let mut inverse = Matrix::identity(d);
        solve_lower_rows(&factor, &mut inverse); // rows L⁻¹ e_i: the transpose of L⁻¹
        for i in 0..40 {
            let row = y.row(i);
            let rounding: Vec<f64> = (0..d)
                .map(|a| (0..=a).map(|b| (factor[(a, b)] * row[b]).abs()).sum::<f64>() + centre[a].abs())
                .collect();
            let loss: Vec<f64> =
                (0..d).map(|a| (0..d).map(|b| inverse[(b, a)].abs() * rounding[b]).sum::<f64>()).collect();
            // the score is C⁻¹(x - m) = L⁻ᵀ of a vector with that loss, times Lᵀ
            let worst = loss.iter().fold(1.0f64, |m, v| m.max(*v));
            let exact = -0.5 * row.iter().map(|v| v * v).sum::<f64>() - 0.5 * d as f64 * TAU.ln();
            let bound = 20.0 * d as f64 * f64::EPSILON * worst * 5.0 * d as f64;
            assert!((l[i] - exact).abs() <= bound, "d = {d}, condition 1e{e}: {} {exact}", l[i]);
            assert!((l_image[i] - exact).abs() <= 1e-11, "d = {d}, condition 1e{e}: {} {exact}", l_image[i]);
            for j in 0..d {
                assert!((s_image[(i, j)] + row[j]).abs() <= 1e-11, "image: {} {}", s_image[(i, j)], row[j]);
                // two more triangular products with the factor amplify the loss by its condition where it is not diagonal
                let bound = bound * 10f64.powf(0.5 * f64::from(e)).min(1e3);
                assert!((s[(i, j)] + row[j]).abs() <= bound, "d = {d}, 1e{e}: {} {}", s[(i, j)], row[j]);
            }
        }
    }
}

/// Checks that smoothing in a full frame is isotropic in y: the mixture's closed form, covariance L⁻¹ C L⁻ᵀ + h² I, and none for other
/// densities, whose blur in x would not be isotropic.
#[test]
fn smoothing_in_a_frame_is_isotropic_in_its_units() {
    let (p, frame) = gaussian(3, 6);
    let standard = Standardised::new(Arc::new(p), frame).unwrap();
    let smoothed = standard.smoothed(0.5).unwrap();
    let c = &smoothed.mixture().unwrap().covariances()[0];
    for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
        let exact = if i == j { 1.25 } else { 0.0 };
        assert!((c[(i, j)] - exact).abs() < 1e-12, "{c:?}");
    }
    let full = Affine::from_parts(vec![0.0; 2], Matrix::from_rows(&[[1.0, 0.0], [0.5, 2.0]])).unwrap();
    assert!(Standardised::new(by_name("banana").unwrap(), full).unwrap().smoothed(0.5).is_none());
}

/// Checks the rule: the mixtures of the registry keep one scale, the root of the mean variance to the last bit; a covariance of condition
/// 10,000 gets its Cholesky factor, so that it is the identity in the frame to 1e-12; and so do particles.
#[test]
fn one_scale_below_a_condition_of_100() {
    for name in ["gmm9", "gmm9u", "gmm40", "ring8"] {
        let p = by_name(name).unwrap();
        let mixture = p.mixture().unwrap();
        let c = mixture.covariance();
        let scale = ((c[(0, 0)] + c[(1, 1)]) / 2.0).sqrt();
        assert_eq!(Affine::of_mixture(mixture).one_scale(), Some(scale), "{name}");
        assert!(Affine::of_particles(&p.sample(2000, 0).unwrap()).unwrap().one_scale().is_some(), "{name}");
    }
    let (p, _) = gaussian(4, 4);
    let frame = Affine::of_mixture(&p);
    assert_eq!(frame.one_scale(), None);
    let c = p.standardised(&frame).unwrap().covariance();
    assert!((0..16).all(|k| (c.as_slice()[k] - f64::from(k % 5 == 0)).abs() < 1e-12), "{c:?}");
    let x = p.sample(5000, 1).unwrap();
    let y = Affine::of_particles(&x).unwrap().standardise(&x).column_covariance();
    assert!((0..16).all(|k| (y.as_slice()[k] - f64::from(k % 5 == 0)).abs() < 1e-9), "{y:?}");
}

/// Checks that the parts make the same map, also where the factor is one scale, and that each bad part is refused with its place.
#[test]
fn parts() {
    for frame in [Affine::new(vec![1.0, -2.0, 0.5], 0.1).unwrap(), gaussian(3, 5).1] {
        let (centre, factor) = frame.parts();
        assert_eq!(Affine::from_parts(centre.to_vec(), factor).unwrap(), frame);
    }
    let message = |factor: [[f64; 2]; 2]| match Affine::from_parts(vec![0.0, 0.0], Matrix::from_rows(&factor)) {
        Err(e) => e.to_string(),
        Ok(frame) => panic!("{frame:?}"),
    };
    assert!(message([[1.0, 0.5], [0.0, 1.0]]).starts_with("entry (0, 1) of the frame's factor = 0.5"));
    assert!(message([[1.0, 0.0], [f64::NAN, 1.0]]).starts_with("entry (1, 0) of the frame's factor = NaN"));
    assert!(message([[1.0, 0.0], [2.0, 0.0]]).starts_with("entry (1, 1) of the frame's factor = 0"));
    assert!(message([[-1.0, 0.0], [2.0, 1.0]]).starts_with("entry (0, 0) of the frame's factor = -1"));
    let wrong = Affine::from_parts(vec![0.0; 3], Matrix::identity(2));
    assert!(matches!(wrong, Err(Error::Dimension { expected: 3, found: 2, .. })));
    assert!(Affine::from_parts(vec![f64::INFINITY, 0.0], Matrix::identity(2)).is_err());
    assert!(Affine::from_parts(vec![], Matrix::zeros(0, 0)).is_err());
}
