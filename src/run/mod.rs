//! Runs: the loop over steps, its settings, its faults and its state.

mod flow;
mod settings;
mod state;
mod train;

pub use flow::FlowTrainer;
pub use settings::Settings;
pub use state::State;
pub use train::{Faults, StepReport, Trainer};
