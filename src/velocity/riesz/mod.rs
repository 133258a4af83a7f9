//! Mean-field Stein variational gradient flow on the torus with Riesz kernels.

mod spectrum;

use crate::density::{Density, Domain, Target, evaluate};
use crate::error::{Error, Result};
use crate::estimate::Scene;
use crate::linalg::Matrix;
use crate::num::{mean, powf};
use crate::parallel;
use crate::state::Stateful;
use crate::velocity::{Field, Figure, Ingredients, Pull, Unit, Velocity, VelocitySettings};
use spectrum::Waves;
use std::sync::Arc;

crate::settings! {
    /// Settings of [`Riesz`].
    pub struct RieszSettings in "velocity" {
        /// The order s: the kernel has Fourier coefficients |k|^(-2s), k ≠ 0. At least 1 in one dimension, above 3/2 in two.
        order: f64 = 2.0, Rule::Positive;
        /// Largest |n_j| of the Fourier sums: the kernel where there is no closed form (d = 1, s = 1, 2, 3), and the figure KSD².
        modes: usize = 32, Rule::AtLeast(1);
    }
}

/// V(x) = -∫ K(x - y) (∇ρ - ρ ∇ log p)(y) dy on the torus, K̂(k) = |k|^{-2s} for k ≠ 0, K̂(0) = 0: d/dt KL(ρ‖p) = -KSD², the norm of
/// ∇ρ - ρ ∇ log p in H^{-s}. s = 1 is the Coulomb kernel.
///
/// On particles V(x_i) = (1/N) Σ_j [K(x_i - x_j) ∇ log p(x_j) - ∇K(x_i - x_j)], with ∇K(0) = 0. In one dimension and for s = 1, 2, 3 by
/// Bernoulli polynomials, exactly; else by the Fourier sum over |n_j| ≤ M, whose distance from ∇K is at most [`truncation`].
pub struct Riesz {
    target: Arc<dyn Density>,
    period: Vec<f64>,
    order: f64,
    waves: Waves,
}

/// Particles of one task.
const CHUNK: usize = 32;

impl VelocitySettings for RieszSettings {
    fn name(&self) -> &'static str {
        "riesz"
    }
    fn summary(&self) -> &'static str {
        "Stein variational gradient flow on the torus, with Riesz kernels"
    }
    fn formula(&self) -> &'static str {
        "V = -K*(grad rho - rho grad log p), K^(k) = |k|^(-2s)"
    }
    fn source(&self) -> &'static str {
        "Chizat, M. Colombo, R. Colombo and Fernandez-Real (arXiv 2605.09456, abstract)"
    }
    fn trial(&self) -> Target {
        let waves =
            |frequency: [i64; 2]| crate::density::Harmonic { frequency: frequency.into(), cosine: 0.5, sine: 0.2 };
        let p = crate::density::TorusDensity::new(vec![1.0, 2.0], vec![waves([1, 0]), waves([1, -1])]);
        let domain = Domain::Torus(vec![1.0, 2.0]);
        Target { domain, ..Target::of(Arc::new(p.expect("finite coefficients"))) }
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let domain = ingredients.target.domain.clone();
        Ok(Box::new(Riesz::new(ingredients.density()?, &domain, self.order, self.modes)?))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

/// Largest |∇K - ∇K_M| of the Fourier sum over |n_j| ≤ M, for the unit torus: d = 1: 2 (2π)^{1-2s} M^{2-2s}/(2s - 2), d = 2:
/// 8 (2π)^{1-2s} M^{3-2s}/(2s - 3), by integrals in place of sums. None where it has no bound: ∇K is not continuous for s ≤ (d + 1)/2.
pub fn truncation(dim: usize, order: f64, modes: usize) -> Option<f64> {
    let (m, smooth) = (modes as f64, 2.0 * order - dim as f64 - 1.0);
    let count = if dim == 1 { 2.0 } else { 8.0 };
    (smooth > 0.0 && dim <= 2)
        .then(|| count * powf(std::f64::consts::TAU, 1.0 - 2.0 * order) * powf(m, -smooth) / smooth)
}

/// K and K' of the unit circle at t ∈ [0, 1), by Bernoulli polynomials: K = (-1)^{s+1} B_{2s}(t)/(2s)!, s = 1, 2, 3; K'(0) = 0.
pub fn bernoulli(order: u32, t: f64) -> (f64, f64) {
    let t2 = t * t;
    let (k, slope) = match order {
        1 => (0.5 * (t2 - t + 1.0 / 6.0), t - 0.5),
        2 => {
            let b4 = t2 * t2 - 2.0 * t2 * t + t2 - 1.0 / 30.0;
            (-b4 / 24.0, -(2.0 * t2 * t - 3.0 * t2 + t) / mutant!("riesz-slope", 24.0, 12.0))
        }
        _ => {
            let b6 = ((t2 * t2 - 3.0 * t2 * t + 2.5 * t2) * t2 - 0.5 * t2) + 1.0 / 42.0;
            (b6 / 720.0, (6.0 * t2 * t2 * t - 15.0 * t2 * t2 + 10.0 * t2 * t - t) / 720.0)
        }
    };
    (k, if t == 0.0 { 0.0 } else { slope })
}

impl Riesz {
    /// Towards `target` on the torus `domain`, d = 1 or 2, with kernel order s and M modes.
    ///
    /// `Error::Mismatch` where the domain is no torus or the density does not have its period, `Error::Parameter` for an order whose
    /// kernel has no bounded gradient (s ≤ (d + 1)/2, but for s = 1 in one dimension).
    pub fn new(target: Arc<dyn Density>, domain: &Domain, order: f64, modes: usize) -> Result<Self> {
        let Domain::Torus(period) = domain else {
            return Err(Error::Mismatch {
                what: "the velocity 'riesz' lives on a torus, and this target on R^d".into(),
                remedy: "give a target with a period".into(),
            });
        };
        domain.check(target.dim())?;
        let d = period.len();
        if d > 2 {
            return Err(Error::Dimension { what: "the torus of the velocity 'riesz'".into(), expected: 2, found: d });
        }
        if truncation(d, order, modes).is_none() && !(d == 1 && order == 1.0) {
            let expected = "1 or more in one dimension, above 3/2 in two: other kernels push particles without a bound";
            return Err(Error::Parameter { name: "order".into(), value: order, expected });
        }
        domain.fits(&*target)?;
        Ok(Self { waves: Waves::new(period, modes), target, period: period.clone(), order })
    }

    /// s, where the kernel has a closed form.
    fn closed(&self) -> Option<u32> {
        (self.period.len() == 1 && [1.0, 2.0, 3.0].contains(&self.order)).then_some(self.order as u32)
    }

    /// V by pairs with the closed form.   x, score: N×1.
    fn by_pairs(&self, order: u32, x: &Matrix, score: &Matrix) -> Matrix {
        let (n, l) = (x.rows(), self.period[0]);
        // K_L(x) = L^{2s-1} K_1(x/L)
        let (height, slope) = (l.powi(2 * order as i32 - 1), l.powi(2 * order as i32 - 2));
        let mut out = Matrix::zeros(n, 1);
        let chunks = out.as_mut_slice().chunks_mut(CHUNK).zip(x.as_slice().chunks(CHUNK));
        parallel::for_each(chunks, |(out, here)| {
            for (out, x_i) in out.iter_mut().zip(here) {
                for (y, s) in x.as_slice().iter().zip(score.as_slice()) {
                    let turn = ((x_i - y) / l).rem_euclid(1.0);
                    let (k, dk) = bernoulli(order, if turn < 1.0 { turn } else { 0.0 });
                    *out += height * k * s - mutant!("riesz-repulsion", -slope, slope) * dk;
                }
                *out /= n as f64;
            }
        });
        out
    }
}

impl Stateful for Riesz {}

impl Velocity for Riesz {
    fn name(&self) -> &str {
        "riesz"
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let at = evaluate(&*self.target, scene.x)?;
        if at.log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
            return Err(Error::OutsideSupport { particles: at.log_density.len() });
        }
        let flux = self.waves.flux(scene.x, &at.score);
        let velocity = match self.closed() {
            Some(order) => self.by_pairs(order, scene.x, &at.score),
            None => self.waves.velocity(&flux, scene.x, self.order),
        };
        let (unit, value) = (Unit::LogDensity, mean(&at.log_density));
        let figures = vec![
            Figure { key: "mean_log_density", label: "mean log p~", unit, value },
            Figure::plain("ksd2", "KSD² of the modes kept", self.waves.discrepancy(&flux, self.order)),
        ];
        Ok(Pull::Points(Field { figures, ..Field::of(velocity) }))
    }
}
