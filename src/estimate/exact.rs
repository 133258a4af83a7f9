//! The exact law, of a model that has a density.

use crate::density::evaluate;
use crate::error::{Error, Result};
use crate::estimate::{Estimator, EstimatorSettings, Law, LawUse, Noise, Noised, NoisedTarget, Scene};
use crate::state::Stateful;

crate::settings! {
    /// Settings of [`Exact`]: none.
    #[derive(Copy)]
    pub struct ExactSettings in "estimator" {}
}

/// log q and ∇ log q as the model gives them, without noise: y = x.
#[derive(Debug, Clone, Copy)]
pub struct Exact;

impl EstimatorSettings for ExactSettings {
    fn name(&self) -> &'static str {
        "exact"
    }
    fn summary(&self) -> &'static str {
        "the density of the model itself; for flows"
    }
    fn build(&self, _: bool) -> Result<Box<dyn Estimator>> {
        Ok(Box::new(Exact))
    }
    fn copy(&self) -> Box<dyn EstimatorSettings> {
        Box::new(*self)
    }
}

impl Stateful for Exact {}

impl Estimator for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn law_use(&self) -> LawUse {
        LawUse::AtParticles
    }

    fn noised(&self, scene: &Scene, _: &dyn NoisedTarget) -> Result<Noised> {
        let q = match (scene.at_x, scene.law) {
            (Some(law), _) => law.clone(),
            (None, Some(law)) => {
                let at = evaluate(law, scene.x)?;
                Law { log_density: at.log_density, score: at.score }
            }
            (None, None) => {
                return Err(Error::Unsupported {
                    what: "the model has no density, which the exact estimator asks for".into(),
                    remedy: "use a flow, or the estimator 'kde'",
                });
            }
        };
        let n = scene.x.rows();
        Ok(Noised { y: scene.x.clone(), noise: vec![Noise { a: 1.0, s: 0.0 }; n], q, p: None, trust: vec![1.0; n] })
    }
}
