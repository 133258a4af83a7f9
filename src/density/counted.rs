//! A density whose evaluations are counted: the one place where a run counts.

use crate::density::{Density, Target};
use crate::linalg::Matrix;
use std::ops::{Add, AddAssign};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What an evaluation was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Finding the target: its units, the start of a model.
    Search,
    /// What the velocity asked for, at every stage of every step, also of those that were left out.
    Training,
    /// The certificate of the model.
    Certificate,
    /// Judging samples.
    Other,
}

impl Phase {
    /// All, in the order of [`Counts`].
    pub const ALL: [Phase; 4] = [Phase::Search, Phase::Training, Phase::Certificate, Phase::Other];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Search => "search",
            Phase::Training => "training",
            Phase::Certificate => "certificate",
            Phase::Other => "other",
        }
    }
}

/// Points at which a target was evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// log p~ alone.
    pub log_density: u64,
    /// ∇ log p~, which log p~ comes with.
    pub score: u64,
}

impl Count {
    /// All points: log_density + score.
    pub fn total(self) -> u64 {
        self.log_density + self.score
    }
}

impl Add for Count {
    type Output = Self;
    fn add(self, more: Self) -> Self {
        Self { log_density: self.log_density + more.log_density, score: self.score + more.score }
    }
}

/// The [`Count`] of each phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([Count; 4]);

impl Counts {
    /// That of one phase.
    pub fn of(&self, phase: Phase) -> Count {
        self.0[phase as usize]
    }

    /// Adds to one phase.
    pub fn add(&mut self, phase: Phase, count: Count) {
        self.0[phase as usize] = self.of(phase) + count;
    }

    /// That of all phases together.
    pub fn all(&self) -> Count {
        self.0.into_iter().fold(Count::default(), Add::add)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        Phase::ALL.into_iter().for_each(|phase| self.add(phase, more.of(phase)));
    }
}

/// Counts for several densities at once, from any number of threads; sums of whole numbers do not depend on their order.
#[derive(Debug, Default)]
pub struct Counter([[AtomicU64; 2]; 4]);

impl Counter {
    /// One that begins at `counts`.
    pub fn from(counts: Counts) -> Self {
        let out = Self::default();
        out.set(counts);
        out
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let read = |[log_density, score]: &[AtomicU64; 2]| Count {
            log_density: log_density.load(Relaxed),
            score: score.load(Relaxed),
        };
        Counts([read(&self.0[0]), read(&self.0[1]), read(&self.0[2]), read(&self.0[3])])
    }

    /// Takes on `counts`.
    pub(crate) fn set(&self, counts: Counts) {
        for (cells, count) in self.0.iter().zip(counts.0) {
            cells[0].store(count.log_density, Relaxed);
            cells[1].store(count.score, Relaxed);
        }
    }
}

/// A density that counts the points at which it is evaluated; otherwise the inner one to the last bit.
///
/// A batch counts before it is evaluated, so a batch that fails counts too. Closed forms of its blur ([`Density::smoothed`]) count as
/// evaluations of the density itself; exact samples, the normaliser and the components of a mixture do not count.
#[derive(Clone)]
pub struct Counted {
    inner: Arc<dyn Density>,
    counter: Arc<Counter>,
    phase: Phase,
}

impl Counted {
    /// `inner`, counted under `phase`.
    pub fn new(inner: Arc<dyn Density>, counter: &Arc<Counter>, phase: Phase) -> Self {
        Self { inner, counter: Arc::clone(counter), phase }
    }

    fn count(&self, kind: usize, x: &Matrix) {
        self.counter.0[self.phase as usize][kind].fetch_add(x.rows() as u64, Relaxed);
    }
}

impl Density for Counted {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn wrapped(&self) -> Option<&dyn Density> {
        Some(&*self.inner)
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.count(0, x);
        self.inner.log_density_into(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.count(1, x);
        self.inner.evaluate_into(x, log_density, score);
    }

    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        let inner = self.inner.smoothed(bandwidth)?;
        Some(Arc::new(Self { inner, ..self.clone() }))
    }
}

impl Target {
    /// The same target with every density counted under `phase`.
    pub fn counted(&self, counter: &Arc<Counter>, phase: Phase) -> Self {
        let one = |p: &Arc<dyn Density>| Arc::new(Counted::new(Arc::clone(p), counter, phase)) as Arc<dyn Density>;
        Self { densities: self.densities.iter().map(one).collect(), ..self.clone() }
    }
}
