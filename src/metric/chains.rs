//! Whether Markov chains have mixed: split R-hat and effective sample size.

use crate::linalg::Matrix;
use crate::num::{log10, mean};

/// Split R-hat and effective sample size of one quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainDiagnosis {
    /// √(var⁺/W) of the chains cut in halves; 1 where all halves have the same law, below 1.01 in a run to be trusted.
    pub r_hat: f64,
    /// Independent draws that would give the mean of all draws with the same error.
    pub effective_samples: f64,
    /// Mean of all draws.
    pub mean: f64,
    /// Standard deviation √var⁺.
    pub standard_deviation: f64,
}

impl ChainDiagnosis {
    /// The standard error of the mean, s/√ESS.
    pub fn standard_error(&self) -> f64 {
        self.standard_deviation / self.effective_samples.sqrt()
    }
}

/// The diagnosis of `quantity` over chains of draws (draws×d each, at least two chains of at least four draws).
///
/// ESS = mn/(1 + 2 Σ ρ_t), ρ_t = 1 - (W - mean autocovariance)/var⁺, summed in pairs as long as these are positive and made to decrease (Geyer,
/// 1992). Source: Vehtari, Gelman, Simpson, Carpenter and Bürkner (Bayesian Analysis, 2021), equations 3 to 14, without their ranks. NaN
/// where all draws are equal. No such figure shows a mode that no chain has visited.
pub fn diagnose_chains(chains: &[Matrix], quantity: impl Fn(&[f64]) -> f64) -> ChainDiagnosis {
    let half = chains.iter().map(|c| c.rows() / 2).min().unwrap_or(0);
    assert!(chains.len() >= 2 && half >= 2, "diagnose_chains: at least two chains of four draws are needed");
    let values = chains.iter().map(|c| c.iter_rows().map(&quantity).collect::<Vec<f64>>());
    let halves: Vec<Vec<f64>> = values.flat_map(|v| [v[..half].to_vec(), v[v.len() - half..].to_vec()]).collect();
    let (m, n) = (halves.len() as f64, half as f64);
    let means: Vec<f64> = halves.iter().map(|h| mean(h)).collect();
    let centred: Vec<Vec<f64>> = halves.iter().zip(&means).map(|(h, mu)| h.iter().map(|v| v - mu).collect()).collect();
    // autocovariance at a lag, with divisor n, averaged over the chains
    let covariance = |lag: usize| {
        let one = |c: &Vec<f64>| c.iter().zip(&c[lag..]).map(|(a, b)| a * b).sum::<f64>() / n;
        centred.iter().map(one).sum::<f64>() / m
    };
    let within = covariance(0) * n / (n - 1.0);
    let overall = mean(&means);
    let between = means.iter().map(|mu| (mu - overall).powi(2)).sum::<f64>() / (m - 1.0);
    let variance = within * (n - 1.0) / n + between;
    let correlation = |lag: usize| 1.0 - (within - covariance(lag) * n / (n - 1.0)) / variance;
    let (mut sum, mut least) = (0.0, f64::INFINITY);
    for pair in 0..half / 2 {
        let both = if pair == 0 { 1.0 + correlation(1) } else { correlation(2 * pair) + correlation(2 * pair + 1) };
        if both <= 0.0 {
            break;
        }
        least = both.min(least);
        sum += least;
    }
    // τ = -1 + 2 Σ pairs; antithetic chains may go below 1, but not by more than log₁₀ of the number of draws
    let tau = (2.0 * sum - 1.0).max(1.0 / log10(m * n));
    ChainDiagnosis {
        r_hat: (variance / within).sqrt(),
        effective_samples: m * n / tau,
        mean: overall,
        standard_deviation: variance.sqrt(),
    }
}
