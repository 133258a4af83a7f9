//! Paths of particles by a learnt score beside Langevin's: the picture of docs/scores.md.

use super::chart::Points;
use crate::report::axis::Axis;
use crate::report::picture::picture;
use crate::report::plot::Plot;
use crate::style::{INK, MODEL, TARGET};
use pushforward::density::{GaussianMixture, Target};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use std::sync::Arc;

const PARTICLES: usize = 400;
/// Particles whose path is drawn.
const DRAWN: usize = 24;
const STEP: f64 = 0.02;
const STEPS: u32 = 100;
/// Pixels of one diagram.
const SIZE: (f64, f64) = (450.0, 380.0);

/// Places of all particles, n×1, at the start and after each step.
fn course(target: &Target, velocity: &str) -> pushforward::Result<Vec<Matrix>> {
    let mut method = Method::of("particles", velocity, "score", target)?;
    method.set("dt", STEP)?;
    method.set("steps", u64::from(STEPS))?;
    if velocity == "drift" {
        method.set("objective", "denoising")?;
        for (key, value) in [("noise_start", 0.3), ("noise_end", 0.3), ("score_rate", 1e-3)] {
            method.set(key, value)?;
        }
    }
    let start: Matrix = normal_matrix(1, Purpose::Check, 0, PARTICLES, 1);
    let mut run = method.start(target, Some(start.clone()))?;
    let mut places = vec![start];
    while !run.is_finished() {
        run.step()?;
        places.push(run.sample(PARTICLES, 0, 0));
    }
    Ok(places)
}

/// Particles from N(0, 1) to ¼N(-2, 1) + ¾N(2, 1) up to t = 2, place against time, by score-based transport and by Langevin's steps.
pub fn paths() -> String {
    let means = Matrix::from_rows(&[[-2.0], [2.0]]);
    let target = Target::of(Arc::new(GaussianMixture::isotropic(&[0.25, 0.75], means, 1.0).expect("a mixture")));
    let end = STEP * f64::from(STEPS);
    let panels =
        [("drift", "Score-based transport", MODEL), ("ula", "Langevin", TARGET)].map(|(velocity, name, colour)| {
            let places = course(&target, velocity).expect("a run of particles");
            let path = |i: usize| places.iter().map(move |x| x[(i, 0)]);
            let length = |i: usize| path(i).zip(path(i).skip(1)).map(|(a, b)| (a - b).abs()).sum::<f64>();
            let mean = (0..PARTICLES).map(length).sum::<f64>() / PARTICLES as f64;
            let title = format!("{name}: mean length of a path {mean:.1}");
            let mut plot = Plot::new(&title, SIZE, Axis::linear("time", 0.0, end, 5), Axis::linear("x", -6.0, 6.0, 6));
            for mode in [-2.0, 2.0] {
                let style = format!("stroke=\"{INK}\" stroke-width=\"1\" stroke-dasharray=\"2 3\"");
                plot.line(&[(0.0, mode), (end, mode)], &style);
            }
            for i in 0..DRAWN {
                let line: Points = path(i).enumerate().map(|(k, x)| (STEP * k as f64, x)).collect();
                plot.line(&line, &format!("stroke=\"{colour}\" stroke-width=\"1.1\" stroke-opacity=\"0.75\""));
            }
            plot.finish(&format!("paths-{velocity}"))
        });
    picture(&panels, 2, SIZE)
}
