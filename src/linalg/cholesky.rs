//! Cholesky factorisation of symmetric positive definite matrices.

use crate::linalg::matrix::Matrix;
use crate::linalg::symmetric::check_symmetric;
use crate::linalg::triangular::{self, dot};
use crate::num::Real;
use crate::{Error, Result};

/// A = L Lᵀ, L lower triangular with a positive diagonal.
#[derive(Debug, Clone, PartialEq)]
pub struct Cholesky<T = f64> {
    lower: Matrix<T>,
}

impl<T: Real> Cholesky<T> {
    /// L_ij = (a_ij - Σ_{k<j} L_ik L_jk) / L_jj row by row.   A: n×n; `what` names it in errors ("covariance of component 3").
    ///
    /// [`Error::NotPositiveDefinite`] where a pivot, L_jj², is at most n ε a_jj: such a matrix cannot be told from a singular one.
    /// [`Error::Parameter`] where A is not symmetric or not finite. Panics where A is not square.
    #[track_caller]
    pub fn factor(a: &Matrix<T>, what: &str) -> Result<Self> {
        check_symmetric(a, what)?;
        let n = a.rows();
        let mut lower = Matrix::zeros(n, n);
        for i in 0..n {
            for j in 0..i {
                let value = (a[(i, j)] - dot(&lower.row(i)[..j], &lower.row(j)[..j])) / lower[(j, j)];
                lower[(i, j)] = value;
            }
            let pivot = a[(i, i)] - dot(&lower.row(i)[..i], &lower.row(i)[..i]);
            if pivot <= T::from_usize(n) * T::EPSILON * a[(i, i)].abs() {
                return Err(Error::NotPositiveDefinite { what: what.into(), pivot: i, value: pivot.to_f64() });
            }
            lower[(i, i)] = pivot.sqrt();
        }
        Ok(Self { lower })
    }

    /// The factorisation with a known L: n×n, lower triangular with a positive diagonal.
    pub(crate) fn of_lower(lower: Matrix<T>) -> Self {
        Self { lower }
    }

    /// L, n×n, zero above the diagonal. Rows z ~ N(0, I) become rows of covariance A by Z Lᵀ.
    pub fn lower(&self) -> &Matrix<T> {
        &self.lower
    }

    /// log det A = 2 Σ_i log L_ii; 0 for n = 0.
    pub fn log_det(&self) -> T {
        (0..self.lower.rows()).map(|i| self.lower[(i, i)].ln()).sum::<T>() * T::from_f64(2.0)
    }

    /// A⁻¹ b.   b: n.
    #[track_caller]
    pub fn solve(&self, b: &[T]) -> Vec<T> {
        let mut x = b.to_vec();
        triangular::solve_lower(&self.lower, &mut x);
        triangular::solve_lower_transposed(&self.lower, &mut x);
        x
    }

    /// x_i ← A⁻¹ x_i for every row, that is X ← X A⁻¹.   X: m×n.
    #[track_caller]
    pub fn solve_rows(&self, x: &mut Matrix<T>) {
        triangular::solve_lower_rows(&self.lower, x);
        triangular::solve_lower_transposed_rows(&self.lower, x);
    }

    /// xᵀ A⁻¹ x = |L⁻¹ x|², the squared Mahalanobis length.   x: n.
    #[track_caller]
    pub fn inverse_quadratic_form(&self, x: &[T]) -> T {
        let mut y = x.to_vec();
        triangular::solve_lower(&self.lower, &mut y);
        dot(&y, &y)
    }

    /// A⁻¹, n×n, symmetric to the last bit.
    pub fn inverse(&self) -> Matrix<T> {
        let mut x = Matrix::identity(self.lower.rows());
        self.solve_rows(&mut x);
        Matrix::from_fn(x.rows(), x.cols(), |i, j| x[(i.max(j), i.min(j))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::matmul;
    use crate::rng::{Purpose, normal_matrix};

    /// G Gᵀ + shift I with normal G.
    fn positive_definite(n: usize, shift: f64) -> Matrix {
        let g: Matrix = normal_matrix(5, Purpose::Check, n as u64, n, n);
        let mut a = Matrix::identity(n);
        crate::linalg::gemm(1.0, g.view(), g.t(), shift, &mut a);
        a
    }

    fn hilbert(n: usize) -> Matrix {
        Matrix::from_fn(n, n, |i, j| 1.0 / (i + j + 1) as f64)
    }

    /// Checks |L Lᵀ - A|_ij ≤ 2 (n+1) ε √(a_ii a_jj) and |A x - b|_i ≤ 2 (3n+1) ε Σ_j √(a_ii a_jj) |x_j| (Higham, thms 10.3
    /// and 10.4; doubled for the rounding of the check), L lower triangular, for random, Hilbert, diagonal and zero-block matrices.
    #[test]
    fn factor_and_solve() {
        let mut cases: Vec<Matrix> = [0, 1, 2, 3, 10, 40, 100].map(|n| positive_definite(n, 0.1)).into();
        cases.extend([hilbert(5), hilbert(8), hilbert(10), Matrix::identity(4).map(|x| 1e-200 * x)]);
        let block = positive_definite(3, 1.0);
        cases.push(Matrix::from_fn(6, 6, |i, j| if i / 3 == j / 3 { block[(i % 3, j % 3)] } else { 0.0 }));
        for a in &cases {
            let n = a.rows();
            let factor = Cholesky::factor(a, "test matrix").unwrap();
            let l = factor.lower();
            let size = |i: usize, j: usize| (a[(i, i)] * a[(j, j)]).sqrt();
            let product = matmul(l, &l.transpose());
            let b: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            let x = factor.solve(&b);
            for i in 0..n {
                assert!(l.row(i)[i + 1..].iter().all(|&x| x == 0.0) && l[(i, i)] > 0.0);
                for j in 0..n {
                    let bound = 2.0 * (n + 1) as f64 * f64::EPSILON * size(i, j);
                    assert!((product[(i, j)] - a[(i, j)]).abs() <= bound, "n = {n} ({i}, {j})");
                }
                let scale: f64 = (0..n).map(|j| size(i, j) * x[j].abs()).sum();
                assert!((dot(a.row(i), &x) - b[i]).abs() <= 2.0 * (3 * n + 1) as f64 * f64::EPSILON * scale);
            }
            let mut rows = Matrix::from_rows(&[&b, &b]);
            factor.solve_rows(&mut rows);
            assert!(rows.row(0) == x && rows.row(1) == x);
        }
    }

    /// Checks three ways to log det A (Cholesky, LU, eigenvalues) and two to bᵀ A⁻¹ b, to 10 n² ε κ with κ ≤ trace A / 0.1,
    /// because 0.1 is below the smallest eigenvalue.
    #[test]
    fn roads_agree() {
        for n in [1, 2, 5, 20, 60] {
            let a = positive_definite(n, 0.1);
            let condition = (0..n).map(|i| a[(i, i)]).sum::<f64>() / 0.1;
            let tolerance = 10.0 * (n * n) as f64 * f64::EPSILON * condition;
            let factor = Cholesky::factor(&a, "a").unwrap();
            let eigen = crate::linalg::SymmetricEigen::of(&a, "a").unwrap();
            assert!(tolerance < 0.1 && (factor.log_det() - crate::linalg::log_abs_det(&a)).abs() <= tolerance);
            assert!((factor.log_det() - eigen.values.iter().map(|x| x.ln()).sum::<f64>()).abs() <= tolerance);
            let b: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
            let (form, solved) = (factor.inverse_quadratic_form(&b), dot(&b, &factor.solve(&b)));
            assert!((form - solved).abs() <= tolerance * form, "{form} {solved}");
        }
    }

    /// Checks the inverse and the determinant of Hilbert's matrix, n = 4, whose inverse has known integers (16, -120, …, 2800)
    /// and determinant 1/6048000, to condition number 1.6e4 times 10 n ε.
    #[test]
    fn hilbert_by_hand() {
        let factor = Cholesky::factor(&hilbert(4), "hilbert").unwrap();
        let inverse = factor.inverse();
        let tolerance = 1.6e4 * 40.0 * f64::EPSILON;
        for (at, value) in [((0, 0), 16.0), ((1, 0), -120.0), ((0, 3), -140.0), ((2, 2), 6480.0), ((3, 3), 2800.0)] {
            assert!((inverse[at] - value).abs() <= tolerance * 6480.0, "{at:?} {}", inverse[at]);
        }
        assert!((factor.log_det() + 6_048_000f64.ln()).abs() <= tolerance);
        assert_eq!(inverse, inverse.transpose());
        assert_eq!(Cholesky::factor(&Matrix::<f64>::zeros(0, 0), "nothing").unwrap().log_det(), 0.0);
    }

    /// Checks that an indefinite, a semidefinite, a numerically singular and a NaN matrix are refused, with pivot and value.
    #[test]
    fn refusals() {
        let indefinite = Matrix::from_rows(&[[4.0, 2.0], [2.0, -3.0]]);
        let expected = Error::NotPositiveDefinite { what: "a".into(), pivot: 1, value: -4.0 };
        assert_eq!(Cholesky::factor(&indefinite, "a").unwrap_err(), expected);
        let ones: Matrix = Matrix::filled(3, 3, 0.1);
        assert!(matches!(Cholesky::factor(&ones, "a"), Err(Error::NotPositiveDefinite { pivot: 1, .. })));
        assert!(matches!(Cholesky::factor(&hilbert(20), "a"), Err(Error::NotPositiveDefinite { .. })));
        assert!(Cholesky::factor(&Matrix::filled(1, 1, f64::NAN), "a").is_err());
        assert!(Cholesky::factor(&Matrix::from_rows(&[[1.0, 0.5], [0.4, 1.0]]), "a").is_err());
    }
}
