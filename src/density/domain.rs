//! Where points live.

use crate::density::{Density, evaluate};
use crate::linalg::Matrix;
use crate::rng::{Purpose, fill_uniform, stream};
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

    /// `Error::Mismatch` where it is a torus whose periods the density has not: log p~ or its score differs between x and x + L_j e_j at one of a few
    /// points. Errors of [`Domain::check`], and of [`evaluate`].
    pub fn fits(&self, density: &dyn Density) -> Result<()> {
        let d = density.dim();
        self.check(d)?;
        let Domain::Torus(period) = self else { return Ok(()) };
        let points = 8;
        let mut uniform = vec![0.0; points * d];
        fill_uniform(&mut stream(0, Purpose::Probe, 27), &mut uniform);
        let x = Matrix::from_fn(points, d, |i, j| period[j] * uniform[i * d + j]);
        let here = evaluate(density, &x)?;
        for (j, l) in period.iter().enumerate() {
            let moved = Matrix::from_fn(points, d, |i, e| x[(i, e)] + if e == j { *l } else { 0.0 });
            let there = evaluate(density, &moved)?;
            // the constant of log p~ counts by its rounding, and scores by what they change log p~ over a period
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-8 + 1e4 * f64::EPSILON * a.abs();
            let scores = here.score.as_slice().iter().zip(there.score.as_slice()).zip(period.iter().cycle());
            let same = here.log_density.iter().zip(&there.log_density).all(|(a, b)| close(*a, *b))
                && scores.into_iter().all(|((a, b), l)| (a - b).abs() * l <= 1e-8 * (1.0 + a.abs() * l));
            if !same {
                return Err(Error::Mismatch {
                    what: format!("the density does not repeat itself with period {l} in coordinate {}", j + 1),
                    remedy: "give the period that it has".into(),
                });
            }
        }
        Ok(())
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
