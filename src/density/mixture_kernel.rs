//! The inner loops of a Gaussian mixture: component by component over a chunk of points stored coordinate by coordinate, so that
//! every loop runs along contiguous points and is vectorised.

use crate::density::{Density, GaussianMixture, rows};
use crate::linalg::Matrix;
use crate::num::{Kernel, dispatch, exp_slice, ln};

/// What one chunk of r points needs.
struct Chunk {
    r: usize,
    /// The points, d×r.
    x: Vec<f64>,
    /// L_k⁻¹(x - m_k) of the component at hand, d×r.
    y: Vec<f64>,
    /// K×r: first log w_k N(x; m_k, C_k), then its exponential relative to the largest, in the end w_k N / p, the responsibility.
    terms: Vec<f64>,
}

/// One chunk of rows: the log-density, and the score where it is asked for.
struct ChunkKernel<'a> {
    mixture: &'a GaussianMixture,
    x: &'a [f64],
    out: &'a mut [f64],
    score: Option<&'a mut [f64]>,
}

impl Kernel for ChunkKernel<'_> {
    type Output = ();
    #[inline(always)]
    fn run<const FMA: bool>(self) {
        let mut chunk = self.mixture.chunk(self.x);
        match self.score {
            None => drop(log_sum_exp(&mut chunk, self.out)),
            Some(score) => {
                self.mixture.normalise(&mut chunk, self.out);
                self.mixture.score(&mut chunk, score);
            }
        }
    }
}

impl GaussianMixture {
    /// γ_ik = w_k N(x_i; m_k, C_k) / p(x_i), the probability that point i came from component k.   x: n×d → n×K.
    pub fn responsibilities(&self, x: &Matrix) -> Matrix {
        let (d, count) = (self.dim(), self.components());
        let mut gamma = Matrix::zeros(x.rows(), count);
        rows::for_chunks(x, d, gamma.as_mut_slice(), count, |x, gamma| {
            let mut chunk = self.chunk(x);
            self.normalise(&mut chunk, &mut vec![0.0; x.len() / d]);
            for (k, term) in chunk.terms.chunks_exact(chunk.r).enumerate() {
                gamma.iter_mut().skip(k).step_by(count).zip(term).for_each(|(g, &t)| *g = t);
            }
        });
        gamma
    }

    /// out_i ← log p(x_i) over one chunk of rows.
    pub(crate) fn log_density_chunk(&self, x: &[f64], out: &mut [f64]) {
        dispatch(ChunkKernel { mixture: self, x, out, score: None });
    }

    /// out_i ← log p(x_i) and score_i ← -Σ_k γ_ik C_k⁻¹ (x_i - m_k) over one chunk of rows.
    pub(crate) fn evaluate_chunk(&self, x: &[f64], out: &mut [f64], score: &mut [f64]) {
        dispatch(ChunkKernel { mixture: self, x, out, score: Some(score) });
    }

    /// score_i ← -Σ_k γ_ik C_k⁻¹ (x_i - m_k), the responsibilities in `terms`.
    #[inline(always)]
    fn score(&self, chunk: &mut Chunk, score: &mut [f64]) {
        let (d, r) = (self.dim(), chunk.r);
        let mut total = vec![0.0; d * r];
        for k in 0..self.components() {
            self.whiten(k, chunk);
            transpose_product(&self.whiteners[k], self.diagonal[k], &mut chunk.y, r);
            let gamma = &chunk.terms[k * r..(k + 1) * r];
            for (total, g) in total.chunks_exact_mut(r).zip(chunk.y.chunks_exact(r)) {
                total.iter_mut().zip(gamma).zip(g).for_each(|((t, &w), &g)| *t -= w * g);
            }
        }
        for (j, column) in total.chunks_exact(r).enumerate() {
            score.iter_mut().skip(j).step_by(d).zip(column).for_each(|(s, &t)| *s = t);
        }
    }

    /// A chunk with `terms` at log w_k N(x_i; m_k, C_k).
    #[inline(always)]
    fn chunk(&self, x: &[f64]) -> Chunk {
        let d = self.dim();
        let r = x.len() / d;
        let transposed = (0..d).flat_map(|j| x.iter().skip(j).step_by(d).copied()).collect();
        let mut chunk = Chunk { r, x: transposed, y: vec![0.0; d * r], terms: vec![0.0; self.components() * r] };
        for k in 0..self.components() {
            self.whiten(k, &mut chunk);
            let term = &mut chunk.terms[k * r..(k + 1) * r];
            term.fill(self.log_constants[k]);
            for y in chunk.y.chunks_exact(r.max(1)) {
                term.iter_mut().zip(y).for_each(|(t, &y)| *t -= 0.5 * y * y);
            }
        }
        chunk
    }

    /// out_i ← log p(x_i); `terms` become responsibilities (0 where every term is -inf).
    #[inline(always)]
    fn normalise(&self, chunk: &mut Chunk, out: &mut [f64]) {
        let sum = log_sum_exp(chunk, out);
        let inverse: Vec<f64> = sum.into_iter().map(|s| if s == 0.0 { 0.0 } else { 1.0 / s }).collect();
        for term in chunk.terms.chunks_exact_mut(chunk.r.max(1)) {
            term.iter_mut().zip(&inverse).for_each(|(t, &c)| *t *= c);
        }
    }

    /// y ← L_k⁻¹(x - m_k), from the last coordinate to the first so that it can be done in place. The zeros of a diagonal L_k, which change
    /// no bit, are left out.
    #[inline(always)]
    fn whiten(&self, k: usize, chunk: &mut Chunk) {
        let (r, w) = (chunk.r, &self.whiteners[k]);
        let columns = chunk.y.chunks_exact_mut(r.max(1)).zip(chunk.x.chunks_exact(r.max(1)));
        for ((y, x), &m) in columns.zip(self.means.row(k)) {
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = x - m);
        }
        for a in (0..w.rows()).rev() {
            let (before, rest) = chunk.y.split_at_mut(a * r);
            let target = &mut rest[..r];
            let diagonal = w[(a, a)];
            target.iter_mut().for_each(|t| *t *= diagonal);
            if !self.diagonal[k] {
                add_rows(target, before, (0..a).map(|b| w[(a, b)]));
            }
        }
    }
}

/// y ← Wᵀ y for lower triangular W, from the first coordinate to the last so that it can be done in place.
#[inline(always)]
fn transpose_product(w: &Matrix, is_diagonal: bool, y: &mut [f64], r: usize) {
    for b in 0..w.rows() {
        let (head, after) = y.split_at_mut((b + 1) * r);
        let target = &mut head[b * r..];
        let diagonal = w[(b, b)];
        target.iter_mut().for_each(|t| *t *= diagonal);
        if !is_diagonal {
            add_rows(target, after, (b + 1..w.rows()).map(|a| w[(a, b)]));
        }
    }
}

/// target ← target + Σ_j c_j rows_j, `rows` row-major with the length of `target`.
#[inline(always)]
fn add_rows(target: &mut [f64], rows: &[f64], coefficients: impl Iterator<Item = f64>) {
    for (row, c) in rows.chunks_exact(target.len().max(1)).zip(coefficients) {
        target.iter_mut().zip(row).for_each(|(t, &v)| *t += c * v);
    }
}

/// out_i ← log Σ_k exp(terms_ki); `terms` become exp(term - largest) and their sums are returned. NaN passes through.
#[inline(always)]
fn log_sum_exp(chunk: &mut Chunk, out: &mut [f64]) -> Vec<f64> {
    let r = chunk.r.max(1);
    out.fill(f64::NEG_INFINITY);
    for term in chunk.terms.chunks_exact(r) {
        out.iter_mut().zip(term).for_each(|(m, &t)| *m = if t > *m { t } else { *m });
    }
    // all terms -inf (or NaN): shift by 0, so that the sum is 0 (or NaN) and not exp(-inf + inf)
    out.iter_mut().for_each(|m| *m = if *m == f64::NEG_INFINITY { 0.0 } else { *m });
    let mut sum = vec![0.0; out.len()];
    for term in chunk.terms.chunks_exact_mut(r) {
        term.iter_mut().zip(&*out).for_each(|(t, &m)| *t -= m);
    }
    exp_slice(&mut chunk.terms);
    for term in chunk.terms.chunks_exact(r) {
        sum.iter_mut().zip(term).for_each(|(s, &t)| *s += t);
    }
    out.iter_mut().zip(&sum).for_each(|(m, s)| *m += ln(*s));
    sum
}
