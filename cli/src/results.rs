//! What a run leaves: the files of its folder, and the record behind its report.

use crate::certified::Certified;
use crate::commands::evaluate::table;
use crate::config::{Config, Training};
use crate::failure::{Failure, Outcome};
use crate::files::samples::SampleWriter;
use crate::model;
use crate::report::{DivergenceCard, Field, ModeMass, Record, StepRow, TargetCard, Tile, count, html, number};
use crate::run_folder::RunFolder;
use crate::training::{Ending, Job, Run};
use crate::words;
use pushforward::linalg::Matrix;
use pushforward::metric::{Options, Report, evaluate};
use pushforward::sampler::Settings;
use serde_json::{Value, json};
use std::path::Path;

/// Samples in samples.npy.
const SAMPLES: usize = 10_000;

/// One sentence on how the run went.
fn outcome(run: &Run, ending: &Ending, job: &Job) -> String {
    let how = match ending {
        Ending::Complete => "",
        Ending::Interrupted => ", stopped by Ctrl-C",
        Ending::TimeLimit => ", stopped by --max-time",
        Ending::Faulty(_) => ", stopped because the target was not finite",
    };
    format!(
        "{} of {} steps in {} s on {} threads{how}; {}, seed {}, {} parameters",
        count(run.taken as usize),
        count(job.settings.steps as usize),
        number(run.seconds, 3),
        rayon::current_num_threads(),
        run.model.precision(),
        job.settings.seed,
        count(run.model.size())
    )
}

/// The configuration with every choice written out, the units that were found among them.
pub fn config(run: &Run, job: &Job) -> Config {
    job.config.resolved(&Settings { frame: Some(run.units.clone()), ..job.settings.clone() })
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
    serde_json::from_str::<Value>(&text).is_ok_and(|v| v["ending"] == "complete")
}

/// The final samples and everything that is said about them.
pub struct Finals<'a> {
    run: &'a Run,
    job: &'a Job,
    ending: &'a Ending,
    samples: Matrix,
    report: Report,
    /// Where the model has a density.
    certified: Option<Certified>,
}

/// Draws the final samples and judges them: the slow part, before anything is written.
pub fn judge<'a>(run: &'a Run, job: &'a Job, ending: &'a Ending) -> Outcome<Finals<'a>> {
    let samples = run.model.sample(SAMPLES, job.settings.seed, 0);
    if !samples.is_finite() {
        return Err(Failure::input("the generator's samples are not finite; lower learning_rate; none were written"));
    }
    // One size of exact W2, the one that is published for gmm40, and fewer pairs than `evaluate`: seconds count here.
    let options =
        Options { seed: job.settings.seed, transport_sizes: vec![1_000], pair_size: 2_000, ..Options::default() };
    let report = evaluate(&*job.target.density, &samples, &options)?;
    let density = run.model.density();
    let certified = density.map(|q| Certified::of(&*job.target.density, q, &samples, job.settings.seed)).transpose()?;
    Ok(Finals { run, job, ending, samples, report, certified })
}

impl Finals<'_> {
    /// Writes all files of the run; summary.json, which says that it is complete, last.
    pub fn write(&self, folder: &RunFolder) -> Outcome<()> {
        let (run, job) = (self.run, self.job);
        write_model(run, job, folder)?;
        write_curves(run, folder)?;
        write_samples(job, folder, "samples.npy", &self.samples)?;
        if let Some(resampled) = self.certified.as_ref().and_then(|c| c.resampled(&self.samples, job.settings.seed)) {
            write_samples(job, folder, "resampled.npy", &resampled)?;
        }
        let report = html(&record(self, config(run, job).to_toml()));
        folder.write("report.html", report.as_bytes())?;
        write_summary(run, self.ending, job, Some(self), folder)
    }

    /// What the terminal says: how it went, and the metrics.
    pub fn words(&self) -> String {
        let certificate = self.certified.as_ref().map_or(String::new(), |c| format!("\n{}\n", c.text()));
        format!("{}\n\n{}{certificate}", outcome(self.run, self.ending, self.job), table(&self.report))
    }
}

/// Writes what a run that stopped leaves beside its checkpoint: the model so far, the curves, the summary.
pub fn write_stopped(run: &Run, ending: &Ending, job: &Job, folder: &RunFolder) -> Outcome<()> {
    write_model(run, job, folder)?;
    write_curves(run, folder)?;
    write_summary(run, ending, job, None, folder)
}

/// config.toml and model.safetensors.
fn write_model(run: &Run, job: &Job, folder: &RunFolder) -> Outcome<()> {
    folder.write("config.toml", config(run, job).to_toml().as_bytes())?;
    model::save(&folder.file("model.safetensors"), &run.model, &config_json(run, job))
}

/// metrics.jsonl.
pub fn write_curves(run: &Run, folder: &RunFolder) -> Outcome<()> {
    folder.write("metrics.jsonl", run.steps.iter().map(line).collect::<String>().as_bytes())
}

/// summary.json.
fn write_summary(run: &Run, ending: &Ending, job: &Job, finals: Option<&Finals>, folder: &RunFolder) -> Outcome<()> {
    folder.write("summary.json", format!("{:#}\n", summary(run, ending, job, finals)).as_bytes())
}

/// Version of the lines of metrics.jsonl.
const METRICS_VERSION: u32 = 1;

/// A line of metrics.jsonl; numbers that are not finite (of a skipped step) are null.
fn line(r: &StepRow) -> String {
    let line = json!({
        "version": METRICS_VERSION, "step": r.step, "objective": r.objective, "rms_drift": r.rms_drift, "bandwidth": r.bandwidth,
        "mean_log_p": r.mean_log_p, "effective_samples": r.effective_samples, "skipped": r.skipped,
    });
    format!("{line}\n")
}

/// The content of summary.json.
fn summary(run: &Run, ending: &Ending, job: &Job, finals: Option<&Finals>) -> Value {
    let report = finals.map(|f| &f.report);
    let ending = match ending {
        Ending::Complete => "complete",
        Ending::Interrupted => "interrupted",
        Ending::TimeLimit => "time-limit",
        Ending::Faulty(_) => "target-not-finite",
    };
    let mut out = json!({
        "version": 1,
        "pushforward": env!("CARGO_PKG_VERSION"),
        "target": job.target.name,
        "dim": job.target.density.dim(),
        "method": job.config.method,
        "divergence": divergence_card(job).name,
        "seed": job.settings.seed,
        "ending": ending,
        "steps": run.taken,
        "skipped_steps": run.faults.skipped,
        "first_fault": run.faults.first.as_ref().map(|e| e.to_string()),
        "train_seconds": run.seconds,
        "threads": rayon::current_num_threads(),
        "parameters": run.model.size(),
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

/// What the run was trained by.
fn divergence_card(job: &Job) -> DivergenceCard {
    if job.config.method == Training::FlowLv {
        let name = format!("log-variance, reference {}", job.config.reference_name());
        let formula = "Var_m(log q - log p), m the reference, frozen".into();
        return DivergenceCard { name, formula, ..DivergenceCard::default() };
    }
    let d = &job.divergence;
    DivergenceCard {
        name: d.name().into(),
        formula: d.formula(),
        weight_formula: d.weight_formula(),
        log_weight: (-60..=60).map(|k| k as f64 * 0.12).map(|l| (l, d.log_weight(l))).collect(),
    }
}

/// A .npy file of the run, in the target's own coordinates.
fn write_samples(job: &Job, folder: &RunFolder, name: &str, samples: &Matrix) -> Outcome<()> {
    let written = job.target.coordinates.constrain(samples.clone())?;
    let mut writer = SampleWriter::create(&folder.file(name), written.rows() as u64, written.cols())?;
    writer.push(&written)?;
    writer.finish()
}

/// The record behind the report.
fn record(finals: &Finals, config: String) -> Record {
    let Finals { run, job, ending, samples, report, certified } = finals;
    let (target, density) = (&job.target, &*job.target.density);
    let exact = density.sample(SAMPLES, job.settings.seed ^ 0x5eed);
    let energy = |x: &Matrix| density.log_density(x).iter().map(|l| -l).collect::<Vec<f64>>();
    let modes = report.modes.as_ref().map_or(Vec::new(), |m| {
        m.truths.iter().zip(&m.masses).map(|(&truth, &model)| ModeMass { truth, model }).collect()
    });
    let field = Field::around(density, exact.as_ref().unwrap_or(samples));
    let certificate = certified.as_ref().zip(run.model.density()).map(|(c, q)| c.card(q, field.as_ref()));
    Record {
        target: TargetCard {
            name: target.name.clone(),
            dim: density.dim(),
            formula: target.formula.clone(),
            constants: target.constants.clone(),
            source: target.source.clone(),
        },
        divergence: divergence_card(job),
        outcome: outcome(run, ending, job) + ".",
        headline: headline(report),
        frames: run.frames.clone(),
        field,
        certificate,
        energy: energy(samples),
        exact_energy: exact.as_ref().map(energy).unwrap_or_default(),
        exact,
        modes,
        mode_samples: SAMPLES,
        steps: run.steps.clone(),
        metrics: report.metrics.iter().map(words::row).collect(),
        tests: report.tests.iter().map(words::test_row).collect(),
        notes: notes(run, job),
        config,
    }
}

/// Which coordinates are which, for a target with a support.
const UNCONSTRAINED: &str = "This target has a support. The files of samples hold its own coordinates; pictures and figures here are in \
    the unconstrained coordinates in which it was learnt.";

/// W2 between 1,000 samples and 1,000 exact ones of gmm40, as published; the constants of the target are the same.
const PUBLISHED_GMM40: &str = "Published W2 at 1,000 samples on this target: 7.70 (iDEM), 7.36 (iEFM), 4.16 for exact samples \
    (ICLR blog post 2025, 'Models trained with unnormalized density functions').";

fn notes(run: &Run, job: &Job) -> Vec<String> {
    let faults =
        run.faults.first.iter().map(|first| {
            format!("{} of {} steps were left out; the first reason: {first}", run.faults.skipped, run.taken)
        });
    let published = (job.target.name == "gmm40").then(|| PUBLISHED_GMM40.to_string());
    let unconstrained = job.target.coordinates.differ().then(|| UNCONSTRAINED.to_string());
    faults.chain(published).chain(unconstrained).collect()
}

/// The numbers in large type: those about modes where the target has modes, else distances.
fn headline(report: &Report) -> Vec<Tile> {
    let percent = |v: f64| format!("{}%", number(100.0 * v, 2));
    let plain = |v: f64| number(v, 3);
    let tile = |key: &str, label: &str, show: &dyn Fn(f64) -> String| {
        let m = words::by_key(report, key)?;
        let beside = m.floor.as_ref().map_or(String::new(), |f| format!("exact samples: {}", show(f.mean)));
        Some(Tile { value: show(m.value), label: label.into(), beside })
    };
    let covered = report.modes.as_ref().map(|m| Tile {
        value: format!("{} / {}", m.covered, m.modes),
        label: "modes covered".into(),
        beside: "with a fifth of their mass or more".into(),
    });
    let mut tiles: Vec<Tile> = covered.into_iter().collect();
    tiles.extend(tile("mode_mass_tv", "total variation of mode masses", &plain));
    tiles.extend(tile("beyond_4_sigma", "beyond 4σ of every mode", &percent));
    tiles.extend(tile("variance_ratio", "variance ratio within modes", &plain));
    if tiles.is_empty() {
        tiles.extend(tile("sliced_w2", "sliced W2", &plain));
        tiles.extend(tile("w2", "W2 at 1,000 samples", &plain));
        tiles.extend(tile("mmd2", "MMD²", &plain));
    }
    tiles.extend(tile("mean_log_density", "mean log p", &|v| number(v, 4)));
    tiles
}
