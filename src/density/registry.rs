//! The targets by name, with formula, constants and source: what `pushforward list targets` prints.

use crate::density::{
    Banana, Density, Funnel, GaussianMixture, ManyWell, NBody, Phi4, TwoMoons, gmm9, gmm9u, gmm40, ring8,
};
use crate::{Error, Result};
use std::sync::Arc;

/// Which dimensions a family of targets has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimensions {
    /// One dimension only; the name stands alone.
    Fixed(usize),
    /// `least`, `least + step`, …; the name is followed by `-d`.
    From {
        /// The smallest.
        least: usize,
        /// The step.
        step: usize,
        /// The allowed range, in words.
        words: &'static str,
        /// The dimensions that lists and tests use.
        examples: &'static [usize],
    },
}

/// One target, or one family of targets of any dimension.
#[derive(Clone)]
pub struct Entry {
    /// The name, without the dimension of a family.
    pub name: &'static str,
    /// Its dimensions.
    pub dimensions: Dimensions,
    /// log p~ in plain characters.
    pub formula: &'static str,
    /// The values of the constants in it.
    pub constants: &'static str,
    /// Where they come from.
    pub source: &'static str,
    /// The density in a given dimension, already checked against `dimensions`.
    build: fn(usize) -> Result<Arc<dyn Density>>,
}

impl Entry {
    /// Names that [`by_name`] accepts: the one name, or one for each example dimension.
    pub fn names(&self) -> Vec<String> {
        match self.dimensions {
            Dimensions::Fixed(_) => vec![self.name.to_string()],
            Dimensions::From { examples, .. } => examples.iter().map(|d| format!("{}-{d}", self.name)).collect(),
        }
    }

    /// The density in dimension `dim`. `Error::Parameter` where the family has no such member.
    pub fn build(&self, dim: usize) -> Result<Arc<dyn Density>> {
        let (fits, expected) = match self.dimensions {
            Dimensions::Fixed(d) => (dim == d, "the target's only dimension"),
            Dimensions::From { least, step, words, .. } => (dim >= least && (dim - least).is_multiple_of(step), words),
        };
        if fits {
            (self.build)(dim)
        } else {
            Err(Error::Parameter { name: format!("dimension of {}", self.name), value: dim as f64, expected })
        }
    }
}

/// A mixture as a registry entry's density.
fn mixture(p: GaussianMixture) -> Result<Arc<dyn Density>> {
    Ok(Arc::new(p))
}

/// Both orders of a pair count.
const LENNARD_JONES: &str = "-sum_{i<j} 2 (s_ij^-6 - 2 s_ij^-3) - sum_i |x_i|^2/2, s_ij = |x_i - x_j|^2 + 1e-6";

/// Every target, in the order in which they are listed.
pub fn all_densities() -> Vec<Entry> {
    vec![
        Entry {
            name: "gmm9",
            dimensions: Dimensions::Fixed(2),
            formula: "log 1/9 sum_k N(x; m_k, 0.3 I)",
            constants: "m_k in {-5, 0, 5}^2; equal weights",
            source: "the 'grid' mixture of sde_sampler (Richter, Berner, 2024)",
            build: |_| mixture(gmm9()),
        },
        Entry {
            name: "gmm9u",
            dimensions: Dimensions::Fixed(2),
            formula: "log sum_k w_k N(x; m_k, 0.3 I)",
            constants: "m_k in {-5, 0, 5}^2, first coordinate slowest; w = (1, 2, 3, 4, 5, 4, 3, 2, 1)/25",
            source: "gmm9 with unequal weights; this project",
            build: |_| mixture(gmm9u()),
        },
        Entry {
            name: "ring8",
            dimensions: Dimensions::Fixed(2),
            formula: "log 1/8 sum_k N(x; 4 (cos 2 pi k/8, sin 2 pi k/8), 0.3 I)",
            constants: "radius 4, variance 0.3, equal weights",
            source: "the usual ring of eight Gaussians; radius and variance of this project",
            build: |_| mixture(ring8()),
        },
        Entry {
            name: "gmm40",
            dimensions: Dimensions::Fixed(2),
            formula: "log 1/40 sum_k N(x; m_k, s^2 I)",
            constants: "m_k = 80 (u - 1/2), u from MT19937 with seed 0; s = log(1 + e) = 1.3133",
            source: "FAB (Midgley et al., ICLR 2023), lollcat/fab-torch; also iDEM, DiKL",
            build: |_| mixture(gmm40()),
        },
        Entry {
            name: "banana",
            dimensions: Dimensions::Fixed(2),
            formula: "log N(x1; 0, 100) + log N(x2 + b (x1^2 - 100); 0, 1)",
            constants: "b = 0.03",
            source: "Haario, Saksman, Tamminen (Computational Statistics, 1999)",
            build: |_| Ok(Arc::new(Banana)),
        },
        Entry {
            name: "funnel",
            dimensions: Dimensions::From { least: 2, step: 1, words: "an integer, at least 2", examples: &[2, 10] },
            formula: "log N(x0; 0, 9) + sum_i log N(x_i; 0, exp(x0))",
            constants: "standard deviation 3 of x0",
            source: "Neal, Slice sampling (Annals of Statistics, 2003)",
            build: |d| Ok(Arc::new(Funnel::new(d)?)),
        },
        Entry {
            name: "two-moons",
            dimensions: Dimensions::Fixed(2),
            formula: "-((|x| - 2)/0.2)^2/2 + log(exp(-((x1 - 2)/0.3)^2/2) + exp(-((x1 + 2)/0.3)^2/2))",
            constants: "log Z = 0.80421445",
            source: "VincentStimper/normalizing-flows (2023), after Rezende, Mohamed (2015)",
            build: |_| Ok(Arc::new(TwoMoons)),
        },
        Entry {
            name: "many-well",
            dimensions: Dimensions::From {
                least: 2,
                step: 2,
                words: "an even integer, at least 2",
                examples: &[2, 32],
            },
            formula: "sum_k u_k/2 + 6 u_k^2 - u_k^4 - v_k^2/2, (u_k, v_k) = (x_2k, x_2k+1)",
            constants: "log Z = 10.293480 d/2, 164.695675 for d = 32",
            source: "FAB (Midgley et al., ICLR 2023), lollcat/fab-torch; double well of Noe et al. (Science, 2019)",
            build: |d| Ok(Arc::new(ManyWell::new(d)?)),
        },
        Entry {
            name: "phi4",
            dimensions: Dimensions::From { least: 3, step: 1, words: "an integer, at least 3", examples: &[8, 32] },
            formula: "-sum_i 2 (x_i - x_{i+1})^2 + 2 (x_i^2 - 1)^2, a ring of D sites",
            constants: "log Z by the transfer operator, -4.122517 for D = 8; correlation length 23.58 sites",
            source: "lattice phi^4 theory on a ring; constants of this project",
            build: |d| Ok(Arc::new(Phi4::new(d)?)),
        },
        Entry {
            name: "dw4",
            dimensions: Dimensions::Fixed(6),
            formula: "-sum_{i<j} 0.9 (r_ij - 4)^4 - 4 (r_ij - 4)^2, 4 particles of R^2 with mean 0",
            constants: "files hold the 8 positions; log Z = 29.667232 on the subspace",
            source: "Koehler, Klein, Noe (ICML 2020), noegroup/bgflow; constants of iDEM (ICML 2024)",
            build: |_| Ok(Arc::new(NBody::dw4())),
        },
        Entry {
            name: "lj13",
            dimensions: Dimensions::Fixed(36),
            formula: LENNARD_JONES,
            constants: "13 particles of R^3 with mean 0; files hold the 39 positions",
            source: "Koehler, Klein, Noe (ICML 2020); constants of iDEM (Akhound-Sadegh et al., ICML 2024)",
            build: |_| Ok(Arc::new(NBody::lj13())),
        },
        Entry {
            name: "lj55",
            dimensions: Dimensions::Fixed(162),
            formula: LENNARD_JONES,
            constants: "55 particles of R^3 with mean 0; files hold the 165 positions",
            source: "Klein, Kraemer, Noe (NeurIPS 2023); constants of iDEM (Akhound-Sadegh et al., ICML 2024)",
            build: |_| Ok(Arc::new(NBody::lj55())),
        },
    ]
}

/// The target called `name`: `gmm40`, or with a dimension, `funnel-10`.
///
/// `Error::UnknownName` with the near names; `Error::Parameter` where the family has no member of that dimension.
pub fn by_name(name: &str) -> Result<Arc<dyn Density>> {
    let entries = all_densities();
    for entry in &entries {
        match entry.dimensions {
            Dimensions::Fixed(d) if name == entry.name => return entry.build(d),
            Dimensions::From { .. } => {
                let suffix = name.strip_prefix(entry.name).and_then(|rest| rest.strip_prefix('-'));
                if let Some(dim) = suffix.and_then(|digits| digits.parse().ok()) {
                    return entry.build(dim);
                }
            }
            Dimensions::Fixed(_) => {}
        }
    }
    let known: Vec<String> = entries.iter().flat_map(Entry::names).collect();
    Err(Error::unknown_name("target", name, &known.iter().map(String::as_str).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that every listed name builds in the dimension it names, and that an unknown name answers with a near one.
    #[test]
    fn names_build_and_unknown_names_suggest() {
        for name in all_densities().iter().flat_map(Entry::names) {
            assert!(by_name(&name).is_ok(), "{name}");
        }
        match by_name("gmm4O").err() {
            Some(Error::UnknownName { near, .. }) => assert!(near.iter().any(|n| n == "gmm40"), "{near:?}"),
            other => panic!("{other:?}"),
        }
    }

    /// Checks that the dimension in a name is parsed and checked.
    #[test]
    fn dimensions_in_names() {
        assert_eq!(by_name("funnel-7").unwrap().dim(), 7);
        assert_eq!(by_name("many-well-6").unwrap().dim(), 6);
        for bad in ["funnel-1", "many-well-7", "many-well-0"] {
            assert!(matches!(by_name(bad).err(), Some(Error::Parameter { .. })), "{bad}");
        }
        for bad in ["funnel", "funnel-x", "gmm9-2"] {
            assert!(matches!(by_name(bad).err(), Some(Error::UnknownName { .. })), "{bad}");
        }
    }
}
