//! The noised target by a learnt score, where all that is known of it are points.

use crate::error::{Error, Result};
use crate::estimate::score::whitening::{Whitening, by_level};
use crate::estimate::{Clock, Estimator, Law, NoisedTarget, Query, Reference, Scene, ScoreNet, ScoreSettings};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::state::{State, Stateful};

/// A noised target that is learnt from points of p. Its state is that of the estimator it comes from ([`Estimator::of_target`]), which can go on
/// from it.
pub trait LearntTarget: NoisedTarget {
    /// One round of training on points of p, N×d, at a place of the training.
    fn learn(&mut self, points: &Matrix, clock: Clock, seed: u64) -> Result<()>;
}

/// ∇ log p_t(y) of y = a x + s ξ, x ~ p, by a [`ScoreNet`] at many noise levels; with `form=potential` also log p_t.
pub struct NoisedScore<T: Real>(ScoreNet<T>);

impl<T: Real> NoisedScore<T> {
    /// With settings that have levels, before any training.
    pub fn new(settings: ScoreSettings) -> Self {
        Self(ScoreNet::new(settings))
    }
}

impl<T: Real> Stateful for NoisedScore<T> {
    fn save(&self, to: &mut State) {
        self.0.save(to);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.0.restore(from)
    }
}

impl<T: Real> NoisedTarget for NoisedScore<T> {
    fn refresh(&mut self, _: Clock, _: u64) -> Result<()> {
        Ok(())
    }

    fn at(&self, query: &Query) -> Result<Law> {
        let none = || Error::State { what: "its target has not been learnt at these noise levels".into() };
        let (moments, levels) = self.0.moments.as_ref().zip(self.0.levels()).ok_or_else(none)?;
        let place = |noise| levels.all().iter().position(|level| level == noise).ok_or_else(none);
        let of = query.noise.iter().map(place).collect::<Result<Vec<usize>>>()?;
        let start = Clock { step: 0, steps: 1 };
        let whitenings = self.0.whitenings_of(moments.mean.clone(), moments.covariance(), start)?;
        let z = by_level(&whitenings, &of, query.x, Whitening::apply);
        let plain = self.0.plain(query.x, &z, &whitenings, &of)?;
        Ok(self.0.law(&z, plain, &of, &whitenings))
    }

    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        let gain = |value| ("target_gain", "gain of the target's network over its affine score, held out", value);
        self.0.figures().into_iter().map(|(_, _, value)| gain(value)).collect()
    }
}

impl<T: Real> LearntTarget for NoisedScore<T> {
    fn learn(&mut self, points: &Matrix, clock: Clock, seed: u64) -> Result<()> {
        let reference = Reference::Independent(points);
        self.0.prepare(&Scene { x: points, reference, classes: None, at_x: None, law: None, dt: 0.0, clock, seed })
    }
}
