//! Evaluation with a check: every consumer should call a density by these functions.

use crate::density::{Affine, Density};
use crate::linalg::Matrix;
use crate::linalg::matrix::shape_mismatch;
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};

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
/// `Error::Panicked` where the density panics. `Error::NonFinite` with the first offending point (in row order) where log p~ is NaN or +inf, or where the score is not finite
/// although log p~ is. Panics where x does not have d columns.
pub fn evaluate(density: &dyn Density, x: &Matrix) -> Result<Evaluation> {
    if x.cols() != density.dim() {
        shape_mismatch("evaluate: points and density", x.shape(), (x.rows(), density.dim()));
    }
    let mut log_density = vec![0.0; x.rows()];
    let mut score = Matrix::zeros(x.rows(), x.cols());
    guarded(|| density.evaluate_into(x, &mut log_density, &mut score))?;
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

/// log p~(x_i) for the rows of x, checked as [`evaluate`] does.
pub fn evaluate_log_density(density: &dyn Density, x: &Matrix) -> Result<Vec<f64>> {
    checked(density, x, |l| l)
}

/// log p~ at points where no sample is: where it is NaN it counts as -∞, as outside of its support. Otherwise as [`evaluate_log_density`].
pub(crate) fn evaluate_beyond(density: &dyn Density, x: &Matrix) -> Result<Vec<f64>> {
    checked(density, x, |l| if l.is_nan() { f64::NEG_INFINITY } else { l })
}

/// log p~(x_i) as `read`, where that is neither NaN nor +∞.
fn checked(density: &dyn Density, x: &Matrix, read: impl Fn(f64) -> f64) -> Result<Vec<f64>> {
    let mut out = vec![0.0; x.rows()];
    guarded(|| density.log_density_into(x, &mut out))?;
    out.iter_mut().for_each(|l| *l = read(*l));
    match out.iter().position(|l| l.is_nan() || *l == f64::INFINITY) {
        None => Ok(out),
        Some(i) => Err(Error::NonFinite { what: "log-density".into(), value: out[i], point: x.row(i).to_vec() }),
    }
}

/// The same error with its point y in the units x of `frame`.
pub(crate) fn in_units_of_x(error: Error, frame: &Affine) -> Error {
    match error {
        Error::NonFinite { what, value, point } if point.len() == frame.dim() => {
            let y = Matrix::from_vec(1, point.len(), point);
            Error::NonFinite { what, value, point: frame.restore(&y).into_vec() }
        }
        other => other,
    }
}

/// Calls a density; its panic becomes an error, so that a training can be saved and a sampler embedded. What it was writing is dropped.
pub(crate) fn guarded(call: impl FnOnce()) -> Result<()> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let words = payload.downcast_ref::<&str>().map(|s| s.to_string());
        let message = words.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        Error::Panicked { what: "the density".into(), message }
    })
}
