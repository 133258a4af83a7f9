//! What a flow is trained by: the drift of an f-divergence, or the log-variance divergence with one of its references (T8).

use crate::divergence::Divergence;
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::num::{Real, log_sum_exp};
use crate::rng::{Purpose, Stream, stream, uniform};
use std::sync::Arc;

/// What a flow is trained by.
#[derive(Clone)]
pub enum Objective {
    /// V = w(r) β with exact r and β (T1), by the path gradient E[-V · ∂x/∂θ] (T9). For reverse KL, w = 1, this is "sticking the
    /// landing" (Roeder, Wu and Duvenaud, 2017): at q = p it vanishes for every sample.
    Drift(Arc<dyn Divergence>),
    /// ½ ∇ Var_m(log q - log p) over points of a frozen reference m (T8).
    LogVariance(Reference),
}

/// The reference m of the log-variance divergence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reference {
    /// m = q, frozen: in the mean the gradient of reverse KL (T8).
    Model,
    /// m = N(0, 4 I) in units of the frame. For few dimensions: in many it never meets p.
    Gaussian,
    /// m ∝ p^γ q^(1-γ), frozen: samples of q with weights r^γ, 0 ≤ γ ≤ 1. With γ near 1 few samples carry all the weight at first.
    Geometric(f64),
    /// Half of m is q, half a buffer that starts with the particles of the search and takes up samples of q by their weights r: the
    /// modes that the search found stay in m, whatever q does.
    Replay,
}

impl Reference {
    /// "model", "gaussian", "geometric" (γ = ½), "geometric:0.3" or "replay".
    pub fn by_name(name: &str) -> Result<Self> {
        if let Some(rest) = name.strip_prefix("geometric") {
            let exponent =
                if rest.is_empty() { Some(0.5) } else { rest.strip_prefix(':').and_then(|g| g.parse().ok()) };
            return match exponent.filter(|g| (0.0..=1.0).contains(g)) {
                Some(gamma) => Ok(Reference::Geometric(gamma)),
                None => Err(Error::Unsupported {
                    what: format!("the reference '{name}' needs an exponent γ in [0, 1]"),
                    remedy: "write it after a colon, such as 'geometric:0.5' (0 is q, 1 is p)",
                }),
            };
        }
        match name {
            "model" => Ok(Reference::Model),
            "gaussian" => Ok(Reference::Gaussian),
            "replay" => Ok(Reference::Replay),
            _ => Err(Error::unknown_name("reference", name, &["model", "gaussian", "geometric:0.5", "replay"])),
        }
    }
}

/// Standard deviation of [`Reference::Gaussian`]: the frame's scale is 1.
pub(super) const SPREAD: f64 = 2.0;

/// g with ½ ∇ Var(f) = Σ_i g_i ∇f_i: g_i = w_i (f_i - f̄)/(1 - Σ w²), f̄ = Σ w f, for weights w ∝ exp(`log_weights`), equal where
/// none are given. The unbiased sample variance for equal weights: g_i = (f_i - f̄)/(n - 1).
///
/// (n-1)⁻¹ (f_i - f̄) = n⁻¹ (f_i - mean of the others): for f = log q - log p this is leave-one-out REINFORCE (VarGrad, Richter et al., 2020).
pub fn log_variance_cotangent(f: &[f64], log_weights: Option<&[f64]>) -> Vec<f64> {
    let n = f.len();
    let weights: Vec<f64> = match log_weights {
        None => vec![1.0 / n as f64; n],
        Some(l) => {
            let total = log_sum_exp(l);
            l.iter().map(|l| (l - total).exp()).collect()
        }
    };
    let mean: f64 = weights.iter().zip(f).map(|(w, f)| w * f).sum();
    let rest = (1.0 - weights.iter().map(|w| w * w).sum::<f64>()).max(f64::EPSILON);
    weights.iter().zip(f).map(|(w, f)| w * (f - mean) / rest).collect()
}

/// Points that were once likely under p.
pub(super) struct Replay<T: Real> {
    points: Matrix<T>,
    seed: u64,
}

/// Fraction of a batch that is offered to the buffer at each step.
const RENEWED: usize = 8;

impl<T: Real> Replay<T> {
    /// A buffer with these points (N×d).
    pub(super) fn new(points: Matrix<T>, seed: u64) -> Self {
        Self { points, seed }
    }

    /// What it holds, N×d.
    pub(super) fn points(&self) -> &Matrix<T> {
        &self.points
    }

    fn rng(&self, step: u64) -> Stream {
        stream(self.seed, Purpose::Reference, step)
    }

    fn pick(rng: &mut Stream, n: usize) -> usize {
        ((uniform(rng) * n as f64) as usize).min(n - 1)
    }

    /// The batch y (n×d) with its second half replaced by points of the buffer.
    pub(super) fn mix_into(&self, y: &mut Matrix<T>, step: u64) {
        let (mut rng, n) = (self.rng(2 * step), y.rows());
        for i in n / 2..n {
            y.row_mut(i).copy_from_slice(self.points.row(Self::pick(&mut rng, self.points.rows())));
        }
    }

    /// Puts some of the first half of y, drawn by their weights r, in random places.
    pub(super) fn renew(&mut self, y: &Matrix<T>, log_ratio: &[f64], step: u64) {
        let (mut rng, half) = (self.rng(2 * step + 1), y.rows() / 2);
        let total = log_sum_exp(&log_ratio[..half]);
        if !total.is_finite() {
            return;
        }
        for _ in 0..y.rows() / RENEWED {
            let mut left = uniform(&mut rng);
            let chosen = log_ratio[..half].iter().position(|l| {
                left -= (l - total).exp();
                left < 0.0
            });
            let place = Self::pick(&mut rng, self.points.rows());
            self.points.row_mut(place).copy_from_slice(y.row(chosen.unwrap_or(half - 1)));
        }
    }
}
