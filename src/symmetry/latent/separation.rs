//! How well the coordinates of a code separate the factors behind it.

use crate::linalg::{Cholesky, Matrix};
use crate::num::ln;
use crate::rng::{Purpose, stream, uniform};
use crate::{Error, Result};

/// What every factor is told by every coordinate of a code, and four summaries of that; each has a floor, see [`permuted`].
#[derive(Debug, Clone, PartialEq)]
pub struct Separation {
    /// I(z_j; v_k) in nats, codes×factors: codes in bins of equal counts, factors by their levels.
    pub information: Matrix,
    /// H(v_k) in nats.
    pub entropy: Vec<f64>,
    /// Mutual information gap: the mean over factors of (largest - second largest I(z_j; v_k))/H(v_k). 1 is best.
    pub mig: f64,
    /// The same gap of squared correlations ("separated attribute predictability" of linear predictors). 1 is best.
    pub sap: f64,
    /// 1 - entropy of a code's importances over factors, in units of its largest, weighed by importance. 1 is best. Importances are
    /// |coefficients| of the least-squares fit of a factor by standardised codes.
    pub disentanglement: f64,
    /// 1 - entropy of a factor's importances over codes, likewise; the mean over factors.
    pub completeness: f64,
    /// Mean R² of those fits.
    pub informativeness: f64,
    /// The mean over factors and over N of the mean information in all but the N best codes, relative to the best. 0 is best.
    pub leakage: f64,
}

impl Separation {
    /// The summaries by name.
    pub fn figures(&self) -> [(&'static str, f64); 6] {
        [
            ("MIG", self.mig),
            ("SAP", self.sap),
            ("disentanglement", self.disentanglement),
            ("completeness", self.completeness),
            ("informativeness", self.informativeness),
            ("leakage", self.leakage),
        ]
    }

    /// For each factor the code that tells most of it.
    pub fn owners(&self) -> Vec<usize> {
        let (codes, factors) = self.information.shape();
        let best = |k: usize| (0..codes).max_by(|&a, &b| self.information[(a, k)].total_cmp(&self.information[(b, k)]));
        (0..factors).map(|k| best(k).unwrap_or(0)).collect()
    }
}

/// Compares codes (n×c, c ≥ 2) with factors (n×f). The information is that of the n points in `bins` bins; it is biased upwards by about
/// (bins - 1)(levels - 1)/(2n), which the floor by permutation shares.
///
/// Sources: MIG, Chen et al. (NeurIPS 2018); SAP, Kumar et al. (ICLR 2018); disentanglement, completeness and informativeness, Eastwood and
/// Williams (ICLR 2018), with least squares in place of their regressors. `Error::Dimension`, `Error::Parameter`.
pub fn separation(codes: &Matrix, factors: &Matrix, bins: usize) -> Result<Separation> {
    let ((n, c), f) = (codes.shape(), factors.cols());
    if factors.rows() != n {
        return Err(Error::Dimension { what: "rows of the factors".into(), expected: n, found: factors.rows() });
    }
    let parameter = |name: &str, value: f64, expected| Err(Error::Parameter { name: name.into(), value, expected });
    if c < 2 || f == 0 {
        return parameter("number of codes", c as f64, "at least 2, for one factor or more");
    }
    if bins < 2 || bins > n {
        return parameter("number of bins", bins as f64, "at least 2 and at most the number of points");
    }
    if let Some(&value) = codes.as_slice().iter().chain(factors.as_slice()).find(|v| !v.is_finite()) {
        return parameter("a code or a factor", value, "a finite number");
    }
    let column = |m: &Matrix, j: usize| -> Vec<f64> { (0..n).map(|i| m[(i, j)]).collect() };
    let cells: Vec<Vec<usize>> = (0..c).map(|j| ranked(&column(codes, j), bins)).collect();
    let levels: Vec<Vec<usize>> = (0..f).map(|k| ranked(&column(factors, k), n)).collect();
    let entropy: Vec<f64> = levels.iter().map(|v| information(v, v)).collect();
    let table = Matrix::from_fn(c, f, |j, k| information(&cells[j], &levels[k]));
    let (standard, values) = (standardised(codes), standardised(factors));
    let correlation = product(&standard, &values);
    let squares = correlation.map(|r| r * r);
    let (importance, informativeness) = fits(&standard, &correlation);
    let sum = |m: &Matrix| m.as_slice().iter().sum::<f64>();
    let share = |j: usize| importance.row(j).iter().sum::<f64>() / sum(&importance).max(f64::MIN_POSITIVE);
    let gap = |m: &Matrix, k: usize| {
        let sorted = descending(m, k);
        sorted[0] - mutant!("gap-of-the-last", sorted[sorted.len() - 1], sorted[1])
    };
    let mean = |each: &dyn Fn(usize) -> f64| (0..f).map(each).sum::<f64>() / f as f64;
    Ok(Separation {
        mig: mean(&|k| if entropy[k] > 0.0 { gap(&table, k) / entropy[k] } else { 0.0 }),
        sap: mean(&|k| gap(&squares, k)),
        disentanglement: (0..c).map(|j| share(j) * purity(importance.row(j))).sum(),
        completeness: mean(&|k| purity(&column_of(&importance, k))),
        informativeness,
        leakage: mean(&|k| leak(&descending(&table, k))),
        information: table,
        entropy,
    })
}

/// The same for factors whose rows are shuffled, so many times: the floor of every figure.
pub fn permuted(codes: &Matrix, factors: &Matrix, bins: usize, times: usize, seed: u64) -> Result<Vec<Separation>> {
    let one = |t: usize| {
        let mut rng = stream(seed, Purpose::Metric, (35 << 32) | t as u64);
        let mut order: Vec<usize> = (0..factors.rows()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, ((uniform(&mut rng) * (i + 1) as f64) as usize).min(i));
        }
        separation(codes, &factors.gather_rows(&order), bins)
    };
    (0..times).map(one).collect()
}

/// The cell of each number among at most `bins` of equal counts; equal numbers share one.
fn ranked(x: &[f64], bins: usize) -> Vec<usize> {
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..bins).map(|b| sorted[b * x.len() / bins]).collect();
    edges.dedup();
    x.iter().map(|x| edges.partition_point(|e| e <= x)).collect()
}

/// I(a; b) of two lists of cells in nats; I(a; a) is the entropy.
fn information(a: &[usize], b: &[usize]) -> f64 {
    let size = |cells: &[usize]| cells.iter().max().map_or(0, |m| m + 1);
    let (rows, cols) = (size(a), size(b));
    let mut joint = vec![0.0; rows * cols];
    a.iter().zip(b).for_each(|(i, j)| joint[i * cols + j] += 1.0 / a.len() as f64);
    let entropy = |p: &[f64]| -p.iter().filter(|p| **p > 0.0).map(|p| p * ln(*p)).sum::<f64>();
    let left: Vec<f64> = joint.chunks(cols).map(|r| r.iter().sum()).collect();
    let right: Vec<f64> = (0..cols).map(|j| joint.iter().skip(j).step_by(cols).sum()).collect();
    (entropy(&left) + entropy(&right) - entropy(&joint)).max(0.0)
}

/// Columns of mean 0 and variance 1; zeros where a column is constant.
fn standardised(x: &Matrix) -> Matrix {
    let (mean, covariance) = (x.column_means(), x.column_covariance());
    let scale = |j: usize| if covariance[(j, j)] > 0.0 { 1.0 / covariance[(j, j)].sqrt() } else { 0.0 };
    Matrix::from_fn(x.rows(), x.cols(), |i, j| (x[(i, j)] - mean[j]) * scale(j))
}

/// AᵀB/n.
fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let mut out = Matrix::zeros(a.cols(), b.cols());
    crate::linalg::gemm(1.0 / a.rows() as f64, a.t(), b.view(), 0.0, &mut out);
    out
}

/// |coefficients| of the least-squares fits, codes×factors, and their mean R².
fn fits(standard: &Matrix, correlation: &Matrix) -> (Matrix, f64) {
    let (c, f) = correlation.shape();
    let mut normal = product(standard, standard);
    // codes that repeat each other share a coefficient
    (0..c).for_each(|j| normal[(j, j)] += 1e-9);
    let Ok(factor) = Cholesky::factor(&normal, "codes") else { return (Matrix::zeros(c, f), 0.0) };
    let each: Vec<Vec<f64>> = (0..f).map(|k| factor.solve(&column_of(correlation, k))).collect();
    let explained = |k: usize| each[k].iter().zip(column_of(correlation, k)).map(|(w, r)| w * r).sum::<f64>();
    let quality = (0..f).map(explained).sum::<f64>() / f as f64;
    (Matrix::from_fn(c, f, |j, k| each[k][j].abs()), quality)
}

fn column_of(m: &Matrix, k: usize) -> Vec<f64> {
    (0..m.rows()).map(|j| m[(j, k)]).collect()
}

fn descending(m: &Matrix, k: usize) -> Vec<f64> {
    let mut column = column_of(m, k);
    column.sort_by(|a, b| b.total_cmp(a));
    column
}

/// 1 - entropy of weights in units of its largest, log n: 1 where one has all, 0 where all are equal.
fn purity(weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    if weights.len() < 2 || sum <= 0.0 {
        return if sum > 0.0 { 1.0 } else { 0.0 };
    }
    let shares = weights.iter().map(|w| w / sum).filter(|p| *p > 0.0);
    1.0 + shares.map(|p| p * ln(p)).sum::<f64>() / ln(weights.len() as f64)
}

/// The mean over N of the mean of all but the N largest, relative to the largest.
fn leak(sorted: &[f64]) -> f64 {
    let rest = |n: usize| sorted[n..].iter().sum::<f64>() / (sorted.len() - n) as f64;
    let all: f64 = (1..sorted.len()).map(rest).sum();
    if sorted[0] > 0.0 { all / (sorted.len() - 1) as f64 / sorted[0] } else { 0.0 }
}
