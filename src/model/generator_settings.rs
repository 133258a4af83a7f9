//! Settings of a generator, and where it starts.

use crate::density::{Affine, Density, Orientation, Target, WeightedSamples};
use crate::error::{Error, Result};
use crate::linalg::{Matrix, MeanFree};
use crate::metric::resample;
use crate::model::frame_state::frame_of_state;
use crate::model::model::{Built, Model, ModelSettings, Start};
use crate::model::particle_start::fitted;
use crate::model::{Classes, Generator, GeneratorModel, Searched};
use crate::nn::Network;
use crate::num::{Real, powf};
use crate::search::{
    Found, HmcSettings, SearchSettings, at_peaks, blocks, fit_blocks, fit_mixture, follow, hmc, joined, refine, search,
    search_for_modes,
};
use crate::state::{State, Stateful};
use std::f64::consts::PI;
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
        /// [n, k] for a network that exchanges, turns and reflects with n particles in R^k, whose mean is 0; it has no codes. [] for any other.
        equivariant: Vec<usize> = vec![], Rule::AtLeast(1);
        /// Training steps of the flow to particles of the search that an equivariant network starts at, and as many of the pass that takes its
        /// place; 0 to start at the identity.
        fit: u64 = 2000, Rule::AtLeast(0);
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

/// Trajectories of a chain from a particle of the search, in which its step is found.
const SETTLING: usize = 100;
/// Least noise: centres are f32 numbers, whose rounding in units of h stays below a thousandth.
const LEAST_NOISE: f64 = 1e-4;

impl ModelSettings for GeneratorSettings {
    fn name(&self) -> &'static str {
        "generator"
    }
    fn summary(&self) -> &'static str {
        "a network G, x = G(z): one pass a sample"
    }
    fn validate(&self) -> Result<()> {
        if self.particles()?.is_some() && self.codes > 0 {
            let (value, expected) = (self.codes.to_string(), "0 with an equivariant network".into());
            return Err(Error::Setting { key: "codes".into(), value, expected });
        }
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
        // and an equivariant one some of a row for each particle
        let batches = match self.particles() {
            Ok(Some(space)) => batches + rows * space.particles as f64 * 8.0 * self.hidden.iter().sum::<usize>() as f64,
            _ => batches,
        };
        size * (4.0 * parameters + batches) + 8.0 * (3.0 * self.search_particles as f64 * d + 2.0 * d * d)
    }
    fn copy(&self) -> Box<dyn ModelSettings> {
        Box::new(self.clone())
    }
}

impl GeneratorSettings {
    /// The particles of an equivariant network.
    pub(super) fn particles(&self) -> Result<Option<MeanFree>> {
        Network::particles("equivariant", &self.equivariant, &self.hidden)
    }

    /// From points of a source: the identity on them. With codes: at the mixture that follows the target, as far as a search found it
    /// ([`fit_mixture`], [`follow`]), or its samples; without noise and for a target that is a product over blocks of coordinates, at a mixture for
    /// each block ([`blocks`], [`fit_blocks`]).
    fn build_as<T: Real>(&self, start: Start<'_>) -> Result<Built> {
        let (target, seed) = (start.target, start.seed);
        let particles = self.particles()?;
        Network::check_dimension("equivariant", particles, target.dim())?;
        let mixture = target.densities.first().and_then(|p| p.mixture());
        let fits = particles.is_some() && self.fit > 0;
        // otherwise a search finds the units alone
        let searches =
            ((self.codes > 0 || fits) && start.points.is_none()) || (start.frame.is_none() && mixture.is_none());
        let settings = SearchSettings { particles: self.search_particles, seed, start: start.frame.clone() };
        let mut found = match target.densities.first().filter(|_| searches) {
            // modes that particles missed are those of no symmetric law
            Some(p) if self.codes > 0 && p.symmetries().is_none() => Some(search_for_modes(&**p, &settings)?),
            Some(p) => Some(search(&**p, &settings)?),
            None => None,
        };
        if let (Some(p), Some(found), true) = (target.densities.first(), &mut found, fits) {
            found.particles = settled(&**p, &found.particles, seed)?;
        }
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
        let blocks = self.blocks_of(&start, found.as_ref().filter(|_| orientation.is_none()))?;
        let frame = match (start.frame, &blocks, mixture, points) {
            (Some(frame), ..) => frame,
            (None, _, _, Some(points)) if particles.is_some() => Affine::symmetric(points)?,
            (None, Some(blocks), _, Some(points)) => Affine::of_blocks(points, blocks)?,
            (None, _, Some(mixture), _) => Affine::of_mixture(mixture),
            (None, _, None, Some(points)) => Affine::of_particles(points)?,
            (None, _, None, None) => Affine::identity(target.dim()),
        };
        if let Some(source) = &start.points {
            check_source(source, frame.dim())?;
            let generator = Generator::<T>::at_source(frame, source, &self.hidden, seed);
            return Ok(Built { model: Box::new(GeneratorModel::new(generator, self.clone())), particles: None });
        }
        if let (Some(space), Some(points), true) = (particles, points, fits) {
            let y = frame.standardise(points);
            let mut model = GeneratorModel::<T>::fresh(frame, self.clone(), seed);
            model.start_at(fitted(&y, space, &self.hidden, self.fit, seed)?);
            return Ok(Built { model: Box::new(model), particles: Some(y) });
        }
        let points = points.filter(|_| self.codes > 0);
        let Some(y) = points.map(|points| frame.standardise(points)) else {
            return Ok(Built {
                model: Box::new(GeneratorModel::<T>::fresh(frame, self.clone(), seed)),
                particles: None,
            });
        };
        if let (Some(blocks), Some(p)) = (blocks, target.standardised(&frame)?.densities.first()) {
            let parts = fit_blocks(&y, blocks, &**p, self.codes, self.search_particles, seed)?;
            let mut generator = Generator::<T>::at_product(frame, &parts, &self.hidden, seed);
            generator.search = found.map(|found| Searched::of(&found));
            return Ok(Built { model: Box::new(GeneratorModel::new(generator, self.clone())), particles: Some(y) });
        }
        let (mut mixture, of_codes) = match &labels {
            Some(labels) => Classes::mixture(&y, labels, self.codes, seed),
            None => (fit_mixture(&y, self.codes, seed), Vec::new()),
        };
        let aimed = orientation.as_ref().map(|o| target.oriented(o)).transpose()?;
        if let Some(p) = aimed.as_ref().unwrap_or(target).standardised(&frame)?.densities.first() {
            mixture = match of_codes.is_empty() {
                true => {
                    let own = follow(mixture, &y, &**p, self.codes, self.search_particles, seed)?;
                    match found.as_ref().and_then(|f| f.lacking.as_ref()) {
                        Some(lacking) => {
                            let others = (&lacking.peaks.standardised(&frame)?, lacking.share);
                            let own = joined(own, others, &**p, self.codes, self.search_particles, seed ^ 1)?;
                            let all = lacking.all.standardised(&frame)?;
                            at_peaks(own, &all, &y, &**p, self.codes, self.search_particles, seed ^ 2)?
                        }
                        None => own.0,
                    }
                }
                // a code is of one class
                false => refine(mixture, &**p, self.search_particles, seed)?.0,
            };
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

    /// The blocks of coordinates of a target that is a product over several, where no noise is wanted: a density by centres asks for one code.
    fn blocks_of(&self, start: &Start<'_>, found: Option<&Found>) -> Result<Option<Vec<Vec<usize>>>> {
        let (Some(p), Some(found), None) = (start.target.densities.first(), found, &start.points) else {
            return Ok(None);
        };
        let keeps = start.frame.as_ref().is_none_or(|frame| frame.one_scale().is_some());
        if self.codes == 0 || self.noise_in(p.dim()) > 0.0 || !keeps {
            return Ok(None);
        }
        let found = blocks(&**p, &found.particles)?;
        Ok(Some(found).filter(|blocks| blocks.len() > 1))
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
            model = GeneratorModel::new(model.generator().clone().with_classes(classes), settings);
        }
        model.restore(state)?;
        Ok(Box::new(model))
    }
}

/// Particles of a search after trajectories of Hamiltonian Monte Carlo, one chain each: nearer to equilibrium in energies.
fn settled(p: &dyn Density, particles: &Matrix, seed: u64) -> Result<Matrix> {
    let settings = HmcSettings { warmup: SETTLING, draws: 1, length: 0.5 * PI, acceptance: 0.8, seed };
    let ends = hmc(p, particles, &settings)?.chains.iter().flat_map(|chain| chain.row(0).to_vec()).collect();
    Ok(Matrix::from_vec(particles.rows(), particles.cols(), ends))
}

/// `Error::Dimension` where there are no points or they have not d coordinates, `Error::BadSample` at one that is not finite.
pub(super) fn check_source(x: &Matrix, d: usize) -> Result<()> {
    if x.cols() != d || x.rows() == 0 {
        let (expected, found) = if x.cols() != d { (d, x.cols()) } else { (1, 0) };
        return Err(Error::Dimension { what: "the points of the source".into(), expected, found });
    }
    match x.as_slice().iter().position(|v| !v.is_finite()) {
        Some(k) => Err(Error::BadSample { row: k / d, column: k % d, value: x.as_slice()[k] }),
        None => Ok(()),
    }
}
