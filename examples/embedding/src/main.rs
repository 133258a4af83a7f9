//! The library from outside: a density by the trait, trained for a moment, sampled.

use pushforward::density::Pointwise;
use pushforward::density::Target;
use pushforward::run::Method;
use std::sync::Arc;

/// log p~(x) = -(x₁² + (x₂ - x₁²)²)/2.
struct Parabola;

impl Pointwise for Parabola {
    fn dim(&self) -> usize {
        2
    }

    fn at(&self, x: &[f64], score: &mut [f64]) -> f64 {
        let v = x[1] - x[0] * x[0];
        score[0] = -x[0] + 2.0 * x[0] * v;
        score[1] = -v;
        -0.5 * (x[0] * x[0] + v * v)
    }
}

fn main() -> pushforward::Result<()> {
    let target = Target::of(Arc::new(Parabola));
    let mut run = Method::preset("kde-small", &target)?.with("steps", 20)?.start(&target, None)?;
    run.finish()?;
    println!("{:?}", run.sample(3, 1, 0));
    Ok(())
}
