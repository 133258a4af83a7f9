//! The target at a noise level: in closed form, or estimated from draws around each point.

use crate::density::{Density, SmoothedEstimate, evaluate, evaluate_log_density};
use crate::error::Result;
use crate::estimate::{Annealing, Clock, Law, Noise, Query, panel_rows};
use crate::linalg::Matrix;
use crate::num::ln;
use crate::parallel;
use crate::state::Stateful;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The law of a X + s ξ, X ~ p, up to the constant of p~.
pub trait NoisedTarget: Stateful + Send + Sync {
    /// Called once a step, before [`NoisedTarget::at`]: draws of this step, chains moved on.
    fn refresh(&mut self, clock: Clock, seed: u64) -> Result<()>;

    /// log p~_t, empty where it is not known, and its score at the points; `Error::NonFinite` with the point where p~ is not finite.
    fn at(&self, query: &Query) -> Result<Law>;

    /// Whether it stays what it is until the end: not while it is annealed.
    fn is_settled(&self) -> bool {
        true
    }

    /// Numbers of its own after [`NoisedTarget::at`]: key, label and value.
    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        Vec::new()
    }

    /// log p~_t alone, to a few tenths: enough to tell a stray particle.
    fn scout(&self, query: &Query) -> Result<Vec<f64>> {
        Ok(self.at(query)?.log_density)
    }
}

/// Draws that tell a stray, where there is no closed form.
const SCOUTS: usize = 16;

/// p~ ∗ N(0, h²) where a = 1 (T11), else p~ ∗ N(0, (s/a)²) stretched by a: in closed form where the density has one
/// ([`Density::smoothed`]), else estimated from draws ([`SmoothedEstimate::evaluate_controlled`]).
///
/// Annealed, p is replaced by p_t, which is p in the end ([`Annealing`]).
pub struct SmoothedTarget {
    density: Arc<dyn Density>,
    draws: usize,
    annealing: Annealing,
    /// What this step looks at.
    present: Arc<dyn Density>,
    key: (u64, u64),
    /// The laws of this step by the bits of s/a.
    levels: Mutex<BTreeMap<u64, Arc<Level>>>,
}

/// p~ smoothed at one bandwidth.
enum Level {
    Exact(Arc<dyn Density>),
    /// From many draws, and from few; the same first draws.
    Estimated {
        full: SmoothedEstimate,
        scout: SmoothedEstimate,
    },
}

impl SmoothedTarget {
    /// `density` with `draws` draws (even) behind each estimate.
    pub fn new(density: Arc<dyn Density>, draws: usize) -> Self {
        let (present, levels) = (Arc::clone(&density), Mutex::default());
        Self { density, draws, annealing: Annealing::new("none", 1.0, 1.0), present, key: (0, 0), levels }
    }

    /// The same, annealed.
    pub fn annealed(self, annealing: Annealing) -> Self {
        Self { annealing, ..self }
    }

    fn level(&self, noise: Noise) -> Result<Arc<Level>> {
        let bandwidth = mutant!("target-level", 0.95 * noise.s / noise.a, noise.s / noise.a);
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(level) = levels.get(&bandwidth.to_bits()) {
            return Ok(Arc::clone(level));
        }
        let estimate =
            |draws| SmoothedEstimate::new(Arc::clone(&self.present), bandwidth, draws, self.key.0, self.key.1);
        let level = Arc::new(match self.present.smoothed(bandwidth) {
            _ if bandwidth == 0.0 => Level::Exact(Arc::clone(&self.present)),
            Some(closed) => Level::Exact(closed),
            None => Level::Estimated { full: estimate(self.draws)?, scout: estimate(SCOUTS)? },
        });
        levels.insert(bandwidth.to_bits(), Arc::clone(&level));
        Ok(level)
    }

    /// Calls `f` with the level and the points y/a of each panel of rows that share a noise level; the rows and what it returned.
    fn by_level<R: Send>(
        &self,
        query: &Query,
        f: impl Fn(&Level, &Matrix) -> Result<R> + Sync,
    ) -> Result<Vec<(Vec<usize>, R)>> {
        let d = query.x.cols();
        let whole = self.density.wants_whole_batches();
        let most = if whole { usize::MAX } else { panel_rows(d) };
        let mut groups: BTreeMap<(u64, u64), Vec<usize>> = BTreeMap::new();
        for (i, noise) in query.noise.iter().enumerate() {
            groups.entry((noise.a.to_bits(), noise.s.to_bits())).or_default().push(i);
        }
        let mut panels = Vec::new();
        for rows in groups.into_values() {
            let level = self.level(query.noise[rows[0]])?;
            panels.extend(rows.chunks(most).map(|rows| (rows.to_vec(), Arc::clone(&level))));
        }
        let one = |(rows, level): (Vec<usize>, Arc<Level>)| {
            let mut y = query.x.gather_rows(&rows);
            let a = query.noise[rows[0]].a;
            if a != 1.0 {
                y.as_mut_slice().iter_mut().for_each(|y| *y /= a);
            }
            f(&level, &y).map(|r| (rows, r))
        };
        if whole {
            return panels.into_iter().map(one).collect();
        }
        parallel::collect(panels.into_iter(), one).into_iter().collect()
    }
}

impl Stateful for SmoothedTarget {}

impl NoisedTarget for SmoothedTarget {
    fn refresh(&mut self, clock: Clock, seed: u64) -> Result<()> {
        self.present = self.annealing.at(&self.density, clock)?;
        self.key = (seed, clock.step);
        self.levels = Mutex::default();
        Ok(())
    }

    fn at(&self, query: &Query) -> Result<Law> {
        let (n, d) = query.x.shape();
        let parts = self.by_level(query, |level, y| match level {
            Level::Exact(p) => evaluate(&**p, y),
            Level::Estimated { full, .. } => full.evaluate_controlled(y),
        })?;
        let mut law = Law { log_density: vec![0.0; n], score: Matrix::zeros(n, d) };
        for (rows, at) in parts {
            for (k, &i) in rows.iter().enumerate() {
                let a = query.noise[i].a;
                law.log_density[i] =
                    at.log_density[k] - if a == 1.0 { 0.0 } else { mutant!("target-jacobian", 0.0, d as f64) * ln(a) };
                law.score
                    .row_mut(i)
                    .iter_mut()
                    .zip(at.score.row(k))
                    .for_each(|(o, s)| *o = s / mutant!("target-chain-rule", 1.0, a));
            }
        }
        Ok(law)
    }

    fn is_settled(&self) -> bool {
        Arc::ptr_eq(&self.present, &self.density)
    }

    fn scout(&self, query: &Query) -> Result<Vec<f64>> {
        let parts = self.by_level(query, |level, y| match level {
            Level::Exact(p) => evaluate_log_density(&**p, y),
            Level::Estimated { scout, .. } => evaluate_log_density(scout, y),
        })?;
        let mut out = vec![0.0; query.x.rows()];
        for (rows, l) in parts {
            let shift = |i: usize| query.x.cols() as f64 * ln(query.noise[i].a);
            rows.iter().zip(l).for_each(|(&i, l)| out[i] = l - shift(i));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::GaussianMixture;
    use crate::estimate::Noise;

    /// Checks the law of a X + s ξ for X ~ N(m, diag(v)), which is N(a m, diag(a² v + s²)), in log-density and score at points with three noise
    /// levels, mixed: to 1e-13, some roundings of numbers below 10.
    #[test]
    fn noise_shrinks_and_blurs() {
        let law = |a: f64, s: f64| {
            let variance = |v: f64| a * a * v + s * s;
            let covariance = Matrix::from_rows(&[[variance(0.5), 0.0], [0.0, variance(2.0)]]);
            GaussianMixture::gaussian(&[a * 0.7, a * -0.3], covariance).unwrap()
        };
        let target = SmoothedTarget::new(Arc::new(law(1.0, 0.0)), 2);
        let levels = [Noise { a: 0.6, s: 0.8 }, Noise { a: 1.0, s: 0.3 }, Noise { a: 1.7, s: 0.0 }];
        let noise: Vec<Noise> = (0..9).map(|i| levels[i % 3]).collect();
        let x = Matrix::from_fn(9, 2, |i, j| 0.3 * i as f64 - 1.2 + 0.7 * j as f64);
        let found = target.at(&Query { x: &x, noise: &noise }).unwrap();
        for i in 0..9 {
            let exact = evaluate(&law(noise[i].a, noise[i].s), &x.slice_rows(i..i + 1)).unwrap();
            let gap = |a: f64, b: f64| assert!((a - b).abs() < 1e-13, "point {i}: {a} {b}");
            gap(found.log_density[i], exact.log_density[0]);
            found.score.row(i).iter().zip(exact.score.row(0)).for_each(|(a, b)| gap(*a, *b));
        }
    }
}
