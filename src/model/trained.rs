//! A generator under training: G ← G + η V in the least-squares sense, V frozen (T9).

use crate::density::Affine;
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::model::batch::Batch;
use crate::model::frame_state::{frame_of_state, put_frame};
use crate::model::model::{Built, Drawn, Model, ModelSettings, Request, Start, Step};
use crate::model::{Generator, Latent, LatentBatch};
use crate::nn::{Adam, AdamState, cosine_rate};
use crate::num::Real;
use crate::parallel;
use crate::rng::Purpose;
use crate::search::frame_of;
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Kind, Pull, root_mean_square};
use std::any::Any;

crate::settings! {
    /// Settings of a [`GeneratorModel`].
    pub struct GeneratorSettings in "model" {
        /// Particles that are moved in a step.
        batch: usize = 1024, Rule::AtLeast(1);
        /// Codes of the latent; 0 for a plain Gaussian latent.
        codes: usize = 256, Rule::AtLeast(0);
        /// Widths of the hidden layers.
        hidden: Vec<usize> = vec![128; 3], Rule::AtLeast(1);
        /// Adam's rate at the start; it falls to 0 along a half cosine.
        learning_rate: f64 = 2e-3, Rule::Positive;
        /// Rate of the reaction on the code probabilities (T15); 0 keeps them equal.
        reaction: f64 = 0.05, Rule::Unit;
    }
}

/// A generator that follows velocities by stop-gradient regression: θ moves against -E[(∂G/∂θ)ᵀ V], by Adam (T9).
pub struct GeneratorModel<T: Real> {
    generator: Generator<T>,
    settings: GeneratorSettings,
    optimiser: AdamState<T>,
    gradient: Vec<Matrix<T>>,
    moved: Batch<T>,
    /// The latent batch of the step.
    latent: Option<LatentBatch<T>>,
}

/// Largest growth rate of the reaction that is followed: weights that grow with r give one particle any rate.
const MAX_GROWTH: f64 = 4.0;

impl ModelSettings for GeneratorSettings {
    fn name(&self) -> &'static str {
        "generator"
    }
    fn summary(&self) -> &'static str {
        "a network G, x = G(z): one pass a sample"
    }
    fn build(&self, start: Start<'_>) -> Result<Built> {
        let frame = match start.frame {
            Some(frame) => frame,
            None => match start.target.densities.first() {
                Some(density) => frame_of(&**density, start.seed)?,
                None => match &start.target.samples {
                    Some(samples) => Affine::of_particles(&samples.points)?,
                    None => Affine::identity(start.target.dim()),
                },
            },
        };
        let model: Box<dyn Model> = match start.single {
            true => Box::new(GeneratorModel::<f32>::fresh(frame, self.clone(), start.seed)),
            false => Box::new(GeneratorModel::<f64>::fresh(frame, self.clone(), start.seed)),
        };
        Ok(Built { model, particles: None })
    }
    fn rebuild(&self, start: Start<'_>, state: &State) -> Result<Box<dyn Model>> {
        let mut built = self.build(Start { frame: Some(frame_of_state(state)?), ..start })?;
        built.model.restore(state)?;
        Ok(built.model)
    }
    fn memory(&self, dim: usize, reference: usize, single: bool) -> f64 {
        let (d, size) = (dim as f64, if single { 4.0 } else { 8.0 });
        let inputs = if self.codes > 0 { 2.0 * d } else { d };
        let widths: Vec<f64> = [inputs].into_iter().chain(self.hidden.iter().map(|&w| w as f64)).chain([d]).collect();
        let layers: f64 = widths.windows(2).map(|w| w[0] * w[1] + w[1]).sum();
        let parameters = layers + self.codes as f64 * d;
        let rows = self.batch as f64 + reference as f64;
        // each hidden layer keeps its input and its output for the way back
        let batches = rows * (2.0 * widths.iter().sum::<f64>() + d);
        size * (4.0 * parameters + batches)
    }
    fn copy(&self) -> Box<dyn ModelSettings> {
        Box::new(self.clone())
    }
}

impl<T: Real> GeneratorModel<T> {
    /// A fresh generator in the units of `frame`; its parameters are drawn under `seed`.
    pub fn fresh(frame: Affine, settings: GeneratorSettings, seed: u64) -> Self {
        let latent = match settings.codes {
            0 => Latent::Gaussian,
            k => Latent::Codes { logits: vec![0.0; k] },
        };
        Self::new(Generator::new(frame, latent, &settings.hidden, seed), settings)
    }

    /// Any generator.
    pub fn new(generator: Generator<T>, settings: GeneratorSettings) -> Self {
        let gradient = generator.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
        let optimiser = AdamState::new(&generator.parameters);
        Self { generator, settings, optimiser, gradient, moved: Batch::default(), latent: None }
    }

    /// What is trained.
    pub fn generator(&self) -> &Generator<T> {
        &self.generator
    }
}

impl<T: Real> Stateful for GeneratorModel<T> {
    fn save(&self, to: &mut State) {
        to.put_parameters(&self.generator.parameter_names(), &self.generator.parameters, &self.optimiser);
        put_frame(to, &self.generator.frame);
        if let Latent::Codes { logits } = &self.generator.latent {
            to.put_row("latent.logits", logits);
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let names = self.generator.parameter_names();
        let (parameters, optimiser) = from.parameters(&names, &self.generator.parameters)?;
        let frame = frame_of_state(from)?;
        // the velocity is in units of the frame
        if frame != self.generator.frame {
            return Err(Error::State { what: format!("it is in {frame:?}") });
        }
        let codes = self.generator.latent.codes();
        if codes > 0 {
            let logits = from.matrix::<f64>("latent.logits", (1, codes))?.row(0).to_vec();
            self.generator.latent = Latent::Codes { logits };
        }
        (self.generator.parameters, self.optimiser) = (parameters, optimiser);
        Ok(())
    }
}

impl<T: Real> Model for GeneratorModel<T> {
    fn name(&self) -> &'static str {
        "generator"
    }

    fn frame(&self) -> &Affine {
        &self.generator.frame
    }

    fn follows(&self) -> &'static [Kind] {
        &[Kind::Points, Kind::Displacement]
    }

    fn draw(&mut self, request: &Request) -> Result<Drawn> {
        let (d, step) = (self.generator.dim(), request.clock.step);
        let (generator, moved, s) = (&self.generator, &mut self.moved, &self.settings);
        let draw = |n: usize, purpose: Purpose| generator.latent.stratified::<T>(n, d, (request.seed, purpose, step));
        let ((batch, particles), reference) = parallel::both(
            || {
                let batch = draw(s.batch, Purpose::Latent);
                let particles = moved.forward(generator, &batch);
                (batch, particles)
            },
            || (request.reference > 0).then(|| generator.map(&draw(request.reference, Purpose::Reference))),
        );
        if !particles.is_finite() || !reference.as_ref().is_none_or(|r| r.is_finite()) {
            self.moved.release();
            return Err(Error::Diverged { step });
        }
        self.latent = Some(batch);
        // a sample of its own even where nobody asked for one would be work for nothing
        Ok(Drawn { x: particles.cast(), reference: reference.map(|r| r.cast()), at_x: None })
    }

    fn follow(&mut self, step: Step<'_>) -> Result<Vec<Figure>> {
        let (velocity, growth) = match step.pull {
            Pull::Points(field) => (field.velocity, field.growth),
            Pull::Displacement { by, .. } => (by, None),
            _ => return Err(Error::Diverged { step: step.clock.step }),
        };
        let latent = self.latent.take();
        let mut cotangent: Matrix<T> = velocity.cast();
        let drift = root_mean_square(&cotangent);
        // T9: the regression's cotangent is -V/n; Adam's step does not depend on its size, the division keeps it in range
        let n = cotangent.rows() as f64;
        let factor = if drift > 0.0 { T::from_f64(-1.0 / (drift * n)) } else { T::ZERO };
        cotangent.as_mut_slice().iter_mut().for_each(|v| *v *= factor);
        self.moved.pull_back(&cotangent, &mut self.gradient);
        let rate = cosine_rate(self.settings.learning_rate, step.clock.step, step.clock.steps);
        Adam::default().step(&mut self.generator.parameters, &self.gradient, &mut self.optimiser, rate);
        let codes = latent.as_ref().and_then(|latent| latent.codes.as_ref());
        if let (Some(codes), Some(growth), true) = (codes, growth, self.settings.reaction > 0.0) {
            self.generator.latent.react(codes, &bounded_growth(&growth), self.settings.reaction);
        }
        Ok(Vec::new())
    }

    fn release(&mut self) {
        self.moved.release();
        self.latent = None;
    }

    fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.generator.sample(n, seed, block)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Growth rates, kept within ±[`MAX_GROWTH`].
pub(crate) fn bounded_growth(growth: &[f64]) -> Vec<f64> {
    growth.iter().map(|g| g.clamp(-MAX_GROWTH, MAX_GROWTH)).collect()
}
