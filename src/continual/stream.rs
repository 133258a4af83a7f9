//! Streams of tasks whose clusters come one after the other, and how well past clusters are remembered.

use crate::continual::{Gaussian, Network, Task, TaskModel, Wave, learner};
use crate::linalg::Matrix;
use crate::num::Summary;
use crate::rng::{self, Purpose, fill_normal, fill_uniform, stream};
use crate::{Error, Result};
use rayon::prelude::*;
use std::sync::Arc;

crate::settings! {
    /// A stream of tasks.
    pub struct StreamSettings in "stream" {
        /// What a task is: regression on (1, u), u uniform in [-1, 1]; gaussian, noisy observations of w itself; or a wave a sin(ωu + φ), u uniform in
        /// [-π, π], for a network of which w is the last layer (sinusoid) or all weights (network).
        kind: String = "regression".into(), Rule::OneOf(&["regression", "gaussian", "sinusoid", "network"]);
        /// Clusters; each is a stage of the stream.
        clusters: usize = 3, Rule::AtLeast(1);
        /// Tasks in a stage.
        tasks: usize = 40, Rule::AtLeast(1);
        /// Coefficients of a task; not those of a network.
        dim: usize = 4, Rule::AtLeast(1);
        /// Observations of a task that are given.
        shots: usize = 5, Rule::AtLeast(2);
        /// Observations that are predicted.
        queries: usize = 10, Rule::AtLeast(1);
        /// Unseen tasks of each past cluster on which a learner is judged.
        evaluation: usize = 100, Rule::AtLeast(2);
        /// Standard deviation of the noise.
        noise: f64 = 0.3, Rule::Positive;
        /// Standard deviation of coefficients within a cluster.
        within: f64 = 0.3, Rule::Positive;
        /// Standard deviation of cluster means.
        between: f64 = 2.0, Rule::Positive;
        /// Concentration of the Chinese restaurant process.
        alpha: f64 = 1.0, Rule::Positive;
        /// Hidden units of the network.
        hidden: usize = 16, Rule::AtLeast(1);
        /// Steps of its training on waves of all kinds, before the stream.
        training: usize = 600, Rule::AtLeast(1);
        /// Streams, with keys 0, 1, …
        seeds: usize = 5, Rule::AtLeast(2);
        /// Learners by name, separated by commas; all where empty.
        learners: String = String::new(), Rule::Any;
    }
}

/// One stream.
pub struct Stream<'a> {
    settings: &'a StreamSettings,
    seed: u64,
    /// What its tasks are taken for.
    pub model: TaskModel,
    /// Cluster means, clusters×p; of waves, the weights that fit them best.
    pub means: Matrix,
    /// The middle of each cluster of waves.
    waves: Vec<Wave>,
    /// A network of which only the last layer moves makes tasks of linear regression.
    last: Option<Network>,
}

/// What a task is drawn for.
const TRAINING: u64 = 0;
const JUDGING: u64 = 1;
const BEFORE: u64 = 2;
/// Points at which the middle of a cluster of waves is fitted.
const DENSE: usize = 100;

impl<'a> Stream<'a> {
    /// The stream of key `seed`. `Error::Diverged` where the training of a network does.
    pub fn new(settings: &'a StreamSettings, seed: u64) -> Result<Self> {
        let s = settings;
        let mut means = Matrix::zeros(s.clusters, s.dim);
        fill_normal(&mut stream(seed, Purpose::Exact, 1 << 40), means.as_mut_slice());
        let model = TaskModel::spherical(s.dim, s.noise, s.within, s.between);
        let means = means.map(|z: f64| s.between * z);
        let mut out = Self { settings, seed, model, means, waves: Vec::new(), last: None };
        if ["sinusoid", "network"].contains(&s.kind.as_str()) {
            out.prepare()?;
        }
        Ok(out)
    }

    /// Trains the network on waves of all kinds, and draws the clusters.
    fn prepare(&mut self) -> Result<()> {
        let s = self.settings;
        let mut network = Network::new(s.hidden, s.kind == "sinusoid", self.seed);
        network.train(s.training, s.noise, s.between, |k| {
            let mut rng = stream(self.seed, Purpose::Exact, (k << 3) | (BEFORE << 1) | (1 << 41));
            let wave = Wave::of(std::array::from_fn(|_| rng::uniform(&mut rng)));
            (self.noisy(&wave, s.shots, &mut rng), self.noisy(&wave, s.queries, &mut rng))
        })?;
        let mut rng = stream(self.seed, Purpose::Exact, 1 << 42);
        self.waves = (0..s.clusters).map(|_| Wave::of(std::array::from_fn(|_| rng::uniform(&mut rng)))).collect();
        self.model = TaskModel::spherical(network.dim(), s.noise, s.within, s.between);
        if network.last {
            self.last = Some(network);
        } else {
            self.model.network = Some(Arc::new(network));
        }
        let fitted = |wave: &Wave| -> Result<Vec<f64>> {
            let x = Matrix::from_fn(DENSE, 1, |i, _| std::f64::consts::PI * ((2 * i + 1) as f64 / DENSE as f64 - 1.0));
            let y = x.as_slice().iter().map(|u| wave.at(*u)).collect();
            Ok(self.model.adapt(&self.model.prior, &self.seen(Task { x, y }))?.1.mean)
        };
        self.means = Matrix::from_rows(&self.waves.iter().map(fitted).collect::<Result<Vec<_>>>()?);
        Ok(())
    }

    /// n noisy values of a wave.
    fn noisy(&self, wave: &Wave, n: usize, rng: &mut rng::Stream) -> Task {
        let (mut u, mut y) = (vec![0.0; n], vec![0.0; n]);
        fill_uniform(rng, &mut u);
        fill_normal(rng, &mut y);
        u.iter_mut().for_each(|u| *u = std::f64::consts::PI * (2.0 * *u - 1.0));
        y.iter_mut().zip(&u).for_each(|(y, u)| *y = self.settings.noise * *y + wave.at(*u));
        Task { x: Matrix::from_vec(n, 1, u), y }
    }

    /// A task as learners see it.
    fn seen(&self, task: Task) -> Task {
        match &self.last {
            Some(f) => f.about(&vec![0.0; f.dim()], &task),
            None => task,
        }
    }

    /// Task i of cluster k: support and queries.
    fn task(&self, k: usize, i: usize, purpose: u64) -> (Task, Task) {
        let s = self.settings;
        let unit = ((k as u64) << 24) | ((i as u64) << 1) | purpose;
        let mut rng = stream(self.seed, Purpose::Exact, unit);
        if let Some(middle) = self.waves.get(k) {
            let mut z = [0.0; 3];
            fill_normal(&mut rng, &mut z);
            let wave = middle.near(s.within / s.between, z);
            return (
                self.seen(self.noisy(&wave, s.shots, &mut rng)),
                self.seen(self.noisy(&wave, s.queries, &mut rng)),
            );
        }
        let mut w = vec![0.0; s.dim];
        fill_normal(&mut rng, &mut w);
        w.iter_mut().zip(self.means.row(k)).for_each(|(w, m)| *w = m + s.within * *w);
        let mut part = |n: usize| {
            // of a Gaussian task every coefficient is observed once an observation
            let rows = if s.kind == "gaussian" { n * s.dim } else { n };
            let mut u = vec![0.0; rows * s.dim];
            fill_uniform(&mut rng, &mut u);
            let x = Matrix::from_fn(rows, s.dim, |i, j| match (s.kind.as_str(), j) {
                ("gaussian", _) => f64::from(u8::from(i % s.dim == j)),
                (_, 0) => 1.0,
                _ => 2.0 * u[i * s.dim + j] - 1.0,
            });
            let mut y = vec![0.0; rows];
            fill_normal(&mut rng, &mut y);
            y.iter_mut().zip(x.iter_rows()).for_each(|(y, x)| *y = s.noise * *y + crate::linalg::dot(x, &w));
            Task { x, y }
        };
        (part(s.shots), part(s.queries))
    }

    /// The tasks of stage k, in order; learners see the support.
    pub fn stage(&self, k: usize) -> Vec<Task> {
        (0..self.settings.tasks).map(|i| self.task(k, i, TRAINING).0).collect()
    }

    /// Mean square of prediction errors at the queries of unseen tasks of cluster k.
    fn judge(&self, k: usize, predict: impl Fn(&Task, &Matrix) -> Result<Vec<f64>>) -> Result<f64> {
        let mut errors = Vec::new();
        for i in 0..self.settings.evaluation {
            let (support, query) = self.task(k, i, JUDGING);
            let y = predict(&support, &query.x)?;
            errors.extend(y.iter().zip(&query.y).map(|(a, b)| (a - b).powi(2)));
        }
        Ok(errors.iter().sum::<f64>() / errors.len() as f64)
    }
}

/// How one learner fared over all streams.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Mean square error at unseen tasks of cluster k after stage s ≥ k, for each seed: `errors[s][k][seed]`.
    pub errors: Vec<Vec<Vec<f64>>>,
    /// Clusters that it counts after the last stage, for each seed.
    pub clusters: Vec<Option<usize>>,
}

impl Curve {
    /// Mean over the clusters before the last of the error after the last stage, for each seed.
    pub fn past(&self) -> Vec<f64> {
        let last = self.errors.last().expect("a stage");
        let before = &last[..last.len().saturating_sub(1).max(1)];
        (0..self.clusters.len()).map(|seed| before.iter().map(|e| e[seed]).sum::<f64>() / before.len() as f64).collect()
    }

    /// By how much the error at past clusters has risen since their own stage, for each seed.
    pub fn forgetting(&self) -> Vec<f64> {
        let stages = self.errors.len();
        let rise = |seed: usize| {
            let each = (0..stages - 1).map(|k| self.errors[stages - 1][k][seed] - self.errors[k][k][seed]);
            each.sum::<f64>() / (stages - 1).max(1) as f64
        };
        (0..self.clusters.len()).map(rise).collect()
    }

    /// Mean and standard error over seeds of the error at cluster k after stage s.
    pub fn at(&self, stage: usize, k: usize) -> Summary {
        Summary::of(&self.errors[stage][k])
    }
}

/// All learners on all streams; the first curve, "floor", knows every cluster's mean and which cluster a task is from.
#[derive(Debug, Clone)]
pub struct Course {
    /// One for each learner, after the floor.
    pub curves: Vec<Curve>,
}

/// Runs the learners over the streams. The same for any number of threads. Errors of the settings, `Error::UnknownName` of a learner.
pub fn course(settings: &StreamSettings) -> Result<Course> {
    use crate::settings::Section;
    settings.check()?;
    let all: Vec<&str> = super::LEARNERS.iter().map(|l| l.0).collect();
    let asked: Vec<&str> = settings.learners.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
    let names = if asked.is_empty() { all } else { asked };
    let model = TaskModel::spherical(settings.dim, settings.noise, settings.within, settings.between);
    names.iter().try_for_each(|n| learner(n, &model, settings.alpha).map(drop))?;
    // [seed][learner] → errors[stage][cluster], clusters
    type One = (Vec<Vec<f64>>, Option<usize>);
    let run = |seed: u64| -> Result<Vec<One>> {
        let stream = Stream::new(settings, seed)?;
        let model = &stream.model;
        let stages: Vec<Vec<Task>> = (0..settings.clusters).map(|k| stream.stage(k)).collect();
        let floor: Vec<f64> = (0..settings.clusters)
            .map(|k| {
                let p = model.dim();
                let law = Gaussian { mean: stream.means.row(k).to_vec(), covariance: Matrix::zeros(p, p) };
                stream.judge(k, |support, x| model.predicted(&law, support, x))
            })
            .collect::<Result<_>>()?;
        let mut out: Vec<One> = vec![((0..settings.clusters).map(|s| floor[..=s].to_vec()).collect(), None)];
        for name in &names {
            let mut learner = learner(name, model, settings.alpha)?;
            let mut errors = Vec::new();
            for (s, tasks) in stages.iter().enumerate() {
                tasks.iter().try_for_each(|t| learner.observe(t))?;
                learner.settle()?;
                let judged = (0..=s).map(|k| stream.judge(k, |support, x| learner.predict(support, x)));
                errors.push(judged.collect::<Result<Vec<f64>>>()?);
            }
            out.push((errors, learner.clusters()));
        }
        Ok(out)
    };
    let seeds: Vec<Vec<One>> = (0..settings.seeds as u64).into_par_iter().map(run).collect::<Result<_>>()?;
    let curve = |(j, name): (usize, &str)| Curve {
        name: name.into(),
        errors: (0..settings.clusters)
            .map(|s| (0..=s).map(|k| seeds.iter().map(|one| one[j].0[s][k]).collect()).collect())
            .collect(),
        clusters: seeds.iter().map(|one| one[j].1).collect(),
    };
    let curves: Vec<Curve> = std::iter::once("floor").chain(names.iter().copied()).enumerate().map(curve).collect();
    if let Some(bad) = curves.iter().find(|c| c.errors.iter().flatten().flatten().any(|e| !e.is_finite())) {
        let what = format!("the learner {}: its predictions are not finite", bad.name);
        return Err(Error::Unsupported { what, remedy: "give smaller numbers" });
    }
    Ok(Course { curves })
}
