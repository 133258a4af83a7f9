//! One-step samplers: generators, and the training that gives them the law p.

mod generator;
mod latent;
mod train;

pub use generator::{Frame, Generator};
pub use latent::Latent;
pub use train::{Settings, StepReport, Trainer};
