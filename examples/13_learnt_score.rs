//! Lesson 13: a score that is learnt from the particles themselves. Under reverse KL the drift towards N(0, 1) takes N(m, s²) to
//! mean m e^{-t} and variance 1 + (s² - 1) e^{-2t} (T3). The affine estimate of q is exact for Gaussians and follows that; a
//! network trained by score matching, a few steps in each step of time, knows nothing of Gaussians and follows it as well.
//!
//! Run: `cargo run --release --example 13_learnt_score`

use pushforward::Result;
use pushforward::density::{GaussianMixture, Target};
use pushforward::linalg::Matrix;
use pushforward::num::{mean, variance};
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use std::sync::Arc;

fn main() -> Result<()> {
    let normal = GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[[0.0]]), 1.0)?;
    let target = Target::of(Arc::new(normal));
    let (n, m, s, time, steps) = (1000, 2.0, 0.5, 1.0, 100u64);
    // a cloud with these moments exactly
    let z: Matrix = normal_matrix(1, Purpose::Particles, 0, n, 1);
    let (centre, width) = (mean(z.as_slice()), variance(z.as_slice()).sqrt());
    let start = z.map(|z| m + s * (z - centre) / width);
    let t = time;
    let exact = [m * f64::exp(-t), 1.0 + (s * s - 1.0) * f64::exp(-2.0 * t)];
    println!("t = {t}: mean {:.4}, variance {:.4} by the closed form", exact[0], exact[1]);
    // Heun's error at this dt is below 1e-4; a learnt score of a thousand particles is off by some hundredths
    for (estimator, tolerance) in [("affine", 1e-3), ("score", 0.06)] {
        let method = Method::of("particles", "drift", estimator, &target)?
            .with("model.dt", time / steps as f64)?
            .with("model.stepper", "heun")?
            .with("run.steps", steps)?;
        let mut run = method.start(&target, Some(start.clone()))?;
        run.finish()?;
        let x = run.sample(n, 0, 0);
        let found = [mean(x.as_slice()), variance(x.as_slice())];
        println!("{estimator:<7} mean {:.4}, variance {:.4}", found[0], found[1]);
        for (found, exact) in found.iter().zip(exact) {
            assert!((found - exact).abs() < tolerance, "{estimator}: {found}, {exact}");
        }
    }
    // without the score of q, particles gather at the mode: the variance falls instead
    let pulled = s * s * f64::exp(-2.0 * t);
    println!("by the score of p alone the variance would be {pulled:.4}");
    assert!(exact[1] > 10.0 * pulled);
    println!("lesson 13 holds");
    Ok(())
}
