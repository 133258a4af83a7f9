//! An online mixture: components are born when the Chinese restaurant process says so.

use crate::Result;
use crate::continual::learner::Learner;
use crate::continual::{Gaussian, Task, TaskModel};
use crate::linalg::Matrix;

/// Responsibilities below this change nothing.
const NEGLIGIBLE: f64 = 1e-12;

/// A mixture of Gaussian laws of cluster means; yesterday's posterior is today's prior.
///
/// For a task with support (X, y): r_k ∝ n_k p(y | q_k) and r_new ∝ α p(y | N(m, S)), from the support alone. Where the new component
/// is the most probable it is born; else the others share the task. Component k then observes y with the power r_k, n_k ← n_k + r_k.
/// Source: sequential updating of Dirichlet process mixtures, Wang and Dunson (JCGS, 2011), with soft assignments.
#[derive(Debug, Clone)]
pub struct CrpMixture {
    model: TaskModel,
    alpha: f64,
    components: Vec<(f64, Gaussian)>,
}

impl CrpMixture {
    /// Without components.
    pub fn new(model: &TaskModel, alpha: f64) -> Self {
        Self { model: model.clone(), alpha, components: Vec::new() }
    }

    /// n_k and the law of μ_k.
    pub fn components(&self) -> &[(f64, Gaussian)] {
        &self.components
    }

    /// The responsibilities of all components and of a new one.
    pub fn responsibilities(&self, support: &Task) -> Result<Vec<f64>> {
        let new = (self.alpha, &self.model.prior);
        self.model.responsibilities(self.components.iter().map(|(n, q)| (*n, q)).chain([new]), support)
    }
}

impl Learner for CrpMixture {
    fn observe(&mut self, task: &Task) -> Result<()> {
        let mut r = self.responsibilities(task)?;
        let new = r.pop().expect("a new component");
        if r.iter().all(|r| *r < new) {
            self.components.push((0.0, self.model.prior.clone()));
            r.push(new);
        }
        let sum: f64 = r.iter().sum();
        for ((n, q), r) in self.components.iter_mut().zip(r.iter().map(|r| r / sum)) {
            if r > NEGLIGIBLE {
                *q = self.model.observe_share(q, task, r)?.1;
                *n += r;
            }
        }
        Ok(())
    }

    fn predict(&self, support: &Task, x: &Matrix) -> Result<Vec<f64>> {
        let r = self.responsibilities(support)?;
        let laws = self.components.iter().map(|c| &c.1).chain([&self.model.prior]);
        self.model.predict(r.into_iter().zip(laws).filter(|(r, _)| *r > NEGLIGIBLE), support, x)
    }

    fn clusters(&self) -> Option<usize> {
        Some(self.components.iter().filter(|(n, _)| *n >= 1.0).count())
    }
}
