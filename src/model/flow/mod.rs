//! Normalizing flows: one-step samplers with an exact density (T12).
//!
//! x = c + s T(z), T = T_L ∘ … ∘ T_1 a stack of [`Layer`]s and z from a [`Base`], one Gaussian or a mixture of them. Because every layer
//! has an inverse and a log-determinant in closed form, `log q` and `∇ log q` are exact, and with them `r = p/q` and `β = ∇ log r`:
//! [`FlowModel`] follows the drift of any f-divergence without an estimate of q, or the log-variance divergence (T8).

mod affine;
mod architecture;
mod base;
pub(crate) mod batch;
mod coupling;
mod given;
mod held_out;
mod layer;
mod linear;
mod model;
mod preferences;
mod spline;
pub(crate) mod start;
mod temperatures;
mod trained;

pub use affine::AffineCoupling;
pub use architecture::{Architecture, CouplingKind};
pub use base::Base;
pub use coupling::Split;
pub use given::Given;
pub use layer::{Layer, Mapped, Scored};
pub use linear::{ActNorm, Linear};
pub use model::Flow;
pub use preferences::AtPreference;
pub use spline::SplineCoupling;
pub use temperatures::AtTemperature;
pub use trained::{FlowModel, FlowSettings};
