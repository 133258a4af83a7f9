//! Runs: the loop over steps, its faults and its state, and the methods by name.

mod counts;
mod faults;
mod method;
mod pairs;
mod presets;
#[allow(clippy::module_inception)]
mod run;

#[cfg(feature = "spin")]
pub use crate::parallel::spin;
pub use faults::Faults;
pub use method::{Method, RunSettings};
pub use pairs::refused_pairs;
pub use presets::{DEFAULT, PRESETS, Preset};
pub use run::{Observer, Run, StepReport};
