//! Lesson 8: a divergence of your own, two ways: from its weight w = r² f''(r) alone, or written out as a function of l = log r.
//! Here χ²(p‖q) + χ²(q‖p): f(u) = (u-1)²(u+1)/u, w = 2(r² + 1/r). `check` tests the formulas against each other by quadrature
//! and by the slope of differences; whatever the weight, the fixed point is p (T2, T11).
//!
//! Run: `cargo run --release --example 08_your_own_divergence`

use pushforward::Result;
use pushforward::density::{Domain, GaussianMixture};
use pushforward::divergence::{Custom, Divergence, check};
use pushforward::estimate::KernelSettings;
use pushforward::linalg::Matrix;
use pushforward::model::{Particles, ParticlesSettings};
use pushforward::num::Summary;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Run;
use pushforward::velocity::{LogRatioClip, UniversalDrift};
use std::sync::Arc;

struct SymmetricChi2;

#[rustfmt::skip] // one line a formula; exp_m1 keeps the accuracy at l = 0, the larger exponent of w is taken out at the ends
impl Divergence for SymmetricChi2 {
    fn name(&self) -> &str { "symmetric-chi2" }
    fn formula(&self) -> String { "D_f(p‖q) = χ²(p‖q) + χ²(q‖p), f(u) = (u-1)²(u+1)/u".into() }
    fn weight_formula(&self) -> String { "2 (r² + 1/r)".into() }
    fn elasticity_formula(&self) -> String { "(2r³-1)/(r³+1)".into() }
    fn f(&self, l: f64) -> f64 { l.exp_m1().powi(2) * (1.0 + (-l).exp()) }
    fn u_df(&self, l: f64) -> f64 { l.exp_m1() * (2.0 * l.exp() + 1.0 + (-l).exp()) }
    fn first_variation(&self, l: f64) -> f64 { -l.exp_m1() * (l.exp() + 1.0 + 2.0 * (-l).exp()) }
    fn log_weight(&self, l: f64) -> f64 { 2f64.ln() + (2.0 * l).max(-l) + (-3.0 * l.abs()).exp().ln_1p() }
    fn elasticity(&self, l: f64) -> f64 { 2.0 - 3.0 / (1.0 + (3.0 * l).exp()) }
}

fn main() -> Result<()> {
    let laws = check(&SymmetricChi2);
    print!("{laws}");
    let from_weight = Custom::from_log_weight("from-weight", "w = 2 (r² + 1/r)", |l| SymmetricChi2.log_weight(l))?;
    let (a, b) = (SymmetricChi2.f(1.3), from_weight.f(1.3));
    println!("f(e^1.3) = {a:.12}; from the weight alone, f(eˡ) = ∫ w(eˢ)(eˡ⁻ˢ-1) ds = {b:.12}");

    let target = GaussianMixture::isotropic(&[0.75, 0.25], Matrix::from_rows(&[[1.0], [-2.0]]), 0.5)?;
    let (mean, var) = (target.mean()[0], target.covariance()[(0, 0)]);
    let kernel = KernelSettings { bandwidth_start: 0.4, bandwidth_end: 0.4, neighbours: 0.0, ..Default::default() };
    let drift = UniversalDrift::smoothed(Arc::new(target), Arc::new(SymmetricChi2), kernel);
    let drift = drift.clipped(LogRatioClip { low: -2.0, high: 2.0 });
    let start: Matrix = normal_matrix(1, Purpose::Particles, 0, 500, 1);
    let particles = Particles::new(start, Domain::Euclidean, ParticlesSettings { dt: 0.01, ..Default::default() })?;
    let mut run = Run::new(Box::new(particles), Box::new(drift), 300, 1)?;
    run.finish()?;
    let x = run.sample(500, 0, 0);
    let Summary { mean: m, variance: v, .. } = Summary::of(x.as_slice());
    println!("500 particles: mean {m:.3} (exact {mean:.3}), variance {v:.3} (exact {var:.3})");

    assert!(laws.passed() && (a - b).abs() < 1e-12 * a);
    // four standard deviations of the mean of 500 independent draws
    assert!((m - mean).abs() < 4.0 * (var / 500.0).sqrt() && (v / var - 1.0).abs() < 0.2);
    println!("lesson 8 holds");
    Ok(())
}
