//! Distances of a sample to exact ones.

use super::{Examination, Judge, Kind, Metric, unit};
use crate::Result;
use crate::linalg::Matrix;
use crate::metric::{energy_distance, median_distance, mmd2, sliced_wasserstein2, wasserstein2};

/// W₂ by exact assignment.
pub static W2: Kind = Kind {
    key: "w2",
    name: "W2",
    meaning: "Least root mean square distance by which samples must move to become exact ones, by exact assignment.",
    judge: Judge::Ratio,
    sized: true,
};

/// Sliced W₂.
pub static SLICED_W2: Kind = Kind {
    key: "sliced_w2",
    name: "sliced W2",
    meaning: "Wasserstein distance to exact samples, averaged (in squares) over one-dimensional projections.",
    judge: Judge::Ratio,
    sized: true,
};

/// MMD² with a Gaussian kernel.
pub static MMD2: Kind = Kind {
    key: "mmd2",
    name: "MMD²",
    meaning: "Squared distance of kernel means; sees shape at the scale of the kernel, hardly sees masses of far modes.",
    judge: Judge::Ratio,
    sized: true,
};

/// The energy distance.
pub static ENERGY: Kind = Kind {
    key: "energy_distance",
    name: "energy distance",
    meaning: "A distance of laws from mean pairwise distances; sees the large scale first.",
    judge: Judge::Ratio,
    sized: true,
};

/// Distances to exact samples; none for a target without an exact sampler.
pub fn figures(job: &Examination) -> Result<Vec<Metric>> {
    if !job.has_exact() {
        return Ok(Vec::new());
    }
    let o = job.options;
    let mut metrics = Vec::new();
    for &size in &o.transport_sizes {
        let repeats = (o.repeats * 1_000 / size.max(1)).clamp(2, o.repeats.max(2));
        let note = "exact optimal assignment".to_string();
        metrics.push(job.compare(&W2, size, repeats, note, |x, y| wasserstein2(x, y).distance));
    }
    let h = median_distance(&job.exact(o.pair_size.clamp(2, 1_000), unit::BANDWIDTH), job.seed(unit::BANDWIDTH));
    mmd2(&job.samples.slice_rows(0..2), &job.samples.slice_rows(0..2), h)?; // the bandwidth is usable
    let mmd = move |x: &Matrix, y: &Matrix| mmd2(x, y, h).expect("the bandwidth was checked").biased;
    let sliced = |x: &Matrix, y: &Matrix| sliced_wasserstein2(x, y, o.projections, o.seed);
    let directions = format!("{} projections", o.projections);
    let kernel = format!("exp(-|x-y|²/(2h²)), h = {h:.4} (median distance of exact samples); V-statistic");
    let v_statistic = "2E|X-Y| - E|X-X'| - E|Y-Y'|; V-statistic".to_string();
    metrics.push(job.compare(&SLICED_W2, o.sliced_size, o.repeats, directions, sliced));
    metrics.push(job.compare(&MMD2, o.pair_size, o.repeats, kernel, mmd));
    metrics.push(job.compare(&ENERGY, o.pair_size, o.repeats, v_statistic, |x, y| energy_distance(x, y).biased));
    Ok(metrics)
}
