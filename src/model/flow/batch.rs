//! A flow on a training batch: samples and log-densities, for [`Batch::pull_back`].

use crate::linalg::Matrix;
use crate::model::batch::{Batch, CHUNK};
use crate::model::flow::Flow;
use crate::model::latent::LatentBatch;
use crate::num::Real;

/// Points y (n×d, units of the frame) with log q (n) and ∇ log q (n×d) there.
pub(crate) struct Points<T: Real> {
    pub(crate) y: Matrix<T>,
    pub(crate) log_q: Vec<f64>,
    /// Empty where the objective does not need it.
    pub(crate) score: Matrix<T>,
}

impl<T: Real> Batch<T> {
    /// y = T(z), n×d in units of the frame; what [`Batch::pull_back`] goes back through.
    pub(crate) fn generate(&mut self, flow: &Flow<T>, latent: &LatentBatch<T>) -> Matrix<T> {
        let (n, d) = latent.noise.shape();
        let mut out = Matrix::zeros(n, d);
        let rows = out.as_mut_slice().chunks_mut(CHUNK * d).enumerate();
        self.record(&flow.parameters, rows, |tape, parameters, (k, out)| {
            let (noise, codes) = latent.slice(k * CHUNK..k * CHUNK + out.len() / d);
            let z = flow.base().place(parameters, tape.leaf(&noise), codes.as_deref());
            let y = flow.forward(parameters, z).points;
            y.with(|y| out.copy_from_slice(y.as_slice()));
            y
        });
        out
    }

    /// The same with the density at y and its score, which [`Batch::pull_back`] takes as constants (T9).
    pub(crate) fn generate_with_score(&mut self, flow: &Flow<T>, latent: &LatentBatch<T>) -> Points<T> {
        let (n, d) = latent.noise.shape();
        let (mut y, mut log_q, mut score) = (Matrix::zeros(n, d), vec![0.0; n], Matrix::zeros(n, d));
        let rows = y.as_mut_slice().chunks_mut(CHUNK * d).zip(log_q.chunks_mut(CHUNK));
        let rows = rows.zip(score.as_mut_slice().chunks_mut(CHUNK * d)).enumerate();
        self.record(&flow.parameters, rows, |tape, parameters, (k, ((y, log_q), score))| {
            let (noise, codes) = latent.slice(k * CHUNK..k * CHUNK + log_q.len());
            let z = flow.base().place(parameters, tape.leaf(&noise), codes.as_deref());
            let at = flow.forward_with_score(parameters, z);
            at.points.with(|m| y.copy_from_slice(m.as_slice()));
            at.log_density.with(|m| log_q.iter_mut().zip(m.as_slice()).for_each(|(o, l)| *o = l.to_f64()));
            at.score.with(|m| score.copy_from_slice(m.as_slice()));
            at.points
        });
        Points { y, log_q, score }
    }

    /// log q at y (n×d, units of the frame); what [`Batch::pull_back`] goes back through.
    pub(crate) fn log_density(&mut self, flow: &Flow<T>, y: &Matrix<T>) -> Vec<f64> {
        let (n, d) = y.shape();
        let mut out = vec![0.0; n];
        let rows = y.as_slice().chunks(CHUNK * d).zip(out.chunks_mut(CHUNK));
        self.record(&flow.parameters, rows, |tape, parameters, (y, out)| {
            let l = flow.log_density_of(parameters, tape.leaf_from(out.len(), d, y));
            l.with(|l| out.iter_mut().zip(l.as_slice()).for_each(|(o, l)| *o = l.to_f64()));
            l
        });
        out
    }
}
