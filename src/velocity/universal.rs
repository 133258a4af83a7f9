//! The universal drift `V = w(r) ∇ log r`, r = p_t/q_t, on any estimate of q and any noised target (T1, T11).

use crate::density::Density;
use crate::divergence::{self, Divergence, ReverseKl};
use crate::error::{Error, Result};
use crate::estimate::{
    Annealing, Estimator, KernelEstimator, KernelSettings, LawUse, Noised, NoisedTarget, Query, Scene, SmoothedTarget,
    centre_log_ratio,
};
use crate::linalg::Matrix;
use crate::num::{exp, ln, mean};
use crate::state::{State, Stateful};
use crate::velocity::{
    Field, Figure, Ingredients, LogRatioClip, Pull, Unit, Velocity, VelocitySettings, centred, drift_into, growth,
    root_mean_square, shorten,
};
use std::sync::Arc;

crate::settings! {
    /// Settings of [`UniversalDrift`].
    pub struct UniversalSettings in "velocity" {
        /// The f-divergence that is lowered; `list divergences` shows all.
        divergence: String = "reverse-kl".into(), Rule::Any;
        /// Largest |log r| that enters a weight.
        clip: f64 = 4.0, Rule::Positive;
        /// Draws behind the noised target where it has no closed form.
        draws: usize = 64, Rule::Even;
        /// Where what is annealed starts, an inverse temperature unless `annealing` says otherwise; it rises to 1. 1 for none.
        temper: f64 = 1.0, Rule::Fraction;
        /// Fraction of the steps over which it rises.
        temper_anneal: f64 = 0.3, Rule::Fraction;
        /// What rises: "temper" is β of p^β, "bridge" is λ of N(0, I)^(1-λ) p^λ in units of the model's frame, "dilate" is λ of the law of λX.
        annealing: String = "temper".into(), Rule::OneOf(&["temper", "bridge", "dilate"]);
    }
}

/// V_h(x) = E_ξ[w(r_h) ∇ log r_h](a x + s ξ), by one draw of ξ for each particle; the noise levels are the estimator's choice.
///
/// With a kernel estimate this is T11: q = p is a fixed point at every bandwidth. With an exact density there is no noise, and it is the
/// Wasserstein gradient flow of D_f (T1).
pub struct UniversalDrift {
    name: &'static str,
    target: Box<dyn NoisedTarget>,
    estimator: Box<dyn Estimator>,
    divergence: Arc<dyn Divergence>,
    clip: LogRatioClip,
    /// Whether V is taken h times at bandwidth h = s/a, so that no noise level outweighs the others; and never shortened, between learnt scores.
    balanced: bool,
}

/// Largest h |∇ log r_h| that is followed. At h the two smoothed laws differ by about 1 in these units; an outlier can show any
/// value, and one of them would turn the whole step.
const LARGEST_BETA: f64 = 2.0;
/// Largest |V_i| that is followed without noise, in root mean squares of the batch: one point in a far tail must not turn the whole step.
const OUTLIER: f64 = 10.0;
/// The part of a target's state that an estimator of q can go on from.
pub(crate) const LEARNT: &str = "learnt";
/// A score beyond this is followed as this: its square times any weight is still a number.
const STEEPEST: f64 = 1e100;

impl VelocitySettings for UniversalSettings {
    fn name(&self) -> &'static str {
        "drift"
    }
    fn summary(&self) -> &'static str {
        "the universal drift of an f-divergence (T1, T11)"
    }
    fn formula(&self) -> &'static str {
        "V = w(r) grad log r, r = p/q"
    }
    fn source(&self) -> &'static str {
        "Wang and Yu (arXiv 2605.17808, abstract); T1, T11"
    }
    fn uses_estimator(&self) -> bool {
        true
    }
    fn validate(&self) -> Result<()> {
        divergence::by_name(&self.divergence).map(drop)
    }
    fn memory(&self, dim: usize) -> f64 {
        16.0 * self.draws as f64 * dim as f64
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let divergence = divergence::by_name(&self.divergence)?;
        let annealing = Annealing::new(&self.annealing, self.temper, self.temper_anneal);
        let target = SmoothedTarget::new(ingredients.density()?, self.draws).annealed(annealing);
        let drift = UniversalDrift::new(Box::new(target), ingredients.estimator("drift")?, divergence);
        Ok(Box::new(drift.clipped(LogRatioClip { low: -self.clip, high: self.clip })))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl UniversalDrift {
    /// The drift of `divergence` towards `target`, with q from `estimator`; log-ratios are not clipped.
    pub fn new(target: Box<dyn NoisedTarget>, estimator: Box<dyn Estimator>, divergence: Arc<dyn Divergence>) -> Self {
        Self { name: "drift", target, estimator, divergence, clip: LogRatioClip::NONE, balanced: false }
    }

    /// The same with h V at the bandwidth h of each particle: the sum of T11 (d) with other positive weights. Both scores are learnt, so no V is beyond
    /// what networks give.
    pub(crate) fn balanced(self) -> Self {
        Self { balanced: true, ..self }
    }

    /// Called once a step by a velocity whose target learns before q does.
    pub(crate) fn refresh_target(&mut self, scene: &Scene) -> Result<()> {
        self.target.refresh(scene.clock, scene.seed)
    }

    /// Lets the estimator of q go on from what the target has learnt, whose state is of the same kind.
    pub(crate) fn begin_at_target(&mut self) -> Result<()> {
        let mut learnt = State::default();
        self.target.save(&mut learnt);
        self.estimator.begin_at(&learnt.part(LEARNT))
    }

    /// Numbers of the target.
    pub(crate) fn target_figures(&self) -> Vec<Figure> {
        Figure::all_plain(self.target.figures()).collect()
    }

    /// The same under another name.
    pub(crate) fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    /// The same with bounds on log r inside the weight.
    pub fn clipped(self, clip: LogRatioClip) -> Self {
        Self { clip, ..self }
    }

    /// The drift of T11 with a kernel estimate whose bandwidth falls as `kernel` says; the noised target is in closed form where
    /// `target` has one, else estimated from 64 draws. Log-ratios are not clipped.
    pub fn smoothed(target: Arc<dyn Density>, divergence: Arc<dyn Divergence>, kernel: KernelSettings) -> Self {
        let target = SmoothedTarget::new(target, 64);
        Self::new(Box::new(target), Box::new(KernelEstimator::<f64>::new(kernel)), divergence)
    }

    /// log p~_t - log q_t at the noised particles, n; empty where the estimator gives no log q.
    pub fn log_ratio(&self, scene: &Scene) -> Result<Vec<f64>> {
        self.ratios(scene).map(|(_, _, log_ratio, _)| log_ratio)
    }

    /// Particles at their noise levels with both laws there, log p~_t, log r and β = ∇ log r, n×d.
    fn ratios(&self, scene: &Scene) -> Result<(Noised, Vec<f64>, Vec<f64>, Matrix)> {
        let mut at = self.estimator.noised(scene, &*self.target)?;
        let p = match at.p.take() {
            Some(p) => p,
            None => self.target.at(&Query { x: &at.y, noise: &at.noise })?,
        };
        let knows_target = !p.log_density.is_empty();
        if knows_target && p.log_density.iter().all(|l| *l == f64::NEG_INFINITY) {
            return Err(Error::OutsideSupport { particles: p.log_density.len() });
        }
        let mut beta = p.score;
        for i in 0..at.noise.len() {
            let (row, trust, noise) = (beta.row_mut(i), at.trust[i], at.noise[i]);
            let q = at.q.score.row(i);
            row.iter_mut()
                .zip(q)
                .for_each(|(b, q)| *b = b.clamp(-STEEPEST, STEEPEST) - mutant!("beta-sum", -trust, trust) * q);
            if noise.s > 0.0 && !self.balanced {
                shorten(row, mutant!("beta-capped", 0.05 * LARGEST_BETA, LARGEST_BETA) / noise.s);
            }
        }
        let log_ratio = match knows_target && !at.q.log_density.is_empty() {
            true => p
                .log_density
                .iter()
                .zip(&at.q.log_density)
                .map(|(p, q)| mutant!("ratio-upside-down", q - p, p - q))
                .collect(),
            false if self.divergence.name() == ReverseKl.name() => Vec::new(),
            false => {
                let what = format!(
                    "the divergence '{}' weighs by log q, and the estimator '{}' gives its gradient alone",
                    self.divergence.name(),
                    self.estimator.name()
                );
                return Err(Error::Mismatch { what, remedy: "take reverse-kl, or an estimate of log q".into() });
            }
        };
        Ok((at, p.log_density, log_ratio, beta))
    }

    /// The field w(r) β at the particles y of [`Noised`], where it is to be followed.
    pub(crate) fn field(&self, scene: &Scene) -> Result<(Field, Matrix)> {
        let (at, log_p, mut log_ratio, beta) = self.ratios(scene)?;
        let (n, d) = beta.shape();
        let knows_ratio = !log_ratio.is_empty();
        if !knows_ratio {
            // a weight that is constant; a particle outside the support stays
            log_ratio = log_p.iter().map(|l| if *l == f64::NEG_INFINITY { *l } else { 0.0 }).collect();
            log_ratio.resize(n, 0.0);
        }
        let log_z = centre_log_ratio(&mut log_ratio);
        let own = centred(&*self.divergence, &log_ratio);
        let divergence = own.as_deref().unwrap_or(&*self.divergence);
        let mut velocity: Matrix = Matrix::zeros(n, d);
        drift_into(divergence, self.clip, &log_ratio, &beta, &mut velocity);
        if self.balanced {
            let rows = velocity.as_mut_slice().chunks_exact_mut(d).zip(&at.noise);
            rows.for_each(|(row, noise)| row.iter_mut().for_each(|v| *v *= noise.s / noise.a));
        }
        let rms = root_mean_square(&velocity);
        let noisy = at.noise.iter().any(|noise| noise.s > 0.0);
        if !noisy {
            let limit = OUTLIER * rms * (d as f64).sqrt();
            velocity.as_mut_slice().chunks_exact_mut(d).for_each(|row| shorten(row, limit));
        }
        let (kl, label, value) = match noisy {
            true => ("kl", "KL(q‖p) of the noised laws, up to log Z", "D_f(p‖q) of the noised laws"),
            false => ("kl", "KL(q‖p), up to log Z (-ELBO)", "D_f(p‖q)"),
        };
        let mut figures = Vec::new();
        if knows_ratio {
            figures.push(Figure::plain(kl, label, -(mean(&log_ratio) + log_z.value)));
            let f: Vec<f64> = log_ratio.iter().map(|&l| divergence.f(l.clamp(self.clip.low, self.clip.high))).collect();
            figures.push(Figure::plain("divergence", value, mean(&f)));
        }
        if noisy {
            let h = exp(at.noise.iter().map(|noise| ln(noise.s / noise.a)).sum::<f64>() / n as f64);
            figures.push(Figure { key: "bandwidth", label: "bandwidth h", unit: Unit::Length, value: h });
        }
        if !log_p.is_empty() {
            let (unit, value) = (Unit::LogDensity, mean(&log_p));
            figures.push(Figure { key: "mean_log_density", label: "mean log p~", unit, value });
        }
        if knows_ratio {
            figures.push(Figure::plain("effective_samples", "effective samples of r", log_z.effective_samples));
        }
        figures.extend(Figure::of_estimator(&*self.estimator));
        figures.extend(Figure::all_plain(self.target.figures()));
        let growth = knows_ratio.then(|| growth(divergence, self.clip, &log_ratio));
        let log_ratio = knows_ratio.then_some(log_ratio);
        Ok((Field { velocity, growth, log_ratio, rms, figures }, at.y))
    }
}

impl Stateful for UniversalDrift {
    fn save(&self, to: &mut State) {
        to.put_part("estimator", &*self.estimator);
        to.put_part("target", &*self.target);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.estimator.restore(&from.part("estimator"))?;
        self.target.restore(&from.part("target"))
    }
}

impl Velocity for UniversalDrift {
    fn name(&self) -> &str {
        self.name
    }

    fn law_use(&self) -> LawUse {
        self.estimator.law_use()
    }

    fn reference(&self) -> usize {
        self.estimator.reference()
    }

    fn start_from(&mut self, near: &Arc<dyn Density>) {
        self.estimator.start_from(near);
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        self.target.refresh(scene.clock, scene.seed)?;
        match self.target.is_settled() {
            true => self.estimator.prepare_towards(scene, &*self.target),
            false => self.estimator.prepare(scene),
        }
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        self.field(scene).map(|(field, _)| Pull::Points(field))
    }
}
