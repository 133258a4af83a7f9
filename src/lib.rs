//! One-step samplers for densities known only up to a constant, and the theory behind them.
//!
//! You give `log p~(x)`; a network G is trained with no data so that G(z), z ~ N(0, I), has law p. Training follows Wasserstein
//! gradient flows: for every f-divergence the velocity is `V = w(r) ∇ log(p/q)`, r = p/q, with only w depending on the divergence
//! ([T1](theory::t01)).
//!
//! ```
//! use pushforward::{density, run::Method};
//!
//! # fn main() -> pushforward::Result<()> {
//! let target = density::Target::of(density::by_name("ring8")?);
//! let mut run = Method::preset("kde-small", &target)?.with("steps", 20)?.start(&target, None)?;
//! run.finish()?;
//! let samples = run.sample(1000, 1, 0); // 1000×2
//! # assert_eq!(samples.shape(), (1000, 2));
//! # Ok(())
//! # }
//! ```
//!
//! A new method is one new implementation of one of these traits, and one line in a registry:
//!
//! - a **density** is what we sample from: [`density::Density`];
//! - an **estimator** says what is known of the model's law q: [`estimate::Estimator`];
//! - a **velocity** says where particles go: [`velocity::Velocity`];
//! - a **model** follows it: [`model::Model`], particles, generators and flows.
//!
//! [`run::Run`] has the only loop over steps, [`run::Method`] puts parts together by name.
//!
//! The modules, upwards; a module imports from below only: [`num`], [`rng`], [`linalg`]; [`autodiff`], [`nn`]; [`density`], [`divergence`];
//! [`search`], [`symmetry`], [`transport`]; [`continual`], [`estimate`], [`metric`]; [`velocity`]; [`model`]; [`run`]; [`verify`]. The theorems are pages of [`theory`].
#![deny(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[macro_use]
mod mutation;

pub mod autodiff;
pub mod continual;
pub mod density;
pub mod divergence;
pub mod error;
pub mod estimate;
pub mod linalg;
pub mod metric;
pub mod model;
pub mod nn;
pub mod num;
mod parallel;
pub mod rng;
pub mod run;
pub mod search;
pub mod settings;
pub mod state;
pub mod symmetry;
#[cfg(feature = "verify")]
pub mod theory;
pub mod transport;
pub mod velocity;
#[cfg(feature = "verify")]
pub mod verify;

pub use error::{Error, Result};

/// The README's program, compiled by `cargo test`.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
