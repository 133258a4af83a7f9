//! What a run leaves: the files of its folder, and the record behind its report.

use crate::failure::{Failure, Outcome};
use crate::files::samples::SampleWriter;
use crate::model;
use crate::report::{DivergenceCard, Field, ModeMass, Record, StepRow, TargetCard, Tile, count, html, number};
use crate::run_folder::RunFolder;
use crate::training::{Ending, Job, Run};
use crate::words;
use pushforward::linalg::Matrix;
use pushforward::metric::{Options, Report, evaluate};
use serde_json::{Value, json};

/// Samples in samples.npy.
const SAMPLES: usize = 10_000;

/// One sentence on how the run went.
pub fn outcome(run: &Run, job: &Job) -> String {
    let how = match run.ending {
        Ending::Complete => "",
        Ending::Interrupted => ", stopped by Ctrl-C",
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

/// Draws the final samples, judges them, and writes all files of the run.
pub fn write(run: &Run, job: &Job, folder: &RunFolder) -> Outcome<Report> {
    let samples = run.model.sample(SAMPLES, job.settings.seed, 0);
    if !samples.is_finite() {
        return Err(Failure::input("the generator's samples are not finite; lower learning_rate; nothing was written"));
    }
    // One size of exact W2, the one that is published for gmm40, and fewer pairs than `evaluate`: seconds count here.
    let options =
        Options { seed: job.settings.seed, transport_sizes: vec![1_000], pair_size: 2_000, ..Options::default() };
    let report = evaluate(&*job.target.density, &samples, &options)?;
    let config = job.config.resolved(&job.settings, &run.units);
    let config_json = serde_json::to_string(&config).expect("a configuration is JSON");
    folder.write("config.toml", config.to_toml().as_bytes())?;
    folder.write("metrics.jsonl", run.steps.iter().map(line).collect::<String>().as_bytes())?;
    model::save(&folder.file("model.safetensors"), &run.model, &config_json)?;
    let written = job.target.coordinates.constrain(samples.clone())?;
    let mut writer = SampleWriter::create(&folder.file("samples.npy"), SAMPLES as u64, written.cols())?;
    writer.push(&written)?;
    writer.finish()?;
    folder.write("summary.json", format!("{:#}\n", summary(run, job, &report)).as_bytes())?;
    folder.write("report.html", html(&record(run, job, &samples, &report, config.to_toml())).as_bytes())?;
    Ok(report)
}

/// A line of metrics.jsonl; numbers that are not finite (of a skipped step) are null.
fn line(r: &StepRow) -> String {
    let line = json!({
        "step": r.step, "objective": r.objective, "rms_drift": r.rms_drift, "bandwidth": r.bandwidth,
        "mean_log_p": r.mean_log_p, "effective_samples": r.effective_samples, "skipped": r.skipped,
    });
    format!("{line}\n")
}

/// The content of summary.json.
fn summary(run: &Run, job: &Job, report: &Report) -> Value {
    let ending = match run.ending {
        Ending::Complete => "complete",
        Ending::Interrupted => "interrupted",
        Ending::Faulty(_) => "target-not-finite",
    };
    let mut out = json!({
        "version": 1,
        "pushforward": env!("CARGO_PKG_VERSION"),
        "target": job.target.name,
        "dim": job.target.density.dim(),
        "divergence": job.divergence.name(),
        "seed": job.settings.seed,
        "ending": ending,
        "steps": run.taken,
        "skipped_steps": run.faults.skipped,
        "first_fault": run.faults.first.as_ref().map(|e| e.to_string()),
        "train_seconds": run.seconds,
        "threads": rayon::current_num_threads(),
        "parameters": run.model.size(),
        "samples": SAMPLES,
    });
    if let (Some(out), Some(more)) = (out.as_object_mut(), words::to_json(report).as_object()) {
        out.extend(more.clone());
    }
    out
}

/// The record behind the report.
fn record(run: &Run, job: &Job, samples: &Matrix, report: &Report, config: String) -> Record {
    let (target, density) = (&job.target, &*job.target.density);
    let exact = density.sample(SAMPLES, job.settings.seed ^ 0x5eed);
    let energy = |x: &Matrix| density.log_density(x).iter().map(|l| -l).collect::<Vec<f64>>();
    let modes = report.modes.as_ref().map_or(Vec::new(), |m| {
        m.truths.iter().zip(&m.masses).map(|(&truth, &model)| ModeMass { truth, model }).collect()
    });
    Record {
        target: TargetCard {
            name: target.name.clone(),
            dim: density.dim(),
            formula: target.formula.clone(),
            constants: target.constants.clone(),
            source: target.source.clone(),
        },
        divergence: DivergenceCard {
            name: job.divergence.name().into(),
            formula: job.divergence.formula(),
            weight_formula: job.divergence.weight_formula(),
            log_weight: (-60..=60).map(|k| k as f64 * 0.12).map(|l| (l, job.divergence.log_weight(l))).collect(),
        },
        outcome: outcome(run, job) + ".",
        headline: headline(report),
        frames: run.frames.clone(),
        field: Field::around(density, exact.as_ref().unwrap_or(samples)),
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
