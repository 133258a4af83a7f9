//! One-step samplers for densities known only up to a constant, and the theory behind them.
#![deny(unsafe_code)]

pub mod autodiff;
pub mod density;
pub mod divergence;
pub mod error;
pub mod linalg;
pub mod metric;
pub mod num;
pub mod rng;
pub mod theory;

pub use error::{Error, Result};
