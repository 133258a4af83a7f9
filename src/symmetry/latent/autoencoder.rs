//! Variational autoencoders on the tape: what they are, their bound, their training.

use crate::autodiff::{Tape, Var};
use crate::linalg::Matrix;
use crate::nn::{Adam, AdamState, Parameters, cosine_rate};
use crate::num::ln;
use crate::rng::{Purpose, fill_normal, normal_matrix, stream, uniform};
use crate::{Error, Result};
use std::sync::Arc;

/// p(x | t) N(t; 0, I) with an approximate posterior q(t | x) = N(m(x), diag e^{2s(x)}), over data that it owns.
pub trait Autoencoder {
    /// Number of coordinates of t.
    fn codes(&self) -> usize;
    /// Number of data.
    fn items(&self) -> usize;
    /// First parameters.
    fn initial(&self, seed: u64) -> Vec<Matrix>;
    /// m and s of the data named by `rows`, each rows×codes.
    fn encode<'t>(&self, p: &[Var<'t>], rows: &[usize]) -> (Var<'t>, Var<'t>);
    /// log p(x_i | t_i) of these, a column.   t: rows×codes.
    fn log_likelihood<'t>(&self, p: &[Var<'t>], rows: &[usize], t: Var<'t>) -> Var<'t>;
    /// What is subtracted from the mean bound in training, 1×1.
    fn penalty<'t>(&self, _: &[Var<'t>]) -> Option<Var<'t>> {
        None
    }
}

crate::settings! {
    /// How an autoencoder is trained.
    pub struct TrainSettings in "autoencoder" {
        /// Steps of Adam.
        steps: usize = 2000, Rule::AtLeast(1);
        /// Data in a step, drawn anew; all of them where there are no more.
        batch: usize = 20, Rule::AtLeast(1);
        /// First rate; it falls to 0 along a cosine.
        rate: f64 = 0.02, Rule::Positive;
        /// Whether expectations are over 2·codes points in place of one draw: exact where log p(x | t) is a quadratic in t.
        cubature: bool = false, Rule::Any;
        /// Key of the first parameters and of all draws.
        seed: u64 = 0, Rule::Any;
    }
}

/// log p(x_i) ≥ E_q log p(x_i | t) - KL(q(t | x_i)‖N(0, I)), a column; the expectation is the mean over `noise` ξ, each rows×codes, of t = m + e^s ξ.
pub fn elbo<'t>(model: &dyn Autoencoder, p: &[Var<'t>], rows: &[usize], noise: &[Matrix]) -> Var<'t> {
    let (mean, log_sd) = model.encode(p, rows);
    let (sd, tape) = (log_sd.exp(), mean.tape());
    let at = |xi: &Matrix| model.log_likelihood(p, rows, mean + sd * tape.leaf(xi));
    let sum = noise.iter().map(at).reduce(|a, b| a + b).expect("noise");
    let kl = (mean.square() + sd.square() - log_sd * 2.0 - 1.0).row_sums() * 0.5;
    sum * (1.0 / noise.len() as f64) - kl
}

/// The points ±√k e_j of a cubature of degree 3 for N(0, I_k), each repeated over rows.
fn cubature(rows: usize, k: usize) -> Vec<Matrix> {
    let point =
        |j: usize, sign: f64| Matrix::from_fn(rows, k, |_, i| if i == j { sign * (k as f64).sqrt() } else { 0.0 });
    (0..k).flat_map(|j| [point(j, 1.0), point(j, -1.0)]).collect()
}

/// Raises the mean bound, less the penalty, by Adam; the parameters found. `Error::Diverged` where it is not finite.
pub fn train(model: &dyn Autoencoder, settings: &TrainSettings) -> Result<Vec<Matrix>> {
    let mut parameters: Parameters<f64> =
        model.initial(settings.seed).into_iter().map(|m| Arc::new(m.into())).collect();
    let mut state = AdamState::new(&parameters);
    let (n, k, batch) = (model.items(), model.codes(), settings.batch.min(model.items()));
    let mut tape = Tape::new();
    for step in 0..settings.steps {
        tape.reset();
        let mut rng = stream(settings.seed, Purpose::Latent, (36 << 32) | step as u64);
        let rows: Vec<usize> = match batch == n {
            true => (0..n).collect(),
            false => (0..batch).map(|_| ((uniform(&mut rng) * n as f64) as usize).min(n - 1)).collect(),
        };
        let noise = if settings.cubature {
            cubature(batch, k)
        } else {
            let mut xi = Matrix::zeros(batch, k);
            fill_normal(&mut rng, xi.as_mut_slice());
            vec![xi]
        };
        let p: Vec<_> = parameters.iter().map(|p| tape.parameter(p)).collect();
        let loss = model
            .penalty(&p)
            .map_or(-elbo(model, &p, &rows, &noise).mean(), |penalty| penalty - elbo(model, &p, &rows, &noise).mean());
        let gradient = tape.pull_back_once(&[(loss, tape.scalar(1.0))], &p);
        let gradient: Vec<Matrix> = gradient.into_iter().map(Var::value).collect();
        if !gradient.iter().all(Matrix::is_finite) {
            return Err(Error::Diverged { step: step as u64 });
        }
        let rate = cosine_rate(settings.rate, step as u64, settings.steps as u64);
        Adam::default().step(&mut parameters, &gradient, &mut state, rate);
    }
    Ok(parameters.iter().map(|p| Matrix::clone(p)).collect())
}

/// m of all data, items×codes, and the mean bound by `cubature` points or by one draw with `seed`.
pub fn encode(model: &dyn Autoencoder, parameters: &[Matrix], exact: bool, seed: u64) -> (Matrix, f64) {
    let (n, k) = (model.items(), model.codes());
    let rows: Vec<usize> = (0..n).collect();
    let mut means = Matrix::zeros(n, k);
    let mut bound = 0.0;
    let mut tape = Tape::new();
    for (b, rows) in rows.chunks(100).enumerate() {
        tape.reset();
        let p: Vec<_> = parameters.iter().map(|p| tape.leaf(p)).collect();
        let noise = match exact {
            true => cubature(rows.len(), k),
            false => vec![normal_matrix(seed, Purpose::Latent, (37 << 32) | b as u64, rows.len(), k)],
        };
        bound += elbo(model, &p, rows, &noise).sum().item() / n as f64;
        model.encode(&p, rows).0.with(|m| {
            rows.iter().zip(m.iter_rows()).for_each(|(&i, row)| means.row_mut(i).copy_from_slice(row));
        });
    }
    (means, bound)
}

/// x = W t + μ + σ ε with q(t | x) = N(V x + v, diag e^{2s}): its greatest bound is the evidence of [`ppca`](fn@super::ppca).
pub struct LinearGaussian {
    /// n×d.
    pub data: Matrix,
    /// k.
    pub codes: usize,
}

impl Autoencoder for LinearGaussian {
    fn codes(&self) -> usize {
        self.codes
    }

    fn items(&self) -> usize {
        self.data.rows()
    }

    /// V, v, s, Wᵀ, μ, log σ.
    fn initial(&self, seed: u64) -> Vec<Matrix> {
        let (d, k) = (self.data.cols(), self.codes);
        let random = |unit: u64, rows, cols| {
            normal_matrix::<f64>(seed, Purpose::Initialise, (36 << 32) | unit, rows, cols).map(|z| 0.3 * z)
        };
        let zeros = |cols| Matrix::zeros(1, cols);
        vec![random(0, d, k), zeros(k), zeros(k), random(1, k, d), zeros(d), zeros(1)]
    }

    fn encode<'t>(&self, p: &[Var<'t>], rows: &[usize]) -> (Var<'t>, Var<'t>) {
        let x = p[0].tape().leaf(&self.data.gather_rows(rows));
        (x.affine(p[0], p[1]), p[2].broadcast_to((rows.len(), self.codes)))
    }

    fn log_likelihood<'t>(&self, p: &[Var<'t>], rows: &[usize], t: Var<'t>) -> Var<'t> {
        let x = t.tape().leaf(&self.data.gather_rows(rows));
        let d = self.data.cols() as f64;
        let square = (x - t.affine(p[3], p[4])).square().row_sums();
        -(square * (p[5] * -2.0).exp() * 0.5) - p[5] * d - 0.5 * d * ln(std::f64::consts::TAU)
    }
}
