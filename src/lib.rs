//! One-step samplers for densities known only up to a constant, and the theory behind them.
#![deny(unsafe_code)]

pub mod autodiff;
pub mod density;
pub mod divergence;
pub mod error;
pub mod estimate;
pub mod linalg;
pub mod metric;
pub mod nn;
pub mod num;
pub mod rng;
pub mod sampler;
pub mod theory;
pub mod velocity;
pub mod verify;

pub use error::{Error, Result};
