//! The figures of a sample of particles: energies, distances of pairs, configurations up to symmetry.

use super::{Examination, Floor, Judge, Kind, Metric, unit};
use crate::Result;
use crate::density::{Density, NBody, Pair};
use crate::linalg::{Matrix, dot};
use crate::metric::{Bins, aligned_wasserstein2, histogram_tv, wasserstein2_sorted};
use crate::num::Summary;
use crate::search::{Sweeps, metropolis};
use rayon::prelude::*;

/// E[-log p~].
pub static MEAN_ENERGY: Kind = Kind {
    key: "mean_energy",
    name: "mean energy",
    meaning: "Average energy -log p~ of the configurations.",
    judge: Judge::Difference,
    sized: false,
};

/// P(E > 0).
pub static ABOVE_0: Kind = Kind {
    key: "energy_above_0",
    name: "share with E > 0",
    meaning: "Share of configurations with energy above 0: particles that overlap.",
    judge: Judge::Difference,
    sized: false,
};

/// E[y · ∇E], d under p.
pub static VIRIAL: Kind = Kind {
    key: "virial",
    name: "virial",
    meaning: "Mean of y . grad E: the number of dimensions for samples of the target.",
    judge: Judge::Difference,
    sized: false,
};

/// P(r < 4) of a pair.
pub static BELOW_4: Kind = Kind {
    key: "distances_below_4",
    name: "pair distances below 4",
    meaning: "Share of pairs in the inner one of their two wells.",
    judge: Judge::Difference,
    sized: false,
};

/// Total variation of energies, [`Bins::OfReference`].
pub static ENERGY_TVD: Kind = Kind {
    key: "energy_tvd",
    name: "energy TVD",
    meaning: "Half the summed difference of two histograms of energies, 200 bins over the range of the reference; values outside are left out.",
    judge: Judge::Ratio,
    sized: true,
};

/// Total variation of distances, [`Bins::OfReference`].
pub static DISTANCE_TVD: Kind = Kind {
    key: "distance_tvd",
    name: "pair-distance TVD",
    meaning: "The same of the distances of all pairs of particles.",
    judge: Judge::Ratio,
    sized: true,
};

/// Total variation of energies, [`Bins::Fixed`].
pub static ENERGY_TVD_FIXED: Kind = Kind {
    key: "energy_tvd_fixed",
    name: "fixed-bin energy TVD",
    meaning: "The same of energies with 200 bins on [-100, 100]; not to be compared with the other one.",
    judge: Judge::Ratio,
    sized: true,
};

/// Total variation of distances, [`Bins::Fixed`].
pub static DISTANCE_TVD_FIXED: Kind = Kind {
    key: "distance_tvd_fixed",
    name: "fixed-bin pair-distance TVD",
    meaning: "The same of distances with 200 bins on [-100, 100]: one bin a unit of length.",
    judge: Judge::Ratio,
    sized: true,
};

/// W₂ of energies.
pub static ENERGY_W2: Kind = Kind {
    key: "energy_w2",
    name: "energy W2",
    meaning: "Wasserstein distance of the energies; a single overlap of particles can decide it.",
    judge: Judge::Ratio,
    sized: true,
};

/// W₂ of distances.
pub static DISTANCE_W2: Kind = Kind {
    key: "distance_w2",
    name: "pair-distance W2",
    meaning: "Wasserstein distance of the distances of all pairs.",
    judge: Judge::Ratio,
    sized: true,
};

/// W₂ of aligned configurations.
pub static ALIGNED_W2: Kind = Kind {
    key: "aligned_w2",
    name: "W2 up to symmetry",
    meaning: "W2 where configurations may first be renumbered, then turned or reflected, onto each other.",
    judge: Judge::Ratio,
    sized: true,
};

/// The distance that tells the two wells of a pair of DW-4 apart.
const BARRIER: f64 = 4.0;

/// Sets of configurations whose aligned distance is computed: each takes n² small assignments.
const ALIGNED_REPEATS: usize = 2;

/// Exact configurations, or those of Metropolis chains, in blocks that take no row twice.
struct Reference<'a> {
    p: &'a NBody,
    rows: Matrix,
    words: String,
}

impl<'a> Reference<'a> {
    fn new(p: &'a NBody, n: usize, seed: u64) -> Self {
        if let Some(rows) = p.sample(n, seed) {
            return Self { p, rows, words: format!("{n} exact samples") };
        }
        let s = Sweeps::default();
        let words = format!(
            "{n} samples of {} Metropolis chains, burn-in {}, then every {}th sweep, seed {seed}",
            s.chains.min(n),
            s.burn_in,
            s.between
        );
        Self { p, rows: metropolis(p, s, n, seed), words }
    }

    /// The k-th block of n rows, round and round.
    fn block(&self, k: usize, n: usize) -> Set<'a> {
        let k = k % (self.rows.rows() / n);
        Set::new(self.p, self.rows.slice_rows(k * n..(k + 1) * n))
    }
}

/// Configurations and what is counted of them.
struct Set<'a> {
    p: &'a NBody,
    y: Matrix,
    /// Sorted.
    energies: Vec<f64>,
    /// Sorted, of all pairs of all configurations.
    distances: Vec<f64>,
}

impl<'a> Set<'a> {
    fn new(p: &'a NBody, y: Matrix) -> Self {
        let sorted = |mut values: Vec<f64>| {
            values.sort_unstable_by(f64::total_cmp);
            values
        };
        let energies = sorted(p.log_density(&y).iter().map(|l| -l).collect());
        let distances = sorted(p.distances(&y).into_vec());
        Self { p, y, energies, distances }
    }
}

/// A figure of two sets: what it is, what is said of it, and the function.
type Between = (&'static Kind, &'static str, fn(&Set, &Set) -> f64);

const OF_REFERENCE: &str = "200 bins from the least to the largest value of the reference";
const FIXED: &str = "200 bins on [-100, 100]";
const LINE: &str = "one-dimensional transport";
const ALIGNMENT: &str = "best numbering, then best turn or reflection, then exact assignment";

const BETWEEN: [Between; 6] = [
    (&ENERGY_TVD, OF_REFERENCE, |x, y| histogram_tv(&x.energies, &y.energies, Bins::OfReference)),
    (&DISTANCE_TVD, OF_REFERENCE, |x, y| histogram_tv(&x.distances, &y.distances, Bins::OfReference)),
    (&ENERGY_TVD_FIXED, FIXED, |x, y| histogram_tv(&x.energies, &y.energies, Bins::Fixed)),
    (&DISTANCE_TVD_FIXED, FIXED, |x, y| histogram_tv(&x.distances, &y.distances, Bins::Fixed)),
    (&ENERGY_W2, LINE, |x, y| wasserstein2_sorted(&x.energies, &y.energies)),
    (&DISTANCE_W2, LINE, |x, y| wasserstein2_sorted(&x.distances, &y.distances)),
];

const ALIGNED: Between = (&ALIGNED_W2, ALIGNMENT, |x, y| aligned_wasserstein2(x.p.space(), &x.y, &y.y));

/// The figures of particles; exact samples or Metropolis chains are the reference. None for another target.
pub fn figures(job: &Examination) -> Result<Vec<Metric>> {
    let Some(p) = job.target.n_body() else { return Ok(Vec::new()) };
    let (samples, options) = (&job.samples, job.options);
    let repeats = options.n_body_repeats.max(2);
    let size = options.n_body_size.clamp(2, samples.rows());
    let reference = Reference::new(p, repeats * size, job.seed(unit::CONFIGURATIONS));
    let mut metrics = levels(p, samples, &reference);
    metrics.extend(compare(samples, &reference, size, repeats, &BETWEEN));
    let aligned = options.aligned_size.clamp(2, size);
    metrics.extend(compare(samples, &reference, aligned, ALIGNED_REPEATS, &[ALIGNED]));
    Ok(metrics)
}

/// Means over the configurations, beside those of the reference.
fn levels(p: &NBody, samples: &Matrix, reference: &Reference) -> Vec<Metric> {
    let d = p.dim() as f64;
    let pairs = p.distances(&samples.slice_rows(0..1)).cols() as f64;
    // energy, whether it is above 0, and y · ∇E
    let values = |y: &Matrix| -> [Vec<f64>; 3] {
        let (mut l, mut score) = (vec![0.0; y.rows()], Matrix::zeros(y.rows(), y.cols()));
        p.evaluate_into(y, &mut l, &mut score);
        let virial = y.iter_rows().zip(score.iter_rows()).map(|(y, s)| -dot(y, s)).collect();
        let above = l.iter().map(|l| f64::from(-l > 0.0)).collect();
        [l.iter().map(|l| -l).collect(), above, virial]
    };
    let near = |y: &Matrix| -> Vec<f64> {
        p.distances(y).iter_rows().map(|r| r.iter().filter(|r| **r < BARRIER).count() as f64 / pairs).collect()
    };
    let metric = |kind: &'static Kind, note: String, exact: Option<f64>, own: &[f64], theirs: &[f64]| {
        let (own, theirs) = (Summary::of(own), Summary::of(theirs));
        let n = samples.rows();
        let floor = Floor {
            mean: exact.unwrap_or(theirs.mean),
            spread: (theirs.variance / n as f64).sqrt(),
            // a mean that is known is known without noise
            repeats: if exact.is_some() { usize::MAX } else { (theirs.count / n).max(1) },
        };
        Metric { kind, value: own.mean, floor: Some(floor), size: n, blocks: 1, note }
    };
    let beside = || format!("beside {}", reference.words);
    let ([energy, above, virial], [energies, aboves, virials]) = (values(samples), values(&reference.rows));
    let known = "mean of y . grad E, exactly d for samples of p".to_string();
    let mut metrics = vec![
        metric(&MEAN_ENERGY, beside(), None, &energy, &energies),
        metric(&ABOVE_0, beside(), None, &above, &aboves),
        metric(&VIRIAL, known, Some(d), &virial, &virials),
    ];
    if p.pair() == Pair::DoubleWell {
        metrics.push(metric(&BELOW_4, beside(), None, &near(samples), &near(&reference.rows)));
    }
    metrics
}

/// Figures between blocks of the samples and of the reference, and between two blocks of the reference.
fn compare(samples: &Matrix, reference: &Reference, size: usize, repeats: usize, figures: &[Between]) -> Vec<Metric> {
    let blocks = (samples.rows() / size).min(repeats);
    let (own, floor): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (0..repeats)
        .into_par_iter()
        .map(|r| {
            let k = r % blocks;
            let own = Set::new(reference.p, samples.slice_rows(k * size..(k + 1) * size));
            let (truth, other) = (reference.block(r, size), reference.block(r + 1, size));
            figures.iter().map(|(_, _, f)| (f(&own, &truth), f(&other, &truth))).unzip::<f64, f64, Vec<f64>, Vec<f64>>()
        })
        .unzip();
    let column = |rows: &[Vec<f64>], k: usize| rows.iter().map(|r| r[k]).collect::<Vec<f64>>();
    let one = |(k, (kind, note, _)): (usize, &Between)| {
        let value = Summary::of(&column(&own, k)).mean;
        let floor = Some(Floor::of(&column(&floor, k)));
        let note = format!("{note}; beside {}", reference.words);
        Metric { kind, value, floor, size, blocks, note }
    };
    figures.iter().enumerate().map(one).collect()
}
