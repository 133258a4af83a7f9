//! A generator under training: G ← G + η V in the least-squares sense, V frozen (T9).

use crate::density::{Affine, Density, Orientation, Target, WeightedSamples};
use crate::error::{Error, Result};
use crate::estimate::{Clock, LawUse};
use crate::linalg::Matrix;
use crate::metric::resample;
use crate::model::CentreDensity;
use crate::model::batch::Batch;
use crate::model::best::Best;
use crate::model::frame_state::{frame_of_state, put_frame};
use crate::model::model::{Built, Drawn, Model, ModelSettings, Request, Start, Step};
use crate::model::{Classes, Generator, Latent, LatentBatch, Pieces, Searched};
use crate::nn::{Adam, AdamState, cosine_rate};
use crate::num::{Real, powf};
use crate::parallel;
use crate::rng::Purpose;
use crate::search::{Found, SearchSettings, fit_mixture, refine, search};
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Kind, Pull, root_mean_square, shorten};
use std::any::Any;
use std::sync::Arc;

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
        /// Noise h of a generator with codes, in units of its pieces, at most 1: what gives its law a density; 0 for none. Chosen by the
        /// dimension.
        noise: Option<f64> = None, Rule::Unit;
        /// Particles of the search that it starts from, and draws of each round that moves the fitted mixture towards the target.
        search_particles: usize = 8192, Rule::AtLeast(64);
        /// Of a target whose symmetries are known: how sharply the network's law is turned one way, from which a uniform element of the group
        /// moves each sample; 0 for not at all.
        orientation: f64 = 100.0, Rule::NotNegative;
        /// Centres behind that density in a step.
        centres: usize = 2048, Rule::AtLeast(1);
        /// Largest guidance that a generator of labelled samples learns, in half of its steps; 0 for none.
        guidance: f64 = 2.0, Rule::NotNegative;
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
    /// The best iterate, where the steps follow its own density: with a kernel estimate their objective changes with the bandwidth.
    best: Best<T>,
    follows_law: bool,
    /// The density of its law, by centres of the step.
    law: Option<CentreDensity>,
    /// The latent batch of the step.
    latent: Option<LatentBatch<T>>,
}

/// Least noise: centres are f32 numbers, whose rounding in units of h stays below a thousandth.
const LEAST_NOISE: f64 = 1e-4;
/// Longest pull on a particle in units of its piece, in √d: there a velocity of 1 in each coordinate already crosses the piece.
const STEEPEST: f64 = 2.0;
/// Steps from one look at how the samples followed V to the next: two passes of the network each.
const LOOK: u64 = 32;
/// Largest growth rate of the reaction that is followed: weights that grow with r give one particle any rate.
const MAX_GROWTH: f64 = 4.0;

impl ModelSettings for GeneratorSettings {
    fn name(&self) -> &'static str {
        "generator"
    }
    fn summary(&self) -> &'static str {
        "a network G, x = G(z): one pass a sample"
    }
    fn validate(&self) -> Result<()> {
        match self.noise {
            Some(h) if h > 0.0 && h < LEAST_NOISE => Err(Error::Setting {
                key: "noise".into(),
                value: format!("{h:e}"),
                expected: format!("0 for none, or a number from {LEAST_NOISE:e} to 1, in units of a piece"),
            }),
            _ => Ok(()),
        }
    }
    fn build(&self, start: Start<'_>) -> Result<Built> {
        if start.single { self.build_as::<f32>(start) } else { self.build_as::<f64>(start) }
    }
    fn rebuild(&self, start: Start<'_>, state: &State) -> Result<Box<dyn Model>> {
        if start.single { self.rebuild_as::<f32>(start, state) } else { self.rebuild_as::<f64>(start, state) }
    }
    fn memory(&self, dim: usize, reference: usize, single: bool) -> f64 {
        let (d, size) = (dim as f64, if single { 4.0 } else { 8.0 });
        let inputs = if self.codes > 0 { 2.0 * d } else { d };
        let widths: Vec<f64> = [inputs].into_iter().chain(self.hidden.iter().map(|&w| w as f64)).chain([d]).collect();
        let layers: f64 = widths.windows(2).map(|w| w[0] * w[1] + w[1]).sum();
        let parameters = layers + self.codes as f64 * d;
        let centres = if self.codes > 0 { self.centres as f64 } else { 0.0 };
        let rows = self.batch as f64 + (reference as f64).max(centres);
        // each hidden layer keeps its input and its output for the way back
        let batches = rows * (2.0 * widths.iter().sum::<f64>() + d);
        size * (4.0 * parameters + batches) + 8.0 * (3.0 * self.search_particles as f64 * d + 2.0 * d * d)
    }
    fn copy(&self) -> Box<dyn ModelSettings> {
        Box::new(self.clone())
    }
}

impl GeneratorSettings {
    /// From points of a source: the identity on them. With codes: at the mixture that follows the target, as far as a search found it
    /// ([`fit_mixture`], [`refine`]), or its samples.
    fn build_as<T: Real>(&self, start: Start<'_>) -> Result<Built> {
        let (target, seed) = (start.target, start.seed);
        let mixture = target.densities.first().and_then(|p| p.mixture());
        // without codes a search finds the units alone
        let searches = (self.codes > 0 && start.points.is_none()) || (start.frame.is_none() && mixture.is_none());
        let mut found = match target.densities.first().filter(|_| searches) {
            Some(p) => Some(search(
                &**p,
                &SearchSettings { particles: self.search_particles, seed, start: start.frame.clone() },
            )?),
            None => None,
        };
        let orientation = self.orientation_of(target, found.as_ref().filter(|_| start.points.is_none()), seed)?;
        if let (Some(o), Some(found)) = (&orientation, &mut found) {
            found.particles = o.orient(&found.particles, seed);
            found.second = o.orient(&found.second, seed ^ 1);
        }
        let mut labels = None;
        let drawn = match (&found, &target.samples) {
            (None, Some(WeightedSamples { points, log_weights: Some(weights), labels: own })) => {
                let rows = resample(weights, points.rows(), seed)?;
                labels = own.as_ref().map(|l| l.gather(&rows));
                Some(points.gather_rows(&rows))
            }
            (None, Some(samples)) => {
                labels.clone_from(&samples.labels);
                Some(samples.points.clone())
            }
            _ => None,
        };
        if labels.is_some() && (self.codes == 0 || start.points.is_some()) {
            let what = "a generator without codes draws no classes".into();
            return Err(Error::Unsupported { what, remedy: "leave the labels out, or start at noise with codes" });
        }
        let points = found.as_ref().map(|f| &f.particles).or(drawn.as_ref());
        let frame = match (start.frame, mixture, points) {
            (Some(frame), ..) => frame,
            (None, Some(mixture), _) => Affine::of_mixture(mixture),
            (None, None, Some(points)) => Affine::of_particles(points)?,
            (None, None, None) => Affine::identity(target.dim()),
        };
        if let Some(source) = &start.points {
            check_source(source, frame.dim())?;
            let generator = Generator::<T>::at_source(frame, source, &self.hidden, seed);
            return Ok(Built { model: Box::new(GeneratorModel::new(generator, self.clone())), particles: None });
        }
        let points = points.filter(|_| self.codes > 0);
        let Some(y) = points.map(|points| frame.standardise(points)) else {
            return Ok(Built {
                model: Box::new(GeneratorModel::<T>::fresh(frame, self.clone(), seed)),
                particles: None,
            });
        };
        let (mut mixture, of_codes) = match &labels {
            Some(labels) => Classes::mixture(&y, labels, self.codes, seed),
            None => (fit_mixture(&y, self.codes, seed), Vec::new()),
        };
        let aimed = orientation.as_ref().map(|o| target.oriented(o)).transpose()?;
        if let Some(p) = aimed.as_ref().unwrap_or(target).standardised(&frame)?.densities.first() {
            mixture = refine(mixture, &**p, self.search_particles, seed)?.0;
        }
        let mut generator = Generator::<T>::at_mixture(frame, &mixture, &self.hidden, self.noise_in(y.cols()), seed);
        if let Some(labels) = labels {
            let towards = Classes::beyond(&y, &labels);
            generator = generator.with_classes(Classes { of_codes, names: labels.names, guidance: self.guidance });
            generator.guide(&towards);
        }
        generator.search = found.map(|found| Searched::of(&found));
        generator.orientation = orientation;
        Ok(Built { model: Box::new(GeneratorModel::new(generator, self.clone())), particles: Some(y) })
    }

    /// Towards one of the particles of the search, where the target knows symmetries and there are codes to start at.
    fn orientation_of(&self, target: &Target, found: Option<&Found>, seed: u64) -> Result<Option<Arc<Orientation>>> {
        let p = target.densities.first();
        let group = p.and_then(|p| p.symmetries());
        let (Some(p), Some(group), Some(found), true) = (p, group, found, self.codes > 0 && self.orientation > 0.0)
        else {
            return Ok(None);
        };
        Orientation::try_on(&group, &**p, &found.particles, seed)?;
        Orientation::towards(&group, &found.particles, self.orientation).map(|o| Some(Arc::new(o)))
    }

    /// h, in d dimensions: by default 8^(-1/2d), at which an eighth of the centres of a piece count at its middle.
    fn noise_in(&self, d: usize) -> f64 {
        self.noise.unwrap_or(powf(8f64, -0.5 / d as f64))
    }

    fn rebuild_as<T: Real>(&self, start: Start<'_>, state: &State) -> Result<Box<dyn Model>> {
        let held = state.tensors.get("latent.logits").map_or(0, |m| m.shape().1);
        let settings = Self { codes: held, ..self.clone() };
        let mut model = GeneratorModel::<T>::fresh(frame_of_state(state)?, settings.clone(), start.seed);
        if let Some(classes) = Classes::of_state(state)? {
            if !classes.fit(held) {
                return Err(Error::State { what: format!("its classes are not those of {held} codes") });
            }
            model = GeneratorModel::new(model.generator.with_classes(classes), settings);
        }
        model.restore(state)?;
        Ok(Box::new(model))
    }
}

/// `Error::Dimension` where there are no points or they have not d coordinates, `Error::BadSample` at one that is not finite.
fn check_source(x: &Matrix, d: usize) -> Result<()> {
    if x.cols() != d || x.rows() == 0 {
        let (expected, found) = if x.cols() != d { (d, x.cols()) } else { (1, 0) };
        return Err(Error::Dimension { what: "the points of the source".into(), expected, found });
    }
    match x.as_slice().iter().position(|v| !v.is_finite()) {
        Some(k) => Err(Error::BadSample { row: k / d, column: k % d, value: x.as_slice()[k] }),
        None => Ok(()),
    }
}

/// The density by one centre: until the first step draws others, to say that there is one.
fn any_law<T: Real>(generator: &Generator<T>) -> Option<CentreDensity> {
    generator.density(&generator.draw(1, true, (0, Purpose::Reference, 0)), true)
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
        let best = Best::new(&generator.parameters, &generator.latent);
        let law = any_law(&generator);
        Self {
            generator,
            settings,
            optimiser,
            gradient,
            moved: Batch::default(),
            best,
            follows_law: false,
            law,
            latent: None,
        }
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
        match &self.generator.latent {
            Latent::Gaussian => {}
            Latent::Codes { logits } => to.put_row("latent.logits", logits),
            Latent::Points(x) => to.put("latent.points", &**x),
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
        let best = Best::restore(from, &names, &self.generator.parameters, codes)?;
        let latent = match codes {
            0 => None,
            _ => {
                let row = |name: &str, n: usize| Ok::<_, Error>(from.matrix::<f64>(name, (1, n))?.row(0).to_vec());
                let means = from.matrix("latent.means", (codes, d))?.clone();
                let pieces = Pieces::new(means, from.matrix("latent.factors", (codes, d * d))?.clone());
                Some((Latent::Codes { logits: row("latent.logits", codes)? }, pieces, row("latent.noise", 1)?[0]))
            }
        };
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
        self.law = any_law(&self.generator);
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
        let objective = step.pull.figures().iter().find(|f| f.key == "kl").map(|f| f.value);
        let (velocity, growth) = match step.pull {
            Pull::Points(field) => (field.velocity, field.growth),
            Pull::Displacement { by, .. } => (by, None),
            _ => return Err(Error::Diverged { step: step.clock.step }),
        };
        let latent = self.latent.take();
        let looked_at = latent.as_ref().filter(|_| step.clock.step.is_multiple_of(LOOK));
        let before = looked_at.map(|latent| self.generator.map(latent));
        if let Some(latent) = &latent {
            let mut cotangent = self.generator.cotangent(&velocity.map(|v| -v), latent);
            let limit = STEEPEST * (velocity.cols() as f64).sqrt();
            if self.generator.pieces.is_some() {
                cotangent.as_mut_slice().chunks_exact_mut(velocity.cols()).for_each(|row| shorten(row, limit));
            }
            // T9: the regression's cotangent is -V/n; Adam's step does not depend on its size, the division keeps it in range
            let drift = root_mean_square(&cotangent);
            let factor = if drift > 0.0 { T::from_f64(1.0 / (drift * velocity.rows() as f64)) } else { T::ZERO };
            cotangent.as_mut_slice().iter_mut().for_each(|v| *v *= factor);
            self.moved.pull_back(&cotangent, &mut self.gradient);
        }
        let rate = self.best.rate * cosine_rate(self.settings.learning_rate, step.clock.step, step.clock.steps);
        Adam::default().step(&mut self.generator.parameters, &self.gradient, &mut self.optimiser, rate);
        let cosine = looked_at.zip(before).map(|(latent, mut way)| {
            way.add_scaled(-1.0, &self.generator.map(latent));
            -cosine(way.as_slice(), velocity.as_slice())
        });
        let codes = latent.as_ref().and_then(|latent| latent.codes.as_ref());
        if let (Some(codes), Some(growth), true) = (codes, growth, self.settings.reaction > 0.0) {
            self.generator.latent.react(codes, &bounded_growth(&growth), self.settings.reaction);
        }
        if let (Some(objective), true) = (objective, self.follows_law) {
            let Clock { step: now, steps } = step.clock;
            let generator = &mut self.generator;
            let back = self.best.after(objective, steps, steps - now - 1, &generator.parameters, &generator.latent);
            if let Some(back) = back {
                (generator.parameters, generator.latent) = back;
                self.optimiser = AdamState::new(&generator.parameters);
            }
        }
        let figure = |c| Figure::plain("step_cosine", "cosine of the samples' step with V (T37)", c);
        Ok(cosine.map(figure).into_iter().collect())
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
