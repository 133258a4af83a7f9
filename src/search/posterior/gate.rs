//! Unbiased estimates of ∇log p_t(x_t) from draws of p(x_0 | x_t), and the one of least variance (T32).

use super::Level;
use crate::Result;
use crate::density::{Density, evaluate};
use crate::linalg::{Cholesky, Matrix};

/// Draws of p(x_0 | x_t) as the two classic estimates of ∇log p_t(x_t): D = (a x_0 - x_t)/s² (Tweedie) and T = ∇log p(x_0)/a (target score).
#[derive(Debug, Clone, PartialEq)]
pub struct Posterior {
    /// D, in consecutive rows for each x_t: n·draws×d.
    tweedie: Matrix,
    /// T - D, whose mean is 0.
    difference: Matrix,
    draws: usize,
}

/// G in the estimate D + G (T - D), which is unbiased for every G that does not depend on the draws.
///
/// 0 is Tweedie's, 1 the target score, a² with a² + s² = 1 the mixed one of DiKL (He et al., AISTATS 2025).
#[derive(Debug, Clone, PartialEq)]
pub enum Gate {
    /// g I.
    Scalar(f64),
    /// G: d×d.
    Matrix(Matrix),
}

impl Posterior {
    /// From draws x_0 (n·`draws`×d, those of one x_t in consecutive rows). `Error::NonFinite` where p~ is not finite at a draw.
    /// Panics where the rows do not match.
    pub fn of(p: &dyn Density, level: Level, xt: &Matrix, x0: &Matrix, draws: usize) -> Result<Self> {
        assert_eq!(x0.shape(), (xt.rows() * draws, xt.cols()), "draws for each x_t");
        Ok(Self::known(level, xt, x0, &evaluate(p, x0)?.score, draws))
    }

    /// The same where ∇log p~ is known at the draws (n·`draws`×d).
    pub fn known(level: Level, xt: &Matrix, x0: &Matrix, score: &Matrix, draws: usize) -> Self {
        let Level { a, s } = level;
        let tweedie = Matrix::from_fn(x0.rows(), x0.cols(), |r, j| (a * x0[(r, j)] - xt[(r / draws, j)]) / (s * s));
        let difference = Matrix::from_fn(x0.rows(), x0.cols(), |r, j| {
            score[(r, j)] / mutant!("target-score-scale", 1.0, a) - tweedie[(r, j)]
        });
        Self { tweedie, difference, draws }
    }

    /// (Cov(D, T - D), Cov(T - D)) within each x_t, averaged over them: at least two draws each.
    fn covariances(&self) -> (Matrix, Matrix) {
        let d = self.tweedie.cols();
        let (mut mixed, mut own) = (Matrix::zeros(d, d), Matrix::zeros(d, d));
        for first in (0..self.tweedie.rows()).step_by(self.draws) {
            let rows = first..first + self.draws;
            let (a, b) = (self.tweedie.slice_rows(rows.clone()), self.difference.slice_rows(rows));
            let (m, n) = (a.column_means(), b.column_means());
            for (a, b) in a.iter_rows().zip(b.iter_rows()) {
                for i in 0..d {
                    for j in 0..d {
                        mixed[(i, j)] += (a[i] - m[i]) * (b[j] - n[j]);
                        own[(i, j)] += (b[i] - n[i]) * (b[j] - n[j]);
                    }
                }
            }
        }
        (mixed, own)
    }

    /// G = -Cov(D, T - D) Cov(T - D)⁻¹, of least variance; on every Gaussian target it leaves none. Needs more draws than dimensions.
    ///
    /// `Error::NotPositiveDefinite` where Cov(T - D) is singular. Unbiased on other draws than those it was taken from.
    pub fn matrix_gate(&self) -> Result<Gate> {
        let (mixed, own) = self.covariances();
        let factor = Cholesky::factor(&own, "covariance of T - D")?;
        // rows of G solve Cov g = -mixed_i
        let mut g = mixed.map(|v| mutant!("matrix-gate-sign", v, -v));
        factor.solve_rows(&mut g);
        Ok(Gate::Matrix(g))
    }

    /// g = -tr Cov(D, T - D)/tr Cov(T - D), the best multiple of I; 0 where T - D has no spread.
    pub fn scalar_gate(&self) -> Gate {
        let (mixed, own) = self.covariances();
        let trace = |m: &Matrix| (0..m.rows()).map(|i| m[(i, i)]).sum::<f64>();
        Gate::Scalar(if trace(&own) > 0.0 {
            mutant!("scalar-gate-sign", trace(&mixed), -trace(&mixed)) / trace(&own)
        } else {
            0.0
        })
    }

    /// D + G (T - D), a row for each draw: n·draws×d.
    pub fn estimates(&self, gate: &Gate) -> Matrix {
        let mut out = self.tweedie.clone();
        match gate {
            Gate::Scalar(g) => out.add_scaled(*g, &self.difference),
            Gate::Matrix(g) => {
                for (out, u) in out.as_mut_slice().chunks_exact_mut(g.cols()).zip(self.difference.iter_rows()) {
                    for (i, out) in out.iter_mut().enumerate() {
                        *out += g.row(i).iter().zip(u).map(|(g, u)| g * u).sum::<f64>();
                    }
                }
            }
        }
        out
    }

    /// The mean of the estimates of each x_t: n×d.
    pub fn score(&self, gate: &Gate) -> Matrix {
        let each = self.estimates(gate);
        let n = each.rows() / self.draws;
        let means: Vec<f64> =
            (0..n).flat_map(|i| each.slice_rows(i * self.draws..(i + 1) * self.draws).column_means()).collect();
        Matrix::from_vec(n, each.cols(), means)
    }

    /// The variance of one estimate within an x_t, summed over coordinates and averaged over the x_t; unbiased, at least two draws each.
    pub fn variance(&self, gate: &Gate) -> f64 {
        let each = self.estimates(gate);
        let mean = self.score(gate);
        let square = |(r, e): (usize, &[f64])| {
            e.iter().zip(mean.row(r / self.draws)).map(|(e, m)| (e - m) * (e - m)).sum::<f64>()
        };
        let total: f64 = each.iter_rows().enumerate().map(square).sum();
        total / (mean.rows() * (self.draws - 1)) as f64
    }
}
