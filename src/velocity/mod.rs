//! Velocities: what moves particles. A batch in (n×d), a batch out (n×d); one file a field.
//!
//! Two consumers use one: a particle flow moves the particles themselves, generator training moves a network towards
//! `G + η V`.

mod drift;
mod smoothed;

pub use drift::{LogRatioClip, drift_into, growth};
pub(crate) use drift::{centred, shorten};
pub use smoothed::SmoothedDrift;

use crate::error::Result;
use crate::linalg::Matrix;
use crate::num::Real;

/// What a velocity sees of the model's law q, and when.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a, T: Real = f64> {
    /// The particles to move, n×d.
    pub particles: &'a Matrix<T>,
    /// An independent sample of the same law, N×d, for estimates of q.
    pub reference: &'a Matrix<T>,
    /// Smallest bandwidth h of the smoothing, in the units of the particles.
    pub bandwidth: f64,
    /// Largest bandwidth that a particle without neighbours may use.
    pub widest: f64,
    /// Key of the velocity's own randomness.
    pub seed: u64,
    /// Step number, the second part of that key.
    pub step: u64,
}

/// A velocity at the particles of a scene, and what it was made of.
#[derive(Debug, Clone)]
pub struct Field<T: Real = f64> {
    /// V(x_i), n×d.
    pub velocity: Matrix<T>,
    /// l_i = log(p/q) at the particles (smoothed where the field is), centred so that `E_q r = 1`, n.
    pub log_ratio: Vec<f64>,
    /// g_i = -(φ_i - mean φ), φ = δD_f/δq at the particles: the growth rate of the reaction (T15), n.
    pub growth: Vec<f64>,
    /// log Z as estimated from the batch, already taken off `log_ratio`.
    pub log_z: f64,
    /// log p~(x_i), smoothed where the field is, n.
    pub log_density: Vec<f64>,
    /// Bandwidth that each particle used; 0 for a field without smoothing, n.
    pub bandwidth: Vec<f64>,
    /// Effective sample size (Σ r)²/Σ r² of the batch, at most n.
    pub effective_samples: f64,
}

/// A field of velocities for particles of law q.
pub trait Velocity<T: Real>: Send + Sync {
    /// V at the particles of the scene.
    fn evaluate(&self, scene: &Scene<'_, T>) -> Result<Field<T>>;
}
