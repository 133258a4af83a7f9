//! The library's metrics in words: a stable key for files, a title and a meaning for people.

use crate::files::json::real;
use crate::report::{Judge, MetricRow, TestRow, count};
use pushforward::metric::{Metric, Report, Test};
use serde_json::{Value, json};

/// What is said about a metric whose name starts with `prefix`.
struct Words {
    prefix: &'static str,
    /// Key in JSON; never changes.
    key: &'static str,
    title: &'static str,
    meaning: &'static str,
    judge: Judge,
}

const fn words(
    prefix: &'static str,
    key: &'static str,
    title: &'static str,
    judge: Judge,
    meaning: &'static str,
) -> Words {
    Words { prefix, key, title, meaning, judge }
}

/// Longer prefixes first where one starts another.
const TABLE: &[Words] = &[
    words(
        "mean log p",
        "mean_log_density",
        "mean log p",
        Judge::Difference,
        "Average log-density of the samples. Higher than exact samples: modes too narrow or tails missing; lower: stray samples.",
    ),
    words(
        "outside the support",
        "outside_support",
        "share outside the support",
        Judge::Difference,
        "Share of samples where the target has no density at all; exact samples are never there.",
    ),
    words(
        "modes covered",
        "modes_covered",
        "modes covered",
        Judge::Difference,
        "Modes that got at least a fifth of the mass they should have.",
    ),
    words(
        "mode-mass TV",
        "mode_mass_tv",
        "mode-mass total variation",
        Judge::Ratio,
        "Half the summed difference between the modes' shares and the truth: the share of samples that sit in the wrong mode.",
    ),
    words(
        "beyond 4 sigma",
        "beyond_4_sigma",
        "share beyond 4σ",
        Judge::Ratio,
        "Share of samples farther than 4 standard deviations from every mode: bridges between modes, and strays.",
    ),
    words(
        "variance ratio",
        "variance_ratio",
        "variance ratio in modes",
        Judge::Difference,
        "Spread within modes over that of exact samples; 1 is right, less is too narrow.",
    ),
    words(
        "sliced W2",
        "sliced_w2",
        "sliced W2",
        Judge::Ratio,
        "Wasserstein distance to exact samples, averaged (in squares) over one-dimensional projections.",
    ),
    words(
        "W2",
        "w2",
        "W2",
        Judge::Ratio,
        "Least root mean square distance by which samples must move to become exact ones, by exact assignment.",
    ),
    words(
        "MMD",
        "mmd2",
        "MMD²",
        Judge::Ratio,
        "Squared distance of kernel means; sees shape at the scale of the kernel, hardly sees masses of far modes.",
    ),
    words(
        "energy distance",
        "energy_distance",
        "energy distance",
        Judge::Ratio,
        "A distance of laws from mean pairwise distances; sees the large scale first.",
    ),
];

fn find(name: &str) -> Option<&'static Words> {
    TABLE.iter().find(|w| name.starts_with(w.prefix))
}

/// A row of the report's table.
pub fn row(metric: &Metric) -> MetricRow {
    let words = find(&metric.name);
    // Distances name the number of samples; shares and means use all of them.
    let sized = if metric.name.contains(" at ") { format!(", {} samples", count(metric.size)) } else { String::new() };
    let title = words.map_or(metric.name.as_str(), |w| w.title);
    let note = if metric.note.is_empty() { String::new() } else { format!(" ({})", metric.note) };
    MetricRow {
        name: format!("{title}{sized}"),
        value: metric.value,
        floor: metric.floor.as_ref().map(|f| (f.mean, f.spread)),
        meaning: words.map_or("", |w| w.meaning).to_owned() + &note,
        judge: words.map_or(Judge::Ratio, |w| w.judge),
    }
}

/// A metric by its key; the first where several sizes were computed.
pub fn by_key<'a>(report: &'a Report, key: &str) -> Option<&'a Metric> {
    report.metrics.iter().find(|m| find(&m.name).is_some_and(|w| w.key == key))
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

/// (name in the library, key in JSON, what is asked) of each test.
const TESTS: [(&str, &str, &str); 3] = [
    ("mode masses", "mode_masses", "Does every mode have its share?"),
    ("MMD", "mmd", "Do the samples and exact ones have one law?"),
    ("KSD", "ksd", "Do the samples fit the score of the target?"),
];

/// A row of the report's table of tests.
pub fn test_row(test: &Test) -> TestRow {
    let question = TESTS.iter().find(|t| t.0 == test.name).map_or("", |t| t.2);
    TestRow {
        name: test.name.clone(),
        statistic: test.statistic,
        p_value: test.p_value,
        size: test.size,
        meaning: format!("{question} ({})", test.note),
    }
}

/// A test as JSON; a test that was not done has nulls.
fn test_json(t: &Test) -> Value {
    let known = |x: f64| if x.is_nan() { Value::Null } else { real(x) };
    let key = TESTS.iter().find(|k| k.0 == t.name).map_or(t.name.as_str(), |k| k.1);
    json!({ "test": key, "statistic": known(t.statistic), "p_value": known(t.p_value), "samples": t.size, "note": t.note })
}

fn metric_json(m: &Metric) -> Value {
    let floor =
        m.floor.as_ref().map(|f| json!({ "mean": real(f.mean), "spread": real(f.spread), "repeats": f.repeats }));
    json!({
        "metric": find(&m.name).map_or(m.name.as_str(), |w| w.key),
        "name": m.name,
        "value": real(m.value),
        "floor": floor,
        "z": m.z().map(real),
        "samples": m.size,
        "blocks": m.blocks,
        "note": m.note,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::density::by_name;
    use pushforward::metric::{Options, evaluate};

    /// Checks that every metric and test that the library computes has a key and words, and no two metrics of one size share a key.
    #[test]
    fn every_metric_has_words() {
        let p = by_name("ring8").unwrap();
        let options = Options {
            truth_size: 2000,
            log_density_size: 2000,
            transport_sizes: vec![50, 100],
            sliced_size: 100,
            pair_size: 100,
            repeats: 2,
            ..Options::default()
        };
        let report = evaluate(&*p, &p.sample(200, 1).unwrap(), &options).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for m in &report.metrics {
            let words = find(&m.name).unwrap_or_else(|| panic!("'{}' has no words", m.name));
            assert!(seen.insert((words.key, m.size)), "{}", m.name);
            assert!(!row(m).meaning.is_empty());
        }
        let names: Vec<&str> = report.tests.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, TESTS.map(|t| t.0), "every test has words");
    }
}
