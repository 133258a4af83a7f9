//! `pushforward verify`: the theorems, each by two independent computations.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::write_file;
use crate::files::json::text;
use crate::progress::Progress;
use crate::report::theorems;
use crate::terminal::{note, print};
use crate::verification::{Request, Status, Tally, json, status, table};
use pushforward::verify::{Budget, Claim, Evidence};
use std::path::{Path, PathBuf};

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Theorems such as T1 or T05; all by default
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// One divergence instead of all: a name from 'list divergences', such as alpha:0.3, or your own, 'f(u) = ...' or 'w(r) = r^0.7'
    #[arg(long, value_name = "NAME|FORMULA")]
    divergence: Option<String>,
    /// Your own target: any density on the line or in the plane, by name or TOML file; T4, T5, T6 and T17 take all, the others mixtures
    #[arg(long, value_name = "FILE", requires = "q")]
    p: Option<String>,
    /// Your own model, likewise
    #[arg(long, value_name = "FILE", requires = "p")]
    q: Option<String>,
    /// Random pairs in this dimension only; both by default
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
    dim: Option<u8>,
    /// How many instances are drawn: seconds or minutes
    #[arg(long, value_enum, default_value_t = Length::Quick)]
    budget: Length,
    /// Key of all random draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print all evidence as JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Write a page with plots into this folder, as report.html; without it there is none
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Length {
    Quick,
    Full,
}

/// Runs the claims; fails where one does not hold or a false variant passes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let pair = arguments.p.as_deref().zip(arguments.q.as_deref());
    let request = Request::read(&arguments.ids, budget(arguments)?, pair, &mut note)?;
    if let Some(folder) = &arguments.report {
        refuse_switch(folder)?;
        std::fs::create_dir_all(folder).map_err(|e| Failure::io("create", folder, &e))?;
    }
    let evidence = check(&request.claims, &request.budget);
    let page = arguments.report.as_deref().map(|folder| write_report(folder, &request, &evidence)).transpose()?;
    if arguments.json {
        print(&text(&json(&request, &evidence)))?;
    } else {
        print(&table(&evidence))?;
    }
    if let Some(path) = page {
        note(format!("the report is {}", path.display()));
    }
    judge(&evidence)
}

/// Words that are meant as a switch, not as the name of a folder.
const SWITCHES: [&str; 9] = ["never", "always", "auto", "none", "no", "yes", "true", "false", "off"];

/// Refuses `--report never` and its like, which would make a folder of that name.
fn refuse_switch(folder: &Path) -> Outcome<()> {
    let Some(word) = folder.to_str().filter(|word| SWITCHES.contains(word)) else { return Ok(()) };
    Err(Failure::input(format!(
        "--report {word}: this option takes a folder for the page; leave it out for no page, or write ./{word} for a folder of that name"
    )))
}

fn budget(arguments: &Arguments) -> Outcome<Budget> {
    let mut budget = match arguments.budget {
        Length::Quick => Budget::quick(),
        Length::Full => Budget::full(),
    };
    budget = budget.with_seed(arguments.seed);
    if let Some(dim) = arguments.dim {
        budget = budget.with_dim(dim.into());
    }
    if let Some(name) = &arguments.divergence {
        budget = budget.with_divergence(pushforward::divergence::by_name(name)?);
    }
    Ok(budget)
}

fn check(claims: &[Claim], budget: &Budget) -> Vec<Evidence> {
    let progress = Progress::new(claims.len() as u64, "theorems");
    let run = |(k, claim): (usize, &Claim)| {
        let evidence = claim.run(budget);
        progress.at(k as u64 + 1);
        evidence
    };
    claims.iter().enumerate().map(run).collect()
}

fn write_report(folder: &Path, request: &Request, evidence: &[Evidence]) -> Outcome<PathBuf> {
    let path = folder.join("report.html");
    write_file(&path, theorems::html(request, evidence).as_bytes())?;
    Ok(path)
}

/// One sentence on the first thing that is wrong.
fn judge(evidence: &[Evidence]) -> Outcome<()> {
    let tally = Tally::of(evidence);
    let bad: Vec<&str> =
        evidence.iter().filter(|e| matches!(status(e), Status::Fails | Status::Unresolved)).map(|e| e.id).collect();
    if !bad.is_empty() {
        return Err(Failure::Refuted(format!(
            "{} did not pass: {} instances fail and {} stay unresolved",
            bad.join(", "),
            tally.failed,
            tally.unresolved
        )));
    }
    if tally.caught < tally.tried {
        return Err(Failure::Refuted(format!(
            "{} of {} instances of false variants were not caught",
            tally.tried - tally.caught,
            tally.tried
        )));
    }
    if tally.held == 0 {
        let reason = evidence.iter().flat_map(crate::verification::refusals).next().unwrap_or_default();
        return Err(Failure::input(format!("nothing could be checked, no instance meets the assumptions: {reason}")));
    }
    Ok(())
}
