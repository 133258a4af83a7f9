//! Where the pieces of a generator with codes stand: one affine frame for each code.

use crate::density::{Density, GaussianMixture, Part, Product};
use crate::linalg::{Matrix, multiply_lower};
use crate::num::Real;
use crate::rng::{Stream, fill_normal};
use std::sync::Arc;

/// Width of the pieces of a fresh generator, in units of the frame.
const FRESH: f64 = 0.1;

/// y = m_k + A_k u for code k: what the network makes, u, has scale 1 on every piece, however wide or narrow it is. Fixed in training.
///
/// Where a row has a code of each of several blocks of coordinates, y = Σ_b m_{k_b} + A_{k_b} u, and m_k and A_k are 0 outside of the
/// coordinates of the code's block.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    means: Matrix,
    /// A_k, lower triangular, row after row: K×d².
    factors: Matrix,
}

impl Pieces {
    /// m_k (K×d) and A_k (lower triangular, in the rows of K×d²).
    #[track_caller]
    pub fn new(means: Matrix, factors: Matrix) -> Self {
        let (k, d) = means.shape();
        assert_eq!(factors.shape(), (k, d * d), "Pieces::new: shape of the factors");
        Self { means, factors }
    }

    /// m_k ~ N(0, I), A_k = 0.1 I.
    pub(crate) fn fresh(codes: usize, d: usize, rng: &mut Stream) -> Self {
        let mut means = Matrix::zeros(codes, d);
        fill_normal(rng, means.as_mut_slice());
        Self { means, factors: Matrix::from_fn(codes, d * d, |_, j| if j % (d + 1) == 0 { FRESH } else { 0.0 }) }
    }

    /// The means and Cholesky factors of a mixture's components.
    pub(crate) fn of_mixture(p: &GaussianMixture) -> Self {
        let d = p.means().cols();
        let factors: Vec<f64> = p.factors().iter().flat_map(|l| l.lower().as_slice().to_vec()).collect();
        Self { means: p.means().clone(), factors: Matrix::from_vec(p.components(), d * d, factors) }
    }

    /// Of the components of mixtures on blocks of coordinates that are a partition of those of R^d.
    pub(crate) fn of_blocks(d: usize, parts: &[(Vec<usize>, GaussianMixture)]) -> Self {
        let codes: usize = parts.iter().map(|(_, p)| p.components()).sum();
        let (mut means, mut factors, mut k) = (Matrix::zeros(codes, d), Matrix::zeros(codes, d * d), 0);
        for (block, p) in parts {
            for (mean, factor) in p.means().iter_rows().zip(p.factors()) {
                for (a, &i) in block.iter().enumerate() {
                    means[(k, i)] = mean[a];
                    block[..=a].iter().enumerate().for_each(|(b, j)| factors[(k, i * d + j)] = factor.lower()[(a, b)]);
                }
                k += 1;
            }
        }
        Self { means, factors }
    }

    /// Σ_k π_k N(m_k, A_k A_kᵀ), in units of the frame; π_k > 0 sum to 1.
    pub(crate) fn mixture(&self, weights: Vec<f64>) -> GaussianMixture {
        let d = self.dim();
        let factors = self.factors.iter_rows().map(|f| Matrix::from_vec(d, d, f.to_vec())).collect();
        GaussianMixture::of_lower_factors(weights, self.means.clone(), factors)
    }

    /// The law of Σ_b m_{k_b} + A_{k_b} u, u ~ N(0, I), with the probabilities π of the codes, in blocks of `counts` of them.
    pub(crate) fn law(&self, probabilities: &[f64], counts: &[usize]) -> Option<Arc<dyn Density>> {
        if counts.len() == 1 {
            return Some(Arc::new(self.mixture(probabilities.to_vec())));
        }
        let mut end = 0;
        let one = |&count: &usize| -> Part {
            let codes = end..end + count;
            end += count;
            let block: Vec<usize> = self.owned(&[codes.start]).map(|(_, i)| i).collect();
            let (size, d) = (block.len(), self.dim());
            let means = Matrix::from_fn(count, size, |k, a| self.means[(codes.start + k, block[a])]);
            let entry = |k: usize| Matrix::from_fn(size, size, |a, b| self.factors[(k, block[a] * d + block[b])]);
            let factors = codes.clone().map(entry).collect();
            let mixture = GaussianMixture::of_lower_factors(probabilities[codes].to_vec(), means, factors);
            (block, Arc::new(mixture))
        };
        Product::new(counts.iter().map(one).collect()).ok().map(|p| Arc::new(p) as Arc<dyn Density>)
    }

    /// K.
    pub fn codes(&self) -> usize {
        self.means.rows()
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.means.cols()
    }

    /// m_k, K×d.
    pub fn means(&self) -> &Matrix {
        &self.means
    }

    /// A_k in the rows, K×d².
    pub fn factors(&self) -> &Matrix {
        &self.factors
    }

    /// y_i = m_k + A_k (u_i + h ξ_i), k the code of row i, or summed over its codes.   u, ξ: n×d, codes: n, or nB of B blocks.
    pub(crate) fn place<T: Real>(&self, u: &Matrix<T>, jitter: Option<(&Matrix<T>, f64)>, codes: &[usize]) -> Matrix {
        let d = self.dim();
        let mut out: Matrix = u.cast();
        if let Some((jitter, h)) = jitter {
            out.as_mut_slice().iter_mut().zip(jitter.as_slice()).for_each(|(u, j)| *u += h * j.to_f64());
        }
        let blocks = codes.len() / u.rows().max(1);
        for (y, codes) in out.as_mut_slice().chunks_exact_mut(d).zip(codes.chunks_exact(blocks.max(1))) {
            if let [k] = *codes {
                multiply_lower(self.factors.row(k), y);
                y.iter_mut().zip(self.means.row(k)).for_each(|(y, m)| *y += m);
                continue;
            }
            let u = y.to_vec();
            y.fill(0.0);
            for (k, i) in self.owned(codes) {
                let row = &self.factors.row(k)[i * d..=i * (d + 1)];
                y[i] += self.means[(k, i)] + row.iter().zip(&u).map(|(a, u)| a * u).sum::<f64>();
            }
        }
        out
    }

    /// Each coordinate with the code to whose block it belongs.
    fn owned(&self, codes: &[usize]) -> impl Iterator<Item = (usize, usize)> {
        let d = self.dim();
        codes.iter().flat_map(move |&k| {
            (0..d).map(move |i| (k, i)).filter(move |&(k, i)| self.factors[(k, i * (d + 1))] != 0.0)
        })
    }

    /// A_kᵀ g_i, summed over the codes of the row: the cotangent of u that belongs to the cotangent g of y.   g: n×d.
    pub(crate) fn pull_back(&self, g: &Matrix, codes: &[usize]) -> Matrix {
        let d = self.dim();
        let mut out = Matrix::zeros(g.rows(), d);
        let blocks = codes.len() / g.rows().max(1);
        let rows = out.as_mut_slice().chunks_exact_mut(d).zip(g.iter_rows()).zip(codes.chunks_exact(blocks.max(1)));
        for ((o, g), codes) in rows {
            if let [k] = *codes {
                let factor = self.factors.row(k);
                for (j, o) in o.iter_mut().enumerate() {
                    *o = (j..d).map(|i| factor[i * d + j] * g[i]).sum::<f64>();
                }
                continue;
            }
            for (k, i) in self.owned(codes) {
                let row = &self.factors.row(k)[i * d..=i * (d + 1)];
                o.iter_mut().zip(row).for_each(|(o, a)| *o += a * g[i]);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks pieces of blocks {0, 2} and {1} by hand: y of codes (1, 0) is that of the second component of the first mixture and the one of the
    /// second; and that the pull-back is the adjoint, ⟨g, A(u + v) - A(u)⟩ = ⟨Aᵀg, v⟩ to rounding, for rows of all codes.
    #[test]
    fn pieces_of_blocks() {
        let wide = Matrix::from_rows(&[[2.0, 0.6], [0.6, 1.0]]);
        let means = Matrix::from_rows(&[[0.0, 0.0], [5.0, -1.0]]);
        let pair = GaussianMixture::new(&[0.3, 0.7], means, vec![Matrix::identity(2), wide.clone()]).unwrap();
        let one = GaussianMixture::gaussian(&[7.0], Matrix::filled(1, 1, 4.0)).unwrap();
        let pieces = Pieces::of_blocks(3, &[(vec![0, 2], pair), (vec![1], one)]);
        let u = Matrix::from_rows(&[[0.5, -1.0, 0.25], [0.1, 0.2, 0.3]]);
        let y = pieces.place(&u, None, &[1, 2, 0, 2]);
        let (a, b) = (2f64.sqrt(), 0.6 / 2f64.sqrt());
        let expected = [5.0 + 0.5 * a, 7.0 - 2.0, -1.0 + 0.5 * b + 0.25 * (1.0 - b * b).sqrt(), 0.1, 7.4, 0.3];
        for (y, expected) in y.as_slice().iter().zip(expected) {
            assert!((y - expected).abs() < 1e-14, "{y} {expected}");
        }
        let [g, v]: [Matrix; 2] = [0, 1].map(|unit| normal_matrix(1, Purpose::Check, unit, 2, 3));
        let mut there = u.clone();
        there.add_scaled(1.0, &v);
        let moved = pieces.place(&there, None, &[1, 2, 0, 2]);
        let dot = |a: &Matrix, b: &Matrix| a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| a * b).sum::<f64>();
        let (left, right) = (dot(&g, &moved) - dot(&g, &y), dot(&pieces.pull_back(&g, &[1, 2, 0, 2]), &v));
        assert!((left - right).abs() < 1e-13, "{left} {right}");
    }
}
