//! Files: written whole or not at all, read with bounded memory and without trust.

pub mod atomic;
pub mod csv;
pub mod npy;
pub mod safetensors;
pub mod samples;
