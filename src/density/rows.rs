//! Batches in fixed chunks of rows: the parallel loop behind every density, with the same bits for any number of threads.

use crate::linalg::Matrix;
use crate::linalg::matrix::shape_mismatch;
use crate::parallel;
use crate::rng::{Purpose, Stream, stream};

/// Rows in a chunk: small enough that 40 components of a chunk fit the second-level cache.
const CHUNK: usize = 128;

/// Rows that share one stream in [`sample`]; fixed, as part of what a seed means.
const ROWS_PER_STREAM: usize = 256;

/// Panics unless x is n×dim and `len` is n.
#[track_caller]
pub(crate) fn check(x: &Matrix, dim: usize, len: usize) {
    if x.cols() != dim || x.rows() != len {
        shape_mismatch("log-density of a batch", x.shape(), (len, dim));
    }
}

/// Runs `f(x chunk, out chunk)` over all chunks of rows; `out` holds `width` numbers for each row of x (n×dim).
#[track_caller]
pub(crate) fn for_chunks(x: &Matrix, dim: usize, out: &mut [f64], width: usize, f: impl Fn(&[f64], &mut [f64]) + Sync) {
    check(x, dim, out.len() / width);
    let rows = x.as_slice().chunks(CHUNK * dim);
    parallel::for_each(out.chunks_mut(CHUNK * width).zip(rows), |(out, x)| f(x, out));
}

/// Runs `f(x chunk, log-density chunk, score chunk)` over all chunks of rows.
#[track_caller]
pub(crate) fn evaluate(
    x: &Matrix,
    dim: usize,
    out: &mut [f64],
    score: &mut Matrix,
    f: impl Fn(&[f64], &mut [f64], &mut [f64]) + Sync,
) {
    check(x, dim, out.len());
    if score.shape() != x.shape() {
        shape_mismatch("score of a batch", score.shape(), x.shape());
    }
    let rows = x.as_slice().chunks(CHUNK * dim);
    let score = score.as_mut_slice().chunks_mut(CHUNK * dim);
    parallel::for_each(out.chunks_mut(CHUNK).zip(rows).zip(score), |((out, x), score)| f(x, out, score));
}

/// n×dim samples; `draw` writes one point from the stream of its block of rows.
pub(crate) fn sample(n: usize, dim: usize, seed: u64, draw: impl Fn(&mut Stream, &mut [f64]) + Sync) -> Matrix {
    let mut out = Matrix::zeros(n, dim);
    parallel::for_each(out.as_mut_slice().chunks_mut(ROWS_PER_STREAM * dim).enumerate(), |(block, rows)| {
        let mut rng = stream(seed, Purpose::Exact, block as u64);
        rows.chunks_exact_mut(dim).for_each(|row| draw(&mut rng, row));
    });
    out
}
