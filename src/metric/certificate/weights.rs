//! What importance weights give: expectations under p from samples of q, and samples.

use crate::linalg::Matrix;
use crate::linalg::shape_mismatch;
use crate::num::{Summary, exp, log_mean_exp, log_sum_exp};
use crate::rng::{Purpose, stream, uniform};
use crate::{Error, Result};

/// Unit of the stream behind [`resample`], beside those of projections and rows.
const RESAMPLE_UNIT: u64 = 1 << 61;

/// A number with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error; an underestimate where the weights have heavy tails ([`pareto_k`](crate::metric::pareto_k)).
    pub standard_error: f64,
}

impl Estimate {
    /// x̄ ± s/√n.   An infinite number makes the mean infinite and the error NaN.
    pub(crate) fn mean(x: &[f64]) -> Self {
        let summary = Summary::of(x);
        let infinite = x.iter().find(|v| v.is_infinite());
        Self { value: *infinite.unwrap_or(&summary.mean), standard_error: summary.standard_error() }
    }

    /// z = (value - `truth`)/standard error.
    pub fn z(&self, truth: f64) -> f64 {
        (self.value - truth) / self.standard_error
    }
}

/// ESS/n = (Σ w)²/(n Σ w²), between 1/n and 1; 0 where all weights are 0.   `log_weights`: n values of log w.
///
/// At samples of q with w = p~/q it estimates 1/E_q[(p/q)²] = 1/(1 + χ²(p‖q)) (Kish, 1965), from where q puts samples.
pub fn effective_fraction(log_weights: &[f64]) -> f64 {
    let first = log_mean_exp(log_weights);
    if first == f64::NEG_INFINITY {
        return 0.0;
    }
    let squares: Vec<f64> =
        log_weights.iter().map(|l| mutant!("ess-power", 1.8 * (l - first), 2.0 * (l - first))).collect();
    exp(-log_mean_exp(&squares))
}

/// log Z ≈ log (1/n) Σ w_i, with standard error √((n/ESS - 1)/(n - 1)) by the delta method.   `log_weights`: log p~ - log q at samples of q.
pub(super) fn log_z(log_weights: &[f64]) -> Estimate {
    let relative =
        (1.0 / effective_fraction(log_weights) - mutant!("log-z-error", 0.0, 1.0)) / (log_weights.len() as f64 - 1.0);
    Estimate { value: log_mean_exp(log_weights), standard_error: relative.max(0.0).sqrt() }
}

/// E_p f ≈ Σ w_i f_i / Σ w_i for each column of f, with standard error √(Σ w̃_i² (f_i - E)²), w̃ = w/Σ w.   `values`: n×k → k.
///
/// `log_weights` (n) are log p~ - log q up to a constant at the samples of q behind the rows of `values`. The bias is of order 1/ESS.
/// (Owen, "Monte Carlo theory, methods and examples", equation 9.8.) Errors as [`Certificate::of`](crate::metric::Certificate::of),
/// and `Parameter` where no weight is positive.
pub fn weighted_means(log_weights: &[f64], values: &Matrix) -> Result<Vec<Estimate>> {
    if log_weights.len() != values.rows() {
        shape_mismatch("weighted_means", (log_weights.len(), 1), values.shape());
    }
    let weights = normalised(log_weights)?;
    let terms = || weights.iter().zip(values.iter_rows()).filter(|(w, _)| **w > 0.0);
    let mean = |j: usize| terms().map(|(w, f)| w * f[j]).sum::<f64>();
    let estimate = |j: usize| {
        let value = mean(j);
        let variance: f64 = terms().map(|(w, f)| (w * (f[j] - value)).powi(2)).sum();
        Estimate { value, standard_error: variance.sqrt() }
    };
    Ok((0..values.cols()).map(estimate).collect())
}

/// Indices of `count` samples that follow p nearly: sample i appears ⌊count·w̃_i⌋ or ⌈count·w̃_i⌉ times, in rising order.
///
/// Systematic resampling (Kitagawa, 1996): unbiased for every expectation, with repeats, so no better than the weights' own ESS.
/// Keyed by `seed`. Errors as [`weighted_means`].
pub fn resample(log_weights: &[f64], count: usize, seed: u64) -> Result<Vec<usize>> {
    let weights = normalised(log_weights)?;
    let start = uniform(&mut stream(seed, Purpose::Metric, RESAMPLE_UNIT));
    let last = weights.iter().rposition(|&w| w > 0.0).expect("a weight is positive");
    let (mut index, mut sum) = (0, weights[0]);
    let mut chosen = Vec::with_capacity(count);
    for i in 0..count {
        let place = (i as f64 + start) / count as f64;
        // rounding may leave the sum below 1
        while sum <= place && index < last {
            index += 1;
            sum += weights[index];
        }
        chosen.push(index);
    }
    Ok(chosen)
}

/// w̃_i = w_i/Σ w.
fn normalised(log_weights: &[f64]) -> Result<Vec<f64>> {
    check(log_weights)?;
    let total = log_sum_exp(log_weights);
    if total == f64::NEG_INFINITY {
        let (name, expected) = ("largest log-weight".into(), "above -inf: no sample lies in the support of the target");
        return Err(Error::Parameter { name, value: total, expected });
    }
    Ok(log_weights.iter().map(|l| mutant!("weights-upside-down", exp(total - l), exp(l - total))).collect())
}

/// Whether there are two log-weights at least and each is finite or -∞.
pub(super) fn check(log_weights: &[f64]) -> Result<()> {
    if log_weights.len() < 2 {
        let (name, value) = ("number of log-weights".into(), log_weights.len() as f64);
        return Err(Error::Parameter { name, value, expected: "at least 2" });
    }
    match log_weights.iter().position(|l| l.is_nan() || *l == f64::INFINITY) {
        None => Ok(()),
        Some(i) => {
            let (name, value) = (format!("log-weight {i}"), log_weights[i]);
            Err(Error::Parameter { name, value, expected: "a finite number, or -inf outside the target's support" })
        }
    }
}
