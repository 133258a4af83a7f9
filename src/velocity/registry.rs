//! All velocities by name.

use crate::density::{Density, Target};
use crate::error::{Error, Result};
use crate::estimate::{Estimator, PosteriorSettings};
use crate::linalg::Matrix;
use crate::settings::Section;
use crate::velocity::{
    FisherSettings, Functional, FunctionalSettings, LangevinSettings, LogVarianceSettings, MalaSettings,
    MatchingSettings, MmdSettings, MultiSettings, NewtonSettings, PerturbedSettings, RieszSettings, SinkhornSettings,
    SteinSettings, UniversalSettings, Velocity,
};
use std::sync::Arc;

/// All velocities with their default settings: the line to add for a new one.
pub fn all_velocities() -> Vec<Box<dyn VelocitySettings>> {
    vec![
        Box::<UniversalSettings>::default(),
        Box::<PosteriorSettings>::default(),
        Box::<MatchingSettings>::default(),
        Box::<SteinSettings>::default(),
        Box::<LangevinSettings>::default(),
        Box::<MalaSettings>::default(),
        Box::<LogVarianceSettings>::default(),
        Box::<MultiSettings>::default(),
        Box::<RieszSettings>::default(),
        Box::<FunctionalSettings>::default(),
        Box::<NewtonSettings>::default(),
        Box::<PerturbedSettings>::default(),
        Box::<SinkhornSettings>::default(),
        Box::<MmdSettings>::default(),
        Box::<FisherSettings>::default(),
    ]
}

/// What a velocity is built from.
pub struct Ingredients {
    /// What it leads to, in the units of the model's frame.
    pub target: Target,
    /// The estimate of q, where one was chosen.
    pub estimator: Option<Box<dyn Estimator>>,
    /// Particles of a search in the units of the frame, where there was one; N×d.
    pub particles: Option<Matrix>,
    /// Key of all randomness.
    pub seed: u64,
}

/// The settings of a velocity, which know how to build it.
pub trait VelocitySettings: Section {
    /// Its name in the registry.
    fn name(&self) -> &'static str;
    /// What it is, in a sentence.
    fn summary(&self) -> &'static str;
    /// Its formula in plain characters.
    fn formula(&self) -> &'static str;
    /// Where it comes from.
    fn source(&self) -> &'static str;
    /// Whether it needs an estimate of the model's law.
    fn uses_estimator(&self) -> bool {
        false
    }
    /// The estimate of q that it takes where none is named, by models that have no density.
    fn estimator(&self) -> &'static str {
        "kde"
    }
    /// The first setting that no range of a single key refuses but that cannot be: an unknown name, for instance.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// A target that it can follow: for lists and tests.
    fn trial(&self) -> Target {
        Target::of(Arc::new(crate::density::gmm9()))
    }
    /// Step in time and number of steps with which particles follow it where none are given, for a target of
    /// [`time_scale`](crate::search::time_scale) τ, the least of several; None for the step where no density tells it. A twentieth of τ is
    /// stable for scores, for which 2 τ is the limit, and leaves Langevin dynamics 2.6 % too wide.
    fn pace(&self, time_scale: Option<f64>) -> (Option<f64>, u64) {
        (time_scale.map(|tau| 0.05 * tau), 1000)
    }
    /// Bytes that it takes at least in `dim` dimensions; in f64, so that nothing overflows.
    fn memory(&self, _dim: usize) -> f64 {
        0.0
    }
    /// The functional of a cloud that it goes down, where it does and that has a Hessian.
    fn functional(&self, _ingredients: &Ingredients) -> Result<Option<Arc<dyn Functional>>> {
        Ok(None)
    }
    /// The velocity.
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>>;
    /// A copy.
    fn copy(&self) -> Box<dyn VelocitySettings>;
}

/// The default settings of the velocity `name`; `Error::UnknownName` with the near names.
pub fn velocity_by_name(name: &str) -> Result<Box<dyn VelocitySettings>> {
    let all = all_velocities();
    let known: Vec<&str> = all.iter().map(|v| v.name()).collect();
    let unknown = Error::unknown_name("velocity", name, &known);
    all.into_iter().find(|v| v.name() == name).ok_or(unknown)
}

impl Ingredients {
    /// The density of a target that has exactly one; else `Error::Mismatch`.
    pub fn density(&self) -> Result<Arc<dyn Density>> {
        match self.target.densities.as_slice() {
            [density] => Ok(Arc::clone(density)),
            [] if self.target.samples.is_some() => Err(Error::Mismatch {
                what: "this velocity follows a density, and the target is known by samples alone".into(),
                remedy: "choose the velocity sinkhorn or mmd".into(),
            }),
            several => Err(Error::Mismatch {
                what: format!("this velocity follows one density, and the target has {}", several.len()),
                remedy: "give one target, or a velocity that takes several".into(),
            }),
        }
    }

    /// The estimator; `Error::Mismatch` in the name of `velocity` where there is none.
    pub fn estimator(self, velocity: &str) -> Result<Box<dyn Estimator>> {
        self.estimator.ok_or_else(|| Error::Mismatch {
            what: format!("the velocity '{velocity}' needs an estimate of the model's law"),
            remedy: "choose an estimator".into(),
        })
    }
}
