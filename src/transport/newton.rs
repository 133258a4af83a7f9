//! Newton's step between groups of points: what Sinkhorn's iteration would take long to learn.

use crate::linalg::conjugate_gradients;
use crate::num::Real;
use crate::transport::blocks::Groups;
use crate::transport::solve::Problem;
use std::f64::consts::LOG2_E;

/// Masses below this share of their row are left out.
const LEAST: f64 = 1e-12;
/// Where conjugate gradients, scaled by the diagonal of S, stop: the residual over the first, and products.
const SHARE: f64 = 1e-4;
const MOST: usize = 500;

/// Derivatives of the masses of columns by the potentials γ of columns where those of rows are best for them:
///
/// S = diag(C') - Kᵀ diag(1/R') K,   R'_I = R_I + (ε/ρ) wanted_I, C'_J = C_J + (ε/ρ) wanted_J,
///
/// with the plan K_IJ, its sums R and C, in natural units of γ. S is positive semidefinite; with exact marginals a constant is its kernel.
pub(super) struct Newton {
    /// J and K_IJ.
    rows: Vec<Vec<(usize, f64)>>,
    /// R'.
    of_rows: Vec<f64>,
    /// C'.
    of_columns: Vec<f64>,
    /// The diagonal of S.
    diagonal: Vec<f64>,
}

impl Newton {
    /// At the plan of φ and γ.
    pub fn of<T: Real>(problem: &Problem<T>, phi: &[T], gamma: &[T], groups: &Groups) -> Self {
        let mut rows = problem.group_sums(phi, gamma, groups);
        for row in &mut rows {
            let least = LEAST * row.iter().map(|(_, k)| k).sum::<f64>();
            row.retain(|(_, k)| *k > least);
        }
        let leak = |w: f64, p: T| problem.leak() * w * problem.wanted(p.to_f64());
        let of_row = |i: usize| leak(problem.a.weights()[i], phi[i]);
        let mut of_rows: Vec<f64> = groups.rows.iter().map(|run| run.clone().map(of_row).sum()).collect();
        let mut of_columns = vec![0.0; groups.count];
        for ((group, w), p) in groups.columns.iter().zip(problem.b.weights()).zip(gamma) {
            of_columns[*group] += leak(*w, *p);
        }
        for (row, r) in rows.iter().zip(&mut of_rows) {
            row.iter().for_each(|(j, k)| {
                *r += k;
                of_columns[*j] += k;
            });
        }
        let mut diagonal = of_columns.clone();
        for (row, r) in rows.iter().zip(&of_rows) {
            row.iter().for_each(|(j, k)| diagonal[*j] -= k * k / r);
        }
        Self { rows, of_rows, of_columns, diagonal }
    }

    /// (S + μ diag(C')) x.
    fn product(&self, x: &[f64], damping: f64) -> Vec<f64> {
        let mut out: Vec<f64> = self.of_columns.iter().zip(x).map(|(c, x)| (1.0 + damping) * c * x).collect();
        for (row, r) in self.rows.iter().zip(&self.of_rows) {
            let mean = row.iter().map(|(j, k)| k * x[*j]).sum::<f64>() / r;
            row.iter().for_each(|(j, k)| out[*j] -= k * mean);
        }
        out
    }

    /// (1 + μ) (S + μ diag(C'))⁻¹ c - c/C' in units of log 2, c the mass that groups of columns lack where rows are exact: what a step damped by μ adds
    /// to Sinkhorn's, which is the limit μ → ∞; Newton's for μ → 0. 0 for groups without points.
    pub fn beyond(&self, lacking: &[f64], damping: f64) -> Vec<f64> {
        // columns without mass stay, and those that exchange none
        let scaled = |r: &[f64]| -> Vec<f64> {
            let over = |((r, d), c): ((&f64, &f64), &f64)| if *d > LEAST * c { r / (d + damping * c) } else { 0.0 };
            r.iter().zip(&self.diagonal).zip(&self.of_columns).map(over).collect()
        };
        let x = conjugate_gradients(lacking, |x| self.product(x, damping), scaled, SHARE, MOST);
        let own = lacking.iter().zip(&self.of_columns).map(|(l, c)| if *c > 0.0 { l / c } else { 0.0 });
        x.iter().zip(own).map(|(x, own)| LOG2_E * ((1.0 + damping) * x - own)).collect()
    }
}
