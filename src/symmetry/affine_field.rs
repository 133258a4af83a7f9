//! Affine vector fields: elements of the Lie algebra of affine maps.

use crate::density::Affine;
use crate::linalg::{Matrix, dot, expm, gemm, matmul, solve_lower_transposed_rows};

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
        pairs.map(|(v, s)| mutant!("field-trace", 0.0, trace) + dot(v, s)).collect()
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
        matrix.add_scaled(mutant!("field-bracket", 1.0, -1.0), &matmul(&other.matrix, &self.matrix));
        let one = |i| dot(self.matrix.row(i), &other.shift) - dot(other.matrix.row(i), &self.shift);
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

    /// The same field where coordinate i is called `names`[i].
    pub(crate) fn with_coordinates(&self, names: &[usize]) -> Self {
        let d = self.dim();
        let mut out = Self { matrix: Matrix::zeros(d, d), shift: vec![0.0; d] };
        for i in 0..d {
            out.shift[names[i]] = self.shift[i];
            (0..d).for_each(|j| out.matrix[(names[i], names[j])] = self.matrix[(i, j)]);
        }
        out
    }

    /// A field of y, x = c + L y, as one of x: L A L⁻¹ x + L b - L A L⁻¹ c.
    pub(crate) fn out_of(&self, frame: &Affine) -> Self {
        let (centre, factor) = frame.parts();
        let mut matrix = matmul(&factor, &self.matrix);
        // X L⁻¹ row by row
        solve_lower_transposed_rows(&factor, &mut matrix);
        let shift = (0..self.dim()).map(|i| dot(factor.row(i), &self.shift) - dot(matrix.row(i), centre)).collect();
        Self { matrix, shift }
    }
}
