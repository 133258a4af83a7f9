//! log Z from samples of a model and particles of the target together.

use super::Estimate;
use crate::num::{exp, exp_m1, hypot, ln, log_mean_exp};

/// Standard errors from which log Z of the bridge is above that of the weights by more than chance.
const ERRORS: f64 = 3.0;
/// Halvings of the interval in which log Z is sought.
const HALVINGS: usize = 100;

/// log Z by a bridge between n samples of q and N particles of p, and how far that is above log Z of the weights alone.
///
/// Z = E_q[w h(w)]/E_p[h(w)] for every h ≥ 0; h = 1/(n + N w/Z) (Meng and Wong, Statistica Sinica 1996) has the least variance, and both
/// averages are of bounded terms. So places that the weights need and q hardly visits are counted where the particles are, and an error in
/// the particles counts only as far as w differs from Z there: with w = Z any particles give Z.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bridge {
    /// log Z; +∞ where no particle lies where q has a density.
    pub log_z: Estimate,
    /// log Z - log (1/n) Σ w_i, with the error of this difference.
    pub above: Estimate,
}

impl Bridge {
    /// From log w = log p~ - log q at samples of q (n) and at particles of p (N ≥ 1), the first `first` of one population and the others of
    /// another, independent one. `families`: which particle descends from which, so that relatives do not count as independent; empty where all are.
    ///
    /// The particles' part of the error is Σ_a (Σ_{j in family a} (h_j/h̄ - 1)/N)², and not less than the difference of the populations says.
    pub fn of(log_weights: &[f64], at_particles: &[f64], families: &[usize], first: usize) -> Self {
        let (n, m) = (log_weights.len() as f64, at_particles.len() as f64);
        let (kappa, log_mean) = (ln(m / n), log_mean_exp(log_weights));
        let finite = || log_weights.iter().chain(at_particles).copied().filter(|l| l.is_finite());
        if log_mean == f64::NEG_INFINITY || at_particles.iter().all(|l| *l == f64::INFINITY) {
            let endless = Estimate { value: f64::INFINITY, standard_error: f64::NAN };
            return Self { log_z: endless, above: endless };
        }
        // N w h/Z at samples and n h at particles, which have equal sums at log Z = c
        let at_samples = |c: f64| log_weights.iter().map(move |l| logistic(kappa + l - c));
        let at_targets = |c: f64| at_particles.iter().map(move |l| logistic(c - kappa - l));
        let reach = 50.0 + kappa.abs();
        let mut low = finite().fold(f64::INFINITY, f64::min) - reach;
        let mut high = finite().fold(f64::NEG_INFINITY, f64::max) + reach;
        for _ in 0..HALVINGS {
            let c = 0.5 * (low + high);
            let more = at_samples(c).sum::<f64>() > at_targets(c).sum::<f64>();
            *(if more { &mut low } else { &mut high }) = c;
        }
        let c = 0.5 * (low + high);
        let (own, t): (Vec<f64>, Vec<f64>) = (at_samples(c).collect(), at_targets(c).collect());
        let total: f64 = own.iter().sum();
        let relative = || own.iter().map(|u| n * u / total);
        let w = || log_weights.iter().map(|l| exp(l - log_mean));
        let of_samples = |x: &mut dyn Iterator<Item = f64>| (x.map(|x| x * x).sum::<f64>()).sqrt() / n;
        let of_particles = error_of_mean(&t, families, first);
        let error = |own: f64| hypot(own, of_particles);
        Self {
            log_z: Estimate { value: c, standard_error: error(of_samples(&mut relative().map(|u| u - 1.0))) },
            above: Estimate {
                value: c - log_mean,
                standard_error: error(of_samples(&mut relative().zip(w()).map(|(u, w)| u - w))),
            },
        }
    }

    /// The part of Z that the weights do not have, in units of their mean: e^above - 1 where `above` is more than three standard errors, else 0.
    pub fn missing(&self) -> f64 {
        let Estimate { value, standard_error } = self.above;
        // not so for an error that is NaN
        if value <= ERRORS * standard_error { 0.0 } else { exp_m1(value).max(0.0) }
    }
}

/// 1/(1 + e^-x).
fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// The standard error of the mean of t ≥ 0, of its mean.
fn error_of_mean(t: &[f64], families: &[usize], first: usize) -> f64 {
    let mean_of = |t: &[f64]| t.iter().sum::<f64>() / t.len() as f64;
    let (n, mean) = (t.len() as f64, mean_of(t));
    let centred = || t.iter().map(|t| (t / mean - 1.0) / n);
    let independent: f64 = centred().map(|v| v * v).sum();
    let mut sums = vec![0.0; families.iter().max().map_or(0, |most| most + 1)];
    families.iter().zip(centred()).for_each(|(&a, v)| sums[a] += v);
    let of_families: f64 = sums.iter().map(|v| v * v).sum();
    let (a, b) = t.split_at(first.min(t.len()));
    let apart = match a.is_empty() || b.is_empty() {
        true => 0.0,
        false => (mean_of(a) - mean_of(b)).powi(2) / (mean * mean) * (a.len() * b.len()) as f64 / (n * n),
    };
    independent.max(of_families).max(apart).sqrt()
}
