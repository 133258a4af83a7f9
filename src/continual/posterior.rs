//! Yesterday's posterior, as a density, is today's prior.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::{Error, Result};
use std::sync::Arc;

/// p~(θ) = q(θ) L(θ), a prior times a likelihood: its Z is p(today's data | earlier data) where q is normalised and exact.
#[derive(Clone)]
pub struct Posterior {
    prior: Arc<dyn Density>,
    likelihood: Arc<dyn Density>,
}

impl Posterior {
    /// `Error::Dimension` where the two differ in dimension.
    pub fn new(prior: Arc<dyn Density>, likelihood: Arc<dyn Density>) -> Result<Self> {
        let (expected, found) = (prior.dim(), likelihood.dim());
        if expected != found {
            return Err(Error::Dimension { what: "the likelihood".into(), expected, found });
        }
        Ok(Self { prior, likelihood })
    }
}

impl Density for Posterior {
    fn dim(&self) -> usize {
        self.prior.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.prior.log_density_into(x, out);
        out.iter_mut().zip(self.likelihood.log_density(x)).for_each(|(o, l)| *o += l);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.prior.evaluate_into(x, log_density, score);
        let (mut l, mut s) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), x.cols()));
        self.likelihood.evaluate_into(x, &mut l, &mut s);
        log_density.iter_mut().zip(&l).for_each(|(o, l)| *o += l);
        score.add_scaled(1.0, &s);
        for i in 0..x.rows() {
            if log_density[i] == f64::NEG_INFINITY {
                score.row_mut(i).fill(0.0);
            }
        }
    }
}

/// What a sampler made of one posterior.
#[derive(Clone)]
pub struct Approximation {
    /// A normalised density near it.
    pub density: Arc<dyn Density>,
    /// log Z of the posterior, with a standard error: the increment of the log evidence.
    pub log_z: (f64, f64),
}

/// Takes the likelihoods on one after the other; `sampler` approximates each posterior, and what it returns is the next prior.
///
/// With exact posteriors the increments add up to the log evidence of all data at once. What they miss it by, beyond their errors, is
/// forgetting, in nats: the posterior of yesterday is known through its approximation alone.
pub fn sequence(
    prior: &Arc<dyn Density>,
    likelihoods: &[Arc<dyn Density>],
    mut sampler: impl FnMut(usize, &Arc<dyn Density>) -> Result<Approximation>,
) -> Result<Vec<Approximation>> {
    let mut before = Arc::clone(prior);
    let mut out = Vec::new();
    for (t, likelihood) in likelihoods.iter().enumerate() {
        let target: Arc<dyn Density> = Arc::new(Posterior::new(before, Arc::clone(likelihood))?);
        let found = sampler(t, &target)?;
        before = Arc::clone(&found.density);
        out.push(found);
    }
    Ok(out)
}
