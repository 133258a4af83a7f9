//! A score learnt on the way: the best affine score in closed form, and a network for what it leaves.

mod network;

use crate::density::{Density, evaluate};
use crate::error::{Error, Result};
use crate::estimate::{Clock, Estimator, EstimatorSettings, Law, Noise, Noised, NoisedTarget, Reference, Scene};
use crate::linalg::{Cholesky, Matrix, solve_lower_rows, solve_lower_transposed_rows};
use crate::nn::cosine_rate;
use crate::num::{Real, ln, log_mean_exp};
use crate::rng::{Purpose, Stream, fill_normal, fill_signs, normal_matrix, stream};
use crate::state::{State, Stateful};
use network::{Divergence, Lesson, Residual};
use std::sync::Arc;

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
        /// Adam's rate for the network; where each step has a new sample it falls to 0 along a half cosine.
        score_rate: f64 = 2e-3, Rule::Positive;
        /// Training steps of the network in each step; for particles, which stay the same, fewer where a held-out fifth is met no better.
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
    }
}

/// ∇ log q(x) ≈ L⁻ᵀ(-z + r(z)), z = L⁻¹(x - m), with the mean m and covariance C = LLᵀ of the sample in closed form and a network r,
/// which is trained on the way: warm from step to step, for particles no further than a held-out fifth of them is met better, and left out
/// of a step where held-out points are met better without it.
///
/// Where a law near q is known with its score ([`Estimator::start_from`]), that stands in the place of the affine one: -z above and z below become
/// b = Lᵀ∇ log near(x) and -b, and log near(x) the Gaussian's log-density, whose mean of e^φ is one under that law.
///
/// Since E|∇log q|² does not depend on the network, all objectives have the same minimiser, r = LᵀC⁻¹(x - m) + Lᵀ∇ log q:
///
/// - implicit: E[|r|² - 2⟨z, r⟩ + 2 div r], the divergence exact or by random signs (Hyvärinen 2005; Hutchinson 1989);
/// - sliced: E[⟨v, r⟩² - 2⟨v, z⟩⟨v, r⟩ + 2⟨v, (∂r/∂z) v⟩] with random signs v (Song, Garg, Shi, Ermon 2019);
/// - denoising: E|r - z + Lᵀξ/s|² at y = x + sξ, C = Cov(x) + s²I: the score of q ∗ N(0, s²I) (Vincent 2011).
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
    /// log E_{N(0,I)} e^φ.
    normaliser: f64,
    /// A law near q.
    near: Option<Arc<dyn Density>>,
}

/// Running moments of a sample.
#[derive(Debug, Clone)]
struct Moments {
    /// Σ of the shares so far.
    weight: f64,
    mean: Vec<f64>,
    /// Second moments about 0.
    square: Matrix,
}

/// z = L⁻¹(x - m).
struct Whitening {
    mean: Vec<f64>,
    factor: Cholesky,
}

/// One of so many points is held out.
const HELD_OUT: usize = 5;
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

impl Moments {
    /// With a new sample of weight 1, the past having the share γ of before.
    fn followed_by(past: Option<&Self>, sample: &Matrix, share: f64) -> Self {
        let (mean, covariance) = (sample.column_means(), sample.column_covariance());
        let d = mean.len();
        let square = Matrix::from_fn(d, d, |i, j| covariance[(i, j)] + mean[i] * mean[j]);
        let Some(past) = past else { return Self { weight: 1.0, mean, square } };
        let weight = 1.0 + share * past.weight;
        let blend = |old: f64, new: f64| old + (new - old) / weight;
        Self {
            weight,
            mean: past.mean.iter().zip(&mean).map(|(a, b)| blend(*a, *b)).collect(),
            square: Matrix::from_fn(d, d, |i, j| blend(past.square[(i, j)], square[(i, j)])),
        }
    }

    fn covariance(&self) -> Matrix {
        let m = &self.mean;
        Matrix::from_fn(m.len(), m.len(), |i, j| self.square[(i, j)] - m[i] * m[j])
    }
}

impl Whitening {
    /// Of points with this mean and covariance under noise of standard deviation s.
    fn new(mean: Vec<f64>, mut covariance: Matrix, s: f64) -> Result<Self> {
        (0..mean.len()).for_each(|k| covariance[(k, k)] += s * s);
        Ok(Self { mean, factor: Cholesky::factor(&covariance, "the covariance of the particles")? })
    }

    /// z, n×d.
    fn apply(&self, x: &Matrix) -> Matrix {
        let mut z = Matrix::from_fn(x.rows(), x.cols(), |i, j| x[(i, j)] - self.mean[j]);
        solve_lower_rows(self.factor.lower(), &mut z);
        z
    }
}

impl<T: Real> ScoreNet<T> {
    /// With these settings, before any training.
    pub fn new(settings: ScoreSettings) -> Self {
        Self { settings, moments: None, residual: None, held_out: 0.0, normaliser: 0.0, near: None }
    }

    /// The noise of a step: 0 but for denoising.
    pub fn noise(&self, clock: Clock) -> f64 {
        let s = &self.settings;
        if s.objective != "denoising" {
            return 0.0;
        }
        clock.geometric(s.noise_start, s.noise_end, s.noise_anneal)
    }

    fn is_potential(&self) -> bool {
        self.settings.form == "potential"
    }

    /// The network, where held-out points are met better with it than without.
    fn useful(&self) -> Option<&Residual<T>> {
        self.residual.as_ref().filter(|_| self.held_out < 0.0)
    }

    /// The whitening at the noise of the step: by the particles themselves where they are all there is, so that a later stage of a step sees
    /// where they have gone, else by the running moments.
    fn whitening(&self, scene: &Scene) -> Result<Whitening> {
        let s = self.noise(scene.clock);
        match (&self.moments, scene.reference) {
            (Some(moments), Reference::Independent(_)) => Whitening::new(moments.mean.clone(), moments.covariance(), s),
            _ => Whitening::new(scene.sample().column_means(), scene.sample().column_covariance(), s),
        }
    }

    /// The law that stands in the place of the affine one at noise s, where there is one.
    fn known(&self, s: f64) -> Option<Arc<dyn Density>> {
        let near = self.near.as_ref().filter(|_| !self.settings.score_layers.is_empty())?;
        if s > 0.0 { near.smoothed(s) } else { Some(Arc::clone(near)) }
    }

    /// What stands for a Gaussian of the same moments at x, whitened z, under noise s: -Lᵀ∇ of its log-density, n×d, and the log-density.
    fn plain(&self, x: &Matrix, z: &Matrix, whitening: &Whitening, s: f64) -> Result<(Matrix, Vec<f64>)> {
        let (lower, d) = (whitening.factor.lower(), x.cols());
        let Some(near) = self.known(s) else {
            let constant = -0.5 * (whitening.factor.log_det() + d as f64 * ln(std::f64::consts::TAU));
            let square = |z: &[f64]| constant - 0.5 * z.iter().map(|z| z * z).sum::<f64>();
            return Ok((z.clone(), z.iter_rows().map(square).collect()));
        };
        let at = evaluate(&*near, x)?;
        let pull = |i: usize, j: usize| -(j..d).map(|k| lower[(k, j)] * at.score[(i, k)]).sum::<f64>();
        Ok((Matrix::from_fn(x.rows(), d, pull), at.log_density))
    }

    /// What the points x (n×d) teach, under fresh signs or noise.
    fn lesson(&self, x: &Matrix, whitening: &Whitening, s: f64, rng: &mut Stream) -> Result<Lesson<T>> {
        let (n, d) = x.shape();
        if self.settings.objective == "denoising" {
            // the same noise with both signs: what is linear in it cancels
            let mut xi: Matrix = Matrix::zeros(n, d);
            fill_normal(rng, xi.as_mut_slice());
            let both = |k: usize, i: usize| if k < n { xi[(k, i)] } else { -xi[(k - n, i)] };
            let y = Matrix::from_fn(2 * n, d, |k, j| x[(k % n, j)] + s * both(k, j));
            let z = whitening.apply(&y);
            let (plain, lower) = (self.plain(&y, &z, whitening, s)?.0, whitening.factor.lower());
            let pull = Matrix::from_fn(2 * n, d, |k, j| {
                let drawn: f64 = (j..d).map(|i| lower[(i, j)] * both(k, i)).sum();
                plain[(k, j)] - drawn / s
            });
            return Ok(Lesson { z: z.cast(), pull: pull.cast(), divergence: Divergence::None });
        }
        let z = whitening.apply(x);
        let pull = self.plain(x, &z, whitening, s)?.0;
        let sliced = self.settings.objective == "sliced";
        let probes = self.settings.probes.unwrap_or(if d <= EXACT && !sliced { 0 } else { 1 });
        let signs = |rng: &mut Stream| {
            let mut v = Matrix::zeros(n, d);
            fill_signs(rng, v.as_mut_slice());
            v
        };
        let divergence = match probes {
            0 if !sliced => Divergence::Exact,
            m => Divergence::Probes { signs: (0..m.max(1)).map(|_| signs(rng)).collect(), sliced },
        };
        Ok(Lesson { pull: pull.cast(), z: z.cast(), divergence })
    }

    /// Trains the network on the sample of a step.
    fn train(&mut self, scene: &Scene) -> Result<()> {
        let (sample, whitening) = (scene.sample(), self.whitening(scene)?);
        let (n, d, step) = (sample.rows(), sample.cols(), scene.clock.step);
        let (s, settings) = (self.noise(scene.clock), self.settings.clone());
        let mut residual = match self.residual.take() {
            Some(residual) => residual,
            None => Residual::new(d, &settings.score_layers, self.is_potential(), scene.seed),
        };
        let mut rng = stream(scene.seed, Purpose::Jitter, TRAINING | step);
        // the same particles are held out in every step: what was learnt by heart would not be met there
        let (held, seen): (Vec<usize>, Vec<usize>) = (0..n).partition(|i| i % HELD_OUT == HELD_OUT - 1);
        let held = self.lesson(&sample.gather_rows(&held), &whitening, s, &mut rng)?;
        let fresh = matches!(scene.reference, Reference::Independent(_));
        let rate =
            if fresh { cosine_rate(settings.score_rate, step, scene.clock.steps.max(1)) } else { settings.score_rate };
        let turns = seen.len().div_ceil(settings.score_batch);
        let mut best = (residual.loss(&held), residual.clone());
        for k in 0..settings.score_steps {
            // every so-manieth row: neighbours in a stratified sample are alike
            let turn = (residual.steps() % turns as u64) as usize;
            let rows: Vec<usize> = seen.iter().copied().skip(turn).step_by(turns).collect();
            let lesson = self.lesson(&sample.gather_rows(&rows), &whitening, s, &mut rng)?;
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
            let z: Matrix<T> = match self.known(s).and_then(|near| near.sample(DRAWS, scene.seed ^ key)) {
                Some(x) => whitening.apply(&x).cast(),
                None => normal_matrix(scene.seed, Purpose::Jitter, key, DRAWS, d),
            };
            self.normaliser = log_mean_exp(&residual.potential(&z));
        }
        Ok(())
    }
}

impl<T: Real> Stateful for ScoreNet<T> {
    fn save(&self, to: &mut State) {
        let dim = self.moments.as_ref().map_or(0, |m| m.mean.len());
        to.counters.insert("dim".into(), dim as u64);
        to.counters.insert("trained".into(), u64::from(self.residual.is_some()));
        if let Some(moments) = &self.moments {
            to.put_row("weight", &[moments.weight]);
            to.put_row("mean", &moments.mean);
            to.put("square", &moments.square);
        }
        if let Some(residual) = &self.residual {
            to.put_part("network", residual);
            to.put_row("held_out", &[self.held_out, self.normaliser]);
        }
    }

    fn restore(&mut self, from: &State) -> Result<()> {
        let (d, trained) = (from.counter("dim")? as usize, from.counter("trained")? > 0);
        let moments = match d {
            0 => None,
            _ => Some(Moments {
                weight: from.matrix::<f64>("weight", (1, 1))?[(0, 0)],
                mean: from.matrix::<f64>("mean", (1, d))?.row(0).to_vec(),
                square: from.matrix::<f64>("square", (d, d))?.clone(),
            }),
        };
        let mut residual = None;
        let (mut held_out, mut normaliser) = (0.0, 0.0);
        if trained {
            let mut network = Residual::new(d, &self.settings.score_layers, self.is_potential(), 0);
            network.restore(&from.part("network"))?;
            let numbers = from.matrix::<f64>("held_out", (1, 2))?;
            (held_out, normaliser) = (numbers[(0, 0)], numbers[(0, 1)]);
            residual = Some(network);
        }
        (self.moments, self.residual, self.held_out, self.normaliser) = (moments, residual, held_out, normaliser);
        Ok(())
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

    fn prepare(&mut self, scene: &Scene) -> Result<()> {
        let (n, d) = scene.sample().shape();
        if n < d + 2 {
            return Err(Error::Mismatch {
                what: format!("a score in {d} dimensions cannot be learnt from {n} points"),
                remedy: format!("give at least {} particles, or a larger 'sample'", d + 2),
            });
        }
        let share = if matches!(scene.reference, Reference::Own) { 0.0 } else { self.settings.moments };
        self.moments = Some(Moments::followed_by(self.moments.as_ref(), scene.sample(), share));
        if self.settings.score_layers.is_empty() || n < FEWEST {
            return Ok(());
        }
        self.train(scene)
    }

    fn noised(&self, scene: &Scene, _: &dyn NoisedTarget) -> Result<Noised> {
        let (n, d) = scene.x.shape();
        let (s, whitening) = (self.noise(scene.clock), self.whitening(scene)?);
        let mut y = scene.x.clone();
        if s > 0.0 {
            y.add_scaled(s, &normal_matrix(scene.seed, Purpose::Jitter, scene.clock.step, n, d));
        }
        let z = whitening.apply(&y);
        let (mut score, plain) = self.plain(&y, &z, &whitening, s)?;
        let (potential, field) = match self.useful() {
            Some(residual) => residual.at(&z.cast()),
            None => (vec![0.0; if self.settings.gives_density() { n } else { 0 }], Matrix::zeros(n, d)),
        };
        score.as_mut_slice().iter_mut().zip(field.as_slice()).for_each(|(z, r)| *z = r - *z);
        solve_lower_transposed_rows(whitening.factor.lower(), &mut score);
        let normaliser = if self.useful().is_some() { self.normaliser } else { 0.0 };
        // nothing where the network is a field
        let log_density = plain.iter().zip(&potential).map(|(plain, phi)| plain - normaliser + phi).collect();
        let q = Law { log_density, score };
        Ok(Noised { y, noise: vec![Noise { a: 1.0, s }; n], q, p: None, trust: vec![1.0; n] })
    }

    fn figures(&self) -> Vec<(&'static str, &'static str, f64)> {
        match &self.residual {
            Some(_) => {
                vec![("score_gain", "gain of the score's network over the affine score, held out", -self.held_out)]
            }
            None => Vec::new(),
        }
    }
}
