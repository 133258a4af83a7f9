//! Two dimensions: the slope of s = 2, and particles against the spectral density.

use crate::spectral::Plane;
use crate::{moved, riesz, uniform};
use pushforward::linalg::Matrix;
use pushforward::num::fit_line;
use pushforward::rng::{Purpose, fill_uniform, normal_matrix, stream};
use std::f64::consts::TAU;

/// Checks the polynomial rate of s = 2 on the torus, ‖ρ - 1‖ ~ t^{-(a - 1)/(2s - 2)} where |ĥ₀(n)| = |n|^{-a}: slopes -½ and -¾ for a = 2 and 2.5 on t in
/// [100, 400], to 10 %. The sum of the linear flow over the 21 waves kept a side has -0.505 and -0.746 there.
#[test]
fn polynomial_rate() {
    let plane = Plane::new(64, 2.0);
    let phases: Matrix = normal_matrix(12, Purpose::Check, 0, 64 * 64, 1);
    for (a, expected) in [(2.0, -0.5), (2.5, -0.75)] {
        let mut rho = plane.run(&plane.rough(a, 0.2, |k| TAU * phases[(k, 0)]), &[], 5.0, 20).0;
        let (mut x, mut y) = (Vec::new(), Vec::new());
        // equal pieces of log t
        for k in 0..=12 {
            let (t, next) = (100.0 * 4f64.powf(f64::from(k) / 12.0), 100.0 * 4f64.powf(f64::from(k + 1) / 12.0));
            x.push(t.ln());
            y.push((rho.iter().map(|r| (r - 1.0).powi(2)).sum::<f64>() / rho.len() as f64).sqrt().ln());
            let steps = ((next - t) / 8.0).ceil();
            rho = plane.run(&rho, &[], (next - t) / steps, steps as usize).0;
        }
        let found = fit_line(&x, &y).unwrap().slope;
        println!("a = {a}: slope {found}, predicted {expected}");
        assert!((found / expected - 1.0).abs() < 0.1, "a = {a}: {found}");
    }
}

/// ‖ρ_N - ρ‖² in H^{-2} over |n_j| ≤ 6, of particles and of a density's coefficients.
fn squared(x: &Matrix, density: &[([i64; 2], [f64; 2])]) -> f64 {
    let one = |([i, j], c): &([i64; 2], [f64; 2])| {
        let mut sum = [-c[0], -c[1]];
        for p in x.iter_rows() {
            let (sin, cos) = (TAU * (*i as f64 * p[0] + *j as f64 * p[1])).sin_cos();
            sum = [sum[0] + cos / x.rows() as f64, sum[1] - sin / x.rows() as f64];
        }
        2.0 * (TAU * (*i as f64).hypot(*j as f64)).powi(-4) * (sum[0] * sum[0] + sum[1] * sum[1])
    };
    density.iter().map(one).sum()
}

/// Checks N = 100 … 3,200 independent particles with s = 2 against the spectral density at t = 20 in H^{-2}, four draws each: at t = 0 the mean of the
/// squared distance is (1/N) Σ |k|^{-4} (1 - |ρ̂(k)|²), and at t = 20 the distance falls like N^{-1/2} still. The eight waves of length 1 decide, so
/// a square has a relative deviation near ½: the mean ratio of 24 is 1 within 0.4 and the slope -½ within 0.17, four deviations each.
#[test]
fn particles_follow_the_density() {
    let plane = Plane::new(64, 2.0);
    let rho = |x: f64, y: f64| 1.0 + 0.3 * (TAU * x).cos() * (TAU * y).sin() + 0.2 * (TAU * (x + y)).cos();
    let start = plane.sampled(rho);
    let end = plane.run(&start, &[], 2.0, 10).0;
    let half: Vec<[i64; 2]> =
        (-6..=6).flat_map(|i| (0..=6).map(move |j| [i, j])).filter(|n| n[1] > 0 || n[0] > 0).collect();
    let spectrum = |rho: &[f64]| half.iter().map(|n| (*n, plane.coefficient(rho, *n))).collect::<Vec<_>>();
    let (first, last) = (spectrum(&start), spectrum(&end));
    let variance: f64 = first
        .iter()
        .map(|([i, j], c)| 2.0 * (TAU * (*i as f64).hypot(*j as f64)).powi(-4) * (1.0 - c[0] * c[0] - c[1] * c[1]))
        .sum();
    let (mut ratios, mut sizes, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for n in [100usize, 200, 400, 800, 1600, 3200] {
        let mut sum = 0.0;
        for draw in 0..4u64 {
            let mut u = vec![0.0; 3 * 4 * n];
            fill_uniform(&mut stream(13, Purpose::Check, (n as u64) << 8 | draw), &mut u);
            let kept = u.chunks_exact(3).filter(|u| 1.5 * u[2] < rho(u[0], u[1])).take(n);
            let x = Matrix::from_vec(n, 2, kept.flat_map(|u| [u[0], u[1]]).collect());
            ratios.push(squared(&x, &first) * n as f64 / variance);
            let period = [1.0, 1.0];
            let x = moved(&x, riesz(uniform(&period), &period, 2.0, 6), &period, "rk4", 4.0, 5);
            sum += squared(&x, &last) / 4.0;
        }
        sizes.push((n as f64).ln());
        errors.push(0.5 * sum.ln());
        println!("N = {n}: {:.3e} at t = 20", sum.sqrt());
    }
    let (ratio, slope) = (ratios.iter().sum::<f64>() / 24.0, fit_line(&sizes, &errors).unwrap().slope);
    println!("ratio at t = 0: {ratio}, slope at t = 20: {slope}");
    assert!((ratio - 1.0).abs() < 0.4 && (slope + 0.5).abs() < 0.17, "{ratio} {slope}");
}
