//! Where the pieces of a generator with codes stand: one affine frame for each code.

use crate::density::GaussianMixture;
use crate::linalg::{Matrix, multiply_lower};
use crate::num::Real;
use crate::rng::{Stream, fill_normal};

/// Width of the pieces of a fresh generator, in units of the frame.
const FRESH: f64 = 0.1;

/// y = m_k + A_k u for code k: what the network makes, u, has scale 1 on every piece, however wide or narrow it is. Fixed in training.
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

    /// Σ_k π_k N(m_k, A_k A_kᵀ), in units of the frame; π_k > 0 sum to 1.
    pub(crate) fn mixture(&self, weights: Vec<f64>) -> GaussianMixture {
        let d = self.dim();
        let factors = self.factors.iter_rows().map(|f| Matrix::from_vec(d, d, f.to_vec())).collect();
        GaussianMixture::of_lower_factors(weights, self.means.clone(), factors)
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

    /// y_i = m_k + A_k (u_i + h ξ_i), k the code of row i.   u, ξ: n×d.
    pub(crate) fn place<T: Real>(&self, u: &Matrix<T>, jitter: Option<(&Matrix<T>, f64)>, codes: &[usize]) -> Matrix {
        let d = self.dim();
        let mut out: Matrix = u.cast();
        if let Some((jitter, h)) = jitter {
            out.as_mut_slice().iter_mut().zip(jitter.as_slice()).for_each(|(u, j)| *u += h * j.to_f64());
        }
        for (y, &k) in out.as_mut_slice().chunks_exact_mut(d).zip(codes) {
            multiply_lower(self.factors.row(k), y);
            y.iter_mut().zip(self.means.row(k)).for_each(|(y, m)| *y += m);
        }
        out
    }

    /// A_kᵀ g_i: the cotangent of u that belongs to the cotangent g of y.   g: n×d.
    pub(crate) fn pull_back(&self, g: &Matrix, codes: &[usize]) -> Matrix {
        let d = self.dim();
        let mut out = Matrix::zeros(g.rows(), d);
        for ((o, g), &k) in out.as_mut_slice().chunks_exact_mut(d).zip(g.iter_rows()).zip(codes) {
            let factor = self.factors.row(k);
            for (j, o) in o.iter_mut().enumerate() {
                *o = (j..d).map(|i| factor[i * d + j] * g[i]).sum::<f64>();
            }
        }
        out
    }
}
