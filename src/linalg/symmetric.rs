//! What counts as a symmetric matrix.

use crate::linalg::matrix::{Matrix, shape_mismatch};
use crate::num::Real;
use crate::{Error, Result};

/// Checks that a square matrix is finite and |a_ij - a_ji| ≤ 8 n ε √(m_i m_j), m_i the largest |entry| of row and column i: the rounding of
/// a product such as XᵀX, in any units of the coordinates.
///
/// [`Error::Parameter`] names the entry; panics where the matrix is not square.
#[track_caller]
pub(crate) fn check_symmetric<T: Real>(a: &Matrix<T>, what: &str) -> Result<()> {
    let n = a.rows();
    if a.cols() != n {
        shape_mismatch(what, a.shape(), (n, n));
    }
    let error = |name: String, value: T, expected| Err(Error::Parameter { name, value: value.to_f64(), expected });
    if let Some(k) = a.as_slice().iter().position(|x| !x.is_finite()) {
        return error(format!("entry ({}, {}) of {what}", k / n, k % n), a.as_slice()[k], "a finite number");
    }
    // roots, whose products neither overflow nor vanish
    let roots: Vec<T> =
        (0..n).map(|i| (0..n).fold(T::ZERO, |m, j| m.max(a[(i, j)].abs()).max(a[(j, i)].abs())).sqrt()).collect();
    let share = T::from_f64(8.0) * T::from_usize(n) * T::EPSILON;
    for i in 0..n {
        for j in 0..i {
            let gap = a[(i, j)] - a[(j, i)];
            if gap.abs() > share * roots[i] * roots[j] {
                let expected =
                    "zero up to rounding: the matrix must be symmetric, replace it by (A + Aᵀ)/2 if that is meant";
                return error(format!("entry ({i}, {j}) minus entry ({j}, {i}) of {what}"), gap, expected);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that rounding is let through and that an asymmetric or non-finite entry is named with its value, beside entries 10²⁰ times as
    /// large too.
    #[test]
    fn names_the_entry() {
        let mut a = Matrix::from_rows(&[[1.0, 2.0], [2.0 + 8.0 * f64::EPSILON, 3.0]]);
        assert!(check_symmetric(&a, "a").is_ok());
        a[(1, 0)] = 2.5;
        let message = check_symmetric(&a, "covariance of x").unwrap_err().to_string();
        assert!(message.contains("entry (1, 0) minus entry (0, 1) of covariance of x = 0.5"), "{message}");
        let uneven = Matrix::from_rows(&[[1.0, 0.0, 0.0], [0.0, 1e-20, 5e-21], [0.0, -5e-21, 1e-20]]);
        assert!(check_symmetric(&uneven, "a").unwrap_err().to_string().contains("entry (2, 1)"));
        a[(1, 1)] = f64::NAN;
        assert!(check_symmetric(&a, "a").unwrap_err().to_string().contains("entry (1, 1)"));
        assert!(check_symmetric(&Matrix::<f64>::zeros(0, 0), "nothing").is_ok());
    }
}
