//! A scene on the circle: particles that follow the Stein flow with a Riesz kernel (T27), beside the law that they lead to.

use crate::failure::{Failure, Outcome};
use crate::lab::storyboard::Frames;
use crate::style::number;
use pushforward::density::{Density, Domain, Harmonic, Target, TorusDensity};
use pushforward::linalg::Matrix;
use pushforward::num::{exp, powf};
use pushforward::run::Method;
use serde::Deserialize;
use std::f64::consts::TAU;
use std::sync::Arc;

/// Particles on the circle of length 1 that start side by side around 1/2 and follow p~ = exp(Σ_n a_n cos 2πnx), which is even there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Circle {
    /// s: the kernel has Fourier coefficients |k|^(-2s).
    order: f64,
    /// a_1, a_2, …
    cosines: Vec<f64>,
    /// Width of the start.
    width: f64,
    particles: usize,
    /// In units of (2π)^(2s-2), in which the slowest wave of a small deviation from the uniform law falls by 1/e, whatever s is.
    time: f64,
    steps: u64,
}

/// Points of the law's curve.
const CURVE: usize = 400;
/// Most particles and steps: seconds.
const MOST: (usize, u64) = (400, 20_000);

/// The run of a scene.
pub struct Course {
    /// Places x, and the share of particles to the left.
    pub frames: Frames,
    /// (x, F(x)), F the distribution function of p.
    pub curve: Vec<(f64, f64)>,
    /// Time in units of (2π)^(2s-2), and the root mean square of F at particle i less (i - 1/2)/N: after each step.
    pub distance: Vec<(f64, f64)>,
    /// Its name in a legend.
    pub name: String,
}

impl Circle {
    /// How many, and for how long.
    pub fn words(&self) -> String {
        let (n, time) = (self.particles, number(self.time, 3));
        let unit = if self.order == 1.0 { String::new() } else { format!(" · (2π)^{}", 2.0 * self.order - 2.0) };
        format!("{n} particles, time 0 to {time}{unit}")
    }

    /// The run, shown in so many frames.
    pub fn run(&self, frames: u64) -> Outcome<Course> {
        let (n, steps) = (self.particles, self.steps);
        if !(2..=MOST.0).contains(&n) || !(frames - 1..=MOST.1).contains(&steps) {
            let (most, many) = MOST;
            return Err(Failure::input(format!(
                "{n} particles and {steps} steps; give from 2 to {most} particles, and from frames - 1 to {many} steps"
            )));
        }
        if !(self.width > 0.0 && self.width <= 1.0 && self.time > 0.0) {
            return Err(Failure::input("width is above 0 and at most 1, and time above 0".to_string()));
        }
        let harmonic = |(n, a): (usize, &f64)| Harmonic { frequency: vec![n as i64 + 1], cosine: *a, sine: 0.0 };
        let p = TorusDensity::new(vec![1.0], self.cosines.iter().enumerate().map(harmonic).collect())?;
        let target = Target { domain: Domain::Torus(vec![1.0]), ..Target::of(Arc::new(p.clone())) };
        let start = Matrix::from_fn(n, 1, |i, _| 0.5 + self.width * ((i as f64 + 0.5) / n as f64 - 0.5));
        let unit = powf(TAU, 2.0 * self.order - 2.0);
        let method = Method::of("particles", "riesz", "kde", &target)?
            .with("velocity.order", self.order)?
            .with("model.stepper", "heun")?
            .with("model.dt", self.time * unit / steps as f64)?
            .with("run.steps", steps)?;
        let mut run = method.start(&target, Some(start.clone()))?;

        let at = |k: usize| k as f64 / CURVE as f64;
        let log_p = p.log_density(&Matrix::from_fn(CURVE + 1, 1, |k, _| at(k)));
        let mut sum = vec![0.0];
        for pair in log_p.windows(2) {
            sum.push(sum[sum.len() - 1] + 0.5 * (exp(pair[0]) + exp(pair[1])));
        }
        let curve: Vec<(f64, f64)> = (0..=CURVE).map(|k| (at(k), sum[k] / sum[CURVE])).collect();
        let share = |x: f64| {
            let place = x.clamp(0.0, 1.0) * CURVE as f64;
            let k = (place as usize).min(CURVE - 1);
            curve[k].1 + (place - k as f64) * (curve[k + 1].1 - curve[k].1)
        };
        let rank = |i: usize| (i as f64 + 0.5) / n as f64;
        // on the line: a particle that crosses 0 goes on to the left
        let mut x = start.into_vec();
        let (mut frames_of, mut distance) = (Vec::new(), Vec::new());
        for step in 0..=steps {
            if (0..frames).any(|k| steps * k / (frames - 1) == step) {
                frames_of.push((0..n).map(|i| (x[i], rank(i))).collect());
            }
            let square = (0..n).map(|i| (share(x[i]) - rank(i)).powi(2)).sum::<f64>() / n as f64;
            distance.push((self.time * step as f64 / steps as f64, square.sqrt()));
            if step < steps {
                run.step()?;
                let now = run.sample(n, 0, 0);
                x.iter_mut().zip(now.as_slice()).for_each(|(x, new)| *x += (new - *x + 0.5).rem_euclid(1.0) - 0.5);
            }
        }
        Ok(Course { frames: frames_of, curve, distance, name: format!("s = {}", self.order) })
    }
}
