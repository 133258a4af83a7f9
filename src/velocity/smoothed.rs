//! The smoothed universal velocity `V_h = φ_h ∗ (w(r_h) ∇ log r_h)`, r_h = (p ∗ φ_h)/(q ∗ φ_h) (T11).

use crate::density::Density;
use crate::divergence::Divergence;
use crate::error::Result;
use crate::estimate::{Kde, centre_log_ratio, smoothed_evaluation};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::rng::{Purpose, normal_matrix};
use crate::velocity::{Field, LogRatioClip, Scene, Velocity, drift_into, growth};
use std::sync::Arc;

/// V_h(x) = E_ξ[w(r_h) ∇ log r_h](x + hξ), by one draw of ξ for each particle.
///
/// `q ∗ φ_h` is a KDE of bandwidth h, `p ∗ φ_h` the target smoothed by the same h: q = p is a fixed point at every h (T11). So each
/// particle may have its own: the smallest of h, 1.5 h, 1.5² h, … at which the estimate at x + hξ has `neighbours` effective neighbours.
/// Wide modes and tails use a large one, narrow modes a small one. A straggler, which has too few neighbours m even at the widest,
/// takes only m/`neighbours` of the estimated score of q: a handful of neighbours would push it further out.
pub struct SmoothedDrift {
    /// p.
    pub target: Arc<dyn Density>,
    /// Whose weight w is used.
    pub divergence: Arc<dyn Divergence>,
    /// Bounds on log r inside w.
    pub clip: LogRatioClip,
    /// Draws behind the smoothed target where it has no closed form; even.
    pub draws: usize,
    /// Effective neighbours that the estimate must have; 0 for one bandwidth for all.
    pub neighbours: f64,
}

/// Largest h |∇ log r_h| that is followed. At h the two smoothed laws differ by about 1 in these units; an outlier can show any
/// value, and one of them would turn the whole step.
const LARGEST_BETA: f64 = 2.0;

/// Ratio of one bandwidth to the next smaller one.
const LADDER: f64 = 1.5;

impl<T: Real> Velocity<T> for SmoothedDrift {
    fn evaluate(&self, scene: &Scene<'_, T>) -> Result<Field<T>> {
        let (n, d) = scene.particles.shape();
        let noise: Matrix<T> = normal_matrix(scene.seed, Purpose::Jitter, scene.step, n, d);
        let mut parts = Parts::new(n, d);
        let mut rows: Vec<usize> = (0..n).collect();
        let mut h = scene.bandwidth;
        while !rows.is_empty() {
            let last = h * LADDER > scene.widest;
            rows = self.rung(scene, &noise, &rows, h, last, &mut parts)?;
            h *= LADDER;
        }
        let log_z = centre_log_ratio(&mut parts.log_ratio);
        let mut velocity = Matrix::zeros(n, d);
        drift_into(&*self.divergence, self.clip, &parts.log_ratio, &parts.beta, &mut velocity);
        Ok(Field {
            velocity,
            growth: growth(&*self.divergence, self.clip, &parts.log_ratio),
            log_ratio: parts.log_ratio,
            log_z: log_z.value,
            log_density: parts.log_density,
            bandwidth: parts.bandwidth,
            effective_samples: log_z.effective_samples,
        })
    }
}

/// What is known of each particle.
struct Parts {
    log_density: Vec<f64>,
    log_ratio: Vec<f64>,
    /// ∇ log r_h, n×d.
    beta: Matrix,
    bandwidth: Vec<f64>,
}

impl Parts {
    fn new(n: usize, d: usize) -> Self {
        let zeros = || vec![0.0; n];
        Self { log_density: zeros(), log_ratio: zeros(), beta: Matrix::zeros(n, d), bandwidth: zeros() }
    }
}

impl SmoothedDrift {
    /// Settles those of `rows` that have enough neighbours at bandwidth h (all where this is the `last` rung); returns the rest.
    fn rung<T: Real>(
        &self,
        scene: &Scene<'_, T>,
        noise: &Matrix<T>,
        rows: &[usize],
        h: f64,
        last: bool,
        parts: &mut Parts,
    ) -> Result<Vec<usize>> {
        // T11: the gradient of F_h is the field at a jittered point
        let size = T::from_f64(h);
        let y = Matrix::from_fn(rows.len(), scene.particles.cols(), |i, j| {
            scene.particles[(rows[i], j)] + size * noise[(rows[i], j)]
        });
        let q = Kde::new(scene.reference, h)?.evaluate(&y);
        let enough = |i: &usize| last || q.neighbours[*i].to_f64() >= self.neighbours;
        let (settled, rest): (Vec<usize>, Vec<usize>) = (0..rows.len()).partition(enough);
        let y: Matrix = y.gather_rows(&settled).cast();
        let p = smoothed_evaluation(&*self.target, &y, h, self.draws, (scene.seed, scene.step))?;
        let trust: Vec<f64> = q.neighbours.iter().map(|m| (m.to_f64() / self.neighbours).min(1.0)).collect();
        let (log_q, score_q) = q.debiased(scene.reference.rows());
        for (k, &i) in settled.iter().enumerate() {
            let row = rows[i];
            parts.bandwidth[row] = h;
            parts.log_density[row] = p.log_density[k];
            parts.log_ratio[row] = p.log_density[k] - log_q[i].to_f64();
            let beta = parts.beta.row_mut(row);
            beta.iter_mut()
                .zip(p.score.row(k).iter().zip(score_q.row(i)))
                .for_each(|(b, (p, q))| *b = p - trust[i] * q.to_f64());
            cut(beta, LARGEST_BETA / h);
        }
        Ok(rest.into_iter().map(|i| rows[i]).collect())
    }
}

/// Shortens a vector to `largest`.
fn cut(v: &mut [f64], largest: f64) {
    let size = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if size > largest {
        v.iter_mut().for_each(|x| *x *= largest / size);
    }
}
