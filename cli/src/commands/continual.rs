//! `pushforward continual`: mixtures that learn from a stream of tasks, beside exact answers.

use crate::config::{read, to_value, values};
use crate::failure::{Failure, Outcome};
use crate::files::atomic::write_file;
use crate::files::json::{self, real};
use crate::memory;
use crate::report::forgetting;
use crate::terminal::print;
use pushforward::continual::{Clusters, Course, StreamSettings, Task, TaskModel, course, exact, mean_field};
use pushforward::linalg::Matrix;
use pushforward::num::softmax;
use pushforward::rng::{Purpose, normal_matrix};
use pushforward::settings::{Section, Value as Setting};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of `continual`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A TOML file with a section [stream], a section [oracle], or both; every key has a default
    config: PathBuf,
    /// A new folder for report.html, forgetting.svg, results.json and config.toml with every setting
    #[arg(short, long, alias = "output", value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Print JSON for programs instead of words for people
    #[arg(long)]
    json: bool,
}

pushforward::settings! {
    /// Numbers whose mixture is summed over all partitions.
    pub struct OracleSettings in "oracle" {
        /// At most 10 numbers.
        data: Vec<f64> = vec![-3.1, -2.9, 0.2, 2.8, 3.2, -3.0], Rule::Any;
        /// Standard deviation of a number about its cluster's mean.
        noise: f64 = 0.5, Rule::Positive;
        /// Standard deviation of cluster means.
        between: f64 = 3.0, Rule::Positive;
        /// Concentration.
        alpha: f64 = 1.0, Rule::Positive;
        /// Numbers of sticks.
        truncations: Vec<usize> = vec![3, 4, 5, 6], Rule::AtLeast(1);
    }
}

/// Random starts of mean field.
const STARTS: u64 = 40;
/// Multiplications, about, beyond which a stream is refused: some minutes.
const WORK: f64 = 1e11;

/// Most sticks: the sum over partitions of ten numbers takes a minute with more.
const STICKS: usize = 20;
/// Settings with a unit or a size, and where they may lie: beyond, the precisions of clusters have no digits.
const SCALES: [&str; 4] = ["noise", "within", "between", "alpha"];
const SMALLEST: f64 = 1e-6;
const LARGEST: f64 = 1e6;

/// Reads, runs, prints, writes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let path = &arguments.config;
    let (stream, oracle) = configured(path)?;
    if let Some(folder) = arguments.out.as_ref().filter(|f| f.exists()) {
        return Err(Failure::input(format!("{} is there already; choose a new folder with -o", folder.display())));
    }
    let sections = [stream.as_ref().map(|s| s as &dyn Section), oracle.as_ref().map(|o| o as &dyn Section)];
    let part = |s: &dyn Section| (s.part().to_owned(), toml::Value::Table(values(s).into_iter().collect()));
    let settings: toml::Table = sections.into_iter().flatten().map(part).collect();
    let oracle = oracle.as_ref().map(|o| sums(o).map_err(|e| at(path, e))).transpose()?;
    let course = stream.as_ref().map(|s| course(s).map_err(|e| at(path, e))).transpose()?;
    let lines = oracle.as_ref().map_or(Vec::new(), |o| o.lines.clone());
    let value = json!({
        "version": 1, "settings": settings, "oracle": oracle.as_ref().map(|o| o.json.clone()), "learners": course.as_ref().map(as_json),
    });
    if let Some(folder) = &arguments.out {
        fs::create_dir_all(folder).map_err(|e| Failure::io("create", folder, &e))?;
        let text = toml::to_string(&settings).expect("settings are numbers, words and lists");
        write_file(&folder.join("config.toml"), text.as_bytes())?;
        let page = forgetting::html(&path.to_string_lossy(), course.as_ref(), &lines);
        write_file(&folder.join("report.html"), page.as_bytes())?;
        if let Some(course) = &course {
            write_file(&folder.join("forgetting.svg"), forgetting::svg(course).as_bytes())?;
        }
        write_file(&folder.join("results.json"), json::text(&value).as_bytes())?;
    }
    if arguments.json {
        return print(&json::text(&value));
    }
    let mut text = lines.iter().map(|l| format!("{l}\n")).collect::<String>();
    if let (Some(course), Some(s)) = (&course, &stream) {
        text += &format!(
            "{}{} clusters of {} {} tasks, {} shots; error at {} unseen tasks of each past cluster, {} streams\n\n",
            if text.is_empty() { "" } else { "\n" },
            s.clusters,
            s.tasks,
            s.kind,
            s.shots,
            s.evaluation,
            s.seeds
        );
        text += &format!("{:<12}{:<26}{:<26}clusters found\n", "learner", "past clusters", "risen by");
        for curve in &course.curves {
            let [name, past, risen, clusters] = forgetting::row(curve);
            text += &format!("{name:<12}{past:<26}{risen:<26}{clusters}\n");
        }
    }
    print(&text)
}

fn at(path: &Path, error: pushforward::Error) -> Failure {
    Failure::input(format!("{}: {error}", path.display()))
}

/// The sections of the file.
fn configured(path: &Path) -> Outcome<(Option<StreamSettings>, Option<OracleSettings>)> {
    let shown = path.display();
    let (mut stream, mut oracle) = (None, None);
    for (name, value) in read(path)? {
        let section: &mut dyn Section = match name.as_str() {
            "stream" => stream.insert(StreamSettings::default()),
            "oracle" => oracle.insert(OracleSettings::default()),
            _ => {
                let unknown = pushforward::Error::unknown_name("section", &name, &["stream", "oracle"]);
                return Err(at(path, unknown));
            }
        };
        let Some(keys) = value.as_table() else {
            return Err(Failure::input(format!("{shown}: {name} = {value}; write a section [{name}]")));
        };
        for (key, value) in keys {
            let given =
                to_value(value).ok_or_else(|| Failure::input(format!("{shown}: {key} = {value} is no setting")))?;
            section.set(key, &given).map_err(|e| at(path, e))?;
        }
    }
    if stream.is_none() && oracle.is_none() {
        return Err(Failure::input(format!("{shown} has no section; write [stream], [oracle] or both")));
    }
    let sections: [Option<&dyn Section>; 2] = [stream.as_ref().map(|s| s as _), oracle.as_ref().map(|o| o as _)];
    for section in sections.into_iter().flatten() {
        for key in SCALES {
            if let Some(Setting::Number(value)) = section.get(key)
                && !(SMALLEST..=LARGEST).contains(&value)
            {
                return Err(Failure::input(format!(
                    "{shown}: {key} = {value:e}; give it in units that make it {SMALLEST:e} to {LARGEST:e}"
                )));
            }
        }
    }
    if let Some(s) = &stream {
        let [clusters, tasks, evaluation, seeds] = [s.clusters, s.tasks, s.evaluation, s.seeds].map(|n| n as f64);
        let [shots, queries, hidden] = [s.shots, s.queries, s.hidden].map(|n| n as f64);
        let asked = clusters * tasks + clusters * clusters * evaluation;
        let dim = match s.kind.as_str() {
            "sinusoid" => hidden + 1.0,
            "network" => 3.0 * hidden + 1.0,
            _ => s.dim as f64,
        };
        let before = match s.kind.as_str() {
            "sinusoid" | "network" => s.training as f64 * (shots + queries) * hidden * 1e4,
            _ => 0.0,
        };
        // a task's factorisation, and its predictions
        let work = seeds * (before + asked * 100.0 * (dim.max(shots).powi(3) + queries * dim * dim));
        if work.is_nan() || work > WORK {
            return Err(Failure::input(format!(
                "{shown}: these streams need about {work:.0e} multiplications, more than {WORK:.0e}; ask for fewer tasks, seeds or observations, or a smaller dim"
            )));
        }
        // observations of all tasks, with copies
        let needed = 32.0 * asked * (shots + queries) * (dim + 1.0);
        memory::enough(needed as u128, &format!("{shown}: the stream"), "ask for fewer tasks or queries")?;
    }
    if let Some(o) = &oracle {
        if o.truncations.iter().any(|t| *t > STICKS) {
            return Err(Failure::input(format!(
                "{shown}: truncations = {:?}; give at most {STICKS} sticks",
                o.truncations
            )));
        }
        if let Some(y) = o.data.iter().find(|y| y.abs() > LARGEST) {
            return Err(Failure::input(format!("{shown}: data holds {y:e}; give numbers up to {LARGEST:e}")));
        }
    }
    Ok((stream, oracle))
}

/// What the sum over partitions says, as lines and as JSON.
struct Sums {
    lines: Vec<String>,
    json: Value,
}

fn sums(o: &OracleSettings) -> pushforward::Result<Sums> {
    let tasks: Vec<Task> = o.data.iter().map(|&y| Task { x: Matrix::filled(1, 1, 1.0), y: vec![y] }).collect();
    let model = TaskModel::spherical(1, o.noise, 0.0, o.between);
    let all = exact(&tasks, &model, Clusters::Crp { alpha: o.alpha })?;
    let mut lines = vec![
        format!(
            "log evidence {:.6}, a sum over {} partitions of {} numbers",
            all.log_evidence,
            all.partitions,
            o.data.len()
        ),
        format!("most probable partition {:?}, probability {:.4}", all.best, all.best_probability),
    ];
    for (k, p) in all.clusters.iter().enumerate() {
        lines.push(format!("  P({} clusters) {p:.5}", k + 1));
    }
    let prefixes: Vec<f64> = (1..=tasks.len())
        .map(|n| exact(&tasks[..n], &model, Clusters::Crp { alpha: o.alpha }).map(|e| e.log_evidence))
        .collect::<pushforward::Result<_>>()?;
    lines.push(format!(
        "log evidence of the first numbers {}",
        prefixes.iter().map(|p| format!("{p:.6}")).collect::<Vec<_>>().join(" ")
    ));
    let mut sticks = Vec::new();
    for &truncation in &o.truncations {
        let evidence = exact(&tasks, &model, Clusters::Sticks { alpha: o.alpha, truncation })?.log_evidence;
        let mut best = f64::NEG_INFINITY;
        for seed in 0..STARTS {
            let z: Matrix = normal_matrix(seed, Purpose::Initialise, truncation as u64, tasks.len(), truncation);
            let spread = |r: &[f64]| softmax(&r.iter().map(|z| 4.0 * z).collect::<Vec<_>>());
            let rows: Vec<Vec<f64>> = z.iter_rows().map(spread).collect();
            best = best.max(mean_field(&tasks, &model, o.alpha, &Matrix::from_rows(&rows))?.elbo());
        }
        let gap = evidence - best;
        lines.push(format!(
            "{truncation} sticks: log evidence {evidence:.6}, mean field {best:.6} (best of {STARTS} starts), gap {gap:.6}"
        ));
        sticks.push(
            json!({ "sticks": truncation, "log_evidence": real(evidence), "elbo": real(best), "gap": real(gap) }),
        );
    }
    let json = json!({
        "log_evidence": real(all.log_evidence), "partitions": all.partitions, "best": all.best, "best_probability": all.best_probability,
        "clusters": all.clusters, "prefixes": prefixes.iter().map(|p| real(*p)).collect::<Vec<_>>(), "sticks": sticks,
    });
    Ok(Sums { lines, json })
}

fn as_json(course: &Course) -> Value {
    let one = |c: &pushforward::continual::Curve| json!({ "name": c.name, "errors": c.errors, "clusters": c.clusters, "past": c.past(), "forgetting": c.forgetting() });
    course.curves.iter().map(one).collect()
}
