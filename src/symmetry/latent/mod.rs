//! Codes of data: how well they separate the factors behind it, and models that learn them.

mod autoencoder;
mod graphs;
mod lie;
mod ppca;
mod separation;

pub use autoencoder::{Autoencoder, LinearGaussian, TrainSettings, elbo, encode, train};
pub use graphs::{Family, Graph, grid};
pub use lie::{LieGraphs, LieSettings};
pub use ppca::{Ppca, ppca};
pub use separation::{Separation, permuted, separation};
