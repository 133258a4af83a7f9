//! A flow under training, with its exact density.

use crate::density::{Affine, Density, Target};
use crate::error::{Error, Result};
use crate::estimate::{Clock, Law, LawUse};
use crate::linalg::Matrix;
use crate::model::batch::Batch;
use crate::model::flow::held_out::HeldOut;
use crate::model::flow::start::likelier_components;
use crate::model::flow::{Architecture, CouplingKind, Flow};
use crate::model::frame_state::{frame_of_state, put_frame};
use crate::model::model::{Built, Drawn, Model, ModelSettings, Request, Start, Step};
use crate::model::trained::bounded_growth;
use crate::model::{LatentBatch, Searched};
use crate::nn::{Adam, AdamState, Parameters, cosine_rate};
use crate::num::Real;
use crate::rng::Purpose;
use crate::search::{SearchSettings, search};
use crate::state::{State, Stateful};
use crate::velocity::{Figure, Kind, Pull};
use std::any::Any;
use std::sync::Arc;

crate::settings! {
    /// Settings of a [`FlowModel`]. Lengths are in units of the frame.
    pub struct FlowSettings in "model" {
        /// Points of a step.
        batch: usize = 1024, Rule::AtLeast(2);
        /// Kind of the couplings: "affine" (RealNVP) or "spline" (rational-quadratic).
        coupling: String = "affine".into(), Rule::OneOf(&["affine", "spline"]);
        /// Bins of a spline coupling.
        bins: usize = 8, Rule::AtLeast(1);
        /// Half the interval of a spline coupling, in units of the scale.
        reach: f64 = 4.0, Rule::Positive;
        /// Number of couplings.
        couplings: usize = 8, Rule::AtLeast(0);
        /// Widths of the hidden layers of their networks.
        hidden: Vec<usize> = vec![64; 2], Rule::AtLeast(1);
        /// Components of the base; where absent 64 or 1, whichever is likelier at particles of the search that it has not seen.
        components: Option<usize> = None, Rule::AtLeast(1);
        /// Particles of the search: where nothing lies between modes, training hardly repairs masses that it starts with wrongly.
        search_particles: usize = 8192, Rule::AtLeast(64);
        /// Adam's rate: it rises over the first 5 % of the steps, then falls to 0 along a half cosine.
        learning_rate: f64 = 3e-3, Rule::Positive;
        /// Rate of the reaction on the weights of the base's components (T15), at the start; it falls with Adam's.
        reaction: f64 = 0.1, Rule::Unit;
        /// Steps without a fall of KL(q‖p) + KL(p‖q) on held-out points after which the best iterate comes back and the rate falls, and
        /// after the third time the run ends; 0 for all steps and the last iterate.
        patience: u64 = 0, Rule::AtLeast(0);
    }
}

/// Fraction of the steps over which Adam's rate rises: its first steps have the length of the rate whatever the gradient, and a start
/// that is good already would be lost.
const WARM_UP: f64 = 0.05;

/// Parameters and optimiser, as they were before a step.
type Before<T> = (Parameters<T>, AdamState<T>);

/// Most bins of a spline.
const MOST_BINS: usize = 100;

/// A flow that follows velocities by the path gradient (T9) and cotangents of its log-density (T8).
///
/// It starts where a sequential Monte Carlo search of the target ends: the particles, which know p only through p~, give the units,
/// the base's components or its mean and covariance ([`Flow::start_at`]). So the modes that are found are those that the search finds;
/// training makes the density right, it does not discover.
pub struct FlowModel<T: Real> {
    /// In units of the frame: its own frame is the identity.
    flow: Flow<T>,
    frame: Affine,
    settings: FlowSettings,
    optimiser: AdamState<T>,
    gradient: Vec<Matrix<T>>,
    generated: Batch<T>,
    valued: Batch<T>,
    /// The latent batch of the step.
    latent: Option<LatentBatch<T>>,
    /// None for a flow that was given, or that never stops.
    held_out: Option<HeldOut<T>>,
}

impl FlowSettings {
    /// What a flow with `components` in its base and `given` conditions is made of.
    pub fn architecture(&self, components: usize, given: usize) -> Architecture {
        let coupling = match self.coupling.as_str() {
            "spline" => CouplingKind::Spline { bins: self.bins, reach: self.reach },
            _ => CouplingKind::Affine,
        };
        Architecture { coupling, couplings: self.couplings, hidden: self.hidden.clone(), components, given }
    }

    /// Adam's rate at a step: `learning_rate` min(1, 20 t) (1 + cos πt)/2 at t = step/steps.
    pub fn rate(&self, clock: Clock) -> f64 {
        let warm = ((clock.step + 1) as f64 / (WARM_UP * clock.steps as f64)).min(1.0);
        warm * cosine_rate(self.learning_rate, clock.step, clock.steps)
    }

    fn build_as<T: Real>(&self, start: Start<'_>) -> Result<Built> {
        let [density] = start.target.densities.as_slice() else {
            let what = format!(
                "a flow starts from a search of one density, and the target has {}",
                start.target.densities.len()
            );
            return Err(Error::Mismatch { what, remedy: "give one density, or choose the model 'generator'".into() });
        };
        let given = start.frame.clone();
        let settings = SearchSettings { particles: self.search_particles, seed: start.seed, start: given };
        let found = search(&**density, &settings)?;
        let frame = start.frame.map_or_else(|| found.frame(), Ok)?;
        let y = frame.standardise(&found.particles);
        let components = self.components.unwrap_or_else(|| likelier_components(&y, &frame, start.seed));
        let mut flow: Flow<T> = Flow::new(frame, self.architecture(components, density.conditions()), start.seed);
        flow.start_at(&y, start.seed);
        flow.search = Some(Searched::of(&found));
        let mut model = FlowModel::new(flow, self.clone());
        model.hold_out(start.training, start.seed)?;
        Ok(Built { model: Box::new(model), particles: Some(y) })
    }

    fn rebuild_as<T: Real>(&self, start: Start<'_>, state: &State) -> Result<Box<dyn Model>> {
        let (frame, components) = (frame_of_state(state)?, state.counter("components")? as usize);
        // components beyond these have no means in the state
        let held = state.tensors.get("parameter.base.means").map_or(1, |m| m.shape().0);
        if frame.dim() != start.target.dim() || components != held {
            let what = format!("it has {components} components, in {frame:?}");
            return Err(Error::State { what });
        }
        let given = start.target.densities.first().map_or(0, |p| p.conditions());
        let architecture = self.architecture(components, given);
        let mut model = FlowModel::<T>::new(Flow::new(frame, architecture, start.seed), self.clone());
        model.flow.search = Searched::of_state(state, model.flow.dim())?;
        model.hold_out(start.training, start.seed)?;
        model.restore(state)?;
        Ok(Box::new(model))
    }
}

impl ModelSettings for FlowSettings {
    fn name(&self) -> &'static str {
        "flow"
    }
    fn summary(&self) -> &'static str {
        "a normalizing flow: one pass a sample, with its exact density"
    }
    fn validate(&self) -> Result<()> {
        let (components, particles) = (self.components.unwrap_or(1), self.search_particles);
        let (key, value, expected) = if self.bins > MOST_BINS {
            ("bins", self.bins, format!("a whole number, at most {MOST_BINS}"))
        } else if components > particles {
            ("components", components, format!("at most search_particles = {particles}, to which they are fitted"))
        } else {
            return Ok(());
        };
        Err(Error::Setting { key: key.into(), value: value.to_string(), expected })
    }
    fn build(&self, start: Start<'_>) -> Result<Built> {
        if start.single { self.build_as::<f32>(start) } else { self.build_as::<f64>(start) }
    }
    fn rebuild(&self, start: Start<'_>, state: &State) -> Result<Box<dyn Model>> {
        if start.single { self.rebuild_as::<f32>(start, state) } else { self.rebuild_as::<f64>(start, state) }
    }
    fn memory(&self, dim: usize, _: usize, single: bool) -> f64 {
        let (d, size) = (dim as f64, if single { 4.0 } else { 8.0 });
        let outputs = if self.coupling == "spline" { 3.0 * self.bins as f64 } else { 2.0 } * d;
        let widths: Vec<f64> = [d].into_iter().chain(self.hidden.iter().map(|&w| w as f64)).chain([outputs]).collect();
        let layers: f64 = widths.windows(2).map(|w| w[0] * w[1] + w[1]).sum();
        let couplings = self.couplings as f64;
        let batch = self.batch as f64 * couplings * (2.0 * widths.iter().sum::<f64>() + d);
        size * (5.0 * couplings * layers + batch) + 8.0 * (3.0 * self.search_particles as f64 * d + 2.0 * d * d)
    }
    fn copy(&self) -> Box<dyn ModelSettings> {
        Box::new(self.clone())
    }
}

impl<T: Real> FlowModel<T> {
    /// Any flow.
    pub fn new(mut flow: Flow<T>, settings: FlowSettings) -> Self {
        let identity = Affine::identity(flow.dim());
        let frame = std::mem::replace(&mut flow.frame, identity);
        Self {
            gradient: flow.zeros(),
            optimiser: AdamState::new(&flow.parameters),
            flow,
            frame,
            settings,
            generated: Batch::default(),
            valued: Batch::default(),
            latent: None,
            held_out: None,
        }
    }

    /// From here on particles of the search judge its steps.
    fn hold_out(&mut self, target: &Target, seed: u64) -> Result<()> {
        let patience = self.settings.patience;
        let search = self.flow.search.as_ref().filter(|_| patience > 0);
        let (Some(search), [density]) = (search, target.densities.as_slice()) else { return Ok(()) };
        let flow = (&self.flow, &self.frame);
        self.held_out = Some(HeldOut::new(Arc::clone(density), flow, &search.particles, patience, seed)?);
        Ok(())
    }

    /// A step along `self.gradient`, and what held-out points say of it where a look is due. A look that fails takes the step back.
    fn descend(&mut self, rate: f64, clock: Clock, before: Option<Before<T>>) -> Result<Vec<Figure>> {
        Adam::default().step(&mut self.flow.parameters, &self.gradient, &mut self.optimiser, rate);
        let (Some(held_out), Some(before)) = (&mut self.held_out, before) else { return Ok(Vec::new()) };
        match held_out.look(&mut self.flow, &self.frame, clock.step + 1, clock.steps) {
            Ok(value) => Ok(vec![Figure::plain("held_out", "KL(q‖p) + KL(p‖q), held out", value)]),
            Err(error) => {
                (self.flow.parameters, self.optimiser) = before;
                Err(error)
            }
        }
    }

    /// What is trained, in the units of the target.
    pub fn flow(&self) -> Flow<T> {
        let mut flow = self.flow.clone();
        flow.frame = self.frame.clone();
        flow
    }
}

impl<T: Real> Stateful for FlowModel<T> {
    fn save(&self, to: &mut State) {
        to.put_parameters(&self.flow.parameter_names(), &self.flow.parameters, &self.optimiser);
        put_frame(to, &self.frame);
        to.counters.insert("components".into(), self.flow.base().components as u64);
        if let Some(search) = &self.flow.search {
            search.put(to);
        }
        if let Some(held_out) = &self.held_out {
            held_out.put(&self.flow.parameter_names(), to);
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let (parameters, optimiser) = from.parameters(&self.flow.parameter_names(), &self.flow.parameters)?;
        let frame = frame_of_state(from)?;
        if frame != self.frame {
            return Err(Error::State { what: format!("it is in {frame:?}") });
        }
        if let Some(held_out) = &mut self.held_out {
            held_out.take(&self.flow.parameter_names(), from)?;
        }
        self.flow.search = Searched::of_state(from, self.flow.dim())?;
        (self.flow.parameters, self.optimiser) = (parameters, optimiser);
        Ok(())
    }
}

impl<T: Real> Model for FlowModel<T> {
    fn name(&self) -> &'static str {
        "flow"
    }

    fn frame(&self) -> &Affine {
        &self.frame
    }

    fn follows(&self) -> &'static [Kind] {
        &[Kind::Points, Kind::Displacement, Kind::LogDensity]
    }

    fn law(&self) -> Option<&dyn Density> {
        Some(&self.flow)
    }

    fn draw(&mut self, request: &Request) -> Result<Drawn> {
        let (d, step) = (self.flow.dim(), request.clock.step);
        let latent = self.flow.latent().stratified(self.settings.batch, d, (request.seed, Purpose::Latent, step));
        let (y, at_x) = if request.law == LawUse::AtParticles {
            let points = self.generated.generate_with_score(&self.flow, &latent);
            let law = Law { log_density: points.log_q, score: points.score.cast() };
            (points.y, Some(law))
        } else {
            (self.generated.generate(&self.flow, &latent), None)
        };
        let finite = |law: &Law| law.score.is_finite() && law.log_density.iter().all(|l| l.is_finite());
        if !y.is_finite() || !at_x.as_ref().is_none_or(finite) {
            self.release();
            return Err(Error::Diverged { step });
        }
        let reference =
            (request.reference > 0).then(|| self.flow.sample_block(request.reference, request.seed ^ REFERENCE, step));
        self.latent = Some(latent);
        Ok(Drawn { x: y.cast(), reference, at_x, classes: None })
    }

    fn follow(&mut self, step: Step<'_>) -> Result<Vec<Figure>> {
        let latent = self.latent.take();
        let clock = step.clock;
        let rate = self.settings.rate(clock) * self.held_out.as_ref().map_or(1.0, HeldOut::rate);
        let is_due = self.held_out.is_some() && HeldOut::<T>::is_due(clock.step + 1, clock.steps);
        let before = is_due.then(|| (self.flow.parameters.clone(), self.optimiser.clone()));
        let (velocity, rms, growth) = match step.pull {
            Pull::Points(field) => (field.velocity, field.rms, field.growth),
            Pull::Displacement { by, .. } => (by.clone(), crate::velocity::root_mean_square(&by), None),
            Pull::LogDensity { at, cotangent, .. } => {
                self.generated.release();
                self.valued.log_density(&self.flow, &at.cast());
                let column = Matrix::from_vec(cotangent.len(), 1, cotangent);
                self.valued.pull_back(&column.cast(), &mut self.gradient);
                return self.descend(rate, clock, before);
            }
            _ => return Err(Error::Diverged { step: clock.step }),
        };
        // T9: the cotangent is -V/n; Adam's step does not depend on its size, the division keeps it in range
        let factor = if rms > 0.0 { -1.0 / (rms * velocity.rows() as f64) } else { 0.0 };
        self.generated.pull_back(&velocity.map(|v| v * factor).cast(), &mut self.gradient);
        let codes = latent.as_ref().and_then(|latent| latent.codes.as_ref());
        if let (Some(codes), Some(growth), true) = (codes, growth, self.settings.reaction > 0.0) {
            let (base, rates) = (self.flow.base(), bounded_growth(&growth));
            let share = self.settings.reaction * rate / self.settings.learning_rate;
            base.react(&mut self.flow.parameters, codes, &rates, share);
        }
        self.descend(rate, clock, before)
    }

    fn settled(&self) -> Option<String> {
        self.held_out.as_ref().and_then(HeldOut::settled)
    }

    fn release(&mut self) {
        self.generated.release();
        self.valued.release();
        self.latent = None;
    }

    fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.frame.restore(&self.flow.sample_block(n, seed, block))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The samples behind an estimate of q are not those that a user draws under the same seed.
const REFERENCE: u64 = 0x5245_4645_5245_4e43;
