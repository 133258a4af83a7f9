//! The table `[support]` of a target file: what coordinates are constrained to.
//!
//! ```toml
//! [support]
//! x1 = "positive"
//! x2 = [0, 1]            # an interval; [1, inf] and [-inf, 1] are half-lines
//! "x3:x5" = "simplex"    # positive with sum 1
//! "x6:x8" = "ordered"    # ascending
//! ```

use crate::target::Reason;
use pushforward::density::{Chart, Support};

/// The table as it is read.
pub(crate) type SupportKeys = toml::Table;

/// The chart that the table describes, over `dim` coordinates; those that are not named are real.
pub(crate) fn chart(table: &SupportKeys, dim: usize) -> Result<Chart, Reason> {
    let mut blocks: Vec<Option<Support>> = vec![None; dim];
    let mut covered: Vec<Option<&str>> = vec![None; dim];
    for (key, value) in table {
        let (from, to) = span(key, dim)?;
        if let Some(other) = covered[from..to].iter().flatten().next() {
            return Err(Reason::new(format!("support: {key} and {other} name the same coordinate; name each once")));
        }
        covered[from..to].fill(Some(key));
        match kind("support", key, value)? {
            Support::Simplex(_) => blocks[from] = Some(Support::Simplex(to - from)),
            Support::Ordered(_) => blocks[from] = Some(Support::Ordered(to - from)),
            each => blocks[from..to].fill(Some(each)),
        }
    }
    let free = |(block, key): (Option<Support>, Option<&str>)| block.or(key.is_none().then_some(Support::Real));
    let blocks = blocks.into_iter().zip(covered).filter_map(free).collect();
    Chart::new(blocks).map_err(|e| Reason::new(format!("support: {e}")))
}

/// The coordinates [from, to), from 0, that a key names.
fn span(key: &str, dim: usize) -> Result<(usize, usize), Reason> {
    let number = |name: &str| name.trim().strip_prefix('x').and_then(|digits| digits.parse::<usize>().ok());
    let (from, to) = match key.split_once(':') {
        _ if key == "x" => (Some(1), Some(dim)),
        Some((a, b)) => (number(a), number(b)),
        None => (number(key), number(key)),
    };
    match (from, to) {
        (Some(from), Some(to)) if from >= 1 && from <= to && to <= dim => Ok((from - 1, to)),
        (Some(_), Some(_)) => {
            Err(Reason::new(format!("support: {key} is out of range; the coordinates are x1 to x{dim}")))
        }
        _ => Err(Reason::new(format!("support: '{key}' names no coordinates; write x1, \"x2:x4\", or x for all"))),
    }
}

/// What a value says, in a table called `table`; a simplex and ordered coordinates without their number.
pub(crate) fn kind(table: &str, key: &str, value: &toml::Value) -> Result<Support, Reason> {
    let number = |v: &toml::Value| v.as_float().or(v.as_integer().map(|k| k as f64));
    match value {
        toml::Value::String(word) => match word.as_str() {
            "real" => Ok(Support::Real),
            "positive" => Ok(Support::Interval { low: 0.0, high: f64::INFINITY }),
            "simplex" => Ok(Support::Simplex(0)),
            "ordered" => Ok(Support::Ordered(0)),
            _ => Err(Reason::new(format!(
                "{table}: {key} = {}",
                pushforward::Error::unknown_name("support", word, &["real", "positive", "simplex", "ordered"])
            ))),
        },
        toml::Value::Array(ends) if ends.len() == 2 => match (number(&ends[0]), number(&ends[1])) {
            (Some(low), Some(high)) => Ok(Support::Interval { low, high }),
            _ => Err(Reason::new(format!(
                "{table}: {key} = {value}; the two ends of an interval are numbers, such as [0, 1]"
            ))),
        },
        _ => Err(Reason::new(format!(
            "{table}: {key} = {value}; write \"positive\", \"simplex\", \"ordered\", \"real\" or an interval [0, 1]"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that keys reach their coordinates in any order, and that each mistake is named.
    #[test]
    fn tables() {
        let read = |text: &str| chart(&toml::from_str(text).unwrap(), 6);
        let mixed = read("\"x3:x5\" = \"simplex\"\nx6 = [-1, inf]\nx1 = \"positive\"").unwrap();
        let positive = Support::Interval { low: 0.0, high: f64::INFINITY };
        let last = Support::Interval { low: -1.0, high: f64::INFINITY };
        assert_eq!(mixed, Chart::new(vec![positive, Support::Real, Support::Simplex(3), last]).unwrap());
        assert_eq!(read("x = [0, 1]").unwrap().free_dim(), 6);
        for (text, word) in [
            ("x7 = \"positive\"", "x1 to x6"),
            ("x0 = \"positive\"", "x1 to x6"),
            ("y = \"positive\"", "'y'"),
            ("x1 = \"positve\"", "did you mean positive"),
            ("x1 = [1, 0]", "interval from 1"),
            ("x1 = [0]", "x1 = [0]"),
            ("x1 = \"simplex\"", "simplex = 1"),
            ("x = \"positive\"\nx2 = [0, 1]", "same coordinate"),
        ] {
            let answer = read(text).unwrap_err().sentence;
            assert!(answer.contains(word), "{text}: {answer}");
        }
    }
}
