//! Estimates of a model's law and of the noised target: kernel estimates, learnt scores, bandwidths, the normalisation of log-ratios.

mod affine_score;
mod annealing;
mod bandwidth;
mod estimator;
mod exact;
mod kde;
mod kernel;
mod levels;
mod log_ratio;
mod posterior;
mod scene;
mod score;
mod target;

pub use affine_score::{AffineScore, AffineScoreSettings};
pub(crate) use annealing::ANNEALINGS;
pub use annealing::Annealing;
pub use bandwidth::{resolved_bandwidth, scott_bandwidth};
pub use estimator::{Estimator, EstimatorSettings, all_estimators};
pub use exact::{Exact, ExactSettings};
pub(crate) use kde::{FEW, kernel_sums, near_order, panel_rows};
pub use kde::{Kde, KdeGrid, KdeValues, Tolerance};
pub use kernel::{KernelEstimator, KernelSettings};
pub use levels::Levels;
pub use log_ratio::{LogZ, centre_log_ratio};
pub use posterior::{PosteriorSettings, PosteriorTarget};
pub use scene::{Classed, Clock, Law, LawUse, Noise, Noised, Query, Reference, Scene};
pub(crate) use score::{Divergence as ScoreDivergence, Lesson, Residual};
pub use score::{LearntTarget, NoisedScore, ScoreNet, ScoreSettings};
pub use target::{NoisedTarget, SmoothedTarget};
