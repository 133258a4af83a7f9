//! `kind = "formula"`: log p~ written as a formula, compiled to tape operations, so that the score is exact.
//!
//! ```text
//! formula    = { name "=" expression ";" | expression "~" name "(" arguments ")" ";" } [ expression ]
//! expression = conjunction { "||" conjunction }
//! conjunction = comparison { "&&" comparison }
//! comparison = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum ]
//! sum        = term { ("+" | "-") term }
//! term       = factor { ("*" | "/") factor }
//! factor     = ("-" | "+" | "!") factor | power
//! power      = atom [ "^" factor ]
//! atom       = ( number | name | call | "(" expression ")" | "[" expression { "," expression } "]" ) { "[" index "]" }
//! call       = name "(" arguments ")"
//!            | ("sum" | "prod" | "logsumexp" | "vector") "(" name "," first "," last "," expression ")"
//! arguments  = expression { "," expression }
//! index      = expression [ ("," | ":") expression ]
//! ```
//!
//! Values are numbers, vectors and matrices. Without `[parameters]` `x` is the point, `x1` or `x[1]` its first coordinate, `x[2:4]` three of
//! them, `dim` their number. `y ~ normal(m, s)` adds `normal_lpdf(y, m, s)`, the sum over the entries. A comparison is 1 or 0; in
//! `where(condition, a, b)` the branch that is not taken may be NaN, in value and gradient. `#` begins a comment. Operators and elementary functions work entry by entry; a number goes with every entry.
//! In `sum(i, 1, dim - 1, …)` the index runs over whole numbers, both ends included, and its body is computed once for all of them,
//! as one wider matrix: the formula is never unrolled.

mod build;
mod calls;
mod expressions;
mod families;
mod functions;
mod lexer;
pub(super) mod parameters;
mod parser;
mod program;
mod reduce;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use crate::memory;
use crate::target::coordinates::{Coordinates, Named};
use crate::target::data::{self, Files, Prints};
use crate::target::source::{Excerpt, place_of};
use crate::target::support::{self, SupportKeys};
use crate::target::symmetry;
use crate::target::{Described, Reason};
pub(crate) use parameters::Parameters;
use parser::Source;
pub(crate) use program::Program;
use pushforward::density::{Chart, Density, Domain, Support, TapeDensity};
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use value::Value;

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(rename = "kind")]
    _kind: String,
    dim: Option<i64>,
    log_density: toml::Spanned<String>,
    parameters: Option<toml::Table>,
    #[serde(default)]
    constants: toml::Table,
    data: Option<Files>,
    data_checksum: Option<Prints>,
    support: Option<SupportKeys>,
    /// A period for each coordinate: the points live on a torus.
    period: Option<Vec<f64>>,
    symmetry: Option<symmetry::Keys>,
    #[serde(default)]
    generated: HashMap<String, toml::Spanned<String>>,
    #[serde(default)]
    source: String,
}

const KEYS: &[&str] = &[
    "kind",
    "dim",
    "log_density",
    "parameters",
    "constants",
    "data",
    "data_checksum",
    "support",
    "period",
    "symmetry",
    "generated",
    "source",
];

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

/// The density that `text` describes, with words about it; files of data are looked for beside `base`.
pub(crate) fn describe(text: &str, base: &Path, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let keys: Keys = toml::from_str(text).map_err(|e| {
        Reason::of_keys(text, &e, "formula", "log_density, and either dim or a table [parameters]", KEYS)
    })?;
    let mut constants = constants(&keys.constants)?;
    let read =
        keys.data.as_ref().map(|files| data::read(files, keys.data_checksum.as_ref(), base, note)).transpose()?;
    let parameters = keys.parameters.as_ref();
    let words = constants.iter().map(|(name, _)| format!("{name} = {}", keys.constants[name]));
    let mut words: Vec<String> = words.collect();
    for (name, value) in read.iter().flat_map(|data| &data.constants) {
        // a table may have columns that no formula can name
        if parser::is_reserved(name, parameters.is_none()) {
            note(format!("data: '{name}' has a meaning of its own in formulas and is left out"));
            continue;
        }
        words.push(format!("{name}: {}", value.words()));
        constants.push((name.clone(), value.clone()));
    }
    let parameters = parameters.map(|table| Parameters::of(table, &constants)).transpose()?;
    let dim = dimension(&keys, parameters.as_ref())?;
    let generated = generated(text, &keys)?;
    let formula = keys.log_density.get_ref();
    let source =
        Source { text: formula, dim, parameters: parameters.as_ref(), constants: &constants, generated: &generated };
    let program = Arc::new(parser::compile(&source).map_err(|(part, mistake)| {
        let spanned = part.map_or(&keys.log_density, |k| &keys.generated[&generated[k].0]);
        let at = place_of(text, spanned.span(), spanned.get_ref(), mistake.start);
        Reason {
            line: Some(at.line),
            column: Some(at.column),
            sentence: mistake.sentence,
            excerpt: Some(Excerpt::new(at, mistake.end - mistake.start)),
        }
    })?);
    let chart = match (&parameters, keys.support) {
        (Some(parameters), None) => Some(parameters.chart().clone()),
        (Some(_), Some(_)) => {
            return Err(Reason::new(
                "[support] stands beside [parameters]; say it there: tau = { support = \"positive\" }",
            ));
        }
        (None, support) => support.map(|s| support::chart(&s, dim)).transpose()?,
    };
    let shown = formula.lines().map(|line| line.split('#').next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut density = density(&program, dim)?;
    if let Some(keys) = &keys.symmetry {
        if chart.as_ref().is_some_and(|c| !c.is_identity()) {
            return Err(Reason::new(
                "[symmetry] stands beside a support, whose boundary no turn keeps; remove one of them",
            ));
        }
        density = symmetry::told(density, keys)?;
    }
    let domain = match &keys.period {
        Some(period) => torus(period, &*density, chart.as_ref())?,
        None => Domain::Euclidean,
    };
    let mut described = Described { domain, ..Described::new(density, shown, words.join("; ")) };
    described.source = keys.source;
    if let Some(data) = read {
        described.replace("data", data.files);
        described.replace("data_checksum", data.prints);
    }
    if parameters.is_none() && !program.generates() {
        return described.on(chart);
    }
    let names = parameters.map_or_else(|| (1..=dim).map(|j| format!("x{j}")).collect(), |p| p.names());
    let chart = chart.map_or_else(|| Chart::new(vec![Support::Real; dim]), Ok);
    let chart = chart.map_err(|e| Reason::new(e.to_string()))?;
    let named = Named::new(chart.clone(), names, program.generates().then_some(program));
    let described = if chart.is_identity() { described } else { described.on(Some(chart))? };
    Ok(Described { coordinates: Coordinates::Named(Arc::new(named)), ..described })
}

/// The torus of these periods, where the density has them.
fn torus(period: &[f64], density: &dyn Density, chart: Option<&Chart>) -> Result<Domain, Reason> {
    let (d, found) = (density.dim(), period.len());
    if found != d {
        return Err(Reason::new(format!("period has {found} numbers; give one for each of the {d} coordinates")));
    }
    if chart.is_some_and(|c| !c.is_identity()) {
        return Err(Reason::new("period stands beside a support, which a torus has not; remove one of them"));
    }
    let domain = Domain::Torus(period.to_vec());
    domain.fits(density).map_err(|e| Reason::new(e.to_string()))?;
    Ok(domain)
}

/// The coordinates of a definition with `[parameters]`, without its data; None where these are needed.
pub(crate) fn coordinates_without_data(definition: &toml::Table) -> Option<Coordinates> {
    let parameters = definition.get("parameters").and_then(toml::Value::as_table)?;
    let alone = |p: &Parameters| !definition.contains_key("generated") && p.bounded().is_none();
    let parameters = Parameters::of(parameters, &[]).ok().filter(alone)?;
    Some(Coordinates::Named(Arc::new(Named::new(parameters.chart().clone(), parameters.names(), None))))
}

/// d: the key dim, or what the parameters have.
fn dimension(keys: &Keys, parameters: Option<&Parameters>) -> Result<usize, Reason> {
    match (parameters.map(|p| p.chart().dim()), keys.dim) {
        (Some(d), None) => Ok(d),
        (Some(d), Some(dim)) if d as i64 == dim => Ok(d),
        (Some(d), Some(dim)) => Err(Reason::new(format!("dim = {dim}, but [parameters] has {d} numbers; remove dim"))),
        (None, None) => Err(Reason::new(
            "the key 'dim' is missing; a formula needs log_density, and either dim or a table [parameters]",
        )),
        (None, Some(dim)) => {
            let d = usize::try_from(dim).ok().filter(|d| (1..=MAX_DIM).contains(d));
            d.ok_or_else(|| Reason::new(format!("dim = {dim}; give a number from 1 to {MAX_DIM}")))
        }
    }
}

/// The generated quantities in the order of the file.
fn generated(text: &str, keys: &Keys) -> Result<Vec<(String, String)>, Reason> {
    let mut all: Vec<_> = keys.generated.iter().collect();
    let table: toml::Table = toml::from_str(text).map_err(|e| Reason::of_toml(text, &e))?;
    let order = table.get("generated").and_then(toml::Value::as_table);
    let place = |name: &str| order.and_then(|table| table.keys().position(|key| key == name));
    all.sort_by_key(|(name, _)| place(name));
    Ok(all.into_iter().map(|(name, formula)| (name.clone(), formula.get_ref().clone())).collect())
}

/// log p~ of a program, with the memory that its evaluation takes.
fn density(program: &Arc<Program>, dim: usize) -> Result<Arc<dyn Density>, Reason> {
    let rows = program.rows_at_a_time();
    // values and cotangents, and what the cotangents are computed from
    let needed = 3 * 8 * (program.numbers * rows) as u128 * rayon::current_num_threads() as u128;
    let what = format!("the formula, with {} numbers for a point", program.numbers);
    memory::enough(needed, &what, "use fewer or shorter loops, or fewer threads")
        .map_err(|e| Reason::new(e.to_string()))?;
    let run = Arc::clone(program);
    let density = TapeDensity::new(dim, move |x| run.run(x)).rows_at_a_time(rows);
    Ok(if program.branches { Arc::new(density.with_branches()) } else { Arc::new(density) })
}

/// log p~ of a formula of our own, and its program.
pub(crate) fn of_parts(
    text: &str,
    parameters: &Parameters,
    constants: &[(String, Value)],
    generated: &[(String, String)],
) -> Result<(Arc<dyn Density>, Arc<Program>), Reason> {
    let dim = parameters.chart().dim();
    let source = Source { text, dim, parameters: Some(parameters), constants, generated };
    let program = parser::compile(&source).map_err(|(_, mistake)| Reason::new(mistake.sentence))?;
    let program = Arc::new(program);
    Ok((density(&program, dim)?, program))
}

/// log p~ of a formula in `dim` coordinates and with these constants.
pub fn compile(formula: &str, dim: usize, constants: &[(String, Value)]) -> Result<Arc<dyn Density>, Mistake> {
    let source = Source { text: formula, dim, parameters: None, constants, generated: &[] };
    let program = parser::compile(&source).map_err(|(_, mistake)| mistake)?;
    density(&Arc::new(program), dim).map_err(|why| Mistake { start: 0, end: formula.len(), sentence: why.sentence })
}

/// Numbers that the evaluation of a formula without constants holds for one point; None where it has a mistake.
pub fn numbers(formula: &str, dim: usize) -> Option<usize> {
    let source = Source { text: formula, dim, parameters: None, constants: &[], generated: &[] };
    parser::compile(&source).ok().map(|program| program.numbers)
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
