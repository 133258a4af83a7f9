//! The drift on a target that is noised by draws of its posterior: diffusive KL, and any other divergence.

use crate::divergence;
use crate::error::{Error, Result};
use crate::estimate::{PosteriorSettings, PosteriorTarget};
use crate::velocity::{Ingredients, LogRatioClip, UniversalDrift, Velocity, VelocitySettings};

impl VelocitySettings for PosteriorSettings {
    fn name(&self) -> &'static str {
        "diffusive"
    }
    fn summary(&self) -> &'static str {
        "the drift of an f-divergence, the noised target by draws of its posterior: diffusive KL (T11, T32)"
    }
    fn formula(&self) -> &'static str {
        "V = w(r_t) grad log r_t at a x + s xi, r_t = p_t/q_t, grad log p_t = E[D + G (T - D) | x_t]"
    }
    fn source(&self) -> &'static str {
        "He et al. (AISTATS 2025), code read; T11, T32"
    }
    fn uses_estimator(&self) -> bool {
        true
    }
    fn validate(&self) -> Result<()> {
        divergence::by_name(&self.divergence)?;
        let bad = |key: &str, value: String, expected: String| Err(Error::Setting { key: key.into(), value, expected });
        if self.averaged > self.chain_length + 1 {
            let expected = format!("at most chain_length + 1 = {}: states of one chain", self.chain_length + 1);
            return bad("averaged", self.averaged.to_string(), expected);
        }
        if matches!(self.gate.as_str(), "by-dimension" | "matrix" | "scalar") && self.draws * self.averaged < 2 {
            return bad("gate", self.gate.clone(), "mixed, tweedie or target where draws = averaged = 1".into());
        }
        if self.persistent && self.divergence != "reverse-kl" {
            let expected = "reverse-kl where persistent = true: such chains give no log p~".into();
            return bad("divergence", self.divergence.clone(), expected);
        }
        Ok(())
    }
    fn memory(&self, dim: usize) -> f64 {
        16.0 * (self.draws * self.ais_particles) as f64 * dim as f64
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let target = PosteriorTarget::new(ingredients.density()?, self.clone())?;
        let estimator = ingredients.estimator("diffusive")?;
        if !estimator.diffuses() {
            let what = format!(
                "the velocity 'diffusive' follows particles with noise, which the estimator '{}' does not add to all at once",
                estimator.name()
            );
            let remedy = "take kde with levels=12, or score with objective=denoising".into();
            return Err(Error::Mismatch { what, remedy });
        }
        let drift = UniversalDrift::new(Box::new(target), estimator, divergence::by_name(&self.divergence)?);
        Ok(Box::new(drift.named("diffusive").clipped(LogRatioClip { low: -self.clip, high: self.clip })))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}
