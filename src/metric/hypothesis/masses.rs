//! Mode masses as a test: does every mode have its share?

use super::forms::rank_p_value;
use crate::metric::ModeReport;
use crate::rng::{Purpose, stream, uniform};
use rayon::prelude::*;

/// Unit of the streams behind simulated counts, one a set.
const COUNTS_UNIT: u64 = 1 << 58;

/// The p-value of Pearson's X² = Σ_k (c_k - n t_k)²/(n t_k), c = n·masses, among `simulations` sets of n independent draws of the true
/// masses t: exact for every n up to the error of t. A sample in a cell of true mass 0, or in no cell, gives X² = ∞ and the least p.
///
/// `samples`: the n behind the report; the true masses must come from many more. Keyed by `seed`. O(simulations n log K).
pub fn mode_mass_test(report: &ModeReport, samples: usize, simulations: usize, seed: u64) -> f64 {
    let n = samples as f64;
    let statistic = |count: &dyn Fn(usize) -> f64| -> f64 {
        let cells = report.truths.iter().enumerate().map(|(k, t)| (count(k), n * t));
        cells.filter(|&(c, e)| c > 0.0 || e > 0.0).map(|(c, e)| (c - e).powi(2) / e).sum()
    };
    let cumulative: Vec<f64> = report
        .truths
        .iter()
        .scan(0.0, |sum, t| {
            *sum += t;
            Some(*sum)
        })
        .collect();
    let observed = statistic(&|k| (report.masses[k] * n).round());
    let observed = if report.nowhere > 0 { f64::INFINITY } else { observed };
    let simulated = (0..simulations as u64).into_par_iter().map(|b| {
        let mut rng = stream(seed, Purpose::Metric, COUNTS_UNIT + b);
        let mut counts = vec![0.0; cumulative.len()];
        let last = cumulative.len() - 1;
        (0..samples).for_each(|_| {
            let u = uniform(&mut rng) * cumulative[last];
            counts[cumulative.partition_point(|c| *c <= u).min(last)] += 1.0;
        });
        statistic(&|k| counts[k])
    });
    rank_p_value(&[vec![observed], simulated.collect()].concat())
}
