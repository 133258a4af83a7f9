//! One-step samplers: generators, and the training that gives them the law p.

mod awake;
mod batch;
pub mod flow;
mod frame;
mod generator;
mod hmc;
mod latent;
mod polish;
mod search;
mod settings;
mod state;
mod train;

pub use frame::Frame;
pub use generator::Generator;
pub use hmc::{HmcRun, HmcSettings, hmc};
pub use latent::{Latent, LatentBatch};
pub use polish::{Polish, PolishReport};
pub use settings::Settings;
pub use state::State;
pub use train::{Faults, StepReport, Trainer};
