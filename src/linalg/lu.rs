//! LU factorisation with partial pivoting: determinants, solutions and inverses of general square matrices.

use crate::linalg::matrix::{Matrix, shape_mismatch};
use crate::linalg::triangular::{self, subtract_scaled};
use crate::num::Real;
use crate::{Error, Result};

/// P A = L U, P a permutation, L unit lower triangular with |L_ij| ≤ 1, U upper triangular.
#[derive(Debug, Clone, PartialEq)]
pub struct Lu<T = f64> {
    /// U on and above the diagonal, L below it.
    packed: Matrix<T>,
    /// Row i of P A is this row of A.
    order: Vec<usize>,
    /// Whether P is an odd permutation.
    odd: bool,
}

impl<T: Real> Lu<T> {
    /// Gaussian elimination with the largest entry of each column as pivot.   A: n×n.
    ///
    /// Every matrix has these factors; a singular one has a zero on the diagonal of U, and only [`Lu::solve`] minds.
    /// Panics where A is not square.
    #[track_caller]
    pub fn factor(a: &Matrix<T>) -> Self {
        let n = a.rows();
        if a.cols() != n {
            shape_mismatch("Lu::factor", a.shape(), (n, n));
        }
        let mut lu = Self { packed: a.clone(), order: (0..n).collect(), odd: false };
        for k in 0..n {
            let candidates = (k..n).map(|i| lu.packed[(i, k)].abs());
            let (pivot, size) = (k..).zip(candidates).fold((k, T::ZERO), |best, c| if c.1 > best.1 { c } else { best });
            lu.swap_rows(k, pivot);
            if size > T::ZERO {
                lu.eliminate(k);
            }
        }
        lu
    }

    /// Exchanges rows i ≤ j of the packed factors.
    fn swap_rows(&mut self, i: usize, j: usize) {
        if i != j {
            let n = self.packed.cols();
            let (head, tail) = self.packed.as_mut_slice().split_at_mut(j * n);
            head[i * n..(i + 1) * n].swap_with_slice(&mut tail[..n]);
            self.order.swap(i, j);
            self.odd = !self.odd;
        }
    }

    /// Subtracts multiples of row k from the rows below it, and keeps the multipliers in column k.
    fn eliminate(&mut self, k: usize) {
        let n = self.packed.cols();
        let (head, below) = self.packed.as_mut_slice().split_at_mut((k + 1) * n);
        let pivot = &head[k * n..];
        for row in below.chunks_exact_mut(n) {
            row[k] /= pivot[k];
            let multiplier = row[k];
            subtract_scaled(&mut row[k + 1..], multiplier, &pivot[k + 1..]);
        }
    }

    /// The diagonal of U.
    fn pivots(&self) -> impl Iterator<Item = T> {
        (0..self.packed.rows()).map(|i| self.packed[(i, i)])
    }

    /// log |det A| = Σ_i log |U_ii|; -∞ where A is singular, 0 for n = 0.
    pub fn log_abs_det(&self) -> T {
        self.pivots().map(|u| u.abs().ln()).sum()
    }

    /// The sign of det A: 1, -1, or 0 where A is singular (NaN where A has NaN).
    pub fn sign(&self) -> T {
        let sign = |u: T| if u == T::ZERO || u.is_nan() { u } else { T::ONE.copysign(u) };
        self.pivots().fold(if self.odd { -T::ONE } else { T::ONE }, |s, u| s * sign(u))
    }

    /// [`Error::Parameter`] unless every pivot is there; called before any division by them.
    fn check_regular(&self) -> Result<()> {
        match self.pivots().enumerate().find(|(_, u)| *u == T::ZERO || u.is_nan()) {
            None => Ok(()),
            Some((k, u)) => Err(Error::Parameter {
                name: format!("pivot {k} of LU"),
                value: u.to_f64(),
                expected: "not zero: the matrix must be invertible",
            }),
        }
    }

    /// A⁻¹ b.   b: n. [`Error::Parameter`] where A is singular.
    #[track_caller]
    pub fn solve(&self, b: &[T]) -> Result<Vec<T>> {
        triangular::expect_system("Lu::solve", &self.packed, (1, b.len()));
        self.check_regular()?;
        let mut x: Vec<T> = self.order.iter().map(|&i| b[i]).collect();
        for i in 0..x.len() {
            // L has a unit diagonal that is not stored
            let known = triangular::dot(&self.packed.row(i)[..i], &x[..i]);
            x[i] -= known;
        }
        triangular::solve_upper(&self.packed, &mut x);
        Ok(x)
    }

    /// A⁻¹, n×n. [`Error::Parameter`] where A is singular.
    pub fn inverse(&self) -> Result<Matrix<T>> {
        let n = self.packed.rows();
        let columns = Matrix::identity(n);
        let solved = columns.iter_rows().map(|e| self.solve(e)).collect::<Result<Vec<_>>>()?;
        Ok(Matrix::from_fn(n, n, |i, j| solved[j][i]))
    }
}

/// log |det A|: the log-volume change of x ↦ A x; -∞ where A is singular.   A: n×n.
#[track_caller]
pub fn log_abs_det<T: Real>(a: &Matrix<T>) -> T {
    Lu::factor(a).log_abs_det()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::matmul;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks |L U - P A| ≤ 2 n ε |L||U| and |A x - b| ≤ 6 n ε Pᵀ|L||U||x| entry by entry (Higham, thms 9.3 and 9.4; doubled for the
    /// check), and |L_ij| ≤ 1, for n = 0 … 100, a zero block, a zero corner and a graded matrix.
    #[test]
    fn factor_and_solve() {
        let normal = |n: usize| -> Matrix { normal_matrix(6, Purpose::Check, n as u64, n, n) };
        let mut cases: Vec<Matrix> = [0, 1, 2, 3, 10, 40, 100].map(normal).into();
        let (block, graded) = (normal(4), normal(12));
        cases.push(Matrix::from_fn(8, 8, |i, j| if i / 4 == j / 4 { 0.0 } else { block[(i % 4, j % 4)] }));
        cases.push(Matrix::from_rows(&[[0.0, 1.0], [1.0, 0.0]]));
        cases.push(Matrix::from_fn(12, 12, |i, j| graded[(i, j)] * 10f64.powi(j as i32 - 2 * i as i32)));
        for a in &cases {
            let n = a.rows();
            let lu = Lu::factor(a);
            let l = Matrix::from_fn(n, n, |i, j| {
                if i == j {
                    1.0
                } else if j < i {
                    lu.packed[(i, j)]
                } else {
                    0.0
                }
            });
            let u = Matrix::from_fn(n, n, |i, j| if j >= i { lu.packed[(i, j)] } else { 0.0 });
            let (product, size) = (matmul(&l, &u), matmul(&l.map(f64::abs), &u.map(f64::abs)));
            let b: Vec<f64> = (0..n).map(|i| (i as f64).sin() + 0.1).collect();
            let x = lu.solve(&b).unwrap();
            for i in 0..n {
                let row = a.row(lu.order[i]);
                assert!(l.row(i).iter().all(|x| x.abs() <= 1.0));
                for j in 0..n {
                    let bound = 2.0 * n as f64 * f64::EPSILON * size[(i, j)];
                    assert!((product[(i, j)] - row[j]).abs() <= bound, "n = {n} ({i}, {j})");
                }
                let scale: f64 = (0..n).map(|j| size[(i, j)] * x[j].abs()).sum();
                let residual = triangular::dot(row, &x) - b[lu.order[i]];
                assert!(residual.abs() <= 6.0 * n as f64 * f64::EPSILON * scale, "n = {n} row {i}: {residual:e}");
            }
        }
    }

    /// Checks signs and determinants on integers: permutations, Vandermonde (Π_{i<j} (x_j - x_i) = 1!2!3!4!), singular matrices.
    #[test]
    fn determinants_by_hand() {
        let cycle: Matrix = Matrix::from_fn(4, 4, |i, j| if (i + 1) % 4 == j { 1.0 } else { 0.0 });
        assert_eq!((Lu::factor(&cycle).sign(), log_abs_det(&cycle)), (-1.0, 0.0));
        assert_eq!(Lu::factor(&matmul(&cycle, &cycle)).sign(), 1.0);
        let vandermonde = Matrix::from_fn(5, 5, |i, j| ((i + 1) as f64).powi(j as i32));
        let lu = Lu::factor(&vandermonde);
        // condition number 2.6e4, times n ε
        assert!((lu.log_abs_det() - 288f64.ln()).abs() <= 2.6e4 * 5.0 * f64::EPSILON && lu.sign() == 1.0);
        let singular = Matrix::from_rows(&[[1.0, 2.0], [2.0, 4.0]]);
        let lu = Lu::factor(&singular);
        assert_eq!((lu.log_abs_det(), lu.sign()), (f64::NEG_INFINITY, 0.0));
        assert!(lu.solve(&[1.0, 1.0]).is_err() && lu.inverse().is_err());
        let nothing = Lu::factor(&Matrix::<f64>::zeros(0, 0));
        assert_eq!((nothing.log_abs_det(), nothing.sign()), (0.0, 1.0));
        assert!(Lu::factor(&Matrix::filled(2, 2, f64::NAN)).sign().is_nan());
    }

    /// Checks log|det AB| = log|det A| + log|det B|, log|det A⁻¹| = -log|det A| and their signs on normal matrices: each
    /// log-determinant is off by at most n · n ε κ, κ < 1e4 for these fixed seeds.
    #[test]
    fn determinant_is_multiplicative() {
        for n in [1, 2, 5, 15, 30] {
            let a: Matrix = normal_matrix(7, Purpose::Check, n as u64, n, n);
            let b: Matrix = normal_matrix(8, Purpose::Check, n as u64, n, n);
            let (fa, fb, fab) = (Lu::factor(&a), Lu::factor(&b), Lu::factor(&matmul(&a, &b)));
            let tolerance = (n * n) as f64 * 1e4 * f64::EPSILON;
            assert!((fab.log_abs_det() - fa.log_abs_det() - fb.log_abs_det()).abs() <= tolerance);
            assert_eq!(fab.sign(), fa.sign() * fb.sign());
            let inverse = Lu::factor(&fa.inverse().unwrap());
            assert!((inverse.log_abs_det() + fa.log_abs_det()).abs() <= tolerance && inverse.sign() == fa.sign());
        }
    }
}
