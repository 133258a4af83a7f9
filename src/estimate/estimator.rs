//! Estimators: what is known of the law q of a model, at a noise level.

use crate::density::Density;
use crate::error::Result;
use crate::estimate::{LawUse, LearntTarget, Noised, NoisedTarget, Scene};
use crate::settings::Section;
use crate::state::{State, Stateful};
use std::sync::Arc;

/// An estimate of the law of a model, from a sample of it or from its exact density.
pub trait Estimator: Stateful + Send + Sync {
    /// Its name in the registry.
    fn name(&self) -> &'static str;

    /// Whether and where it asks for the model's exact density.
    fn law_use(&self) -> LawUse {
        LawUse::None
    }

    /// Whether it adds noise to particles and leaves the target to be asked at all of them at once.
    fn diffuses(&self) -> bool {
        false
    }

    /// Rows of the independent sample that it wants from a model that can draw one.
    fn reference(&self) -> usize {
        0
    }

    /// Numbers of its own after [`Estimator::prepare`]: key, label and value.
    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        Vec::new()
    }

    /// A law near q with a known score, in the units of the frame, from which the estimate may start; called before [`Estimator::prepare`] of each
    /// step by models that have one.
    fn start_from(&mut self, _near: &Arc<dyn Density>) {}

    /// The same estimate of the target's noised laws, to be learnt from points of it; None where nothing is learnt at many noise levels.
    fn of_target(&self) -> Option<Box<dyn LearntTarget>> {
        None
    }

    /// Goes on from the state of such a target: what was learnt of p is a start for q.
    fn begin_at(&mut self, learnt: &State) -> Result<()> {
        self.restore(learnt)
    }

    /// Called once a step, before [`Estimator::noised`]: fits what is learnt.
    fn prepare(&mut self, _scene: &Scene) -> Result<()> {
        Ok(())
    }

    /// The same where it is known what q moves towards: called instead of [`Estimator::prepare`], with a target that is asked at the noise of the step.
    fn prepare_towards(&mut self, scene: &Scene, _target: &dyn NoisedTarget) -> Result<()> {
        self.prepare(scene)
    }

    /// Moves each particle to a noise level of the estimator's choice and estimates q there. A pure function of the scene: equal
    /// scenes, equal bits. `target` serves to tell strays ([`NoisedTarget::scout`]).
    fn noised(&self, scene: &Scene, target: &dyn NoisedTarget) -> Result<Noised>;
}

/// The settings of an estimator, which know how to build it.
pub trait EstimatorSettings: Section {
    /// Its name in the registry.
    fn name(&self) -> &'static str;
    /// What it is, in a sentence.
    fn summary(&self) -> &'static str;
    /// The first pair of settings that cannot go together.
    fn validate(&self) -> Result<()> {
        Ok(())
    }
    /// Whether it gives log q, up to a constant, beside the score; without it [`Law::log_density`](crate::estimate::Law) is empty, and the
    /// drift of reverse KL alone can be followed, whose weight is 1.
    fn gives_density(&self) -> bool {
        true
    }
    /// The estimator; its numbers are f32 where `single`.
    fn build(&self, single: bool) -> Result<Box<dyn Estimator>>;
    /// A copy.
    fn copy(&self) -> Box<dyn EstimatorSettings>;
}

/// All estimators with their default settings.
pub fn all_estimators() -> Vec<Box<dyn EstimatorSettings>> {
    vec![
        Box::<super::KernelSettings>::default(),
        Box::<super::AffineScoreSettings>::default(),
        Box::<super::ExactSettings>::default(),
        Box::<super::ScoreSettings>::default(),
    ]
}
