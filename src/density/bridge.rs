//! Between a normal law and p.

use crate::density::Density;
use crate::linalg::Matrix;
use crate::{Error, Result};
use std::sync::Arc;

/// log p~_λ(x) = λ log p~(x) - (1 - λ) |x|²/2, score λ ∇ log p~(x) - (1 - λ) x: N(0, I)^(1-λ) p^λ; the normaliser is not known.
#[derive(Clone)]
pub struct Bridge {
    inner: Arc<dyn Density>,
    share: f64,
}

impl Bridge {
    /// With the share λ = `share` of `inner`, 0 < λ ≤ 1; `Error::Parameter` otherwise.
    pub fn new(inner: Arc<dyn Density>, share: f64) -> Result<Self> {
        if !(share > 0.0 && share <= 1.0) {
            let expected = "a number above 0, at most 1";
            return Err(Error::Parameter { name: "share of p".into(), value: share, expected });
        }
        Ok(Self { inner, share })
    }

    /// log p~_λ of log p~ at the rows of x.
    fn blend(&self, x: &Matrix, log_density: &mut [f64]) {
        for (l, x) in log_density.iter_mut().zip(x.iter_rows()) {
            *l = self.share * *l - 0.5 * (1.0 - self.share) * x.iter().map(|x| x * x).sum::<f64>();
        }
    }
}

impl Density for Bridge {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn wants_whole_batches(&self) -> bool {
        self.inner.wants_whole_batches()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(x, out);
        self.blend(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(x, log_density, score);
        self.blend(x, log_density);
        let outside = log_density.iter().map(|l| *l == f64::NEG_INFINITY);
        for ((row, x), outside) in score.as_mut_slice().chunks_exact_mut(self.dim()).zip(x.iter_rows()).zip(outside) {
            // outside the support a score is 0 by convention
            if !outside {
                row.iter_mut().zip(x).for_each(|(s, x)| *s = self.share * *s - (1.0 - self.share) * x);
            }
        }
    }
}
