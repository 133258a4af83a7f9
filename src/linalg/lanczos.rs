//! Lanczos' method: functions and extreme eigenvalues of a symmetric map that is known by its products.

use crate::Result;
use crate::linalg::{Matrix, SymmetricEigen, dot};

/// The symmetric map restricted to the span of v, Av, …, A^{m-1}v: A ≈ Q T Qᵀ.
pub struct Lanczos {
    /// q_1 … q_m in the rows, m×n.
    basis: Matrix,
    /// Eigenvalues and eigenvectors of T.
    small: SymmetricEigen,
    /// |v|.
    size: f64,
}

/// A new direction below this, relative to the largest product, ends the space: it is invariant.
const INVARIANT: f64 = 1e-13;

impl Lanczos {
    /// At most `steps` products from v (n), every new direction made orthogonal to all before, twice. The space of v = 0 is empty.
    pub fn new(v: &[f64], steps: usize, mut product: impl FnMut(&[f64]) -> Vec<f64>) -> Result<Self> {
        let n = v.len();
        let size = norm(v);
        let (mut basis, mut diagonal, mut off): (Vec<Vec<f64>>, Vec<f64>, Vec<f64>) = Default::default();
        let mut next: Vec<f64> = v.iter().map(|v| v / size).collect();
        let mut largest = 0.0f64;
        while size > 0.0 && basis.len() < steps.min(n) {
            let mut w = product(&next);
            largest = largest.max(norm(&w));
            diagonal.push(dot(&next, &w));
            basis.push(next);
            for _ in 0..2 {
                for q in &basis {
                    let c = dot(q, &w);
                    w.iter_mut().zip(q).for_each(|(w, q)| *w -= c * q);
                }
            }
            let length = norm(&w);
            if length <= INVARIANT * largest {
                break;
            }
            off.push(length);
            next = w.iter().map(|w| w / length).collect();
        }
        let m = basis.len();
        let small = Matrix::from_fn(m, m, |i, j| match i.abs_diff(j) {
            0 => diagonal[i],
            1 => off[i.min(j)],
            _ => 0.0,
        });
        let basis = Matrix::from_vec(m, n, basis.concat());
        Ok(Self { basis, small: SymmetricEigen::of(&small, "Lanczos' matrix")?, size })
    }

    /// f(A) v ≈ |v| Q f(T) e_1, n.
    pub fn apply(&self, f: impl Fn(f64) -> f64) -> Vec<f64> {
        let (m, n) = self.basis.shape();
        let mut out = vec![0.0; n];
        for i in 0..m {
            let pairs = self.small.values.iter().zip(self.small.vectors.iter_rows());
            let weight: f64 = pairs.map(|(value, z)| f(*value) * z[0] * z[i]).sum();
            out.iter_mut().zip(self.basis.row(i)).for_each(|(o, q)| *o += self.size * weight * q);
        }
        out
    }

    /// Eigenvalues of T, ascending: the extreme ones converge first to those of A.
    pub fn values(&self) -> &[f64] {
        &self.small.values
    }
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}
