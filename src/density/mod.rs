//! Densities: what we sample from, known through `log p~ = log p + const` and the score `∇ log p`.
//!
//! One file a target. Everything here runs in f64: a density is a small part of a training step, and its tails decide.

mod affine;
mod banana;
mod black_box;
mod bridge;
mod chart;
mod constrained;
mod counted;
mod defended;
mod domain;
mod empirical;
mod evaluate;
mod extended;
mod funnel;
mod gaussian;
mod group;
mod handwritten;
mod many_well;
mod mixture;
mod mixture_kernel;
mod mt19937;
mod n_body;
mod named_mixtures;
mod oriented;
mod phi4;
mod pointwise;
mod preferences;
mod product;
mod registry;
mod regression;
pub(crate) mod rows;
mod smoothed;
mod standardised;
pub(crate) mod student;
mod symmetric;
mod tape_density;
mod target;
mod temperatures;
mod tempered;
mod torus;
mod two_moons;

pub use crate::linalg::MeanFree;
pub use affine::Affine;
pub use banana::Banana;
pub use black_box::BlackBox;
pub use bridge::Bridge;
pub use chart::{Chart, Support};
pub use constrained::Constrained;
pub use counted::{Count, Counted, Counter, Counts, Phase};
pub use defended::Defended;
pub use domain::Domain;
pub use empirical::Empirical;
pub use evaluate::{Evaluation, evaluate, evaluate_log_density};
pub(crate) use evaluate::{evaluate_beyond, guarded, in_units_of_x};
pub use extended::Extended;
pub use funnel::Funnel;
pub use group::Group;
pub use handwritten::Handwritten;
pub use many_well::ManyWell;
pub use mixture::GaussianMixture;
pub use n_body::{NBody, Pair};
pub use named_mixtures::{gmm9, gmm9u, gmm40, ring8};
pub use oriented::{Orientation, Oriented};
pub use phi4::Phi4;
pub use pointwise::Pointwise;
pub use preferences::{Corner, Geometric, Preferences};
pub use product::{Part, Product};
pub use registry::{Dimensions, Entry, all_densities, by_name};
pub use regression::{LinearRegression, LogisticRegression};
pub use smoothed::{SmoothedEstimate, smooth};
pub use standardised::Standardised;
pub use student::StudentMixture;
pub use symmetric::Symmetric;
pub use tape_density::TapeDensity;
pub use target::{Labels, Target, WeightedSamples};
pub use temperatures::{Node, Temperatures};
pub use tempered::Tempered;
pub use torus::{Harmonic, TorusDensity};
pub use two_moons::TwoMoons;

use crate::linalg::Matrix;
use std::sync::Arc;

/// A density on R^d, known up to a constant.
///
/// `log p~(x)` may be -inf outside the support, where the score is 0 by convention; NaN and +inf are caught by [`evaluate`]
/// with the point that caused them. `x` with other than d columns is a programmer's mistake and panics.
pub trait Density: Send + Sync {
    /// d.
    fn dim(&self) -> usize;

    /// out_i ← log p~(x_i).   x: n×d, out: n.
    fn log_density_into(&self, x: &Matrix, out: &mut [f64]);

    /// log_density_i ← log p~(x_i) and score_i ← ∇ log p~(x_i).   x: n×d, log_density: n, score: n×d.
    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix);

    /// log p~(x_i), i < n, unchecked.   x: n×d.
    fn log_density(&self, x: &Matrix) -> Vec<f64> {
        let mut out = vec![0.0; x.rows()];
        self.log_density_into(x, &mut out);
        out
    }

    /// The density that this one is but for how it is evaluated, or for what is said of it: what this one does not say itself is what that one
    /// says. None for a density of its own.
    fn wrapped(&self) -> Option<&dyn Density> {
        None
    }

    /// Whether log p~ is known; false for a law that is known by samples alone ([`Empirical`]), whose log p~ is NaN.
    fn is_known(&self) -> bool {
        self.wrapped().is_none_or(|p| p.is_known())
    }

    /// Whether a call should be given as many points as there are; true where a call costs much beside its points, as one into another
    /// language or to other machines does. A point's numbers must not depend on those beside it.
    fn wants_whole_batches(&self) -> bool {
        self.wrapped().is_some_and(|p| p.wants_whole_batches())
    }

    /// log Z = log ∫ p~(x) dx, where it is known.
    fn log_normaliser(&self) -> Option<f64> {
        self.wrapped()?.log_normaliser()
    }

    /// log ∫ p~(x)^β dx, where it is known for this β > 0.
    fn log_normaliser_of_power(&self, beta: f64) -> Option<f64> {
        match self.wrapped() {
            Some(p) => p.log_normaliser_of_power(beta),
            None if beta == 1.0 => self.log_normaliser(),
            None => None,
        }
    }

    /// How many coordinates, the first ones, are conditions: what samples can be drawn given, of a model that can.
    fn conditions(&self) -> usize {
        self.wrapped().map_or(0, |p| p.conditions())
    }

    /// This density as that of a family of temperatures, where it is one.
    fn temperatures(&self) -> Option<&Temperatures> {
        self.wrapped()?.temperatures()
    }

    /// This density as that of a family of geometric mixtures, where it is one.
    fn preferences(&self) -> Option<&Preferences> {
        self.wrapped()?.preferences()
    }

    /// ρ > 0 with -∇² log p ≥ ρ I everywhere, where one is known; then KL(q‖p) ≤ E_q|∇log q - ∇log p|²/(2ρ) for every q (T22).
    fn log_concavity(&self) -> Option<f64> {
        self.wrapped()?.log_concavity()
    }

    /// n exact independent samples (n×d) under `seed`, where an exact sampler is known. The same for any number of threads.
    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        self.wrapped()?.sample(n, seed)
    }

    /// The density of X + hξ, ξ ~ N(0, I), where it has a closed form; the same normaliser as this one. h ≥ 0.
    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        self.wrapped()?.smoothed(bandwidth)
    }

    /// The points that models of this law learn from (N×d), where it is known by others that were held out ([`Empirical::with_training`]).
    fn learned_from(&self) -> Option<&Matrix> {
        self.wrapped()?.learned_from()
    }

    /// This density as a Gaussian mixture, where it is one (so log Z = 0): what mode masses are counted against.
    fn mixture(&self) -> Option<&GaussianMixture> {
        self.wrapped()?.mixture()
    }

    /// A group that leaves this density as it is, where one is known: x ↦ g x for every g of it.
    fn symmetries(&self) -> Option<Group> {
        self.wrapped()?.symmetries()
    }

    /// This density as that of particles, where it is one: what energies and distances are counted of.
    fn n_body(&self) -> Option<&NBody> {
        self.wrapped()?.n_body()
    }
}
