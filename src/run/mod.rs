//! Runs: the loop over steps, its faults and its state, and the methods by name.

mod counts;
mod faults;
mod method;
mod pairs;
#[allow(clippy::module_inception)]
mod run;

#[cfg(feature = "spin")]
pub use crate::parallel::spin;
pub use faults::Faults;
pub use method::{DEFAULT, Method, PRESETS, Preset, RunSettings};
pub use pairs::refused_pairs;
pub use run::{Observer, Run, StepReport};
