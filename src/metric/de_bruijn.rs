//! KL in nats for a law that is known by samples and by scores at noise levels: de Bruijn's identity (T26).

use crate::linalg::Matrix;
use crate::metric::Estimate;
use crate::num::{exp, ln};
use crate::rng::{Purpose, fill_normal, stream};
use crate::{Error, Result};

/// Distance of neighbouring levels in log σ². The error of the trapezoidal rule falls like exp(-c/spacing); c is 2π² for Gaussians, and
/// about 12 on mixtures of modes far apart, whose densities vanish at complex σ² nearer to the line.
const SPACING: f64 = 0.6;
/// The finest level in units of the narrowest width, and the coarsest in units of the spread: beyond them the integrand is a power.
const FINEST: f64 = 0.03;
const COARSEST: f64 = 30.0;
/// Unit of the stream of a level.
const UNIT: u64 = 1 << 20;

/// Noise levels σ_k from fine to coarse, evenly spaced in log σ².
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseLevels {
    levels: Vec<f64>,
}

/// What the levels gave.
#[derive(Debug, Clone, PartialEq)]
pub struct DeBruijn {
    /// KL(q‖p) in nats, with the standard error over the samples.
    pub kl: Estimate,
    /// (σ, σ² E|∇log q_σ - ∇log p_σ|²/2): KL is the area under it over log σ². From fine to coarse.
    pub levels: Vec<(f64, f64)>,
}

impl NoiseLevels {
    /// From 0.03 of the narrowest width of both laws to 30 of their spread, in their units.
    ///
    /// `Error::Parameter` unless 0 < `narrowest` ≤ `spread` < ∞.
    pub fn between(narrowest: f64, spread: f64) -> Result<Self> {
        if !(narrowest > 0.0 && spread >= narrowest && spread.is_finite()) {
            let (name, expected) = ("narrowest width".into(), "a positive number, at most the spread, which is finite");
            return Err(Error::Parameter { name, value: narrowest, expected });
        }
        let (low, high) = (2.0 * ln(FINEST * narrowest), 2.0 * ln(COARSEST * spread));
        let count = ((high - low) / SPACING).ceil() as usize + 1;
        Ok(Self { levels: (0..count).map(|k| exp(0.5 * (low + k as f64 * SPACING))).collect() })
    }

    /// σ_k.
    pub fn sigmas(&self) -> &[f64] {
        &self.levels
    }

    /// KL(q‖p) = 1/2 ∫_0^∞ E|∇log q_σ - ∇log p_σ|² d(σ²) from E|∇log q_σ - ∇log p_σ|² at each level.
    ///
    /// Below the first level the integrand over log σ² is continued as σ², above the last as σ^-2: the geometric sums of the same rule.
    pub fn kl(&self, square: &[f64]) -> f64 {
        self.weights().zip(square).map(|(w, s)| w * s).sum()
    }

    /// What E|·|² at each level is multiplied by.
    fn weights(&self) -> impl Iterator<Item = f64> {
        let last = self.levels.len() - 1;
        let end = mutant!("noise-levels-ends", 1.0, 1.0 / (1.0 - exp(-SPACING)));
        let weight = move |k: usize| if k == 0 || k == last { end } else { 1.0 };
        self.levels
            .iter()
            .enumerate()
            .map(move |(k, s)| SPACING * weight(k) * mutant!("noise-levels-half", 1.0, 0.5) * s * s)
    }

    /// KL(q‖p) = 1/2 ∫_0^∞ E|∇log q_σ - ∇log p_σ|²(X + σξ) d(σ²), X ~ q, q_σ and p_σ the laws of q and p with noise N(0, σ² I).
    ///
    /// `x`: n×d samples of q. `gap(σ, y)`: ∇log q_σ - ∇log p_σ at the rows of y. An error of a score by e moves the square by 2⟨e, gap⟩ + |e|².
    /// The noise of each level comes from `seed`. Source: T26.
    pub fn estimate(
        &self,
        x: &Matrix,
        seed: u64,
        mut gap: impl FnMut(f64, &Matrix) -> Result<Matrix>,
    ) -> Result<DeBruijn> {
        let (n, d) = x.shape();
        let mut each = vec![0.0; n];
        let mut levels = Vec::new();
        for (k, (&sigma, weight)) in self.levels.iter().zip(self.weights()).enumerate() {
            let mut y = Matrix::zeros(n, d);
            fill_normal(&mut stream(seed, Purpose::Certificate, UNIT + k as u64), y.as_mut_slice());
            y.as_mut_slice().iter_mut().zip(x.as_slice()).for_each(|(y, x)| *y = x + sigma * *y);
            let gap = gap(sigma, &y)?;
            let square: Vec<f64> = gap.iter_rows().map(|g| g.iter().map(|g| g * g).sum()).collect();
            each.iter_mut().zip(&square).for_each(|(e, s)| *e += weight * s);
            levels.push((sigma, 0.5 * sigma * sigma * square.iter().sum::<f64>() / n as f64));
        }
        Ok(DeBruijn { kl: Estimate::mean(&each), levels })
    }
}
