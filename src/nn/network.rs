//! The networks that a model or an estimate can be made of.

use crate::autodiff::Var;
use crate::error::{Error, Result};
use crate::linalg::{Matrix, MeanFree};
use crate::nn::{Equivariant, Mlp};
use crate::num::Real;
use crate::rng::Stream;

/// A map of rows, R^d → R^d or R^d → R.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// A multilayer perceptron: any map.
    Mlp(Mlp),
    /// One that turns and exchanges with particles.
    Equivariant(Equivariant),
}

impl Network {
    /// The particles of a setting [n, k] of a network in R^d, d = (n - 1) k; none for []. `hidden` are its layers, of one width.
    /// `Error::Setting` under `key` where these numbers do not go together.
    pub fn particles(key: &str, setting: &[usize], hidden: &[usize]) -> Result<Option<MeanFree>> {
        let refused = |expected: &str| {
            Err(Error::Setting { key: key.into(), value: format!("{setting:?}"), expected: expected.into() })
        };
        match *setting {
            [] => Ok(None),
            [particles, dim] if particles >= 2 => match hidden {
                [first, rest @ ..] if rest.iter().all(|w| w == first) => Ok(Some(MeanFree { particles, dim })),
                _ => refused("[] for a network whose hidden layers have several widths, or none"),
            },
            _ => refused("[n, k], n particles (at least 2) in k dimensions, or []"),
        }
    }

    /// `Error::Setting` under `key` where a network of these particles is not one in R^d.
    pub fn check_dimension(key: &str, particles: Option<MeanFree>, d: usize) -> Result<()> {
        match particles {
            Some(space) if (space.particles - 1).checked_mul(space.dim) != Some(d) => Err(Error::Setting {
                key: key.into(),
                value: format!("[{}, {}]", space.particles, space.dim),
                expected: format!("[n, k] with (n - 1) k = {d}, the dimension of the target"),
            }),
            _ => Ok(()),
        }
    }

    /// Number of matrices.
    pub fn parameter_count(&self) -> usize {
        match self {
            Network::Mlp(network) => network.parameter_count(),
            Network::Equivariant(network) => network.parameter_count(),
        }
    }

    /// Names of the matrices, in order.
    pub fn parameter_names(&self) -> Vec<String> {
        match self {
            Network::Mlp(network) => network.parameter_names(),
            Network::Equivariant(network) => network.parameter_names(),
        }
    }

    /// Initial matrices.
    pub fn initialise<T: Real>(&self, rng: &mut Stream) -> Vec<Matrix<T>> {
        match self {
            Network::Mlp(network) => network.initialise(rng),
            Network::Equivariant(network) => network.initialise(rng),
        }
    }

    /// The same with output 0.
    pub fn silent<T: Real>(&self, rng: &mut Stream) -> Vec<Matrix<T>> {
        let mut matrices = self.initialise(rng);
        if let Network::Mlp(_) = self {
            let last = matrices.len() - 2;
            matrices[last..].iter_mut().for_each(|m| m.as_mut_slice().fill(T::ZERO));
        }
        matrices
    }

    /// The network at x (N×d), with `marks` (N×m) beside each row where it was made for some.
    #[track_caller]
    pub fn forward<'t, T: Real>(
        &self,
        parameters: &[Var<'t, T>],
        x: Var<'t, T>,
        marks: Option<Var<'t, T>>,
    ) -> Var<'t, T> {
        match self {
            Network::Mlp(network) => network.forward(parameters, marks.map_or(x, |marks| x.concat_columns(marks))),
            Network::Equivariant(network) => network.forward(parameters, x, marks),
        }
    }
}
