//! Distances between sets of configurations of particles: by energies, by distances of pairs, and up to symmetry.

use crate::density::MeanFree;
use crate::linalg::{Matrix, shape_mismatch};
use crate::metric::assign;
use rayon::prelude::*;

/// Bins of a histogram.
const BINS: usize = 200;

/// Where the 200 equal bins of [`histogram_tv`] lie. The two conventions of the literature; their figures cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bins {
    /// From the least to the largest value of the reference: iDEM (Akhound-Sadegh et al., ICML 2024), DiKL (He et al., AISTATS 2025).
    OfReference,
    /// On [-100, 100], width 1, whatever is counted: value-gradient samplers, `swyoon/value-gradient-sampler`.
    Fixed,
}

/// ½ Σ_b |h_b - g_b|, the total variation of two histograms, each divided by its own sum; a value in no bin is left out, as in the
/// codes of the literature, and where no value of x is in a bin the figure is 1.
pub fn histogram_tv(x: &[f64], reference: &[f64], bins: Bins) -> f64 {
    let (low, high) = match bins {
        Bins::Fixed => (-100.0, 100.0),
        Bins::OfReference => {
            reference.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)))
        }
    };
    let histogram = |values: &[f64]| {
        let mut counts = vec![0.0; BINS];
        for &v in values.iter().filter(|v| (low..=high).contains(*v)) {
            // the last bin has its upper end
            counts[(((v - low) / (high - low) * BINS as f64) as usize).min(BINS - 1)] += 1.0;
        }
        let total: f64 = counts.iter().sum();
        counts.iter_mut().for_each(|c| *c /= total.max(1.0));
        (counts, total)
    };
    let ((h, inside), (g, _)) = (histogram(x), histogram(reference));
    if inside == 0.0 { 1.0 } else { 0.5 * h.iter().zip(&g).map(|(a, b)| (a - b).abs()).sum::<f64>() }
}

/// W₂ of two sets of configurations, √(min_π (1/N) Σ_i c(x_i, y_π(i))), where c(x, y) = min over turns and reflections R of
/// Σ_p |x_p - R y_σ(p)|² with σ the best numbering of the particles before any turn.
///
/// So σ and R are not found together: an upper bound of the distance up to symmetry, and the figure that the literature gives as W₂ (Klein,
/// Krämer, Noé, NeurIPS 2023; adjoint sampling, Havens et al., 2025).   x, y: N×d in the coordinates of `space`, k = 2 or 3. O(N² n³ + N³).
pub fn aligned_wasserstein2(space: MeanFree, x: &Matrix, y: &Matrix) -> f64 {
    if x.shape() != y.shape() {
        shape_mismatch("aligned_wasserstein2", x.shape(), y.shape());
    }
    let (rows, x, y) = (x.rows(), space.positions(x), space.positions(y));
    let mut costs = Matrix::zeros(rows, rows);
    costs.as_mut_slice().par_chunks_mut(rows.max(1)).enumerate().for_each(|(i, out)| {
        for (j, out) in out.iter_mut().enumerate() {
            *out = aligned_cost(space, x.row(i), y.row(j));
        }
    });
    (assign(&costs).cost / rows.max(1) as f64).sqrt()
}

/// c(x, y) = |x|² + |y|² - 2 |M|_*, M = Σ_p x_p y_σ(p)ᵀ, |M|_* the sum of its singular values (Kabsch).
fn aligned_cost(space: MeanFree, x: &[f64], y: &[f64]) -> f64 {
    let squares: f64 = x.iter().chain(y).map(|v| v * v).sum();
    (squares - 2.0 * nuclear_norm(product(space, x, y, &numbering(space, x, y)))).max(0.0)
}

/// σ, the best numbering of the particles of y for those of x.   x, y: n k.
fn numbering(space: MeanFree, x: &[f64], y: &[f64]) -> Vec<usize> {
    let (n, k) = (space.particles, space.dim);
    let square = |p: usize, q: usize| (0..k).map(|c| (x[p * k + c] - y[q * k + c]).powi(2)).sum();
    assign(&Matrix::from_fn(n, n, square)).columns
}

/// M = Σ_p x_p y_σ(p)ᵀ, k×k in the corner, k ≤ 3.
fn product(space: MeanFree, x: &[f64], y: &[f64], order: &[usize]) -> [[f64; 3]; 3] {
    let k = space.dim;
    let mut m = [[0.0; 3]; 3];
    for (p, &q) in order.iter().enumerate() {
        for a in 0..k {
            for b in 0..k {
                m[a][b] += x[p * k + a] * y[q * k + b];
            }
        }
    }
    m
}

/// y renumbered, and in up to 3 dimensions turned or reflected, so that it is near x, twice over: up to symmetry it is y still.   x, y: n k.
pub(crate) fn aligned(space: MeanFree, x: &[f64], y: &[f64]) -> Vec<f64> {
    let k = space.dim;
    let mut y = y.to_vec();
    for _ in 0..2 {
        let order = numbering(space, x, &y);
        let turn = (k <= 3).then(|| orthogonal_part(product(space, x, &y, &order), k));
        let moved = |q: &usize| {
            let own = &y[q * k..(q + 1) * k];
            match turn {
                Some(turn) => (0..k).map(|a| (0..k).map(|b| turn[a][b] * own[b]).sum()).collect::<Vec<f64>>(),
                None => own.to_vec(),
            }
        };
        y = order.iter().flat_map(moved).collect();
    }
    y
}

/// The cofactor of m_ij.
fn cofactor(m: &[[f64; 3]; 3], i: usize, j: usize) -> f64 {
    let (a, b, c, d) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
    m[a][c] * m[b][d] - m[a][d] * m[b][c]
}

/// det m.
fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    (0..3).map(|j| m[0][j] * cofactor(m, 0, j)).sum()
}

/// The orthogonal matrix nearest to a k×k one in the corner of m, by Newton's iteration m ← (m + m⁻ᵀ)/2 (Higham, 1986); m itself where
/// it has no inverse.
fn orthogonal_part(mut m: [[f64; 3]; 3], k: usize) -> [[f64; 3]; 3] {
    (k..3).for_each(|c| m[c][c] = 1.0);
    for _ in 0..60 {
        let det = determinant(&m);
        if det == 0.0 {
            break;
        }
        let next: [[f64; 3]; 3] =
            std::array::from_fn(|i| std::array::from_fn(|j| 0.5 * (m[i][j] + cofactor(&m, i, j) / det)));
        let moved: f64 = (0..9).map(|c: usize| (next[c / 3][c % 3] - m[c / 3][c % 3]).abs()).sum();
        m = next;
        if moved < 1e-12 {
            break;
        }
    }
    m
}

/// Σ of the singular values of a 3×3 matrix (a 2×2 one stands in its corner).
fn nuclear_norm(m: [[f64; 3]; 3]) -> f64 {
    // Σσ² is the square sum of M, Σσ²σ'² that of its 2×2 minors, σσ'σ'' = |det M|
    let dot = |i: usize, j: usize| (0..3).map(|r| m[r][i] * m[r][j]).sum::<f64>();
    let trace = dot(0, 0) + dot(1, 1) + dot(2, 2);
    let minors = (0..3).map(|i| (0..3).map(|r| cofactor(&m, r, i).powi(2)).sum::<f64>()).sum::<f64>();
    let det = determinant(&m);
    // e₁ = Σσ solves e₁² = trace + 2 e₂, e₂ = Σσσ' solves e₂² = minors + 2 |det| e₁: reached from below, by a factor of at most 1/9 a turn
    let (mut e1, mut e2) = (trace.sqrt(), minors.sqrt());
    for _ in 0..200 {
        let before = e1;
        e2 = (minors + 2.0 * det.abs() * e1).sqrt().max(e2);
        e1 = (trace + 2.0 * e2).sqrt();
        if e1 - before <= 1e-15 * e1 {
            break;
        }
    }
    e1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::SymmetricEigen;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks that a configuration which was renumbered and turned by less than its particles are apart comes back to 1e-9, in the plane, in space and,
    /// where it was renumbered alone, in four dimensions; and that any other one is no farther after it was aligned than before.
    #[test]
    fn symmetries_are_taken_back() {
        for dim in [2, 3, 4] {
            let space = MeanFree { particles: 5, dim };
            let centred = |unit: u64| {
                let y: Matrix = normal_matrix(9, Purpose::Check, unit, 1, space.free_dim());
                space.positions(&y).row(0).to_vec()
            };
            let (x, other) = (centred(1), centred(2));
            // a turn by 0.2 and a cycle of the numbers
            let (c, s) = if dim > 3 { (1.0, 0.0) } else { (0.2f64.cos(), 0.2f64.sin()) };
            let image = |x: &[f64]| -> Vec<f64> {
                let one = |p: usize| {
                    let own = &x[(p + 1) % 5 * dim..((p + 1) % 5 + 1) * dim];
                    let mut out = own.to_vec();
                    (out[0], out[1]) = (c * own[0] - s * own[1], s * own[0] + c * own[1]);
                    out
                };
                (0..5).flat_map(one).collect()
            };
            let far = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            assert!(far(&aligned(space, &x, &image(&x)), &x) < 1e-9, "{dim}");
            assert!(far(&aligned(space, &x, &other), &x) <= far(&other, &x) + 1e-12);
            assert!(far(&image(&x), &x) > 0.1, "the control was not moved");
        }
    }

    /// Checks the sum of the singular values against eigenvalues of MᵀM, for matrices of rank 3, 2, 1 and 0, to 1e-8 of it (the square root of
    /// an eigenvalue that is 0 up to ε).
    #[test]
    fn sum_of_singular_values() {
        for (case, scale) in [1.0, 1e-3, 0.0].into_iter().enumerate() {
            for rank in 0..=3 {
                let r: Matrix = normal_matrix(8, Purpose::Check, case as u64, 6, 3);
                let entry = |i: usize, j: usize| {
                    (0..rank).map(|k| r[(i, k)] * r[(3 + j, k)] * if k == 0 { 1.0 } else { scale }).sum::<f64>()
                };
                let m = Matrix::from_fn(3, 3, entry);
                let gram = Matrix::from_fn(3, 3, |i, j| (0..3).map(|k| m[(k, i)] * m[(k, j)]).sum::<f64>());
                let expected: f64 =
                    SymmetricEigen::of(&gram, "MᵀM").unwrap().values.iter().map(|v| v.max(0.0).sqrt()).sum();
                let found = nuclear_norm(std::array::from_fn(|i| std::array::from_fn(|j| m[(i, j)])));
                assert!((found - expected).abs() <= 1e-7 * expected.max(1e-300), "{case} {rank}: {found} {expected}");
            }
        }
    }
}
