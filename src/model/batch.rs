//! A model on a batch, chunk by chunk: forward, and back.

use crate::autodiff::{Tape, Var};
use crate::linalg::Matrix;
use crate::model::generator::Generator;
use crate::model::latent::LatentBatch;
use crate::nn::Parameters;
use crate::num::Real;
use crate::parallel;

/// Rows that one tape computes; fixed, so that the bits do not depend on the number of threads.
pub(crate) const CHUNK: usize = 256;

/// Numbers of a gradient that are summed over the chunks at a time: they stay in the first-level cache.
const BLOCK: usize = 1 << 12;

/// The tapes of a batch, one for each chunk of [`CHUNK`] rows; their memory is reused from step to step.
#[derive(Debug, Default)]
pub(crate) struct Batch<T: Real> {
    chunks: Vec<Chunk<T>>,
}

#[derive(Debug)]
struct Chunk<T: Real> {
    tape: Tape<T>,
    /// Node ids of the parameters and of the output, after a forward pass.
    parameters: Vec<usize>,
    output: usize,
    gradient: Vec<Matrix<T>>,
}

impl<T: Real> Batch<T> {
    /// u of G(latent), n×d ([`Generator::forward`]). Keeps the tapes for [`Batch::pull_back`].
    pub(crate) fn forward(&mut self, generator: &Generator<T>, latent: &LatentBatch<T>) -> Matrix<T> {
        let (n, d) = latent.noise.shape();
        let mut out = Matrix::zeros(n, d);
        let rows = out.as_mut_slice().chunks_mut(CHUNK * d).enumerate();
        self.record(&generator.parameters, rows, |tape, parameters, (k, out)| {
            let (noise, codes) = latent.slice(k * CHUNK..k * CHUNK + out.len() / d);
            let y = generator.forward(parameters, tape.leaf(&noise), codes.as_deref(), latent.guidance);
            y.with(|y| out.copy_from_slice(y.as_slice()));
            y
        });
        out
    }

    /// Runs `f` once for each chunk of rows, on an emptied tape with the parameters on it; what it returns is the output that
    /// [`Batch::pull_back`] goes back from.
    pub(crate) fn record<I: Send>(
        &mut self,
        parameters: &Parameters<T>,
        rows: impl ExactSizeIterator<Item = I>,
        f: impl for<'t> Fn(&'t Tape<T>, &[Var<'t, T>], I) -> Var<'t, T> + Sync,
    ) {
        self.chunks.resize_with(rows.len(), Chunk::new);
        parallel::for_each(self.chunks.iter_mut().zip(rows), |(chunk, rows)| {
            chunk.tape.reset();
            let vars: Vec<_> = parameters.iter().map(|p| chunk.tape.parameter(p)).collect();
            chunk.output = f(&chunk.tape, &vars, rows).id;
            chunk.parameters.clear();
            chunk.parameters.extend(vars.iter().map(|p| p.id));
        });
    }

    /// gradient_p ← Σ_i (∂o_i/∂θ_p)ᵀ g_i for the outputs o of the last pass (T9), by chunks in a fixed order; then lets the
    /// parameters go, so that they can be moved in place.
    pub(crate) fn pull_back(&mut self, cotangent: &Matrix<T>, gradient: &mut [Matrix<T>]) {
        let d = cotangent.cols();
        let rows = cotangent.as_slice().chunks(CHUNK * d);
        parallel::for_each(self.chunks.iter_mut().zip(rows), |(chunk, g)| chunk.pull_back(g, d));
        let parts: Vec<&[Matrix<T>]> = self.chunks.iter().map(|chunk| chunk.gradient.as_slice()).collect();
        let blocks = gradient.iter_mut().enumerate().flat_map(|(p, total)| {
            total.as_mut_slice().chunks_mut(BLOCK).enumerate().map(move |(k, total)| (p, k * BLOCK, total))
        });
        parallel::for_each(blocks, |(p, start, total)| {
            sum_parts(start, parts.iter().map(|part| part[p].as_slice()), total);
        });
        self.release();
    }

    /// Lets the parameters go; without a backward pass too.
    pub(crate) fn release(&mut self) {
        for chunk in &mut self.chunks {
            chunk.tape.reset();
            chunk.gradient.drain(..).for_each(|part| chunk.tape.give(part));
        }
    }
}

#[cfg(test)]
impl<T: Real> Batch<T> {
    /// Buffers that the tapes keep for the next step.
    pub(crate) fn spare_buffers(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.tape.spare_buffers()).sum()
    }
}

impl<T: Real> Chunk<T> {
    fn new() -> Self {
        Self { tape: Tape::new(), parameters: Vec::new(), output: 0, gradient: Vec::new() }
    }

    fn pull_back(&mut self, cotangent: &[T], d: usize) {
        let tape = &self.tape;
        let parameters: Vec<_> = self.parameters.iter().map(|&id| tape.var(id)).collect();
        let g = tape.leaf_from(cotangent.len() / d, d, cotangent);
        let gradients = tape.pull_back_once(&[(tape.var(self.output), g)], &parameters);
        // one node may be the gradient of several
        let again = |k: usize| gradients[k + 1..].iter().any(|g| g.id == gradients[k].id);
        let part = |k: usize| if again(k) { tape.copy(gradients[k].id) } else { tape.take(gradients[k].id) };
        self.gradient.extend((0..gradients.len()).map(part));
    }
}

/// total ← Σ of the parts, of each the entries from `start`, in their order.
fn sum_parts<'a, T: Real>(start: usize, parts: impl Iterator<Item = &'a [T]>, total: &mut [T]) {
    total.fill(T::ZERO);
    for part in parts {
        total.iter_mut().zip(&part[start..]).for_each(|(t, &g)| *t += g);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::density::Affine;
    use crate::model::Latent;
    use crate::rng::Purpose;

    /// Checks that the map without a tape has the bits of the forward pass with one, for both latents and across block borders.
    #[test]
    fn map_is_the_forward_pass() {
        fn check<T: Real>(latent: Latent) {
            let frame = Affine::identity(3);
            let generator: Generator<T> = Generator::new(frame, latent, &[20, 33], 1);
            let points: LatentBatch<T> = generator.latent.sample(2 * CHUNK + 5, 3, (1, Purpose::Check, 0));
            let inner = Batch::default().forward(&generator, &points);
            assert_eq!(generator.map(&points), generator.place(&inner, &points));
        }
        let product = Latent::of_blocks(vec![0.0; 7], vec![4, 1, 2]);
        for latent in [Latent::Gaussian, Latent::Codes { logits: vec![0.0; 7] }, product] {
            check::<f32>(latent.clone());
            check::<f64>(latent);
        }
    }
}
