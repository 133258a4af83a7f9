//! Searches: Markov chains and sequential Monte Carlo, what finds and repairs samples without a model.

mod blocks;
mod disagreement;
mod fit;
mod found;
mod frame;
mod hmc;
mod lacking;
mod metropolis;
mod peaks;
mod polish;
mod population;
pub mod posterior;
mod preferences;
mod probe;
mod smc;
mod temperatures;

pub use blocks::{blocks, fit_blocks};
pub use disagreement::{Disagreement, Quantity};
pub(crate) use fit::{FEWEST, MISSED, REGION, at_peaks, joined, spread_seeds};
pub use fit::{fit_mixture, follow, refine};
pub use found::{Found, SearchSettings, search, search_for_modes};
pub use frame::{frame_of, time_scale};
pub use hmc::{HmcRun, HmcSettings, hmc};
pub use lacking::Lacking;
pub use metropolis::{Sweeps, metropolis, sweep};
pub use polish::{Polish, PolishReport};
pub use preferences::preferences;
pub use temperatures::temperatures;
