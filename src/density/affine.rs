//! Affine maps: the units in which a network works.

use crate::density::GaussianMixture;
use crate::linalg::Matrix;
use crate::num::Real;
use crate::{Error, Result};

/// The map x = centre + scale · y from the units in which a model works to those of the target: its *frame*.
///
/// A law p of x has the density p(x) e^{[`Affine::log_jacobian`]} of y.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    centre: Vec<f64>,
    scale: f64,
}

impl Affine {
    /// The map with this centre (d finite numbers, d ≥ 1) and scale > 0. `Error::Parameter` otherwise.
    pub fn new(centre: Vec<f64>, scale: f64) -> Result<Self> {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(Error::Parameter { name: "scale".into(), value: scale, expected: "a positive finite number" });
        }
        if let Some(&value) = centre.iter().find(|c| !c.is_finite()) {
            return Err(Error::Parameter { name: "centre".into(), value, expected: "finite numbers" });
        }
        Ok(Self { centre, scale })
    }

    /// x = y in R^d.
    pub fn identity(d: usize) -> Self {
        Self { centre: vec![0.0; d], scale: 1.0 }
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.centre.len()
    }

    /// The image of 0, d numbers.
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// |det|^(1/d): the length in x of a length 1 in y, in the geometric mean over directions.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// log |det|, to be taken off a log-density of y for that of x.
    pub fn log_jacobian(&self) -> f64 {
        self.dim() as f64 * self.scale.ln()
    }

    /// x_i = centre + scale · y_i.   y: n×d → n×d.
    pub fn restore<T: Real>(&self, y: &Matrix<T>) -> Matrix {
        let mut x: Matrix = y.cast();
        for row in x.as_mut_slice().chunks_exact_mut(self.dim()) {
            row.iter_mut().zip(&self.centre).for_each(|(x, c)| *x = c + self.scale * *x);
        }
        x
    }

    /// y_i = (x_i - centre)/scale, the inverse of [`Affine::restore`].   x: n×d → n×d.
    pub fn standardise(&self, x: &Matrix) -> Matrix {
        Matrix::from_fn(x.rows(), x.cols(), |i, j| (x[(i, j)] - self.centre[j]) / self.scale)
    }

    /// The score of y from that of x, in place: s_y = scale · s_x.   n×d.
    pub fn standardise_score(&self, score: &mut Matrix) {
        score.as_mut_slice().iter_mut().for_each(|s| *s *= self.scale);
    }

    /// The score of x from that of y, in place: s_x = s_y/scale.   n×d.
    pub fn restore_score(&self, score: &mut [f64]) {
        score.iter_mut().for_each(|s| *s /= self.scale);
    }

    /// The mean of a mixture, and the root of the mean variance of its coordinates.
    pub fn of_mixture(p: &GaussianMixture) -> Self {
        let covariance = p.covariance();
        let d = covariance.rows();
        let trace: f64 = (0..d).map(|i| covariance[(i, i)]).sum();
        Self { centre: p.mean(), scale: (trace / d as f64).sqrt() }
    }

    /// Mean and scale of particles (n×d); `Error::Unsupported` where they are one point or not finite.
    pub fn of_particles(x: &Matrix) -> Result<Self> {
        let centre = x.column_means();
        let square = |row: &[f64]| row.iter().zip(&centre).map(|(x, c)| (x - c) * (x - c)).sum::<f64>();
        let scale = (x.iter_rows().map(square).sum::<f64>() / x.as_slice().len() as f64).sqrt();
        if scale > 0.0 && scale.is_finite() {
            return Ok(Self { centre, scale });
        }
        Err(Error::Unsupported {
            what: format!("the search for the target's scale ended at {scale}"),
            remedy: "give its centre and scale",
        })
    }
}
