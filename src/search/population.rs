//! What a population of a search says, with errors, and how two of them compare.

use crate::density::Affine;
use crate::linalg::{Cholesky, Matrix};
use crate::num::{exp, ln, log_sum_exp};
use crate::search::disagreement::{Disagreement, Quantity};
use crate::search::fit::within;
use crate::search::peaks::{PEAKS, Peak, covariance_factor};
use crate::search::smc::Ended;

/// Particles that a mode is worth, at least, to be missed: fewer come and go by chance.
const RESOLVED: f64 = 8.0;
/// Gap of log Z, in nats and in standard errors, from which the first population is said to have missed mass.
const MISSED: f64 = 0.1;
const MISSED_ERRORS: f64 = 5.0;
/// Variance of log Z from which a population descends from few particles of its start: ten families of equal size have 1/10.
const FEW: f64 = 0.1;
/// And from many: a hundred.
const MANY: f64 = 0.01;
/// Deviation, in units of the first population's, of one that found much more: mass far away, or mass without end.
const WIDE: f64 = 30.0;
/// Standard errors from which two populations disagree, for one quantity.
const DISAGREE: f64 = 4.0;

/// A population with the frame it worked in.
pub(super) struct Population {
    pub frame: Affine,
    pub end: Ended,
}

impl Population {
    pub fn reached(&self) -> bool {
        self.end.beta >= 1.0
    }

    /// The frame of the particles, in units of this population's.
    pub fn cloud(&self) -> Option<Affine> {
        lower_frame(self.end.x.column_means(), &self.end.x.column_covariance())
    }

    /// Whether a coordinate's deviation is more than [`WIDE`].
    pub fn is_wider_than_its_frame(&self) -> bool {
        let covariance = self.end.x.column_covariance();
        (0..covariance.rows()).any(|i| covariance[(i, i)].sqrt() > WIDE)
    }

    /// In units of the target.
    pub fn particles(&self) -> Matrix {
        self.frame.restore(&self.end.x)
    }

    pub fn log_z(&self) -> f64 {
        self.end.log_z + self.frame.log_jacobian()
    }

    /// Of log Z: Σ_a (n_a/n)², n_a the particles that descend from the start's particle a (the leading term of Lee and Whiteley,
    /// Biometrika 2018, section 3); at least 1/n.
    pub fn log_z_variance(&self) -> f64 {
        self.variance(&vec![1.0; self.end.ancestors.len()])
    }

    /// Of the mean of f over the particles, Σ_a (Σ_{i descends from a} f_i/n)²; f centred, and not less than of independent ones.
    pub fn variance(&self, f: &[f64]) -> f64 {
        let n = f.len();
        let mut families = vec![0.0; n];
        self.end.ancestors.iter().zip(f).for_each(|(&a, f)| families[a] += f / n as f64);
        let independent = f.iter().map(|f| f * f).sum::<f64>() / (n * n) as f64;
        families.iter().map(|s| s * s).sum::<f64>().max(independent)
    }

    /// Standard errors of the column means of x, its particles in any units.
    pub fn mean_error(&self, x: &Matrix) -> Vec<f64> {
        let mean = x.column_means();
        let centred = |j: usize| -> Vec<f64> { x.iter_rows().map(|row| row[j] - mean[j]).collect() };
        (0..mean.len()).map(|j| self.variance(&centred(j)).sqrt()).collect()
    }

    /// Whether less than a quarter of the particles that a peak's mass stands for lie at it: within its ball that holds 99 % and more of a
    /// Gaussian; not where those are fewer than [`RESOLVED`].
    pub fn lacks(&self, peak: &Peak) -> bool {
        let (n, reach) = (self.end.x.rows() as f64, within(peak.x.len()));
        let expected = n * exp(peak.log_mass - self.end.log_z).min(1.0);
        let Some(cholesky) = covariance_factor(&peak.factor).filter(|_| expected >= RESOLVED) else { return false };
        let inside = |row: &&[f64]| {
            let gap: Vec<f64> = row.iter().zip(&peak.x).map(|(x, m)| x - m).collect();
            cholesky.inverse_quadratic_form(&gap) < reach
        };
        (self.end.x.iter_rows().filter(inside).count() as f64) < 0.25 * expected
    }

    /// The same particles in the units of another frame.
    pub fn in_units_of(&self, frame: &Affine) -> Population {
        let x = frame.standardise(&self.particles());
        let log_z = self.log_z() - frame.log_jacobian();
        Population { frame: frame.clone(), end: Ended { x, log_z, ..self.end.clone() } }
    }

    pub fn lacks_any(&self, peaks: &[Peak]) -> bool {
        peaks.iter().take(PEAKS).any(|p| self.lacks(p))
    }

    /// Whether another one has more mass, by more than the errors of both.
    pub fn lacks_mass_of(&self, other: &Population) -> bool {
        let error = (self.log_z_variance() + other.log_z_variance()).sqrt();
        other.log_z() - self.log_z() > MISSED.max(MISSED_ERRORS * error)
    }

    /// Whether this one descends from a few particles of its start, or disagrees with another one that descends from many more.
    pub fn is_worse_than(&self, other: &Population) -> bool {
        let (own, others) = (self.log_z_variance(), other.log_z_variance());
        others < MANY && own > 10.0 * others && (own > FEW || disagreement(self, other).is_some())
    }
}

/// The quantity on which two populations disagree most, where that is beyond their errors: log Z or the mean of a coordinate.
pub(super) fn disagreement(a: &Population, b: &Population) -> Option<Disagreement> {
    if !b.reached() {
        return Some(Disagreement { quantity: Quantity::Power, values: [a.end.beta, b.end.beta], error: 0.0 });
    }
    let error = (a.log_z_variance() + b.log_z_variance()).sqrt();
    let mut all = vec![Disagreement { quantity: Quantity::LogZ, values: [a.log_z(), b.log_z()], error }];
    let (x, y) = (a.particles(), b.particles());
    let (mean_x, mean_y) = (x.column_means(), y.column_means());
    let (u, v) = (a.mean_error(&x), b.mean_error(&y));
    for j in 0..x.cols() {
        let error = (u[j] * u[j] + v[j] * v[j]).sqrt();
        all.push(Disagreement { quantity: Quantity::Mean(j + 1), values: [mean_x[j], mean_y[j]], error });
    }
    // the largest of m normal numbers is about √(2 log m)
    let limit = DISAGREE + (2.0 * ln(all.len() as f64)).sqrt();
    let distance = |d: &Disagreement| (d.values[0] - d.values[1]).abs() / d.error;
    all.into_iter().max_by(|a, b| distance(a).total_cmp(&distance(b))).filter(|d| distance(d) > limit)
}

/// log Z by the mean of the Z of both populations, weighted by their particles, and its error: that of one population (both share the bias
/// of a logarithm, which averaging does not lower), and not less than their difference says.
pub(super) fn combined(a: &Population, b: &Population) -> (f64, f64) {
    if !b.reached() {
        return (a.log_z(), a.log_z_variance().sqrt());
    }
    let (n, m) = (a.end.x.rows() as f64, b.end.x.rows() as f64);
    let (u, v) = (n / (n + m), m / (n + m));
    let log_z = log_sum_exp(&[a.log_z() + ln(u), b.log_z() + ln(v)]);
    let families = (u * a.log_z_variance() + v * b.log_z_variance()).sqrt();
    (log_z, families.max((a.log_z() - b.log_z()).abs() * (u * v).sqrt()))
}

/// The frame of a mean and a covariance, with its full factor; none where the covariance is singular.
pub(super) fn lower_frame(mean: Vec<f64>, covariance: &Matrix) -> Option<Affine> {
    let cholesky = Cholesky::factor(covariance, "covariance of the search").ok()?;
    Affine::from_parts(mean, cholesky.lower().clone()).ok()
}
