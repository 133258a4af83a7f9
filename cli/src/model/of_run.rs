//! The model of a run.

use super::Model;
use crate::failure::{Failure, Outcome};
use pushforward::model::{FlowModel, GeneratorModel, Particles};
use pushforward::num::Real;
use pushforward::run::Run;

/// How a model is taken from a run; None where the run has another.
type Take = fn(&Run) -> Option<Model>;

/// The models of the library that the command keeps in files.
const KINDS: [(&str, Take); 3] = [("generator", generator), ("flow", flow), ("particles", particles)];

fn generator(run: &Run) -> Option<Model> {
    let single = run.model_as::<GeneratorModel<f32>>().map(|m| Model::F32(m.generator().clone()));
    single.or_else(|| run.model_as::<GeneratorModel<f64>>().map(|m| Model::F64(m.generator().clone())))
}

fn flow(run: &Run) -> Option<Model> {
    fn of<T: Real>(run: &Run) -> Option<Model> {
        run.model_as::<FlowModel<T>>().map(|m| Model::Flow(Box::new(m.flow().cast())))
    }
    of::<f32>(run).or_else(|| of::<f64>(run))
}

fn particles(run: &Run) -> Option<Model> {
    run.model_as::<Particles>().map(|m| Model::Particles(m.points().clone(), m.search().cloned()))
}

impl Model {
    /// Refuses a model of the library that the command has no file for.
    pub fn known(name: &str) -> Outcome<()> {
        if KINDS.iter().any(|(known, _)| *known == name) {
            return Ok(());
        }
        let names = KINDS.map(|(known, _)| known).join(", ");
        Err(Failure::input(format!("the command keeps no model '{name}' in a file; it has {names}")))
    }

    /// What a run has learnt so far; its model is [`known`](Self::known).
    pub fn of(run: &Run) -> Self {
        let found = KINDS.iter().find_map(|(_, of)| of(run));
        found.unwrap_or_else(|| unreachable!("no run begins with the model '{}'", run.model().name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::model::all_models;

    /// Checks that every model of the library's registry can be kept, and that another is refused by name.
    #[test]
    fn every_model_has_a_file() {
        let names: Vec<&str> = all_models().iter().map(|m| m.name()).collect();
        assert_eq!(names, KINDS.map(|(name, _)| name));
        let refused = Model::known("spline").unwrap_err().to_string();
        assert!(refused.contains("'spline'") && refused.contains("generator, flow, particles"), "{refused}");
    }
}
