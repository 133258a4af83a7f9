//! A proposal with heavy tails.

use crate::density::{Density, StudentMixture, rows};
use crate::linalg::Matrix;
use crate::num::{exp, ln, ln_1p, log_sum_exp};
use crate::rng::{Purpose, stream, uniform};
use crate::{Error, Result};
use rand::Rng;
use std::sync::Arc;

/// ψ(x) = (1 - δ) q(x) + δ t(x): q with the tails of a Student mixture t, so that p~/ψ ≤ p~/(δ t) is bounded wherever p's tails are lighter.
///   Source: Hesterberg (1995), defensive importance sampling.
#[derive(Clone)]
pub struct Defended {
    q: Arc<dyn Density>,
    tails: StudentMixture,
    share: f64,
}

impl Defended {
    /// From a normalised density with a sampler, the tails, and 0 < δ < 1. `Error::Unsupported` for a q without a sampler, `Error::Dimension`
    /// and `Error::Parameter` otherwise.
    pub fn new(q: Arc<dyn Density>, tails: StudentMixture, share: f64) -> Result<Self> {
        if q.dim() != tails.dim() {
            return Err(Error::Dimension { what: "tails of a proposal".into(), expected: q.dim(), found: tails.dim() });
        }
        if !(share > 0.0 && share < 1.0) {
            return Err(Error::Parameter {
                name: "share of the tails".into(),
                value: share,
                expected: "between 0 and 1",
            });
        }
        if q.log_normaliser() != Some(0.0) || q.sample(1, 0).is_none() {
            let what = "a proposal needs a normalised density and a sampler".into();
            return Err(Error::Unsupported { what, remedy: "use a flow, or a generator trained with codes" });
        }
        Ok(Self { q, tails, share })
    }

    fn logs(&self) -> [f64; 2] {
        [ln_1p(-self.share), ln(self.share)]
    }
}

impl Density for Defended {
    fn dim(&self) -> usize {
        self.tails.dim()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        let [own, tail] = self.logs();
        self.q.log_density_into(x, out);
        out.iter_mut().zip(self.tails.log_density(x)).for_each(|(q, t)| *q = log_sum_exp(&[own + *q, tail + t]));
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        let [own, tail] = self.logs();
        self.q.evaluate_into(x, log_density, score);
        let (mut log_t, mut score_t) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), x.cols()));
        self.tails.evaluate_into(x, &mut log_t, &mut score_t);
        for (i, (l, t)) in log_density.iter_mut().zip(log_t).enumerate() {
            let (a, b) = (own + *l, tail + t);
            *l = log_sum_exp(&[a, b]);
            let (a, b) = (exp(a - *l), exp(b - *l));
            (0..x.cols()).for_each(|j| score[(i, j)] = a * score[(i, j)] + b * score_t[(i, j)]);
        }
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        // three seeds, so that the streams of the parts are independent of each other whatever they use them for
        let key = |part: u64| stream(seed, Purpose::Certificate, part).next_u64();
        let (own, tail) = (self.q.sample(n, key(0))?, self.tails.sample(n, key(1))?);
        let choice = rows::sample(n, 1, key(2), |rng, row| row[0] = uniform(rng));
        let from = |i: usize| if choice[(i, 0)] < self.share { &tail } else { &own };
        Some(Matrix::from_fn(n, self.dim(), |i, j| from(i)[(i, j)]))
    }
}
