//! A learnt score on its way to the target: its network then learns what is left beside the target's own score.

use crate::error::{Error, Result};
use crate::estimate::score::whitening::Whitening;
use crate::estimate::score::{EXACT, TRAINING};
use crate::estimate::{NoisedTarget, Query, Scene, ScoreNet};
use crate::linalg::{Matrix, matmul};
use crate::num::Real;
use crate::rng::{Purpose, fill_signs, stream};

/// Steps between two looks whether the target's score meets the sample better.
const LOOK: u64 = 10;
/// Reach of the differences behind the divergence of the target's score, in whitened units: an error of 1e-6 of its third derivative.
const REACH: f64 = 1e-3;
/// A = -(E[z tᵀ] + I) over b = -E[t], (d+1)×d, of z and t, n×d: the affine field f(z) = Az + b with the least E[|f|² + 2⟨t, f⟩ + 2 div f].
pub(super) fn affine_rest(z: &Matrix, t: &Matrix) -> Matrix {
    let (n, d) = z.shape();
    let both = matmul(&z.transpose(), t);
    let mean = t.column_means();
    Matrix::from_fn(d + 1, d, |i, j| match i {
        i if i == d => -mean[j],
        i => -both[(i, j)] / n as f64 - f64::from(u8::from(i == j)),
    })
}

/// -(t + Az + b), n×d.
pub(super) fn less_rest(z: &Matrix, t: &Matrix, rest: &Matrix) -> Matrix {
    let (n, d) = z.shape();
    let bent = matmul(z, &rest.slice_rows(0..d));
    Matrix::from_fn(n, d, |i, j| -(t[(i, j)] + bent[(i, j)] + rest[(d, j)]))
}

impl<T: Real> ScoreNet<T> {
    /// Whether r can be learnt from the target's score: a field without noise that nothing else is known of.
    fn can_turn(&self) -> bool {
        let s = &self.settings;
        !self.is_potential() && s.objective != "denoising" && s.equivariant.is_empty() && self.near.is_none()
    }

    /// -Lᵀ∇ log p less the affine rest at the sample of a step, n×d, where r is learnt from that; looks now and then whether it is to be.
    pub(super) fn pulls(&mut self, scene: &Scene, target: Option<&dyn NoisedTarget>) -> Result<Option<Matrix>> {
        let step = scene.clock.step;
        self.asked = None;
        let Some(target) = target.filter(|_| self.can_turn()) else {
            if self.rest.take().is_some() {
                self.residual = None;
            }
            return Ok(None);
        };
        if self.rest.is_none() && (self.residual.is_none() || step == 0 || !step.is_multiple_of(LOOK)) {
            return Ok(None);
        }
        let (sample, whitening) = (scene.sample(), self.whitenings(scene)?.remove(0));
        let at = target.at(&Query { x: sample, noise: &vec![whitening.noise; sample.rows()] })?;
        let (z, t) = (whitening.apply(sample), whitening.of_score(&at.score));
        let mut rest = affine_rest(&z, &t);
        if let Some(past) = &self.rest {
            // as long a memory as that of the moments
            let weight = self.moments.as_ref().map_or(1.0, |moments| moments.weight);
            rest =
                Matrix::from_fn(rest.rows(), rest.cols(), |i, j| past[(i, j)] + (rest[(i, j)] - past[(i, j)]) / weight);
        }
        let pull = less_rest(&z, &t, &rest);
        if self.rest.is_none() {
            let Ok(divergence) = self.divergence(scene, target, &whitening) else { return Ok(None) };
            let (n, d) = z.shape();
            let mean_square = |m: &Matrix| m.as_slice().iter().map(|v| v * v).sum::<f64>() / n as f64;
            let trace: f64 = (0..d).map(|j| rest[(j, j)]).sum();
            let there = mean_square(&pull) + 2.0 * (divergence + trace);
            let here = mean_square(&z) - 2.0 * d as f64 + self.held_out.min(0.0);
            // not where either is no number
            let better = there < here;
            if !better {
                return Ok(None);
            }
            self.residual = None;
        }
        self.rest = Some(rest);
        self.asked = Some((sample.clone(), at));
        Ok(Some(pull))
    }

    /// The mean over the sample of div Lᵀ∇ log p in z, by differences: along all axes up to 3 dimensions, else along random signs.
    fn divergence(&self, scene: &Scene, target: &dyn NoisedTarget, whitening: &Whitening) -> Result<f64> {
        let (sample, lower) = (scene.sample(), whitening.factor.lower());
        let (n, d) = sample.shape();
        let along = |v: &Matrix| -> Result<f64> {
            let moved = |way: f64| {
                let x = Matrix::from_fn(n, d, |i, j| {
                    sample[(i, j)] + way * REACH * (0..=j).map(|k| lower[(j, k)] * v[(i, k)]).sum::<f64>()
                });
                let at = target.at(&Query { x: &x, noise: &vec![whitening.noise; n] })?;
                let t = whitening.of_score(&at.score);
                Ok::<_, Error>(t.as_slice().iter().zip(v.as_slice()).map(|(t, v)| t * v).sum::<f64>())
            };
            Ok((moved(1.0)? - moved(-1.0)?) / (2.0 * REACH * n as f64))
        };
        if d <= EXACT {
            return (0..d).map(|k| along(&Matrix::from_fn(n, d, |_, j| f64::from(u8::from(j == k))))).sum();
        }
        let mut v = Matrix::zeros(n, d);
        fill_signs(&mut stream(scene.seed, Purpose::Jitter, (TRAINING << 1) | scene.clock.step), v.as_mut_slice());
        along(&v)
    }
}
