//! metrics.jsonl, both ways.

use crate::failure::{Failure, Outcome};
use crate::files::read_text;
use crate::report::StepRow;
use serde_json::{Value, json};
use std::path::Path;

/// Version of its lines.
const VERSION: u32 = 1;

/// Longest file that is read: ten times the rows that a run writes.
const MAX_FILE: u64 = 64 << 20;

/// The file's text; numbers that are not finite (of a skipped step) are null.
pub fn text(steps: &[StepRow]) -> String {
    let line = |r: &StepRow| {
        let line = json!({
            "version": VERSION, "step": r.step, "objective": r.objective, "rms_drift": r.rms_drift, "bandwidth": r.bandwidth,
            "mean_log_p": r.mean_log_p, "effective_samples": r.effective_samples, "skipped": r.skipped,
        });
        format!("{line}\n")
    };
    steps.iter().map(line).collect()
}

/// The rows as they come back from the file: what is not finite is NaN.
pub fn written(steps: &[StepRow]) -> Vec<StepRow> {
    let known = |v: f64| if v.is_finite() { v } else { f64::NAN };
    let row = |r: &StepRow| StepRow {
        step: r.step,
        objective: known(r.objective),
        rms_drift: known(r.rms_drift),
        bandwidth: known(r.bandwidth),
        mean_log_p: known(r.mean_log_p),
        effective_samples: known(r.effective_samples),
        skipped: r.skipped,
    };
    steps.iter().map(row).collect()
}

/// The rows of a file.
pub fn read(path: &Path) -> Outcome<Vec<StepRow>> {
    let text = read_text(path, MAX_FILE)?;
    let row = |(k, line): (usize, &str)| {
        parse(line).map_err(|why| Failure::input(format!("{}, line {}: {why}", path.display(), k + 1)))
    };
    text.lines().enumerate().map(row).collect()
}

fn parse(line: &str) -> Result<StepRow, String> {
    let v: Value = serde_json::from_str(line).map_err(|e| format!("it is not JSON ({e})"))?;
    if v["version"] != VERSION {
        return Err(format!("it has version {}, not {VERSION}", v["version"]));
    }
    let number = |key: &str| match &v[key] {
        Value::Null => Ok(f64::NAN),
        value => value.as_f64().ok_or_else(|| format!("its {key} is {value}")),
    };
    Ok(StepRow {
        step: v["step"].as_u64().ok_or_else(|| format!("its step is {}", v["step"]))? as usize,
        objective: number("objective")?,
        rms_drift: number("rms_drift")?,
        bandwidth: number("bandwidth")?,
        mean_log_p: number("mean_log_p")?,
        effective_samples: number("effective_samples")?,
        skipped: v["skipped"].as_bool().ok_or_else(|| format!("its skipped is {}", v["skipped"]))?,
    })
}
