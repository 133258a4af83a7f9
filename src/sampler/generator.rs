//! The generator: a network that maps latent points to samples in one pass.

use crate::autodiff::{Tape, Var};
use crate::linalg::Matrix;
use crate::nn::{Mlp, Parameters};
use crate::num::Real;
use crate::rng::{Purpose, fill_normal, stream};
use crate::sampler::latent::{Latent, LatentBatch};
use rayon::prelude::*;
use std::sync::Arc;

/// Rows that one tape computes at a time; fixed, so that the bits do not depend on the number of threads.
pub(crate) const CHUNK: usize = 128;

/// The units in which a network works: x = centre + scale · y.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Centre of the target, d.
    pub centre: Vec<f64>,
    /// Its overall scale, > 0.
    pub scale: f64,
}

/// A one-step sampler: x = centre + scale · y with
/// y = c_k + a z + b MLP(c_k, z) for a latent with codes, y = z + MLP(z) for a Gaussian one.
///
/// c_k ∈ R^d is learned for each code.
#[derive(Debug, Clone)]
pub struct Generator<T: Real = f32> {
    /// The law of the input.
    pub latent: Latent,
    /// The units.
    pub frame: Frame,
    /// Trainable matrices: the codes (K×d) where there are any, then those of the network.
    pub parameters: Parameters<T>,
    network: Mlp,
}

/// a: noise of a fresh code, in units of the frame.
const CODE_NOISE: f64 = 0.1;
/// b: reach of the network around a code.
const CODE_REACH: f64 = 0.3;

impl<T: Real> Generator<T> {
    /// A fresh generator in R^d with hidden layers of the given widths, its parameters drawn under `seed`.
    pub fn new(frame: Frame, latent: Latent, hidden: &[usize], seed: u64) -> Self {
        let d = frame.centre.len();
        let inputs = if latent.codes() > 0 { 2 * d } else { d };
        let network = Mlp::new([&[inputs], hidden, &[d]].concat());
        let mut rng = stream(seed, Purpose::Initialise, 0);
        let mut parameters = Vec::new();
        if latent.codes() > 0 {
            let mut codes = Matrix::zeros(latent.codes(), d);
            fill_normal(&mut rng, codes.as_mut_slice());
            parameters.push(codes);
        }
        parameters.extend(network.initialise(&mut rng));
        Self { latent, frame, network, parameters: parameters.into_iter().map(Arc::new).collect() }
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.frame.centre.len()
    }

    /// y (n×d, in units of the frame) on the tape, for latent points `noise` (n×d) and their codes.
    pub(crate) fn forward<'t>(
        &self,
        parameters: &[Var<'t, T>],
        noise: Var<'t, T>,
        codes: Option<&Arc<[usize]>>,
    ) -> Var<'t, T> {
        match codes {
            None => noise + self.network.forward(parameters, noise),
            Some(index) => {
                let code = parameters[0].gather_rows(index);
                let reach = self.network.forward(&parameters[1..], code.concat_columns(noise));
                code + noise * T::from_f64(CODE_NOISE) + reach * T::from_f64(CODE_REACH)
            }
        }
    }

    /// y (n×d, in units of the frame) at the latent points of a batch.
    pub(crate) fn apply(&self, batch: &LatentBatch<T>) -> Matrix<T> {
        let (n, d) = batch.noise.shape();
        let mut out = Matrix::zeros(n, d);
        out.as_mut_slice().par_chunks_mut(CHUNK * d).enumerate().for_each_init(Tape::new, |tape, (chunk, out)| {
            tape.reset();
            let (noise, codes) = batch.slice(chunk * CHUNK, chunk * CHUNK + out.len() / d);
            let parameters = crate::nn::on_tape(tape, &self.parameters);
            let y = self.forward(&parameters, tape.leaf(&noise), codes.as_ref());
            y.with(|y| out.copy_from_slice(y.as_slice()));
        });
        out
    }

    /// n independent samples x (n×d) under `seed`, block number `block` of a longer stream.
    pub fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        let batch = self.latent.sample(n, self.dim(), (seed, Purpose::Sample, block));
        let mut x: Matrix = self.apply(&batch).cast();
        for row in x.as_mut_slice().chunks_exact_mut(self.dim()) {
            row.iter_mut().zip(&self.frame.centre).for_each(|(x, c)| *x = c + self.frame.scale * *x);
        }
        x
    }
}
