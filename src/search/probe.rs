//! The target as a search sees it: in the units of a frame, with a count of what was asked.

use crate::density::{Affine, Density, guarded};
use crate::error::{Error, Result};
use crate::linalg::Matrix;

/// A target in the units y of a frame x = c + L y. Its log-density is that of x, without the Jacobian: a change of units that the frame
/// follows changes no bit.
pub(crate) struct Probe<'a> {
    pub target: &'a dyn Density,
    pub frame: Affine,
}

/// What was asked of a target, and what was rejected.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Points at which log p~ was evaluated, with or without its score.
    pub calls: u64,
    /// Those of them with a score.
    pub scores: u64,
    /// Points where log p~ or its score was NaN or +inf.
    pub rejected: u64,
    /// The first of them.
    pub first: Option<Error>,
}

impl Tally {
    /// Adds what was asked later.
    pub fn add(&mut self, later: &Tally) {
        self.calls += later.calls;
        self.scores += later.scores;
        self.rejected += later.rejected;
        if self.first.is_none() {
            self.first.clone_from(&later.first);
        }
    }

    /// One more rejected point.
    fn reject(&mut self, what: &str, value: f64, point: &[f64]) {
        self.rejected += 1;
        let error = || Error::NonFinite { what: what.into(), value, point: point.to_vec() };
        self.first.get_or_insert_with(error);
    }
}

impl Probe<'_> {
    /// log p~ at c + L y_i; NaN and +inf count as -inf.   y: n×d. `Error::Panicked` where the target panics.
    pub fn log_density(&self, y: &Matrix) -> Result<(Vec<f64>, Tally)> {
        let x = self.frame.restore(y);
        let mut out = vec![0.0; x.rows()];
        guarded(|| self.target.log_density_into(&x, &mut out))?;
        let mut tally = Tally { calls: out.len() as u64, ..Tally::default() };
        for (l, x) in out.iter_mut().zip(x.iter_rows()) {
            if l.is_nan() || *l == f64::INFINITY {
                tally.reject("log-density", *l, x);
                *l = f64::NEG_INFINITY;
            }
        }
        Ok((out, tally))
    }

    /// log p~ as [`Probe::log_density`] has it, and its gradient with respect to y; log p~ counts as -inf where that is not finite.
    pub fn evaluate(&self, y: &Matrix) -> Result<(Vec<f64>, Matrix, Tally)> {
        let x = self.frame.restore(y);
        let (mut out, mut score) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), x.cols()));
        guarded(|| self.target.evaluate_into(&x, &mut out, &mut score))?;
        let mut tally = Tally { calls: out.len() as u64, scores: out.len() as u64, ..Tally::default() };
        for (i, l) in out.iter_mut().enumerate() {
            let bad_score = score.row(i).iter().find(|s| !s.is_finite());
            if l.is_nan() || *l == f64::INFINITY {
                tally.reject("log-density", *l, x.row(i));
                *l = f64::NEG_INFINITY;
            } else if let (true, Some(&s)) = (l.is_finite(), bad_score) {
                tally.reject("score", s, x.row(i));
                *l = f64::NEG_INFINITY;
            }
        }
        self.frame.standardise_score(&mut score);
        Ok((out, score, tally))
    }
}
