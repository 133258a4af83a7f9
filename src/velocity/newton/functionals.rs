//! Functionals of a cloud with their Wasserstein gradients and Hessian actions.

use crate::linalg::{Matrix, matmul};
use crate::num::{cos, sin, tanh};
use std::f64::consts::PI;

/// F on the empirical law of N particles x (N×d).
///
/// Gradient and Hessian are those of Wasserstein space: N times the derivatives of F_N(x_1, …, x_N). F((id + hu)#μ) =
/// F + h ⟨v, u⟩ + (h²/2) ⟨u, Hu⟩ + O(h³) with ⟨a, b⟩ = (1/N) Σ a_i·b_i.
pub trait Functional: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// F.
    fn value(&self, x: &Matrix) -> f64;
    /// v, N×d.
    fn gradient(&self, x: &Matrix) -> Matrix;
    /// Hu, N×d.
    fn hessian(&self, x: &Matrix, u: &Matrix) -> Matrix;
    /// The part of Hu that couples particles, (1/N) Σ_j M_ij u_j with M_ij = ∇_x ∇_y δ²F/δμ²(x_i, x_j); the rest, D_i u_i with D = ∇²δF/δμ, is
    /// each particle's own.
    fn coupling(&self, x: &Matrix, u: &Matrix) -> Matrix;
}

/// F = (a/2) Var + β cos(π m) on the line: saddles at even m, minima at odd ones. H has a (N - 1 times) and -β π² cos(π m).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VarianceCosine {
    /// a.
    pub a: f64,
    /// β.
    pub beta: f64,
}

impl Functional for VarianceCosine {
    fn name(&self) -> &'static str {
        "variance-cosine"
    }
    fn value(&self, x: &Matrix) -> f64 {
        let m = x.column_means()[0];
        let variance = x.as_slice().iter().map(|x| (x - m).powi(2)).sum::<f64>() / x.rows() as f64;
        0.5 * self.a * variance + self.beta * cos(PI * m)
    }
    fn gradient(&self, x: &Matrix) -> Matrix {
        let m = x.column_means()[0];
        x.map(|x| self.a * (x - m) - self.beta * PI * sin(PI * m))
    }
    fn hessian(&self, x: &Matrix, u: &Matrix) -> Matrix {
        let (m, mean) = (x.column_means()[0], u.column_means()[0]);
        u.map(|u| self.a * (u - mean) - self.beta * PI * mutant!("newton-cosine-power", 1.0, PI) * cos(PI * m) * mean)
    }
    fn coupling(&self, x: &Matrix, u: &Matrix) -> Matrix {
        let (m, mean) = (x.column_means()[0], u.column_means()[0]);
        u.map(|_| -(self.a + self.beta * PI * PI * cos(PI * m)) * mean)
    }
}

/// F = ½ E W(x - y), W(z) = z⁴/4 - z²/2 on the line: a saddle where all particles are equal, minima at two atoms 1 apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuarticQuadratic;

impl Functional for QuarticQuadratic {
    fn name(&self) -> &'static str {
        "quartic-quadratic"
    }
    fn value(&self, x: &Matrix) -> f64 {
        let m = x.column_means()[0];
        let moment = |k: i32| x.as_slice().iter().map(|x| (x - m).powi(k)).sum::<f64>() / x.rows() as f64;
        // E(x - y)⁴ = 2 m₄ + 6 m₂², E(x - y)² = 2 m₂
        0.25 * moment(4) + 0.75 * moment(2).powi(2) - 0.5 * moment(2)
    }
    fn gradient(&self, x: &Matrix) -> Matrix {
        let n = x.rows() as f64;
        x.map(|a| x.as_slice().iter().map(|b| (a - b).powi(3) - (a - b)).sum::<f64>() / n)
    }
    fn hessian(&self, x: &Matrix, u: &Matrix) -> Matrix {
        let n = x.rows() as f64;
        Matrix::from_fn(x.rows(), 1, |i, _| {
            let pairs = x.as_slice().iter().zip(u.as_slice());
            pairs.map(|(b, w)| (3.0 * (x[(i, 0)] - b).powi(2) - 1.0) * (u[(i, 0)] - w)).sum::<f64>() / n
        })
    }
    fn coupling(&self, x: &Matrix, u: &Matrix) -> Matrix {
        let n = x.rows() as f64;
        x.map(|a| {
            let pairs = x.as_slice().iter().zip(u.as_slice());
            -pairs.map(|(b, w)| (3.0 * (a - b).powi(2) - 1.0) * w).sum::<f64>() / n
        })
    }
}

/// F = ¼ |AAᵀ - M|² (Frobenius) with A = E tanh W for particles W of r×2 entries, by rows: factors of a matrix M of rank 2 as means of neurons.
/// A saddle at every law symmetric about 0, minima F = 0 that are degenerate.
#[derive(Debug, Clone, PartialEq)]
pub struct TanhFactorisation {
    /// M, r×r, symmetric.
    pub product: Matrix,
}

impl TanhFactorisation {
    /// Columns of A.
    const FACTORS: usize = 2;

    /// M = u₁u₁ᵀ + ½ u₂u₂ᵀ, u₁ = 1/√r, u₂ = ±1/√r by turns: the problem of arXiv 2610.10218, appendix C, where r = 32.
    pub fn alternating(rows: usize) -> Self {
        let sign = |a: usize, b: usize| if (a + b).is_multiple_of(2) { 0.5 } else { -0.5 };
        Self { product: Matrix::from_fn(rows, rows, |a, b| (1.0 + sign(a, b)) / rows as f64) }
    }

    /// E g(W), r×2.
    fn mean(&self, x: &Matrix, g: impl Fn(usize, usize) -> f64) -> Matrix {
        let entry = |e: usize| (0..x.rows()).map(|i| g(i, e)).sum::<f64>() / x.rows() as f64;
        Matrix::from_fn(self.product.rows(), Self::FACTORS, |a, b| entry(Self::FACTORS * a + b))
    }

    /// AAᵀ - M.
    fn residual(&self, a: &Matrix) -> Matrix {
        Matrix::from_fn(a.rows(), a.rows(), |i, j| {
            (0..Self::FACTORS).map(|k| a[(i, k)] * a[(j, k)]).sum::<f64>() - self.product[(i, j)]
        })
    }
}

impl Functional for TanhFactorisation {
    fn name(&self) -> &'static str {
        "tanh-factorisation"
    }
    fn value(&self, x: &Matrix) -> f64 {
        let residual = self.residual(&self.mean(x, |i, e| tanh(x[(i, e)])));
        0.25 * residual.as_slice().iter().map(|r| r * r).sum::<f64>()
    }
    fn gradient(&self, x: &Matrix) -> Matrix {
        let a = self.mean(x, |i, e| tanh(x[(i, e)]));
        let pull = matmul(&self.residual(&a), &a);
        Matrix::from_fn(x.rows(), x.cols(), |i, e| (1.0 - tanh(x[(i, e)]).powi(2)) * pull.as_slice()[e])
    }
    fn hessian(&self, x: &Matrix, u: &Matrix) -> Matrix {
        let a = self.mean(x, |i, e| tanh(x[(i, e)]));
        let pull = matmul(&self.residual(&a), &a);
        let mut out = self.coupling(x, u);
        for i in 0..x.rows() {
            for (e, pull) in pull.as_slice().iter().enumerate() {
                let t = tanh(x[(i, e)]);
                out[(i, e)] -= 2.0 * t * (1.0 - t * t) * pull * u[(i, e)];
            }
        }
        out
    }
    /// J_i L_A E[J u], J = 1 - tanh² W, L_A B = (AAᵀ - M)B + (BAᵀ + ABᵀ)A.
    fn coupling(&self, x: &Matrix, u: &Matrix) -> Matrix {
        let slope = |i: usize, e: usize| 1.0 - tanh(x[(i, e)]).powi(2);
        let (a, b) = (self.mean(x, |i, e| tanh(x[(i, e)])), self.mean(x, |i, e| slope(i, e) * u[(i, e)]));
        let change = self.residual(&a);
        let both = Matrix::from_fn(a.rows(), a.rows(), |i, j| {
            (0..Self::FACTORS).map(|k| b[(i, k)] * a[(j, k)] + a[(i, k)] * b[(j, k)]).sum()
        });
        let (first, second) = (matmul(&change, &b), matmul(&both, &a));
        Matrix::from_fn(x.rows(), x.cols(), |i, e| slope(i, e) * (first.as_slice()[e] + second.as_slice()[e]))
    }
}
