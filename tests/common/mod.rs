//! What several tests share: a KL of kernel estimates, two mixtures, a Gaussian of condition 100, and particles on the line that carry their own law along.
#![allow(dead_code)] // each test file uses a part

use pushforward::density::{Density, GaussianMixture, evaluate};
use pushforward::divergence::ReverseKl;
use pushforward::estimate::{Clock, EstimatorSettings, Kde, Reference, Scene, ScoreSettings, SmoothedTarget};
use pushforward::linalg::Matrix;
use pushforward::num::variance;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::run::Method;
use pushforward::velocity::{Pull, UniversalDrift, Velocity};
use std::sync::Arc;

/// The method with the settings of the variable SET, "key=value key=value".
pub fn as_set(mut method: Method) -> Method {
    for word in std::env::var("SET").unwrap_or_default().split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        match value.parse::<u64>() {
            Ok(whole) => method.set(key, whole).unwrap(),
            Err(_) => method.set(key, value.parse::<f64>().unwrap()).unwrap(),
        }
    }
    method
}

/// A whole number that a variable names, or this.
pub fn variable(name: &str, or: u64) -> u64 {
    std::env::var(name).map_or(or, |s| s.parse().unwrap())
}

/// ¼N(-m, 1) + ¾N(m, 1).
pub fn modes(m: f64) -> Arc<dyn Density> {
    Arc::new(GaussianMixture::isotropic(&[0.25, 0.75], Matrix::from_rows(&[[-m], [m]]), 1.0).unwrap())
}

/// A covariance of condition 100 in d dimensions with eigenvalues spread geometrically from 0.1 to 10 and random directions.
pub fn ill_conditioned(d: usize) -> Matrix {
    let g: Matrix = normal_matrix(11, Purpose::Check, d as u64, d, d);
    // orthonormal columns by Gram and Schmidt
    let mut u: Vec<Vec<f64>> = Vec::new();
    for row in g.iter_rows() {
        let mut v = row.to_vec();
        for w in &u {
            let dot: f64 = v.iter().zip(w).map(|(a, b)| a * b).sum();
            v.iter_mut().zip(w).for_each(|(a, b)| *a -= dot * b);
        }
        let size = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        u.push(v.into_iter().map(|a| a / size).collect());
    }
    let value = |k: usize| 0.1 * 100f64.powf(k as f64 / (d - 1) as f64);
    let full: Matrix = Matrix::from_fn(d, d, |i, j| (0..d).map(|k| value(k) * u[k][i] * u[k][j]).sum::<f64>());
    Matrix::from_fn(d, d, |i, j| 0.5 * (full[(i, j)] + full[(j, i)]))
}

/// The worst relative error of a variance, along coordinates and along the eigenvectors' extremes, and of a correlation.
pub fn worst(samples: &Matrix, truth: &Matrix) -> (f64, f64) {
    let c = samples.column_covariance();
    let d = c.rows();
    let correlation = |m: &Matrix, i: usize, j: usize| m[(i, j)] / (m[(i, i)] * m[(j, j)]).sqrt();
    let variance = (0..d).map(|i| (c[(i, i)] / truth[(i, i)] - 1.0).abs()).fold(0.0, f64::max);
    let pairs = (0..d).flat_map(|i| (0..i).map(move |j| (i, j)));
    (variance, pairs.map(|(i, j)| (correlation(&c, i, j) - correlation(truth, i, j)).abs()).fold(0.0, f64::max))
}

/// KL between Gaussian kernel estimates with Scott's bandwidth n^{-1/5} std, of `x` from that of `y`: a trapezoidal rule of 1,000 points
/// between the joint extremes.
pub fn kde_kl(x: &[f64], y: &[f64]) -> f64 {
    let ends = |v: &[f64]| v.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    let ((a, b), (c, d)) = (ends(x), ends(y));
    let (low, high) = (a.min(c), b.max(d));
    let step = (high - low) / 999.0;
    let grid = Matrix::from_fn(1000, 1, |i, _| low + step * i as f64);
    let density = |v: &[f64]| -> Vec<f64> {
        let n = v.len() as f64;
        let h = n.powf(-0.2) * (variance(v) * n / (n - 1.0)).sqrt();
        let kde = Kde::new(&Matrix::from_vec(v.len(), 1, v.to_vec()), h).unwrap();
        kde.log_density_and_score(&grid).0.iter().map(|l| l.exp()).collect()
    };
    let (f, g) = (density(x), density(y));
    let terms: Vec<f64> = f.iter().zip(&g).map(|(f, g)| f * (f / (g + 1e-10) + 1e-10).ln()).collect();
    step * (terms.iter().sum::<f64>() - 0.5 * (terms[0] + terms[999]))
}

/// n normal points on the line whose mean and variance are these, exactly; the key is `seed` and `unit`.
pub fn of_moments(n: usize, (mean, variance): (f64, f64), seed: u64, unit: u64) -> Matrix {
    let z: Matrix = normal_matrix(seed, Purpose::Check, unit, n, 1);
    let (m, sd) = (z.column_means()[0], z.column_covariance()[(0, 0)].sqrt());
    z.map(|z| mean + variance.sqrt() * (z - m) / sd)
}

/// The affine score of q with this noise, by denoising.
pub fn affine_denoising(noise: f64) -> ScoreSettings {
    let (objective, score_layers) = ("denoising".into(), vec![]);
    ScoreSettings { objective, score_layers, noise_start: noise, noise_end: noise, ..Default::default() }
}

/// n quantiles of N(0, 1) at (i + ½)/n, from its distribution function by the trapezoidal rule, n×1.
pub fn quantiles(n: usize) -> Matrix {
    let (h, mut below, mut x) = (1e-4, 0.0, -8.0f64);
    let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
    Matrix::from_fn(n, 1, |i, _| {
        let wanted = (i as f64 + 0.5) / n as f64;
        loop {
            let cell = 0.5 * h * (density(x) + density(x + h));
            if below + cell >= wanted {
                return x + h * (wanted - below) / cell;
            }
            (below, x) = (below + cell, x + h);
        }
    })
}

/// Particles on the line that follow V = ∇log p - s with a learnt score s by Euler's steps of length h from quantiles of N(m, σ²), with log q and its
/// score carried along exactly: under y = x + hV(x), log q ← log q - log(1 + hV'), (log q)' ← ((log q)' - hV''/(1 + hV'))/(1 + hV').
pub struct Course {
    target: Arc<dyn Density>,
    drift: UniversalDrift,
    h: f64,
    x: Matrix,
    log_q: Vec<f64>,
    score: Vec<f64>,
    step: u64,
}

/// Where a [`Course`] stands.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub t: f64,
    /// KL(q‖p), p with its normaliser.
    pub kl: f64,
    /// E|δ|², δ = s - ∇log p.
    pub rate: f64,
    /// E⟨e, δ⟩, e = s - ∇log q: what the error of the score takes from the fall of KL (T35).
    pub error: f64,
}

fn scene<'a>(x: &'a Matrix, reference: Reference<'a>, step: u64) -> Scene<'a> {
    let clock = Clock { step, steps: 1 << 30 };
    Scene { x, reference, classes: None, at_x: None, law: None, dt: 0.0, clock, seed: 3 }
}

impl Course {
    pub fn new(p: &Arc<dyn Density>, (mean, sd): (f64, f64), n: usize, h: f64, settings: &ScoreSettings) -> Self {
        let z = quantiles(n);
        let log_q = |z: &f64| -0.5 * (z * z + std::f64::consts::TAU.ln()) - sd.ln();
        let target = Box::new(SmoothedTarget::new(Arc::clone(p), 2));
        Self {
            target: Arc::clone(p),
            drift: UniversalDrift::new(target, settings.build(false).unwrap(), Arc::new(ReverseKl)),
            h,
            log_q: z.as_slice().iter().map(log_q).collect(),
            score: z.as_slice().iter().map(|z| -z / sd).collect(),
            x: z.map(|z| mean + sd * z),
            step: 0,
        }
    }

    /// Where it is, and a step.
    pub fn next(&mut self) -> Place {
        let (n, h, e, step) = (self.x.rows(), self.h, 1e-3, self.step);
        self.drift.prepare(&scene(&self.x, Reference::Own, step)).unwrap();
        // at points beside the particles the moments stay those of the particles
        let velocity = |by: f64| {
            let there = self.x.map(|v| v + by);
            match self.drift.evaluate(&scene(&there, Reference::Independent(&self.x), step)).unwrap() {
                Pull::Points(field) => field.velocity.into_vec(),
                other => panic!("{:?}", other.kind()),
            }
        };
        let (v, up, down) = (velocity(0.0), velocity(e), velocity(-e));
        let at = evaluate(&*self.target, &self.x).unwrap();
        let log_z = self.target.log_normaliser().unwrap();
        let mean = |value: &dyn Fn(usize) -> f64| (0..n).map(value).sum::<f64>() / n as f64;
        let place = Place {
            t: self.step as f64 * h,
            kl: mean(&|i| self.log_q[i] - at.log_density[i] + log_z),
            rate: mean(&|i| v[i] * v[i]),
            error: mean(&|i| (at.score[(i, 0)] - v[i] - self.score[i]) * -v[i]),
        };
        for i in 0..n {
            let slope = 1.0 + h * (up[i] - down[i]) / (2.0 * e);
            let bend = h * (up[i] - 2.0 * v[i] + down[i]) / (e * e);
            self.log_q[i] -= slope.abs().ln();
            self.score[i] = (self.score[i] - bend / slope) / slope;
            self.x[(i, 0)] += h * v[i];
        }
        self.step += 1;
        place
    }

    /// The places at some of its times, of which the last ends it.
    pub fn at(mut self, times: &[f64]) -> Vec<Place> {
        let (half, last) = (0.5 * self.h, (times.last().unwrap() / self.h).round() as u64);
        let all = (0..=last).map(|_| self.next());
        all.filter(|place| times.iter().any(|t| (t - place.t).abs() < half)).collect()
    }
}
