//! Evaluations of the target by what they were for, in JSON and in a line.

use crate::style::count;
use pushforward::density::{Count, Counts, Phase};
use serde_json::{Map, Value, json};

/// For summary.json and comparison.json: points at which log p~ alone, and at which the score was asked for, of each phase.
pub fn to_json(counts: &Counts) -> Value {
    let one = |phase: Phase| {
        let Count { log_density, score } = counts.of(phase);
        (phase.name().to_string(), json!({ "log_density": log_density, "score": score }))
    };
    Phase::ALL.map(one).into_iter().collect::<Map<_, _>>().into()
}

/// Of one phase, as [`to_json`] wrote it; 0 where a summary has no such number.
pub fn of_json(value: &Value, phase: Phase) -> Count {
    let read = |kind: &str| value[phase.name()][kind].as_u64().unwrap_or(0);
    Count { log_density: read("log_density"), score: read("score") }
}

/// One sentence: all points, and those of each phase that has some.
pub fn sentence(counts: &Counts) -> String {
    let words = |c: Count| match (c.log_density, c.score) {
        (l, 0) => format!("{} of log p~", count(l as usize)),
        (0, s) => format!("{} of the score", count(s as usize)),
        (l, s) => format!("{} of log p~, {} of the score", count(l as usize), count(s as usize)),
    };
    let each = Phase::ALL.into_iter().filter(|p| counts.of(*p).total() > 0);
    let each: Vec<String> = each.map(|p| format!("{} {}", p.name(), words(counts.of(p)))).collect();
    match counts.all().total() {
        0 => "the target was not evaluated".into(),
        all => format!("{} evaluations of the target: {}", count(all as usize), each.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that counts come back from their JSON, and that the sentence adds them up and leaves out what is 0.
    #[test]
    fn counts_in_words() {
        let mut counts = Counts::default();
        assert_eq!(sentence(&counts), "the target was not evaluated");
        counts.add(Phase::Search, Count { log_density: 1200, score: 0 });
        counts.add(Phase::Training, Count { log_density: 30, score: 4 });
        let json = to_json(&counts);
        Phase::ALL.into_iter().for_each(|p| assert_eq!(of_json(&json, p), counts.of(p)));
        assert_eq!(of_json(&Value::Null, Phase::Search), Count::default());
        let words = "1,234 evaluations of the target: search 1,200 of log p~; training 30 of log p~, 4 of the score";
        assert_eq!(sentence(&counts), words);
    }
}
