//! The drift between two learnt scores, of the target and of the model: distribution matching.

use crate::divergence;
use crate::error::{Error, Result};
use crate::estimate::{Clock, Law, LawUse, LearntTarget, NoisedTarget, Query, Scene};
use crate::linalg::Matrix;
use crate::state::{State, Stateful};
use crate::velocity::target_points::TargetPoints;
use crate::velocity::universal::LEARNT;
use crate::velocity::{Field, Ingredients, LogRatioClip, Pull, UniversalDrift, Velocity, VelocitySettings};

crate::settings! {
    /// Settings of [`Matching`].
    pub struct MatchingSettings in "velocity" {
        /// The f-divergence that is lowered; all but reverse-kl ask for a learnt log-density, `form=potential`.
        divergence: String = "reverse-kl".into(), Rule::Any;
        /// Largest |log r| that enters a weight.
        clip: f64 = 4.0, Rule::Positive;
        /// Fraction of the steps, the first ones, in which the target's score is learnt; the model waits a quarter longer.
        learning: f64 = 0.2, Rule::Fraction;
        /// Rounds of training of the target's score in each of these steps.
        rounds: usize = 3, Rule::AtLeast(1);
        /// Points of the target in a round, drawn anew; 0 for all of them.
        points: usize = 320, Rule::AtLeast(0);
        /// Particles of the search where the target is a density.
        searched: usize = 8192, Rule::AtLeast(2);
    }
}

/// V = w(r_t) ∇ log r_t at y = a x + s ξ, r_t = p_t/q_t, h times at bandwidth h = s/a, with both scores learnt at the same noise levels: p_t
/// from samples of the target, or particles of a search, once at the start; q_t from the model, on and on, from where p_t ended.
///
/// A drift at noise levels is the gradient of a sum of divergences of the noised laws (T11 (d)), here of what both networks learn: the score of
/// a law of which samples alone are known, in more dimensions than a kernel estimate reaches. The networks need not be right where
/// they are equally wrong.
///
/// Source: Yin et al., "One-step diffusion with distribution matching distillation" (CVPR 2024), from memory; T11.
pub struct Matching {
    drift: UniversalDrift,
    settings: MatchingSettings,
}

/// A target that learns from points in the first steps of a run.
struct Taught {
    target: Box<dyn LearntTarget>,
    points: TargetPoints,
    settings: MatchingSettings,
}

impl MatchingSettings {
    /// Steps in which the target is learnt.
    fn learning_steps(&self, clock: Clock) -> u64 {
        ((self.learning * clock.steps as f64) as u64).max(1)
    }

    /// Whether the model waits.
    fn waits(&self, clock: Clock) -> bool {
        let learning = self.learning_steps(clock);
        clock.step < learning + learning / 4
    }
}

impl VelocitySettings for MatchingSettings {
    fn name(&self) -> &'static str {
        "matching"
    }
    fn summary(&self) -> &'static str {
        "the drift between two learnt scores, of samples and of the model: distribution matching (T11)"
    }
    fn formula(&self) -> &'static str {
        "V = h w(r_t) grad log r_t at a x + s xi, r_t = p_t/q_t, h = s/a, both learnt"
    }
    fn source(&self) -> &'static str {
        "Yin et al. (CVPR 2024), from memory; T11"
    }
    fn uses_estimator(&self) -> bool {
        true
    }
    fn estimator(&self) -> &'static str {
        "score"
    }
    fn validate(&self) -> Result<()> {
        divergence::by_name(&self.divergence).map(drop)
    }
    fn memory(&self, dim: usize) -> f64 {
        8.0 * (self.searched + self.points) as f64 * dim as f64
    }
    fn build(&self, ingredients: Ingredients) -> Result<Box<dyn Velocity>> {
        let points = TargetPoints::of(&ingredients, self.searched)?;
        let estimator = ingredients.estimator("matching")?;
        let Some(target) = estimator.of_target() else {
            let what = format!(
                "the velocity 'matching' learns the target's score as that of q, and the estimator '{}' learns none at many noise levels",
                estimator.name()
            );
            let remedy = "take score with objective=denoising and levels=12".into();
            return Err(Error::Mismatch { what, remedy });
        };
        let taught = Taught { target, points, settings: self.clone() };
        let drift = UniversalDrift::new(Box::new(taught), estimator, divergence::by_name(&self.divergence)?);
        let drift = drift.named("matching").clipped(LogRatioClip { low: -self.clip, high: self.clip }).balanced();
        Ok(Box::new(Matching { drift, settings: self.clone() }))
    }
    fn copy(&self) -> Box<dyn VelocitySettings> {
        Box::new(self.clone())
    }
}

impl Stateful for Taught {
    fn save(&self, to: &mut State) {
        to.put_part(LEARNT, &*self.target);
        to.put_part("points", &self.points);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.target.restore(&from.part(LEARNT))?;
        self.points.restore(&from.part("points"))
    }
}

impl NoisedTarget for Taught {
    fn refresh(&mut self, clock: Clock, seed: u64) -> Result<()> {
        let (steps, rounds) = (self.settings.learning_steps(clock), self.settings.rounds as u64);
        for round in (0..rounds).filter(|_| clock.step < steps) {
            let clock = Clock { step: clock.step * rounds + round, steps: steps * rounds };
            let points = self.points.batch(self.settings.points, clock, seed).0;
            self.target.learn(&points, clock, seed)?;
        }
        Ok(())
    }

    fn at(&self, query: &Query) -> Result<Law> {
        self.target.at(query)
    }

    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        self.target.figures()
    }
}

impl Stateful for Matching {
    fn save(&self, to: &mut State) {
        self.drift.save(to);
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        self.drift.restore(from)
    }
}

impl Velocity for Matching {
    fn name(&self) -> &str {
        "matching"
    }

    fn law_use(&self) -> LawUse {
        self.drift.law_use()
    }

    fn reference(&self) -> usize {
        self.drift.reference()
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        let learning = self.settings.learning_steps(scene.clock);
        if scene.clock.step < learning {
            return self.drift.refresh_target(scene);
        }
        if scene.clock.step == learning {
            self.drift.begin_at_target()?;
        }
        self.drift.prepare(scene)
    }

    fn evaluate(&self, scene: &Scene) -> Result<Pull> {
        if self.settings.waits(scene.clock) {
            let (n, d) = scene.x.shape();
            return Ok(Pull::Points(Field { figures: self.drift.target_figures(), ..Field::of(Matrix::zeros(n, d)) }));
        }
        self.drift.evaluate(scene)
    }
}
