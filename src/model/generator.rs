//! The generator: a network that maps latent points to samples in one pass.

use crate::autodiff::Var;
use crate::density::Affine;
use crate::linalg::Matrix;
use crate::model::batch::Batch;
use crate::model::latent::{Latent, LatentBatch};
use crate::nn::{Inference, Mlp, Parameters};
use crate::num::Real;
use crate::parallel;
use crate::rng::{Purpose, fill_normal, stream};
use std::sync::Arc;

/// A one-step sampler: x = centre + scale · y with
///
/// - y = c_k + a z + b MLP(c_k, z) for a latent with codes, c_k ∈ R^d learned for each code k;
/// - y = z + MLP(z) for a Gaussian latent.
#[derive(Debug, Clone)]
pub struct Generator<T: Real = f32> {
    /// The law of the input.
    pub latent: Latent,
    /// The units.
    pub frame: Affine,
    /// Trainable matrices in the order of [`Generator::parameter_names`].
    pub parameters: Parameters<T>,
    hidden: Vec<usize>,
    network: Mlp,
}

/// a: noise of a fresh code, in units of the frame.
const CODE_NOISE: f64 = 0.1;
/// b: reach of the network around a code.
const CODE_REACH: f64 = 0.3;

/// Rows that go through the whole network before the next ones; a multiple of the rows of a tile, and few enough for the second-level
/// cache at the usual widths.
const BLOCK: usize = 96;

impl<T: Real> Generator<T> {
    /// A fresh generator in R^d, d the frame's, with hidden layers of the given widths; its parameters are drawn under `seed`.
    pub fn new(frame: Affine, latent: Latent, hidden: &[usize], seed: u64) -> Self {
        let d = frame.dim();
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
        let parameters = parameters.into_iter().map(|m| Arc::new(m.into())).collect();
        Self { latent, frame, parameters, hidden: hidden.to_vec(), network }
    }

    /// Number of trainable numbers in R^d with `codes` codes (0 for a Gaussian latent) and these hidden layers; None
    /// beyond the whole numbers. Nothing is made.
    pub fn size_of(d: usize, codes: usize, hidden: &[usize]) -> Option<usize> {
        let inputs = if codes > 0 { d.checked_mul(2)? } else { d };
        Mlp::size(&[&[inputs], hidden, &[d]].concat())?.checked_add(codes.checked_mul(d)?)
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.frame.dim()
    }

    /// Widths of the hidden layers.
    pub fn hidden(&self) -> &[usize] {
        &self.hidden
    }

    /// Names of the trainable matrices: `codes` (K×d) where there are any, then those of the network.
    pub fn parameter_names(&self) -> Vec<String> {
        let codes = (self.latent.codes() > 0).then(|| "codes".to_string());
        codes.into_iter().chain(self.network.parameter_names()).collect()
    }

    /// Number of trainable numbers.
    pub fn size(&self) -> usize {
        self.parameters.iter().map(|p| p.as_slice().len()).sum()
    }

    /// y (n×d, in units of the frame) on the tape, for latent points `noise` (n×d) and their codes.
    #[track_caller]
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

    /// y = G(latent), n×d in units of the frame: the bits of the forward pass of training, in blocks that stay in cache.
    #[track_caller]
    pub fn map(&self, latent: &LatentBatch<T>) -> Matrix<T> {
        let (n, d) = latent.noise.shape();
        let codes = latent.codes.as_ref().map(|k| (k, &self.parameters[0]));
        let network = Inference::new(&self.network, &self.parameters[usize::from(codes.is_some())..]);
        let mut out = Matrix::zeros(n, d);
        parallel::for_each(out.as_mut_slice().chunks_mut((BLOCK * d).max(1)).enumerate(), |(block, out)| {
            let rows = block * BLOCK..block * BLOCK + out.len() / d;
            let noise = &latent.noise.as_slice()[rows.start * d..rows.end * d];
            let Some((index, code)) = codes else {
                let reach = network.forward(noise.to_vec(), rows.len());
                return out.iter_mut().zip(noise).zip(&reach).for_each(|((y, &z), &r)| *y = z + r);
            };
            let code_of = |i: usize| code.row(index[i]);
            let inputs = rows.clone().zip(noise.chunks_exact(d)).flat_map(|(i, z)| code_of(i).iter().chain(z)).copied();
            let reach = network.forward(inputs.collect(), rows.len());
            let parts = out.chunks_exact_mut(d).zip(noise.chunks_exact(d)).zip(reach.chunks_exact(d));
            for (i, ((y, z), r)) in rows.zip(parts) {
                for (c, &k) in code_of(i).iter().enumerate() {
                    y[c] = k + z[c] * T::from_f64(CODE_NOISE) + r[c] * T::from_f64(CODE_REACH);
                }
            }
        });
        out
    }

    /// Σ_i (∂y_i/∂θ_p)ᵀ g_i for each matrix θ_p of the parameters, by the pull-back that training uses.   `cotangent` g: n×d.
    ///
    /// With g_i = -η V(y_i)/n this is the gradient of the stop-gradient loss, η times that of D_f (T9).
    pub fn gradient(&self, latent: &LatentBatch<T>, cotangent: &Matrix<T>) -> Vec<Matrix<T>> {
        let mut gradient: Vec<_> = self.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect();
        let mut batch = Batch::default();
        batch.forward(self, latent);
        batch.pull_back(cotangent, &mut gradient);
        gradient
    }

    /// n independent samples x (n×d) under `seed`: block number `block` of a stream, so that any number can be drawn in
    /// constant memory. Blocks are independent.
    pub fn sample(&self, n: usize, seed: u64, block: u64) -> Matrix {
        let latent: LatentBatch<T> = self.latent.sample(n, self.dim(), (seed, Purpose::Sample, block));
        self.frame.restore(&self.map(&latent))
    }
}
