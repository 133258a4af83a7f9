//! Short runs of every velocity with every model.

use pushforward::Result;
use pushforward::density::{Affine, Domain, Target};
use pushforward::run::Method;
use pushforward::velocity::velocity_by_name;

/// A method of a moment.
pub fn small(model: &str, velocity: &str, target: &Target) -> Result<Method> {
    let estimator = if model == "flow" { "exact" } else { velocity_by_name(velocity)?.estimator() };
    let mut method = Method::of(model, velocity, estimator, target)?.with("steps", 4)?;
    let scale = if target.domain == Domain::Euclidean { 4.0 } else { 1.0 };
    method.frame = Some(Affine::new(vec![0.0, 0.0], scale)?);
    for (key, value) in [
        ("batch", 64),
        ("sample", 128),
        ("codes", 8),
        ("particles", 64),
        ("couplings", 2),
        ("components", 3),
        ("search_particles", 256),
        ("centres", 64),
    ] {
        if method.has(key) {
            method.set(key, value)?;
        }
    }
    if method.has("hidden") { method.with("hidden", vec![6]) } else { Ok(method) }
}
