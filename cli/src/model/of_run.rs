//! The model of a run.

use super::Model;
use pushforward::model::{FlowModel, GeneratorModel, Particles};
use pushforward::run::Run;

impl Model {
    /// What a run has learnt so far.
    ///
    /// Panics for a model that the command does not know: it offers none.
    pub fn of(run: &Run) -> Self {
        if let Some(m) = run.model_as::<GeneratorModel<f32>>() {
            Model::F32(m.generator().clone())
        } else if let Some(m) = run.model_as::<GeneratorModel<f64>>() {
            Model::F64(m.generator().clone())
        } else if let Some(m) = run.model_as::<FlowModel<f32>>() {
            Model::Flow(Box::new(m.flow().cast()))
        } else if let Some(m) = run.model_as::<FlowModel<f64>>() {
            Model::Flow(Box::new(m.flow()))
        } else if let Some(m) = run.model_as::<Particles>() {
            Model::Particles(m.points().clone(), m.search().cloned())
        } else {
            panic!("Model::of: the command has no file for the model '{}'", run.model().name())
        }
    }
}
