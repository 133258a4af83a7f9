//! What learns from a stream of tasks, by name.

use crate::continual::mean_field::mean_field_about;
use crate::continual::single::{Blocks, Leader, Single};
use crate::continual::{CrpMixture, Gaussian, Task, TaskModel};
use crate::linalg::Matrix;
use crate::{Error, Result};

/// Learns from tasks one after the other, and predicts for new ones from a few observations.
pub trait Learner: Send {
    /// Takes a task on.
    fn observe(&mut self, task: &Task) -> Result<()>;

    /// Does what is done once after a stage of the stream, for learners that keep tasks.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }

    /// Mean predictions at x (n×p) for a task of which the support is known: n.
    fn predict(&self, support: &Task, x: &Matrix) -> Result<Vec<f64>>;

    /// Number of clusters that were found, where it counts them.
    fn clusters(&self) -> Option<usize> {
        None
    }
}

/// Names and meanings of the learners.
pub const LEARNERS: [(&str, &str); 7] = [
    ("mixture", "a mixture that grows by the Chinese restaurant process; keeps no task"),
    ("all-data", "mean-field inference of the mixture on all tasks so far, at once"),
    ("single", "one Gaussian law, exact Bayesian online learning"),
    ("bomvi-like", "one Gaussian law, factorised over coordinates and tasks (variational online meta-learning)"),
    ("osml-like", "blocks of knowledge: point estimates and hard choices (online structured meta-learning)"),
    ("ftml", "follow the meta-leader: one start for a gradient step, best for all tasks so far"),
    ("none", "no memory: the prior alone"),
];

/// A learner by name. `Error::UnknownName`; errors of a model that is none.
pub fn learner(name: &str, model: &TaskModel, alpha: f64) -> Result<Box<dyn Learner>> {
    let law = model.prior.clone();
    let single = |factorised| Single { model: model.clone(), law: law.clone(), factorised };
    Ok(match name {
        "mixture" => Box::new(CrpMixture::new(model, alpha)),
        "all-data" => Box::new(AllData::new(model, alpha)),
        "single" => Box::new(single(false)),
        "bomvi-like" => Box::new(single(true)),
        "osml-like" => Box::new(Blocks { model: model.clone(), alpha, blocks: Vec::new() }),
        "ftml" => Box::new(Leader { model: model.clone(), tasks: Vec::new(), start: law.mean, rate: 0.0 }),
        "none" => {
            // without memory the cluster of a task is a draw from the prior, so that μ ~ N(m, S) again
            Box::new(Memoryless(single(false)))
        }
        _ => return Err(Error::unknown_name("learner", name, &LEARNERS.map(|l| l.0))),
    })
}

/// A law that observes nothing.
struct Memoryless(Single);

impl Learner for Memoryless {
    fn observe(&mut self, _: &Task) -> Result<()> {
        Ok(())
    }

    fn predict(&self, support: &Task, x: &Matrix) -> Result<Vec<f64>> {
        self.0.predict(support, x)
    }
}

/// Sticks of the model that sees all data.
const TRUNCATION: usize = 10;

/// Keeps all tasks; its mixture is that of [`mean_field`], started at the assignments of a [`CrpMixture`].
struct AllData {
    model: TaskModel,
    alpha: f64,
    tasks: Vec<Task>,
    weights: Vec<f64>,
    components: Vec<Gaussian>,
}

impl AllData {
    fn new(model: &TaskModel, alpha: f64) -> Self {
        Self {
            model: model.clone(),
            alpha,
            tasks: Vec::new(),
            weights: vec![1.0],
            components: vec![model.prior.clone()],
        }
    }
}

impl Learner for AllData {
    fn observe(&mut self, task: &Task) -> Result<()> {
        self.tasks.push(task.clone());
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let mut online = CrpMixture::new(&self.model, self.alpha);
        self.tasks.iter().try_for_each(|t| online.observe(t))?;
        let mut start = Matrix::zeros(self.tasks.len(), TRUNCATION);
        for (t, task) in self.tasks.iter().enumerate() {
            let r = online.responsibilities(task)?;
            // more components than sticks share the last one
            r.iter().enumerate().for_each(|(k, r)| start[(t, k.min(TRUNCATION - 1))] += r);
        }
        let means: Vec<Vec<f64>> = online.components().iter().take(TRUNCATION - 1).map(|c| c.1.mean.clone()).collect();
        let q = mean_field_about(&self.tasks, &self.model, self.alpha, &start, &means)?;
        self.weights = super::expected_weights(&q.sticks);
        self.components = q.components;
        Ok(())
    }

    fn predict(&self, support: &Task, x: &Matrix) -> Result<Vec<f64>> {
        let mixture = self.weights.iter().copied().zip(&self.components);
        let r = self.model.responsibilities(mixture, support)?;
        self.model.predict(r.into_iter().zip(&self.components), support, x)
    }

    fn clusters(&self) -> Option<usize> {
        let tasks = self.tasks.len() as f64;
        Some(self.weights.iter().filter(|w| *w * tasks >= 1.0).count())
    }
}
