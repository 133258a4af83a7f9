//! The flow as a model: stack, density, samples.

use crate::autodiff::{Tape, Var};
use crate::density::Affine;
use crate::density::Density;
use crate::linalg::Matrix;
use crate::linalg::matrix::shape_mismatch;
use crate::model::Searched;
use crate::model::batch::Batch;
use crate::model::batch::CHUNK;
use crate::model::flow::architecture::coupling;
use crate::model::flow::{ActNorm, Architecture, Base, Layer, Linear, Mapped, Scored, SplineCoupling};
use crate::model::latent::LatentBatch;
use crate::nn::Parameters;
use crate::num::Real;
use crate::rng::{Purpose, stream};
use rayon::prelude::*;
use std::sync::Arc;

/// Bins of the spline of each coordinate behind a single Gaussian, and its interval in standard deviations.
pub(super) const MARGINAL_BINS: usize = 16;
pub(super) const MARGINAL_REACH: f64 = 4.0;

/// A normalizing flow: x = centre + scale · T(z), z from the base, with
/// log q(x) = log q₀(z) - Σ_k log |det DT_k| - d log scale (T12).
///
/// It is a [`Density`]: normalised, with exact samples and score.
#[derive(Debug, Clone)]
pub struct Flow<T: Real = f32> {
    /// The units.
    pub frame: Affine,
    /// Trainable matrices in the order of [`Flow::parameter_names`].
    pub parameters: Parameters<T>,
    base: Base,
    layers: Vec<Layer>,
    architecture: Option<Architecture>,
    /// What the search found that it started from.
    pub search: Option<Searched>,
}

impl<T: Real> Flow<T> {
    /// The flow whose layers are all the identity, in R^d, d the frame's; the hidden layers of its networks are drawn under `seed`.
    ///
    /// Coupling k keeps the coordinates with one value of a binary digit and moves the others; over the couplings the digits take
    /// turns, so that every two coordinates meet.
    pub fn new(frame: Affine, architecture: Architecture, seed: u64) -> Self {
        let d = frame.dim();
        let base = Base { dim: d, components: architecture.components.max(1) };
        let mut layers: Vec<Layer> = (0..architecture.couplings).map(|k| coupling(&architecture, d, k)).collect();
        if !base.is_mixture() {
            let marginals = SplineCoupling::new(d, &[], &[], MARGINAL_BINS, MARGINAL_REACH);
            let norm = ActNorm { dim: d };
            layers.extend([
                Layer::Linear(Linear { dim: d, given: architecture.given }),
                Layer::Spline(marginals),
                Layer::ActNorm(norm),
            ]);
        }
        Self { architecture: Some(architecture), ..Self::of_layers(frame, base, layers, seed) }
    }

    /// The flow of any layers of R^d, d the frame's; parameters as in [`Flow::new`].
    pub fn of_layers(frame: Affine, base: Base, layers: Vec<Layer>, seed: u64) -> Self {
        let mut rng = stream(seed, Purpose::Initialise, 0);
        let first = base.initialise().into_iter();
        let parameters =
            first.chain(layers.iter().flat_map(|l| l.initialise(&mut rng))).map(|m| Arc::new(m.into())).collect();
        Self { frame, parameters, base, layers, architecture: None, search: None }
    }

    /// d.
    pub fn dim(&self) -> usize {
        self.base.dim
    }

    /// The law of z.
    pub fn base(&self) -> Base {
        self.base
    }

    /// T_1, T_2, …
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// What it is made of; none for a flow of given layers.
    pub fn architecture(&self) -> Option<&Architecture> {
        self.architecture.as_ref()
    }

    /// Names of the trainable matrices: `base.means`, …, then `layer1.…`.
    pub fn parameter_names(&self) -> Vec<String> {
        let own = self.base.parameter_names().into_iter().map(|n| format!("base.{n}"));
        let layer = |(k, l): (usize, &Layer)| {
            let name = move |n: String| format!("layer{}.{n}", k + 1);
            l.parameter_names().into_iter().map(name).collect::<Vec<_>>()
        };
        own.chain(self.layers.iter().enumerate().flat_map(layer)).collect()
    }

    /// Number of trainable numbers.
    pub fn size(&self) -> usize {
        self.parameters.iter().map(|p| p.as_slice().len()).sum()
    }

    /// The same flow with its parameters in another precision: train in f32, use in f64.
    pub fn cast<U: Real>(&self) -> Flow<U> {
        Flow {
            frame: self.frame.clone(),
            parameters: self.parameters.iter().map(|p| Arc::new(p.cast().into())).collect(),
            base: self.base,
            layers: self.layers.clone(),
            architecture: self.architecture.clone(),
            search: self.search.clone(),
        }
    }

    /// For each layer its range in the list of parameters.
    fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut start = self.base.parameter_names().len();
        let next = |l: &Layer| {
            let range = start..start + l.parameter_names().len();
            start = range.end;
            range
        };
        self.layers.iter().map(next).collect()
    }

    /// y = T(z) and Σ log |det|, in units of the frame.   z: n×d.
    pub fn forward<'t>(&self, parameters: &[Var<'t, T>], z: Var<'t, T>) -> Mapped<'t, T> {
        let start = Mapped { points: z, log_det: z.tape().scalar(T::ZERO) };
        self.layers.iter().zip(self.ranges()).fold(start, |at, (layer, range)| {
            let next = layer.forward(&parameters[range], at.points);
            Mapped { points: next.points, log_det: at.log_det + next.log_det }
        })
    }

    /// T(z) with log q and ∇ log q there, in units of the frame, by the recursion of T12: no inverse is needed.   z: n×d.
    pub fn forward_with_score<'t>(&self, parameters: &[Var<'t, T>], z: Var<'t, T>) -> Scored<'t, T> {
        let log_density = self.base.log_density(parameters, z);
        let score = z.tape().gradient(log_density, &[z])[0];
        let start = Scored { points: z, log_density, score };
        self.layers.iter().zip(self.ranges()).fold(start, |at, (layer, range)| {
            let (next, score) = layer.forward_with_score(&parameters[range], at.points, at.score);
            Scored { points: next.points, log_density: at.log_density - next.log_det, score }
        })
    }

    /// z = T⁻¹(y) and log |det| of T⁻¹.   y: n×d, in units of the frame.
    pub fn inverse<'t>(&self, parameters: &[Var<'t, T>], y: Var<'t, T>) -> Mapped<'t, T> {
        let start = Mapped { points: y, log_det: y.tape().scalar(T::ZERO) };
        self.layers.iter().zip(self.ranges()).rev().fold(start, |at, (layer, range)| {
            let next = layer.inverse(&parameters[range], at.points);
            Mapped { points: next.points, log_det: at.log_det + next.log_det }
        })
    }

    /// log q in units of the frame at y, n×1.   y: n×d.
    pub fn log_density_of<'t>(&self, parameters: &[Var<'t, T>], y: Var<'t, T>) -> Var<'t, T> {
        let Mapped { points, log_det } = self.inverse(parameters, y);
        self.base.log_density(parameters, points) + log_det
    }

    /// Σ_i (∂y_i/∂θ_p)ᵀ g_i for each matrix θ_p, y = T(z) in units of the frame, by the pull-back that training uses.   `cotangent` g: n×d.
    ///
    /// With g_i = -V(y_i)/n this is the path gradient of D_f (T9), the weights of a mixture base apart.
    pub fn gradient(&self, latent: &LatentBatch<T>, cotangent: &Matrix<T>) -> Vec<Matrix<T>> {
        let (mut batch, mut gradient) = (Batch::default(), self.zeros());
        batch.generate(self, latent);
        batch.pull_back(cotangent, &mut gradient);
        gradient
    }

    /// Σ_i g_i ∂ log q(y_i)/∂θ_p for each matrix θ_p, by the pull-back that training uses.   y: n×d, units of the frame; g: n.
    pub fn log_density_gradient(&self, y: &Matrix<T>, cotangent: &[f64]) -> Vec<Matrix<T>> {
        let (mut batch, mut gradient) = (Batch::default(), self.zeros());
        batch.log_density(self, y);
        batch.pull_back(&Matrix::from_vec(cotangent.len(), 1, cotangent.to_vec()).cast(), &mut gradient);
        gradient
    }

    /// Matrices of the parameters' shapes.
    pub(crate) fn zeros(&self) -> Vec<Matrix<T>> {
        self.parameters.iter().map(|p| Matrix::zeros(p.rows(), p.cols())).collect()
    }

    /// The latent law with the present weights of the components.
    pub(crate) fn latent(&self) -> crate::model::Latent {
        self.base.latent(&self.parameters)
    }

    /// log_density_i ← log q(x_i), and where asked score_i ← ∇ log q(x_i), chunk by chunk.   x: n×d.
    fn evaluate_rows(&self, x: &Matrix, log_density: &mut [f64], mut score: Option<&mut Matrix>) {
        let d = self.dim();
        if x.cols() != d {
            shape_mismatch("Flow: points and flow", x.shape(), (x.rows(), d));
        }
        let log_jacobian = self.frame.log_jacobian();
        let one = |tape: &mut Tape<T>, x: &[f64], out: &mut [f64], score: Option<&mut [f64]>| {
            tape.reset();
            let mut y = x.to_vec();
            self.frame.standardise_rows(&mut y);
            let y: Vec<T> = y.into_iter().map(T::from_f64).collect();
            let y = tape.leaf_from(out.len(), d, &y);
            let parameters: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
            let l = self.log_density_of(&parameters, y);
            l.with(|l| {
                out.iter_mut()
                    .zip(l.as_slice())
                    .for_each(|(o, l)| *o = l.to_f64() - mutant!("flow-jacobian", 0.0, log_jacobian))
            });
            if let Some(score) = score {
                let s = tape.gradient(l, &[y])[0];
                s.with(|s| score.iter_mut().zip(s.as_slice()).for_each(|(o, s)| *o = s.to_f64()));
                self.frame.restore_score(score);
            }
        };
        let rows = x.as_slice().par_chunks(CHUNK * d).zip(log_density.par_chunks_mut(CHUNK));
        match score.as_mut() {
            None => rows.for_each_init(Tape::new, |tape, (x, out)| one(tape, x, out, None)),
            Some(score) => rows
                .zip(score.as_mut_slice().par_chunks_mut(CHUNK * d))
                .for_each_init(Tape::new, |tape, ((x, out), s)| one(tape, x, out, Some(s))),
        }
    }

    /// n independent samples x (n×d) and log q at each, under `seed`: block number `block` of a stream, so that any number can be
    /// drawn in constant memory.
    pub fn sample_with_log_density(&self, n: usize, seed: u64, block: u64) -> (Matrix, Vec<f64>) {
        let x = self.sample_block(n, seed, block);
        let log_density = Density::log_density(self, &x);
        (x, log_density)
    }

    /// n independent samples x (n×d): block number `block` of the stream of `seed`.
    pub fn sample_block(&self, n: usize, seed: u64, block: u64) -> Matrix {
        self.push(&self.latent().sample(n, self.dim(), (seed, Purpose::Sample, block)))
    }

    /// x (n×d) of latent points.
    pub(super) fn push(&self, latent: &LatentBatch<T>) -> Matrix {
        let (n, d) = latent.noise.shape();
        let mut y: Matrix<T> = Matrix::zeros(n, d);
        y.as_mut_slice().par_chunks_mut(CHUNK * d).enumerate().for_each_init(Tape::new, |tape, (k, out)| {
            tape.reset();
            let (noise, codes) = latent.slice(k * CHUNK..k * CHUNK + out.len() / d);
            let parameters: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
            let z = self.base.place(&parameters, tape.leaf(&noise), codes.as_deref());
            let y = self.forward(&parameters, z).points;
            y.with(|y| out.copy_from_slice(y.as_slice()));
        });
        self.frame.restore(&y)
    }
}

impl<T: Real> Density for Flow<T> {
    fn dim(&self) -> usize {
        self.base.dim
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.evaluate_rows(x, out, None);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.evaluate_rows(x, log_density, Some(score));
    }

    fn log_normaliser(&self) -> Option<f64> {
        Some(0.0)
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        Some(self.sample_block(n, seed, 0))
    }
}
