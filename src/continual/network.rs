//! A small network some of whose weights are what tasks differ in.

use crate::autodiff::{Tape, Var};
use crate::continual::{Gaussian, Task};
use crate::linalg::{Cholesky, Matrix, dot};
use crate::nn::{Adam, AdamState, Parameters, cosine_rate};
use crate::num::exp;
use crate::rng::{Purpose, fill_normal, stream};
use crate::{Error, Result};
use std::sync::Arc;

/// Gauss–Newton steps of an inner fit, at most, and halvings of each.
const STEPS: usize = 10;
const HALVINGS: usize = 6;
/// Tasks in a step of the training before the stream, and its first rate.
const BATCH: usize = 16;
const RATE: f64 = 0.01;

/// f(u) = v · tanh(a u + b) + c with weights θ = θ₀ + s ∘ w: w is the latent of a task, a priori N(0, S); θ₀ and s are trained before.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Hidden units; θ = (a, b, v, c) has 3 hidden + 1 entries.
    pub hidden: usize,
    /// Whether w moves v and c alone, so that f is linear in w; else all weights.
    pub last: bool,
    /// θ₀, 1×(3 hidden + 1).
    pub centre: Matrix,
    /// log s, likewise; entries that w does not move are not used.
    pub log_scale: Matrix,
}

impl Network {
    /// Before training: random units over u in [-π, π].
    pub fn new(hidden: usize, last: bool, seed: u64) -> Self {
        let mut centre: Matrix = Matrix::zeros(1, 3 * hidden + 1);
        fill_normal(&mut stream(seed, Purpose::Initialise, 38 << 32), centre.as_mut_slice());
        let sizes = [1.0, 2.0, 0.1];
        let centre = Matrix::from_fn(1, 3 * hidden + 1, |_, j| sizes.get(j / hidden).unwrap_or(&0.0) * centre[(0, j)]);
        Self { hidden, last, centre, log_scale: Matrix::filled(1, 3 * hidden + 1, -2.0) }
    }

    /// Entries of w.
    pub fn dim(&self) -> usize {
        self.centre.cols() - self.first()
    }

    /// The first entry of θ that w moves.
    fn first(&self) -> usize {
        if self.last { 2 * self.hidden } else { 0 }
    }

    /// f(u_i; row i of θ), n×1, and its Jacobian by w, n×dim, where ∂θ/∂w = `scale` (1×dim); both on the tape.
    fn on<'t>(&self, theta: Var<'t>, u: Var<'t>, scale: Var<'t>) -> (Var<'t>, Var<'t>) {
        let h = self.hidden;
        let units = (u * theta.columns(0..h) + theta.columns(h..2 * h)).tanh();
        let f = (units * theta.columns(2 * h..3 * h)).row_sums() + theta.column(3 * h);
        let slope = theta.tape().gradient(f, &[theta])[0];
        (f, slope.columns(self.first()..theta.shape().1) * scale)
    }

    fn theta(&self, w: &[f64]) -> Vec<f64> {
        let from = self.first();
        let moved = |(j, c): (usize, &f64)| if j < from { *c } else { c + exp(self.log_scale[(0, j)]) * w[j - from] };
        self.centre.as_slice().iter().enumerate().map(moved).collect()
    }

    /// f(u_i; w) and ∂f/∂w there.   u: n×1.
    fn at(&self, w: &[f64], u: &Matrix) -> (Vec<f64>, Matrix) {
        let tape = Tape::new();
        let theta = self.theta(w);
        let rows = tape.leaf(&Matrix::from_fn(u.rows(), theta.len(), |_, j| theta[j]));
        let scale: Vec<f64> = self.log_scale.as_slice()[self.first()..].iter().map(|l| exp(*l)).collect();
        let (f, jacobian) = self.on(rows, tape.leaf(u), tape.leaf_from(1, scale.len(), &scale));
        (f.value().into_vec(), jacobian.value())
    }

    /// f(u_i; w).   u: n×1 → n.
    pub fn outputs(&self, w: &[f64], u: &Matrix) -> Vec<f64> {
        self.at(w, u).0
    }

    /// The task as one of linear regression on w' about w: x = ∂f/∂w, y ← y - f + x w. Exact where only the last layer moves.
    pub fn about(&self, w: &[f64], task: &Task) -> Task {
        let (f, x) = self.at(w, &task.x);
        let y = task.y.iter().zip(f).zip(x.iter_rows()).map(|((y, f), x)| y - f + dot(x, w)).collect();
        Task { x, y }
    }

    /// log p(y) to first order about the mean of `law`, and the Gaussian about the best w given y, by Gauss–Newton steps that are halved until
    /// (y - f)ᵀR⁻¹(y - f) + (w - m)ᵀP⁻¹(w - m) falls. `noise` is R of the design. Source: Bell and Cathey (IEEE TAC, 1993).
    pub(super) fn given(
        &self,
        law: &Gaussian,
        task: &Task,
        noise: impl Fn(&Matrix) -> Matrix,
    ) -> Result<(f64, Gaussian)> {
        let first = self.about(&law.mean, task);
        let (evidence, mut after) = law.observe(&first.x, &first.y, &noise(&first.x))?;
        // a law that is one point stays there
        let Ok(prior) = Cholesky::factor(&law.covariance, "covariance of the weights") else {
            return Ok((evidence, after));
        };
        let r = Cholesky::factor(&noise(&first.x), "covariance of the observations")?;
        let cost = |w: &[f64]| {
            let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
            let left = apart(&task.y, &self.outputs(w, &task.x));
            r.inverse_quadratic_form(&left) + prior.inverse_quadratic_form(&apart(w, &law.mean))
        };
        let mut w = law.mean.clone();
        let mut best = cost(&w);
        for _ in 0..STEPS {
            let step = |size: f64| w.iter().zip(&after.mean).map(|(w, m)| w + size * (m - w)).collect::<Vec<f64>>();
            let tried = (0..HALVINGS).map(|k| step(0.5f64.powi(k as i32))).map(|w| (cost(&w), w));
            let Some((lower, better)) = tried.into_iter().find(|(c, _)| *c < best) else { break };
            let enough = best - lower < 1e-6 * best;
            (best, w) = (lower, better);
            let here = self.about(&w, task);
            after = law.observe(&here.x, &here.y, &noise(&here.x))?.1;
            if enough {
                break;
            }
        }
        Ok((evidence, Gaussian { mean: w, covariance: after.covariance }))
    }

    /// Trains θ₀ and s before the stream: Adam on the mean of -log N(y; predicted mean and variance) at the queries of tasks given their support, where the
    /// task's posterior is exact for the network to first order about θ₀, w ~ N(0, between² I). `task` k is support and queries. The tape
    /// differentiates the Jacobian and the posterior: second order.
    pub fn train(&mut self, steps: usize, noise: f64, between: f64, task: impl Fn(u64) -> (Task, Task)) -> Result<()> {
        let start = [self.centre.clone(), self.log_scale.clone()];
        let mut parameters: Parameters<f64> = start.into_iter().map(|m| Arc::new(m.into())).collect();
        let mut state = AdamState::new(&parameters);
        let mut tape = Tape::new();
        for step in 0..steps {
            tape.reset();
            let p: Vec<_> = parameters.iter().map(|p| tape.parameter(p)).collect();
            let tasks = (0..BATCH).map(|k| task((step * BATCH + k) as u64));
            let losses = tasks.map(|t| self.loss(p[0], p[1], (noise * noise, between * between), &t));
            let loss = losses.reduce(|a, b| a + b).expect("tasks") * (1.0 / BATCH as f64);
            let gradient: Vec<Matrix> = tape.gradient(loss, &p).into_iter().map(Var::value).collect();
            if !gradient.iter().all(Matrix::is_finite) {
                return Err(Error::Diverged { step: step as u64 });
            }
            Adam::default().step(&mut parameters, &gradient, &mut state, cosine_rate(RATE, step as u64, steps as u64));
        }
        (self.centre, self.log_scale) = (Matrix::clone(&parameters[0]), Matrix::clone(&parameters[1]));
        Ok(())
    }

    /// Mean of ½ (log v + (y - m)²/v) over queries: m = f + K r, v = σ² + b²|j|² - K·(b² J_s j), K = b² J_q J_sᵀ (b² J_s J_sᵀ + σ² I)⁻¹.
    fn loss<'t>(
        &self,
        centre: Var<'t>,
        log_scale: Var<'t>,
        (noise, prior): (f64, f64),
        (s, q): &(Task, Task),
    ) -> Var<'t> {
        let (tape, n, m) = (centre.tape(), s.y.len(), q.y.len());
        let scale = log_scale.columns(self.first()..centre.shape().1).exp();
        let u = tape.leaf(&s.x).concat_rows(tape.leaf(&q.x));
        let (f, jacobian) = self.on(centre.broadcast_to((n + m, centre.shape().1)), u, scale);
        let (js, jq) = (jacobian.rows(0..n), jacobian.rows(n..n + m));
        let (ys, yq) = (tape.leaf_from(n, 1, &s.y), tape.leaf_from(m, 1, &q.y));
        let gram = js.matmul(js.t()) * prior + tape.leaf(&Matrix::identity(n).map(|v: f64| noise * v));
        let cross = jq.matmul(js.t()) * prior;
        let gain = cross.matmul(gram.inverse());
        let mean = f.rows(n..n + m) + gain.matmul(ys - f.rows(0..n));
        let variance = jq.square().row_sums() * prior - (gain * cross).row_sums() + noise;
        (variance.ln() + (yq - mean).square() / variance).mean() * 0.5
    }
}

/// a sin(ω u + φ).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wave {
    /// a, ω, φ.
    pub numbers: [f64; 3],
}

impl Wave {
    /// Middle and half the width of the intervals in which a, ω and φ are uniform over all tasks.
    const RANGES: [(f64, f64); 3] = [(1.75, 1.25), (1.0, 0.4), (0.0, std::f64::consts::PI)];

    /// From three numbers in [0, 1).
    pub fn of(unit: [f64; 3]) -> Self {
        Self { numbers: std::array::from_fn(|k| Self::RANGES[k].0 + (2.0 * unit[k] - 1.0) * Self::RANGES[k].1) }
    }

    /// One nearby: z normal, `share` of the standard deviation over all tasks.
    pub fn near(&self, share: f64, z: [f64; 3]) -> Self {
        let sd = |k: usize| share * Self::RANGES[k].1 / 3f64.sqrt();
        Self { numbers: std::array::from_fn(|k| self.numbers[k] + sd(k) * z[k]) }
    }

    /// Its value at u.
    pub fn at(&self, u: f64) -> f64 {
        let [a, omega, phi] = self.numbers;
        a * crate::num::sin(omega * u + phi)
    }
}
