//! A score learnt on the way: the best affine score in closed form, and a network for what it leaves.

mod lesson;
mod network;
mod of_target;
mod saved;
mod towards;
mod whitening;

pub use of_target::{LearntTarget, NoisedScore};

use crate::density::{Density, evaluate};
use crate::error::{Error, Result};
use crate::estimate::{
    Clock, Estimator, EstimatorSettings, Law, Levels, Noise, Noised, NoisedTarget, Query, Reference, Scene,
};
use crate::linalg::{Matrix, MeanFree, solve_lower_transposed_rows};
use crate::nn::{Network, cosine_rate};
use crate::num::{Real, ln, log_mean_exp};
use crate::rng::{Purpose, Stream, normal_matrix, stream};
use crate::state::{State, Stateful};
pub(crate) use network::{Divergence, Lesson, Residual};
use std::sync::Arc;
use towards::{affine_rest, less_rest};
use whitening::{MARKS, Moments, Whitening, by_level, isotropic, marks};

crate::settings! {
    /// Settings of [`ScoreNet`].
    pub struct ScoreSettings in "estimator" {
        /// Size of the independent sample that is learnt from in a step, where the model can draw one.
        sample: usize = 2048, Rule::AtLeast(16);
        /// What is minimised: "implicit" and "sliced" learn the score of q itself, "denoising" that of q with noise, at which the target
        /// is looked at too (T11).
        objective: String = "implicit".into(), Rule::OneOf(&["implicit", "sliced", "denoising"]);
        /// "field", any field, for reverse KL alone, or "potential", the gradient of a scalar, which gives log q up to a constant and takes
        /// about twice the time.
        form: String = "field".into(), Rule::OneOf(&["field", "potential"]);
        /// Widths of the network's hidden layers; [] for the affine score alone.
        score_layers: Vec<usize> = vec![64, 64], Rule::AtLeast(1);
        /// [n, k] for a network that exchanges, turns and reflects with n particles in R^k, whose mean is 0; [] for any other.
        equivariant: Vec<usize> = vec![], Rule::AtLeast(1);
        /// Adam's rate for the network; where each step has a new sample it falls to 0 along a half cosine.
        score_rate: f64 = 2e-3, Rule::Positive;
        /// Training steps of the network in each step; for particles, which stay the same, fewer where a held-out third is met no better.
        score_steps: usize = 10, Rule::AtLeast(1);
        /// Points of one training step.
        score_batch: usize = 512, Rule::AtLeast(8);
        /// Random signs behind the divergence of a point, 0 for the exact divergence; by default exact in up to 3 dimensions, else 1.
        probes: Option<usize> = None, Rule::AtLeast(0);
        /// Share of the past in the mean and covariance, for models that draw a new sample each step.
        moments: f64 = 0.9, Rule::Unit;
        /// Standard deviation of the noise of "denoising" at the start, in units of the frame; it falls geometrically.
        noise_start: f64 = 0.5, Rule::Positive;
        /// The same at the end of its fall.
        noise_end: f64 = 0.1, Rule::Positive;
        /// Fraction of the steps over which the noise falls.
        noise_anneal: f64 = 0.4, Rule::Fraction;
        /// Of "denoising": noise levels that all count in each step, of which each point has one, between noise_start and noise_end; 0 for
        /// a noise that falls.
        levels: usize = 0, Rule::AtLeast(0);
        /// Where positive, these levels are those of a chain of levels + 1 steps whose β rises from 1e-4 to this.
        beta_end: f64 = 0.0, Rule::Unit;
    }
}

/// ∇ log q(x) ≈ L⁻ᵀ(-z + r(z)), z = L⁻¹(x - m), with the mean m and covariance C = LLᵀ of the sample in closed form and a network r,
/// which is trained on the way: warm from step to step, for particles no further than a held-out third of them is met better, and left out
/// of a step where held-out points are met better without it.
///
/// Near the end q is nearer to p than to a Gaussian. Towards a target ([`Estimator::prepare_towards`]), and as soon as its own score with an affine rest
/// in closed form meets the sample no worse, ∇ log q ≈ ∇ log p + L⁻ᵀ(Az + b + r(z)) with a new r from then on: A = -(E[z(Lᵀ∇ log p)ᵀ] + I), b = -E[Lᵀ∇ log p].
/// What is not seen of r then leaves particles where they are, instead of leading them by an affine score for ever.
///
/// Since E|∇log q|² does not depend on the network, all objectives have the same minimiser, r = LᵀC⁻¹(x - m) + Lᵀ∇ log q:
///
/// - implicit: E[|r|² - 2⟨z, r⟩ + 2 div r], the divergence exact or by random signs (Hyvärinen 2005; Hutchinson 1989);
/// - sliced: E[⟨v, r⟩² - 2⟨v, z⟩⟨v, r⟩ + 2⟨v, (∂r/∂z) v⟩] with random signs v (Song, Garg, Shi, Ermon 2019);
/// - denoising: E|r - z + Lᵀξ/s|² at y = x + sξ, C = Cov(x) + s²I: the score of q ∗ N(0, s²I) (Vincent 2011). At many levels y = a x + sξ,
///   C = a² Cov(x) + s²I, the network sees the level and gives c r, c² = s² d/tr C, so that no level outweighs the others.
///
/// With particles (`equivariant`) L is one number and m is 0, as they are for every law that exchanges, turns and reflects with them, and r
/// is [`Equivariant`](crate::nn::Equivariant): so is the score.
///
/// Each is 0 for r = 0 (denoising up to a constant), so a negative value says what the network adds to the affine score.
/// With r = ∇φ, log q(x) = -|z|²/2 - log|L| - (d/2) log 2π + φ(z) - log E_{N(0,I)} e^φ, the constant from draws.
///
/// x: n×d in, score n×d out, in units of the frame. A sample of fewer than d + 2 points is refused.
pub struct ScoreNet<T: Real> {
    settings: ScoreSettings,
    /// Moments of the samples of steps before, for models that draw new ones.
    moments: Option<Moments>,
    residual: Option<Residual<T>>,
    /// The held-out value of the objective after training.
    held_out: f64,
    /// log E_{N(0,I)} e^φ of each level.
    normalisers: Vec<f64>,
    /// A law near q.
    near: Option<Arc<dyn Density>>,
    /// A over b, (d+1)×d, where the target's score is what r is learnt from.
    rest: Option<Matrix>,
    /// The target at the sample of the step.
    asked: Option<(Matrix, Law)>,
}

/// One of so many points of a new sample is held out.
const HELD_OUT: usize = 5;
/// One of so many particles, the middle ones: the ends of a sorted sample are learnt from.
const HELD_PARTICLES: usize = 3;
/// Training steps between two looks at the held-out points.
const CHECK: usize = 5;
/// Fewer points than this train no network.
const FEWEST: usize = 20;
/// Dimensions up to which the divergence is exact unless `probes` says otherwise.
const EXACT: usize = 3;
/// Draws behind the constant of a potential.
const DRAWS: usize = 1024;
/// Streams of a step's training, beside those of its jitter.
const TRAINING: u64 = 1 << 61;

impl EstimatorSettings for ScoreSettings {
    fn name(&self) -> &'static str {
        "score"
    }
    fn summary(&self) -> &'static str {
        "a score learnt on the way: affine in closed form and a network; any dimension"
    }
    fn validate(&self) -> Result<()> {
        let own = |key: &str, value: String, expected: &str| {
            Err(Error::Setting { key: key.into(), value, expected: expected.into() })
        };
        Network::particles("equivariant", &self.equivariant, &self.score_layers)?;
        if self.levels > 0 && self.objective != "denoising" {
            return own("levels", self.levels.to_string(), "0, or the objective 'denoising', which adds noise");
        }
        if self.beta_end > 0.0 && self.levels == 0 {
            return own("beta_end", self.beta_end.to_string(), "0, or levels > 0");
        }
        if self.noise_end <= self.noise_start {
            return Ok(());
        }
        let expected = format!("no more than noise_start = {}", self.noise_start);
        Err(Error::Setting { key: "noise_end".into(), value: self.noise_end.to_string(), expected })
    }
    fn gives_density(&self) -> bool {
        self.form == "potential" || self.score_layers.is_empty()
    }
    fn build(&self, single: bool) -> Result<Box<dyn Estimator>> {
        Ok(match single {
            true => Box::new(ScoreNet::<f32>::new(self.clone())),
            false => Box::new(ScoreNet::<f64>::new(self.clone())),
        })
    }
    fn copy(&self) -> Box<dyn EstimatorSettings> {
        Box::new(self.clone())
    }
}

impl<T: Real> ScoreNet<T> {
    /// With these settings, before any training.
    pub fn new(settings: ScoreSettings) -> Self {
        Self {
            settings,
            moments: None,
            residual: None,
            held_out: 0.0,
            normalisers: Vec::new(),
            near: None,
            rest: None,
            asked: None,
        }
    }

    /// The noise of a step: 0 but for denoising.
    pub fn noise(&self, clock: Clock) -> f64 {
        let s = &self.settings;
        if s.objective != "denoising" {
            return 0.0;
        }
        clock.geometric(s.noise_start, s.noise_end, s.noise_anneal)
    }

    /// The levels that count at once; none where one falls.
    fn levels(&self) -> Option<Levels> {
        let s = &self.settings;
        let all = || match s.beta_end > 0.0 {
            true => Levels::linear(s.levels, s.beta_end),
            false => Levels::geometric(s.levels, s.noise_end, s.noise_start),
        };
        (s.levels > 0).then(all)
    }

    /// The particles of an equivariant network.
    fn particles(&self) -> Option<MeanFree> {
        Network::particles("equivariant", &self.settings.equivariant, &self.settings.score_layers).ok().flatten()
    }

    fn is_potential(&self) -> bool {
        self.settings.form == "potential"
    }

    /// The network, where held-out points are met better with it than without.
    fn useful(&self) -> Option<&Residual<T>> {
        self.residual.as_ref().filter(|_| self.held_out < 0.0)
    }

    /// The whitening at each noise level of the step: by the particles themselves where they are all there is, so that a later stage of a step sees
    /// where they have gone, else by the running moments.
    fn whitenings(&self, scene: &Scene) -> Result<Vec<Whitening>> {
        let (mean, covariance) = match (&self.moments, scene.reference) {
            (Some(moments), Reference::Independent(_)) => (moments.mean.clone(), moments.covariance()),
            _ => (scene.sample().column_means(), scene.sample().column_covariance()),
        };
        self.whitenings_of(mean, covariance, scene.clock)
    }

    /// The same of a law with these moments.
    fn whitenings_of(&self, mean: Vec<f64>, covariance: Matrix, clock: Clock) -> Result<Vec<Whitening>> {
        let (mean, covariance) = match self.particles() {
            Some(_) => isotropic(&mean, &covariance),
            None => (mean, covariance),
        };
        let Some(levels) = self.levels() else {
            let noise = Noise { a: 1.0, s: self.noise(clock) };
            return Ok(vec![Whitening::new(&mean, &covariance, noise)?]);
        };
        let log = |noise: &Noise| ln(noise.s / noise.a);
        let (first, last) = (log(&levels.all()[0]), log(&levels.all()[levels.len() - 1]));
        let share = |noise: &Noise| if last > first { (log(noise) - first) / (last - first) } else { 0.0 };
        let one = |noise: &Noise| Ok(Whitening::new(&mean, &covariance, *noise)?.marked(share(noise)));
        levels.all().iter().map(one).collect()
    }

    /// The law that stands in the place of the affine one, where there is one and the noise of the step is single.
    fn known(&self, whitenings: &[Whitening]) -> Option<Arc<dyn Density>> {
        let near = self.near.as_ref().filter(|_| !self.settings.score_layers.is_empty())?;
        let [Whitening { noise: Noise { a: 1.0, s }, .. }] = whitenings else { return None };
        if *s > 0.0 { near.smoothed(*s) } else { Some(Arc::clone(near)) }
    }

    /// What stands for a Gaussian of the same moments at x, whitened z, of these levels: -Lᵀ∇ of its log-density, n×d, and the log-density.
    fn plain(&self, x: &Matrix, z: &Matrix, whitenings: &[Whitening], of: &[usize]) -> Result<(Matrix, Vec<f64>)> {
        let d = x.cols();
        let Some(near) = self.known(whitenings) else {
            let constant = |w: &Whitening| -0.5 * (w.factor.log_det() + d as f64 * ln(std::f64::consts::TAU));
            let constants: Vec<f64> = whitenings.iter().map(constant).collect();
            let square = |z: &[f64]| z.iter().map(|z| z * z).sum::<f64>();
            let log_density = z.iter_rows().zip(of).map(|(z, &k)| constants[k] - 0.5 * square(z)).collect();
            return Ok((z.clone(), log_density));
        };
        let at = evaluate(&*near, x)?;
        Ok((whitenings[0].of_score(&at.score).map(|t| -t), at.log_density))
    }

    /// What has been learnt of a law at whitened points z (n×d) of the levels `of`, beside what stands for a Gaussian there ([`ScoreNet::plain`]): log q,
    /// empty where the network is a field, and the score.
    fn law(&self, z: &Matrix, (pull, plain): (Matrix, Vec<f64>), of: &[usize], whitenings: &[Whitening]) -> Law {
        let (n, d) = z.shape();
        let (potential, field) = match self.useful() {
            Some(residual) => residual.at(&z.cast(), &marks(whitenings, of)),
            None => (vec![0.0; if self.settings.gives_density() { n } else { 0 }], Matrix::zeros(n, d)),
        };
        let mut score = pull;
        for (i, &k) in of.iter().enumerate() {
            let output = whitenings[k].output;
            score.row_mut(i).iter_mut().zip(field.row(i)).for_each(|(z, r)| *z = r / output - *z);
        }
        let score = by_level(whitenings, of, &score, |w, z| {
            let mut score = z.clone();
            solve_lower_transposed_rows(w.factor.lower(), &mut score);
            score
        });
        let trained = self.useful().is_some();
        let normaliser = |k: usize| self.normalisers.get(k).filter(|_| trained).copied().unwrap_or(0.0);
        // nothing where the network is a field
        let all = plain.iter().zip(&potential).zip(of);
        let log_density = all.map(|((plain, phi), &k)| plain - normaliser(k) + phi / whitenings[k].output).collect();
        Law { log_density, score }
    }

    /// A network whose output is 0.
    fn untrained(&self, d: usize, seed: u64) -> Residual<T> {
        let marks = if self.settings.levels > 0 { MARKS } else { 0 };
        Residual::new(d, marks, &self.settings.score_layers, self.particles(), self.is_potential(), seed)
    }

    /// Trains the network on the sample of a step, from these pulls where there are any.
    fn train(&mut self, scene: &Scene, pulls: Option<Matrix>) -> Result<()> {
        let (sample, whitenings) = (scene.sample(), self.whitenings(scene)?);
        let (n, d, step) = (sample.rows(), sample.cols(), scene.clock.step);
        let settings = self.settings.clone();
        let mut residual = match self.residual.take() {
            Some(residual) => residual,
            None => self.untrained(d, scene.seed),
        };
        let mut rng = stream(scene.seed, Purpose::Jitter, TRAINING | step);
        // the same particles are held out in every step: what was learnt by heart would not be met there
        let fresh = matches!(scene.reference, Reference::Independent(_));
        let (held, seen): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| match fresh {
            true => i % HELD_OUT == HELD_OUT - 1,
            false => i % HELD_PARTICLES == HELD_PARTICLES / 2,
        });
        let teach = |net: &Self, rows: &[usize], rng: &mut Stream| {
            let pull = pulls.as_ref().map(|pulls| pulls.gather_rows(rows));
            net.lesson(&sample.gather_rows(rows), pull, &whitenings, rng)
        };
        let held = teach(self, &held, &mut rng)?;
        let rate =
            if fresh { cosine_rate(settings.score_rate, step, scene.clock.steps.max(1)) } else { settings.score_rate };
        let turns = seen.len().div_ceil(settings.score_batch);
        let mut best = (residual.loss(&held), residual.clone());
        for k in 0..settings.score_steps {
            // every so-manieth row: neighbours in a stratified sample are alike
            let turn = (residual.steps() % turns as u64) as usize;
            let rows: Vec<usize> = seen.iter().copied().skip(turn).step_by(turns).collect();
            let lesson = teach(self, &rows, &mut rng)?;
            residual.learn(&lesson, rate, step)?;
            // a sample that is new in each step cannot be learnt by heart
            if !fresh && ((k + 1).is_multiple_of(CHECK) || k + 1 == settings.score_steps) {
                let value = residual.loss(&held);
                if value >= best.0 {
                    break;
                }
                best = (value, residual.clone());
            }
        }
        if !best.0.is_finite() {
            return Err(Error::Diverged { step });
        }
        self.held_out = best.0;
        self.residual = Some(if fresh { residual } else { best.1 });
        if let (true, Some(residual)) = (self.is_potential(), &self.residual) {
            let key = (TRAINING << 1) | step;
            let z: Matrix<T> = match self.known(&whitenings).and_then(|near| near.sample(DRAWS, scene.seed ^ key)) {
                Some(x) => whitenings[0].apply(&x).cast(),
                None => normal_matrix(scene.seed, Purpose::Jitter, key, DRAWS, d),
            };
            let of_level = |(k, w): (usize, &Whitening)| {
                let phi = residual.potential(&z, &marks(&whitenings, &[k; DRAWS]));
                log_mean_exp(&phi.iter().map(|phi| phi / w.output).collect::<Vec<_>>())
            };
            self.normalisers = whitenings.iter().enumerate().map(of_level).collect();
        }
        Ok(())
    }

    /// Moments and network of a step, towards a target where there is one.
    fn learn(&mut self, scene: &Scene, target: Option<&dyn NoisedTarget>) -> Result<()> {
        let (n, d) = scene.sample().shape();
        if n < d + 2 {
            return Err(Error::Mismatch {
                what: format!("a score in {d} dimensions cannot be learnt from {n} points"),
                remedy: format!("give at least {} particles, or a larger 'sample'", d + 2),
            });
        }
        Network::check_dimension("equivariant", self.particles(), d)?;
        let share = if matches!(scene.reference, Reference::Own) { 0.0 } else { self.settings.moments };
        self.moments = Some(Moments::followed_by(self.moments.as_ref(), scene.sample(), share));
        if self.settings.score_layers.is_empty() || n < FEWEST {
            return Ok(());
        }
        let pulls = self.pulls(scene, target)?;
        self.train(scene, pulls)
    }
}

impl<T: Real> Estimator for ScoreNet<T> {
    fn name(&self) -> &'static str {
        "score"
    }

    fn reference(&self) -> usize {
        self.settings.sample
    }

    fn start_from(&mut self, near: &Arc<dyn Density>) {
        self.near = Some(Arc::clone(near));
    }

    fn diffuses(&self) -> bool {
        self.settings.objective == "denoising"
    }

    fn of_target(&self) -> Option<Box<dyn LearntTarget>> {
        self.levels().map(|_| Box::new(NoisedScore::<T>::new(self.settings.clone())) as Box<dyn LearntTarget>)
    }

    fn begin_at(&mut self, learnt: &State) -> Result<()> {
        self.restore(learnt)?;
        // the network alone: moments are quick to find
        self.moments = None;
        Ok(())
    }

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        self.learn(scene, None)
    }

    fn prepare_towards(&mut self, scene: &Scene, target: &dyn NoisedTarget) -> Result<()> {
        self.learn(scene, Some(target))
    }

    fn noised(&self, scene: &Scene, target: &dyn NoisedTarget) -> Result<Noised> {
        let (n, d) = scene.x.shape();
        let whitenings = self.whitenings(scene)?;
        let of = self.levels().map_or_else(|| vec![0; n], |levels| levels.choose(n, scene));
        let noise: Vec<Noise> = of.iter().map(|&k| whitenings[k].noise).collect();
        let mut y = scene.x.clone();
        if noise.iter().any(|noise| noise.s > 0.0) {
            let xi: Matrix = normal_matrix(scene.seed, Purpose::Jitter, scene.clock.step, n, d);
            y = Matrix::from_fn(n, d, |i, j| noise[i].a * scene.x[(i, j)] + noise[i].s * xi[(i, j)]);
        }
        let z = by_level(&whitenings, &of, &y, Whitening::apply);
        let (pull, plain, p) = match &self.rest {
            None => self.plain(&y, &z, &whitenings, &of).map(|(pull, plain)| (pull, plain, None))?,
            Some(rest) => {
                let known = self.asked.as_ref().filter(|(x, _)| x == &y).map(|(_, law)| Ok(law.clone()));
                let p = known.unwrap_or_else(|| target.at(&Query { x: &y, noise: &noise }))?;
                let t = whitenings[0].of_score(&p.score);
                let own = matches!(scene.reference, Reference::Own).then(|| affine_rest(&z, &t));
                (less_rest(&z, &t, own.as_ref().unwrap_or(rest)), Vec::new(), Some(p))
            }
        };
        let q = self.law(&z, (pull, plain), &of, &whitenings);
        Ok(Noised { y, noise, q, p, trust: vec![1.0; n] })
    }

    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        match &self.residual {
            Some(_) => {
                vec![("score_gain", "gain of the score's network over the score without it, held out", -self.held_out)]
            }
            None => Vec::new(),
        }
    }
}
