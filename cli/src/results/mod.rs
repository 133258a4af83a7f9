//! What a run leaves: the files of its folder, and the report, which can be made again from them.

mod course;
mod curves;
mod page;
mod reopened;

pub use course::Course;
pub use reopened::{Reopened, fits, reopen};

use crate::certified::Certified;
use crate::commands::evaluate::table;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::files::json as json_text;
use crate::files::safetensors::{self, Metadata};
use crate::files::samples::SampleWriter;
use crate::model::{self, Model};
use crate::report::{Frame, StepRow, html};
use crate::run_folder::RunFolder;
use crate::saved::tensor;
use crate::training::{Ending, Job, Run};
use crate::words;
use pushforward::linalg::Matrix;
use pushforward::metric::{Options, Report, evaluate};
use pushforward::run::Settings;
use serde_json::{Value, json};
use std::path::Path;

/// Samples in samples.npy.
const SAMPLES: usize = 10_000;

/// The configuration with every choice written out, the units that were found among them.
pub fn config(run: &Run, job: &Job) -> Config {
    let settings = Settings { frame: Some(run.units.clone()), ..job.settings.clone() };
    job.config.resolved(&*job.target.density, &settings)
}

/// A configuration as JSON, without what results do not depend on.
pub fn json(config: &Config) -> String {
    serde_json::to_string(&Config { threads: None, ..config.clone() }).expect("a configuration is JSON")
}

/// That of a run, as checkpoints and models carry it.
pub fn config_json(run: &Run, job: &Job) -> String {
    json(&config(run, job))
}

/// The first key in which `config` differs from `old`, a configuration as JSON.
pub fn first_difference(old: &str, config: &Config) -> String {
    let read = |text: &str| serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap_or_default();
    let (old, new) = (read(old), read(&json(config)));
    let keys = old.keys().chain(new.keys());
    keys.into_iter()
        .find(|key| old.get(*key) != new.get(*key))
        .map_or_else(|| "something".into(), |key| format!("'{key}'"))
}

/// Whether the folder holds a run that took all its steps.
pub fn is_complete(folder: &Path) -> bool {
    let text = std::fs::read_to_string(folder.join("summary.json")).unwrap_or_default();
    json_text::parse(&text).is_ok_and(|v| v["ending"] == "complete")
}

/// What a training left, as far as its report shows it.
pub struct Trained {
    /// What was learnt.
    pub model: Model,
    /// The curves, as metrics.jsonl has them.
    pub steps: Vec<StepRow>,
    /// The pictures.
    pub frames: Vec<Frame>,
    /// How it went.
    pub course: Course,
    /// The text of config.toml.
    pub config: String,
}

impl Trained {
    /// By this process.
    pub fn of(run: &Run, ending: &Ending, job: &Job) -> Self {
        let (model, frames) = (run.model.clone(), run.frames.clone());
        let config = config(run, job).to_toml();
        Self { model, frames, config, steps: curves::written(&run.steps), course: Course::of(run, ending) }
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
}

/// Draws the final samples and judges them: the slow part, before anything is written.
pub fn judge(trained: Trained, job: &Job) -> Outcome<Finals<'_>> {
    let samples = trained.model.sample(SAMPLES, job.settings.seed, 0);
    if !samples.is_finite() {
        return Err(Failure::input(
            "the trained sampler's samples are not finite; lower learning_rate; none were written",
        ));
    }
    // One size of exact W2, the one that is published for gmm40, and fewer pairs than `evaluate`: seconds count here.
    let options =
        Options { seed: job.settings.seed, transport_sizes: vec![1_000], pair_size: 2_000, ..Options::default() };
    let report = evaluate(&*job.target.density, &samples, &options)?;
    let density = trained.model.density();
    let certified = density.map(|q| Certified::of(&*job.target.density, q, &samples, job.settings.seed)).transpose()?;
    Ok(Finals { trained, job, samples, report, certified })
}

impl Finals<'_> {
    /// Writes all files of the run; summary.json, which says that it is complete, last.
    pub fn write(&self, run: &Run, folder: &RunFolder) -> Outcome<()> {
        let job = self.job;
        write_model(run, job, folder)?;
        write_curves(run, folder)?;
        write_samples(job, folder, "samples.npy", &self.samples)?;
        write_pictures(&self.trained.frames, &folder.file(PICTURES))?;
        if let Some(resampled) = self.certified.as_ref().and_then(|c| c.resampled(&self.samples, job.settings.seed)) {
            write_samples(job, folder, "resampled.npy", &resampled)?;
        }
        folder.write("report.html", self.page().as_bytes())?;
        write_summary(&self.trained, job, Some(self), folder)
    }

    /// report.html.
    pub fn page(&self) -> String {
        html(&page::record(self))
    }

    /// What the terminal says: how it went, and the metrics.
    pub fn words(&self) -> String {
        let certificate = self.certified.as_ref().map_or(String::new(), |c| format!("\n{}\n", c.text()));
        let differ = self.job.target.coordinates.differ();
        let coordinates = if differ { "; figures are in the unconstrained coordinates" } else { "" };
        format!("{}{coordinates}\n\n{}{certificate}", self.outcome(), table(&self.report))
    }

    /// How it went, in a sentence.
    fn outcome(&self) -> String {
        let Trained { model, course, .. } = &self.trained;
        course.sentence(self.job, model.precision(), model.size())
    }
}

/// Writes what a run that stopped leaves beside its checkpoint: the model so far, the curves, the summary.
pub fn write_stopped(run: &Run, ending: &Ending, job: &Job, folder: &RunFolder) -> Outcome<()> {
    write_model(run, job, folder)?;
    write_curves(run, folder)?;
    write_summary(&Trained::of(run, ending, job), job, None, folder)
}

/// config.toml and model.safetensors.
fn write_model(run: &Run, job: &Job, folder: &RunFolder) -> Outcome<()> {
    folder.write("config.toml", config(run, job).to_toml().as_bytes())?;
    model::save(&folder.file("model.safetensors"), &run.model, &config_json(run, job))
}

/// metrics.jsonl.
pub fn write_curves(run: &Run, folder: &RunFolder) -> Outcome<()> {
    folder.write("metrics.jsonl", curves::text(&run.steps).as_bytes())
}

/// The pictures of the training, which nothing else in the folder of a complete run holds.
pub const PICTURES: &str = "pictures.safetensors";

fn write_pictures(frames: &[Frame], path: &Path) -> Outcome<()> {
    let tensors = frames.iter().map(|f| (format!("picture.{}", f.step), tensor(&f.samples))).collect();
    safetensors::write(path, &tensors, &Metadata::new())
}

/// summary.json.
fn write_summary(trained: &Trained, job: &Job, finals: Option<&Finals>, folder: &RunFolder) -> Outcome<()> {
    folder.write("summary.json", json_text::text(&summary(trained, job, finals)).as_bytes())
}

/// The content of summary.json.
fn summary(trained: &Trained, job: &Job, finals: Option<&Finals>) -> Value {
    let report = finals.map(|f| &f.report);
    let course = &trained.course;
    let mut out = json!({
        "version": 1,
        "pushforward": env!("CARGO_PKG_VERSION"),
        "target": job.target.name,
        "dim": job.target.density.dim(),
        "method": job.config.method,
        "divergence": page::divergence_card(job).name,
        "seed": job.settings.seed,
        "ending": course.ending,
        "steps": course.taken,
        "skipped_steps": course.skipped,
        "first_fault": course.first_fault,
        "train_seconds": course.seconds,
        "threads": course.threads,
        "parameters": trained.model.size(),
        "samples": report.map_or(0, |_| SAMPLES),
    });
    if let (Some(out), Some(more)) =
        (out.as_object_mut(), report.map(words::to_json).as_ref().and_then(Value::as_object))
    {
        out.extend(more.clone());
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
