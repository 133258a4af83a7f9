//! A flow on a training batch, chunk by chunk: samples, log-densities and the way back.

use crate::autodiff::Tape;
use crate::linalg::Matrix;
use crate::num::Real;
use crate::sampler::batch::CHUNK;
use crate::sampler::flow::Flow;
use crate::sampler::latent::LatentBatch;
use rayon::prelude::*;

/// The tapes of a batch, one for each chunk of rows; their memory is reused from step to step.
#[derive(Debug, Default)]
pub(super) struct Batch<T: Real> {
    chunks: Vec<Chunk<T>>,
}

#[derive(Debug)]
struct Chunk<T: Real> {
    tape: Tape<T>,
    /// Node ids of the parameters and of the output.
    parameters: Vec<usize>,
    output: usize,
    gradient: Vec<Matrix<T>>,
}

impl<T: Real> Batch<T> {
    fn sized(&mut self, n: usize) -> impl IndexedParallelIterator<Item = &mut Chunk<T>> {
        let new = || Chunk { tape: Tape::new(), parameters: Vec::new(), output: 0, gradient: Vec::new() };
        self.chunks.resize_with(n.div_ceil(CHUNK), new);
        self.chunks.par_iter_mut()
    }

    /// y = T(z), n×d in units of the frame; what [`Batch::pull_back`] goes back through.
    pub(super) fn generate(&mut self, flow: &Flow<T>, latent: &LatentBatch<T>) -> Matrix<T> {
        let (n, d) = latent.noise.shape();
        let mut out = Matrix::zeros(n, d);
        let rows = out.as_mut_slice().par_chunks_mut(CHUNK * d);
        self.sized(n).zip(rows).enumerate().for_each(|(k, (chunk, out))| {
            let parameters = chunk.start(flow);
            let tape = &chunk.tape;
            let (noise, codes) = latent.slice(k * CHUNK..k * CHUNK + out.len() / d);
            let vars: Vec<_> = parameters.iter().map(|&id| tape.var(id)).collect();
            let y = flow.generate(&vars, tape.leaf(&noise), codes.as_ref()).points;
            y.with(|y| out.copy_from_slice(y.as_slice()));
            (chunk.output, chunk.parameters) = (y.id, parameters);
        });
        out
    }

    /// log q at y (n×d, units of the frame), and where asked its gradient in y; what [`Batch::pull_back`] goes back through.
    pub(super) fn log_density(&mut self, flow: &Flow<T>, y: &Matrix<T>, score: Option<&mut Matrix<T>>) -> Vec<f64> {
        let (n, d) = y.shape();
        let mut out = vec![0.0; n];
        let each = |chunk: &mut Chunk<T>, y: &[T], out: &mut [f64], score: Option<&mut [T]>| {
            let parameters = chunk.start(flow);
            let tape = &chunk.tape;
            let vars: Vec<_> = parameters.iter().map(|&id| tape.var(id)).collect();
            let y = tape.leaf_from(out.len(), d, y);
            let l = flow.log_density_of(&vars, y);
            l.with(|l| out.iter_mut().zip(l.as_slice()).for_each(|(o, l)| *o = l.to_f64()));
            if let Some(score) = score {
                tape.gradient(l, &[y])[0].with(|s| score.copy_from_slice(s.as_slice()));
            }
            (chunk.output, chunk.parameters) = (l.id, parameters);
        };
        let rows = self.sized(n).zip(y.as_slice().par_chunks(CHUNK * d)).zip(out.par_chunks_mut(CHUNK));
        match score {
            None => rows.for_each(|((chunk, y), out)| each(chunk, y, out, None)),
            Some(score) => rows
                .zip(score.as_mut_slice().par_chunks_mut(CHUNK * d))
                .for_each(|(((chunk, y), out), s)| each(chunk, y, out, Some(s))),
        }
        out
    }

    /// gradient_p ← Σ_i (∂o_i/∂θ_p)ᵀ g_i for the outputs o of the last pass, by chunks in a fixed order; then lets the parameters
    /// go, so that they can be moved in place.
    pub(super) fn pull_back(&mut self, cotangent: &Matrix<T>, gradient: &mut [Matrix<T>]) {
        let width = cotangent.cols();
        let rows = cotangent.as_slice().par_chunks(CHUNK * width);
        self.chunks.par_iter_mut().zip(rows).for_each(|(chunk, g)| chunk.pull_back(g, width));
        for (p, total) in gradient.iter_mut().enumerate() {
            total.as_mut_slice().fill(T::ZERO);
            for chunk in &self.chunks {
                let part = chunk.gradient[p].as_slice();
                total.as_mut_slice().iter_mut().zip(part).for_each(|(t, &g)| *t += g);
            }
        }
        self.release();
    }

    /// Lets the parameters go.
    pub(super) fn release(&mut self) {
        self.chunks.iter_mut().for_each(|chunk| chunk.tape.reset());
    }
}

impl<T: Real> Chunk<T> {
    /// An empty tape with the parameters; their ids.
    fn start(&mut self, flow: &Flow<T>) -> Vec<usize> {
        self.tape.reset();
        let mut ids = std::mem::take(&mut self.parameters);
        ids.clear();
        ids.extend(flow.parameters.iter().map(|p| self.tape.shared(p).id));
        ids
    }

    fn pull_back(&mut self, cotangent: &[T], width: usize) {
        let tape = &self.tape;
        let parameters: Vec<_> = self.parameters.iter().map(|&id| tape.var(id)).collect();
        self.gradient.resize_with(parameters.len(), Matrix::default);
        let g = tape.leaf_from(cotangent.len() / width, width, cotangent);
        let gradients = tape.pull_back(tape.var(self.output), g, &parameters);
        for (out, dx) in self.gradient.iter_mut().zip(gradients) {
            dx.with(|dx| {
                out.reshape_reuse(dx.rows(), dx.cols());
                out.as_mut_slice().copy_from_slice(dx.as_slice());
            });
        }
    }
}
