//! Velocities: where particles go. One file a velocity, one line in [`all_velocities`].
//!
//! A velocity sees a [`Scene`], the particles with what is known of their law, and answers with a [`Pull`]. Particles, generators and flows
//! follow the same pulls ([`crate::model`]); the loop over steps is [`crate::run::Run`].

mod diffusive;
mod drift;
mod figure;
mod fisher;
mod functional;
mod langevin;
mod log_variance;
mod matching;
mod median;
mod mmd;
mod multi;
mod newton;
mod registry;
mod riesz;
mod sinkhorn;
mod stein;
mod target_points;
mod universal;

pub use drift::{LogRatioClip, drift_into, growth};
pub(crate) use drift::{centred, shorten};
pub use figure::{Figure, Unit};
pub use fisher::{FisherFlow, FisherSettings};
pub use functional::{FunctionalGradient, FunctionalSettings, Young};
pub use langevin::{Langevin, LangevinSettings, Mala, MalaSettings};
pub use log_variance::{LogVariance, LogVarianceSettings, Reference as LogVarianceReference, log_variance_cotangent};
pub use matching::{Matching, MatchingSettings};
pub use median::median_width;
pub use mmd::{MmdFlow, MmdSettings};
pub use multi::{Metric, Multi, MultiSettings, Scheme};
pub use newton::{
    Functional, Ksd, Mmd, Newton, NewtonSettings, Perturbed, PerturbedSettings, QuarticQuadratic, Radial, SecondOrder,
    Solver, TanhFactorisation, VarianceCosine, check_functional,
};
pub use registry::{Ingredients, VelocitySettings, all_velocities, velocity_by_name};
pub use riesz::{Riesz, RieszSettings, bernoulli, truncation};
pub use sinkhorn::{SinkhornFlow, SinkhornSettings};
pub use stein::{Kernel, Stein, SteinSettings, gaussian_average};
pub use universal::{UniversalDrift, UniversalSettings};

pub use crate::estimate::{Clock, Law, LawUse, Reference, Scene};

use crate::density::Density;
use crate::error::Result;
use crate::linalg::Matrix;
use crate::num::sum_of_squares;
use crate::state::Stateful;
use std::sync::Arc;

/// The kind of a [`Pull`]: what a model must be able to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A velocity at each particle.
    Points,
    /// A velocity and noise.
    Diffusion,
    /// A finite displacement of each particle.
    Displacement,
    /// New places of particles, by a Markov chain.
    Transition,
    /// A cotangent of log q at given points.
    LogDensity,
}

/// A velocity at n particles, and what it was made of.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Field {
    /// V(x_i), n×d.
    pub velocity: Matrix,
    /// Growth rates g_i = -(φ_i - mean φ), φ = δD_f/δq, of the reaction (T15), n; where the velocity has them.
    pub growth: Option<Vec<f64>>,
    /// l_i = log p/q at the particles as the weight sees it, centred to E_q e^l = 1 and not clipped, n; where the velocity has it.
    pub log_ratio: Option<Vec<f64>>,
    /// √(mean of V² over particles and coordinates), before outliers were shortened.
    pub rms: f64,
    /// Numbers of this step.
    pub figures: Vec<Figure>,
}

impl Field {
    /// A field of which nothing else is known.
    pub fn of(velocity: Matrix) -> Self {
        Self { rms: root_mean_square(&velocity), velocity, growth: None, log_ratio: None, figures: Vec::new() }
    }
}

/// What a velocity asks a model to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Pull {
    /// dx/dt = V(x).
    Points(Field),
    /// dx = V(x) dt + σ dW.
    Diffusion {
        /// V.
        field: Field,
        /// σ.
        sigma: f64,
    },
    /// x ← x + by: a step whose length was chosen already.
    Displacement {
        /// n×d.
        by: Matrix,
        /// Its length in time, or as a fraction of a full step.
        accepted: f64,
        /// Numbers of this step.
        figures: Vec<Figure>,
    },
    /// x ← to.
    Transition {
        /// n×d.
        to: Matrix,
        /// Which of the proposals were taken, n.
        accepted: Vec<bool>,
        /// Numbers of this step.
        figures: Vec<Figure>,
    },
    /// θ moves against Σ_i cotangent_i ∂ log q_θ(at_i)/∂θ.
    LogDensity {
        /// N×d.
        at: Matrix,
        /// N.
        cotangent: Vec<f64>,
        /// Numbers of this step.
        figures: Vec<Figure>,
    },
}

impl Pull {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Pull::Points(_) => Kind::Points,
            Pull::Diffusion { .. } => Kind::Diffusion,
            Pull::Displacement { .. } => Kind::Displacement,
            Pull::Transition { .. } => Kind::Transition,
            Pull::LogDensity { .. } => Kind::LogDensity,
        }
    }

    /// Its numbers of this step.
    pub fn figures(&self) -> &[Figure] {
        match self {
            Pull::Points(field) | Pull::Diffusion { field, .. } => &field.figures,
            Pull::Displacement { figures, .. }
            | Pull::Transition { figures, .. }
            | Pull::LogDensity { figures, .. } => figures,
        }
    }

    /// The matrix and the numbers that must be finite, for the check of [`crate::run::Run`].
    pub(crate) fn parts(&self) -> (&Matrix, &[f64]) {
        match self {
            Pull::Points(f) | Pull::Diffusion { field: f, .. } => (&f.velocity, f.growth.as_deref().unwrap_or(&[])),
            Pull::Displacement { by, .. } => (by, &[]),
            Pull::Transition { to, .. } => (to, &[]),
            Pull::LogDensity { at, cotangent, .. } => (at, cotangent),
        }
    }
}

/// A velocity: what moves particles, a batch in, a batch out.
pub trait Velocity: Stateful + Send {
    /// Its name in the registry.
    fn name(&self) -> &str;

    /// The kind of all its pulls.
    fn kind(&self) -> Kind {
        Kind::Points
    }

    /// Whether and where it asks for the model's exact density.
    fn law_use(&self) -> LawUse {
        LawUse::None
    }

    /// Rows of the independent sample of q that it wants where the model can draw one; 0 for none.
    fn reference(&self) -> usize {
        0
    }

    /// A law near q with a known score, for its estimate of q ([`Estimator::start_from`](crate::estimate::Estimator::start_from)).
    fn start_from(&mut self, _near: &Arc<dyn Density>) {}

    /// Called once a step, before [`Velocity::evaluate`]: fits what is learnt, moves chains on. The loop takes its changes back where
    /// the step fails or is left out.
    fn prepare(&mut self, _scene: &Scene) -> Result<()> {
        Ok(())
    }

    /// The pull at the particles of a scene: a pure function of it, so that steppers with several stages and line searches can ask again
    /// with other particles.
    ///
    /// `Error::NonFinite` with the point and `Error::OutsideSupport` leave the step out; any other error ends the run.
    fn evaluate(&self, scene: &Scene) -> Result<Pull>;
}

/// √(mean of the squares of all entries).
pub(crate) fn root_mean_square<T: crate::num::Real>(m: &Matrix<T>) -> f64 {
    (sum_of_squares(m.as_slice()) / m.as_slice().len().max(1) as f64).sqrt()
}
