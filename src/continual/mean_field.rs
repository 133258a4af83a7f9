//! Mean-field inference of a truncated stick-breaking mixture, all tasks at once.

use crate::continual::task::Information;
use crate::continual::{Gaussian, Task, TaskModel};
use crate::linalg::Matrix;
use crate::num::{digamma, ln, log_gamma, softmax};
use crate::{Error, Result};

/// Sweeps, and the change of the bound, relative to its size, at which they end.
const SWEEPS: usize = 2000;
/// Sweeps for a network, whose bound is one to first order.
const NETWORK_SWEEPS: usize = 20;
const CHANGE: f64 = 1e-13;

/// q(labels) q(sticks) q(means): a product of its factors.
#[derive(Debug, Clone)]
pub struct MeanField {
    /// n×T, rows sum to 1.
    pub responsibilities: Matrix,
    /// Beta(a, b) of the first T - 1 sticks.
    pub sticks: Vec<(f64, f64)>,
    /// Law of each mean.
    pub components: Vec<Gaussian>,
    /// The bound after each sweep: it never falls.
    pub course: Vec<f64>,
}

impl MeanField {
    /// The evidence lower bound, log evidence - KL(q‖posterior).
    pub fn elbo(&self) -> f64 {
        self.course.last().copied().unwrap_or(f64::NEG_INFINITY)
    }
}

/// E π_k = E β_k Π_{j<k} (1 - E β_j), β_T = 1, for independent Beta sticks: T numbers that sum to 1.
pub fn expected_weights(sticks: &[(f64, f64)]) -> Vec<f64> {
    let mut left = 1.0;
    let one = |&(a, b): &(f64, f64)| {
        let taken = left * (a / (a + b));
        left -= taken;
        taken
    };
    let mut weights: Vec<f64> = sticks.iter().map(one).collect();
    weights.push(left);
    weights
}

/// E log π_k, T numbers.
fn expected_logs(sticks: &[(f64, f64)]) -> Vec<f64> {
    let mut left = 0.0;
    let mut logs: Vec<f64> = Vec::new();
    for (a, b) in sticks {
        let all = digamma(a + b);
        logs.push(left + digamma(*a) - mutant!("sticks-digamma", 0.0, all));
        left += digamma(*b) - all;
    }
    logs.push(left);
    logs
}

/// Coordinate ascent on the evidence lower bound from these responsibilities (n×T), until it stands still.
///
/// r_tk ∝ exp(E log π_k + E log p(y_t | μ_k)), β_k ~ Beta(1 + N_k, α + Σ_{j>k} N_j), μ_k Gaussian. Source: Blei and Jordan (Bayesian
/// Analysis, 2006). `Error::Parameter` for an α that is not positive; `Error::Dimension`; errors of [`TaskModel::check`].
pub fn mean_field(tasks: &[Task], model: &TaskModel, alpha: f64, start: &Matrix) -> Result<MeanField> {
    mean_field_about(tasks, model, alpha, start, &[])
}

/// The same where a network is first taken to first order about these means of the first components.
pub(super) fn mean_field_about(
    tasks: &[Task],
    model: &TaskModel,
    alpha: f64,
    start: &Matrix,
    means: &[Vec<f64>],
) -> Result<MeanField> {
    model.check(tasks)?;
    if !(alpha > 0.0 && alpha.is_finite()) {
        return Err(Error::Parameter { name: "alpha".into(), value: alpha, expected: "a positive number" });
    }
    let (n, truncation) = start.shape();
    if n != tasks.len() {
        return Err(Error::Dimension { what: "responsibilities".into(), expected: tasks.len(), found: n });
    }
    let told = |w: &[f64]| tasks.iter().map(|t| model.information(t, w)).collect::<Result<Vec<Information>>>();
    let once = told(&model.prior.mean)?;
    // a network is taken to first order about a point of each component, which moves from sweep to sweep
    let mut points: Vec<Point> = Vec::new();
    if model.network.is_some() {
        let first = (0..truncation).map(|k| means.get(k).unwrap_or(&model.prior.mean).clone());
        points = first.map(|w| Ok(Point { told: told(&w)?, w })).collect::<Result<_>>()?;
    }
    let sweeps = if model.network.is_some() { NETWORK_SWEEPS } else { SWEEPS };
    let mut q = MeanField { responsibilities: start.clone(), sticks: vec![], components: vec![], course: vec![] };
    for _ in 0..sweeps {
        let r = &q.responsibilities;
        let shares = |k: usize| (0..n).map(|t| r[(t, k)]).collect::<Vec<f64>>();
        let counts: Vec<f64> = (0..truncation).map(|k| shares(k).iter().sum()).collect();
        q.sticks =
            (0..truncation - 1).map(|k| (1.0 + counts[k], alpha + counts[k + 1..].iter().sum::<f64>())).collect();
        q.components = (0..truncation)
            .map(|k| match points.get_mut(k) {
                None => Information::posterior(&model.prior, &weighed(&shares(k), &once)).map(|p| p.1),
                Some(point) => point.step(&model.prior, &shares(k), told),
            })
            .collect::<Result<_>>()?;
        let told_of = |k: usize| points.get(k).map_or(&once, |p| &p.told);
        let logs = expected_logs(&q.sticks);
        let scores = Matrix::from_fn(n, truncation, |t, k| logs[k] + told_of(k)[t].expected(&q.components[k]));
        for t in 0..n {
            q.responsibilities.row_mut(t).copy_from_slice(&softmax(scores.row(t)));
        }
        let bound = bound(&q, &scores, alpha, model)?;
        q.course.push(bound);
        if let [.., a, b] = q.course[..]
            && (b - a).abs() <= CHANGE * b.abs()
        {
            break;
        }
    }
    Ok(q)
}

/// Halvings of a step of a network's component.
const HALVINGS: i32 = 6;

/// Where a component of a network is taken to first order, and what the tasks then say of it.
struct Point {
    w: Vec<f64>,
    told: Vec<Information>,
}

impl Point {
    /// Moves w towards the mean of the posterior to first order, by the largest halving of the way that raises Σ_t r_t log p(y_t | w) + log p(w),
    /// and nowhere else; the Gaussian about w.
    fn step(
        &mut self,
        prior: &Gaussian,
        shares: &[f64],
        told: impl Fn(&[f64]) -> Result<Vec<Information>>,
    ) -> Result<Gaussian> {
        let value = |p: &Self| Information::posterior_at(prior, &weighed(shares, &p.told), &p.w);
        let posterior = |p: &Self| Ok::<_, Error>(Information::posterior(prior, &weighed(shares, &p.told))?.1);
        let (before, mut law) = (value(self)?, posterior(self)?);
        // a component of less than a task stays where it is
        let tried = if shares.iter().sum::<f64>() < 1.0 { 0 } else { HALVINGS };
        for k in 0..tried {
            let size = 0.5f64.powi(k);
            let w: Vec<f64> = self.w.iter().zip(&law.mean).map(|(w, m)| w + size * (m - w)).collect();
            let next = Self { told: told(&w)?, w };
            if value(&next)? > before {
                law = posterior(&next)?;
                *self = next;
                break;
            }
        }
        Ok(Gaussian { mean: self.w.clone(), ..law })
    }
}

fn weighed<'a>(shares: &[f64], told: &'a [Information]) -> Vec<(f64, &'a Information)> {
    shares.iter().copied().zip(told).collect()
}

/// Σ_tk r_tk (score_tk - log r_tk) - Σ_k KL(Beta‖Beta(1, α)) - Σ_k KL(q(μ_k)‖p(μ)).
fn bound(q: &MeanField, scores: &Matrix, alpha: f64, model: &TaskModel) -> Result<f64> {
    let each = q.responsibilities.as_slice().iter().zip(scores.as_slice());
    let labels: f64 = each.map(|(&r, s)| if r > 0.0 { r * (s - ln(r)) } else { 0.0 }).sum();
    let log_beta = |a: f64, b: f64| log_gamma(a) + log_gamma(b) - log_gamma(a + b);
    let stick = |&(a, b): &(f64, f64)| {
        let all = digamma(a + b);
        log_beta(1.0, alpha) - log_beta(a, b) + (a - 1.0) * (digamma(a) - all) + (b - alpha) * (digamma(b) - all)
    };
    let sticks: f64 = q.sticks.iter().map(stick).sum();
    let means = q.components.iter().map(|c| c.kl(&model.prior)).sum::<Result<f64>>()?;
    Ok(labels - sticks - means)
}
