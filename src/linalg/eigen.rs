//! Eigenvalues and eigenvectors of symmetric matrices.

use crate::Result;
use crate::linalg::matrix::Matrix;
use crate::linalg::symmetric::check_symmetric;
use crate::num::Real;

/// More sweeps than Jacobi's method needs at any size in reach: it converges quadratically, in 5 to 10.
const MAX_SWEEPS: usize = 60;

/// A = Σ_k λ_k v_k v_kᵀ with λ_1 ≤ … ≤ λ_n and v_j · v_k = δ_jk.
#[derive(Debug, Clone, PartialEq)]
pub struct SymmetricEigen<T = f64> {
    /// λ, ascending.
    pub values: Vec<T>,
    /// Row k is v_k; its sign is arbitrary.
    pub vectors: Matrix<T>,
}

impl<T: Real> SymmetricEigen<T> {
    /// Cyclic Jacobi rotations until every |a_pq| ≤ ε √|a_pp a_qq| (Golub and Van Loan, section 8.5).   A: n×n; `what` names
    /// it in errors. Small eigenvalues of a positive definite matrix come out with small relative error (Demmel and Veselić, 1992).
    ///
    /// [`Error::Parameter`](crate::Error::Parameter) where A is not symmetric or not finite. Panics where A is not square.
    #[track_caller]
    pub fn of(a: &Matrix<T>, what: &str) -> Result<Self> {
        check_symmetric(a, what)?;
        let n = a.rows();
        let half = T::from_f64(0.5);
        let mut a = Matrix::from_fn(n, n, |i, j| half * a[(i, j)] + half * a[(j, i)]);
        let mut vectors = Matrix::identity(n);
        let largest = a.as_slice().iter().fold(T::ZERO, |m, x| m.max(x.abs()));
        // products of the noise that is left where an eigenvalue is zero
        let floor = T::EPSILON * T::EPSILON * largest;
        for _ in 0..MAX_SWEEPS {
            if !sweep(&mut a, &mut vectors, floor) {
                break;
            }
        }
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&i, &j| a[(i, i)].partial_cmp(&a[(j, j)]).expect("rotations of finite numbers are finite"));
        Ok(Self { values: order.iter().map(|&k| a[(k, k)]).collect(), vectors: vectors.gather_rows(&order) })
    }

    /// f(A) = Σ_k f(λ_k) v_k v_kᵀ, n×n: square root, inverse, exponential, … of a matrix. Symmetric to the last bit.
    pub fn map(&self, f: impl Fn(T) -> T) -> Matrix<T> {
        let n = self.values.len();
        let mut out = Matrix::zeros(n, n);
        for (&value, v) in self.values.iter().zip(self.vectors.iter_rows()) {
            let weight = f(value);
            for i in 0..n {
                for j in 0..n {
                    out[(i, j)] += weight * (v[i] * v[j]);
                }
            }
        }
        out
    }
}

/// One rotation for every pair p < q whose entry still matters; whether there was any.
fn sweep<T: Real>(a: &mut Matrix<T>, vectors: &mut Matrix<T>, floor: T) -> bool {
    let mut rotated = false;
    for p in 0..a.rows() {
        for q in p + 1..a.rows() {
            let off = a[(p, q)].abs();
            if off > floor && off > T::EPSILON * a[(p, p)].abs().sqrt() * a[(q, q)].abs().sqrt() {
                rotate(a, vectors, p, q);
                rotated = true;
            }
        }
    }
    rotated
}

/// A ← JᵀAJ and V ← JᵀV with the plane rotation J that makes a_pq zero.
fn rotate<T: Real>(a: &mut Matrix<T>, vectors: &mut Matrix<T>, p: usize, q: usize) {
    let off = a[(p, q)];
    let tau = (a[(q, q)] - a[(p, p)]) / (off + off);
    // the smaller root of t² + 2 τ t = 1, which turns by at most 45 degrees
    let t = T::ONE.copysign(tau) / (tau.abs() + (T::ONE + tau * tau).sqrt());
    let c = T::ONE / (T::ONE + t * t).sqrt();
    let s = t * c;
    let turn = |x: T, y: T| (c * x - s * y, s * x + c * y);
    let (app, aqq) = (a[(p, p)] - t * off, a[(q, q)] + t * off);
    for k in 0..a.rows() {
        let (x, y) = turn(a[(p, k)], a[(q, k)]);
        (a[(p, k)], a[(k, p)], a[(q, k)], a[(k, q)]) = (x, x, y, y);
        let (x, y) = turn(vectors[(p, k)], vectors[(q, k)]);
        (vectors[(p, k)], vectors[(q, k)]) = (x, y);
    }
    (a[(p, p)], a[(q, q)], a[(p, q)], a[(q, p)]) = (app, aqq, T::ZERO, T::ZERO);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::matmul;
    use crate::rng::{Purpose, normal_matrix};

    /// Largest |entry|.
    fn size(a: &Matrix) -> f64 {
        a.as_slice().iter().fold(0.0, |m, x| m.max(x.abs()))
    }

    fn difference(a: &Matrix, b: &Matrix) -> f64 {
        size(&Matrix::from_fn(a.rows(), a.cols(), |i, j| a[(i, j)] - b[(i, j)]))
    }

    /// Checks A = Σ λ v vᵀ and v_j · v_k = δ_jk to 40 n ε max(|A|, 1) (a few sweeps of backward stable rotations), ascending order, and
    /// a symmetric f(A), for normal, zero, rank-one, repeated, zero-block and zero-diagonal matrices, n = 0 … 100.
    #[test]
    fn definition() {
        let symmetric = |n: usize| {
            let g: Matrix = normal_matrix(9, Purpose::Check, n as u64, n, n);
            Matrix::from_fn(n, n, |i, j| g[(i, j)] + g[(j, i)])
        };
        let mut cases: Vec<Matrix> = [0, 1, 2, 3, 10, 40, 100].map(symmetric).into();
        cases.extend([
            Matrix::zeros(3, 3),
            Matrix::filled(5, 5, 0.1),
            Matrix::identity(4),
            symmetric(8).map(|x| 1e150 * x),
        ]);
        cases.push(Matrix::from_rows(&[[0.0, 1.0], [1.0, 0.0]]));
        cases.push(Matrix::from_fn(8, 8, |i, j| if i / 4 == j / 4 { 0.0 } else { ((i + j) as f64).cos() }));
        for a in &cases {
            let n = a.rows();
            let eigen = SymmetricEigen::of(a, "test matrix").unwrap();
            assert!(eigen.values.is_sorted());
            let back = eigen.map(|x| x);
            assert_eq!(back, back.transpose());
            let tolerance = 40.0 * n as f64 * f64::EPSILON;
            assert!(difference(&back, a) <= tolerance * size(a), "n = {n}: {:e}", difference(&back, a));
            let gram = matmul(&eigen.vectors, &eigen.vectors.transpose());
            assert!(difference(&gram, &Matrix::identity(n)) <= tolerance, "n = {n}");
        }
    }

    /// Checks the eigenvalues 2 - 2 cos(kπ/(n+1)) of the second-difference matrix to 10 n ε, and trace = Σ λ.
    #[test]
    fn second_difference_matrix() {
        for n in [1, 2, 5, 30, 80] {
            let a = Matrix::from_fn(n, n, |i, j| [2.0, -1.0, 0.0][i.abs_diff(j).min(2)]);
            let eigen = SymmetricEigen::of(&a, "second difference").unwrap();
            for (k, value) in eigen.values.iter().enumerate() {
                let exact = 2.0 - 2.0 * ((k + 1) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
                assert!((value - exact).abs() <= 10.0 * n as f64 * f64::EPSILON, "n = {n} k = {k}");
            }
            assert!((eigen.values.iter().sum::<f64>() - 2.0 * n as f64).abs() <= 10.0 * (n * n) as f64 * f64::EPSILON);
        }
    }

    /// Checks relative accuracy of tiny eigenvalues: D B D with D = diag(1, 1e-10, 1e-20) and well-conditioned B has smallest
    /// eigenvalue 1e-40 · det B / det B' up to a relative 1e-20, B' the leading 2×2 block; a normwise method returns noise.
    #[test]
    fn graded_matrix() {
        let b = Matrix::from_rows(&[[2.0, 1.0, 0.5], [1.0, 2.0, 1.0], [0.5, 1.0, 2.0]]);
        let d = [1.0, 1e-10, 1e-20];
        let a = Matrix::from_fn(3, 3, |i, j| d[i] * b[(i, j)] * d[j]);
        let values = SymmetricEigen::of(&a, "graded").unwrap().values;
        let (det3, det2) = (2.0 * 3.0 - (2.0 - 0.5) + 0.5 * (1.0 - 1.0), 3.0);
        let exact = 1e-40 * det3 / det2;
        assert!((values[0] / exact - 1.0).abs() <= 100.0 * f64::EPSILON, "{} {exact}", values[0]);
    }

    /// Checks √A √A = A, exp and log as inverses of each other, to 100 n ε |A|, and the refusal of an asymmetric matrix.
    #[test]
    fn matrix_functions() {
        let g: Matrix = normal_matrix(10, Purpose::Check, 0, 6, 6);
        let mut a = Matrix::identity(6);
        crate::linalg::gemm(1.0, g.view(), g.t(), 1.0, &mut a);
        let tolerance = 600.0 * f64::EPSILON * size(&a);
        let root = SymmetricEigen::of(&a, "a").unwrap().map(f64::sqrt);
        assert!(difference(&matmul(&root, &root), &a) <= tolerance);
        let log = SymmetricEigen::of(&a, "a").unwrap().map(f64::ln);
        assert!(difference(&SymmetricEigen::of(&log, "log a").unwrap().map(f64::exp), &a) <= tolerance);
        assert!(SymmetricEigen::of(&g, "g").is_err());
    }
}
