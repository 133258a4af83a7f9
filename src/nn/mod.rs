//! Small networks on the tape, and the optimiser that trains them.

mod adam;
mod inference;
mod mlp;

pub(crate) use adam::cosine_rate;
pub use adam::{Adam, AdamState};
pub(crate) use inference::Inference;
pub use mlp::{Mlp, Parameters};
