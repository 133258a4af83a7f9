//! Fisher training: the gradient flow of the Fisher divergence.

use crate::density::Density;
use crate::error::{Error, Result};
use crate::estimate::{Estimator, LawUse, Noise, NoisedTarget, Query, Reference, Scene, SmoothedTarget};
use crate::linalg::Matrix;
use crate::num::mean;
use crate::rng::{Purpose, fill_signs, stream};
use crate::state::{State, Stateful};
use crate::velocity::{Field, Figure, Ingredients, Pull, Unit, Velocity, VelocitySettings, shorten};
use std::sync::Arc;

crate::settings! {
    /// Settings of [`FisherFlow`].
    pub struct FisherSettings in "velocity" {
        /// Random signs behind ∇ div of a score, 0 for a sum over all coordinates; by default that sum in up to 3 dimensions, else 1.
        curvature_probes: Option<usize> = None, Rule::AtLeast(0);
        /// Half-width of the differences of scores, in standard deviations of the sample: errors are of its square.
        reach: f64 = 0.03, Rule::Positive;
    }
}

/// V = ∇(H(∇log q) - H(∇log p)) with Hyvärinen's H(s) = ½|s|² + div s: the Wasserstein gradient flow of the Fisher divergence
/// D = ½ E_q|∇log q - ∇log p|² (T33), dD/dt = -E|V|².
///
/// Both gradients are made of values of the scores: ∇½|s|² = (∂s) s by a central difference along s, and ∇div s = E[∂²s(v, v)] by second
/// differences along random signs v, or the sum of those along the coordinates.
///
/// Where the estimator adds noise to all particles, y = a x + s ξ, the Fisher divergence is that of the noised laws, and its flow is a times
/// that field at y, one ξ for each particle (T33).
///
/// x: n×d in, V n×d out. Source: Luo, Zhang, Zhang (NeurIPS 2023), abstract; T33.
pub struct FisherFlow {
    estimator: Box<dyn Estimator>,
    noised: SmoothedTarget,
    settings: FisherSettings,
}

/// Dimensions up to which ∇ div is a sum over coordinates unless told otherwise.
const EXACT: usize = 3;
/// Largest |V_i| that is followed, in root mean squares of the batch.
const OUTLIER: f64 = 10.0;
/// Draws behind the noised target where it has no closed form.
const DRAWS: usize = 64;
/// Streams of a step, beside those of its jitter.
const PROBES: u64 = 1 << 60;

impl VelocitySettings for FisherSettings {
    fn name(&self) -> &'static str {
        "fisher"
    }
    fn summary(&self) -> &'static str {
        "the gradient flow of the Fisher divergence"
    }
    fn formula(&self) -> &'static str {
        "V = grad(H[grad log q] - H[grad log p]), H[s] = |s|^2/2 + div s"
    }
    fn source(&self) -> &'static str {
        "Luo, Zhang, Zhang (NeurIPS 2023, abstract); T33"
    }
    fn uses_estimator(&self) -> bool {
        true
    }
    fn estimator(&self) -> &'static str {
        "score"
    }
    /// V is a third derivative: where scores take the time τ, it takes τ²/4.
    fn pace(&self, time_scale: Option<f64>) -> (Option<f64>, u64) {
        (time_scale.map(|tau| 0.0125 * tau * tau), 1000)
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let (target, settings) = (ingredients.density()?, self.clone());
        Ok(Box::new(FisherFlow::new(target, ingredients.estimator("fisher")?, settings)))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl FisherFlow {
    /// Towards `target`, with the score of q from `estimator`.
    pub fn new(target: Arc<dyn Density>, estimator: Box<dyn Estimator>, settings: FisherSettings) -> Self {
        Self { noised: SmoothedTarget::new(target, DRAWS), estimator, settings }
    }

    /// Points x beside the particles of a scene, with the moments, the sample and the noise of the scene: y, the noise levels and ∇log q_t there.
    fn noised_q(&self, scene: &Scene, x: &Matrix) -> Result<(Matrix, Vec<Noise>, Matrix)> {
        let reference = Reference::Independent(scene.sample());
        let at = self.estimator.noised(&Scene { x, reference, classes: None, at_x: None, ..*scene }, &self.noised)?;
        if at.noise.iter().any(|noise| noise.s > 0.0) && !self.estimator.diffuses() {
            let what = format!(
                "the velocity 'fisher' takes differences of a score, and the estimator '{}' adds noise that depends on the place",
                self.estimator.name()
            );
            return Err(Error::Mismatch { what, remedy: "take the estimator score, affine or exact".into() });
        }
        Ok((at.y, at.noise, at.q.score))
    }

    /// Directions v (n×d each) with Σ ∂²s(v, v)·share = ∇div s in the mean, and the share.
    fn directions(&self, scene: &Scene) -> (Vec<Matrix>, f64) {
        let (n, d) = scene.x.shape();
        match self.settings.curvature_probes.unwrap_or(if d <= EXACT { 0 } else { 1 }) {
            0 => ((0..d).map(|k| Matrix::from_fn(n, d, |_, j| if j == k { 1.0 } else { 0.0 })).collect(), 1.0),
            m => {
                let mut rng = stream(scene.seed, Purpose::Jitter, PROBES | scene.clock.step);
                let signs = |_| {
                    let mut v = Matrix::zeros(n, d);
                    fill_signs(&mut rng, v.as_mut_slice());
                    v
                };
                ((0..m).map(signs).collect(), 1.0 / m as f64)
            }
        }
    }
}

/// ∇H(s)(y) = (∂s)s + Σ ∂²s(v, v)·share, by differences of half-width h_i of row i; `here` is s(y), and `beside` gives s(y_i + t_i v_i).
/// n×d each.
fn hyvarinen_gradient(
    here: &Matrix,
    beside: impl Fn(&[f64], &Matrix) -> Result<Matrix>,
    (directions, share): &(Vec<Matrix>, f64),
    h: &[f64],
) -> Result<Matrix> {
    let (n, d) = here.shape();
    let back: Vec<f64> = h.iter().map(|h| -h).collect();
    let size: Vec<f64> = here.iter_rows().map(|s| s.iter().map(|s| s * s).sum::<f64>().sqrt()).collect();
    let unit = Matrix::from_fn(n, d, |i, j| if size[i] > 0.0 { here[(i, j)] / size[i] } else { 0.0 });
    let (up, down) = (beside(h, &unit)?, beside(&back, &unit)?);
    let mut out = Matrix::from_fn(n, d, |i, j| {
        size[i] * (up[(i, j)] - down[(i, j)]) / (mutant!("fisher-first-difference", 1.0, 2.0) * h[i])
    });
    for v in directions {
        let twice = [beside(h, v)?, beside(&back, v)?];
        for i in 0..n {
            let weight = share / (h[i] * h[i]);
            let all = out.row_mut(i).iter_mut().zip(twice[0].row(i)).zip(twice[1].row(i)).zip(here.row(i));
            for (((out, up), down), here) in all {
                *out += weight * (up + down + mutant!("fisher-second-difference", -1.8, -2.0) * here);
            }
        }
    }
    Ok(out)
}

/// y_i + t_i v_i.
fn moved(y: &Matrix, t: &[f64], v: &Matrix) -> Matrix {
    Matrix::from_fn(y.rows(), y.cols(), |i, j| y[(i, j)] + t[i] * v[(i, j)])
}

impl Stateful for FisherFlow {
    fn save(&self, to: &mut State) {
        to.put_part("estimator", &*self.estimator);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.estimator.restore(&from.part("estimator"))
    }
}

impl Velocity for FisherFlow {
    fn name(&self) -> &str {
        "fisher"
    }

    fn law_use(&self) -> LawUse {
        match self.estimator.law_use() {
            LawUse::None => LawUse::None,
            _ => LawUse::Anywhere,
        }
    }

    fn reference(&self) -> usize {
        self.estimator.reference()
    }

    fn start_from(&mut self, near: &Arc<dyn Density>) {
        self.estimator.start_from(near);
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        self.estimator.prepare(scene)?;
        self.noised.refresh(scene.clock, scene.seed)
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (n, d) = scene.x.shape();
        let covariance = scene.sample().column_covariance();
        let variance = (0..d).map(|k| covariance[(k, k)]).sum::<f64>() / d as f64;
        let directions = self.directions(scene);
        let (y, noise, s_q) = self.noised_q(scene, scene.x)?;
        let reach = |noise: &Noise| self.settings.reach * (noise.a * noise.a * variance + noise.s * noise.s).sqrt();
        let h: Vec<f64> = noise.iter().map(reach).collect();
        let p = self.noised.at(&Query { x: &y, noise: &noise })?;
        if p.log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
            return Err(Error::OutsideSupport { particles: n });
        }
        let of_q = |t: &[f64], v: &Matrix| {
            // the same ξ: y moves by a times what x does
            let t: Vec<f64> = t.iter().zip(&noise).map(|(t, noise)| t / noise.a).collect();
            Ok(self.noised_q(scene, &moved(scene.x, &t, v))?.2)
        };
        let of_p = |t: &[f64], v: &Matrix| Ok(self.noised.at(&Query { x: &moved(&y, t, v), noise: &noise })?.score);
        let mut velocity = hyvarinen_gradient(&s_q, of_q, &directions, &h)?;
        velocity.add_scaled(mutant!("fisher-sign", 1.0, -1.0), &hyvarinen_gradient(&p.score, of_p, &directions, &h)?);
        velocity.as_mut_slice().chunks_exact_mut(d).zip(&noise).for_each(|(v, noise)| {
            v.iter_mut().for_each(|v| *v *= noise.a);
        });
        let gap = s_q.as_slice().iter().zip(p.score.as_slice()).map(|(q, p)| (q - p).powi(2)).sum::<f64>() / n as f64;
        let mut field = Field::of(velocity);
        let limit = OUTLIER * field.rms * (d as f64).sqrt();
        field.velocity.as_mut_slice().chunks_exact_mut(d).for_each(|row| shorten(row, limit));
        let (unit, label) = (Unit::LogDensity, "mean log p~");
        field.figures = vec![
            Figure::plain("fisher", "Fisher divergence of q from p", 0.5 * gap),
            Figure { key: "mean_log_density", label, unit, value: mean(&p.log_density) },
        ];
        field.figures.extend(Figure::of_estimator(&*self.estimator));
        Ok(Pull::Points(field))
    }
}
