//! Models: who follows a velocity. One file a model; generators and normalizing flows are one-step samplers.

pub(crate) mod batch;
pub mod flow;
mod generator;
mod latent;
#[cfg(test)]
mod memory_tests;

pub use generator::Generator;
pub use latent::{Latent, LatentBatch};
