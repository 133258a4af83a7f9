//! Searches: Markov chains and sequential Monte Carlo, what finds and repairs samples without a model.

mod frame;
mod hmc;
mod polish;
mod smc;

pub use frame::frame_of;
pub use hmc::{HmcRun, HmcSettings, hmc};
pub use polish::{Polish, PolishReport};
pub(crate) use smc::search;
