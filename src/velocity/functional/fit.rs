//! Fields of few parameters: the maximum of E[⟨s_p, f⟩ + div f - g(f)] over constants and over affine maps.

use super::young::Young;
use crate::Result;
use crate::linalg::{Cholesky, Matrix};
use crate::num::powf;

/// Newton steps at most; the objective is concave and smooth but at f = 0.
const MOST_STEPS: usize = 100;
/// |f| below this share of its root mean square counts as it in a second derivative: |f|^{p-2} has no bound for p < 2.
const SMALLEST: f64 = 1e-9;

/// Added to each diagonal entry of a moment matrix, as a share of it: features may depend on each other.
const RIDGE: f64 = 1e-14;

/// f = ∇g*(E s_p): the constant of the greatest value.   score: n×d, n×d out.
pub(super) fn constants(young: &Young, score: &Matrix) -> Matrix {
    let c: Vec<f64> = score.column_means().iter().enumerate().map(|(k, s)| young.velocity(*s, k)).collect();
    Matrix::from_fn(score.rows(), score.cols(), |_, k| c[k])
}

/// f(x) = Ax + c of the greatest value, coordinate by coordinate, by Newton's method with halved steps.   x, score: n×d, n×d out.
///
/// For p = 2 and m = 1 it is A = -C⁻¹ + …: the affine estimate of ∇ log(p/q), exact where both are Gaussian.
pub(super) fn affine(young: &Young, x: &Matrix, score: &Matrix) -> Result<Matrix> {
    let (n, d) = x.shape();
    let mean = x.column_means();
    // in centred coordinates, with a column of ones
    let design = Matrix::from_fn(n, d + 1, |i, j| if j < d { x[(i, j)] - mean[j] } else { 1.0 });
    let mut out = Matrix::zeros(n, d);
    for k in 0..d {
        let linear: Vec<f64> = (0..=d)
            .map(|j| {
                let sum: f64 = (0..n).map(|i| score[(i, k)] * design[(i, j)]).sum();
                sum / n as f64 + if j == k { 1.0 } else { 0.0 }
            })
            .collect();
        let values = |a: &[f64]| -> Vec<f64> {
            design.iter_rows().map(|row| row.iter().zip(a).map(|(x, a)| x * a).sum()).collect()
        };
        let objective = |a: &[f64], u: &[f64]| -> f64 {
            let dot: f64 = linear.iter().zip(a).map(|(l, a)| l * a).sum();
            dot - u.iter().map(|u| young.cost(*u, k)).sum::<f64>() / n as f64
        };
        // the maximum of p = 2, from the Hessian without weights
        let mut a = newton(&design, &linear, &vec![1.0; n])?;
        let gain: f64 = linear.iter().zip(&a).map(|(l, a)| l * a).sum();
        let cost = values(&a).iter().map(|u| young.cost(*u, k)).sum::<f64>() / n as f64;
        let multiple = match young.p() {
            // and the best multiple of it: τ ⟨l, a⟩ - τᵖ E g is greatest at τ^(p-1) = ⟨l, a⟩/(p E g)
            Some(p) => powf(gain / (p * cost), 1.0 / (p - 1.0)),
            // where g may grow like an exponential function, no further than 1
            None => values(&a).iter().fold(young.scale(k), |m, u| m.min(young.scale(k) / u.abs())),
        };
        let multiple = if multiple > 0.0 && multiple.is_finite() { multiple } else { young.scale(k) };
        a.iter_mut().for_each(|a| *a *= multiple);
        let mut u = values(&a);
        for _ in 0..MOST_STEPS {
            let slopes: Vec<f64> = u.iter().map(|u| young.gradient(*u, k)).collect();
            let gradient: Vec<f64> = (0..=d)
                .map(|j| linear[j] - (0..n).map(|i| slopes[i] * design[(i, j)]).sum::<f64>() / n as f64)
                .collect();
            let typical = (u.iter().map(|u| u * u).sum::<f64>() / n as f64).sqrt();
            let curvature = |u: &f64| {
                let size = u.abs().max(SMALLEST * typical);
                young.curvature(size, k)
            };
            let step = newton(&design, &gradient, &u.iter().map(curvature).collect::<Vec<f64>>())?;
            let (before, mut length) = (objective(&a, &u), 1.0);
            let moved = loop {
                let b: Vec<f64> = a.iter().zip(&step).map(|(a, s)| a + length * s).collect();
                let v = values(&b);
                if objective(&b, &v) > before {
                    break Some((b, v));
                }
                length *= 0.5;
                if length < 1e-10 {
                    break None;
                }
            };
            let Some(moved) = moved else { break };
            (a, u) = moved;
        }
        u.iter().enumerate().for_each(|(i, u)| out[(i, k)] = *u);
    }
    Ok(out)
}

/// The solution of E[weight x xᵀ] a = right.
fn newton(design: &Matrix, right: &[f64], weight: &[f64]) -> Result<Vec<f64>> {
    let (n, size) = design.shape();
    let entry =
        |a: usize, b: usize| (0..n).map(|i| weight[i] * design[(i, a)] * design[(i, b)]).sum::<f64>() / n as f64;
    let full = Matrix::from_fn(size, size, |a, b| entry(a.min(b), a.max(b)));
    // a feature that is 0 everywhere has no coefficient
    let diagonal = |a: usize| if full[(a, a)] > 0.0 { (1.0 + RIDGE) * full[(a, a)] } else { 1.0 };
    let moment = Matrix::from_fn(size, size, |a, b| if a == b { diagonal(a) } else { full[(a, b)] });
    let inverse = Cholesky::factor(&moment, "second moments of the particles")?.inverse();
    Ok((0..size).map(|a| inverse.row(a).iter().zip(right).map(|(i, r)| i * r).sum()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Purpose, normal_matrix};

    /// Checks that the affine field in units c times as large is c^(1-q) times the field, for c from 1e-15 to 1e15 and p on both sides of 2, to
    /// 1e-7 of its root mean square: the gradient of the objective has 1e-14 of rounding, and the root of that is where its maximum is flat.
    #[test]
    fn units_do_not_matter() {
        let (x, noise): (Matrix, Matrix) =
            (normal_matrix(1, Purpose::Check, 0, 40, 2), normal_matrix(1, Purpose::Check, 1, 40, 2));
        let score = Matrix::from_fn(40, 2, |i, k| noise[(i, k)] - x[(i, k)]);
        for p in [1.5, 3.0] {
            let young = Young::new(p, Vec::new()).unwrap();
            let plain = affine(&young, &x, &score).unwrap();
            let size = (plain.as_slice().iter().map(|f| f * f).sum::<f64>() / 80.0).sqrt();
            for c in [1e-15, 1e15] {
                let there = affine(&young, &x.map(|v| c * v), &score.map(|s| s / c)).unwrap();
                let back = powf(c, young.q().unwrap() - 1.0);
                for (a, b) in there.as_slice().iter().zip(plain.as_slice()) {
                    assert!((back * a - b).abs() < 1e-7 * size, "p = {p}, c = {c:e}: {} {b}", back * a);
                }
            }
        }
    }
}
