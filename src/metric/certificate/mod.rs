//! What a model with a known density proves about itself, from its log-weights log p~ - log q.

mod bridge;
mod loss;
mod pareto;
mod weights;
mod words;

pub use bridge::Bridge;
pub use loss::Loss;
pub use pareto::pareto_k;
pub use weights::{Estimate, effective_fraction, resample, weighted_means};
pub(crate) use words::shown;

use crate::num::{exp, hypot, ln_1p, log_mean_exp};
use crate::{Error, Result};

/// log r above which the model is said to miss a place: its density there is below a tenth of the target's.
const MISSED: f64 = std::f64::consts::LN_10;

/// Numbers to trust, from l = log p~ - log q at samples of q and, where the target has them, at exact samples of p.
///
/// What is measured at samples of q alone says nothing about places that q does not visit: none of it proves that no mode was missed.
///
/// ```
/// use pushforward::metric::{Certificate, Verdict};
/// use pushforward::rng::{Purpose, normal_matrix};
///
/// // q = N(0, 1), p~ = 3 exp(-x²/(2·0.9²)): log Z = log(3·0.9·√(2π))
/// let log_weight = |x: f64| 3f64.ln() - 0.5 * x * x / 0.81 + 0.5 * x * x + 0.5 * (2.0 * std::f64::consts::PI).ln();
/// let samples = normal_matrix::<f64>(1, Purpose::Check, 0, 10_000, 1).map(log_weight);
/// let certificate = Certificate::of(samples.as_slice(), None)?;
/// assert!(certificate.log_z.z((2.7 * (2.0 * std::f64::consts::PI).sqrt()).ln()).abs() < 4.0);
/// assert_eq!(certificate.verdict(), Verdict::Reliable);
/// println!("{certificate}");
/// # Ok::<(), pushforward::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate {
    /// n, the samples of q.
    pub samples: usize,
    /// How many of them are outside the support of p: l = -∞, weight 0. They count in every figure.
    pub outside: usize,
    /// log Z ≈ log mean_q e^l. Its error bar knows only where q has samples; the estimate lies low by about half its squared error.
    pub log_z: Estimate,
    /// E_q l = log Z - KL(q‖p): a lower bound of log Z.
    pub elbo: Estimate,
    /// (Σ e^l)²/(n Σ e^2l) at samples of q, in [0, 1]: estimates 1/(1 + χ²(p‖q)) ([`effective_fraction`]).
    pub reverse_ess: f64,
    /// The tail index of the weights ([`pareto_k`]).
    pub pareto_k: f64,
    /// What that means for reweighted figures.
    pub loss: Loss,
    /// What exact samples of p add.
    pub exact: Option<ExactPart>,
}

/// The part of a certificate that needs exact samples of p, and that sees modes without samples of q.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactPart {
    /// The number of exact samples.
    pub samples: usize,
    /// How many of them the model cannot reach: q = 0, l = +∞. They count in every figure.
    pub unreached: usize,
    /// E_p l = log Z + KL(p‖q): an upper bound of log Z.
    pub eubo: Estimate,
    /// -log mean_p e^(-l) → log Z from the other side: where q misses a mode, it stands above the estimate from q.
    pub log_z: Estimate,
    /// 1/(mean_p e^l · mean_p e^(-l)), in [0, 1]: also 1/(1 + χ²(p‖q)), but it falls towards 0 where q misses a mode.
    pub forward_ess: f64,
    /// The fraction of p where q < p/10, Z from `log_z` here.
    pub missed: Estimate,
}

/// What the weights are good for, by the error that they imply for a reweighted mean ([`Loss::mean`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Below 0.05 posterior standard deviations, and particles of the target see nothing that the weights lack ([`Certificate::beside`]).
    Reliable,
    /// As much for means, but log Z lacks a part, below 0.05, that particles of the target saw and that its standard error does not know of.
    Incomplete,
    /// Below 0.5.
    Unreliable,
    /// Above.
    Useless,
}

/// Largest implied errors of a mean, in posterior standard deviations, of weights that are reliable, and of those that are of some use.
const RELIABLE: f64 = 0.05;
const OF_USE: f64 = 0.5;

impl Certificate {
    /// From l at n ≥ 2 samples of q and, if any, at exact samples of p; l may miss any constant, which then shifts log Z.
    ///
    /// At samples of q, l = -∞ is a sample outside the support of p; at exact samples, l = +∞ is a place that q cannot reach.
    /// `Error::Parameter` with the index of a value that is none of these.
    pub fn of(log_weights: &[f64], at_exact: Option<&[f64]>) -> Result<Self> {
        weights::check(log_weights)?;
        Ok(Self {
            samples: log_weights.len(),
            outside: infinite(log_weights),
            log_z: weights::log_z(log_weights),
            elbo: Estimate::mean(log_weights),
            reverse_ess: effective_fraction(log_weights),
            pareto_k: pareto_k(log_weights),
            loss: Loss::of(log_weights),
            exact: at_exact.map(ExactPart::of).transpose()?,
        })
    }

    /// Beside what particles of the target say, such as those of a search: the part of Z that these saw and the weights do not have counts
    /// in [`Loss`], and so in the verdict.
    pub fn beside(mut self, bridge: &Bridge) -> Self {
        (self.loss.missing, self.loss.distance) = (bridge.missing, bridge.distance);
        self
    }

    /// The error of log Z upwards: its standard error, and the part that particles of the target saw and the weights do not have.
    pub fn log_z_error_above(&self) -> f64 {
        hypot(self.log_z.standard_error, ln_1p(self.loss.missing))
    }

    /// By the implied error of a reweighted mean, and the part of log Z that particles saw and the weights do not have; a tail that cannot be
    /// judged is useless.
    pub fn verdict(&self) -> Verdict {
        match self.loss.mean() {
            error if error < RELIABLE && self.loss.missing == 0.0 => Verdict::Reliable,
            error if error < RELIABLE && ln_1p(self.loss.missing) < RELIABLE => Verdict::Incomplete,
            error if error < OF_USE => Verdict::Unreliable,
            _ => Verdict::Useless,
        }
    }
}

impl ExactPart {
    /// From l at exact samples of p.
    fn of(l: &[f64]) -> Result<Self> {
        let inverse: Vec<f64> = l.iter().map(|l| -l).collect();
        if let Err(Error::Parameter { name, value, .. }) = weights::check(&inverse) {
            let expected = "a finite number, or +inf where the model's density is 0 (and two at least)";
            let (name, value) = (format!("{name} at exact samples"), if l.len() < 2 { value } else { -value });
            return Err(Error::Parameter { name, value, expected });
        }
        let from_p = weights::log_z(&inverse);
        let log_z = Estimate { value: mutant!("exact-log-z-sign", from_p.value, -from_p.value), ..from_p };
        let missed: Vec<f64> = l
            .iter()
            .map(|l| {
                f64::from(u8::from(mutant!("missed-direction", log_z.value - l > MISSED, l - log_z.value > MISSED)))
            })
            .collect();
        // all of p out of reach: log Z has no estimate
        let missed = if log_z.value == f64::INFINITY { vec![1.0; l.len()] } else { missed };
        Ok(Self {
            samples: l.len(),
            unreached: infinite(l),
            eubo: Estimate::mean(l),
            log_z,
            forward_ess: if log_z.value == f64::INFINITY { 0.0 } else { exp(log_z.value - log_mean_exp(l)) },
            missed: Estimate::mean(&missed),
        })
    }
}

/// How many numbers are infinite.
fn infinite(l: &[f64]) -> usize {
    l.iter().filter(|l| l.is_infinite()).count()
}
