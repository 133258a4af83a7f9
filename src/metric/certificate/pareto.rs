//! The tail index of importance weights (PSIS).

use crate::num::{exp, ln, ln_1p};

/// Fewest exceedances that are fitted.
const FEWEST: usize = 5;
/// Points of the grid over θ beside √M ones (30 in `loo`; the paper has 20).
const GRID: usize = 30;
/// The scale of the prior over θ, in first quartiles (Zhang and Stephens, section 4).
const PRIOR_QUARTILES: f64 = 3.0;
/// Observations that the prior k ~ ½ of PSIS counts for.
const PRIOR_SIZE: f64 = 10.0;

/// k-hat: the shape of a generalised Pareto law, P(w > u + x | w > u) = (1 + k x/σ)^(-1/k), fitted to the largest weights.
///
/// `log_weights`: S values of log w, -∞ for w = 0. The weights have finite moments of order below 1/k: k < ½ a variance, k < 1 a mean.
/// The tail is the largest M = ⌈min(S/5, 3√S)⌉ weights above the next one (Vehtari, Simpson, Gelman, Yao and Gabry, "Pareto smoothed
/// importance sampling", JMLR 2024); k is pulled to ½ as by ten observations, as there. 0 where all of the tail is equal to the last
/// digit, as for q = p; +∞ where fewer than five weights stand out: the tail cannot be judged.
pub fn pareto_k(log_weights: &[f64]) -> f64 {
    let size = log_weights.len();
    let tail = (size as f64 / 5.0).min(3.0 * (size as f64).sqrt()).ceil() as usize;
    if tail < FEWEST || tail >= size {
        return f64::INFINITY;
    }
    let mut sorted = log_weights.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (largest, threshold) = (sorted[size - 1], sorted[size - tail - 1]);
    // weights in units of the largest; a threshold of -∞ is a weight of 0
    let exceedances: Vec<f64> = sorted[size - tail..]
        .iter()
        .map(|l| exp(l - largest) - exp(threshold - largest))
        .filter(|&x| x > 0.0)
        .collect();
    match exceedances.len() {
        0 if largest.is_finite() => 0.0,
        n if n < FEWEST => f64::INFINITY,
        n => (n as f64 * shape(&exceedances) + 0.5 * PRIOR_SIZE) / (n as f64 + PRIOR_SIZE),
    }
}

/// The shape k of a generalised Pareto law at `x` (sorted, positive): the mean of θ = -k/σ under its profile likelihood on a grid.
/// (Zhang and Stephens, Technometrics 2009, section 4; their k has the other sign.)
fn shape(x: &[f64]) -> f64 {
    let n = x.len();
    let points = GRID + (n as f64).sqrt() as usize;
    let (largest, quartile) = (x[n - 1], x[(n as f64 / 4.0 + 0.5) as usize - 1]);
    let k_at = |theta: f64| x.iter().map(|x| ln_1p(-mutant!("pareto-sign", -theta, theta) * x)).sum::<f64>() / n as f64;
    let grid: Vec<(f64, f64)> = (0..points)
        .map(|j| {
            let step = 1.0 - (points as f64 / (j as f64 + 0.5)).sqrt();
            let theta = 1.0 / largest + step / (PRIOR_QUARTILES * quartile);
            let k = k_at(theta);
            (theta, n as f64 * (ln(-theta / k) - k - 1.0))
        })
        .collect();
    let best = grid.iter().fold(f64::NEG_INFINITY, |m, &(_, l)| m.max(l));
    let (mut weight, mut sum) = (0.0, 0.0);
    for (theta, l) in grid {
        weight += exp(l - best);
        sum += theta * exp(l - best);
    }
    k_at(sum / weight)
}
