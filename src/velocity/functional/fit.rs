//! Fields of few parameters: the maximum of E[⟨s_p, f⟩ + div f - g(f)] over constants and over affine maps.

use super::young::Young;
use crate::Result;
use crate::linalg::{Cholesky, Matrix};

/// Newton steps at most; the objective is concave and smooth but at f = 0.
const MOST_STEPS: usize = 100;
/// |f| below this counts as this in a second derivative: |f|^{p-2} has no bound for p < 2.
const SMALLEST: f64 = 1e-9;

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
        a.iter_mut().for_each(|a| *a *= young.scale(k));
        let mut u = values(&a);
        for _ in 0..MOST_STEPS {
            let slopes: Vec<f64> = u.iter().map(|u| young.gradient(*u, k)).collect();
            let gradient: Vec<f64> = (0..=d)
                .map(|j| linear[j] - (0..n).map(|i| slopes[i] * design[(i, j)]).sum::<f64>() / n as f64)
                .collect();
            let curvature = |u: &f64| {
                let size = u.abs().max(SMALLEST);
                (young.p() - 1.0) * young.gradient(size, k) / size
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
    let ridge = 1e-14 * (0..size).map(|a| full[(a, a)]).sum::<f64>();
    let moment = Matrix::from_fn(size, size, |a, b| full[(a, b)] + if a == b { ridge } else { 0.0 });
    let inverse = Cholesky::factor(&moment, "second moments of the particles")?.inverse();
    Ok((0..size).map(|a| inverse.row(a).iter().zip(right).map(|(i, r)| i * r).sum()).collect())
}
