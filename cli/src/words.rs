//! The library's metrics as rows of a page, as text and as JSON.

use crate::files::json::real;
use crate::record::{MetricRow, TestRow};
use crate::report::comparison;
use crate::style::{count, number};
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

/// The metrics as aligned text; what became of samples that a figure is not about stands below it.
pub fn table(report: &Report) -> String {
    let all = report.metrics.iter().map(|m| m.size * m.blocks).max().unwrap_or(0);
    let head = format!("{:<34}{:>12}{:>12}{:>11}{:>12}", "metric", "value", "floor", "± spread", "comparison");
    let mut text = format!("{head}{:>11}\n", "samples");
    for (metric, row) in report.metrics.iter().map(|m| (m, row(m))) {
        let MetricRow { name, value, floor, .. } = &row;
        let (mean, spread) = floor.map_or(("–".into(), "–".into()), |(m, s)| (number(m, 4), number(s, 2)));
        let used = metric.size * metric.blocks;
        text += &format!("{name:<34}{:>12}{mean:>12}{spread:>11}{:>12}", number(*value, 4), comparison(&row));
        text += &format!("{:>11}\n", count(used));
        if used < all || !value.is_finite() {
            text += &format!("    {}\n", metric.note);
        }
    }
    if !report.tests.is_empty() {
        text += &format!("\n{:<34}{:>12}{:>12}{:>11}\n", "test", "statistic", "p-value", "samples");
    }
    for t in &report.tests {
        let (statistic, p) = (number(t.statistic, 3), number(t.p_value, 2));
        text += &format!("{:<34}{statistic:>12}{p:>12}{:>11}\n    {}\n", t.kind.name, count(t.size), t.note);
    }
    text + "\nThe floor is the same figure for exact samples of the same number, ± its spread from set to set. The comparison is value / floor for\n\
            distances and value - floor for levels. A p-value is the chance of such a statistic for exact samples. No figure proves that no\n\
            mode was missed.\n"
}
