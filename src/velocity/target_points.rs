//! What a velocity between samples leads to: weighted points, given or found by a search.

use crate::error::{Error, Result};
use crate::estimate::Clock;
use crate::linalg::Matrix;
use crate::num::softmax;
use crate::rng::{Purpose, stream, uniform};
use crate::search::{SearchSettings, search};
use crate::state::{State, Stateful};
use crate::velocity::Ingredients;

/// Beside the batches of a model stand those of the target.
const BATCHES: u64 = 1 << 62;

/// Weighted points of p.
pub(super) struct TargetPoints {
    /// N×d.
    points: Matrix,
    /// N; equal where None.
    log_weights: Option<Vec<f64>>,
    /// Whether a search found them, so that a state must hold them.
    searched: bool,
    /// E|Y - Y'|².
    pub mean_square_distance: f64,
    /// The points of each class; none without labels.
    classes: Vec<Vec<usize>>,
}

impl TargetPoints {
    /// The target's samples; where it has none, particles of a search for its density: those of the model, or `particles` new ones.
    pub fn of(ingredients: &Ingredients, particles: usize) -> Result<Self> {
        if let Some(samples) = &ingredients.target.samples {
            let (points, log_weights) = (samples.points.clone(), samples.log_weights.clone());
            let labels = samples.labels.as_ref();
            let classes = labels.map_or_else(Vec::new, |l| (0..l.names.len()).map(|c| l.rows(c)).collect());
            return Ok(Self { classes, ..Self::new(points, log_weights, false) });
        }
        let density = ingredients.density()?;
        if let Some(points) = &ingredients.particles {
            return Ok(Self::new(points.clone(), None, true));
        }
        let found = search(&*density, &SearchSettings { particles, seed: ingredients.seed, start: None })?;
        Ok(Self::new(found.particles, Some(found.log_weights), true))
    }

    fn new(points: Matrix, log_weights: Option<Vec<f64>>, searched: bool) -> Self {
        let mean_square_distance = mean_square_distance(&points, log_weights.as_deref());
        Self { points, log_weights, searched, mean_square_distance, classes: Vec::new() }
    }

    /// All points and their log-weights where `count` is 0 or not fewer than there are; else `count` of them by stratified resampling, which
    /// have equal weights.
    pub fn batch(&self, count: usize, clock: Clock, seed: u64) -> (Matrix, Option<Vec<f64>>) {
        self.batch_of(&(0..self.points.rows()).collect::<Vec<_>>(), count, clock, seed)
    }

    /// The same of the points of a class, whose share of `count` is that of its number of points.
    pub fn class(&self, class: usize, count: usize, clock: Clock, seed: u64) -> (Matrix, Option<Vec<f64>>) {
        let rows = &self.classes[class];
        self.batch_of(rows, (count * rows.len()).div_ceil(self.points.rows()), clock, seed)
    }

    /// Number of classes; 0 without labels.
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    fn batch_of(&self, of: &[usize], count: usize, clock: Clock, seed: u64) -> (Matrix, Option<Vec<f64>>) {
        let n = of.len();
        let log_weights = self.log_weights.as_ref().map(|l| of.iter().map(|&i| l[i]).collect::<Vec<_>>());
        if count == 0 || count >= n {
            return (self.points.gather_rows(of), log_weights);
        }
        let weights = softmax(log_weights.as_ref().unwrap_or(&vec![0.0; n]));
        let mut rng = stream(seed, Purpose::Reference, BATCHES | clock.step);
        let (mut rows, mut at, mut sum) = (Vec::with_capacity(count), 0, weights[0]);
        for k in 0..count {
            let u = (k as f64 + uniform(&mut rng)) / count as f64;
            while sum < u && at + 1 < n {
                at += 1;
                sum += weights[at];
            }
            rows.push(of[at]);
        }
        (self.points.gather_rows(&rows), None)
    }
}

/// E|Y - Y'|² = 2 tr Cov.
fn mean_square_distance(points: &Matrix, log_weights: Option<&[f64]>) -> f64 {
    let (n, d) = points.shape();
    let weights = softmax(log_weights.unwrap_or(&vec![0.0; n]));
    let moment = |j: usize, centre: f64, power: i32| -> f64 {
        points.iter_rows().zip(&weights).map(|(x, w)| w * (x[j] - centre).powi(power)).sum()
    };
    (0..d).map(|j| 2.0 * moment(j, moment(j, 0.0, 1), 2)).sum()
}

impl Stateful for TargetPoints {
    fn save(&self, to: &mut State) {
        if self.searched {
            to.put("points", &self.points);
            if let Some(l) = &self.log_weights {
                to.put_row("log_weights", l);
            }
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        if self.searched {
            let points = from.any_shape::<f64>("points")?;
            if points.cols() != self.points.cols() || points.rows() == 0 {
                let (n, d) = points.shape();
                return Err(Error::State { what: format!("the target's points are {n}×{d}") });
            }
            let weights = from.matrix::<f64>("log_weights", (1, points.rows())).ok();
            *self = Self::new(points.clone(), weights.map(|w| w.as_slice().to_vec()), true);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::{Target, WeightedSamples};

    /// Checks that batches keep masses: of points 0 and 1 with weights 0.3 and 0.7 among 1,000 equal ones each, 500 batches of 64 hold the
    /// share 0.7 of ones within 5 standard errors of stratified draws (at most ½/64 each: 5 · 0.5/64/√500 = 0.0018; false alarm 6e-7); that a
    /// batch of all is all; and the mean square distance, 2 · 0.3 · 0.7.
    #[test]
    fn batches_keep_masses() {
        let points = Matrix::from_fn(2000, 1, |i, _| f64::from(u8::from(i >= 1000)));
        let log_weights = Some((0..2000).map(|i| if i < 1000 { 0.3f64.ln() } else { 0.7f64.ln() }).collect());
        let target = Target::of_samples(WeightedSamples { points: points.clone(), log_weights, labels: None });
        let of = Ingredients { target, estimator: None, particles: None, seed: 0 };
        let p = TargetPoints::of(&of, 2).unwrap();
        let share = |step| {
            let batch = p.batch(64, Clock { step, steps: 500 }, 3).0;
            batch.as_slice().iter().sum::<f64>() / 64.0
        };
        let mean = (0..500).map(share).sum::<f64>() / 500.0;
        assert!((mean - 0.7).abs() < 0.0018, "{mean}");
        assert_eq!(p.batch(0, Clock { step: 0, steps: 1 }, 3).0, points);
        assert!((p.mean_square_distance - 0.42).abs() < 1e-12);
    }
}
