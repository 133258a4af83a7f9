//! The smoothed universal velocity `V_h = φ_h ∗ (w(r_h) ∇ log r_h)`, r_h = (p ∗ φ_h)/(q ∗ φ_h) (T11).

use crate::density::{Density, evaluate, smooth};
use crate::divergence::Divergence;
use crate::error::Result;
use crate::estimate::{Kde, LogZ, centre_log_ratio};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::rng::{Purpose, normal_matrix};
use crate::velocity::{Field, LogRatioClip, Scene, Velocity, drift_into, growth};
use std::sync::Arc;

/// V_h(x) = E_ξ[w(r_h) ∇ log r_h](x + hξ), by one draw of ξ for each particle.
///
/// `q ∗ φ_h` is a KDE of bandwidth h, `p ∗ φ_h` the target smoothed by the same h: the only fixed point is q = p at every h (T11).
pub struct SmoothedDrift {
    /// p.
    pub target: Arc<dyn Density>,
    /// Whose weight w is used.
    pub divergence: Arc<dyn Divergence>,
    /// Bounds on log r inside w.
    pub clip: LogRatioClip,
    /// Draws behind the smoothed target where it has no closed form; even.
    pub draws: usize,
}

impl<T: Real> Velocity<T> for SmoothedDrift {
    fn evaluate(&self, scene: &Scene<'_, T>) -> Result<Field<T>> {
        let h = scene.bandwidth;
        // T11: the gradient of F_h is the field at a jittered point
        let (n, d) = scene.particles.shape();
        let mut y: Matrix<T> = normal_matrix(scene.seed, Purpose::Jitter, scene.step, n, d);
        let jitter = y.as_mut_slice().iter_mut().zip(scene.particles.as_slice());
        jitter.for_each(|(y, &x)| *y = x + *y * T::from_f64(h));

        let (log_q, score_q) = Kde::new(scene.reference, h)?.evaluate(&y).debiased(scene.reference.rows());
        let p_h = smooth(&self.target, h, self.draws, scene.seed, scene.step)?;
        let p = evaluate(&*p_h, &y.cast())?;
        let mut log_ratio: Vec<f64> = p.log_density.iter().zip(&log_q).map(|(p, q)| p - q.to_f64()).collect();
        let log_z = centre_log_ratio(&mut log_ratio);
        let mut velocity = Matrix::zeros(n, d);
        drift_into(&*self.divergence, self.clip, &log_ratio, &p.score, &score_q, &mut velocity);
        let growth = growth(&*self.divergence, self.clip, &log_ratio);
        let LogZ { value: log_z, effective_samples } = log_z;
        Ok(Field { velocity, log_ratio, growth, log_z, log_density: p.log_density, effective_samples })
    }
}
