//! Small networks on the tape, and the optimiser that trains them.

mod adam;
mod mlp;

pub use adam::{Adam, AdamState};
pub use mlp::{Mlp, Parameters};
