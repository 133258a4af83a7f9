//! The mean log-density of a sample, and the share outside the support.

use super::{Examination, Floor, Judge, Kind, Metric, unit};
use crate::num::Summary;
use crate::{Error, Result};

const HIGHER: &str = "Average log-density of the samples. Higher than exact samples: modes too narrow or tails missing; lower: stray samples.";

/// E log p.
pub static MEAN_LOG_P: Kind =
    Kind { key: "mean_log_density", name: "mean log p", meaning: HIGHER, judge: Judge::Difference, sized: false };

/// E log p~, where Z is unknown.
pub static MEAN_LOG_P_UNNORMALISED: Kind =
    Kind { key: "mean_log_density", name: "mean log p~", meaning: HIGHER, judge: Judge::Difference, sized: false };

/// The share of samples where log p = -∞.
pub static OUTSIDE: Kind = Kind {
    key: "outside_support",
    name: "outside the support",
    meaning: "Share of samples where the target has no density at all; exact samples are never there.",
    judge: Judge::Difference,
    sized: false,
};

/// The mean of log p (log p~ where Z is unknown) over all samples: -∞ where log p~ is at one of them, and then also the share of
/// such samples, outside the support. None where the target has no density.
pub fn figures(job: &Examination) -> Result<Vec<Metric>> {
    if !job.target.is_known() {
        return Ok(Vec::new());
    }
    let log_z = job.target.log_normaliser();
    let values = job.target.log_density(&job.samples);
    if let Some(i) = values.iter().position(|v| v.is_nan() || *v == f64::INFINITY) {
        let point = job.samples.row(i).to_vec();
        return Err(Error::NonFinite { what: "log-density".into(), value: values[i], point });
    }
    let inside = |values: Vec<f64>| -> Vec<f64> { values.into_iter().filter(|v| v.is_finite()).collect() };
    let (n, values) = (values.len(), inside(values));
    let (outside, shift) = (n - values.len(), log_z.unwrap_or(0.0));
    let mut floors = None;
    if let Some(exact) = job.target.sample(job.options.log_density_size, job.seed(unit::LOG_DENSITY)) {
        let size = exact.rows();
        // an exact sample is outside by rounding only
        let exact = Summary::of(&inside(job.target.log_density(&exact)));
        let (share, repeats) = ((size - exact.count) as f64 / size as f64, (size / n).max(1));
        let level = (exact.mean - shift, (exact.variance / n as f64).sqrt());
        let floor = |(mean, spread)| Floor { mean, spread, repeats };
        floors = Some([level, (share, (share * (1.0 - share) / n as f64).sqrt())].map(floor));
    }
    let [level, share] = floors.map_or([None, None], |both| both.map(Some));
    let mut notes = Vec::new();
    if log_z.is_none() {
        notes.push("up to the unknown log Z".to_string());
    }
    let mean = Summary::of(&values).mean - shift;
    if outside > 0 {
        let others = if outside < n { format!("; the mean of the others is {mean:.6}") } else { String::new() };
        notes.push(format!("{outside} of {n} samples are outside the support, where log p = -inf{others}"));
    }
    if level.is_none() {
        notes.push("no exact sampler, hence no floor".into());
    }
    let kind = if log_z.is_some() { &MEAN_LOG_P } else { &MEAN_LOG_P_UNNORMALISED };
    let value = if outside > 0 { f64::NEG_INFINITY } else { mean };
    let level = Metric { kind, value, floor: level, size: n, blocks: 1, note: notes.join("; ") };
    let value = outside as f64 / n as f64;
    let note = format!("{outside} of {n} samples with log p = -inf; exact samples are never there");
    let share = Metric { kind: &OUTSIDE, value, floor: share, size: n, blocks: 1, note };
    Ok(if outside > 0 { vec![level, share] } else { vec![level] })
}
