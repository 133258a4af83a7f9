//! The exponential of a matrix.

use crate::linalg::gemm::matmul;
use crate::linalg::matrix::{Matrix, shape_mismatch};
use crate::num::{Real, log2};

/// Terms of the series behind A: for |A| ≤ 1 what is left out is below 1/19! < 1e-17.
const TERMS: usize = 18;

/// exp(A) = Σ_k A^k/k!, by scaling and squaring: exp(A) = exp(A/2^s)^(2^s), |A/2^s|₁ ≤ 1.   A: n×n.
///
/// An error of about n ε |A| exp(|A|), much less for skew A. NaN where A is not finite. Panics where A is not square.
/// Source: Moler and Van Loan, Nineteen dubious ways (SIAM Review, 2003), method 3.
#[track_caller]
pub fn expm<T: Real>(a: &Matrix<T>) -> Matrix<T> {
    let n = a.rows();
    if a.cols() != n {
        shape_mismatch("expm", a.shape(), (n, n));
    }
    if !a.is_finite() {
        return Matrix::filled(n, n, T::NAN);
    }
    let column = |j: usize| (0..n).map(|i| a[(i, j)].abs().to_f64()).sum::<f64>();
    let norm = (0..n).map(column).fold(0.0, f64::max);
    let squarings = if norm > 1.0 { log2(norm).ceil() as i32 } else { 0 };
    let scaled = a.map(|x| T::from_f64(x.to_f64() * 0.5f64.powi(squarings)));
    // Horner: I + A (I + A/2 (I + A/3 (…)))
    let mut sum = Matrix::identity(n);
    for k in (1..=TERMS).rev() {
        let mut next = matmul(&scaled, &sum).map(|x| x / T::from_usize(k));
        (0..n).for_each(|i| next[(i, i)] += T::ONE);
        sum = next;
    }
    for _ in 0..squarings {
        sum = matmul(&sum, &sum);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::SymmetricEigen;
    use crate::rng::{Purpose, normal_matrix};

    fn distance(a: &Matrix, b: &Matrix) -> f64 {
        let pairs = a.as_slice().iter().zip(b.as_slice());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / b.as_slice().iter().fold(1.0, |m, b| b.abs().max(m))
    }

    /// Checks exp of symmetric matrices against their eigenvalues, exp of rotations against cos and sin up to 30 turns, a nilpotent
    /// matrix against its polynomial, exp(A) exp(-A) = I and exp(2A) = exp(A)², all to 1e-12 relative to the largest entry; and that
    /// NaN in is NaN out.
    #[test]
    fn identities() {
        for n in [1, 2, 5, 9] {
            let g: Matrix = normal_matrix(3, Purpose::Check, n as u64, n, n);
            let symmetric = Matrix::from_fn(n, n, |i, j| g[(i, j)] + g[(j, i)]);
            let exact = SymmetricEigen::of(&symmetric, "a").unwrap().map(f64::exp);
            assert!(distance(&expm(&symmetric), &exact) < 1e-12, "n = {n}");
            let inverse = expm(&g.map(|x| -x));
            assert!(distance(&matmul(&expm(&g), &inverse), &Matrix::identity(n)) < 1e-12, "n = {n}");
            let square = matmul(&expm(&g), &expm(&g));
            assert!(distance(&expm(&g.map(|x| 2.0 * x)), &square) < 1e-12, "n = {n}");
            let upper = Matrix::from_fn(n, n, |i, j| if j == i + 1 { 7.0 } else { 0.0 });
            let term = |k: usize| (1..=k).map(|k| 7.0 / k as f64).product::<f64>();
            let exact = Matrix::from_fn(n, n, |i, j| if j >= i { term(j - i) } else { 0.0 });
            assert!(distance(&expm(&upper), &exact) < 1e-12, "n = {n}");
        }
        for angle in [1e-9, 0.4, 3.0, 200.0] {
            let (s, c) = f64::sin_cos(angle);
            let turn = expm(&Matrix::from_rows(&[[0.0, -angle], [angle, 0.0]]));
            assert!(distance(&turn, &Matrix::from_rows(&[[c, -s], [s, c]])) < 1e-12, "{angle}");
        }
        assert!(expm(&Matrix::filled(2, 2, f64::NAN)).as_slice().iter().all(|x| x.is_nan()));
    }
}
