//! The matrix whose null space is the symmetry algebra.

use crate::linalg::{Matrix, gemm};
use crate::symmetry::AffineField;

/// Points whose rows are in memory at once.
const CHUNK: usize = 256;

/// Which fields are candidates, and so the coordinates of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Candidates {
    /// A x whose first `still` components are 0: the d entries of each other row of A, row after row.
    Linear { still: usize },
    /// A x + b of that kind: the entries of A, then those of b.
    Affine { still: usize },
    /// A x, A skew: (e_i e_jᵀ - e_j e_iᵀ)/√2 for i < j.
    Skew,
}

impl Candidates {
    /// Number of coordinates.
    pub fn count(self, d: usize) -> usize {
        match self {
            Self::Linear { still } => (d - still) * d,
            Self::Affine { still } => (d - still) * (d + 1),
            Self::Skew => d * (d - 1) / 2,
        }
    }

    /// Components that are 0.
    fn still(self) -> usize {
        match self {
            Self::Linear { still } | Self::Affine { still } => still,
            Self::Skew => 0,
        }
    }

    /// g with ⟨v, g⟩ = ⟨s, A x + b⟩ + tr A for the field of coordinates v: vec(s xᵀ + I), and s.
    fn row(self, x: &[f64], s: &[f64], out: &mut Vec<f64>) {
        let d = x.len();
        if self == Self::Skew {
            let half = 0.5f64.sqrt();
            return out.extend((0..d).flat_map(|i| {
                (i + 1..d).map(move |j| half * (s[i] * x[j] - mutant!("symmetry-skew", -s[j], s[j]) * x[i]))
            }));
        }
        let still = self.still();
        let product = |k: usize| mutant!("symmetry-transposed", s[k % d] * x[k / d], s[k / d] * x[k % d]);
        out.extend((still * d..d * d).map(|k| product(k) + f64::from(u8::from(k / d == k % d))));
        if let Self::Affine { .. } = self {
            out.extend_from_slice(&s[still..]);
        }
    }

    /// The field of coordinates v.
    pub fn field(self, v: &[f64], d: usize) -> AffineField {
        let (mut matrix, mut shift) = (Matrix::zeros(d, d), vec![0.0; d]);
        if self == Self::Skew {
            let half = 0.5f64.sqrt();
            let pairs = (0..d).flat_map(|i| (i + 1..d).map(move |j| (i, j)));
            for ((i, j), v) in pairs.zip(v) {
                (matrix[(i, j)], matrix[(j, i)]) = (half * v, -half * v);
            }
        } else {
            let still = self.still();
            let (a, b) = v.split_at((d - still) * d);
            matrix.as_mut_slice()[still * d..].copy_from_slice(a);
            shift[still..].iter_mut().zip(b).for_each(|(s, v)| *s = *v);
        }
        AffineField { matrix, shift }
    }
}

/// Points of the plane of work with their scores, and what each residual is measured in.
pub(super) struct Points {
    /// n×d.
    pub x: Matrix,
    /// n×d.
    pub score: Matrix,
    /// |s_i|² |x_i|² + d, and |s_i|² where shifts are candidates: the largest |g|² at the point, up to a factor of 2.
    pub size: Vec<f64>,
}

impl Points {
    pub fn new(x: Matrix, score: Matrix, candidates: Candidates) -> Self {
        let square = |r: &[f64]| r.iter().map(|v| v * v).sum::<f64>();
        let shift = f64::from(u8::from(matches!(candidates, Candidates::Affine { .. })));
        let still = candidates.still();
        let one = |(x, s): (&[f64], &[f64])| square(&s[still..]) * (square(x) + shift) + (x.len() - still) as f64;
        let size = x.iter_rows().zip(score.iter_rows()).map(one).collect();
        Self { x, score, size }
    }

    /// The weight of point i in a mean: 1, or 1 over its size.
    pub fn weight(&self, i: usize, relative: bool) -> f64 {
        if relative { 1.0 / self.size[i] } else { 1.0 }
    }

    /// The rows g of points `from..to`.
    fn rows(&self, candidates: Candidates, from: usize, to: usize) -> Matrix {
        let m = candidates.count(self.x.cols());
        let mut rows = Vec::with_capacity((to - from) * m);
        (from..to).for_each(|i| candidates.row(self.x.row(i), self.score.row(i), &mut rows));
        Matrix::from_vec(to - from, m, rows)
    }

    /// (1/n) Σ_i ω_i g_i g_iᵀ, m×m.
    pub fn moments(&self, candidates: Candidates, relative: bool) -> Matrix {
        let (n, m) = (self.x.rows(), candidates.count(self.x.cols()));
        let mut out = Matrix::zeros(m, m);
        for from in (0..n).step_by(CHUNK) {
            let to = (from + CHUNK).min(n);
            let mut rows = self.rows(candidates, from, to);
            for i in from..to {
                let root = self.weight(i, relative).sqrt();
                rows.row_mut(i - from).iter_mut().for_each(|g| *g *= root);
            }
            gemm(1.0 / n as f64, rows.t(), rows.view(), 1.0, &mut out);
        }
        out
    }

    /// ⟨v_k, g_i⟩ for the rows v_k.   v: K×m → n×K.
    pub fn products(&self, candidates: Candidates, v: &Matrix) -> Matrix {
        let n = self.x.rows();
        let mut out = Vec::with_capacity(n * v.rows());
        for from in (0..n).step_by(CHUNK) {
            let rows = self.rows(candidates, from, (from + CHUNK).min(n));
            let mut part = Matrix::zeros(rows.rows(), v.rows());
            gemm(1.0, rows.view(), v.t(), 0.0, &mut part);
            out.extend(part.into_vec());
        }
        Matrix::from_vec(n, v.rows(), out)
    }
}
