//! Lesson 12: no density at all, only 400 samples of a ring. Particles follow the gradient of the Sinkhorn divergence, and that of
//! the energy distance (an MMD), to the data. The judge are samples of the ring that nobody has seen; the floor is how far two
//! such samples are from each other.
//!
//! Run: `cargo run --release --example 12_sinkhorn_from_data`

use pushforward::Result;
use pushforward::density::{Target, WeightedSamples};
use pushforward::linalg::Matrix;
use pushforward::metric::{energy_distance, wasserstein2};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;

const N: usize = 400;

/// Samples of a ring of radius 2 and width 0.15, three quarters of them on its right half.
fn ring(seed: u64) -> Matrix {
    let z: Matrix = normal_matrix(seed, Purpose::Check, 0, N, 3);
    Matrix::from_fn(N, 2, |i, j| {
        let side = if i % 4 == 0 { -1.0 } else { 1.0 };
        // z/|z| is uniform on the circle, its first coordinate turned to the side
        let (a, b) = (side * z[(i, 0)].abs(), z[(i, 1)]);
        (2.0 + 0.15 * z[(i, 2)]) * if j == 0 { a } else { b } / a.hypot(b)
    })
}

fn main() -> Result<()> {
    let data = Target::of_samples(WeightedSamples { points: ring(1), log_weights: None, labels: None });
    let (unseen, other) = (ring(2), ring(3));
    let floor = wasserstein2(&unseen, &other).distance;
    println!("W2 of two samples of {N}: {floor:.3}");
    let start: Matrix = normal_matrix(4, Purpose::Particles, 0, N, 2);
    for velocity in ["sinkhorn", "mmd"] {
        let method = Method::of("particles", velocity, "kde", &data)?.with("velocity.points", 0u64)?;
        // T(x) - x is the whole way; the pull of the energy distance has a length of at most 2
        let (dt, steps) = if velocity == "mmd" { (0.05, 400u64) } else { (0.2, 50) };
        let method = method.with("model.dt", dt)?.with("run.steps", steps)?;
        let mut run = method.start(&data, Some(start.clone()))?;
        let before = wasserstein2(&start, &unseen).distance;
        run.finish()?;
        let x = run.sample(N, 0, 0);
        let (after, energy) = (wasserstein2(&x, &unseen).distance, energy_distance(&x, &unseen));
        let right = x.iter_rows().filter(|r| r[0] > 0.0).count() as f64 / N as f64;
        println!("{velocity:<9} W2 {before:.3} -> {after:.3}; share on the right {right:.3} (3/4)");
        // the energy distance falls slowly at its end
        let limit = if velocity == "mmd" { 2.5 } else { 1.5 };
        assert!(after < limit * floor && before > 5.0 * floor, "{velocity}: {after}, {floor}");
        assert!((right - 0.75).abs() < 0.05 && energy.unbiased.abs() < 0.01, "{velocity}: {right}, {energy:?}");
    }
    println!("lesson 12 holds");
    Ok(())
}
