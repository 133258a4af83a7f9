//! Lesson 6: the cure (T11). Blur the target by the same h as the model: V_h = φ_h ∗ (w(r_h) ∇ log r_h), r_h = p∗φ_h / q∗φ_h.
//! The smoothing bias cancels, and the only fixed point with a density is q = p, at every bandwidth: also where the unmatched
//! drift of lesson 5 stops at s² - h² or, for h ≥ s, collapses to a point like s⁴/(2t).
//!
//! Run: `cargo run --release --example 06_smoothed_drift`

use pushforward::Result;
use pushforward::density::{Density, Domain, GaussianMixture, evaluate};
use pushforward::divergence::ReverseKl;
use pushforward::estimate::{Kde, KernelSettings};
use pushforward::linalg::Matrix;
use pushforward::model::{Particles, ParticlesSettings};
use pushforward::num::variance;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Run;
use pushforward::velocity::UniversalDrift;
use std::sync::Arc;

const PARTICLES: usize = 400;
const STEPS: u64 = 300;
const STEP: f64 = 0.05;

fn main() -> Result<()> {
    let target: Arc<dyn Density> = Arc::new(GaussianMixture::standard(1)?);
    let start: Matrix = normal_matrix(1, Purpose::Particles, 0, PARTICLES, 1);
    println!("target variance 1; after time {}:", STEP * STEPS as f64);
    println!("  h    unmatched      (1 - h²)      matched   (1)");
    for h in [0.3, 0.5, 0.8, 1.0] {
        let mut unmatched = start.clone();
        for _ in 0..STEPS {
            let mut v = evaluate(&*target, &unmatched)?.score;
            v.add_scaled(-1.0, &Kde::new(&unmatched, h)?.evaluate(&unmatched).score);
            unmatched.add_scaled(STEP, &v);
        }
        // the library's field: both sides blurred, evaluated at a jittered point, the same h for all
        let kernel = KernelSettings { bandwidth_start: h, bandwidth_end: h, neighbours: 0.0, ..Default::default() };
        let drift = UniversalDrift::smoothed(Arc::clone(&target), Arc::new(ReverseKl), kernel);
        let settings = ParticlesSettings { dt: STEP, ..Default::default() };
        let particles = Particles::new(start.map(|x| 1.5 * x), Domain::Euclidean, settings)?;
        let mut run = Run::new(Box::new(particles), Box::new(drift), STEPS, 1)?;
        run.finish()?;
        let (wrong, right) = (variance(unmatched.as_slice()), variance(run.sample(PARTICLES, 0, 0).as_slice()));
        println!("{h:4.1} {wrong:10.3} {:13.3} {right:12.3}", 1.0 - h * h);
        // three standard deviations of the variance of 400 independent draws, √(2/400) each
        let noise = 3.0 * (2.0 / PARTICLES as f64).sqrt();
        assert!((right - 1.0).abs() < noise, "h = {h}: matched {right}");
        assert!((wrong - (1.0 - h * h)).abs() < 0.05, "h = {h}: unmatched {wrong}");
    }
    println!("lesson 6 holds");
    Ok(())
}
