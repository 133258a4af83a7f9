//! `kind = "formula"`: log p~ written as a formula, compiled to tape operations, so that the score is exact.
//!
//! ```text
//! formula    = { name "=" expression ";" } expression
//! expression = term { ("+" | "-") term }
//! term       = factor { ("*" | "/") factor }
//! factor     = ("-" | "+") factor | power
//! power      = atom [ "^" factor ]
//! atom       = ( number | name | call | "(" expression ")" | "[" expression { "," expression } "]" ) { "[" index "]" }
//! call       = name "(" expression { "," expression } ")"
//!            | ("sum" | "prod" | "logsumexp" | "vector") "(" name "," first "," last "," expression ")"
//! index      = expression [ ("," | ":") expression ]
//! ```
//!
//! Values are numbers and vectors; constants of the file may be matrices. `x` is the point, `x1` or `x[1]` its first coordinate,
//! `x[2:4]` three of them, `dim` their number. Operators and elementary functions work entry by entry; a number goes with every entry.
//! In `sum(i, 1, dim - 1, …)` the index runs over whole numbers, both ends included, and its body is computed once for all of them,
//! as one wider matrix: the formula is never unrolled.

mod build;
mod calls;
mod functions;
mod lexer;
mod parser;
mod program;
mod reduce;
#[cfg(test)]
mod tests;
mod value;

use crate::target::source::{Excerpt, place_of};
use crate::target::support::{self, SupportKeys};
use crate::target::{Described, Reason};
use pushforward::density::{Density, TapeDensity};
use serde::Deserialize;
use std::sync::Arc;
use value::Value;

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(rename = "kind")]
    _kind: String,
    dim: i64,
    log_density: toml::Spanned<String>,
    #[serde(default)]
    constants: toml::Table,
    support: Option<SupportKeys>,
    #[serde(default)]
    source: String,
}

const KEYS: &[&str] = &["kind", "dim", "log_density", "constants", "support", "source"];

/// Most coordinates of a point.
pub(crate) const MAX_DIM: usize = 10_000;

/// A mistake in a formula: bytes [start, end) of it, and a sentence with the remedy.
#[derive(Debug, Clone, PartialEq)]
pub struct Mistake {
    /// Where it begins.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
    /// What is wrong, and what to write instead.
    pub sentence: String,
}

/// The density that `text` describes, with words about it.
pub(crate) fn describe(text: &str) -> Result<Described, Reason> {
    let keys: Keys =
        toml::from_str(text).map_err(|e| Reason::of_keys(text, &e, "formula", "dim and log_density", KEYS))?;
    let dim = usize::try_from(keys.dim).ok().filter(|d| (1..=MAX_DIM).contains(d));
    let dim = dim.ok_or_else(|| Reason::new(format!("dim = {}; give a number from 1 to {MAX_DIM}", keys.dim)))?;
    let constants = constants(&keys.constants)?;
    let formula = keys.log_density.get_ref();
    let density = compile(formula, dim, &constants).map_err(|mistake| {
        let at = place_of(text, keys.log_density.span(), formula, mistake.start);
        Reason {
            line: Some(at.line),
            column: Some(at.column),
            sentence: mistake.sentence,
            excerpt: Some(Excerpt::new(at, mistake.end - mistake.start)),
        }
    })?;
    let chart = keys.support.map(|s| support::chart(&s, dim)).transpose()?;
    let words = |(name, value): (&String, &toml::Value)| format!("{name} = {value}");
    let constants = keys.constants.iter().map(words).collect::<Vec<_>>().join("; ");
    let mut described = Described::new(density, formula.split_whitespace().collect::<Vec<_>>().join(" "), constants);
    described.source = keys.source;
    described.on(chart)
}

/// log p~ of a formula in `dim` coordinates and with these constants.
pub fn compile(formula: &str, dim: usize, constants: &[(String, Value)]) -> Result<Arc<dyn Density>, Mistake> {
    let program = parser::compile(formula, dim, constants)?;
    Ok(Arc::new(TapeDensity::new(dim, move |x| program.run(x))))
}

/// Numbers that the evaluation of a formula without constants holds for one point; None where it has a mistake.
pub fn numbers(formula: &str, dim: usize) -> Option<usize> {
    parser::compile(formula, dim, &[]).ok().map(|program| program.numbers)
}

/// The file's constants: numbers, lists of numbers, and lists of lists of the same length.
fn constants(table: &toml::Table) -> Result<Vec<(String, Value)>, Reason> {
    table.iter().map(|(name, value)| Ok((name.clone(), constant(name, value)?))).collect()
}

fn constant(name: &str, value: &toml::Value) -> Result<Value, Reason> {
    let bad = |why: String| {
        Reason::new(format!("constants: {name} {why}; give numbers, a list of numbers, or a list of such lists"))
    };
    let number = |v: &toml::Value| -> Result<f64, Reason> {
        let x = match v {
            toml::Value::Integer(k) => *k as f64,
            toml::Value::Float(x) => *x,
            other => return Err(bad(format!("holds {other}, which is not a number"))),
        };
        if x.is_finite() { Ok(x) } else { Err(bad(format!("holds {x}, which is not finite"))) }
    };
    let toml::Value::Array(rows) = value else { return Ok(Value::number(number(value)?)) };
    if !rows.iter().any(toml::Value::is_array) {
        let entries: Vec<f64> = rows.iter().map(number).collect::<Result<_, _>>()?;
        return if entries.is_empty() { Err(bad("is an empty list".into())) } else { Ok(Value::vector(entries)) };
    }
    let (mut entries, mut width) = (Vec::new(), None);
    for row in rows {
        let toml::Value::Array(row) = row else { return Err(bad(format!("has {row} among its rows"))) };
        if row.is_empty() || *width.get_or_insert(row.len()) != row.len() {
            return Err(bad(format!("has rows of {} and {} numbers", width.unwrap_or(0), row.len())));
        }
        for v in row {
            entries.push(number(v)?);
        }
    }
    Ok(Value::matrix(rows.len(), entries))
}
