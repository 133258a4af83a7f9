//! Weights of samples in a file of their own.

use crate::failure::{Failure, Outcome};
use crate::files::samples::read_samples;
use pushforward::num::ln;
use std::path::Path;

/// The logarithms of `n` weights in a file, a row or a column of numbers that are not negative.
pub(crate) fn read_weights(path: &Path, n: usize) -> Outcome<Vec<f64>> {
    let w = read_samples(path)?;
    let shown = path.display();
    if w.as_slice().len() != n || (w.rows() != 1 && w.cols() != 1) {
        let (rows, cols) = w.shape();
        return Err(Failure::input(format!(
            "{shown} holds {rows}×{cols} numbers; give one weight for each of the {n} samples"
        )));
    }
    if let Some(k) = w.as_slice().iter().position(|v| !(*v >= 0.0 && v.is_finite())) {
        let value = w.as_slice()[k];
        return Err(Failure::input(format!(
            "{shown}: weight {} is {value}; give numbers that are not negative",
            k + 1
        )));
    }
    if w.as_slice().iter().all(|v| *v == 0.0) {
        return Err(Failure::input(format!("{shown}: all weights are 0; give at least one positive weight")));
    }
    Ok(w.as_slice().iter().map(|v| ln(*v)).collect())
}
