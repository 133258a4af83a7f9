//! Configurations of particles whose mean is 0, in orthonormal coordinates.

use crate::linalg::{Matrix, shape_mismatch};
use crate::{Error, Result};

/// n particles of R^k with mean 0, as points y of R^d, d = (n - 1) k, by an orthonormal chart.
///
/// Positions x = (x_0, …, x_{n-1}) are n k numbers, particle by particle. Coordinate c of all of them is Σ_m y_mc e_m with Helmert's
/// basis e_m = (1, …, 1, -m, 0, …, 0)/√(m(m+1)), m ones before -m, m = 1, …, n - 1, which is orthonormal and orthogonal to (1, …, 1).
/// So |x| = |y|, and a density in y is the density with respect to the Lebesgue measure of the subspace: no Jacobian.
///
/// Source: H. O. Lancaster, "The Helmert matrices" (American Mathematical Monthly, 1965).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeanFree {
    /// n ≥ 2.
    pub particles: usize,
    /// k ≥ 1.
    pub dim: usize,
}

impl MeanFree {
    /// n k: numbers of one configuration.
    pub fn positions_dim(&self) -> usize {
        self.particles * self.dim
    }

    /// d = (n - 1) k.
    pub fn free_dim(&self) -> usize {
        (self.particles - 1) * self.dim
    }

    /// x ← the positions of y.   y: d, x: n k.
    pub fn positions_of(&self, y: &[f64], x: &mut [f64]) {
        let k = self.dim;
        for c in 0..k {
            // Σ over m > i of y_m/√(m(m+1)), from the last particle to the first
            let mut tail = 0.0;
            for i in (0..self.particles).rev() {
                let own = if i == 0 { 0.0 } else { y[(i - 1) * k + c] / norm(i) };
                x[i * k + c] = tail - i as f64 * own;
                tail += own;
            }
        }
    }

    /// y ← the coordinates of x less its mean; the transpose of [`MeanFree::positions_of`], so it also takes a gradient in x to the one
    /// in y.   x: n k, y: d.
    pub fn coordinates_of(&self, x: &[f64], y: &mut [f64]) {
        let k = self.dim;
        for c in 0..k {
            let mut sum = x[c];
            for m in 1..self.particles {
                y[(m - 1) * k + c] = (sum - m as f64 * x[m * k + c]) / norm(m);
                sum += x[m * k + c];
            }
        }
    }

    /// The positions of each row.   y: N×d → N×n k. Panics on another number of columns.
    pub fn positions(&self, y: &Matrix) -> Matrix {
        self.rows(y, self.free_dim(), self.positions_dim(), Self::positions_of)
    }

    /// The coordinates of each row less its mean.   x: N×n k → N×d. Panics on another number of columns.
    pub fn coordinates(&self, x: &Matrix) -> Matrix {
        self.rows(x, self.positions_dim(), self.free_dim(), Self::coordinates_of)
    }

    /// The same, where each row must have mean 0 but for rounding: numbers that were rounded to `unit` of their size, in arithmetic of
    /// that precision, may be off by 16 n `unit` of the largest. `Error::Unsupported` names the first row (from 1) that is not, with its mean.
    pub fn coordinates_of_rounded(&self, x: &Matrix, unit: f64) -> Result<Matrix> {
        let n = self.particles as f64;
        for (row, x) in x.iter_rows().enumerate() {
            let largest = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
            let mean = |c: usize| x.iter().skip(c).step_by(self.dim).sum::<f64>() / n;
            if let Some(c) = (0..self.dim).find(|&c| mean(c).abs() > 16.0 * n * unit * largest) {
                return Err(Error::Unsupported {
                    what: format!("row {}: coordinate {} of the particles has mean {}", row + 1, c + 1, mean(c)),
                    remedy: "the target lives where it is 0: subtract the mean of the particles from each configuration",
                });
            }
        }
        Ok(self.coordinates(x))
    }

    fn rows(&self, from: &Matrix, cols: usize, out: usize, f: fn(&Self, &[f64], &mut [f64])) -> Matrix {
        if from.cols() != cols {
            shape_mismatch("mean-free configurations", from.shape(), (from.rows(), cols));
        }
        let mut to = Matrix::zeros(from.rows(), out);
        for (from, to) in from.iter_rows().zip(to.as_mut_slice().chunks_exact_mut(out)) {
            f(self, from, to);
        }
        to
    }
}

/// √(m(m+1)).
fn norm(m: usize) -> f64 {
    ((m * (m + 1)) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks that the chart is orthonormal and mean-free and that both ways are inverse to each other, to 100 ε.
    #[test]
    fn orthonormal() {
        for space in [MeanFree { particles: 4, dim: 2 }, MeanFree { particles: 13, dim: 3 }] {
            let d = space.free_dim();
            let basis = space.positions(&Matrix::identity(d));
            for i in 0..d {
                for j in 0..d {
                    let dot: f64 = basis.row(i).iter().zip(basis.row(j)).map(|(a, b)| a * b).sum();
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!((dot - expected).abs() < 100.0 * f64::EPSILON, "{i} {j}: {dot}");
                }
                for c in 0..space.dim {
                    let mean: f64 = basis.row(i).iter().skip(c).step_by(space.dim).sum();
                    assert!(mean.abs() < 100.0 * f64::EPSILON, "{mean}");
                }
            }
            let y: Matrix = normal_matrix(3, Purpose::Check, 0, 5, d);
            let back = space.coordinates_of_rounded(&space.positions(&y), 0.5 * f64::EPSILON).unwrap();
            assert!(back.as_slice().iter().zip(y.as_slice()).all(|(a, b)| (a - b).abs() < 100.0 * f64::EPSILON));
        }
    }

    /// Checks that a configuration whose mean is not 0 is refused by its row, and one that was rounded to single precision is not.
    #[test]
    fn mean_must_be_zero() {
        let space = MeanFree { particles: 4, dim: 2 };
        let x = space.positions(&normal_matrix(4, Purpose::Check, 0, 200, 6));
        let single = x.map(|v| f64::from(v as f32));
        assert!(space.coordinates_of_rounded(&single, 2f64.powi(-24)).is_ok());
        let mut moved = x;
        moved[(7, 1)] += 0.01;
        let said = space.coordinates_of_rounded(&moved, 2f64.powi(-24)).unwrap_err().to_string();
        assert!(said.contains("row 8") && said.contains("0.0025"), "{said}");
    }
}
