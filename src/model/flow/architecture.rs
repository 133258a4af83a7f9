//! What a flow is made of.

use crate::model::flow::model::MARGINAL_BINS;
use crate::model::flow::{AffineCoupling, Layer, SplineCoupling};
use crate::nn::Mlp;

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
    /// The first so many coordinates are conditions: no layer lets another coordinate act on them, so that the law of the others given them
    /// is known.
    pub given: usize,
}

impl Architecture {
    /// Number of trainable numbers of a flow in R^d; None beyond the whole numbers. Nothing is made.
    pub fn size(&self, d: usize) -> Option<usize> {
        let single = self.components <= 1;
        // means, log-scales and logits of the base, or the matrices, the splines and the norms behind the couplings
        let mut sum = if single {
            let marginals = d.checked_mul(3 * MARGINAL_BINS - 1)?;
            d.checked_mul(d)?.checked_mul(2)?.checked_add(marginals)?.checked_add(d.checked_mul(3)?)?
        } else {
            d.checked_mul(2)?.checked_add(1)?.checked_mul(self.components)?
        };
        let each = match self.coupling {
            CouplingKind::Affine => 2,
            CouplingKind::Spline { bins, .. } => bins.checked_mul(3)?.checked_sub(1)?,
        };
        // the couplings take turns with a period
        let period = 2 * digits(d.checked_sub(self.given)?);
        for k in 0..period.min(self.couplings) {
            let kept = kept(d, self.given, k).len();
            let outputs = each.checked_mul(d - kept)?;
            let one = if kept == 0 { outputs } else { Mlp::size(&[&[kept], &self.hidden[..], &[outputs]].concat())? };
            sum = one.checked_mul((self.couplings - k).div_ceil(period))?.checked_add(sum)?;
        }
        Some(sum)
    }
}

/// Binary digits of the coordinates' numbers in R^d, at least one.
fn digits(d: usize) -> usize {
    (d.next_power_of_two().trailing_zeros() as usize).max(1)
}

/// The coordinates that coupling number k in R^d keeps: the first g, and of the others, counted from 0, those with one value of a digit.
fn kept(d: usize, g: usize, k: usize) -> Vec<usize> {
    let digit = (k / 2) % digits(d - g);
    let takes_turns = |i: usize| d - g > 1 && (i >> digit) % 2 == k % 2;
    (0..d).filter(|i| *i < g || takes_turns(i - g)).collect()
}

/// Coupling number k in R^d.
pub(super) fn coupling(architecture: &Architecture, d: usize, k: usize) -> Layer {
    let kept = kept(d, architecture.given, k);
    match architecture.coupling {
        CouplingKind::Affine => Layer::Affine(AffineCoupling::new(d, &kept, &architecture.hidden)),
        CouplingKind::Spline { bins, reach } => {
            Layer::Spline(SplineCoupling::new(d, &kept, &architecture.hidden, bins, reach))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Affine;
    use crate::model::Generator;
    use crate::model::flow::Flow;

    /// Checks that the numbers of a flow and of a generator are counted as they are made, and that a count beyond the
    /// whole numbers is none.
    #[test]
    fn sizes_are_those_of_what_is_made() {
        for d in [1, 2, 3, 4, 5, 8, 9] {
            for (couplings, components) in [(0, 1), (1, 4), (2, 1), (7, 2), (17, 1)] {
                for coupling in [CouplingKind::Affine, CouplingKind::Spline { bins: 5, reach: 3.0 }] {
                    for (hidden, given) in [(vec![], 0), (vec![3], 1), (vec![7, 2], 0), (vec![4], 2)] {
                        let a = Architecture { coupling, couplings, hidden, components, given };
                        if given < d {
                            let made = Flow::<f64>::new(Affine::identity(d), a.clone(), 0).size();
                            assert_eq!(a.size(d), Some(made), "{d} dimensions, {a:?}");
                        }
                    }
                }
            }
            for (codes, hidden) in [(0, &[][..]), (1, &[4]), (3, &[7, 2])] {
                let latent = crate::model::Latent::Codes { logits: vec![0.0; codes] };
                let made = Generator::<f64>::new(Affine::identity(d), latent, hidden, 0).size();
                assert_eq!(Generator::<f64>::size_of(d, codes, hidden), Some(made));
            }
        }
        let (coupling, hidden) = (CouplingKind::Affine, vec![1 << 40; 2]);
        let huge = Architecture { coupling, couplings: 2, hidden, components: 2, given: 0 };
        assert_eq!((huge.size(2), Generator::<f32>::size_of(2, 0, &[1 << 40; 2])), (None, None));
    }
}
