//! Affine vector fields: elements of the Lie algebra of affine maps.

use crate::density::Affine;
use crate::linalg::{Matrix, expm, gemm, matmul, solve_lower_transposed_rows};

/// The field x ↦ A x + b, whose flow is a one-parameter group of affine maps.
#[derive(Debug, Clone, PartialEq)]
pub struct AffineField {
    /// A, d×d.
    pub matrix: Matrix,
    /// b, d.
    pub shift: Vec<f64>,
}

impl AffineField {
    /// d.
    pub fn dim(&self) -> usize {
        self.shift.len()
    }

    /// tr A, the divergence.
    pub fn trace(&self) -> f64 {
        (0..self.dim()).map(|i| self.matrix[(i, i)]).sum()
    }

    /// A x_i + b.   x: n×d → n×d.
    pub fn at(&self, x: &Matrix) -> Matrix {
        let mut out = Matrix::from_fn(x.rows(), self.dim(), |_, j| self.shift[j]);
        gemm(1.0, x.view(), self.matrix.t(), 1.0, &mut out);
        out
    }

    /// ⟨s_i, A x_i + b⟩ + tr A: the rate at which the flow changes log p, 0 everywhere for a symmetry.   x, score: n×d → n.
    pub fn residual(&self, x: &Matrix, score: &Matrix) -> Vec<f64> {
        let (field, trace) = (self.at(x), self.trace());
        let pairs = field.iter_rows().zip(score.iter_rows());
        pairs.map(|(v, s)| trace + v.iter().zip(s).map(|(v, s)| v * s).sum::<f64>()).collect()
    }

    /// The points after time t of the flow: E x_i + c with [E c; 0 1] = exp(t [A b; 0 0]).   x: n×d → n×d.
    pub fn flow(&self, t: f64, x: &Matrix) -> Matrix {
        let d = self.dim();
        let block = Matrix::from_fn(d + 1, d + 1, |i, j| match (i < d, j < d) {
            (true, true) => t * self.matrix[(i, j)],
            (true, false) => t * self.shift[i],
            _ => 0.0,
        });
        let map = expm(&block);
        let matrix = Matrix::from_fn(d, d, |i, j| map[(i, j)]);
        Self { matrix, shift: (0..d).map(|i| map[(i, d)]).collect() }.at(x)
    }

    /// [V, W] = (A_V A_W - A_W A_V) x + A_V b_W - A_W b_V, the commutator.
    pub fn bracket(&self, other: &Self) -> Self {
        let mut matrix = matmul(&self.matrix, &other.matrix);
        matrix.add_scaled(-1.0, &matmul(&other.matrix, &self.matrix));
        let times = |a: &Matrix, b: &[f64], i: usize| a.row(i).iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let one = |i| times(&self.matrix, &other.shift, i) - times(&other.matrix, &self.shift, i);
        Self { matrix, shift: (0..self.dim()).map(one).collect() }
    }

    /// Σ_k c_k V_k.
    pub fn combination(coefficients: &[f64], fields: &[Self]) -> Self {
        let d = fields.first().map_or(0, Self::dim);
        let mut out = Self { matrix: Matrix::zeros(d, d), shift: vec![0.0; d] };
        for (&c, field) in coefficients.iter().zip(fields) {
            out.matrix.add_scaled(c, &field.matrix);
            out.shift.iter_mut().zip(&field.shift).for_each(|(o, b)| *o += c * b);
        }
        out
    }

    /// A field of y, x = c + L y, as one of x: L A L⁻¹ x + L b - L A L⁻¹ c.
    pub(crate) fn out_of(&self, frame: &Affine) -> Self {
        let (centre, factor) = frame.parts();
        let mut matrix = matmul(&factor, &self.matrix);
        // X L⁻¹ row by row
        solve_lower_transposed_rows(&factor, &mut matrix);
        let row = |m: &Matrix, v: &[f64], i: usize| m.row(i).iter().zip(v).map(|(m, v)| m * v).sum::<f64>();
        let shift = (0..self.dim()).map(|i| row(&factor, &self.shift, i) - row(&matrix, centre, i)).collect();
        Self { matrix, shift }
    }
}
