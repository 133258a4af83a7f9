//! Which modes a sample has, with which masses and widths.

use super::{Examination, Floor, Judge, Kind, Metric};
use crate::Result;
use crate::metric::ModeReport;

/// The number of modes covered.
pub static COVERED: Kind = Kind {
    key: "modes_covered",
    name: "modes covered",
    meaning: "Modes that got at least a fifth of the mass they should have.",
    judge: Judge::Difference,
    sized: false,
};

/// ½ Σ_k |mass_k - truth_k|.
pub static TOTAL_VARIATION: Kind = Kind {
    key: "mode_mass_tv",
    name: "mode-mass TV",
    meaning: "Total variation of the modes' masses, half the summed difference between their shares and the truth: the share of \
              samples that sit in the wrong mode.",
    judge: Judge::Ratio,
    sized: false,
};

/// The share of samples beyond 4 sigma of every mode.
pub static BEYOND: Kind = Kind {
    key: "beyond_4_sigma",
    name: "beyond 4 sigma",
    meaning: "Share of samples farther than 4 standard deviations from every mode: bridges between modes, and strays.",
    judge: Judge::Ratio,
    sized: false,
};

/// Mahalanobis²/d within modes over that of exact samples.
pub static VARIANCE_RATIO: Kind = Kind {
    key: "variance_ratio",
    name: "variance ratio",
    meaning: "Spread within modes over that of exact samples; 1 is right, less is too narrow.",
    judge: Judge::Difference,
    sized: false,
};

/// The four mode figures, on all samples at once; none for a target whose modes are not known.
pub fn figures(job: &Examination) -> Result<Vec<Metric>> {
    let Some(truth) = &job.truth else { return Ok(Vec::new()) };
    let (n, repeats) = (job.samples.rows(), 5 * job.options.repeats.max(2));
    let found = truth.report(&job.samples);
    let exact: Vec<ModeReport> = (0..repeats).map(|r| truth.report(&job.exact(n, r as u64))).collect();
    let metric = |kind: &'static Kind, note: String, figure: fn(&ModeReport) -> f64| {
        let floor = Floor::of(&exact.iter().map(figure).collect::<Vec<_>>());
        Metric { kind, value: figure(&found), floor: Some(floor), size: n, blocks: 1, note }
    };
    let mut cells = format!("cells of largest responsibility; true masses from {} exact samples", truth.size());
    if found.nowhere > 0 {
        cells += &format!("; {} of {n} samples are too far off for any cell and count as misplaced", found.nowhere);
    }
    let mut inside = "Mahalanobis²/d within 4 sigma of the own mode, relative to exact samples".to_string();
    if found.near < n {
        inside += &format!("; {} of {n} samples, the others are beyond 4 sigma", found.near);
    }
    let mut metrics = vec![
        metric(&COVERED, format!("of {}; mass above 0.2 of the true one", found.modes), |m| m.covered as f64),
        metric(&TOTAL_VARIATION, cells, |m| m.total_variation),
        metric(&BEYOND, "Mahalanobis distance above 4 to every mode".into(), |m| m.outside),
        metric(&VARIANCE_RATIO, inside, |m| m.variance_ratio),
    ];
    metrics[3].size = found.near;
    Ok(metrics)
}
