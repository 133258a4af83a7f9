//! Conjugate gradients for a positive definite map that is known by its products.

use crate::linalg::dot;

/// x with A x ≈ b from x = 0, after at most `most` products.   b: n.
///
/// Ends where rᵀ M r, r = b - A x, is at most `share`² of what it began with; `scaled` is M, a positive semidefinite approximation of A⁻¹, and
/// where M r = 0 nothing moves. Ends too where A has a direction of no curvature. Source: Hestenes and Stiefel, 1952.
pub(crate) fn conjugate_gradients(
    b: &[f64],
    product: impl Fn(&[f64]) -> Vec<f64>,
    scaled: impl Fn(&[f64]) -> Vec<f64>,
    share: f64,
    most: usize,
) -> Vec<f64> {
    let (mut x, mut residual) = (vec![0.0; b.len()], b.to_vec());
    let mut z = scaled(&residual);
    let mut direction = z.clone();
    let mut size = dot(&residual, &z);
    let enough = share * share * size;
    for _ in 0..most {
        if size <= enough {
            break;
        }
        let image = product(&direction);
        let curvature = dot(&direction, &image);
        if curvature <= 0.0 {
            break;
        }
        let length = size / curvature;
        x.iter_mut().zip(&direction).for_each(|(x, d)| *x += length * d);
        residual.iter_mut().zip(&image).for_each(|(r, a)| *r -= length * a);
        z = scaled(&residual);
        let next = dot(&residual, &z);
        direction.iter_mut().zip(&z).for_each(|(d, z)| *d = z + next / size * *d);
        size = next;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{Cholesky, Matrix, matmul};
    use crate::rng::{Purpose, normal_matrix};

    /// Checks n steps against Cholesky's factor for G Gᵀ + I, plain and scaled by the diagonal: κ ε of the answer, κ below 1e3; and that 0 is
    /// answered by 0 and a map of no curvature by what was found before it.
    #[test]
    fn as_by_a_factor() {
        let n = 12;
        let g: Matrix = normal_matrix(3, Purpose::Check, 1, n, n);
        let gram = matmul(&g, &g.transpose());
        let a = Matrix::from_fn(n, n, |i, j| gram[(i, j)] + f64::from(u8::from(i == j)));
        let b: Vec<f64> = (0..n).map(|i| i as f64 - 3.0).collect();
        let exact = Cholesky::factor(&a, "a test's matrix").unwrap().solve(&b);
        let product = |x: &[f64]| -> Vec<f64> { (0..n).map(|i| dot(a.row(i), x)).collect() };
        let plain = conjugate_gradients(&b, product, <[f64]>::to_vec, 1e-14, 4 * n);
        let scaled = |r: &[f64]| -> Vec<f64> { r.iter().enumerate().map(|(i, r)| r / a[(i, i)]).collect() };
        let by_diagonal = conjugate_gradients(&b, product, scaled, 1e-14, 4 * n);
        let size = dot(&exact, &exact).sqrt();
        for x in [plain, by_diagonal] {
            assert!(x.iter().zip(&exact).all(|(x, e)| (x - e).abs() < 1e-11 * size), "{x:?} {exact:?}");
        }
        assert_eq!(conjugate_gradients(&vec![0.0; n], product, <[f64]>::to_vec, 1e-9, n), vec![0.0; n]);
        assert_eq!(conjugate_gradients(&b, |x| vec![0.0; x.len()], <[f64]>::to_vec, 1e-9, n), vec![0.0; n]);
    }
}
