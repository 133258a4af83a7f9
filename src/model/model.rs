//! What follows a velocity.

use crate::density::{Affine, Density, Target};
use crate::error::Result;
use crate::estimate::{Classed, Clock, Law, LawUse};
use crate::linalg::Matrix;
use crate::settings::Section;
use crate::state::Stateful;
use crate::velocity::{Figure, Kind, Pull};
use std::any::Any;
use std::sync::Arc;

/// What a step asks of a model before it is moved.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Rows of an independent sample of q, where the model can draw one.
    pub reference: usize,
    /// Whether its exact density is wanted.
    pub law: LawUse,
    /// Where the run stands.
    pub clock: Clock,
    /// Key of all randomness.
    pub seed: u64,
}

/// The particles of a step, in the units of the frame.
pub struct Drawn {
    /// The particles x, n×d.
    pub x: Matrix,
    /// An independent sample of their law; None where the particles are all there is.
    pub reference: Option<Matrix>,
    /// log q and its score at x, where asked for and known.
    pub at_x: Option<Law>,
    /// The classes of both, for a model with classes.
    pub classes: Option<Classed>,
}

/// A pull, and the way to ask for another one at other particles.
pub struct Step<'a> {
    /// The pull at the particles that were drawn.
    pub pull: Pull,
    /// The pull at other particles of the same step: the second stage of a Runge–Kutta method, a line search.
    pub again: &'a mut dyn FnMut(&Matrix) -> Result<Pull>,
    /// Where the run stands.
    pub clock: Clock,
    /// Key of all randomness.
    pub seed: u64,
}

/// A sampler that can follow a velocity. Between steps it is whole: [`Stateful::save`] gives all that changes.
pub trait Model: Stateful + Send {
    /// Its name in the registry.
    fn name(&self) -> &'static str;

    /// The units in which it works.
    fn frame(&self) -> &Affine;

    /// What a velocity must lead to, in the units of the target, for samples of the model to have the target's law; mostly the target itself.
    fn aim(&self, target: &Target) -> Result<Target> {
        Ok(target.clone())
    }

    /// The kinds of pulls that it can follow.
    fn follows(&self) -> &'static [Kind];

    /// Its exact density in the units of the frame, where it has one.
    fn law(&self) -> Option<&dyn Density> {
        None
    }

    /// A law near its own with a known score, in the units of the frame, where it has no density but one ([`Estimator::start_from`]).
    ///
    /// [`Estimator::start_from`]: crate::estimate::Estimator::start_from
    fn near(&self) -> Option<&Arc<dyn Density>> {
        None
    }

    /// Length of a step in time; 0 where a step has none.
    fn dt(&self) -> f64 {
        0.0
    }

    /// The particles of a step. `Error::Diverged` where its own output is not finite; nothing changes then.
    fn draw(&mut self, request: &Request) -> Result<Drawn>;

    /// Moves along the pull; the numbers of its own. On an error nothing but what [`Model::draw`] kept has changed.
    fn follow(&mut self, step: Step<'_>) -> Result<Vec<Figure>>;

    /// Why no further step is worth its time, in a sentence; None as long as one is.
    fn settled(&self) -> Option<String> {
        None
    }

    /// Forgets what [`Model::draw`] kept for [`Model::follow`], after a step that was left out.
    fn release(&mut self) {}

    /// n samples x (n×d) in the units of the target: block `block` of the stream of `seed`, for models that can draw any number.
    /// [`Particles`](crate::model::Particles) give theirs, the first n at most.
    fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix;

    /// The model itself, for a caller who knows its type.
    fn as_any(&self) -> &dyn Any;
}

/// What a model starts from.
pub struct Start<'a> {
    /// The target, in its own units.
    pub target: &'a Target,
    /// The same, for what a model asks of it in the course of training: it counts as that.
    pub training: &'a Target,
    /// The units; found from the target where None.
    pub frame: Option<Affine>,
    /// Particles to start at, in the target's units, for models that take them.
    pub points: Option<Matrix>,
    /// Whether the model's numbers are f32.
    pub single: bool,
    /// Key of all randomness.
    pub seed: u64,
}

/// A model that was built, with the particles (in the units of its frame) of the search that it made, if it made one.
pub struct Built {
    /// The model.
    pub model: Box<dyn Model>,
    /// N×d.
    pub particles: Option<Matrix>,
}

/// The settings of a model, which know how to build it.
pub trait ModelSettings: Section {
    /// Its name in the registry.
    fn name(&self) -> &'static str;
    /// What it is, in a sentence.
    fn summary(&self) -> &'static str;
    /// The first setting that no range of a single key refuses but that cannot be.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// The model at its start.
    fn build(&self, start: Start<'_>) -> Result<Built>;
    /// The model that a state belongs to, with its parameters: no search is made.
    fn rebuild(&self, start: Start<'_>, state: &crate::state::State) -> Result<Box<dyn Model>>;
    /// Bytes that it takes at least in `dim` dimensions beside a reference sample of `reference` rows; in f64, so that nothing overflows.
    fn memory(&self, dim: usize, reference: usize, single: bool) -> f64;
    /// A copy.
    fn copy(&self) -> Box<dyn ModelSettings>;
}

/// All models with their default settings.
pub fn all_models() -> Vec<Box<dyn ModelSettings>> {
    vec![
        Box::<super::GeneratorSettings>::default(),
        Box::<super::FlowSettings>::default(),
        Box::<super::ParticlesSettings>::default(),
    ]
}
