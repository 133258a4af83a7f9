//! What tells a flow that it gets no better: an objective on points that no step sees.

use crate::density::{Affine, Density, guarded};
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::model::flow::Flow;
use crate::nn::Parameters;
use crate::num::Real;
use crate::state::State;
use std::sync::Arc;

/// Steps between two looks: a look costs about one step.
const EVERY: u64 = 20;
/// Draws of the flow behind a look.
const DRAWS: usize = 1024;
/// Their key beside the run's.
const KEY: u64 = 0x4845_4c44_4f55_5400;
/// Where no look is better the rate falls by this factor, so often; after that the flow has settled.
const SLOWER: f64 = 0.2;
const TIMES: u64 = 2;
/// A fall of the objective counts as an improvement from this share of its standard error on.
const SHARE: f64 = 0.25;
/// Most nats by which one point may differ from the middle one: one draw without any density of p decides nothing.
const MOST: f64 = 30.0;

/// KL(q‖p) + KL(p‖q), the divergence of Jeffreys (1946): E_q log(q/p~) - E_p log(q/p~), in which log Z cancels.
///
/// The first mean is over draws of q under a key of its own, always the same noise; the second over particles of the search that found p, which
/// no step follows. Both have a variance that vanishes as q tends to p. The particles' own error shifts it by a constant.
pub(super) struct HeldOut<T: Real> {
    density: Arc<dyn Density>,
    /// N×d, in units of the frame.
    particles: Matrix,
    /// log p~ at them.
    at_particles: Vec<f64>,
    key: u64,
    patience: u64,
    best: Best<T>,
    /// The objective from which the last improvement is counted, and its step.
    mark: (f64, u64),
    /// How often the rate has fallen.
    slower: u64,
}

/// The best iterate.
struct Best<T: Real> {
    objective: f64,
    step: u64,
    parameters: Parameters<T>,
}

impl<T: Real> HeldOut<T> {
    /// Of a flow at its start (its own frame the identity), in a frame of the target's units, with `points` of p (N×d, the target's units).
    /// `Error::Panicked` where the density panics.
    pub(super) fn new(
        density: Arc<dyn Density>,
        (flow, frame): (&Flow<T>, &Affine),
        points: &Matrix,
        patience: u64,
        seed: u64,
    ) -> Result<Self> {
        let mut at_particles = vec![0.0; points.rows()];
        guarded(|| density.log_density_into(points, &mut at_particles))?;
        let best = Best { objective: f64::MAX, step: 0, parameters: flow.parameters.clone() };
        let (particles, key) = (frame.standardise(points), seed ^ KEY);
        let mut out = Self { density, particles, at_particles, key, patience, best, mark: (f64::MAX, 0), slower: 0 };
        let (objective, _) = out.objective(flow, frame)?;
        (out.best.objective, out.mark) = (objective, (objective, 0));
        Ok(out)
    }

    /// The objective and its standard error; the largest number, without one, where no particle has a finite log-ratio.
    fn objective(&self, flow: &Flow<T>, frame: &Affine) -> Result<(f64, f64)> {
        let drawn = flow.sample_block(DRAWS, self.key, 0);
        let mut at_drawn = vec![0.0; DRAWS];
        guarded(|| self.density.log_density_into(&frame.restore(&drawn), &mut at_drawn))?;
        let ratio = |points: &Matrix, p: &[f64]| -> Vec<f64> {
            Density::log_density(flow, points).iter().zip(p).map(|(q, p)| q - p).collect()
        };
        let (of_q, of_p) = (ratio(&drawn, &at_drawn), ratio(&self.particles, &self.at_particles));
        let mut sorted: Vec<f64> = of_p.iter().copied().filter(|l| l.is_finite()).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let Some(&middle) = sorted.get(sorted.len() / 2) else { return Ok((f64::MAX, 0.0)) };
        // what is not finite is as bad as anything
        let bounded = |l: f64, worst: f64| if l.is_nan() { worst } else { l.clamp(middle - MOST, middle + MOST) };
        let (q, p) = (
            moments(of_q.iter().map(|&l| bounded(l, middle + MOST))),
            moments(of_p.iter().map(|&l| bounded(l, middle - MOST))),
        );
        Ok((q.0 - p.0, (q.1 + p.1).sqrt()))
    }

    /// Whether it looks after `step` of all `steps`.
    pub(super) fn is_due(step: u64, steps: u64) -> bool {
        step.is_multiple_of(EVERY) || step >= steps
    }

    /// Looks at the flow after `step` of all `steps`; the objective. Keeps the best iterate, gives it back where no look was better for so
    /// long, and at the end. `Error::Panicked` where the density panics; nothing changes then.
    pub(super) fn look(&mut self, flow: &mut Flow<T>, frame: &Affine, step: u64, steps: u64) -> Result<f64> {
        let (objective, error) = self.objective(flow, frame)?;
        if objective < self.best.objective {
            self.best = Best { objective, step, parameters: flow.parameters.clone() };
        }
        if objective < self.mark.0 - SHARE * error {
            self.mark = (objective, step);
        }
        let waited = step - self.mark.1 >= self.patience;
        if waited {
            self.slower += 1;
            self.mark = (self.best.objective, step);
        }
        if waited || step >= steps {
            flow.parameters = self.best.parameters.clone();
        }
        Ok(objective)
    }

    /// Factor on the rate of a step.
    pub(super) fn rate(&self) -> f64 {
        SLOWER.powi(self.slower as i32)
    }

    /// That no further step is worth its time, in a sentence.
    pub(super) fn settled(&self) -> Option<String> {
        (self.slower > TIMES).then(|| {
            format!(
                "on held-out points KL(q‖p) + KL(p‖q) had not fallen for {} steps, at {:.0} % of the first rate too; the model is that of step {}",
                self.patience,
                100.0 * SLOWER.powi(TIMES as i32),
                self.best.step
            )
        })
    }

    /// Into a state.
    pub(super) fn put(&self, names: &[String], to: &mut State) {
        for (key, value) in [("best", self.best.step), ("mark", self.mark.1), ("slower", self.slower)] {
            to.counters.insert(format!("held_out.{key}"), value);
        }
        to.put_row("held_out.objective", &[self.best.objective, self.mark.0]);
        for (name, p) in names.iter().zip(&self.best.parameters) {
            to.put::<T>(&format!("held_out.{name}"), p);
        }
    }

    /// Out of a state; nothing changes on an error.
    pub(super) fn take(&mut self, names: &[String], from: &State) -> Result<()> {
        let counter = |key: &str| from.counter(&format!("held_out.{key}"));
        let (step, mark, slower) = (counter("best")?, counter("mark")?, counter("slower")?);
        if slower > TIMES + 1 {
            return Err(Error::State { what: format!("held_out.slower is {slower}") });
        }
        let objective = from.matrix::<f64>("held_out.objective", (1, 2))?;
        let each = names.iter().zip(&self.best.parameters);
        let each = each.map(|(name, p)| from.matrix::<T>(&format!("held_out.{name}"), p.shape()).cloned());
        let parameters = each.collect::<Result<Vec<_>>>()?.into_iter().map(|m| Arc::new(m.into())).collect();
        self.best = Best { objective: objective[(0, 0)], step, parameters };
        (self.mark, self.slower) = ((objective[(0, 1)], mark), slower);
        Ok(())
    }
}

/// Mean of some numbers and its squared standard error.
fn moments(x: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = x.clone().count().max(1) as f64;
    let mean = x.clone().sum::<f64>() / n;
    (mean, x.map(|x| (x - mean).powi(2)).sum::<f64>() / (n * n))
}
