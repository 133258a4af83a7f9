//! Evaluation with a check: the door through which every consumer should call a density.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::linalg::matrix::shape_mismatch;
use crate::{Error, Result};

/// Log-density and score of a batch of n points.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// log p~(x_i), finite or -inf: n.
    pub log_density: Vec<f64>,
    /// ∇ log p~(x_i), finite; 0 where log p~ = -inf: n×d.
    pub score: Matrix,
}

/// log p~(x_i) and ∇ log p~(x_i) for the rows of x (n×d), checked.
///
/// `Error::NonFinite` with the first offending point (in row order) where log p~ is NaN or +inf, or where the score is not finite
/// although log p~ is. Panics where x does not have d columns.
pub fn evaluate(density: &dyn Density, x: &Matrix) -> Result<Evaluation> {
    if x.cols() != density.dim() {
        shape_mismatch("evaluate: points and density", x.shape(), (x.rows(), density.dim()));
    }
    let mut log_density = vec![0.0; x.rows()];
    let mut score = Matrix::zeros(x.rows(), x.cols());
    density.evaluate_into(x, &mut log_density, &mut score);
    for (i, &l) in log_density.iter().enumerate() {
        let non_finite = |what: String, value: f64| Err(Error::NonFinite { what, value, point: x.row(i).to_vec() });
        if l == f64::NEG_INFINITY {
            score.row_mut(i).fill(0.0);
        } else if !l.is_finite() {
            return non_finite("log-density".into(), l);
        } else if let Some(j) = score.row(i).iter().position(|s| !s.is_finite()) {
            return non_finite(format!("score coordinate {j}"), score[(i, j)]);
        }
    }
    Ok(Evaluation { log_density, score })
}
