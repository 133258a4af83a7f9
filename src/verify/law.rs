//! One side of a pair: a Gaussian mixture, or any density with the outline that a search found.

use super::{Jacobian, Vector, hessian_of_log, pair::vector};
use crate::density::{Affine, Density, GaussianMixture, Standardised};
use crate::linalg::Matrix;
use crate::rng::{Purpose, stream, uniform};
use crate::search::{SearchSettings, fit_mixture, search};
use crate::{Error, Result};
use std::ops::Deref;
use std::sync::Arc;

/// Particles of the search, and most Gaussians of the outline.
const PARTICLES: usize = 2000;
const OUTLINE: usize = 16;

/// Points at which the curvature of a density is read.
const PROBES: usize = 400;

/// p or q. As a [`GaussianMixture`] it is its outline: where its mass lies and how wide it is there. Its values are its own.
#[derive(Clone)]
pub struct Law {
    outline: GaussianMixture,
    /// log p~ and log Z; none where the outline is the density.
    density: Option<(Arc<dyn Density>, f64)>,
}

impl std::fmt::Debug for Law {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Law").field("outline", &self.outline).field("exact", &self.density.is_none()).finish()
    }
}

impl From<GaussianMixture> for Law {
    fn from(outline: GaussianMixture) -> Self {
        Self { outline, density: None }
    }
}

impl Deref for Law {
    type Target = GaussianMixture;
    fn deref(&self) -> &GaussianMixture {
        &self.outline
    }
}

impl Law {
    /// Of any density in one or two dimensions: itself where it is a mixture, else with the mixture fitted to the particles of a
    /// search (key: `seed`) as its outline, and with log Z known or the search's.
    ///
    /// [`Error::Dimension`] beyond two dimensions; the errors of [`search`].
    pub fn of(density: Arc<dyn Density>, seed: u64) -> Result<Self> {
        if density.dim() > 2 {
            let what = "dimension of a density (1 or 2 for quadrature)".into();
            return Err(Error::Dimension { what, expected: 2, found: density.dim() });
        }
        if let Some(mixture) = density.mixture() {
            return Ok(mixture.clone().into());
        }
        let found = search(&*density, &SearchSettings { particles: PARTICLES, start: None, seed })?;
        let outline = fit_mixture(&found.particles, OUTLINE, seed);
        let log_z = density.log_normaliser().unwrap_or(found.log_z);
        Ok(Self { outline, density: Some((density, log_z)) })
    }

    /// Whether its values are those of a Gaussian mixture, so that tails, blur and samples have closed forms.
    pub fn is_mixture(&self) -> bool {
        self.density.is_none()
    }

    /// The same in the units of a frame.
    pub(super) fn standardised(&self, frame: &Affine) -> Result<Self> {
        let inner = |(density, log_z): &(Arc<dyn Density>, f64)| -> Result<(Arc<dyn Density>, f64)> {
            Ok((Arc::new(Standardised::new(Arc::clone(density), frame.clone())?), *log_z))
        };
        let outline = self.outline.standardised(frame)?;
        Ok(Self { outline, density: self.density.as_ref().map(inner).transpose()? })
    }

    /// log p at n points: n.
    pub fn log_density(&self, x: &Matrix) -> Vec<f64> {
        match &self.density {
            None => self.outline.log_density(x),
            Some((density, log_z)) => density.log_density(x).into_iter().map(|l| l - log_z).collect(),
        }
    }

    /// log p and ∇ log p at n points (n×d).
    pub fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        match &self.density {
            None => self.outline.evaluate_into(x, log_density, score),
            Some((density, log_z)) => {
                density.evaluate_into(x, log_density, score);
                log_density.iter_mut().for_each(|l| *l -= log_z);
            }
        }
    }

    /// ∇² log p at one point: in closed form, or from the scores by central differences of order 6, whose error is a ten-thousand-millionth
    /// of its size at a step of 1/250 of the width there, which a closed form does not ask for.
    pub fn hessian(&self, x: &[f64], width: impl Fn() -> f64) -> Jacobian {
        if self.is_mixture() {
            return hessian_of_log(&self.outline, x);
        }
        let (d, h) = (x.len(), 0.004 * width());
        let rows = (0..d).flat_map(|j| [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0].map(|k| (j, k)));
        let points: Vec<f64> =
            rows.flat_map(|(j, k)| (0..d).map(move |i| x[i] + if i == j { k * h } else { 0.0 })).collect();
        let points = Matrix::from_vec(6 * d, d, points);
        let (mut log, mut score) = (vec![0.0; 6 * d], Matrix::zeros(6 * d, d));
        self.evaluate_into(&points, &mut log, &mut score);
        let s = |j: usize, k: usize| vector(score.row(6 * j + k));
        let slope = |j: usize, i: usize| {
            (45.0 * (s(j, 3)[i] - s(j, 2)[i]) - 9.0 * (s(j, 4)[i] - s(j, 1)[i]) + s(j, 5)[i] - s(j, 0)[i]) / (60.0 * h)
        };
        let entry = |i: usize, j: usize| if i < d && j < d { 0.5 * (slope(j, i) + slope(i, j)) } else { 0.0 };
        [[entry(0, 0), entry(0, 1)], [entry(1, 0), entry(1, 1)]]
    }

    /// The smallest 1/√|∇² log p| in the box `centre` ± `reach`, read at random points of it.
    pub(super) fn width_within(&self, centre: Vector, reach: f64) -> f64 {
        let d = self.outline.means().cols();
        let mut rng = stream(0, Purpose::Probe, PROBES as u64);
        let mut sharpest: f64 = 1.0 / (reach * reach);
        for _ in 0..PROBES {
            let x: Vec<f64> = (0..d).map(|j| centre[j] + reach * (2.0 * uniform(&mut rng) - 1.0)).collect();
            let h = self.hessian(&x, || 1e-2 * reach);
            sharpest = h.iter().flatten().fold(sharpest, |m, v| m.max(if v.is_finite() { v.abs() } else { 0.0 }));
        }
        sharpest.sqrt().recip()
    }
}
