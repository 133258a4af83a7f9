//! Tasks and what is assumed about them.

use crate::continual::{Gaussian, Network};
use crate::linalg::{Cholesky, Matrix, dot, gemm, matmul};
use crate::num::{ln, softmax};
use crate::{Error, Result};
use std::borrow::Cow;
use std::sync::Arc;

/// Observations of one task.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// X, n×p; the inputs of a network, n×1.
    pub x: Matrix,
    /// y, n.
    pub y: Vec<f64>,
}

/// y = X w + ε, or y = f(x; w) + ε with a network f; ε ~ N(0, σ² I), w ~ N(μ_k, W), μ_k ~ N(m, S).
#[derive(Debug, Clone, PartialEq)]
pub struct TaskModel {
    /// σ².
    pub noise: f64,
    /// W, p×p; zero where all tasks of a cluster have the same w.
    pub within: Matrix,
    /// N(m, S).
    pub prior: Gaussian,
    /// f, where y is not linear in w; every law of w is then Gaussian about its best point.
    pub network: Option<Arc<Network>>,
}

/// exp(c + hᵀμ - μᵀΛμ/2): what a task says of its cluster's mean.
#[derive(Debug, Clone)]
pub(super) struct Information {
    pub constant: f64,
    pub linear: Vec<f64>,
    pub precision: Matrix,
}

impl TaskModel {
    /// Spherical: W = `within`² I, N(0, `between`² I), σ = `noise`.
    pub fn spherical(p: usize, noise: f64, within: f64, between: f64) -> Self {
        let scaled = |s: f64| Matrix::identity(p).map(|v: f64| s * s * v);
        let prior = Gaussian { mean: vec![0.0; p], covariance: scaled(between) };
        Self { noise: noise * noise, within: scaled(within), prior, network: None }
    }

    /// p.
    pub fn dim(&self) -> usize {
        self.prior.dim()
    }

    /// R = X W Xᵀ + σ² I: the covariance of y given μ.   x: n×p → n×n.
    pub fn noise_of(&self, x: &Matrix) -> Matrix {
        let n = x.rows();
        let mut out = Matrix::from_fn(n, n, |i, j| if i == j { self.noise } else { 0.0 });
        gemm(1.0, matmul(x, &self.within).view(), x.t(), 1.0, &mut out);
        out
    }

    /// The task as one of linear regression about w; itself without a network.
    pub(super) fn about<'a>(&self, w: &[f64], task: &'a Task) -> Cow<'a, Task> {
        self.network.as_ref().map_or(Cow::Borrowed(task), |f| Cow::Owned(f.about(w, task)))
    }

    /// log p(y) of noise R, a function of the design, and `law` given y.
    fn given(&self, law: &Gaussian, task: &Task, noise: impl Fn(&Matrix) -> Matrix) -> Result<(f64, Gaussian)> {
        match &self.network {
            None => law.observe(&task.x, &task.y, &noise(&task.x)),
            Some(f) => f.given(law, task, noise),
        }
    }

    /// log p(y | μ ~ q), and q given y.
    pub fn observe(&self, q: &Gaussian, task: &Task) -> Result<(f64, Gaussian)> {
        self.observe_share(q, task, 1.0)
    }

    /// The same where y counts with the power `share`, as that of a component with this responsibility.
    pub(super) fn observe_share(&self, q: &Gaussian, task: &Task, share: f64) -> Result<(f64, Gaussian)> {
        self.given(q, task, |x| self.noise_of(x).map(|v| v / share))
    }

    /// The law of a task's parameters w where μ ~ q, given its observations.
    pub fn adapt(&self, q: &Gaussian, task: &Task) -> Result<(f64, Gaussian)> {
        let mut law = q.clone();
        law.covariance.add_scaled(1.0, &self.within);
        let noise = |x: &Matrix| Matrix::from_fn(x.rows(), x.rows(), |i, j| if i == j { self.noise } else { 0.0 });
        self.given(&law, task, noise)
    }

    /// Predictions at x for a task with support, where μ ~ q: those of the mean of w.   x: n×p → n.
    pub(super) fn predicted(&self, q: &Gaussian, support: &Task, x: &Matrix) -> Result<Vec<f64>> {
        let law = self.adapt(q, support)?.1;
        Ok(self.network.as_ref().map_or_else(|| law.predict(x), |f| f.outputs(&law.mean, x)))
    }

    /// r_k ∝ w_k p(y | μ ~ q_k): which component (w_k, q_k) of a mixture a task is of, from its support.
    pub(super) fn responsibilities<'a>(
        &self,
        mixture: impl Iterator<Item = (f64, &'a Gaussian)>,
        support: &Task,
    ) -> Result<Vec<f64>> {
        let log = |q: &Gaussian| {
            let task = self.about(&q.mean, support);
            Ok::<_, Error>(q.observe(&task.x, &task.y, &self.noise_of(&task.x))?.0)
        };
        let logs = mixture.map(|(w, q)| Ok(ln(w) + log(q)?));
        Ok(softmax(&logs.collect::<Result<Vec<f64>>>()?))
    }

    /// Σ_k r_k E[x w | y, μ ~ q_k]: mean predictions at x of a mixture (r_k, q_k) given a task's support.   x: n×p → n.
    pub(super) fn predict<'a>(
        &self,
        mixture: impl Iterator<Item = (f64, &'a Gaussian)>,
        support: &Task,
        x: &Matrix,
    ) -> Result<Vec<f64>> {
        let mut out = vec![0.0; x.rows()];
        for (r, q) in mixture {
            let y = self.predicted(q, support, x)?;
            out.iter_mut().zip(y).for_each(|(o, y)| *o += r * y);
        }
        Ok(out)
    }

    /// c, h, Λ of a task: log N(y; Xμ, R) as a function of μ; of a network, to first order about w.
    pub(super) fn information(&self, task: &Task, w: &[f64]) -> Result<Information> {
        let task = self.about(w, task);
        let factor = Cholesky::factor(&self.noise_of(&task.x), "covariance of the observations")?;
        // R⁻¹ X by the rows of Xᵀ
        let mut solved = task.x.transpose();
        factor.solve_rows(&mut solved);
        let y = Matrix::from_vec(task.y.len(), 1, task.y.clone());
        let square = factor.inverse_quadratic_form(&task.y);
        let constant = -0.5 * (task.y.len() as f64 * ln(std::f64::consts::TAU) + factor.log_det() + square);
        Ok(Information { constant, linear: matmul(&solved, &y).into_vec(), precision: matmul(&solved, &task.x) })
    }

    /// `Error::Parameter` or `Error::Dimension` where this is no model of the tasks.
    pub fn check(&self, tasks: &[Task]) -> Result<()> {
        if !(self.noise > 0.0 && self.noise.is_finite()) {
            return Err(Error::Parameter {
                name: "variance of the noise".into(),
                value: self.noise,
                expected: "a positive number",
            });
        }
        Cholesky::factor(&self.prior.covariance, "covariance of the prior")?;
        let p = if self.network.is_some() { 1 } else { self.dim() };
        for (k, task) in tasks.iter().enumerate() {
            if task.x.cols() != p {
                return Err(Error::Dimension { what: format!("task {k}"), expected: p, found: task.x.cols() });
            }
            if task.x.rows() != task.y.len() {
                let what = format!("observations of task {k}");
                return Err(Error::Dimension { what, expected: task.x.rows(), found: task.y.len() });
            }
            if let Some(&value) = task.y.iter().chain(task.x.as_slice()).find(|v| !v.is_finite()) {
                return Err(Error::Parameter {
                    name: format!("an observation of task {k}"),
                    value,
                    expected: "a finite number",
                });
            }
        }
        Ok(())
    }
}

impl Information {
    /// exp(c + hᵀμ - μᵀΛμ/2) N(μ; m, S) = evidence · N(μ; …): log evidence and the posterior, of powers `weights` of several.
    pub(super) fn posterior(prior: &Gaussian, parts: &[(f64, &Self)]) -> Result<(f64, Gaussian)> {
        let p = prior.dim();
        let before = Cholesky::factor(&prior.covariance, "covariance of the prior")?;
        let mut precision = before.inverse();
        let start = before.solve(&prior.mean);
        let mut linear = start.clone();
        let mut constant = -0.5 * (before.log_det() + dot(&start, &prior.mean));
        for (weight, part) in parts {
            constant += weight * part.constant;
            linear.iter_mut().zip(&part.linear).for_each(|(l, h)| *l += weight * h);
            precision.add_scaled(*weight, &part.precision);
        }
        let precision = Matrix::from_fn(p, p, |i, j| 0.5 * (precision[(i, j)] + precision[(j, i)]));
        let after = Cholesky::factor(&precision, "precision of a cluster")?;
        let mean = after.solve(&linear);
        let log_evidence = constant + 0.5 * (dot(&linear, &mean) - after.log_det());
        Ok((log_evidence, Gaussian { mean, covariance: after.inverse() }))
    }

    /// The exponent of that product at one μ, up to what depends on the prior's covariance alone.
    pub(super) fn posterior_at(prior: &Gaussian, parts: &[(f64, &Self)], mean: &[f64]) -> Result<f64> {
        let p = prior.dim();
        let point = Gaussian { mean: mean.to_vec(), covariance: Matrix::zeros(p, p) };
        let said: f64 = parts.iter().map(|(weight, part)| weight * part.expected(&point)).sum();
        let apart: Vec<f64> = mean.iter().zip(&prior.mean).map(|(a, b)| a - b).collect();
        Ok(said - 0.5 * Cholesky::factor(&prior.covariance, "covariance of the prior")?.inverse_quadratic_form(&apart))
    }

    /// E_q[c + hᵀμ - μᵀΛμ/2].
    pub(super) fn expected(&self, q: &Gaussian) -> f64 {
        let p = q.dim();
        let curved = |i: usize, j: usize| self.precision[(i, j)] * (q.covariance[(i, j)] + q.mean[i] * q.mean[j]);
        let square: f64 = (0..p * p).map(|k| curved(k / p, k % p)).sum();
        self.constant + dot(&self.linear, &q.mean) - 0.5 * square
    }
}
