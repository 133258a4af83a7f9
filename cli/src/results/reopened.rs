//! A run as its folder holds it, for a report without training.

use super::{Course, Finals, PICTURES, SAMPLES, Trained, curves, judge, summary};
use crate::checkpoint::Checkpoint;
use crate::failure::{Failure, Outcome};
use crate::files::json::as_real;
use crate::files::samples::read_own;
use crate::files::{MAX_TARGET, read_text, safetensors};
use crate::model::{self, Model};
use crate::opened::{agree, table};
use crate::report::{Frame, number};
use crate::saved::matrix;
use crate::training::{Job, PICTURE, at_checkpoint};
use pushforward::linalg::Matrix;
use serde_json::Value;
use std::path::Path;

/// A run that was judged again from its folder.
pub struct Reopened<'a> {
    finals: Finals<'a>,
    /// What is not as the run left it.
    pub differences: Vec<String>,
}

impl Reopened<'_> {
    /// report.html, with diagrams of the parameters in `shown`.
    pub fn page(&self, shown: &[String]) -> Outcome<String> {
        self.finals.page(shown)
    }
}

/// What a run left, as it is read from its folder.
pub enum Left {
    /// A run that ended: how it went, the whole of summary.json, and its model.
    Ended(Course, Value, Box<Model>),
    /// One that stopped, or trains now: its newest checkpoint, and what is to be said of it.
    Stopped(Box<Checkpoint>, Vec<String>),
}

impl Left {
    /// Reads the run in `folder`; refuses one whose config.toml is not that of its model or checkpoint.
    pub fn read(folder: &Path) -> Outcome<Self> {
        let table = table(folder)?;
        let summary = Course::read(folder)?;
        if let Some((course, old)) = summary.filter(|(_, summary)| summary["samples"].as_u64() > Some(0)) {
            let (model, carried) = model::load_with_config(&folder.join("model.safetensors"))?;
            agree(folder, &table, &carried, "model.safetensors")?;
            return Ok(Left::Ended(course, old, Box::new(model)));
        }
        let mut differences = Vec::new();
        let Some(checkpoint) = Checkpoint::peek(folder, &mut |sentence| differences.push(sentence))? else {
            let place = folder.display();
            return Err(Failure::input(format!(
                "{place} has neither samples nor a checkpoint; there is nothing to report yet"
            )));
        };
        agree(folder, &table, &checkpoint.config, "the checkpoint")?;
        Ok(Left::Stopped(Box::new(checkpoint), differences))
    }

    /// Judges the run in `folder` again: one that ended by its files, one that stopped by its checkpoint.
    pub fn judge<'a>(self, folder: &Path, job: &'a Job) -> Outcome<Reopened<'a>> {
        match self {
            Left::Ended(course, old, model) => ended(folder, job, course, &old, *model),
            Left::Stopped(checkpoint, differences) => stopped(folder, job, *checkpoint, differences),
        }
    }
}

/// A run that wrote its samples.
fn ended<'a>(folder: &Path, job: &'a Job, course: Course, old: &Value, model: Model) -> Outcome<Reopened<'a>> {
    let mut differences = Vec::new();
    let frames = pictures(folder, model.dim())?.unwrap_or_else(|| {
        differences.push(format!("{PICTURES} is missing, so the page has the last picture alone"));
        vec![Frame { step: course.taken as usize, samples: model.sample(PICTURE, job.seed(), 0) }]
    });
    let curves = curves::read(&folder.join("metrics.jsonl"))?;
    let config = read_text(&folder.join("config.toml"), MAX_TARGET)?;
    let finals = judge(Trained { model, curves, frames, course, config }, job)?;
    differences.extend(other_samples(folder, &finals)?);
    let resampled = "resampled.npy";
    if old["files"][resampled].is_string() && !folder.join(resampled).exists() {
        differences.push(format!("{resampled}, which the run wrote, is missing; the page does not need it"));
    }
    differences.extend(other_figures(old, &summary(&finals.trained, job, Some(&finals))));
    Ok(Reopened { finals, differences })
}

/// A run that has a checkpoint only.
fn stopped<'a>(folder: &Path, job: &'a Job, checkpoint: Checkpoint, differences: Vec<String>) -> Outcome<Reopened<'a>> {
    let run = at_checkpoint(job, checkpoint)?;
    let old = Course::read(folder)?.map(|(course, _)| course).filter(|course| course.taken == run.taken);
    let course = old.unwrap_or_else(|| Course::so_far(&run, "none"));
    let config = read_text(&folder.join("config.toml"), MAX_TARGET)?;
    let trained =
        Trained { curves: curves::written(&run.curves), model: run.model, frames: run.frames, course, config };
    Ok(Reopened { finals: judge(trained, job)?, differences })
}

/// The pictures; those of the start and the middle are nowhere else. None where the file is missing.
fn pictures(folder: &Path, d: usize) -> Outcome<Option<Vec<Frame>>> {
    let path = folder.join(PICTURES);
    if !path.exists() {
        return Ok(None);
    }
    let bad = |why: String| Failure::input(format!("{}: {why}; remove it to do without pictures", path.display()));
    let mut frames = Vec::new();
    for (name, t) in &safetensors::read(&path)?.0 {
        let step = name.strip_prefix("picture.").and_then(|step| step.parse().ok());
        let samples = matrix(name, t)?;
        match step {
            Some(step) if samples.cols() == d && samples.is_finite() => frames.push(Frame { step, samples }),
            _ => return Err(bad(format!("'{name}' of {} columns is no picture", samples.cols()))),
        }
    }
    frames.sort_by_key(|f| f.step);
    Ok(Some(frames))
}

/// Whether samples.npy holds other numbers than those that the model draws.
fn other_samples(folder: &Path, finals: &Finals) -> Outcome<Option<String>> {
    let path = folder.join("samples.npy");
    if !path.exists() {
        return Ok(Some("samples.npy is missing; the page is about the samples that model.safetensors draws".into()));
    }
    let own = finals.job.target.coordinates.constrain(finals.samples.clone())?;
    let bits = |m: &Matrix| m.as_slice().iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
    let parameters = finals.job.target.coordinates.parameters();
    let same = read_own(&path, parameters).is_ok_and(|read| read.shape() == own.shape() && bits(&read) == bits(&own));
    Ok((!same).then(|| {
        format!(
            "samples.npy does not hold the {SAMPLES} samples that model.safetensors draws here (it was changed, or the run was made \
             with other instruction sets); the page is about those of the model"
        )
    }))
}

/// The first figure of summary.json that came out otherwise, if any.
fn other_figures(old: &Value, new: &Value) -> Option<String> {
    let version = |v: &Value| v["pushforward"].as_str().unwrap_or("?").to_owned();
    let value = |v: &Value, k: usize| as_real(&v["metrics"][k]["value"]).unwrap_or(f64::NAN);
    let metrics = new["metrics"].as_array().map_or(0, Vec::len);
    let first = (0..metrics).find(|&k| old["metrics"][k] != new["metrics"][k]);
    let what = match first {
        Some(k) => {
            let (name, was, is) = (&new["metrics"][k]["name"], number(value(old, k), 6), number(value(new, k), 6));
            format!("{name} is {is}, and summary.json says {was}")
        }
        None => {
            let differs = |key: &&str| old[*key] != new[*key];
            let key = ["target", "dim", "method", "divergence", "parameters", "modes", "tests", "certificate"]
                .into_iter()
                .find(differs)?;
            format!("'{key}' is not what summary.json says")
        }
    };
    let why = if version(old) == version(new) {
        "a file of the run was changed, or it was made with other instruction sets".into()
    } else {
        format!("the run was made by version {}, this is {}", version(old), version(new))
    };
    Some(format!("{what}: {why}"))
}
