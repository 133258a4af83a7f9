//! What importance weights do not have of a target, by particles of it.

use super::Estimate;
use super::loss::DISTANCE;
use crate::num::{Summary, exp, exp_m1, hypot, ln, ln_1p, log_mean_exp, mean};

/// The first cut, in mean weights: q < p/10. The second is √n, at which a draw is 1/√n of Z (Ionides, 2008).
const CUT: f64 = 10.0;
/// Standard errors by which each of two shares, or log Z of the weights, may be off.
const ERRORS: f64 = 2.0;
/// A share of which none of N particles has any is below this over N with probability 0.95: (1 - 3/N)^N = 0.05.
const NONE: f64 = 3.0;
/// Least difference of log Z that is said.
const LEAST: f64 = 0.005;

/// log Z of importance weights beside particles of p, such as those of a search: how much of p is where the weights are never drawn.
///
/// Where no sample of q lies outside of a set A, the mean of the weights estimates E_q[w 1_A] = Z P_p(A): log Z is too low by -log(1 - s), s = 1 - P_p(A)
/// the share of p outside of A, which no figure of the weights knows. The share of particles of p there estimates it, with the error of a mean.
///
/// Z = E_q[w 1_A]/P_p(A) for every set A (bridge sampling; Meng and Wong, Statistica Sinica 1996). On A = {w ≤ t ŵ}, ŵ the mean weight, w is
/// bounded, and how much of p is outside of A the particles say. The weights say it too, E_q[w 1_{w > t ŵ}]/Z, but a part of p to which
/// q gives less than 1/n has no sample: then weights, ESS and k-hat know nothing of it, and log Z is too low by as much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bridge {
    /// t: 10, or √n where the weights lack more outside of that.
    pub cut: f64,
    /// Share of p where w > t ŵ, by the particles.
    pub of_particles: Estimate,
    /// The same by the weights.
    pub of_weights: Estimate,
    /// log E_q[w 1_A] - log P_p(A); +∞ where no particle lies in A.
    pub log_z: Estimate,
    /// This less the logarithm of the mean weight, log (1 - share by weights) - log (1 - share by particles), with its error.
    pub above: Estimate,
    /// The part of Z that the weights do not have, in units of their mean: e^above - 1; 0 where the shares differ by less than two errors of each,
    /// or log Z by less than 0.005 or two of its own errors. Above 0 by chance, at each cut, with probability 0.023 at most, where one of
    /// the errors is 0, and 0.0023 where they are equal.
    pub missing: f64,
    /// How far the particles with w > t ŵ lie from the mean of all, in the standard deviations of all, in the coordinate where that is farthest:
    /// a mean errs by `missing` times this. Three where their places are not known.
    pub distance: f64,
    /// log (t ŵ).
    limit: f64,
}

impl Bridge {
    /// The part of log Z that the particles do not exclude: `above`, where that is positive, and two of its errors.
    pub fn not_excluded(&self) -> f64 {
        self.above.value.max(0.0) + ERRORS * self.above.standard_error
    }

    /// From log w = log p~ - log q at n samples of q and at N ≥ 1 particles of p, the first `first` of one population and the others of
    /// another, independent one. `families`: a number for each particle, equal for relatives, which do not count as independent; empty where all do.
    pub fn of(log_weights: &[f64], at_particles: &[f64], families: &[usize], first: usize) -> Self {
        let at = |cut: f64| Self::cut_at(cut, log_weights, at_particles, |heavy| error_of_mean(heavy, families, first));
        let [low, high] = [CUT, (log_weights.len() as f64).sqrt().max(CUT)].map(at);
        if high.missing > low.missing { high } else { low }
    }

    /// With `distance` from the places of the particles, in their order.
    pub fn at_places<'a>(mut self, places: impl Iterator<Item = &'a [f64]>, at_particles: &[f64]) -> Self {
        let places: Vec<&[f64]> = places.collect();
        let heavy: Vec<usize> = (0..places.len()).filter(|&j| at_particles[j] > self.limit).collect();
        if let Some(&one) = heavy.first() {
            let far = |k: usize| {
                let all = Summary::of(&places.iter().map(|x| x[k]).collect::<Vec<f64>>());
                let apart = mean(&heavy.iter().map(|&j| places[j][k] - all.mean).collect::<Vec<f64>>()).abs();
                if apart > 0.0 { apart / all.standard_deviation() } else { 0.0 }
            };
            self.distance = (0..places[one].len()).map(far).fold(0.0, f64::max);
        }
        self
    }

    /// For one cut; `error` of the mean of a number for each particle.
    fn cut_at(cut: f64, log_weights: &[f64], at_particles: &[f64], error: impl Fn(&[f64]) -> f64) -> Self {
        let (n, log_mean) = (log_weights.len() as f64, log_mean_exp(log_weights));
        let limit = log_mean + ln(cut);
        let is_heavy = |l: f64| l > limit;
        let heavy: Vec<f64> = at_particles.iter().map(|&l| f64::from(u8::from(is_heavy(l)))).collect();
        let of_particles = Estimate { value: mean(&heavy), standard_error: error(&heavy) };
        let w = |l: f64| exp(l - log_mean);
        let root = |x: &dyn Fn(f64) -> f64| log_weights.iter().map(|&l| x(l) * x(l)).sum::<f64>().sqrt() / n;
        // not -0, the sum of no terms
        let share = 0.0 + log_weights.iter().filter(|l| is_heavy(**l)).map(|&l| w(l)).sum::<f64>() / n;
        let error = root(&|l| w(l) * (f64::from(u8::from(is_heavy(l))) - share));
        let of_weights = Estimate { value: share, standard_error: error };
        let (inside, outside) = (1.0 - share, 1.0 - of_particles.value);
        if outside <= 0.0 || log_mean == f64::NEG_INFINITY {
            let endless = Estimate { value: f64::INFINITY, standard_error: f64::NAN };
            let (missing, distance) = (f64::INFINITY, DISTANCE);
            return Self { cut, of_particles, of_weights, log_z: endless, above: endless, missing, distance, limit };
        }
        let value = ln_1p(-share) - ln(outside);
        let errors = (error / inside, of_particles.standard_error / outside);
        let bounded = root(&|l| if is_heavy(l) { 1.0 } else { w(l) / inside - 1.0 });
        let stated = ERRORS * root(&|l| w(l) - 1.0);
        let apart = of_particles.value - share > ERRORS * (of_particles.standard_error + error);
        Self {
            cut,
            of_particles,
            of_weights,
            log_z: Estimate { value: log_mean + value, standard_error: hypot(bounded, errors.1) },
            above: Estimate { value, standard_error: hypot(errors.0, errors.1) },
            missing: if apart && value > LEAST.max(stated) { exp_m1(value) } else { 0.0 },
            distance: DISTANCE,
            limit,
        }
    }
}

/// The standard error of the mean of x in [0, 1], √(Σ_a (Σ_{j in family a} (x_j - x̄)/N)²), and not less than without families or than the
/// difference of the two populations says. None of N families of one size has the feature with probability 0.05 where its share is 3/N: two errors.
fn error_of_mean(x: &[f64], families: &[usize], first: usize) -> f64 {
    let (n, middle) = (x.len() as f64, mean(x));
    let centred = || x.iter().map(|x| (x - middle) / n);
    let independent: f64 = centred().map(|v| v * v).sum();
    let mut sums = vec![0.0; families.iter().max().map_or(0, |most| most + 1)];
    families.iter().zip(centred()).for_each(|(&a, v)| sums[a] += v);
    let of_families: f64 = sums.iter().map(|v| v * v).sum();
    if middle == 0.0 {
        let mut sizes = vec![0.0; sums.len()];
        families.iter().for_each(|&a| sizes[a] += 1.0 / n);
        return NONE / ERRORS * sizes.iter().map(|s| s * s).sum::<f64>().max(1.0 / n);
    }
    let (a, b) = x.split_at(first.min(x.len()));
    let apart = match a.is_empty() || b.is_empty() {
        true => 0.0,
        false => (mean(a) - mean(b)).powi(2) * (a.len() * b.len()) as f64 / (n * n),
    };
    independent.max(of_families).max(apart).sqrt()
}
