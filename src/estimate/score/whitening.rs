//! Samples in units of their own covariance, at each noise level.

use crate::error::Result;
use crate::estimate::Noise;
use crate::linalg::{Cholesky, Matrix, solve_lower_rows};
use crate::num::{Real, cos, sin};

/// Numbers by which a network knows one of many levels.
pub(super) const MARKS: usize = 5;

/// Running moments of a sample.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    /// Σ of the shares so far.
    pub(super) weight: f64,
    pub(super) mean: Vec<f64>,
    /// Second moments about 0.
    pub(super) square: Matrix,
}

/// z = L⁻¹(x - m).
pub(super) struct Whitening {
    pub(super) mean: Vec<f64>,
    pub(super) factor: Cholesky,
    /// The noise of its points.
    pub(super) noise: Noise,
    /// The network's output is so many times r.
    pub(super) output: f64,
    /// What the network sees of the level.
    pub(super) marks: Vec<f64>,
}

impl Moments {
    /// With a new sample of weight 1, the past having the share γ of before.
    pub(super) fn followed_by(past: Option<&Self>, sample: &Matrix, share: f64) -> Self {
        let (mean, covariance) = (sample.column_means(), sample.column_covariance());
        let d = mean.len();
        let square = Matrix::from_fn(d, d, |i, j| covariance[(i, j)] + mean[i] * mean[j]);
        let Some(past) = past else { return Self { weight: 1.0, mean, square } };
        let weight = 1.0 + share * past.weight;
        let blend = |old: f64, new: f64| old + (new - old) / weight;
        Self {
            weight,
            mean: past.mean.iter().zip(&mean).map(|(a, b)| blend(*a, *b)).collect(),
            square: Matrix::from_fn(d, d, |i, j| blend(past.square[(i, j)], square[(i, j)])),
        }
    }

    pub(super) fn covariance(&self) -> Matrix {
        let m = &self.mean;
        Matrix::from_fn(m.len(), m.len(), |i, j| self.square[(i, j)] - m[i] * m[j])
    }
}

/// Mean 0 and covariance c I of a law that is known to have these, c by all coordinates: E|x|²/d.
pub(super) fn isotropic(mean: &[f64], covariance: &Matrix) -> (Vec<f64>, Matrix) {
    let d = mean.len();
    let c = (0..d).map(|k| covariance[(k, k)] + mean[k] * mean[k]).sum::<f64>() / d as f64;
    (vec![0.0; d], Matrix::from_fn(d, d, |i, j| if i == j { c } else { 0.0 }))
}

impl Whitening {
    /// Of points a x + s ξ, x with this mean and covariance.
    pub(super) fn new(mean: &[f64], covariance: &Matrix, noise: Noise) -> Result<Self> {
        let Noise { a, s } = noise;
        let mut covariance = covariance.map(|c| a * a * c);
        (0..mean.len()).for_each(|k| covariance[(k, k)] += s * s);
        let factor = Cholesky::factor(&covariance, "the covariance of the particles")?;
        Ok(Self { mean: mean.iter().map(|m| a * m).collect(), factor, noise, output: 1.0, marks: Vec::new() })
    }

    /// The same for a network that sees which of many levels it is, `share` in [0, 1] of the way from the first to the last.
    pub(super) fn marked(self, share: f64) -> Self {
        let lower = self.factor.lower();
        let trace: f64 = lower.as_slice().iter().map(|l| l * l).sum();
        let turn = |k: f64| std::f64::consts::PI * k * (2.0 * share - 1.0);
        let marks = vec![2.0 * share - 1.0, sin(turn(1.0)), cos(turn(1.0)), sin(turn(2.0)), cos(turn(2.0))];
        Self { output: self.noise.s * (self.mean.len() as f64 / trace).sqrt(), marks, ..self }
    }

    /// z, n×d.
    pub(super) fn apply(&self, x: &Matrix) -> Matrix {
        let mut z = Matrix::from_fn(x.rows(), x.cols(), |i, j| x[(i, j)] - self.mean[j]);
        solve_lower_rows(self.factor.lower(), &mut z);
        z
    }

    /// Lᵀs of scores s at points, n×d: the scores in z.
    pub(super) fn of_score(&self, score: &Matrix) -> Matrix {
        let lower = self.factor.lower();
        let pulled = |i: usize, j: usize| (j..score.cols()).map(|k| lower[(k, j)] * score[(i, k)]).sum();
        Matrix::from_fn(score.rows(), score.cols(), pulled)
    }
}

/// What the network sees of the level of each point, n×m; m = 0 where there is one level.
pub(super) fn marks<T: Real>(whitenings: &[Whitening], of: &[usize]) -> Matrix<T> {
    Matrix::from_fn(of.len(), whitenings[0].marks.len(), |i, j| T::from_f64(whitenings[of[i]].marks[j]))
}

/// `f` of the rows of x (n×d) at each level, n×d.
pub(super) fn by_level(
    whitenings: &[Whitening],
    of: &[usize],
    x: &Matrix,
    f: impl Fn(&Whitening, &Matrix) -> Matrix,
) -> Matrix {
    if let [only] = whitenings {
        return f(only, x);
    }
    let mut out = Matrix::zeros(x.rows(), x.cols());
    for (k, whitening) in whitenings.iter().enumerate() {
        let rows: Vec<usize> = (0..of.len()).filter(|i| of[*i] == k).collect();
        let part = f(whitening, &x.gather_rows(&rows));
        rows.iter().zip(part.iter_rows()).for_each(|(&i, row)| out.row_mut(i).copy_from_slice(row));
    }
    out
}
