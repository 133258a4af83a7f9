//! Lesson 15: what an accept step is for. Unadjusted Langevin steps x ← x + dt ∇log p + √(2dt) ξ are linear for N(0, 1): they rest at
//! variance 1/(1 - dt/2), too wide by a share of dt/2. Metropolis's test (MALA) removes that at every dt, and costs refusals.
//!
//! Run: `cargo run --release --example 15_langevin`

use pushforward::Result;
use pushforward::density::{GaussianMixture, Target};
use pushforward::linalg::Matrix;
use pushforward::num::variance;
use pushforward::run::Method;
use std::sync::Arc;

const N: usize = 40_000;

fn main() -> Result<()> {
    let normal = GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[[0.0]]), 1.0)?;
    let target = Target::of(Arc::new(normal));
    println!("  dt    ula      1/(1 - dt/2)   mala     1");
    for dt in [0.1, 0.4, 0.8] {
        let stationary = |velocity: &str| -> Result<f64> {
            let method = Method::of("particles", velocity, "kde", &target)?
                .with("model.particles", N as u64)?
                .with("model.start", "gaussian")?
                .with("model.dt", dt)?
                .with("run.steps", (8.0 / dt) as u64)?;
            let mut run = method.start(&target, None)?;
            run.finish()?;
            Ok(variance(run.sample(N, 0, 0).as_slice()))
        };
        let (ula, mala) = (stationary("ula")?, stationary("mala")?);
        let wide = 1.0 / (1.0 - 0.5 * dt);
        println!("{dt:5.1} {ula:8.4} {wide:12.4} {mala:10.4}");
        // the variance of N independent normals has the relative error √(2/N)
        let error = (2.0 / N as f64).sqrt();
        assert!((ula / wide - 1.0).abs() < 4.0 * error, "dt = {dt}: {ula}, {wide}");
        assert!((mala - 1.0).abs() < 4.0 * error, "dt = {dt}: {mala}");
        assert!((ula - 1.0).abs() > 4.0 * error, "dt = {dt}: the bias is seen");
    }
    println!("lesson 15 holds");
    Ok(())
}
