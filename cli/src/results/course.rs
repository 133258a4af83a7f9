//! How a training went, in the numbers and words of summary.json: what the report says beside what it draws.

use crate::evaluations;
use crate::failure::{Failure, Outcome};
use crate::files::read_text;
use crate::opened::MAX_SUMMARY;
use crate::report::{count, number};
use crate::training::{Ending, Job, Snapshot};
use pushforward::density::{Counts, Phase};
use serde_json::Value;
use std::path::Path;

/// How a training went.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Its ending as summary.json names it.
    pub ending: String,
    /// Steps taken.
    pub taken: u64,
    /// Steps that were left out.
    pub skipped: u64,
    /// The first reason for that.
    pub first_fault: Option<String>,
    /// Wall time of the training.
    pub seconds: f64,
    /// Threads that it had.
    pub threads: u64,
    /// Evaluations of the target by the run itself: its search and its training.
    pub counts: Counts,
}

/// (name in summary.json, words behind the number of steps) of each ending.
const ENDINGS: [(&str, &str); 5] = [
    ("complete", ""),
    ("interrupted", ", stopped by Ctrl-C"),
    ("time-limit", ", stopped by --max-time"),
    ("target-not-finite", ", stopped because the target was not finite"),
    ("none", " so far"),
];

impl Course {
    /// That of a training which this process did.
    pub fn of(run: &Snapshot, ending: &Ending) -> Self {
        let ending = match ending {
            Ending::Complete => "complete",
            Ending::Interrupted => "interrupted",
            Ending::TimeLimit => "time-limit",
            Ending::Faulty(_) => "target-not-finite",
        };
        Self::so_far(run, ending)
    }

    /// That of a training up to a checkpoint.
    pub fn so_far(run: &Snapshot, ending: &str) -> Self {
        Self {
            ending: ending.into(),
            taken: run.taken,
            skipped: run.faults.skipped,
            first_fault: run.faults.first.as_ref().map(ToString::to_string),
            seconds: run.seconds,
            threads: rayon::current_num_threads() as u64,
            counts: run.counts,
        }
    }

    /// That of the summary.json of a run folder, with the whole of it; None where there is none.
    pub fn read(folder: &Path) -> Outcome<Option<(Self, Value)>> {
        let path = folder.join("summary.json");
        if !path.exists() {
            return Ok(None);
        }
        let bad = |why: &str| Failure::input(format!("{}: {why}; this is no summary of a run", path.display()));
        let summary: Value = crate::files::json::parse(&read_text(&path, MAX_SUMMARY)?)
            .map_err(|e| bad(&format!("it is not JSON ({e})")))?;
        if summary["version"] != 2 {
            return Err(bad(&format!("it has version {}, not 2", summary["version"])));
        }
        let whole = |key: &str| summary[key].as_u64().ok_or_else(|| bad(&format!("its {key} is {}", summary[key])));
        let ending = summary["ending"].as_str().filter(|e| ENDINGS.iter().any(|known| known.0 == *e));
        let seconds = summary["train_seconds"].as_f64().ok_or_else(|| bad("it has no train_seconds"))?;
        let mut counts = Counts::default();
        for phase in [Phase::Search, Phase::Training] {
            counts.add(phase, evaluations::of_json(&summary["evaluations"], phase));
        }
        let course = Self {
            ending: ending.ok_or_else(|| bad(&format!("its ending is {}", summary["ending"])))?.into(),
            taken: whole("steps")?,
            skipped: whole("skipped_steps")?,
            first_fault: summary["first_fault"].as_str().map(str::to_owned),
            seconds,
            threads: whole("threads")?,
            counts,
        };
        Ok(Some((course, summary)))
    }

    /// One sentence on how the run went.
    pub fn sentence(&self, job: &Job, precision: &str, parameters: usize) -> String {
        let how = ENDINGS.iter().find(|known| known.0 == self.ending).map_or("", |known| known.1);
        let size = if parameters == 0 { String::new() } else { format!(", {} parameters", count(parameters)) };
        format!(
            "{} of {} steps in {} s on {} threads{how}; {precision}, seed {}{size}",
            count(self.taken as usize),
            count(job.steps() as usize),
            number(self.seconds, 3),
            self.threads,
            job.seed(),
        )
    }

    /// What should be known about steps that were left out.
    pub fn faults(&self) -> Option<String> {
        let first = self.first_fault.as_ref()?;
        Some(format!("{} of {} steps were left out; the first reason: {first}", self.skipped, self.taken))
    }
}
