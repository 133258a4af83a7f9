//! A flow on a training batch: samples and log-densities, for [`Batch::pull_back`].

use crate::autodiff::{Tape, Var};
use crate::linalg::Matrix;
use crate::num::Real;
use crate::sampler::batch::{Batch, CHUNK};
use crate::sampler::flow::Flow;
use crate::sampler::latent::LatentBatch;
use rayon::prelude::*;

impl<T: Real> Batch<T> {
    /// y = T(z), n×d in units of the frame; what [`Batch::pull_back`] goes back through.
    pub(super) fn generate(&mut self, flow: &Flow<T>, latent: &LatentBatch<T>) -> Matrix<T> {
        let (n, d) = latent.noise.shape();
        let mut out = Matrix::zeros(n, d);
        let rows = out.as_mut_slice().par_chunks_mut(CHUNK * d).enumerate();
        self.record(&flow.parameters, rows, |tape, parameters, (k, out)| {
            let (noise, codes) = latent.slice(k * CHUNK..k * CHUNK + out.len() / d);
            let y = flow.generate(parameters, tape.leaf(&noise), codes.as_ref()).points;
            y.with(|y| out.copy_from_slice(y.as_slice()));
            y
        });
        out
    }

    /// log q at y (n×d, units of the frame), and where asked its gradient in y; what [`Batch::pull_back`] goes back through.
    pub(super) fn log_density(&mut self, flow: &Flow<T>, y: &Matrix<T>, score: Option<&mut Matrix<T>>) -> Vec<f64> {
        let (n, d) = y.shape();
        let mut out = vec![0.0; n];
        let rows = y.as_slice().par_chunks(CHUNK * d).zip(out.par_chunks_mut(CHUNK));
        match score {
            None => self.record(&flow.parameters, rows, |tape, parameters, (y, out)| {
                log_density(flow, tape, parameters, y, out, None)
            }),
            Some(score) => {
                let rows = rows.zip(score.as_mut_slice().par_chunks_mut(CHUNK * d));
                self.record(&flow.parameters, rows, |tape, parameters, ((y, out), score)| {
                    log_density(flow, tape, parameters, y, out, Some(score))
                });
            }
        }
        out
    }
}

/// log q at the rows of a chunk, written to `out`, with its gradient to `score`.
fn log_density<'t, T: Real>(
    flow: &Flow<T>,
    tape: &'t Tape<T>,
    parameters: &[Var<'t, T>],
    y: &[T],
    out: &mut [f64],
    score: Option<&mut [T]>,
) -> Var<'t, T> {
    let y = tape.leaf_from(out.len(), y.len() / out.len(), y);
    let l = flow.log_density_of(parameters, y);
    l.with(|l| out.iter_mut().zip(l.as_slice()).for_each(|(o, l)| *o = l.to_f64()));
    if let Some(score) = score {
        tape.gradient(l, &[y])[0].with(|s| score.copy_from_slice(s.as_slice()));
    }
    l
}
