//! What a flow is made of.

use crate::model::flow::{AffineCoupling, Layer, SplineCoupling};

/// The map of the coordinates that a coupling moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CouplingKind {
    /// y = e^a x + b (RealNVP).
    Affine,
    /// A rational-quadratic spline with `bins` bins on ±`reach`, in units of the frame.
    Spline {
        /// K.
        bins: usize,
        /// B.
        reach: f64,
    },
}

/// What a flow is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// The kind of all its couplings.
    pub coupling: CouplingKind,
    /// Their number.
    pub couplings: usize,
    /// Widths of the hidden layers of their networks.
    pub hidden: Vec<usize>,
    /// Components of the base; with one, a Gaussian copula follows the couplings: an invertible matrix, a spline for each coordinate
    /// and an activation norm.
    pub components: usize,
}

/// Coupling number k in R^d.
pub(super) fn coupling(architecture: &Architecture, d: usize, k: usize) -> Layer {
    let digits = (d.next_power_of_two().trailing_zeros() as usize).max(1);
    let digit = (k / 2) % digits;
    let kept: Vec<usize> = (0..d).filter(|i| d > 1 && (i >> digit) % 2 == k % 2).collect();
    match architecture.coupling {
        CouplingKind::Affine => Layer::Affine(AffineCoupling::new(d, &kept, &architecture.hidden)),
        CouplingKind::Spline { bins, reach } => {
            Layer::Spline(SplineCoupling::new(d, &kept, &architecture.hidden, bins, reach))
        }
    }
}
