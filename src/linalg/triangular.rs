//! Triangular systems, for one vector or for every row of a batch.

use crate::linalg::matrix::{Matrix, shape_mismatch};
use crate::num::Real;
use rayon::prelude::*;

/// Rows that one task solves; fixed, though rows are independent and the bits would not depend on it.
const ROWS_PER_TASK: usize = 256;

/// Σ_k a_k b_k, from left to right.
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).fold(T::ZERO, |s, (&a, &b)| s + a * b)
}

/// y ← y - c x.
pub(crate) fn subtract_scaled<T: Real>(y: &mut [T], c: T, x: &[T]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y -= c * x);
}

/// Panics unless `a` is n×n and the right-hand side has n entries.
#[track_caller]
pub(crate) fn expect_system<T: Real>(what: &str, a: &Matrix<T>, right: (usize, usize)) {
    if a.rows() != a.cols() || right.1 != a.rows() {
        shape_mismatch(what, a.shape(), right);
    }
}

/// x ← L x, from the last row up, so that an entry overwrites what no later one reads; entries above the diagonal are not read.
/// L: n×n in rows, x: n.
pub(crate) fn multiply_lower<T: Real>(l: &[T], x: &mut [T]) {
    let n = x.len();
    assert_eq!(l.len(), n * n, "multiply_lower: a matrix for {n} entries");
    for i in (0..n).rev() {
        x[i] = dot(&l[i * n..][..=i], &x[..=i]);
    }
}

/// x ← L⁻¹ x: L y = x from the first row down; entries of L above the diagonal are not read.   L: n×n, x: n.
#[track_caller]
pub fn solve_lower<T: Real>(l: &Matrix<T>, x: &mut [T]) {
    expect_system("solve_lower", l, (1, x.len()));
    for i in 0..x.len() {
        let row = l.row(i);
        x[i] = (x[i] - dot(&row[..i], &x[..i])) / row[i];
    }
}

/// x ← L⁻ᵀ x: Lᵀ y = x from the last row up, by rows of L; entries of L above the diagonal are not read.   L: n×n, x: n.
#[track_caller]
pub fn solve_lower_transposed<T: Real>(l: &Matrix<T>, x: &mut [T]) {
    expect_system("solve_lower_transposed", l, (1, x.len()));
    for i in (0..x.len()).rev() {
        let row = l.row(i);
        x[i] /= row[i];
        let (head, tail) = x.split_at_mut(i);
        subtract_scaled(head, tail[0], &row[..i]);
    }
}

/// x ← U⁻¹ x: U y = x from the last row up; entries of U below the diagonal are not read.   U: n×n, x: n.
#[track_caller]
pub fn solve_upper<T: Real>(u: &Matrix<T>, x: &mut [T]) {
    expect_system("solve_upper", u, (1, x.len()));
    for i in (0..x.len()).rev() {
        let row = u.row(i);
        x[i] = (x[i] - dot(&row[i + 1..], &x[i + 1..])) / row[i];
    }
}

/// Calls `solve` on every row of `x`, in parallel where there are many.
pub(crate) fn for_each_row<T: Real>(x: &mut Matrix<T>, solve: impl Fn(&mut [T]) + Sync) {
    let (rows, cols) = (x.rows(), x.cols().max(1));
    let each = |rows: &mut [T]| rows.chunks_exact_mut(cols).for_each(&solve);
    if rows <= ROWS_PER_TASK {
        return each(x.as_mut_slice());
    }
    x.as_mut_slice().par_chunks_mut(ROWS_PER_TASK * cols).for_each(each);
}

/// x_i ← L⁻¹ x_i for every row, that is X ← X L⁻ᵀ: whitens rows with covariance L Lᵀ.   L: d×d, X: n×d.
#[track_caller]
pub fn solve_lower_rows<T: Real>(l: &Matrix<T>, x: &mut Matrix<T>) {
    expect_system("solve_lower_rows", l, x.shape());
    for_each_row(x, |row| solve_lower(l, row));
}

/// x_i ← L⁻ᵀ x_i for every row, that is X ← X L⁻¹.   L: d×d, X: n×d.
#[track_caller]
pub fn solve_lower_transposed_rows<T: Real>(l: &Matrix<T>, x: &mut Matrix<T>) {
    expect_system("solve_lower_transposed_rows", l, x.shape());
    for_each_row(x, |row| solve_lower_transposed(l, row));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::matmul;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks L y = x, Lᵀ y = x and U y = x with componentwise residual ≤ n ε |T| |y| (Higham, Accuracy and Stability, thm 8.5;
    /// doubled for the rounding of the residual), for n = 0 … 60 with NaN in the half that must not be read, and that a batch
    /// gives the bits of its rows.
    #[test]
    fn residuals() {
        for n in [0, 1, 2, 3, 7, 20, 60] {
            let full: Matrix = normal_matrix(3, Purpose::Check, n as u64, n, n);
            let poisoned = Matrix::from_fn(n, n, |i, j| if j > i { f64::NAN } else { full[(i, j)] });
            let lower = Matrix::from_fn(n, n, |i, j| if j > i { 0.0 } else { full[(i, j)] });
            let b: Matrix = normal_matrix(4, Purpose::Check, n as u64, 300, n);
            let upper = poisoned.transpose();
            let check = |t: &Matrix, solve: &dyn Fn(&mut [f64])| {
                let mut y = b.row(0).to_vec();
                solve(&mut y);
                for i in 0..n {
                    let size: f64 = t.row(i).iter().zip(&y).map(|(t, y)| (t * y).abs()).sum();
                    let bound = 2.0 * n as f64 * f64::EPSILON * size + f64::EPSILON * b[(0, i)].abs();
                    assert!((dot(t.row(i), &y) - b[(0, i)]).abs() <= bound);
                }
            };
            if n > 0 {
                check(&lower, &|y| solve_lower(&poisoned, y));
                check(&lower.transpose(), &|y| solve_lower_transposed(&poisoned, y));
                check(&lower.transpose(), &|y| solve_upper(&upper, y));
            }
            let (mut forward, mut back) = (b.clone(), b.clone());
            solve_lower_rows(&poisoned, &mut forward);
            solve_lower_transposed_rows(&poisoned, &mut back);
            for i in 0..if n > 0 { 300 } else { 0 } {
                let (mut y, mut z) = (b.row(i).to_vec(), b.row(i).to_vec());
                solve_lower(&poisoned, &mut y);
                solve_lower_transposed(&poisoned, &mut z);
                assert!(y == forward.row(i) && z == back.row(i));
            }
        }
    }

    /// Checks exactness on a triangle of powers of two: X Lᵀ as a product of matrices and row by row, and X L⁻ᵀ by multiplying back.
    #[test]
    fn exact_on_powers_of_two() {
        let l = Matrix::from_rows(&[[2.0, 0.0, 0.0], [1.0, 4.0, 0.0], [-1.0, 2.0, 0.5]]);
        let x = Matrix::from_fn(4, 3, |i, j| (i * 3 + j) as f64 - 5.0);
        let mut b = Matrix::zeros(4, 3);
        crate::linalg::gemm(1.0, x.view(), l.t(), 0.0, &mut b);
        let mut product = x.clone();
        for_each_row(&mut product, |row| multiply_lower(l.as_slice(), row));
        assert_eq!(product, b);
        solve_lower_rows(&l, &mut b);
        assert_eq!(b, x);
        let mut b = matmul(&x, &l);
        solve_lower_transposed_rows(&l, &mut b);
        assert_eq!(b, x);
    }

    /// Checks that sizes that do not fit panic with both shapes.
    #[test]
    #[should_panic(expected = "3×3 and 1×2")]
    fn shapes_are_checked() {
        solve_lower(&Matrix::<f64>::identity(3), &mut [1.0, 2.0]);
    }
}
