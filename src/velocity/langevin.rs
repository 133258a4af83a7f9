//! Langevin dynamics: the baseline that needs no estimate of q, with and without Metropolis' correction.

use crate::density::{Density, Evaluation, evaluate};
use crate::error::{Error, Result};
use crate::estimate::{ANNEALINGS, Annealing, Scene};
use crate::linalg::Matrix;
use crate::num::{exp, mean};
use crate::rng::{Purpose, fill_uniform, normal_matrix, stream};
use crate::state::Stateful;
use crate::velocity::{Field, Figure, Ingredients, Kind, Pull, Unit, Velocity, VelocitySettings};
use std::sync::Arc;

crate::settings! {
    /// Settings of [`Langevin`].
    pub struct LangevinSettings in "velocity" {
        /// "none"; "temper" follows p^β with β rising to 1; "bridge" follows N(0, I)^(1-λ) p^λ and "dilate" the law of λX, with λ rising to 1.
        annealing: String = "none".into(), Rule::OneOf(ANNEALINGS);
        /// Where β or λ starts.
        start: f64 = 0.2, Rule::Fraction;
        /// Fraction of the steps over which β or λ rises; β geometrically, λ linearly.
        anneal: f64 = 1.0, Rule::Fraction;
    }
}

crate::settings! {
    /// Settings of [`Mala`]: none; its step is that of the particles.
    #[derive(Copy)]
    pub struct MalaSettings in "velocity" {}
}

/// dx = ∇ log p_t(x) dt + √2 dW: the unadjusted Langevin algorithm under Euler's steps. Its law follows the gradient flow of KL(q‖p).
///
/// Its stationary law is not p: on N(0, 1) with step h the variance is 1/(1 - h/2). Annealed, p_t is that of [`Annealing`], and so is the
/// figure "mean log p~".
pub struct Langevin {
    target: Arc<dyn Density>,
    annealing: Annealing,
}

/// The Metropolis-adjusted Langevin algorithm: proposal y = x + h s_p(x) + √(2h) ξ, taken with probability
/// min(1, p(y) φ(x|y)/(p(x) φ(y|x))). p is invariant for every h (Roberts and Tweedie, 1996).
pub struct Mala {
    target: Arc<dyn Density>,
}

impl VelocitySettings for LangevinSettings {
    fn name(&self) -> &'static str {
        "ula"
    }
    fn summary(&self) -> &'static str {
        "unadjusted Langevin dynamics, plain or annealed"
    }
    fn formula(&self) -> &'static str {
        "dx = grad log p dt + sqrt(2) dW"
    }
    fn source(&self) -> &'static str {
        "Roberts and Tweedie (Bernoulli, 1996)"
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        Ok(Box::new(Langevin::new(ingredients.density()?, self.clone())))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl VelocitySettings for MalaSettings {
    fn name(&self) -> &'static str {
        "mala"
    }
    fn summary(&self) -> &'static str {
        "Metropolis-adjusted Langevin dynamics"
    }
    fn formula(&self) -> &'static str {
        "y = x + h grad log p(x) + sqrt(2 h) xi, accepted by Metropolis' rule"
    }
    fn source(&self) -> &'static str {
        "Roberts and Tweedie (Bernoulli, 1996)"
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        Ok(Box::new(Mala::new(ingredients.density()?)))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(*self)
    }
}

/// Checked values at the particles; `Error::OutsideSupport` where none lies in the support.
fn inside(target: &dyn Density, x: &Matrix) -> Result<Evaluation> {
    let at = evaluate(target, x)?;
    if at.log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
        return Err(Error::OutsideSupport { particles: at.log_density.len() });
    }
    Ok(at)
}

fn mean_log_density(at: &Evaluation) -> Figure {
    let (unit, value) = (Unit::LogDensity, mean(&at.log_density));
    Figure { key: "mean_log_density", label: "mean log p~", unit, value }
}

impl Langevin {
    /// Towards `target`.
    pub fn new(target: Arc<dyn Density>, settings: LangevinSettings) -> Self {
        Self { target, annealing: Annealing::new(&settings.annealing, settings.start, settings.anneal) }
    }
}

impl Stateful for Langevin {}

impl Velocity for Langevin {
    fn name(&self) -> &str {
        "ula"
    }

    fn kind(&self) -> Kind {
        Kind::Diffusion
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let at = inside(&*self.annealing.at(&self.target, scene.clock)?, scene.x)?;
        let level = self.annealing.level(scene.clock);
        let level = level.map(|level| Figure::plain("level", "β or λ of the annealing", level));
        let figures = [mean_log_density(&at)].into_iter().chain(level).collect();
        let field = Field { figures, ..Field::of(at.score) };
        Ok(Pull::Diffusion { field, sigma: mutant!("langevin-noise", 1.0, std::f64::consts::SQRT_2) })
    }
}

impl Mala {
    /// With invariant law `target`.
    pub fn new(target: Arc<dyn Density>) -> Self {
        Self { target }
    }
}

/// Beside the normals of a step stand its uniforms.
const UNIFORMS: u64 = 1 << 63;

impl Stateful for Mala {}

impl Velocity for Mala {
    fn name(&self) -> &str {
        "mala"
    }

    fn kind(&self) -> Kind {
        Kind::Transition
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        let (h, (n, d), step) = (scene.dt, scene.x.shape(), scene.clock.step);
        let here = inside(&*self.target, scene.x)?;
        let noise: Matrix = normal_matrix(scene.seed, Purpose::Chain, step, n, d);
        let mut uniforms = vec![0.0; n];
        fill_uniform(&mut stream(scene.seed, Purpose::Chain, UNIFORMS | step), &mut uniforms);
        let spread = (2.0 * h).sqrt();
        let propose = |i, j| scene.x[(i, j)] + h * here.score[(i, j)] + spread * noise[(i, j)];
        let proposed = Matrix::from_fn(n, d, propose);
        let there = evaluate(&*self.target, &proposed)?;
        let (mut to, mut accepted, mut chances) = (scene.x.clone(), vec![false; n], 0.0);
        for i in 0..n {
            // log φ(x|y) - log φ(y|x); the second is the noise itself
            let back = |j| scene.x[(i, j)] - proposed[(i, j)] - h * there.score[(i, j)];
            let ratio: f64 = (0..d)
                .map(|j| 0.5 * noise[(i, j)].powi(2) - back(j).powi(2) / (mutant!("mala-density", 2.0, 4.0) * h))
                .sum();
            let chance = match (here.log_density[i], there.log_density[i]) {
                (_, f64::NEG_INFINITY) => 0.0,
                (f64::NEG_INFINITY, _) => 1.0,
                (here, there) => exp((there - here + mutant!("mala-direction", -ratio, ratio)).min(0.0)),
            };
            chances += chance / n as f64;
            if uniforms[i] < chance {
                accepted[i] = true;
                to.row_mut(i).copy_from_slice(proposed.row(i));
            }
        }
        let figures = vec![mean_log_density(&here), Figure::plain("acceptance", "mean acceptance", chances)];
        Ok(Pull::Transition { to, accepted, figures })
    }
}
