//! Methods × divergences × seeds on one target: the same judge for all, and how coverage grows during training.

mod budget;
mod measure;
mod outcome;
pub mod table;

pub use measure::{Ruler, Settled};
pub use outcome::{COLUMNS, Cell, Column, Comparison, Floors, Part, Point, Spread, Trial};
use pushforward::num::powf;

use crate::config;
use crate::failure::Outcome;
use crate::memory;
use crate::model::Model;
use crate::progress::Progress;
use crate::signal;
use crate::target::Target;
use crate::training::Job;
use pushforward::Error;
use pushforward::density::{BlackBox, Density};
use pushforward::divergence::Divergence;
use pushforward::linalg::Matrix;
use pushforward::model::Particles;
use pushforward::run::{Method, PRESETS, Run};
use pushforward::velocity::all_velocities;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A method as a comparison knows it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name on the command line.
    pub name: String,
    /// Whether the name is that of a velocity, which particles follow.
    pub is_velocity: bool,
    /// Names of its settings, alone and with their sections.
    pub settings: Vec<String>,
    /// What its runs differ in.
    pub by: By,
}

/// The method `name`: any preset, or particles that follow the velocity of that name.
pub fn method(name: &str, target: &Target) -> Outcome<Entry> {
    let presets = PRESETS.iter().map(|p| p.name);
    let is_velocity = !presets.clone().any(|known| known == name);
    let velocities = all_velocities();
    if target.samples.is_none() && target.density.mixture().is_none() {
        memory::enough_for_search(target.density.dim())?;
    }
    let preset = match velocities.iter().find(|v| v.name() == name) {
        _ if !is_velocity => Method::preset(name, &target.law())?,
        Some(velocity) => Method::of("particles", name, velocity.estimator(), &target.law())?,
        None => {
            let known: Vec<&str> = presets.chain(velocities.iter().map(|v| v.name())).collect();
            return Err(Error::unknown_name("method", name, &known).into());
        }
    };
    let by = match (preset.velocity.get("divergence"), preset.velocity.get("reference")) {
        (Some(_), _) => By::Divergence,
        (None, Some(_)) => By::Reference,
        (None, None) => By::Nothing,
    };
    let keys = preset.sections().into_iter().flat_map(|s| s.keys().iter().map(|k| (s.part(), k.name)));
    let settings = keys.flat_map(|(part, key)| [key.to_string(), format!("{part}.{key}")]).collect();
    Ok(Entry { settings, name: name.into(), is_velocity, by })
}

/// What the runs of a method differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The divergences of the plan.
    Divergence,
    /// The references of the plan, for the log-variance divergence.
    Reference,
    /// Nothing: the method has one velocity.
    Nothing,
}

/// What is compared.
pub struct Plan {
    /// The target.
    pub target: Target,
    /// The methods.
    pub methods: Vec<Entry>,
    /// The divergences; each method's own where empty.
    pub divergences: Vec<Arc<dyn Divergence>>,
    /// References of the log-variance divergence, for methods that follow it.
    pub references: Vec<String>,
    /// Seeds 0, 1, …, `seeds` - 1.
    pub seeds: u64,
    /// Steps of every run; each method's own choice where absent.
    pub steps: Option<u64>,
    /// Evaluations of the target, by search and training, that each run may spend; every method then knows the target by its values alone.
    pub budget: Option<u64>,
    /// `key=value` for the configuration of every run.
    pub settings: Vec<String>,
}

impl Plan {
    /// Whether every run of the plan can start.
    pub fn check(&self) -> Outcome<()> {
        for ((method, _), jobs) in kinds(self).iter().zip(jobs(self)?) {
            jobs.into_iter().take(1).try_for_each(|job| {
                job.fits_memory()?;
                self.fitted(job, &method.name).map(drop)
            })?;
        }
        Ok(())
    }

    /// The job as its budget allows it.
    fn fitted(&self, job: Job, name: &str) -> Outcome<Job> {
        match self.budget {
            Some(budget) => budget::fit(job, name, budget),
            None => Ok(job),
        }
    }

    /// The target as the methods see it: with a budget by its values alone, so that closed forms save nobody an evaluation.
    pub fn seen(target: &Target, budget: Option<u64>) -> Target {
        let hidden = |p: &Arc<dyn Density>| Arc::new(BlackBox(Arc::clone(p))) as Arc<dyn Density>;
        match budget {
            Some(_) if target.samples.is_none() => Target { density: hidden(&target.density), ..target.clone() },
            _ => target.clone(),
        }
    }
}

/// Moments at which coverage is measured; denser at the start, where most happens.
const MOMENTS: u64 = 40;

/// Runs the plan. After Ctrl-C it holds the runs that were complete.
pub fn compare(plan: &Plan, ruler: &Ruler) -> Outcome<Comparison> {
    let jobs = jobs(plan)?;
    let steps = jobs.iter().flatten().map(|job| plan.budget.unwrap_or(job.steps()));
    let progress =
        Progress::new(steps.fold(0, u64::saturating_add), if plan.budget.is_some() { "evaluations" } else { "steps" });
    let (mut cells, mut done) = (Vec::new(), 0);
    for ((method, by), jobs) in kinds(plan).iter().zip(jobs) {
        let mut cell = Cell { method: method.name.clone(), divergence: by.label(), trials: Vec::new() };
        for job in jobs {
            progress.words(&format!("{}, {}, seed {}", cell.method, cell.divergence, job.seed()));
            let job = plan.fitted(job, &method.name)?;
            let at = |run: &Run| match plan.budget {
                Some(_) => run.counts().all().total(),
                None => run.clock().step,
            };
            match trial(&job, ruler, plan.budget, &mut |run| progress.at(at(run).saturating_add(done)))? {
                Some(trial) => cell.trials.push(trial),
                None => break,
            }
            done = plan.budget.unwrap_or(job.steps()).saturating_add(done);
        }
        if !cell.trials.is_empty() {
            cells.push(cell);
        }
        if signal::requested() {
            break;
        }
    }
    Ok(Comparison { cells, floors: ruler.floors(), interrupted: signal::requested() })
}

/// What a cell is trained by.
enum Objective {
    Divergence(Arc<dyn Divergence>),
    Reference(String),
    Nothing,
}

impl Objective {
    fn label(&self) -> String {
        match self {
            Objective::Divergence(d) => d.name().into(),
            Objective::Reference(r) => format!("log-variance, {r}"),
            Objective::Nothing => "–".into(),
        }
    }
}

/// The cells of a plan, in order.
fn kinds(plan: &Plan) -> Vec<(&Entry, Objective)> {
    let of = |entry| -> Vec<(&Entry, Objective)> {
        let entry: &Entry = entry;
        match entry.by {
            By::Divergence if plan.divergences.is_empty() => vec![(entry, Objective::Nothing)],
            By::Divergence => plan.divergences.iter().map(|d| (entry, Objective::Divergence(Arc::clone(d)))).collect(),
            By::Reference => plan.references.iter().map(|r| (entry, Objective::Reference(r.clone()))).collect(),
            By::Nothing => vec![(entry, Objective::Nothing)],
        }
    };
    plan.methods.iter().flat_map(of).collect()
}

/// One list of jobs, one a seed, for each cell: everything that can be wrong with them is found before the first step.
fn jobs(plan: &Plan) -> Outcome<Vec<Vec<Job>>> {
    let seeds = |(entry, by): &(&Entry, Objective)| (0..plan.seeds).map(|s| job(plan, entry, by, s)).collect();
    kinds(plan).iter().map(seeds).collect()
}

fn job(plan: &Plan, entry: &Entry, by: &Objective, seed: u64) -> Outcome<Job> {
    let whole = |n: u64| toml::Value::Integer(n.min(i64::MAX as u64) as i64);
    let word = |w: &str| toml::Value::String(w.into());
    let mut flags = toml::Table::new();
    flags.insert("target".into(), plan.target.definition.clone());
    if entry.is_velocity {
        flags.insert("method".into(), word("particles"));
        flags.insert("velocity.kind".into(), word(&entry.name));
    } else {
        flags.insert("method".into(), word(&entry.name));
    }
    flags.insert("run.seed".into(), whole(seed));
    match by {
        Objective::Divergence(d) => drop(flags.insert("velocity.divergence".into(), word(d.name()))),
        Objective::Reference(reference) => drop(flags.insert("velocity.reference".into(), word(reference))),
        Objective::Nothing => {}
    }
    if let Some(steps) = plan.steps {
        flags.insert("run.steps".into(), whole(steps));
    }
    // a setting concerns the methods that have it; one that none has is refused where the plan is made
    let name = |setting: &String| setting.split('=').next().unwrap_or_default().trim().to_string();
    let concerns = |setting: &&String| {
        let elsewhere = plan.methods.iter().any(|m| m.settings.iter().any(|k| *k == name(setting)));
        entry.settings.contains(&name(setting)) || !elsewhere
    };
    let settings: Vec<String> = plan.settings.iter().filter(concerns).cloned().collect();
    let config = config::merge(None, flags, &settings)?;
    Job::new(Plan::seen(&plan.target, plan.budget), config)
}

/// One training, judged; None after Ctrl-C. A run that the method gives up (the target is not finite, it diverges) is kept with the reason.
fn trial(job: &Job, ruler: &Ruler, budget: Option<u64>, at: &mut dyn FnMut(&Run)) -> Outcome<Option<Trial>> {
    let seed = job.seed();
    let mut spent = Duration::ZERO;
    let mut start = Instant::now();
    let mut run = job.begin(None)?;
    let mut moments = moments(job.steps()).into_iter().peekable();
    let mut transient = Vec::new();
    let mut failure = None;
    let (mut calls, mut last) = (run.counts().all().total(), 0);
    loop {
        // the next step may cost what the last one did
        let ends = run.is_finished() || budget.is_some_and(|all| calls + last > all);
        if moments.next_if(|k| ends || *k == run.clock().step).is_some() {
            spent += start.elapsed();
            let samples = sample(&run, ruler.transient_size(), seed, 1);
            transient.push(Point { step: run.clock().step, calls, figures: ruler.transient(&samples) });
            start = Instant::now();
        }
        if ends {
            break;
        }
        if signal::requested() {
            return Ok(None);
        }
        match run.step() {
            Ok(_) => {
                at(&run);
                let before = std::mem::replace(&mut calls, run.counts().all().total());
                last = calls - before;
            }
            Err(error @ (Error::TooManyFaults { .. } | Error::Diverged { .. })) => {
                failure = Some(job.target.coordinates.in_own(error).to_string());
                break;
            }
            Err(error) => return Err(job.target.coordinates.in_own(error).into()),
        }
    }
    let seconds = (spent + start.elapsed()).as_secs_f64();
    let samples = sample(&run, ruler.final_size(), seed, 0);
    if failure.is_none() && !samples.is_finite() {
        failure = Some("its samples are not finite".into());
    }
    let (metrics, virial) = match failure {
        None => (judged(&run, ruler, &samples, seed)?, ruler.virial(&samples)),
        Some(_) => (Vec::new(), None),
    };
    Ok(Some(Trial {
        seed,
        steps: run.clock().step,
        seconds,
        counts: run.counts(),
        failure,
        metrics,
        virial,
        transient,
    }))
}

/// n samples of a run; of more particles than that, which stand in the order of their ancestors, some from everywhere.
fn sample(run: &Run, n: usize, seed: u64, block: u64) -> Matrix {
    match run.model_as::<Particles>().map(Particles::points) {
        Some(x) if x.rows() > n => x.gather_rows(&(0..n).map(|i| i * x.rows() / n).collect::<Vec<_>>()),
        Some(x) => x.clone(),
        None => run.sample(n, seed, block),
    }
}

/// The metrics of final samples, and the certificate's figures where the model has a density.
fn judged(run: &Run, ruler: &Ruler, samples: &Matrix, seed: u64) -> Outcome<Vec<(&'static str, f64)>> {
    let mut metrics = ruler.judge(samples)?;
    metrics.extend(ruler.certify(&Model::of(run), samples, seed)?);
    Ok(metrics)
}

/// Steps 0 = k_0 < k_1 < … = `total`, about (i/40)^1.5 total.
fn moments(total: u64) -> Vec<u64> {
    let mut all: Vec<u64> =
        (0..=MOMENTS).map(|i| (total as f64 * powf(i as f64 / MOMENTS as f64, 1.5)).round() as u64).collect();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the moments rise, start at 0 and end at the last step, for any number of steps.
    #[test]
    fn moments_cover_the_run() {
        for total in [1, 2, 7, 40, 1_000, 123_456] {
            let all = moments(total);
            assert!(all[0] == 0 && all[all.len() - 1] == total && all.is_sorted_by(|a, b| a < b), "{all:?}");
        }
    }
}
