//! Models: who follows a velocity. One file a model; generators and normalizing flows are one-step samplers.

pub(crate) mod batch;
mod best;
mod centres;
mod certify;
mod classes;
mod exact;
pub mod flow;
mod frame_state;
mod generator;
mod generator_settings;
mod latent;
#[cfg(test)]
mod memory_tests;
#[allow(clippy::module_inception)]
mod model;
mod oriented_state;
mod particle_start;
mod particles;
mod pieces;
mod searched;
mod trained;

pub use centres::CentreDensity;
pub use certify::{AgainstSearch, GeneratorCertificate};
pub use classes::Classes;
pub use exact::{Exact, ExactReport, Unbiased};
pub use flow::{FlowModel, FlowSettings};
pub use generator::{BEND, Generator};
pub use generator_settings::GeneratorSettings;
pub use latent::{Latent, LatentBatch};
pub use model::{Built, Drawn, Model, ModelSettings, Request, Start, Step, all_models};
pub use particles::{Particles, ParticlesSettings};
pub use pieces::Pieces;
pub use searched::Searched;
pub use trained::GeneratorModel;
