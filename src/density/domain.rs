//! Where points live.

use crate::linalg::Matrix;
use crate::{Error, Result};

/// The space of the points, as a subset or a quotient of R^d.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Domain {
    /// R^d.
    #[default]
    Euclidean,
    /// Each coordinate modulo its period > 0.
    Torus(Vec<f64>),
    /// `particles` points of R^`dim` whose mean is 0; d = `particles` · `dim`.
    MeanFree {
        /// Number of points.
        particles: usize,
        /// Coordinates of each.
        dim: usize,
    },
}

impl Domain {
    /// Moves each row to its representative: into [0, period) on a torus, to mean 0 on the mean-free subspace.   x: n×d.
    pub fn represent(&self, x: &mut Matrix) {
        let d = x.cols();
        let rows = x.as_mut_slice().chunks_exact_mut(d.max(1));
        match self {
            Domain::Euclidean => {}
            Domain::Torus(period) => rows.for_each(|row| {
                for (x, p) in row.iter_mut().zip(period) {
                    // a tiny negative number wraps to the period itself
                    let wrapped = x.rem_euclid(*p);
                    *x = if wrapped < *p { wrapped } else { 0.0 };
                }
            }),
            Domain::MeanFree { particles, dim } => rows.for_each(|row| {
                for c in 0..*dim {
                    let mean = row.iter().skip(c).step_by(*dim).sum::<f64>() / *particles as f64;
                    row.iter_mut().skip(c).step_by(*dim).for_each(|x| *x -= mean);
                }
            }),
        }
    }

    /// `Error::Dimension` or `Error::Parameter` where it is no domain of R^d.
    pub fn check(&self, d: usize) -> Result<()> {
        let size = |found: usize| match found == d {
            true => Ok(()),
            false => Err(Error::Dimension { what: "the domain".into(), expected: d, found }),
        };
        match self {
            Domain::Euclidean => Ok(()),
            Domain::Torus(period) => {
                let bad = period.iter().find(|p| !(**p > 0.0 && p.is_finite()));
                let expected = "a positive finite number";
                bad.map_or(Ok(()), |&value| Err(Error::Parameter { name: "period".into(), value, expected }))?;
                size(period.len())
            }
            Domain::MeanFree { particles, dim } => size(particles * dim),
        }
    }
}
