//! A density at every temperature of a range, as one density.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::num::ln;
use crate::{Error, Result};
use std::sync::Arc;

/// log of p~(x)^β / (Ẑ(β) β) at the points (β, x), β₀ ≤ β ≤ 1: β has a law that is uniform in log β as far as Ẑ(β) is Z(β) = ∫ p~^β, and x
/// given β has exactly the density p~^β / Z(β), whatever Ẑ is.
///
/// log Ẑ is the cubic in log β between the nodes that has its values and slopes there, with d log Z/d log β = β E_β[log p~].
#[derive(Clone)]
pub struct Temperatures {
    inner: Arc<dyn Density>,
    nodes: Vec<Node>,
}

/// log Z(β) and its slope at one β.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// β.
    pub beta: f64,
    /// log ∫ p~^β, or an estimate.
    pub log_z: f64,
    /// E_β[log p~], or an estimate.
    pub mean_log_density: f64,
}

impl Temperatures {
    /// `inner` at the temperatures between the first and the last node. `Error::Parameter` unless there are two nodes or more, of finite
    /// numbers, whose β > 0 increase.
    pub fn new(inner: Arc<dyn Density>, nodes: Vec<Node>) -> Result<Self> {
        let finite = |n: &Node| n.beta > 0.0 && [n.beta, n.log_z, n.mean_log_density].iter().all(|v| v.is_finite());
        let bad = |value: f64, expected| Err(Error::Parameter { name: "nodes of beta".into(), value, expected });
        if nodes.len() < 2 {
            return bad(nodes.len() as f64, "at least two");
        }
        if let Some(node) = nodes.iter().find(|n| !finite(n)) {
            return bad(node.beta, "positive, with finite log Z and mean of log p~");
        }
        match nodes.windows(2).find(|w| w[0].beta >= w[1].beta) {
            Some(w) => bad(w[1].beta, "increasing"),
            None => Ok(Self { inner, nodes }),
        }
    }

    /// The density whose powers these are.
    pub fn inner(&self) -> &Arc<dyn Density> {
        &self.inner
    }

    /// The β at which log Ẑ was given.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// β₀ and the largest β.
    pub fn range(&self) -> (f64, f64) {
        (self.nodes[0].beta, self.nodes[self.nodes.len() - 1].beta)
    }

    /// log Ẑ and d log Ẑ/dβ; beyond the range by the nearest cubic.
    pub fn log_z(&self, beta: f64) -> (f64, f64) {
        let right = self.nodes.partition_point(|n| n.beta < beta).clamp(1, self.nodes.len() - 1);
        let (a, b) = (self.nodes[right - 1], self.nodes[right]);
        let h = ln(b.beta / a.beta);
        let t = ln(beta / a.beta) / h;
        // values and slopes in t
        let (y, m) = ([a.log_z, b.log_z], [h * a.beta * a.mean_log_density, h * b.beta * b.mean_log_density]);
        let gap = y[1] - y[0];
        let (c2, c3) = (3.0 * gap - 2.0 * m[0] - m[1], m[0] + m[1] - 2.0 * gap);
        let value = y[0] + t * (m[0] + t * (c2 + t * c3));
        (value, (m[0] + t * (2.0 * c2 + 3.0 * t * c3)) / (h * beta))
    }

    /// The points x of rows (β, x), whatever stands for β.
    pub(crate) fn points(&self, x: &Matrix) -> Matrix {
        Matrix::from_fn(x.rows(), x.cols() - 1, |i, j| x[(i, j + 1)])
    }
}

impl Density for Temperatures {
    fn dim(&self) -> usize {
        self.inner.dim() + 1
    }

    fn wants_whole_batches(&self) -> bool {
        self.inner.wants_whole_batches()
    }

    fn conditions(&self) -> usize {
        1
    }

    fn temperatures(&self) -> Option<&Temperatures> {
        Some(self)
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(&self.points(x), out);
        for (l, row) in out.iter_mut().zip(x.iter_rows()) {
            *l = row[0] * *l - self.log_z(row[0]).0 - ln(row[0]);
        }
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let mut inner = Matrix::zeros(x.rows(), x.cols() - 1);
        self.inner.evaluate_into(&self.points(x), log_density, &mut inner);
        for (i, l) in log_density.iter_mut().enumerate() {
            let beta = x[(i, 0)];
            let (log_z, slope) = self.log_z(beta);
            let row = score.row_mut(i);
            // outside the support the score is 0
            row[0] = if *l == f64::NEG_INFINITY { 0.0 } else { *l - slope - 1.0 / beta };
            row[1..].iter_mut().zip(inner.row(i)).for_each(|(s, g)| *s = beta * g);
            *l = beta * *l - log_z - ln(beta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::check_score;
    use crate::density::GaussianMixture;
    use crate::rng::{Purpose, normal_matrix};
    use std::f64::consts::TAU;

    /// N(0, s²)^β has log Z(β) = (1 - β)/2 log(2 π s²) - ½ log β.
    fn exact(beta: f64, s: f64) -> Node {
        let c = ln(TAU * s * s);
        Node { beta, log_z: 0.5 * (1.0 - beta) * c - 0.5 * ln(beta), mean_log_density: -0.5 * c - 0.5 / beta }
    }

    fn gaussian(nodes: usize) -> Temperatures {
        let p = GaussianMixture::isotropic(&[1.0], Matrix::from_rows(&[[0.0]]), 0.5).unwrap();
        let beta = |k: usize| 0.1f64.powf(1.0 - k as f64 / (nodes - 1) as f64);
        Temperatures::new(Arc::new(p), (0..nodes).map(|k| exact(beta(k), 0.5)).collect()).unwrap()
    }

    /// Checks log Z between the nodes: of order 4 in their distance, as a cubic through values and slopes has.
    #[test]
    fn the_interpolant_has_order_four() {
        let error = |nodes: usize| {
            let p = gaussian(nodes);
            let at = |k: i32| {
                (p.log_z(0.1f64.powf(f64::from(k) / 97.0)).0 - exact(0.1f64.powf(f64::from(k) / 97.0), 0.5).log_z).abs()
            };
            (0..=97).map(at).fold(0.0, f64::max)
        };
        let fit =
            crate::num::observed_order(&[1.0 / 4.0, 1.0 / 8.0, 1.0 / 16.0], &[error(5), error(9), error(17)], 1e-14);
        assert!((fit.unwrap().order - 4.0).abs() < 0.2);
    }

    /// Checks the score against differences, and that the law of β is uniform in log β: the integral over x is 1/β, by a trapezium sum.
    #[test]
    fn score_and_law_of_beta() {
        let p = gaussian(17);
        let mut x = normal_matrix(1, Purpose::Check, 0, 20, 2);
        (0..20).for_each(|i| x[(i, 0)] = 0.15 + 0.04 * i as f64);
        let score = |x: &Matrix| {
            let mut s = Matrix::zeros(x.rows(), 2);
            p.evaluate_into(x, &mut vec![0.0; x.rows()], &mut s);
            s
        };
        let check = check_score(|x| p.log_density(x), score, &x, &normal_matrix(1, Purpose::Check, 1, 20, 2)).unwrap();
        assert!(check.passed(), "{check}");
        for beta in [0.1, 0.3, 1.0] {
            let grid = Matrix::from_fn(4001, 2, |i, j| if j == 0 { beta } else { 0.01 * i as f64 - 20.0 });
            let mass: f64 = p.log_density(&grid).iter().map(|l| 0.01 * l.exp()).sum();
            assert!((mass * beta - 1.0).abs() < 1e-5, "{beta}: {mass}");
        }
    }

    /// Checks that nodes that say nothing are refused.
    #[test]
    fn bad_nodes() {
        let p = gaussian(3);
        let inner = Arc::clone(p.inner());
        let with = |nodes: Vec<Node>| Temperatures::new(Arc::clone(&inner), nodes);
        let (a, b) = (exact(0.5, 1.0), exact(1.0, 1.0));
        assert!(with(vec![a, b]).is_ok());
        for bad in
            [vec![a], vec![b, a], vec![a, a], vec![Node { beta: 0.0, ..a }, b], vec![a, Node { log_z: f64::NAN, ..b }]]
        {
            assert!(with(bad).is_err());
        }
    }
}
