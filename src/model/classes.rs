//! Classes of the codes of a generator: conditional generation.

use crate::density::{GaussianMixture, Labels};
use crate::error::Result;
use crate::estimate::Classed;
use crate::linalg::Matrix;
use crate::model::LatentBatch;
use crate::num::Real;
use crate::rng::{Purpose, stream, uniform};
use crate::search::fit_mixture;
use crate::state::State;

/// Beside the batches of a step stands its guidance.
const GUIDANCE: u64 = 1 << 61;

/// Which class each code of a generator draws, so that a class is drawn by its codes alone, and how guidance is learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    /// Class of each code, K.
    pub of_codes: Vec<usize>,
    /// What each class is called, C.
    pub names: Vec<f64>,
    /// The largest guidance that was learnt; 0 for none.
    pub guidance: f64,
}

impl Classes {
    /// Whether a generator with `codes` codes can have these: each code has a class, and each class a code.
    pub fn fit(&self, codes: usize) -> bool {
        self.of_codes.len() == codes
            && self.of_codes.iter().all(|c| *c < self.names.len())
            && (0..self.names.len()).all(|c| self.of_codes.contains(&c))
            && self.guidance >= 0.0
            && self.guidance.is_finite()
    }

    /// A mixture fitted to each class of y (n×d), with about `codes` components in all, by their shares; and the class of each component.
    pub(super) fn mixture(y: &Matrix, labels: &Labels, codes: usize, seed: u64) -> (GaussianMixture, Vec<usize>) {
        let (n, d) = y.shape();
        let (mut weights, mut means, mut factors, mut of_codes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for class in 0..labels.names.len() {
            let rows = labels.rows(class);
            let share = rows.len() as f64 / n as f64;
            let part = fit_mixture(&y.gather_rows(&rows), ((codes as f64 * share) as usize).max(1), seed);
            weights.extend(part.weights().iter().map(|w| share * w));
            means.extend_from_slice(part.means().as_slice());
            factors.extend(part.factors().iter().map(|l| l.lower().clone()));
            of_codes.resize(weights.len(), class);
        }
        (GaussianMixture::of_lower_factors(weights, Matrix::from_vec(of_codes.len(), d, means), factors), of_codes)
    }

    /// m_c - m for the means m_c of the classes of y (n×d) and m of all, C×d.
    pub(super) fn beyond(y: &Matrix, labels: &Labels) -> Matrix {
        let all = y.column_means();
        let of = |class: usize| y.gather_rows(&labels.rows(class)).column_means();
        let means: Vec<Vec<f64>> = (0..labels.names.len()).map(of).collect();
        Matrix::from_fn(means.len(), y.cols(), |c, j| means[c][j] - all[j])
    }

    /// The guidance of a step: 0 in half of the steps, else uniform up to the largest.
    pub(super) fn guidance_of(&self, seed: u64, step: u64) -> f64 {
        let u = uniform(&mut stream(seed, Purpose::Latent, GUIDANCE | step));
        self.guidance * (2.0 * u - 1.0).max(0.0)
    }

    /// The classes of the rows of a batch.
    pub(super) fn of<T: Real>(&self, batch: &LatentBatch<T>) -> Vec<usize> {
        batch.codes.iter().flatten().map(|&k| self.of_codes[k]).collect()
    }

    /// The classes of a step.
    pub(super) fn classed<T: Real>(&self, x: &LatentBatch<T>, reference: Option<&LatentBatch<T>>) -> Classed {
        let reference = reference.map_or_else(Vec::new, |r| self.of(r));
        Classed { x: self.of(x), reference, guidance: x.guidance }
    }

    pub(super) fn put(&self, to: &mut State) {
        let codes: Vec<f64> = self.of_codes.iter().map(|c| *c as f64).collect();
        to.put_row("latent.classes", &codes);
        to.put_row("latent.labels", &self.names);
        to.put_row("latent.guidance", &[self.guidance]);
    }

    /// None where the state has none.
    pub(super) fn of_state(from: &State) -> Result<Option<Self>> {
        if !from.tensors.contains_key("latent.classes") {
            return Ok(None);
        }
        let row = |name: &str| from.any_shape::<f64>(name).map(|m| m.as_slice().to_vec());
        let guidance = row("latent.guidance")?.first().copied().unwrap_or(0.0);
        let of_codes = row("latent.classes")?.into_iter().map(|c| c as usize).collect();
        Ok(Some(Self { of_codes, names: row("latent.labels")?, guidance }))
    }
}
