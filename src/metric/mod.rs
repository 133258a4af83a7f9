//! How far a sample is from its target: distances between samples, mode masses, and a report with a floor for every figure.
//!
//! A sample is an n×d matrix, a row a point. A distance between two finite samples of the same law is not zero; that value, the
//! floor, is what a perfect sampler reaches, and no figure here should be read without it ([`evaluate`] gives both).
//!
//! ```
//! use pushforward::density::{Density, gmm9};
//! use pushforward::metric::{Options, evaluate};
//!
//! let target = gmm9();
//! let samples = target.sample(500, 1).unwrap().map(|x| 0.9 * x); // 10% too close to the origin
//! let options = Options { truth_size: 20_000, transport_sizes: vec![200], pair_size: 200, ..Options::default() };
//! let report = evaluate(&target, &samples, &options)?;
//! let mean = report.metric("mean_log_density").unwrap();
//! assert!(mean.z().unwrap() < -5.0); // five standard deviations below exact samples
//! # Ok::<(), pushforward::Error>(())
//! ```

mod assignment;
mod certificate;
mod chains;
mod de_bruijn;
mod energy;
mod figures;
mod hypothesis;
mod mmd;
mod modes;
mod n_body;
mod pairs;
mod report;
mod score_bound;
mod sliced;
mod transport;
mod virial;

pub use assignment::{Assignment, assign};
pub(crate) use certificate::shown;
pub use certificate::{
    Bridge, Certificate, Estimate, ExactPart, Loss, Verdict, effective_fraction, pareto_k, resample, weighted_means,
};
pub use chains::{ChainDiagnosis, diagnose_chains};
pub use de_bruijn::{DeBruijn, NoiseLevels};
pub use energy::energy_distance;
pub use figures::{Examination, FIGURES, Figures, Floor, Judge, Kind, Metric};
pub use hypothesis::{MmdTest, SteinTest, Test, TestKind, mmd_test, mode_mass_test, stein_scale, stein_test};
pub use mmd::{median_distance, mmd2};
pub use modes::{ModeReport, ModeTruth};
pub(crate) use n_body::aligned;
pub use n_body::{Bins, aligned_wasserstein2, histogram_tv};
pub use pairs::PairStatistic;
pub use report::{Options, Report, evaluate, evaluate_by};
pub use score_bound::KlBound;
pub use sliced::{sliced_wasserstein2, wasserstein2_sorted};
pub use transport::{Transport, squared_distances, wasserstein2};
pub use virial::Virial;

use crate::linalg::Matrix;
use crate::rng::{Purpose, stream, uniform};

/// Unit of the stream behind [`random_rows`], far from the projections, which count from 0.
const ROWS_UNIT: u64 = 1 << 63;

/// At most `count` different rows of x in random order, from the stream (`seed`, Metric).
pub(crate) fn random_rows(x: &Matrix, count: usize, seed: u64) -> Matrix {
    let mut rng = stream(seed, Purpose::Metric, ROWS_UNIT);
    let mut index: Vec<usize> = (0..x.rows()).collect();
    let count = count.min(x.rows());
    for i in 0..count {
        // Fisher–Yates, stopped when enough are drawn
        let j = i + (uniform(&mut rng) * (x.rows() - i) as f64) as usize;
        index.swap(i, j);
    }
    x.gather_rows(&index[..count])
}
