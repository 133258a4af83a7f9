//! Training of a generator by stop-gradient regression on a velocity (T9).

use crate::autodiff::Tape;
use crate::error::Result;
use crate::estimate::resolved_bandwidth;
use crate::linalg::Matrix;
use crate::nn::{Adam, AdamState, on_tape};
use crate::num::Real;
use crate::rng::Purpose;
use crate::sampler::generator::{CHUNK, Generator};
use crate::sampler::latent::{Latent, LatentBatch};
use crate::velocity::{Scene, Velocity};
use rayon::prelude::*;

/// How a generator is trained. Lengths are in units of the frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Steps.
    pub steps: u64,
    /// Particles that are moved in a step.
    pub batch: usize,
    /// Independent particles behind the density estimate of a step.
    pub reference: usize,
    /// Adam's rate at the start; it falls to 0 along a cosine.
    pub learning_rate: f64,
    /// Bandwidth at the start; it falls geometrically.
    pub bandwidth_start: f64,
    /// Smallest bandwidth; never below what the estimate resolves.
    pub bandwidth_end: f64,
    /// Fraction of the steps over which the bandwidth falls.
    pub anneal: f64,
    /// Effective neighbours that an estimate needs.
    pub neighbours: f64,
    /// Rate η of the reaction on the code probabilities (T15); 0 leaves them uniform.
    pub reaction: f64,
    /// Seed of everything.
    pub seed: u64,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The step, from 0.
    pub step: u64,
    /// RMS of the drift before it is divided by it.
    pub drift: f64,
    /// h.
    pub bandwidth: f64,
    /// Mean of log p~ (smoothed) over the batch.
    pub mean_log_density: f64,
    /// Mean of l over the batch.
    pub mean_log_ratio: f64,
    /// Effective sample size of r over the batch.
    pub effective_samples: f64,
}

/// A generator under training.
pub struct Trainer<T: Real> {
    /// What is trained.
    pub generator: Generator<T>,
    settings: Settings,
    velocity: Box<dyn Velocity<T>>,
    optimiser: AdamState<T>,
    work: Vec<Chunk<T>>,
    gradient: Vec<Matrix<T>>,
    resolved: f64,
    step: u64,
}

/// One chunk of the batch: its tape, and the gradient that it contributes.
struct Chunk<T: Real> {
    tape: Tape<T>,
    gradient: Vec<Matrix<T>>,
}

impl<T: Real> Trainer<T> {
    /// Starts from `generator`.
    pub fn new(generator: Generator<T>, velocity: Box<dyn Velocity<T>>, settings: Settings) -> Self {
        let zeros = || generator.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect::<Vec<_>>();
        let chunks = settings.batch.div_ceil(CHUNK);
        let work = (0..chunks).map(|_| Chunk { tape: Tape::new(), gradient: zeros() }).collect();
        let optimiser = AdamState::new(&generator.parameters);
        let gradient = zeros();
        Self { generator, settings, velocity, optimiser, work, gradient, resolved: 0.0, step: 0 }
    }

    /// Scheduled bandwidth at a step, before the floor of what is resolved.
    fn scheduled_bandwidth(&self) -> f64 {
        let s = &self.settings;
        let t = (self.step as f64 / (s.anneal * s.steps as f64)).min(1.0);
        s.bandwidth_start * (s.bandwidth_end / s.bandwidth_start).powf(t)
    }

    /// One step: draw, estimate, move.
    pub fn step(&mut self) -> Result<StepReport> {
        let s = self.settings.clone();
        let d = self.generator.dim();
        let latent = &self.generator.latent;
        let batch: LatentBatch<T> = latent.stratified(s.batch, d, (s.seed, Purpose::Latent, self.step));
        let other = latent.stratified(s.reference, d, (s.seed, Purpose::Reference, self.step));
        let particles = self.generator.apply(&batch);
        let reference = self.generator.apply(&other);

        let scheduled = self.scheduled_bandwidth();
        if self.step.is_multiple_of(50) {
            let queries = particles.slice_rows(0..particles.rows());
            self.resolved = resolved_bandwidth(&reference, &queries, s.neighbours, 1e-3, s.bandwidth_start)?;
        }
        let bandwidth = scheduled.max(self.resolved);
        let scene = Scene { particles: &particles, reference: &reference, bandwidth, seed: s.seed, step: self.step };
        let mut field = self.velocity.evaluate(&scene)?;
        let rms = (field.velocity.as_slice().iter().map(|v| v.to_f64().powi(2)).sum::<f64>()
            / field.velocity.as_slice().len() as f64)
            .sqrt();
        // T9: the cotangent of the regression loss is -V/n
        let factor = T::from_f64(-1.0 / (rms * s.batch as f64));
        field.velocity.as_mut_slice().iter_mut().for_each(|v| *v *= factor);
        self.pull_back(&batch, &field.velocity);
        let t = self.step as f64 / s.steps as f64;
        let rate = s.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * t).cos());
        Adam::default().step(&mut self.generator.parameters, &self.gradient, &mut self.optimiser, rate);
        if s.reaction > 0.0 {
            react(&mut self.generator.latent, &batch, &field.log_ratio, s.reaction);
        }
        let n = s.batch as f64;
        let report = StepReport {
            step: self.step,
            drift: rms,
            bandwidth,
            mean_log_density: field.log_density.iter().sum::<f64>() / n,
            mean_log_ratio: field.log_ratio.iter().sum::<f64>() / n,
            effective_samples: field.effective_samples,
        };
        self.step += 1;
        Ok(report)
    }

    /// gradient ← Σ_i (∂y_i/∂θ)ᵀ g_i over the batch, by chunks in a fixed order.
    fn pull_back(&mut self, batch: &LatentBatch<T>, cotangent: &Matrix<T>) {
        let generator = &self.generator;
        self.work.par_iter_mut().enumerate().for_each(|(k, chunk)| {
            chunk.tape.reset();
            let range = k * CHUNK..((k + 1) * CHUNK).min(batch.noise.rows());
            let (noise, codes) = batch.slice(range.start, range.end);
            let tape = &chunk.tape;
            let parameters = on_tape(tape, &generator.parameters);
            let y = generator.forward(&parameters, tape.leaf(&noise), codes.as_ref());
            let g = tape.leaf(&cotangent.slice_rows(range));
            for (out, dx) in chunk.gradient.iter_mut().zip(tape.pull_back(y, g, &parameters)) {
                dx.with(|dx| out.as_mut_slice().copy_from_slice(dx.as_slice()));
            }
        });
        for (p, total) in self.gradient.iter_mut().enumerate() {
            total.as_mut_slice().fill(T::ZERO);
            for chunk in &self.work {
                let part = chunk.gradient[p].as_slice();
                total.as_mut_slice().iter_mut().zip(part).for_each(|(t, &g)| *t += g);
            }
        }
        // parameters are moved in place once no tape shares them
        self.work.iter_mut().for_each(|chunk| chunk.tape.reset());
    }
}

/// log π_k += η E[l - E l | k], clamped: a multiplicative-weights step of the reaction (T15).
fn react<T: Real>(latent: &mut Latent, batch: &LatentBatch<T>, log_ratio: &[f64], rate: f64) {
    let (Latent::Codes { logits }, Some(codes)) = (latent, &batch.codes) else { return };
    let clipped: Vec<f64> = log_ratio.iter().map(|l| l.clamp(-3.0, 3.0)).collect();
    let mean = clipped.iter().sum::<f64>() / clipped.len() as f64;
    let mut sums = vec![(0.0, 0.0f64); logits.len()];
    for (&k, l) in codes.iter().zip(&clipped) {
        sums[k].0 += l - mean;
        sums[k].1 += 1.0;
    }
    for (logit, (sum, count)) in logits.iter_mut().zip(sums) {
        if count > 0.0 {
            *logit += rate * sum / count;
        }
    }
    let centre = logits.iter().sum::<f64>() / logits.len() as f64;
    logits.iter_mut().for_each(|l| *l = (*l - centre).clamp(-3.0, 3.0));
}
