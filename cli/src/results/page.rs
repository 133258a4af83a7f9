//! The record behind a run's report.

use super::{Finals, SAMPLES};
use crate::evaluations;
use crate::report::{DivergenceCard, Field, Frame, ModeCourse, ModeMass, Record, TargetCard, Tile, number};
use crate::training::Job;
use crate::words;
use pushforward::density::Density;
use pushforward::divergence;
use pushforward::linalg::Matrix;
use pushforward::metric::{ModeTruth, Report};
use pushforward::settings::Value;

/// The record behind the report.
pub(super) fn record(finals: &Finals) -> Record {
    let Finals { trained, job, samples, report, certified, .. } = finals;
    let (target, density) = (&job.target, &*job.target.density);
    let exact = density.sample(SAMPLES, job.seed() ^ 0x5eed);
    let energy = |x: &Matrix| match density.is_known() {
        true => density.log_density(x).iter().map(|l| -l).collect(),
        false => Vec::new(),
    };
    let modes = report.modes.as_ref().map_or(Vec::new(), |m| {
        m.truths.iter().zip(&m.masses).map(|(&truth, &model)| ModeMass { truth, model }).collect()
    });
    let field = Field::around(density, exact.as_ref().unwrap_or(samples));
    let certificate = certified.as_ref().map(|c| c.card(&trained.model, field.as_ref()));
    Record {
        target: TargetCard {
            name: target.name.clone(),
            dim: density.dim(),
            formula: target.formula.clone(),
            constants: target.constants.clone(),
            source: target.source.clone(),
        },
        model: job.method.model.name().into(),
        method: method_words(job),
        divergence: divergence_card(job),
        outcome: format!("{}; {}.", finals.outcome(), evaluations::sentence(&finals.counts)),
        headline: headline(report),
        frames: trained.frames.clone(),
        field,
        certificate,
        energy: energy(samples),
        conditions: finals.conditions.as_ref().map(|t| t.card.clone()).unwrap_or_default(),
        exact_energy: exact.as_ref().map(energy).unwrap_or_default(),
        exact,
        particles: is_particles(job),
        courses: if is_particles(job) { courses(density, &trained.frames, job.seed()) } else { Vec::new() },
        modes,
        mode_samples: samples.rows(),
        curves: trained.curves.clone(),
        posterior: finals.posterior.rows(),
        chosen: None,
        posterior_use: {
            let choice = finals.posterior.choice.as_ref().map(|(choice, why)| format!("Use {}: {why}.", choice.file()));
            let unresolved = finals.posterior.unresolved.as_ref().map(|what| format!("Not resolved: {what}."));
            choice.into_iter().chain(unresolved).collect::<Vec<_>>().join(" ")
        },
        metrics: report.metrics.iter().map(words::row).collect(),
        tests: report.tests.iter().map(words::test_row).collect(),
        notes: notes(finals),
        config: trained.config.clone(),
    }
}

/// Whether row i of every picture is the same particle.
fn is_particles(job: &Job) -> bool {
    job.method.model.name() == "particles" && job.method.model.get("birth_death") == Some(Value::Number(0.0))
}

/// Exact samples behind the truth of the mode masses over time.
const COURSE_TRUTH: usize = 20_000;

/// The share of particles in each mode at each picture.
fn courses(target: &dyn Density, frames: &[Frame], seed: u64) -> Vec<ModeCourse> {
    let Some(mixture) = target.mixture() else { return Vec::new() };
    let truth = ModeTruth::new(mixture, COURSE_TRUTH, seed);
    let mut out: Vec<ModeCourse> = Vec::new();
    for frame in frames {
        let report = truth.report(&frame.samples);
        out.resize_with(report.masses.len(), ModeCourse::default);
        for (course, (mass, truth)) in out.iter_mut().zip(report.masses.iter().zip(&report.truths)) {
            course.truth = *truth;
            course.points.push((frame.step as f64, *mass));
        }
    }
    out
}

/// W2 between 1,000 samples and 1,000 exact ones of gmm40, as published; the constants of the target are the same.
const PUBLISHED_GMM40: &str = "Published W2 at 1,000 samples on this target: 7.70 (iDEM), 7.36 (iEFM), 4.16 for exact samples \
    (ICLR blog post 2025, 'Models trained with unnormalized density functions').";

fn notes(finals: &Finals) -> Vec<String> {
    let target = &finals.job.target;
    let faults = finals.trained.course.faults();
    let published = (target.name == "gmm40").then(|| PUBLISHED_GMM40.to_string());
    let differ = |what: &str| {
        format!(
            "The files of samples hold the target's own coordinates; every picture, metric, test and density on this page is in {what}, in \
             which it was learnt."
        )
    };
    let coordinates = target.coordinates.of_density().map(differ);
    let verdict = finals.verdict();
    let doubts = verdict.reasons().iter().map(|reason| format!("These samples are not to be trusted: {reason}."));
    doubts.chain([faults, published, coordinates].into_iter().flatten()).collect()
}

/// The numbers in large type: those about modes where the target has modes, else distances.
fn headline(report: &Report) -> Vec<Tile> {
    let percent = |v: f64| format!("{}%", number(100.0 * v, 2));
    let plain = |v: f64| number(v, 3);
    let tile = |key: &str, label: &str, show: &dyn Fn(f64) -> String| {
        let m = report.metric(key)?;
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

/// The method in words: model, velocity and estimator.
fn method_words(job: &Job) -> Vec<(String, String)> {
    let m = &job.method;
    let line = |what: &str, name: &str, words: &str| (format!("{what} '{name}'"), words.to_string());
    let mut out = vec![
        line("model", m.model.name(), m.model.summary()),
        line("velocity", m.velocity.name(), &format!("{}; {}", m.velocity.summary(), m.velocity.formula())),
    ];
    if m.velocity.uses_estimator() {
        out.push(line("estimator of q", m.estimator.name(), m.estimator.summary()));
    }
    out
}

/// What the run was trained by.
pub(super) fn divergence_card(job: &Job) -> DivergenceCard {
    let velocity = &job.method.velocity;
    let word = |key: &str| match velocity.get(key) {
        Some(Value::Text(word)) => Some(word),
        _ => None,
    };
    let Some(d) = word("divergence").and_then(|name| divergence::by_name(&name).ok()) else {
        let name = match word("reference") {
            Some(reference) => format!("{}, reference {reference}", velocity.name()),
            None => velocity.name().to_owned(),
        };
        return DivergenceCard { name, formula: velocity.formula().into(), ..DivergenceCard::default() };
    };
    DivergenceCard {
        name: d.name().into(),
        formula: d.formula(),
        weight_formula: d.weight_formula(),
        log_weight: (-60..=60).map(|k| k as f64 * 0.12).map(|l| (l, d.log_weight(l))).collect(),
    }
}
