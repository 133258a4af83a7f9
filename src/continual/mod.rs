//! Continual Bayes: tasks arrive one after the other, each a few noisy observations of parameters from one of several clusters.
//!
//! The model: w ~ N(μ_k, W) for a task of cluster k, y = X w + ε with ε ~ N(0, σ² I), μ_k ~ N(m, S), and clusters by a Chinese restaurant
//! process or by truncated stick-breaking. [`exact`] sums over all partitions, [`mean_field`] bounds it from below, [`CrpMixture`] learns
//! from a stream and keeps no task; all learners by name are in [`LEARNERS`].

mod gaussian;
mod learner;
mod mean_field;
mod mixture;
mod network;
mod partition;
mod posterior;
mod single;
mod stream;
mod task;

pub use gaussian::Gaussian;
pub use learner::{LEARNERS, Learner, learner};
pub use mean_field::{MeanField, expected_weights, mean_field};
pub use mixture::CrpMixture;
pub use network::{Network, Wave};
pub use partition::{Clusters, Exact, exact};
pub use posterior::{Approximation, Posterior, sequence};
pub use stream::{Course, Curve, Stream, StreamSettings, course};
pub use task::{Task, TaskModel};
