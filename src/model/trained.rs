//! A generator under training: G ← G + η V in the least-squares sense, V frozen (T9).

use crate::density::{Affine, Density, Orientation, Target};
use crate::error::{Error, Result};
use crate::estimate::{Clock, LawUse};
use crate::linalg::{Matrix, MeanFree};
use crate::model::CentreDensity;
use crate::model::batch::Batch;
use crate::model::best::Best;
use crate::model::frame_state::{frame_of_state, put_frame};
use crate::model::generator_settings::check_source;
use crate::model::model::{Drawn, Model, Request, Step};
use crate::model::{Generator, GeneratorSettings, Latent, LatentBatch, Pieces, Searched};
use crate::nn::{Adam, AdamState, Parameters, cosine_rate};
use crate::num::Real;
use crate::parallel;
use crate::rng::Purpose;
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Kind, Pull, root_mean_square, shorten};
use std::any::Any;
use std::sync::Arc;

/// A generator that follows velocities by stop-gradient regression: θ moves against -E[(∂G/∂θ)ᵀ V], by Adam (T9).
pub struct GeneratorModel<T: Real> {
    generator: Generator<T>,
    settings: GeneratorSettings,
    optimiser: AdamState<T>,
    gradient: Vec<Matrix<T>>,
    moved: Batch<T>,
    /// The best iterate, where its own density is known or has a bound: with a kernel estimate the objective changes with the bandwidth.
    best: Best<T>,
    follows_law: bool,
    /// The density of its law, by centres of the step.
    law: Option<CentreDensity>,
    /// Without noise, the law of its pieces.
    pieces: Option<Arc<dyn Density>>,
    /// The latent batch of the step.
    latent: Option<LatentBatch<T>>,
}

/// Longest pull on a particle in units of its piece, in √d: there a velocity of 1 in each coordinate already crosses the piece.
const STEEPEST: f64 = 2.0;
/// Steps from one look at how the samples followed V to the next: two passes of the network each.
const LOOK: u64 = 32;
/// Largest growth rate of the reaction that is followed: weights that grow with r give one particle any rate.
const MAX_GROWTH: f64 = 4.0;

/// Longest pull on one of many particles, in medians of all pulls: two that lie on each other repel without bound.
const CALM: f64 = 4.0;

/// Pulls (N×d) in which none on a particle is longer than [`CALM`] medians; so they turn with the particles as before.
fn calmed(space: MeanFree, pulls: &Matrix) -> Matrix {
    let mut x = space.positions(pulls);
    let length = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut lengths: Vec<f64> = x.as_slice().chunks_exact(space.dim).map(length).collect();
    let middle = lengths.len() / 2;
    let limit = CALM * *lengths.select_nth_unstable_by(middle, f64::total_cmp).1;
    x.as_mut_slice().chunks_exact_mut(space.dim).for_each(|pull| shorten(pull, limit));
    space.coordinates(&x)
}

/// The density by one centre: until the first step draws others, to say that there is one.
fn any_law<T: Real>(generator: &Generator<T>) -> Option<CentreDensity> {
    generator.density(&generator.draw(1, true, (0, Purpose::Reference, 0)), true)
}

/// The law of the pieces of a generator without noise: near its own as long as the network does little.
fn law_of_pieces<T: Real>(generator: &Generator<T>) -> Option<Arc<dyn Density>> {
    let (pieces, (_, counts)) = (generator.pieces.as_ref()?, generator.latent.blocks()?);
    if generator.noise > 0.0 { None } else { pieces.law(&generator.latent.probabilities(), &counts) }
}

impl<T: Real> GeneratorModel<T> {
    /// A fresh generator in the units of `frame`; its parameters are drawn under `seed`.
    pub fn fresh(frame: Affine, settings: GeneratorSettings, seed: u64) -> Self {
        let latent = match settings.codes {
            0 => Latent::Gaussian,
            k => Latent::Codes { logits: vec![0.0; k] },
        };
        let generator = match settings.particles() {
            Ok(Some(space)) => Generator::of_particles(frame, space, (settings.hidden[0], settings.hidden.len()), seed),
            _ => Generator::new(frame, latent, &settings.hidden, seed),
        };
        Self::new(generator, settings)
    }

    /// Any generator.
    pub fn new(generator: Generator<T>, settings: GeneratorSettings) -> Self {
        let gradient = generator.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
        let optimiser = AdamState::new(&generator.parameters);
        let best = Best::new(&generator.parameters, &generator.latent);
        let (law, pieces) = (any_law(&generator), law_of_pieces(&generator));
        Self {
            generator,
            settings,
            optimiser,
            gradient,
            moved: Batch::default(),
            best,
            follows_law: false,
            law,
            pieces,
            latent: None,
        }
    }

    /// The same with other parameters, at its start.
    pub(super) fn start_at(&mut self, parameters: Parameters<T>) {
        self.generator.parameters = parameters;
        self.best = Best::new(&self.generator.parameters, &self.generator.latent);
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
        if let Latent::Points(x) = &self.generator.latent {
            to.put("latent.points", &**x);
        }
        if let Some((logits, counts)) = self.generator.latent.blocks() {
            to.put_row("latent.logits", logits);
            if counts.len() > 1 {
                to.put_row("latent.blocks", &counts.iter().map(|c| *c as f64).collect::<Vec<_>>());
            }
        }
        if let Some(pieces) = &self.generator.pieces {
            to.put("latent.means", pieces.means());
            to.put("latent.factors", pieces.factors());
            to.put_row("latent.noise", &[self.generator.noise]);
        }
        if let Some(classes) = &self.generator.classes {
            classes.put(to);
        }
        if let Some(search) = &self.generator.search {
            search.put(to);
        }
        if let Some(orientation) = &self.generator.orientation {
            orientation.put(to);
        }
        self.best.save(to, &self.generator.parameter_names());
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let names = self.generator.parameter_names();
        let (parameters, optimiser) = from.parameters(&names, &self.generator.parameters)?;
        let frame = frame_of_state(from)?;
        // the velocity is in units of the frame
        if frame != self.generator.frame {
            return Err(Error::State { what: format!("it is in {frame:?}") });
        }
        let (codes, d) = (self.generator.latent.codes(), self.generator.dim());
        let latent = match codes {
            0 => None,
            _ => {
                let row = |name: &str, n: usize| Ok::<_, Error>(from.matrix::<f64>(name, (1, n))?.row(0).to_vec());
                let means = from.matrix("latent.means", (codes, d))?.clone();
                let pieces = Pieces::new(means, from.matrix("latent.factors", (codes, d * d))?.clone());
                let counts: Vec<usize> = match from.tensors.contains_key("latent.blocks") {
                    true => from.any_shape::<f64>("latent.blocks")?.as_slice().iter().map(|c| *c as usize).collect(),
                    false => vec![codes],
                };
                if counts.iter().sum::<usize>() != codes || counts.contains(&0) {
                    return Err(Error::State { what: format!("its blocks {counts:?} are not of {codes} codes") });
                }
                let latent = Latent::of_blocks(row("latent.logits", codes)?, counts);
                Some((latent, pieces, row("latent.noise", 1)?[0]))
            }
        };
        let law = latent.as_ref().map_or(&Latent::Gaussian, |(latent, ..)| latent);
        let best = Best::restore(from, &names, &self.generator.parameters, law)?;
        let source = match from.tensors.contains_key("latent.points") {
            true => Some(from.any_shape::<f64>("latent.points")?.clone()),
            false => None,
        };
        if let Some(x) = &source {
            check_source(x, d)?;
        }
        let search = Searched::of_state(from, d)?;
        let orientation = Orientation::of_state(from, d)?.map(Arc::new);
        (self.generator.parameters, self.optimiser, self.best) = (parameters, optimiser, best);
        if let Some((latent, pieces, noise)) = latent {
            (self.generator.latent, self.generator.pieces, self.generator.noise) = (latent, Some(pieces), noise);
        }
        if let Some(x) = source {
            self.generator.latent = Latent::Points(Arc::new(x));
        }
        (self.generator.search, self.generator.orientation) = (search, orientation);
        (self.law, self.pieces) = (any_law(&self.generator), law_of_pieces(&self.generator));
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

    fn aim(&self, target: &Target) -> Result<Target> {
        self.generator.orientation.as_ref().map_or(Ok(target.clone()), |o| target.oriented(o))
    }

    fn follows(&self) -> &'static [Kind] {
        &[Kind::Points, Kind::Displacement]
    }

    fn law(&self) -> Option<&dyn Density> {
        self.law.as_ref().map(|law| law as &dyn Density)
    }

    fn near(&self) -> Option<&Arc<dyn Density>> {
        // of one Gaussian the affine score is as near, and follows it
        self.pieces
            .as_ref()
            .filter(|_| self.generator.latent.blocks().is_some_and(|(_, counts)| counts.iter().any(|c| *c > 1)))
    }

    fn draw(&mut self, request: &Request) -> Result<Drawn> {
        let step = request.clock.step;
        let (generator, moved, s) = (&self.generator, &mut self.moved, &self.settings);
        let guidance = generator.classes.as_ref().map_or(0.0, |c| c.guidance_of(request.seed, step));
        let draw = |n: usize, purpose: Purpose| LatentBatch {
            guidance,
            ..generator.draw(n, true, (request.seed, purpose, step))
        };
        let ((batch, particles), (second, reference, law)) = parallel::both(
            || {
                let batch = draw(s.batch, Purpose::Latent);
                let particles = generator.place(&moved.forward(generator, &batch), &batch);
                (batch, particles)
            },
            || {
                let second = (request.reference > 0).then(|| draw(request.reference, Purpose::Reference));
                let reference = second.as_ref().map(|second| generator.map(second));
                let asked = request.law != LawUse::None;
                (
                    second,
                    reference,
                    asked.then(|| generator.density(&draw(s.centres, Purpose::Reference), true)).flatten(),
                )
            },
        );
        if !particles.is_finite() || !reference.as_ref().is_none_or(|r| r.is_finite()) {
            self.moved.release();
            return Err(Error::Diverged { step });
        }
        let classes = generator.classes.as_ref().map(|c| c.classed(&batch, second.as_ref()));
        self.latent = Some(batch);
        self.follows_law = law.is_some();
        if law.is_some() {
            self.law = law;
        }
        // a sample of its own even where nobody asked for one would be work for nothing
        Ok(Drawn { x: particles, reference, at_x: None, classes })
    }

    fn follow(&mut self, step: Step<'_>) -> Result<Vec<Figure>> {
        let figure = |key: &str| step.pull.figures().iter().find(|f| f.key == key).map(|f| f.value);
        let noisy = figure("bandwidth").is_some();
        let (kl, log_p) = (figure("kl"), figure("mean_log_density").filter(|_| !noisy));
        let (velocity, growth) = match step.pull {
            Pull::Points(field) => (field.velocity, field.growth),
            Pull::Displacement { by, .. } => (by, None),
            _ => return Err(Error::Diverged { step: step.clock.step }),
        };
        let latent = self.latent.take();
        let bound = match (&latent, &self.pieces, log_p) {
            (Some(latent), Some(pieces), Some(log_p)) if !self.follows_law => {
                // none where a sample is outside the support
                Some(self.generator.path_log_density(latent, &**pieces) - log_p).filter(|bound| bound.is_finite())
            }
            _ => None,
        };
        // what a bound is compared with first is the start's, as exactly as that of any window
        let waits = bound.is_some() && self.best.is_first();
        let looked_at = latent.as_ref().filter(|_| step.clock.step.is_multiple_of(LOOK));
        let before = looked_at.map(|latent| self.generator.map(latent));
        if let Some(latent) = &latent {
            let mut cotangent = self.generator.cotangent(&velocity.map(|v| -v), latent);
            if self.generator.pieces.is_some() {
                let limit = STEEPEST * (velocity.cols() as f64).sqrt();
                cotangent.as_mut_slice().chunks_exact_mut(velocity.cols()).for_each(|row| shorten(row, limit));
            }
            // scores of laws with noise are bounded
            if let (Some(space), false) = (self.generator.particles(), noisy) {
                cotangent = calmed(space, &cotangent.cast()).cast();
            }
            // T9: the regression's cotangent is -V/n; Adam's step does not depend on its size, the division keeps it in range
            let drift = root_mean_square(&cotangent);
            let factor = if drift > 0.0 { T::from_f64(1.0 / (drift * velocity.rows() as f64)) } else { T::ZERO };
            cotangent.as_mut_slice().iter_mut().for_each(|v| *v *= factor);
            self.moved.pull_back(&cotangent, &mut self.gradient);
        }
        let rate = self.best.rate * cosine_rate(self.settings.learning_rate, step.clock.step, step.clock.steps);
        if !waits {
            Adam::default().step(&mut self.generator.parameters, &self.gradient, &mut self.optimiser, rate);
        }
        let cosine = looked_at.zip(before).map(|(latent, mut way)| {
            way.add_scaled(-1.0, &self.generator.map(latent));
            -cosine(way.as_slice(), velocity.as_slice())
        });
        let codes = latent.as_ref().and_then(|latent| latent.codes.as_ref());
        if let (Some(codes), Some(growth), true) = (codes, growth, self.settings.reaction > 0.0 && !waits) {
            self.generator.latent.react(codes, &bounded_growth(&growth), self.settings.reaction);
            self.pieces = law_of_pieces(&self.generator);
        }
        if let Some(objective) = kl.filter(|_| self.follows_law).or(bound) {
            let Clock { step: now, steps } = step.clock;
            let generator = &mut self.generator;
            let back = self.best.after(objective, steps, steps - now - 1, &generator.parameters, &generator.latent);
            if let Some(back) = back {
                (generator.parameters, generator.latent) = back;
                self.optimiser = AdamState::new(&generator.parameters);
                self.pieces = law_of_pieces(generator);
            }
        }
        let bound = bound.map(|bound| Figure::plain("kl_bound", "bound of KL(q‖p), up to log Z", bound));
        let figure = |c| Figure::plain("step_cosine", "cosine of the samples' step with V (T37)", c);
        Ok(cosine.map(figure).into_iter().chain(bound).collect())
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

/// ⟨a, b⟩/|a||b|; NaN, which is not reported, where one is 0.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Growth rates, kept within ±[`MAX_GROWTH`].
pub(crate) fn bounded_growth(growth: &[f64]) -> Vec<f64> {
    growth.iter().map(|g| g.clamp(-MAX_GROWTH, MAX_GROWTH)).collect()
}
