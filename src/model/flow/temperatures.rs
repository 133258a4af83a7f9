//! A flow at one temperature of a family: log Z(β), and the identity that checks it against the samples.

use crate::density::Temperatures;
use crate::error::Result;
use crate::linalg::Matrix;
use crate::metric::{Certificate, Estimate, weighted_means};
use crate::model::flow::{Flow, Given};
use crate::num::Real;

/// What samples of a flow given β say of p~^β.
#[derive(Debug, Clone)]
pub struct AtTemperature {
    /// β.
    pub beta: f64,
    /// log Z(β) = log ∫ p~^β, by weights p~^β/q(·|β).
    pub log_z: Estimate,
    /// The fraction of the samples that the weights leave effective.
    pub ess: f64,
    /// log Z(β) where a formula knows it.
    pub exact: Option<f64>,
    /// E_β[log p~], by the same weights.
    pub mean_log_density: Estimate,
    /// The difference quotient of log Z about β less the mean of E[log p~] between its ends by Simpson's rule, which d log Z/dβ =
    /// E_β[log p~] makes 0: log Z and the samples check each other.
    pub slope_gap: Estimate,
}

/// Batches behind the error of the gap.
const BATCHES: u64 = 20;
/// Relative distance of the two β of a difference quotient, to either side; Simpson's error is of order 4 in it.
const STEP: f64 = 0.02;

impl AtTemperature {
    /// From n samples given β of a flow on (u, x), where u is the flow's coordinate of β: `coordinate`(β). Errors of [`Flow::given`], for a β
    /// where the flow has no density, and of [`Certificate::of`].
    pub fn of<T: Real>(
        flow: &Flow<T>,
        family: &Temperatures,
        coordinate: &dyn Fn(f64) -> Result<f64>,
        beta: f64,
        (n, seed): (usize, u64),
    ) -> Result<Self> {
        let (low, high) = family.range();
        let half = (STEP * beta).min(0.5 * (high - low));
        let middle = beta.clamp(low + half, high - half);
        let at = [middle - half, middle, middle + half];
        let rows = n.div_ceil(BATCHES as usize);
        let given = |beta: f64| flow.given(&[coordinate(beta)?]);
        let (own, laws) = (given(beta)?, at.iter().map(|beta| given(*beta)).collect::<Result<Vec<_>>>()?);
        // of a batch: log-weights and log p~
        let batch = |law: &Given<T>, beta: f64, block: u64| -> (Vec<f64>, Matrix) {
            let (points, log_q) = law.sample(rows, seed, block);
            let log_p = family.inner().log_density(&family.points(&points));
            let weights = log_p.iter().zip(&log_q).map(|(p, q)| beta * p - q).collect();
            (weights, Matrix::from_vec(rows, 1, log_p))
        };
        let (mut log_weights, mut log_p, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        for block in 0..BATCHES {
            // the same random numbers at all three
            let parts: Vec<_> = laws.iter().zip(at).map(|(law, beta)| batch(law, beta, block)).collect();
            let log_z = |k: usize| Ok::<f64, crate::Error>(Certificate::of(&parts[k].0, None)?.log_z.value);
            let mean = |k: usize| Ok::<f64, crate::Error>(weighted_means(&parts[k].0, &parts[k].1)?[0].value);
            let slope = (log_z(2)? - log_z(0)?) / (at[2] - at[0]);
            gaps.push(slope - (mean(0)? + 4.0 * mean(1)? + mean(2)?) / 6.0);
            // but at the ends of the range β is the one in the middle
            let (weights, values) = if beta == middle { parts[1].clone() } else { batch(&own, beta, block) };
            log_weights.extend(weights);
            log_p.extend(values.into_vec());
        }
        let certificate = Certificate::of(&log_weights, None)?;
        let mean_log_density = weighted_means(&log_weights, &Matrix::from_vec(log_p.len(), 1, log_p))?[0];
        let exact = family.inner().log_normaliser_of_power(beta);
        let (log_z, ess) = (certificate.log_z, certificate.reverse_ess);
        Ok(Self { beta, log_z, ess, exact, mean_log_density, slope_gap: Estimate::mean(&gaps) })
    }
}
