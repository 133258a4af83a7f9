//! A user's density written once, on tape variables; the score follows by differentiation.

use crate::autodiff::{Tape, Var};
use crate::density::{Density, rows};
use crate::linalg::Matrix;
use std::sync::Mutex;

/// log p~ as a function on the tape, batch in (n×d), column out (n×1); the score is its gradient.
///
/// The rows must not interact: log p~(x_i) may depend on row i alone. Points come in batches of any size.
///
/// ```
/// use pushforward::density::{TapeDensity, evaluate};
/// use pushforward::linalg::Matrix;
///
/// // log p~(x) = -(x₁² + x₂²)²/4
/// let quartic = TapeDensity::new(2, |x| x.square().row_sums().square() * -0.25);
/// let at = evaluate(&quartic, &Matrix::from_rows(&[[1.0, 2.0]])).unwrap();
/// assert_eq!(at.log_density, [-6.25]);
/// assert_eq!(at.score.as_slice(), [-5.0, -10.0]); // -|x|² x
/// ```
pub struct TapeDensity<F> {
    dim: usize,
    log_density: F,
    /// Makes a tape.
    tape: fn() -> Tape<f64>,
    /// Rows on a tape at a time, at most.
    rows: usize,
    /// Tapes that wait for the next chunk of rows; as many as there are threads, with memory that is used again.
    tapes: Mutex<Vec<Tape<f64>>>,
}

impl<F: for<'t> Fn(Var<'t, f64>) -> Var<'t, f64> + Send + Sync> TapeDensity<F> {
    /// The density on R^d, d = `dim` ≥ 1, with log p~ = `log_density`. Panics where `dim` is 0.
    #[track_caller]
    pub fn new(dim: usize, log_density: F) -> Self {
        assert!(dim > 0, "TapeDensity::new: a density needs at least one dimension");
        Self { dim, log_density, tape: Tape::new, rows: usize::MAX, tapes: Mutex::new(Vec::new()) }
    }

    /// The same for a log-density with [masked](Var::masked) branches: one that is not taken brings no NaN into the score.
    pub fn with_branches(self) -> Self {
        Self { tape: Tape::with_branches, ..self }
    }

    /// The same with at most so many rows on a tape at a time, for a log-density with many numbers a row. Panics where this is 0.
    #[track_caller]
    pub fn rows_at_a_time(self, rows: usize) -> Self {
        assert!(rows > 0, "TapeDensity: at least one row goes on a tape");
        Self { rows, ..self }
    }

    /// out ← log p~ of some rows, and where asked score ← its gradient.
    fn chunk(&self, x: &[f64], out: &mut [f64], score: Option<&mut [f64]>) {
        let (rows, d) = (self.rows.min(out.len().max(1)), self.dim);
        let parts = x.chunks(rows * d).zip(out.chunks_mut(rows));
        match score {
            None => parts.for_each(|(x, out)| self.part(x, out, None)),
            Some(score) => {
                parts.zip(score.chunks_mut(rows * d)).for_each(|((x, out), score)| self.part(x, out, Some(score)));
            }
        }
    }

    /// The same for rows that go on one tape.
    fn part(&self, x: &[f64], out: &mut [f64], score: Option<&mut [f64]>) {
        let mut tape = self.tapes.lock().ok().and_then(|mut tapes| tapes.pop()).unwrap_or_else(self.tape);
        let leaf = tape.leaf_from(out.len(), self.dim, x);
        let y = (self.log_density)(leaf);
        assert_eq!(y.shape(), (out.len(), 1), "TapeDensity: the log-density of n×d points must be n×1");
        y.with(|y| out.copy_from_slice(y.as_slice()));
        if let Some(score) = score {
            tape.gradient(y, &[leaf])[0].with(|s| score.copy_from_slice(s.as_slice()));
        }
        tape.reset();
        if let Ok(mut tapes) = self.tapes.lock() {
            tapes.push(tape);
        }
    }
}

impl<F: for<'t> Fn(Var<'t, f64>) -> Var<'t, f64> + Send + Sync> Density for TapeDensity<F> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        rows::for_chunks(x, self.dim, out, 1, |x, out| self.chunk(x, out, None));
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        rows::evaluate(x, self.dim, log_density, score, |x, out, score| self.chunk(x, out, Some(score)));
    }
}
