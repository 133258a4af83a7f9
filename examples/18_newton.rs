//! Lesson 18: curvature. Half the squared MMD to samples of two far modes is flat where all particles sit at one of them: its
//! gradient hardly pulls. A saddle-free Newton step divides by (H² + ε)^{1/2}, so that the rate does not depend on the depth
//! (T29): in the same number of steps it gets much further than the gradient alone.
//!
//! Run: `cargo run --release --example 18_newton`

use pushforward::Result;
use pushforward::density::{GaussianMixture, Target, WeightedSamples};
use pushforward::linalg::Matrix;
use pushforward::metric::mmd2;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;

fn main() -> Result<()> {
    let p = GaussianMixture::isotropic(&[0.5, 0.5], Matrix::from_rows(&[[-1.5], [1.5]]), 0.4)?;
    let draw = |seed| pushforward::density::Density::sample(&p, 300, seed).expect("exact sampler");
    // Newton draws its own samples of p, the flow of the MMD takes these
    let samples = Some(WeightedSamples { points: draw(1), log_weights: None, labels: None });
    let data = Target { samples, ..Target::of(std::sync::Arc::new(p.clone())) };
    let start = normal_matrix::<f64>(2, Purpose::Particles, 0, 60, 1).map(|z| -1.5 + 0.1 * z);
    let (unseen, steps) = (draw(3), 30u64);
    let distance = |x: &Matrix| mmd2(x, &unseen, 1.0).map(|m| m.biased);
    let floor = mmd2(&draw(4).slice_rows(0..60), &unseen, 1.0)?.biased;
    println!("MMD² of 60 samples: {floor:.4}; at the start {:.4}", distance(&start)?);
    let mut found = Vec::new();
    for velocity in ["mmd", "newton"] {
        let method = Method::of("particles", velocity, "kde", &data)?.with("run.steps", steps)?;
        let method = match velocity {
            "mmd" => method.with("velocity.kernel", "gaussian")?.with("velocity.width", 1.0)?.with("model.dt", 1.0)?,
            _ => method.with("velocity.sigma", 1.0)?.with("velocity.samples", 300u64)?,
        };
        let mut run = method.start(&data, Some(start.clone()))?;
        run.finish()?;
        let x = run.sample(60, 0, 0);
        let right = x.as_slice().iter().filter(|x| **x > 0.0).count();
        found.push(distance(&x)?);
        println!(
            "{velocity:<7} after {steps} steps: MMD² {:.4}, {right} of 60 at the other mode",
            found[found.len() - 1]
        );
    }
    assert!(found[1] < 2.0 * floor && found[1] < 0.5 * found[0], "{found:?}, {floor}");
    println!("lesson 18 holds");
    Ok(())
}
