//! `pushforward compare`: which divergence repairs what, on the user's own target.

use crate::comparison::{Comparison, Plan, Ruler, compare, method, table};
use crate::failure::{Failure, Outcome};
use crate::files::json;
use crate::report::comparison::html;
use crate::run_folder::RunFolder;
use crate::terminal::{note, print};
use crate::{signal, target};
use pushforward::divergence::{self, Divergence};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Divergences of all elasticities: 0, 1, r/(1+r), 2 and -1.
const DEFAULT: &str = "reverse-kl,forward-kl,jensen-shannon,pearson,neyman";

/// Arguments of `compare`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A name from 'list targets', or the path of a TOML file
    target: String,
    /// Methods, by commas: names from 'list methods', or from 'list velocities' for particles that follow one
    #[arg(long, value_delimiter = ',', default_value = pushforward::run::DEFAULT)]
    methods: Vec<String>,
    /// Names from 'list divergences', by commas, or 'all' [default: reverse-kl,forward-kl,jensen-shannon,pearson,neyman; with --budget
    /// each method's own]
    #[arg(long, value_delimiter = ',')]
    divergences: Option<Vec<String>>,
    /// References of flow-lv, by commas: model, gaussian, geometric:EXPONENT, replay
    #[arg(long, value_delimiter = ',', default_value = "replay")]
    references: Vec<String>,
    /// Runs of each, with the seeds 0, 1, …
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Training steps of every run [default: the method's own choice]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Evaluations of log p~ or its score that each run may spend on search and training; all methods know the target by these alone
    #[arg(long, value_name = "EVALUATIONS", conflicts_with = "steps", value_parser = clap::value_parser!(u64).range(1..))]
    budget: Option<u64>,
    /// Any key of the configuration of the runs, such as --set batch=512; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Folder of the report [default: runs/compare-TARGET]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace an existing folder of the same name
    #[arg(long)]
    force: bool,
    /// Print JSON for programs instead of a table for people
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// The divergences that were asked for; none where each method's own will do.
    fn divergences(&self) -> Vec<String> {
        let default =
            || if self.budget.is_some() { Vec::new() } else { DEFAULT.split(',').map(String::from).collect() };
        self.divergences.clone().unwrap_or_else(default)
    }
}

/// Compares, writes the folder, prints the table. Where a run did not sample the target the files are written all the same, and that is said.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let plan = plan(arguments)?;
    plan.check()?;
    let short = target::short_name(&plan.target.name);
    let path = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("compare-{short}")));
    let mut folder = RunFolder::create(&path, arguments.force, &config(&plan))?;
    signal::watch();
    let ruler = if plan.budget.is_some() { Ruler::of_particles(&plan.target) } else { Ruler::new(&plan.target) };
    let comparison = compare(&plan, &ruler)?;
    if comparison.cells.is_empty() {
        return Err(Failure::Interrupted(format!(
            "stopped by {} before the first run was complete; nothing was written",
            signal::name()
        )));
    }
    let json = json::text(&table::json(&plan, &comparison, &ruler));
    folder.write("comparison.json", json.as_bytes())?;
    folder.write("report.html", html(&plan, &comparison, &ruler, &command(arguments)).as_bytes())?;
    folder.finish(&[])?;
    let shown = folder.shown();
    let lost = table::failures(&comparison);
    lost.iter().cloned().for_each(note);
    if arguments.json {
        print(&json)?;
    } else {
        print(&text(&plan, &comparison, &ruler, shown))?;
    }
    if comparison.interrupted {
        let shown = shown.display();
        let name = signal::name();
        return Err(Failure::Interrupted(format!("stopped by {name}; the complete runs are in {shown}")));
    }
    if !lost.is_empty() {
        let (count, all) = (lost.len(), comparison.cells.iter().map(|c| c.trials.len()).sum::<usize>());
        let shown = shown.display();
        return Err(Failure::NotToBeTrusted(format!(
            "{count} of {all} runs did not sample the target, and their rows are not to be trusted; all rows are in {shown}"
        )));
    }
    Ok(())
}

fn text(plan: &Plan, comparison: &Comparison, ruler: &Ruler, path: &Path) -> String {
    format!(
        "{}: mean ± standard deviation over {} seed{}\n\n{}\n\
         A transient settles when it stays within twice the figure of exact samples. No figure proves that no mode was missed.\n\
         written to {}; open {}/report.html\n",
        plan.target.name,
        plan.seeds,
        if plan.seeds == 1 { "" } else { "s" },
        table::text(comparison, ruler),
        path.display(),
        path.display()
    )
}

fn plan(arguments: &Arguments) -> Outcome<Plan> {
    let target = target::load(&arguments.target, &mut note)?;
    let seen = Plan::seen(&target, arguments.budget);
    let methods = distinct(&arguments.methods).into_iter().map(|n| method(n, &seen)).collect::<Outcome<Vec<_>>>()?;
    let divergences = match &*distinct(&arguments.divergences()) {
        ["all"] => divergence::all_divergences(),
        names => {
            names.iter().map(|n| divergence::by_name(n)).collect::<pushforward::Result<Vec<Arc<dyn Divergence>>>>()?
        }
    };
    Ok(Plan {
        target,
        methods,
        divergences,
        references: distinct(&arguments.references).into_iter().map(String::from).collect(),
        seeds: arguments.seeds,
        steps: arguments.steps,
        budget: arguments.budget,
        settings: arguments.settings.clone(),
    })
}

/// The names in order, each once, without spaces.
fn distinct(names: &[String]) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    names.iter().map(|n| n.trim()).for_each(|n| {
        if !all.contains(&n) {
            all.push(n);
        }
    });
    all
}

/// What was compared, for people and programs; it also marks the folder as one that --force may replace.
fn config(plan: &Plan) -> String {
    let mut table = toml::Table::new();
    let list =
        |names: Vec<&str>| toml::Value::Array(names.into_iter().map(|n| toml::Value::String(n.into())).collect());
    table.insert("name".into(), toml::Value::String(plan.target.name.clone()));
    table.insert("methods".into(), list(plan.methods.iter().map(|m| m.name.as_str()).collect()));
    table.insert("divergences".into(), list(plan.divergences.iter().map(|d| d.name()).collect()));
    table.insert("references".into(), list(plan.references.iter().map(String::as_str).collect()));
    table.insert("seeds".into(), toml::Value::Integer(plan.seeds as i64));
    if let Some(budget) = plan.budget {
        table.insert("budget".into(), toml::Value::Integer(budget as i64));
    }
    if let Some(steps) = plan.steps {
        table.insert("steps".into(), toml::Value::Integer(steps as i64));
    }
    table.insert("set".into(), list(plan.settings.iter().map(String::as_str).collect()));
    table.insert("target".into(), plan.target.definition.clone());
    toml::to_string(&table).expect("a table can be written")
}

/// The command line that repeats the comparison.
fn command(arguments: &Arguments) -> String {
    let steps = arguments.steps.map_or(String::new(), |n| format!(" --steps {n}"));
    let budget = arguments.budget.map_or(String::new(), |n| format!(" --budget {n}"));
    let divergences = arguments.divergences().join(",");
    let divergences = if divergences.is_empty() { divergences } else { format!(" --divergences {divergences}") };
    let settings: String = arguments.settings.iter().map(|s| format!(" --set '{s}'")).collect();
    format!(
        "pushforward compare {} --methods {}{divergences} --references {} --seeds {}{steps}{budget}{settings}",
        arguments.target,
        arguments.methods.join(","),
        arguments.references.join(","),
        arguments.seeds
    )
}
