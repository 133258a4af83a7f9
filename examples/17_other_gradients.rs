//! Lesson 17: other functionals and other prices of a step, each beside its closed form on the line. The Fisher divergence to
//! N(0, 1) turns the variance v of a Gaussian by v² = 1 + (v₀² - 1) e^{-4t} (T33). Where a step f costs |f|⁴/4 (a Young function), a
//! constant field takes a mean to 0 in the time 3/2 m₀^{2/3}. Two targets N(±1, 1) are followed by the shortest combination of
//! both pulls: the mean stops at the first place where no direction lowers both divergences, 1 + (m₀ - 1) e^{-t} (T30).
//!
//! Run: `cargo run --release --example 17_other_gradients`

use pushforward::Result;
use pushforward::density::{Density, GaussianMixture, Target};
use pushforward::linalg::Matrix;
use pushforward::num::mean;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use std::sync::Arc;

fn normal(m: f64) -> Result<Arc<dyn Density>> {
    Ok(Arc::new(GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[[m]]), 1.0)?))
}

fn mean_and_variance(x: &[f64]) -> [f64; 2] {
    let m = mean(x);
    [m, mean(&x.iter().map(|x| (x - m).powi(2)).collect::<Vec<f64>>())]
}

/// Mean and variance at `time` of particles that start with mean m and variance v.
fn moments(target: &Target, method: Method, [m, v]: [f64; 2], time: f64) -> Result<[f64; 2]> {
    let z: Matrix = normal_matrix(1, Purpose::Particles, 0, 400, 1);
    let [centre, square] = mean_and_variance(z.as_slice());
    let start = z.map(|z| m + (v / square).sqrt() * (z - centre));
    let method = method.with("model.dt", time / 400.0)?.with("model.stepper", "rk4")?.with("run.steps", 400u64)?;
    let mut run = method.start(target, Some(start))?;
    run.finish()?;
    Ok(mean_and_variance(run.sample(400, 0, 0).as_slice()))
}

fn main() -> Result<()> {
    let one = Target::of(normal(0.0)?);
    let method = Method::of("particles", "fisher", "affine", &one)?;
    let (v, t) = (0.5, 0.3);
    let found = moments(&one, method, [1.0, v], t)?;
    let exact = [f64::exp(-t), (1.0 + (v * v - 1.0) * f64::exp(-4.0 * t)).sqrt()];
    println!("fisher      mean and variance {found:.4?}; closed form {exact:.4?}");
    assert!((0..2).all(|k| (found[k] - exact[k]).abs() < 1e-3));

    let method = Method::of("particles", "functional", "kde", &one)?.with("velocity.field", "constants")?;
    let found = moments(&one, method.with("velocity.p", 4.0)?, [1.0, 1.0], 0.75)?;
    let exact = 0.5f64.powf(1.5); // m^{2/3} falls by 2/3 a unit of time
    println!("functional  mean {:.4}; closed form {exact:.4}", found[0]);
    assert!((found[0] - exact).abs() < 1e-3 && (found[1] - 1.0).abs() < 1e-9);

    let two = Target { densities: vec![normal(-1.0)?, normal(1.0)?], ..Target::default() };
    let method = Method::of("particles", "multi", "affine", &two)?.with("velocity.metric", "l2")?;
    let found = moments(&two, method, [3.0, 1.0], 2.0)?;
    let exact = 1.0 + 2.0 * f64::exp(-2.0);
    println!("multi       mean {:.4}; closed form {exact:.4}", found[0]);
    assert!((found[0] - exact).abs() < 1e-3);
    println!("lesson 17 holds");
    Ok(())
}
