//! Lesson 14: velocities by kernels, where the answer is known. Stein's velocity with the kernel xy + 1 turns the variance of a
//! centred cloud under N(0, 1) into v(t) = 1/(1 + (1/v₀ - 1) e^{-2t}); the Riesz kernel with s = 1 carries particles on a circle
//! on straight lines to equal distances, x_i(t) = x̄ + y_i + (x_i(0) - x̄ - y_i) e^{-t} with y_i = (2i - N - 1)/2N (T27).
//!
//! Run: `cargo run --release --example 14_kernels`

use pushforward::Result;
use pushforward::density::{Domain, GaussianMixture, Harmonic, Target, TorusDensity};
use pushforward::linalg::Matrix;
use pushforward::num::mean;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use std::sync::Arc;

/// E x², the variance of a cloud with mean 0.
fn square(x: &Matrix) -> f64 {
    mean(&x.as_slice().iter().map(|x| x * x).collect::<Vec<f64>>())
}

fn moved(target: &Target, method: Method, start: &Matrix) -> Result<Matrix> {
    let method = method.with("model.stepper", "rk4")?.with("model.dt", 0.01)?.with("run.steps", 100u64)?;
    let mut run = method.start(target, Some(start.clone()))?;
    run.finish()?;
    Ok(run.sample(start.rows(), 0, 0))
}

fn main() -> Result<()> {
    let decay = f64::exp(-1.0);
    let normal = GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[[0.0]]), 1.0)?;
    let target = Target::of(Arc::new(normal));
    let z: Matrix = normal_matrix(1, Purpose::Particles, 0, 200, 1);
    for v in [0.1, 4.0] {
        // z and -z together have mean 0
        let both = Matrix::from_fn(400, 1, |i, _| if i < 200 { z[(i, 0)] } else { -z[(i - 200, 0)] });
        let scale = (v / square(&both)).sqrt();
        let method = Method::of("particles", "stein", "kde", &target)?.with("velocity.kernel", "linear")?;
        let found = square(&moved(&target, method, &both.map(|z| scale * z))?);
        let exact = 1.0 / (1.0 + (1.0 / v - 1.0) * decay * decay);
        println!("Stein, linear kernel: variance {v} -> {found:.6}; closed form {exact:.6}");
        assert!((found - exact).abs() < 1e-6 * exact);
    }

    let flat = Harmonic { frequency: vec![1], cosine: 0.0, sine: 0.0 };
    let circle = Arc::new(TorusDensity::new(vec![1.0], vec![flat])?);
    let target = Target { domain: Domain::Torus(vec![1.0]), ..Target::of(circle) };
    let n = 20;
    let start = Matrix::from_fn(n, 1, |i, _| 0.4 + 0.2 * (i as f64 / n as f64).powi(2));
    let centre = start.column_means()[0];
    let x = moved(&target, Method::of("particles", "riesz", "kde", &target)?.with("velocity.order", 1.0)?, &start)?;
    let line = |i: usize| {
        let y = (2.0 * i as f64 + 1.0 - n as f64) / (2.0 * n as f64);
        centre + y + (start[(i, 0)] - centre - y) * decay
    };
    let gap = (0..n).map(|i| (x[(i, 0)] - line(i)).abs()).fold(0.0, f64::max);
    println!("Riesz, s = 1: {n} particles on straight lines, at t = 1 within {gap:.1e}");
    assert!(gap < 1e-8);
    println!("lesson 14 holds");
    Ok(())
}
