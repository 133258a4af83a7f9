//! The smallest eigenvalues of a large positive semidefinite matrix.

use crate::Result;
use crate::linalg::gemm::{gemm, matmul};
use crate::linalg::matrix::Matrix;
use crate::linalg::{Cholesky, SymmetricEigen, dot};

/// Rows up to which all eigenvalues are computed instead.
const SMALL: usize = 96;
/// The shift that makes A invertible, in units of its largest diagonal entry: null vectors gain 1e10 on the others in one step.
const SHIFT: f64 = 1e-10;
/// Vectors beside the wanted ones, which make the last of those converge.
const GUARD: usize = 8;
const MAX_STEPS: usize = 30;
/// Relative change of the wanted eigenvalues at which they have converged.
const CHANGE: f64 = 1e-4;

/// The `count` smallest eigenvalues of a positive semidefinite matrix and their vectors, ascending; all where n is small.   A: n×n.
///
/// Inverse iteration on a block, X ← X (A + sI)⁻¹, with Rayleigh and Ritz's eigenvalues of X A Xᵀ (Golub and Van Loan, section 8.2.4).
/// Null vectors come out to rounding; the last of the others, if they lie close to what was not asked for, a little high (Ritz values are
/// never low). `start` is asked for the rows of the first block, so that the caller owns the random numbers: (rows, columns).
/// `Error::Parameter` or `Error::NotPositiveDefinite` where A is not symmetric, not finite or has a negative eigenvalue.
pub fn smallest_eigen(
    a: &Matrix,
    count: usize,
    start: impl FnOnce(usize, usize) -> Matrix,
    what: &str,
) -> Result<SymmetricEigen> {
    let n = a.rows();
    let block = count + GUARD;
    if n <= SMALL || 2 * block >= n {
        return SymmetricEigen::of(a, what);
    }
    let largest = (0..n).map(|i| a[(i, i)]).fold(0.0, f64::max);
    let shift = SHIFT * largest.max(f64::MIN_POSITIVE);
    let mut shifted = a.clone();
    (0..n).for_each(|i| shifted[(i, i)] += shift);
    let factor = Cholesky::factor(&shifted, what)?;
    let mut x = start(block, n);
    let mut values = vec![f64::INFINITY; block];
    for _ in 0..MAX_STEPS {
        factor.solve_rows(&mut x);
        orthonormalise(&mut x);
        let mut small = Matrix::zeros(block, block);
        gemm(1.0, matmul(&x, a).view(), x.t(), 0.0, &mut small);
        let small = Matrix::from_fn(block, block, |i, j| 0.5 * (small[(i, j)] + small[(j, i)]));
        let ritz = SymmetricEigen::of(&small, what)?;
        x = matmul(&ritz.vectors, &x);
        let still = |(old, new): (&f64, &f64)| (old - new).abs() <= CHANGE * (new.abs() + shift);
        let converged = values.iter().zip(&ritz.values).take(count).all(still);
        values = ritz.values;
        if converged {
            break;
        }
    }
    values.truncate(count);
    Ok(SymmetricEigen { values, vectors: x.slice_rows(0..count) })
}

/// Gram and Schmidt on the rows, each projected twice.
fn orthonormalise(x: &mut Matrix) {
    for i in 0..x.rows() {
        let mut row = x.row(i).to_vec();
        for _ in 0..2 {
            let length = dot(&row, &row).sqrt();
            row.iter_mut().for_each(|r| *r /= length);
            for k in 0..i {
                let c = dot(&row, x.row(k));
                row.iter_mut().zip(x.row(k)).for_each(|(r, x)| *r -= c * x);
            }
        }
        let length = dot(&row, &row).sqrt();
        x.row_mut(i).iter_mut().zip(&row).for_each(|(x, r)| *x = r / length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks a matrix of 200 rows with a null space of 12 dimensions against Jacobi's eigenvalues: to 1e-12 of the largest in the null space, with
    /// |A v| < 1e-10, and at most 5 % above for the next four; that vectors are orthonormal; and that a negative eigenvalue is refused.
    #[test]
    fn null_space_and_the_next() {
        let n = 200;
        let g: Matrix = normal_matrix(5, Purpose::Check, 0, n - 12, n);
        let mut a = Matrix::zeros(n, n);
        gemm(1.0 / n as f64, g.t(), g.view(), 0.0, &mut a);
        let start = |rows, cols| normal_matrix(5, Purpose::Check, 1, rows, cols);
        let found = smallest_eigen(&a, 16, start, "a").unwrap();
        let all = SymmetricEigen::of(&a, "a").unwrap().values;
        assert_eq!(found.values.len(), 16);
        for (k, (x, y)) in found.values.iter().zip(&all).enumerate() {
            assert!(x - y > -1e-12 * all[n - 1] && x - y < if k < 12 { 1e-12 } else { 0.05 * y }, "{k}: {x} {y}");
            let image = matmul(&found.vectors.slice_rows(k..k + 1), &a);
            assert!(k >= 12 || image.as_slice().iter().all(|v| v.abs() < 1e-10), "{k}");
        }
        let gram = matmul(&found.vectors, &found.vectors.transpose());
        let off = (0..256).map(|k| (gram[(k / 16, k % 16)] - f64::from(k / 16 == k % 16)).abs()).fold(0.0, f64::max);
        assert!(off < 1e-12, "{off}");
        let start = |rows, cols| normal_matrix(5, Purpose::Check, 1, rows, cols);
        (0..n).for_each(|i| a[(i, i)] -= 1.0);
        assert!(smallest_eigen(&a, 16, start, "a").is_err());
    }
}
