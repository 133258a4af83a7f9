//! Random streams keyed by (seed, purpose, work unit) and normal variates.
//!
//! A stream belongs to a piece of work, never to a thread: the same key gives the same numbers on any number of threads.

mod normal;
mod stream;

pub use normal::{fill_normal, fill_uniform, normal_matrix, pick, uniform};
pub(crate) use normal::{fill_signs, pick_at, stream_beside};
pub use stream::{Purpose, Stream, stream};
