//! A density on a constrained set, seen from R^m.

use crate::Result;
use crate::density::mixture::same_size;
use crate::density::{Chart, Density, Preferences, Temperatures, rows};
use crate::linalg::Matrix;
use std::sync::Arc;

/// The density of u where x = T(u) has the density p: log p~_U(u) = log p~(T(u)) + log |det ∂T/∂u|, with the same normaliser.
///
/// On a simplex p is a density in its first K-1 coordinates. Where u is so far out that x is rounded to the edge, log p~_U = -inf: p is not
/// asked there, where it may be 0/0. Where x is so near to an edge that the score of p is none (-a/x of a x below 1e-308), that of u, which
/// has a limit, is taken at a distance of 1e-300.
#[derive(Clone)]
pub struct Constrained {
    inner: Arc<dyn Density>,
    chart: Chart,
}

impl Constrained {
    /// `inner`, a density of d coordinates x, in the coordinates u of `chart`. `Error::Dimension` where they do not fit.
    pub fn new(inner: Arc<dyn Density>, chart: Chart) -> Result<Self> {
        same_size("chart", inner.dim(), chart.dim())?;
        Ok(Self { inner, chart })
    }

    /// T.
    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// x_i = T(u_i) and out_i ← log |det ∂T/∂u|.
    fn push(&self, u: &Matrix, out: &mut [f64]) -> Matrix {
        rows::check(u, self.chart.free_dim(), out.len());
        let mut x = Matrix::zeros(u.rows(), self.chart.dim());
        for (i, l) in out.iter_mut().enumerate() {
            *l = self.chart.constrain_point(u.row(i), x.row_mut(i));
        }
        x
    }

    /// Scores of these rows at other coordinates near them, where those are finite.   near: a row for each of `rows`.
    fn scores_apart(&self, rows: &[usize], near: &Matrix, score: &mut Matrix) {
        let mut log_density = vec![0.0; rows.len()];
        let x = self.push(near, &mut log_density);
        let mut g = Matrix::zeros(x.rows(), x.cols());
        self.inner.evaluate_into(&x, &mut log_density, &mut g);
        let mut own = vec![0.0; near.cols()];
        for (k, &i) in rows.iter().enumerate() {
            self.chart.pull_back(near.row(k), x.row(k), g.row(k), &mut own);
            if own.iter().all(|s| s.is_finite()) {
                score.row_mut(i).copy_from_slice(&own);
            }
        }
    }
}

impl Density for Constrained {
    fn dim(&self) -> usize {
        self.chart.free_dim()
    }

    fn log_density_into(&self, u: &Matrix, out: &mut [f64]) {
        let x = self.push(u, out);
        let inner = self.inner.log_density(&x);
        for (i, (l, p)) in out.iter_mut().zip(inner).enumerate() {
            *l = if self.chart.contains(x.row(i)) { *l + p } else { f64::NEG_INFINITY };
        }
    }

    fn evaluate_into(&self, u: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let x = self.push(u, log_density);
        let mut inner = vec![0.0; u.rows()];
        let mut g = Matrix::zeros(x.rows(), x.cols());
        self.inner.evaluate_into(&x, &mut inner, &mut g);
        for (i, p) in inner.into_iter().enumerate() {
            if !self.chart.contains(x.row(i)) {
                log_density[i] = f64::NEG_INFINITY;
                score.row_mut(i).fill(0.0);
                continue;
            }
            log_density[i] += p;
            self.chart.pull_back(u.row(i), x.row(i), g.row(i), score.row_mut(i));
        }
        let wild = |i: &usize| log_density[*i].is_finite() && !score.row(*i).iter().all(|s| s.is_finite());
        let wild = (0..u.rows()).filter(wild).filter_map(|i| Some((i, self.chart.apart(u.row(i))?)));
        let (rows, near): (Vec<usize>, Vec<Vec<f64>>) = wild.unzip();
        if !rows.is_empty() {
            self.scores_apart(&rows, &Matrix::from_rows(&near), score);
        }
    }

    fn wants_whole_batches(&self) -> bool {
        self.inner.wants_whole_batches()
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.inner.log_normaliser()
    }

    fn conditions(&self) -> usize {
        self.inner.conditions()
    }

    fn temperatures(&self) -> Option<&Temperatures> {
        self.inner.temperatures()
    }

    fn preferences(&self) -> Option<&Preferences> {
        self.inner.preferences()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        self.chart.free(&self.inner.sample(n, seed)?).ok()
    }
}
