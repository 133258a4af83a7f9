//! What a run leaves: the files of its folder, and the report, which can be made again from them.

mod course;
mod curves;
mod page;
mod reopened;
mod second_order;

pub use course::Course;
pub use reopened::{Left, Reopened};

use crate::certified::{self, Certified};
use crate::conditions::Table;
use crate::curves::Curves;
use crate::evaluations;
use crate::failure::{Failure, Outcome};
use crate::files::json as json_text;
use crate::files::safetensors::{self, Metadata};
use crate::files::samples::SampleWriter;
use crate::forecast;
use crate::model::{self, Model};
use crate::opened;
use crate::report::{Frame, Record, html, number};
use crate::run_folder::RunFolder;
use crate::saved::tensor;
use crate::summary::{Choice, Summary};
use crate::training::{Ending, Job, Snapshot};
use crate::verdict::Verdict;
use crate::words;
use pushforward::density::{Counted, Counter, Counts, Density, Domain, Phase};
use pushforward::linalg::Matrix;
use pushforward::metric::{Options, Report, Virial, evaluate};
use second_order::Certified as SecondOrder;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Samples in samples.npy.
pub const SAMPLES: usize = 10_000;

/// Rows of the posterior that the terminal shows at the end of a training.
const ROWS: usize = 20;

/// The text of config.toml: every choice written out. Units are named where they were given: a search that is repeated finds the same.
pub fn config_text(job: &Job) -> String {
    job.config.text(&job.method, job.method.frame.as_ref())
}

/// The configuration of a run as JSON, as checkpoints and models carry it.
pub fn config_json(job: &Job) -> String {
    job.config.json(&job.method, job.method.frame.as_ref())
}

/// Whether the folder holds a run that took all its steps.
pub fn is_complete(folder: &Path) -> bool {
    let text = crate::files::read_text(&folder.join("summary.json"), opened::MAX_SUMMARY).unwrap_or_default();
    json_text::parse(&text).is_ok_and(|v| v["ending"] == "complete")
}

/// What a training left, as far as its report shows it.
pub struct Trained {
    /// What was learnt.
    pub model: Model,
    /// The curves, as metrics.jsonl has them.
    pub curves: Curves,
    /// The pictures.
    pub frames: Vec<Frame>,
    /// How it went.
    pub course: Course,
    /// The text of config.toml.
    pub config: String,
}

impl Trained {
    /// By this process.
    pub fn of(run: &Snapshot, ending: &Ending, job: &Job) -> Self {
        let (model, frames) = (run.model.clone(), run.frames.clone());
        let config = config_text(job);
        Self { model, frames, config, curves: curves::written(&run.curves), course: Course::of(run, ending) }
    }
}

/// The final samples and everything that is said about them.
pub struct Finals<'a> {
    trained: Trained,
    job: &'a Job,
    samples: Matrix,
    report: Report,
    /// Where the model has a density.
    certified: Option<Certified>,
    /// Of particles that follow one density.
    virial: Option<Virial>,
    /// Of particles that go down a functional with a Hessian.
    second_order: Option<SecondOrder>,
    /// Of a flow on a family with conditions.
    conditions: Option<Table>,
    /// In the user's coordinates.
    posterior: Summary,
    /// Evaluations of the target by the run, its certificate and its metrics; those of the pictures are left out.
    counts: Counts,
}

/// Draws the final samples and judges them: the slow part, before anything is written.
pub fn judge(trained: Trained, job: &Job) -> Outcome<Finals<'_>> {
    let samples = trained.model.sample(SAMPLES, job.seed(), 0);
    if !samples.is_finite() {
        return Err(Failure::Failed(
            "the trained sampler's samples are not finite; lower learning_rate; none were written".into(),
        ));
    }
    // One size of exact W2, the one that is published for gmm40, and fewer pairs than `evaluate`: seconds count here.
    let options = Options { seed: job.seed(), transport_sizes: vec![1_000], pair_size: 2_000, ..Options::default() };
    forecast::of_figures(&*job.target.density, SAMPLES, &options);
    let counter = Arc::new(Counter::from(trained.course.counts));
    let counted = |phase| Counted::new(job.target.judged(), &counter, phase);
    let report = evaluate(&counted(Phase::Other), &samples, &options);
    let report = report.map_err(|e| job.target.coordinates.in_own(e))?;
    let certificate: Arc<dyn Density> = Arc::new(counted(Phase::Certificate));
    let certified = Certified::of(&certificate, &trained.model, &samples, job.seed());
    let certified = certified.map_err(|e| job.target.coordinates.in_own(e))?;
    let virial = match (&trained.model, &job.target.law()) {
        (Model::Particles(..), law) if law.densities.len() == 1 && matches!(law.domain, Domain::Euclidean) => {
            Virial::of(&counted(Phase::Other), &samples)
        }
        _ => None,
    };
    let second_order = SecondOrder::of(job, &trained.model)?;
    let conditions = Table::of(&job.target, &trained.model, job.seed())?;
    let verdict = Verdict::of(&report, certified.as_ref(), virial.as_ref());
    let own = job.target.coordinates.constrain(samples.clone())?;
    let search = trained.model.search();
    let posterior = Summary::of_run(job.target.coordinates.names(), &own, certified.as_ref(), &verdict, search);
    let counts = counter.counts();
    Ok(Finals { trained, job, samples, report, certified, virial, second_order, conditions, posterior, counts })
}

impl Finals<'_> {
    /// Writes all files of the run; summary.json, which says that it is complete, last.
    pub fn write(&self, run: &Snapshot, folder: &RunFolder) -> Outcome<()> {
        let job = self.job;
        write_model(run, job, folder)?;
        write_curves(run, folder)?;
        write_samples(job, folder, "samples.npy", &self.samples)?;
        write_pictures(&self.trained.frames, &folder.file(PICTURES))?;
        let usable = self.posterior.choice.as_ref().is_some_and(|(choice, _)| *choice != Choice::Neither);
        let certified = self.certified.as_ref().filter(|_| usable);
        if let Some(resampled) = certified.and_then(|c| c.resampled(&self.samples, job.seed())) {
            write_samples(job, folder, "resampled.npy", &resampled)?;
        }
        folder.write("report.html", self.page(&[])?.as_bytes())?;
        write_summary(&self.trained, job, Some(self), folder)
    }

    /// report.html, with diagrams of the parameters in `shown`.
    pub fn page(&self, shown: &[String]) -> Outcome<String> {
        Ok(html(&Record { chosen: self.chosen(shown)?, ..page::record(self) }))
    }

    /// Names and columns of the parameters in `shown`, of the file that is to be used.
    fn chosen(&self, shown: &[String]) -> Outcome<Option<(Vec<String>, Matrix)>> {
        if shown.is_empty() {
            return Ok(None);
        }
        let columns = self.posterior.columns(shown)?;
        let weighted = matches!(self.posterior.choice, Some((Choice::Resampled, _)));
        let resampled =
            self.certified.as_ref().filter(|_| weighted).and_then(|c| c.resampled(&self.samples, self.job.seed()));
        let own = self.job.target.coordinates.constrain(resampled.unwrap_or_else(|| self.samples.clone()))?;
        let names = columns.iter().map(|&j| self.posterior.names()[j].clone()).collect();
        Ok(Some((names, Matrix::from_fn(own.rows(), columns.len(), |i, k| own[(i, columns[k])]))))
    }

    /// log p~ - log q at the samples, where the model has a density.
    pub fn log_weights(&self) -> Option<&[f64]> {
        self.certified.as_ref().map(Certified::log_weights)
    }

    /// What the figures say of the samples.
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.report, self.certified.as_ref(), self.virial.as_ref())
    }

    /// What the terminal says: how it went, and the metrics.
    pub fn words(&self) -> String {
        let certificate = self.certified.as_ref().map_or(String::new(), |c| format!("\n{}\n", c.text()));
        let figures = self.job.target.coordinates.of_density();
        let coordinates = figures.map_or(String::new(), |what| format!("; figures are in {what}"));
        let conditions = self.conditions.as_ref().map_or(String::new(), |t| format!("\n{}", t.text()));
        let second_order = self.second_order.as_ref().map_or(String::new(), |s| format!("\n{}", s.text()));
        let posterior = self.posterior.text(ROWS);
        let search = match &self.trained.model {
            Model::Particles(_, Some(search)) => {
                let (log_z, error) = (number(search.log_z, 4), number(search.log_z_error, 2));
                let said = search.disagreement.as_ref().map_or(String::new(), |d| format!("\n{d}"));
                format!("\nlog Z = {log_z} ± {error}, by the search{said}")
            }
            _ => String::new(),
        };
        let counts = evaluations::sentence(&self.counts) + &search;
        let (outcome, table) = (self.outcome(), words::table(&self.report));
        format!("{outcome}{coordinates}\n{counts}\n\n{table}{certificate}{second_order}{conditions}\n{posterior}")
    }

    /// How it went, in a sentence.
    fn outcome(&self) -> String {
        let Trained { model, course, .. } = &self.trained;
        course.sentence(self.job, model.precision(), model.size())
    }
}

/// Writes what a run that stopped leaves beside its checkpoint: the model so far, the curves, the summary.
pub fn write_stopped(run: &Snapshot, ending: &Ending, job: &Job, folder: &RunFolder) -> Outcome<()> {
    write_model(run, job, folder)?;
    write_curves(run, folder)?;
    write_summary(&Trained::of(run, ending, job), job, None, folder)
}

/// config.toml and model.safetensors.
fn write_model(run: &Snapshot, job: &Job, folder: &RunFolder) -> Outcome<()> {
    folder.write("config.toml", config_text(job).as_bytes())?;
    model::save(&folder.file("model.safetensors"), &run.model, &config_json(job))
}

/// metrics.jsonl.
pub fn write_curves(run: &Snapshot, folder: &RunFolder) -> Outcome<()> {
    folder.write("metrics.jsonl", curves::text(&run.curves).as_bytes())
}

/// The pictures of the training, which nothing else in the folder of a complete run holds.
pub const PICTURES: &str = "pictures.safetensors";

fn write_pictures(frames: &[Frame], path: &Path) -> Outcome<()> {
    let tensors = frames.iter().map(|f| (format!("picture.{}", f.step), tensor(&f.samples))).collect();
    safetensors::write(path, &tensors, &Metadata::new())
}

/// summary.json.
fn write_summary(trained: &Trained, job: &Job, finals: Option<&Finals>, folder: &RunFolder) -> Outcome<()> {
    let mut summary = summary(trained, job, finals);
    summary["files"] = opened::prints(folder.path())?;
    folder.write("summary.json", json_text::text(&summary).as_bytes())
}

/// The content of summary.json.
fn summary(trained: &Trained, job: &Job, finals: Option<&Finals>) -> Value {
    let report = finals.map(|f| &f.report);
    let course = &trained.course;
    let mut out = json!({
        "version": 2,
        "pushforward": env!("CARGO_PKG_VERSION"),
        "target": job.target.name,
        "dim": job.target.density.dim(),
        "method": job.method.name,
        "model": job.method.model.name(),
        "velocity": job.method.velocity.name(),
        "estimator": job.method.velocity.uses_estimator().then(|| job.method.estimator.name()),
        "divergence": page::divergence_card(job).name,
        "seed": job.seed(),
        "ending": course.ending,
        "steps": course.taken,
        "skipped_steps": course.skipped,
        "first_fault": course.first_fault,
        "train_seconds": course.seconds,
        "threads": course.threads,
        "parameters": trained.model.size(),
        "samples": finals.map_or(0, |f| f.samples.rows()),
        "evaluations": evaluations::to_json(finals.map_or(&course.counts, |f| &f.counts)),
    });
    if let (Some(out), Some(more)) =
        (out.as_object_mut(), report.map(words::to_json).as_ref().and_then(Value::as_object))
    {
        out.extend(more.clone());
    }
    if let Some(verdict) = finals.map(Finals::verdict) {
        out["trusted"] = (verdict == Verdict::Sound).into();
        out["doubts"] = verdict.reasons().into();
    }
    if let (Some(out), Some(finals)) = (out.as_object_mut(), finals) {
        out.extend(finals.posterior.to_json());
    }
    if let Some(found) = finals.and_then(|f| f.second_order.as_ref()) {
        out["second_order"] = found.to_json();
    }
    if let Some(table) = finals.and_then(|f| f.conditions.as_ref()) {
        let (key, content) = &table.json;
        out[*key] = content.clone();
    }
    if let Model::Particles(_, Some(search)) = &trained.model {
        let log_z =
            json!({ "value": json_text::real(search.log_z), "standard_error": json_text::real(search.log_z_error) });
        let disagreement = search.disagreement.as_ref().map(certified::disagreement);
        out["search"] = json!({ "log_z": log_z, "calls": search.calls, "disagreement": disagreement });
    }
    if let Some(c) = finals.and_then(|f| f.certified.as_ref()) {
        out["certificate"] = c.to_json(job.target.density.log_normaliser());
    }
    out
}

/// A .npy file of the run, in the target's own coordinates.
fn write_samples(job: &Job, folder: &RunFolder, name: &str, samples: &Matrix) -> Outcome<()> {
    let written = job.target.coordinates.constrain(samples.clone())?;
    let mut writer = SampleWriter::create(&folder.file(name), written.rows() as u64, written.cols())?;
    writer.push(&written)?;
    writer.finish()
}
