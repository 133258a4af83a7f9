//! Methods × divergences × seeds on one target: the same judge for all, and how coverage grows during training.

mod measure;
mod outcome;
pub mod table;

pub use measure::{Ruler, Settled};
pub use outcome::{COLUMNS, Cell, Column, Comparison, Floors, Part, Point, Spread, Trial};

use crate::config::{self, Config};
use crate::failure::Outcome;
use crate::interrupt;
use crate::method::{self, Method};
use crate::progress::Progress;
use crate::target::Target;
use crate::training::Job;
use pushforward::Error;
use pushforward::divergence::{self, Divergence};
use pushforward::linalg::Matrix;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A method of training as a comparison knows it.
pub struct Entry {
    /// Name on the command line.
    pub name: &'static str,
    /// What it adds to the configuration of a run.
    pub settings: &'static [&'static str],
    /// What its runs differ in.
    pub by: By,
}

/// All methods; a further one is one more entry.
pub const METHODS: &[Entry] = &[
    Entry { name: "kde", settings: &[], by: By::Divergence },
    Entry { name: "flow", settings: &["method=flow"], by: By::Divergence },
    Entry { name: "flow-lv", settings: &["method=flow-lv"], by: By::Reference },
];

/// What the runs of a method differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The divergences of the plan.
    Divergence,
    /// The references of the plan, for the log-variance divergence.
    Reference,
}

/// What is compared.
pub struct Plan {
    /// The target.
    pub target: Target,
    /// The methods.
    pub methods: Vec<&'static Entry>,
    /// The divergences.
    pub divergences: Vec<Arc<dyn Divergence>>,
    /// References of the log-variance divergence, for methods that follow it.
    pub references: Vec<String>,
    /// Seeds 0, 1, …, `seeds` - 1.
    pub seeds: u64,
    /// Steps of every run; each method's own choice where absent.
    pub steps: Option<u64>,
    /// `key=value` for the configuration of every run.
    pub settings: Vec<String>,
}

impl Plan {
    /// Whether every run of the plan can start.
    pub fn check(&self) -> Outcome<()> {
        jobs(self).map(drop)
    }
}

/// Moments at which coverage is measured; denser at the start, where most happens.
const MOMENTS: u64 = 40;

/// Runs the plan. After Ctrl-C it holds the runs that were complete.
pub fn compare(plan: &Plan, ruler: &Ruler) -> Outcome<Comparison> {
    let jobs = jobs(plan)?;
    let total = jobs.iter().flatten().map(|job| job.settings.steps).sum();
    let progress = Progress::new(total, "steps");
    let (mut cells, mut done) = (Vec::new(), 0);
    for ((method, by), jobs) in kinds(plan).iter().zip(&jobs) {
        let mut cell = Cell { method: method.name, divergence: by.label(), trials: Vec::new() };
        for job in jobs {
            progress.words(&format!("{}, {}, seed {}", cell.method, cell.divergence, job.settings.seed));
            match trial(job, ruler, &mut |step| progress.at(done + step))? {
                Some(trial) => cell.trials.push(trial),
                None => break,
            }
            done += job.settings.steps;
        }
        if !cell.trials.is_empty() {
            cells.push(cell);
        }
        if interrupt::requested() {
            break;
        }
    }
    Ok(Comparison { cells, floors: ruler.floors(), interrupted: interrupt::requested() })
}

/// What a cell is trained by.
enum Objective {
    Divergence(Arc<dyn Divergence>),
    Reference(String),
}

impl Objective {
    fn label(&self) -> String {
        match self {
            Objective::Divergence(d) => d.name().into(),
            Objective::Reference(r) => format!("log-variance, {r}"),
        }
    }
}

/// The cells of a plan, in order.
fn kinds(plan: &Plan) -> Vec<(&'static Entry, Objective)> {
    let of = |entry: &&'static Entry| -> Vec<(&'static Entry, Objective)> {
        let entry = *entry;
        match entry.by {
            By::Divergence => plan.divergences.iter().map(|d| (entry, Objective::Divergence(Arc::clone(d)))).collect(),
            By::Reference => plan.references.iter().map(|r| (entry, Objective::Reference(r.clone()))).collect(),
        }
    };
    plan.methods.iter().flat_map(of).collect()
}

/// One list of jobs, one a seed, for each cell: everything that can be wrong with them is found before the first step.
fn jobs(plan: &Plan) -> Outcome<Vec<Vec<Job>>> {
    let seeds = |(entry, by): &(&'static Entry, Objective)| (0..plan.seeds).map(|s| job(plan, entry, by, s)).collect();
    kinds(plan).iter().map(seeds).collect()
}

fn job(plan: &Plan, entry: &Entry, by: &Objective, seed: u64) -> Outcome<Job> {
    let whole = |n: u64| toml::Value::Integer(n.min(i64::MAX as u64) as i64);
    let word = |w: &str| toml::Value::String(w.into());
    let mut flags = toml::Table::new();
    flags.insert("target".into(), plan.target.definition.clone());
    flags.insert("seed".into(), whole(seed));
    let divergence = match by {
        Objective::Divergence(d) => Arc::clone(d),
        Objective::Reference(_) => divergence::by_name("reverse-kl")?,
    };
    flags.insert("divergence".into(), word(divergence.name()));
    if let Objective::Reference(reference) = by {
        flags.insert("lv_reference".into(), word(reference));
    }
    if let Some(steps) = plan.steps {
        flags.insert("steps".into(), whole(steps));
    }
    let settings = entry.settings.iter().map(|s| s.to_string()).chain(plan.settings.iter().cloned());
    let config: Config = config::merge(None, flags, &settings.collect::<Vec<_>>())?;
    let settings = config.settings(&*plan.target.density)?;
    Ok(Job { target: plan.target.clone(), divergence, config, settings })
}

/// One training, judged; None after Ctrl-C. A run that the method gives up (the target is not finite, it diverges) is kept with the reason.
fn trial(job: &Job, ruler: &Ruler, at: &mut dyn FnMut(u64)) -> Outcome<Option<Trial>> {
    let seed = job.settings.seed;
    let mut spent = Duration::ZERO;
    let mut start = Instant::now();
    let mut method = method::start(job, None)?;
    let mut moments = moments(job.settings.steps).into_iter().peekable();
    let mut transient = Vec::new();
    let mut failure = None;
    loop {
        if moments.next_if_eq(&method.steps_taken()).is_some() {
            spent += start.elapsed();
            let samples = method.sample(ruler.transient_size(), seed, 1);
            transient.push(Point { step: method.steps_taken(), figures: ruler.transient(&samples) });
            start = Instant::now();
        }
        if method.is_finished() {
            break;
        }
        if interrupt::requested() {
            return Ok(None);
        }
        match method.step() {
            Ok(_) => at(method.steps_taken()),
            Err(error @ (Error::TooManyFaults { .. } | Error::Diverged { .. })) => {
                failure = Some(error.to_string());
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let seconds = (spent + start.elapsed()).as_secs_f64();
    let samples = method.sample(ruler.final_size(), seed, 0);
    if failure.is_none() && !samples.is_finite() {
        failure = Some("its samples are not finite".into());
    }
    let metrics = if failure.is_none() { judged(&*method, ruler, &samples, seed)? } else { Vec::new() };
    Ok(Some(Trial { seed, steps: method.steps_taken(), seconds, failure, metrics, transient }))
}

/// The metrics of final samples, and the certificate's figures where the model has a density.
fn judged(method: &dyn Method, ruler: &Ruler, samples: &Matrix, seed: u64) -> Outcome<Vec<(&'static str, f64)>> {
    let mut metrics = ruler.judge(samples)?;
    if let Some(density) = method.model().density() {
        metrics.extend(ruler.certify(density, samples, seed)?);
    }
    Ok(metrics)
}

/// Steps 0 = k_0 < k_1 < … = `total`, about (i/40)^1.5 total.
fn moments(total: u64) -> Vec<u64> {
    let mut all: Vec<u64> =
        (0..=MOMENTS).map(|i| (total as f64 * (i as f64 / MOMENTS as f64).powf(1.5)).round() as u64).collect();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that the moments rise, start at 0 and end at the last step, for any number of steps.
    #[test]
    fn moments_cover_the_run() {
        for total in [1, 2, 7, 40, 1_000, 123_456] {
            let all = moments(total);
            assert!(all[0] == 0 && all[all.len() - 1] == total && all.is_sorted_by(|a, b| a < b), "{all:?}");
        }
    }
}
