//! One ruler for all trials: the same exact samples, projections and cells.

use super::outcome::{COLUMNS, Column, Floors, Point};
use crate::certified::Certified;
use crate::failure::Outcome;
use crate::model::Model;
use crate::target::Target;
use pushforward::density::Density;
use pushforward::linalg::Matrix;
use pushforward::metric::{ModeTruth, Options, Virial, evaluate, sliced_wasserstein2};
use pushforward::num::Summary;
use std::cell::RefCell;
use std::sync::Arc;

/// Samples that are judged at the end, as `train` does, and at each moment of training.
const FINAL: usize = 10_000;
const MOMENT: usize = 2_000;
/// Samples that are judged where all methods are to give the same number: what particles have.
const PARTICLES: usize = 1_000;
/// Exact sets behind the floor of a transient figure, and the seed of the first.
const FLOORS: u64 = 10;
const FLOOR_SEED: u64 = 1 << 40;
/// Most numbers of the exact samples behind the masses of a transient.
const NUMBERS: usize = 1 << 27;
/// Projections of the transient's sliced W2.
const PROJECTIONS: usize = 64;
/// A transient has settled within this many floors.
const SETTLED: f64 = 2.0;

/// What is measured during training.
enum Transient {
    /// Modes covered, total variation of their masses, share beyond 4 sigma; and sliced W2 to these exact samples.
    Modes(Box<ModeTruth>, Matrix),
    /// Sliced W2 alone.
    Sliced(Matrix),
    /// The mean of log p~, where nothing else is known.
    Level,
}

fn sliced(samples: &Matrix, exact: &Matrix) -> f64 {
    sliced_wasserstein2(samples, exact, PROJECTIONS, 0)
}

/// Judges samples of one target.
pub struct Ruler {
    density: Arc<dyn Density>,
    /// Samples that are judged at the end.
    size: usize,
    transient: Transient,
    /// (mean, spread) of each transient figure for exact samples.
    transient_floors: Vec<Option<(f64, f64)>>,
    /// Filled by the first judgement; the same for every one.
    floors: RefCell<Floors>,
}

/// When a transient has settled: its last figure stays at most `limit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled {
    /// Twice the floor.
    pub limit: f64,
}

impl Settled {
    /// The first step from which the last figure stays within the limit to the end; None where it does not end there.
    pub fn step(&self, transient: &[Point]) -> Option<u64> {
        let within = |p: &&Point| p.figures.last().is_some_and(|f| *f <= self.limit);
        transient.iter().rev().take_while(within).last().map(|p| p.step)
    }
}

impl Ruler {
    /// For `target`, with many samples at the end and no figure of pairs of them.
    pub fn new(target: &Target) -> Self {
        Self::sized(target, FINAL)
    }

    /// For methods that give as many samples as there are particles: fewer, with the figures of pairs.
    pub fn of_particles(target: &Target) -> Self {
        Self::sized(target, PARTICLES)
    }

    fn sized(target: &Target, size: usize) -> Self {
        let density = target.judged();
        let transient = match (density.mixture(), density.sample(MOMENT, FLOOR_SEED)) {
            (Some(mixture), Some(exact)) => {
                let size = 200_000.min(NUMBERS / mixture.dim());
                Transient::Modes(Box::new(ModeTruth::new(mixture, size, FLOOR_SEED)), exact)
            }
            (None, Some(exact)) => Transient::Sliced(exact),
            (_, None) => Transient::Level,
        };
        let mut ruler = Self { density, size, transient, transient_floors: Vec::new(), floors: RefCell::default() };
        let exact = |k| ruler.density.sample(MOMENT, FLOOR_SEED + k);
        let sets: Vec<Vec<f64>> = (1..=FLOORS).filter_map(exact).map(|x| ruler.transient(&x)).collect();
        let floor = |j: usize| {
            let summary = Summary::of(&sets.iter().map(|s| s[j]).collect::<Vec<_>>());
            (summary.count > 0).then(|| (summary.mean, summary.standard_deviation()))
        };
        ruler.transient_floors = (0..ruler.transient_names().len()).map(floor).collect();
        ruler
    }

    /// Samples of one moment.
    pub fn transient_size(&self) -> usize {
        MOMENT
    }

    /// Samples at the end.
    pub fn final_size(&self) -> usize {
        self.size
    }

    /// (key, title, whether the axis starts at 0) of the transient figures; a distance stands last.
    pub fn transient_names(&self) -> &'static [(&'static str, &'static str, bool)] {
        const MODES: [(&str, &str, bool); 4] = [
            ("modes_covered", "modes covered", true),
            ("mode_mass_tv", "mode-mass total variation", false),
            ("beyond_4_sigma", "share beyond 4σ of every mode", false),
            ("sliced_w2", "sliced W2 to exact samples", false),
        ];
        match self.transient {
            Transient::Modes(..) => &MODES,
            Transient::Sliced(_) => &MODES[3..],
            Transient::Level => &[("mean_log_density", "mean log p~", false)],
        }
    }

    /// (mean, spread) of each transient figure for exact samples of the same number.
    pub fn transient_floors(&self) -> &[Option<(f64, f64)>] {
        &self.transient_floors
    }

    /// When a transient has settled; None where the figure is no distance.
    pub fn settled(&self) -> Option<Settled> {
        let distance = !matches!(self.transient, Transient::Level);
        let floor = self.transient_floors.last().copied().flatten().filter(|_| distance);
        floor.map(|(mean, _)| Settled { limit: SETTLED * mean })
    }

    /// The transient figures of samples.
    pub fn transient(&self, samples: &Matrix) -> Vec<f64> {
        match &self.transient {
            // samples that are not finite are nowhere
            _ if !samples.is_finite() => vec![f64::NAN; self.transient_names().len()],
            Transient::Modes(truth, exact) => {
                let report = truth.report(samples);
                vec![report.covered as f64, report.total_variation, report.outside, sliced(samples, exact)]
            }
            Transient::Sliced(exact) => vec![sliced(samples, exact)],
            Transient::Level => vec![Summary::of(&self.density.log_density(samples)).mean],
        }
    }

    /// The metrics of final samples by key. Exact W2, kernels and tests are left out: `evaluate` on one run has them.
    pub fn judge(&self, samples: &Matrix) -> Outcome<Vec<(&'static str, f64)>> {
        let pairs = self.size <= PARTICLES;
        let options = Options {
            truth_size: 500_000,
            log_density_size: 100_000,
            transport_sizes: if pairs { vec![self.size] } else { Vec::new() },
            pair_size: if pairs { self.size } else { 100 },
            projections: PROJECTIONS,
            test_size: 0,
            ..Options::default()
        };
        let report = evaluate(&*self.density, samples, &options)?;
        let shown = |c: &&Column| pairs || !["w2", "energy_distance"].contains(&c.key);
        let found = COLUMNS.iter().filter(shown).filter_map(|c| Some((c.key, report.metric(c.key)?)));
        let mut floors = self.floors.borrow_mut();
        Ok(found
            .map(|(key, metric)| {
                if let Some(floor) = &metric.floor {
                    floors.insert(key, (floor.mean, floor.spread));
                }
                (key, metric.value)
            })
            .collect())
    }

    /// Mean of -(x - m)·∇ log p/d over samples: 1 under the target.
    pub fn virial(&self, samples: &Matrix) -> Option<f64> {
        Virial::of(&*self.density, samples).map(|v| v.mean)
    }

    /// The figures of a model's certificate by key, from its samples and as many exact ones where the target has them.
    pub fn certify(&self, model: &Model, samples: &Matrix, seed: u64) -> Outcome<Vec<(&'static str, f64)>> {
        let log_z = |value: f64| match self.density.log_normaliser() {
            Some(exact) => ("log_z_error", value - exact),
            None => ("log_z", value),
        };
        if let Model::Particles(_, Some(search)) = model {
            return Ok(vec![log_z(search.log_z), ("log_z_spread", search.log_z_error)]);
        }
        let Some(certified) = Certified::of(&self.density, model, samples, seed)? else { return Ok(Vec::new()) };
        let c = certified.certificate();
        let log_z = [log_z(c.log_z.value), ("log_z_spread", c.log_z.standard_error)];
        let forward = c.exact.as_ref().map(|e| ("forward_ess", e.forward_ess));
        let more = [("reverse_ess", c.reverse_ess), ("pareto_k", c.pareto_k)];
        Ok(log_z.into_iter().chain(more).chain(forward).collect())
    }

    /// The floors of the metrics, once something was judged.
    pub fn floors(&self) -> Floors {
        self.floors.borrow().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks when a transient counts as settled: at the first moment after the last excursion; never where it ends outside.
    #[test]
    fn settled_after_the_last_excursion() {
        let of = |figures: &[f64]| {
            let points = figures.iter().enumerate();
            let transient: Vec<Point> =
                points.map(|(k, f)| Point { step: 10 * k as u64, calls: 0, figures: vec![40.0, *f] }).collect();
            Settled { limit: 0.1 }.step(&transient)
        };
        assert_eq!(of(&[1.0, 0.05, 0.2, 0.1, 0.02]), Some(30));
        assert_eq!(of(&[0.0, 0.0]), Some(0));
        assert_eq!(of(&[0.0, 0.3]), None);
        assert_eq!(of(&[0.0, f64::NAN]), None);
        assert_eq!(of(&[]), None);
    }
}
