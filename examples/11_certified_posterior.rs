//! Lesson 11: a posterior with its evidence. A generator learns the coefficients of a logistic regression; its certificate gives
//! log Z, the log evidence up to the constants of likelihood and prior, with an error bar, beside that of the search that it
//! began with. In two dimensions a sum over a grid knows the answer.
//!
//! Run: `cargo run --release --example 11_certified_posterior`

use pushforward::Result;
use pushforward::density::{Density, LogisticRegression, Target};
use pushforward::linalg::Matrix;
use pushforward::model::GeneratorModel;
use pushforward::num::log_sum_exp;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use std::sync::Arc;

/// log ∫ p~ by the trapezoidal rule on [-8, 8]², which holds all but e⁻³⁰ of it, with the grid's mean.
fn by_grid(p: &dyn Density) -> (f64, [f64; 2]) {
    let (n, side) = (321, 8.0);
    let at = |k: usize| side * (2.0 * k as f64 / (n - 1) as f64 - 1.0);
    let grid = Matrix::from_fn(n * n, 2, |i, j| at(if j == 0 { i % n } else { i / n }));
    let l = p.log_density(&grid);
    let (total, cell) = (log_sum_exp(&l), 2.0 * (2.0 * side / (n - 1) as f64).ln());
    let mean = |j: usize| (0..n * n).map(|i| (l[i] - total).exp() * grid[(i, j)]).sum();
    (total + cell, [mean(0), mean(1)])
}

fn main() -> Result<()> {
    // 40 answers to a slope of 1.5 with an intercept of -0.5, by one threshold each
    let z: Matrix = normal_matrix(4, Purpose::Check, 0, 40, 2);
    let design = Matrix::from_fn(40, 2, |i, j| if j == 0 { 1.0 } else { z[(i, 0)] });
    let answer = |i: usize| f64::from(u8::from(-0.5 + 1.5 * z[(i, 0)] + 1.7 * z[(i, 1)] > 0.0));
    let posterior = LogisticRegression::new(design, (0..40).map(answer).collect(), 2.5)?;
    let target: Arc<dyn Density> = Arc::new(posterior);
    let (log_z, mean) = by_grid(&*target);

    let law = Target::of(Arc::clone(&target));
    let method = Method::preset("generator", &law)?.with("run.steps", 100)?.with("codes", 64)?.with("batch", 256)?;
    let method = method.with("hidden", vec![32usize, 32])?.with("search_particles", 2048)?.with("centres", 512)?;
    let mut run = method.start(&law, None)?;
    run.finish()?;
    let model = run.model_as::<GeneratorModel<f32>>().expect("the preset makes a generator in single precision");
    let certificate = model.generator().certify(&target, 4000, 1)?;
    let found = certificate.defended.log_z;
    println!("log Z {:.4} ± {:.4}; by the grid {log_z:.4}", found.value, found.standard_error);
    println!("ELBO of the law between {:.4} and {:.4}", certificate.elbo[0].value, certificate.elbo[1].value);
    assert!(found.z(log_z).abs() < 4.0 && certificate.bare.reverse_ess > 0.9, "{}", certificate.bare);
    assert!(certificate.log_z_gap() < 4.0, "the search and the generator agree");
    let means = run.sample(20_000, 2, 0).column_means();
    println!("posterior mean {means:.3?}; by the grid {mean:.3?}");
    assert!((0..2).all(|j| (means[j] - mean[j]).abs() < 0.05));
    println!("lesson 11 holds");
    Ok(())
}
