//! The law of a flow given its first coordinates.

use crate::autodiff::Tape;
use crate::density::Density;
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::model::flow::Flow;
use crate::model::{Latent, LatentBatch};
use crate::num::{Real, exp, ln, log_sum_exp};
use crate::rng::Purpose;
use std::f64::consts::TAU;

/// q(x_g+1, …, x_d | c), c the first g coordinates, for a flow whose [`Architecture`](crate::model::flow::Architecture) has g conditions.
///
/// No layer lets another coordinate act on the first g, so that c = S(z_1, …, z_g) for a triangular map S, z_g+1, …, z_d given c have the law
/// of the base given z_1, …, z_g, and log q(x | c) = log q(x) - log q(c).
#[derive(Debug, Clone)]
pub struct Given<'a, T: Real> {
    flow: &'a Flow<T>,
    condition: Vec<f64>,
    /// S⁻¹(c).
    z: Vec<f64>,
    latent: Latent,
    log_density: f64,
}

impl<T: Real> Flow<T> {
    /// Its law given the first coordinates c, in the units of the target. `Error::Dimension` where there are not g of them, g ≥ 1;
    /// `Error::NonFinite` where one is not finite, or so far out that the flow has no density there.
    pub fn given(&self, condition: &[f64]) -> Result<Given<'_, T>> {
        let (d, g) = (self.dim(), self.architecture().map_or(0, |a| a.given));
        if g == 0 || condition.len() != g {
            let what = "conditions of the flow: its first coordinates".into();
            return Err(Error::Dimension { what, expected: g, found: condition.len() });
        }
        // the others are anything
        let mut x = self.frame.centre().to_vec();
        x[..g].copy_from_slice(condition);
        self.frame.standardise_rows(&mut x);
        let tape = Tape::new();
        let y = tape.leaf(&Matrix::from_vec(1, d, x.iter().map(|v| T::from_f64(*v)).collect()));
        let parameters: Vec<_> = self.parameters.iter().map(|p| tape.parameter(p)).collect();
        let z = self.inverse(&parameters, y).points;
        // the Jacobian of S⁻¹ is triangular, and so is the frame's
        let slope = |i: usize| tape.gradient(z.column(i), &[y])[0].value()[(0, i)].to_f64();
        let (_, factor) = self.frame.parts();
        let log_det: f64 = (0..g).map(|i| ln(slope(i) / factor[(i, i)])).sum();
        let z: Vec<f64> = z.value().as_slice()[..g].iter().map(|v| v.to_f64()).collect();
        let (latent, log_base) = self.base_given(&z);
        let log_density = log_base + log_det;
        match log_density.is_finite() {
            true => Ok(Given { flow: self, condition: condition.to_vec(), z, latent, log_density }),
            false => {
                let what = "log q of the condition".into();
                Err(Error::NonFinite { what, value: log_density, point: condition.to_vec() })
            }
        }
    }

    /// The law of the component given the first coordinates of z, and log of their density.
    fn base_given(&self, z: &[f64]) -> (Latent, f64) {
        let normal = |z: f64, m: f64, a: f64| -0.5 * ((z - m) * exp(-a)).powi(2) - a - 0.5 * ln(TAU);
        match self.latent() {
            Latent::Codes { logits } => {
                let (m, a) = (&self.parameters[0], &self.parameters[1]);
                let total = log_sum_exp(&logits);
                let of = |k: usize| {
                    let each = |(j, z): (usize, &f64)| normal(*z, m.row(k)[j].to_f64(), a.row(k)[j].to_f64());
                    logits[k] - total + z.iter().enumerate().map(each).sum::<f64>()
                };
                let logits: Vec<f64> = (0..logits.len()).map(of).collect();
                let log_density = log_sum_exp(&logits);
                (Latent::Codes { logits }, log_density)
            }
            other => (other, z.iter().map(|z| normal(*z, 0.0, 0.0)).sum()),
        }
    }
}

impl<T: Real> Given<'_, T> {
    /// log q(c).
    pub fn log_density_of_condition(&self) -> f64 {
        self.log_density
    }

    /// n independent samples x (n×d, the first coordinates c) and log q(x | c) at each: block `block` of the stream of `seed`.
    pub fn sample(&self, n: usize, seed: u64, block: u64) -> (Matrix, Vec<f64>) {
        let mut latent: LatentBatch<T> = self.latent.sample(n, self.flow.dim(), (seed, Purpose::Sample, block));
        // noise with which the base's component is at z
        let scales = |k: usize, j: usize| {
            (self.flow.parameters[0].row(k)[j].to_f64(), exp(-self.flow.parameters[1].row(k)[j].to_f64()))
        };
        for i in 0..n {
            for (j, z) in self.z.iter().enumerate() {
                let (mean, inverse) = latent.codes.as_ref().map_or((0.0, 1.0), |k| scales(k[i], j));
                latent.noise[(i, j)] = T::from_f64((z - mean) * inverse);
            }
        }
        let mut x = self.flow.push(&latent);
        // what rounding made of them
        x.as_mut_slice()
            .chunks_exact_mut(self.flow.dim())
            .for_each(|row| row[..self.z.len()].copy_from_slice(&self.condition));
        let log_density = Density::log_density(self.flow, &x).into_iter().map(|l| l - self.log_density).collect();
        (x, log_density)
    }
}
