//! Which velocity goes with which model.

use crate::density::Affine;
use crate::error::Error;
use crate::model::all_models;
use crate::run::Method;
use crate::velocity::all_velocities;

/// Pairs (velocity, model) that are refused: what a model cannot follow.
pub fn refused_pairs() -> Vec<(&'static str, &'static str)> {
    let models = all_models();
    let mut out = Vec::new();
    for velocity in all_velocities() {
        let target = velocity.trial();
        for model in &models {
            let estimator = if model.name() == "flow" { "exact" } else { velocity.estimator() };
            let built = Method::of(model.name(), velocity.name(), estimator, &target).and_then(|mut m| {
                m.frame = Some(Affine::identity(2));
                m.run.steps = 1;
                // no pair depends on sizes, and a start should take a moment
                for (key, value) in
                    [("search_particles", 64), ("codes", 2), ("components", 1), ("particles", 16), ("sample", 16)]
                {
                    if m.has(key) {
                        m.set(key, value)?;
                    }
                }
                m.start(&target, None)
            });
            if matches!(built, Err(Error::Mismatch { .. } | Error::Unsupported { .. })) {
                out.push((velocity.name(), model.name()));
            }
        }
    }
    out
}
