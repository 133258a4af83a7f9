//! Estimates from samples: kernel density estimates, bandwidths, the normalisation of log-ratios.

mod bandwidth;
mod kde;
mod log_ratio;
mod smoothing;

pub use bandwidth::{resolved_bandwidth, scott_bandwidth};
pub use kde::{Kde, KdeGrid, KdeValues, Tolerance};
pub(crate) use kde::{near_order, panel_rows};
pub use log_ratio::{LogZ, centre_log_ratio};
pub use smoothing::SmoothedTarget;
