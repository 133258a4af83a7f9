//! Whether a sample repeats the points that its model learned from.

use super::{Examination, Floor, Judge, Kind, Metric, unit};
use crate::Result;
use crate::linalg::Matrix;
use crate::num::Summary;
use rayon::prelude::*;

/// Mean distance to the nearest training point.
pub static NEAREST: Kind = Kind {
    key: "nearest_training",
    name: "distance to the nearest training point",
    meaning: "Mean over samples; the floor is that of held-out points. Far below it samples are copies of training points.",
    judge: Judge::Ratio,
    sized: true,
};

/// The share of samples that are very near to a training point.
pub static COPIES: Kind = Kind {
    key: "training_copies",
    name: "copies of training points",
    meaning: "Share of samples nearer to a training point than 95 % of held-out points are: 5 % of fresh samples, all of copies.",
    judge: Judge::Ratio,
    sized: true,
};

/// Samples of a comparison at most; each is compared with all training points.
const MOST: usize = 2000;
/// The share of held-out points that count as near.
const NEAR: f64 = 0.05;

/// Both figures; none where nobody learned from points.
pub fn figures(job: &Examination) -> Result<Vec<Metric>> {
    let Some(training) = job.target.learned_from() else { return Ok(Vec::new()) };
    let (size, repeats) = (job.samples.rows().min(MOST), job.options.repeats.max(2));
    let of = |x: &Matrix| -> Vec<f64> { (0..x.rows()).into_par_iter().map(|i| nearest(x.row(i), training)).collect() };
    let mut fresh = of(&job.exact(MOST, unit::COPIES));
    fresh.sort_by(f64::total_cmp);
    let limit = fresh[(NEAR * MOST as f64) as usize];
    let mean = |d: &[f64]| Summary::of(d).mean;
    let share = |d: &[f64]| d.iter().filter(|d| **d < limit).count() as f64 / d.len() as f64;
    let found = of(&job.samples.slice_rows(0..size));
    let held: Vec<Vec<f64>> = (0..repeats).map(|r| of(&job.exact(size, unit::COPIES + 1 + r as u64))).collect();
    let metric = |kind: &'static Kind, figure: &dyn Fn(&[f64]) -> f64, note: String| {
        let floor = Some(Floor::of(&held.iter().map(|d| figure(d)).collect::<Vec<_>>()));
        Metric { kind, value: figure(&found), floor, size, blocks: 1, note }
    };
    let points = format!("{} training points", training.rows());
    Ok(vec![
        metric(&NEAREST, &mean, format!("{points}; the floor is that of held-out points")),
        metric(&COPIES, &share, format!("{points}; nearer than {limit:.3e}, below which 5 % of held-out points are")),
    ])
}

/// min_j |x - y_j|.
fn nearest(x: &[f64], points: &Matrix) -> f64 {
    let square = |y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum() };
    points.iter_rows().map(square).fold(f64::INFINITY, f64::min).sqrt()
}
