//! The library's metrics as rows of a page and as JSON.

use crate::files::json::real;
use crate::report::{MetricRow, TestRow};
use pushforward::metric::{Metric, Report, Test};
use serde_json::{Value, json};

/// A row of the report's table.
pub fn row(metric: &Metric) -> MetricRow {
    let note = if metric.note.is_empty() { String::new() } else { format!(" ({})", metric.note) };
    MetricRow {
        name: metric.name(),
        value: metric.value,
        floor: metric.floor.as_ref().map(|f| (f.mean, f.spread)),
        meaning: metric.kind.meaning.to_owned() + &note,
        judge: metric.kind.judge,
    }
}

/// The metrics as JSON: the part of summary.json and of `evaluate --json` that is promised to stay.
pub fn to_json(report: &Report) -> Value {
    let metrics: Vec<Value> = report.metrics.iter().map(metric_json).collect();
    let modes = report
        .modes
        .as_ref()
        .map(|m| json!({ "count": m.modes, "covered": m.covered, "masses": m.masses, "truths": m.truths }));
    let tests: Vec<Value> = report.tests.iter().map(test_json).collect();
    json!({ "metrics": metrics, "modes": modes, "tests": tests })
}

/// A row of the report's table of tests.
pub fn test_row(test: &Test) -> TestRow {
    TestRow {
        name: test.kind.name.into(),
        statistic: test.statistic,
        p_value: test.p_value,
        size: test.size,
        meaning: format!("{} ({})", test.kind.question, test.note),
    }
}

/// A test as JSON; a test that was not done has nulls.
fn test_json(t: &Test) -> Value {
    let known = |x: f64| if x.is_nan() { Value::Null } else { real(x) };
    json!({ "test": t.kind.key, "statistic": known(t.statistic), "p_value": known(t.p_value), "samples": t.size, "note": t.note })
}

fn metric_json(m: &Metric) -> Value {
    let floor =
        m.floor.as_ref().map(|f| json!({ "mean": real(f.mean), "spread": real(f.spread), "repeats": f.repeats }));
    json!({
        "metric": m.kind.key,
        "name": m.name(),
        "value": real(m.value),
        "floor": floor,
        "z": m.z().map(real),
        "samples": m.size,
        "blocks": m.blocks,
        "note": m.note,
    })
}
