//! Small networks on the tape, and the optimiser that trains them.

mod adam;
mod equivariant;
mod inference;
mod mlp;
mod network;

pub(crate) use adam::cosine_rate;
pub use adam::{Adam, AdamState};
pub use equivariant::Equivariant;
pub(crate) use inference::Inference;
pub use mlp::{Mlp, Parameters};
pub use network::Network;
