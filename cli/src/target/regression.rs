//! `kind = "logistic-regression"`, `kind = "linear-regression"` and their relatives: posteriors of coefficients given a table of data.

use crate::failure::Outcome;
use crate::files::csv::CsvReader;
use crate::files::{fnv1a, read_bytes};
use crate::fingerprint;
use crate::target::coordinates::{Coordinates, Named};
use crate::target::data::MAX_DATA;
use crate::target::glm::{self, Family};
use crate::target::{Described, Reason, absolute, unchanged};
use pushforward::density::{Chart, Density, LinearRegression, LogisticRegression, Support};
use pushforward::linalg::Matrix;
use pushforward::num::{exp2, ln, log2};
use serde::Deserialize;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    kind: String,
    data: PathBuf,
    response: Option<String>,
    #[serde(default = "one")]
    prior_scale: f64,
    #[serde(default = "yes")]
    intercept: bool,
    #[serde(default = "yes")]
    standardise: bool,
    #[serde(default)]
    standardise_response: bool,
    noise: Option<f64>,
    noise_scale: Option<f64>,
    group: Option<String>,
    group_scale: Option<f64>,
    exposure: Option<String>,
    /// What a run's configuration says of the columns, so that its samples have names without the data.
    #[serde(rename = "names")]
    _names: Option<Vec<String>>,
    data_checksum: Option<String>,
    #[serde(default)]
    source: String,
}

const KEYS: &[&str] = &[
    "kind",
    "data",
    "response",
    "prior_scale",
    "intercept",
    "standardise",
    "standardise_response",
    "noise",
    "noise_scale",
    "group",
    "group_scale",
    "exposure",
    "names",
    "data_checksum",
    "source",
];

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

/// A table of numbers with names of its columns.
struct Table {
    names: Vec<String>,
    rows: Matrix,
    checksum: String,
}

/// Whether a kind of target file is a regression.
pub(crate) fn is_kind(kind: &str) -> bool {
    glm::FAMILIES.iter().any(|f| f.kind == kind)
}

/// The names of all columns of samples, where a definition has them: one without groups.
pub(crate) fn names(definition: &toml::Value) -> Option<Vec<String>> {
    let list = definition.get("names")?.as_array()?;
    list.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The coordinates of coefficients of these names, with what a family of this `kind` has beside them.
pub(crate) fn coordinates(kind: &str, names: Vec<String>, known_noise: bool) -> Outcome<Coordinates> {
    let family = glm::FAMILIES.iter().find(|f| f.kind == kind);
    let positive = family.map_or(0, |f| f.positive.len()) - usize::from(known_noise && kind == "linear-regression");
    let free = names.len().saturating_sub(positive);
    let mut blocks = vec![Support::Real; free];
    blocks.resize(names.len(), Support::Interval { low: 0.0, high: f64::INFINITY });
    Ok(Coordinates::Named(Arc::new(Named::new(Chart::new(blocks)?, names, None))))
}

/// The posterior that `text` describes; the data are looked for beside `base`.
pub(crate) fn describe(text: &str, base: &Path, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let keys: Keys = toml::from_str(text)
        .map_err(|e| Reason::of_keys(text, &e, "regression", "data, the path of a .csv file", KEYS))?;
    let family = glm::FAMILIES.iter().find(|f| f.kind == keys.kind);
    let family = family.ok_or_else(|| Reason::new(format!("kind = \"{}\" is no regression", keys.kind)))?;
    refuse_pairs(&keys, family)?;
    let logistic = keys.kind == "logistic-regression";
    let path = base.join(&keys.data);
    let table = read(&path, note)?;
    unchanged("data", &path, keys.data_checksum.as_deref(), &table.checksum)?;
    let (design, response, names) = split(&table, &keys, &path)?;
    if keys.group.is_none() && keys.exposure.is_none() {
        narrow_priors(&response, &keys, family).into_iter().for_each(note);
    }
    let (n, d) = design.shape();
    let words = |e: pushforward::Error| Reason::new(format!("{}: {e}", path.display()));
    let noise_scale = keys.noise_scale.unwrap_or(1.0);
    if keys.group.is_some() || !(logistic || keys.kind == "linear-regression") {
        let column = |name: &String| column(&table, name);
        let groups = keys.group.as_ref().map(|name| Ok((name.clone(), column(name)?, keys.group_scale.unwrap_or(1.0))));
        let exposure = keys.exposure.as_ref().map(column).transpose()?;
        if let Some(bad) = exposure.iter().flatten().find(|v| **v <= 0.0) {
            return Err(Reason::new(format!("data: the exposure has {bad}; it must be positive")));
        }
        let columns = if keys.group.is_none() { Some(names.clone()) } else { None };
        let (prior_scale, groups) = (keys.prior_scale, groups.transpose()?);
        for (key, value) in [
            ("prior_scale", prior_scale),
            ("noise_scale", noise_scale),
            ("group_scale", groups.as_ref().map_or(1.0, |g| g.2)),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Reason::new(format!("{key} = {value}; give a positive number")));
            }
        }
        let data = glm::Data { design, names, response, prior_scale, noise_scale, groups, exposure };
        let mut described =
            glm::describe(family, data).map_err(|why| Reason::new(format!("{}: {}", path.display(), why.sentence)))?;
        described.constants = format!("{n} rows of {}; prior scale {prior_scale}", path.display());
        let all = columns.map(|_| described.coordinates.names());
        return finished(described, keys, &path, table.checksum, all);
    }
    let (density, formula, chart): (Arc<dyn Density>, _, _) = match (logistic, keys.noise) {
        (true, _) => {
            let p = LogisticRegression::new(design, response, keys.prior_scale).map_err(words)?;
            (Arc::new(p), "sum_i y_i eta_i - log(1 + exp(eta_i)) - |b|^2/(2 s^2), eta = X b", None)
        }
        (false, Some(noise)) => {
            let p = LinearRegression::with_known_noise(&design, &response, keys.prior_scale, noise).map_err(words)?;
            (Arc::new(p), "-|y - X b|^2/(2 sigma^2) - |b|^2/(2 s^2), normalised", None)
        }
        (false, None) => {
            let p = LinearRegression::new(design, response, keys.prior_scale, noise_scale).map_err(words)?;
            let formula = "-N log sigma - |y - X b|^2/(2 sigma^2) - |b|^2/(2 s^2) - sigma^2/(2 t^2)";
            (Arc::new(p), formula, Some(noise_chart(d)))
        }
    };
    let constants = format!(
        "{n} rows of {}; coefficients of {}; prior scale s = {}{}",
        path.display(),
        names.join(", "),
        keys.prior_scale,
        match (keys.standardise, keys.standardise_response) {
            (true, true) => "; columns and response with mean 0 and standard deviation 1",
            (true, false) => "; columns with mean 0 and standard deviation 1",
            (false, true) => "; response with mean 0 and standard deviation 1",
            (false, false) => "",
        }
    );
    let described = Described::new(density, formula, constants);
    let mut all = names;
    all.extend(chart.is_some().then(|| "sigma".to_string()));
    let coordinates =
        coordinates(&keys.kind, all.clone(), keys.noise.is_some()).map_err(|e| Reason::new(e.to_string()))?;
    let described = Described { coordinates, ..described.on(chart)? };
    finished(described, keys, &path, table.checksum, Some(all))
}

/// With what a run's configuration says beside the file.
fn finished(
    mut described: Described,
    keys: Keys,
    path: &Path,
    checksum: String,
    names: Option<Vec<String>>,
) -> Result<Described, Reason> {
    described.source = keys.source;
    described.replace("data", absolute(path)?);
    described.replace("data_checksum", checksum);
    if let Some(names) = names {
        described.replace("names", names);
    }
    Ok(described)
}

/// Refuses keys that do not go together.
fn refuse_pairs(keys: &Keys, family: &Family) -> Result<(), Reason> {
    let kind = family.kind;
    if !family.has_noise() && (keys.noise.is_some() || keys.noise_scale.is_some()) {
        return Err(Reason::new(format!("a {kind} has no noise; remove noise and noise_scale")));
    }
    if family.is_discrete() && keys.standardise_response {
        let counts =
            if kind.ends_with("stic-regression") || kind == "probit-regression" { "0 or 1" } else { "a count" };
        return Err(Reason::new(format!("the response of a {kind} is {counts}; remove standardise_response")));
    }
    if keys.noise.is_some() && keys.noise_scale.is_some() {
        return Err(Reason::new("both noise (known) and noise_scale (of its prior) are given; remove one"));
    }
    if keys.noise.is_some() && (kind != "linear-regression" || keys.group.is_some()) {
        return Err(Reason::new(format!(
            "a {kind}{} learns its noise; remove noise",
            if keys.group.is_some() { " with groups" } else { "" }
        )));
    }
    if keys.group.is_none() && keys.group_scale.is_some() {
        return Err(Reason::new(
            "group_scale is the scale of the prior of the spread of groups; name their column by group = \"…\"",
        ));
    }
    if keys.exposure.is_some() && !matches!(kind, "poisson-regression" | "negative-binomial-regression") {
        return Err(Reason::new(format!("a {kind} has no exposure; remove it")));
    }
    if keys.group.is_some() && keys.group == keys.response {
        return Err(Reason::new("group and response name the same column; name another"));
    }
    Ok(())
}

/// The column of this name.
fn column(table: &Table, name: &str) -> Result<Vec<f64>, Reason> {
    let known: Vec<&str> = table.names.iter().map(String::as_str).collect();
    let j = table.names.iter().position(|n| n == name);
    let j = j.ok_or_else(|| Reason::new(pushforward::Error::unknown_name("column", name, &known).to_string()))?;
    Ok(table.rows.iter_rows().map(|row| row[j]).collect())
}

/// `d` coefficients on the line, then a positive noise.
fn noise_chart(d: usize) -> Chart {
    let mut blocks = vec![Support::Real; d];
    blocks.push(Support::Interval { low: 0.0, high: f64::INFINITY });
    Chart::new(blocks).expect("real lines and a half-line have insides")
}

/// The table of numbers in a file, with the names of its columns.
fn read(path: &Path, note: &mut dyn FnMut(String)) -> Result<Table, Reason> {
    let bad = |e: &dyn std::fmt::Display| Reason::new(format!("data: {e}"));
    let bytes = read_bytes(path, MAX_DATA).map_err(|e| bad(&e))?;
    let checksum = fingerprint::text(fnv1a(&bytes));
    let mut reader = CsvReader::of(Cursor::new(bytes), path);
    let rows = reader.read_block(usize::MAX).map_err(|e| bad(&e))?;
    let rows = rows.ok_or_else(|| Reason::new(format!("data: {} holds no rows", path.display())))?;
    reader.note().into_iter().for_each(note);
    let names = reader.names().map(<[String]>::to_vec);
    let names: Vec<String> = names.unwrap_or_else(|| (1..=rows.cols()).map(|j| format!("column {j}")).collect());
    if let Some(twice) = (1..names.len()).find(|&j| names[..j].contains(&names[j])) {
        let (place, name) = (path.display(), &names[twice]);
        return Err(Reason::new(format!("data: two columns of {place} are named '{name}'; rename one")));
    }
    Ok(Table { names, rows, checksum })
}

/// The design matrix, the response, and the names of the coefficients.
fn split(table: &Table, keys: &Keys, path: &Path) -> Result<(Matrix, Vec<f64>, Vec<String>), Reason> {
    let (n, width) = table.rows.shape();
    let known: Vec<&str> = table.names.iter().map(String::as_str).collect();
    let target = match &keys.response {
        None => width - 1,
        Some(name) => table.names.iter().position(|n| n == name).ok_or_else(|| {
            Reason::new(format!("response = {}", pushforward::Error::unknown_name("column", name, &known)))
        })?,
    };
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut names = Vec::new();
    if keys.intercept {
        columns.push(vec![1.0; n]);
        names.push("intercept".to_string());
    }
    let beside = [&keys.group, &keys.exposure];
    for name in beside.into_iter().flatten() {
        column(table, name)?;
    }
    let is_beside = |j: usize| beside.into_iter().flatten().any(|name| *name == table.names[j]);
    for j in (0..width).filter(|&j| j != target && !is_beside(j)) {
        let column: Vec<f64> = table.rows.iter_rows().map(|row| row[j]).collect();
        columns.push(if keys.standardise { standard(&column, &table.names[j])? } else { column });
        names.push(table.names[j].clone());
    }
    if columns.is_empty() {
        return Err(Reason::new(format!("data: {} has no column beside the response", path.display())));
    }
    let response: Vec<f64> = table.rows.iter_rows().map(|row| row[target]).collect();
    let binary = matches!(keys.kind.as_str(), "logistic-regression" | "probit-regression");
    if let Some(row) = response.iter().position(|y| binary && *y != 0.0 && *y != 1.0) {
        return Err(Reason::new(format!(
            "data: row {} of the response '{}' is {}; a {} needs 0 or 1 (name the column by response = \"…\")",
            row + 1,
            table.names[target],
            response[row],
            keys.kind
        )));
    }
    let response = if keys.standardise_response { standard(&response, &table.names[target])? } else { response };
    Ok((Matrix::from_fn(n, columns.len(), |i, j| columns[j][i]), response, names))
}

/// A prior allows this many of its standard deviations, more or less.
const ALLOWED: f64 = 3.0;

/// What priors do that are narrow beside the response: with standardised columns the intercept that the data ask for is the
/// mean of the response, and no slope by itself is larger than its standard deviation.
fn narrow_priors(response: &[f64], keys: &Keys, family: &Family) -> Vec<String> {
    let logistic = family.kind == "logistic-regression";
    if !logistic && !family.has_noise() {
        return Vec::new();
    }
    let (n, s) = (response.len() as f64, keys.prior_scale);
    let mean = response.iter().sum::<f64>() / n;
    let sd = (response.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt();
    let (mean, sd) = if logistic { (ln(mean / (1.0 - mean)), 0.0) } else { (mean, sd) };
    let number = |x: f64| crate::style::number(x, 3);
    let mut out = Vec::new();
    if keys.intercept && mean.is_finite() && mean.abs() > ALLOWED * s {
        let what = if logistic { "log-odds of the response are" } else { "response has mean" };
        out.push(format!(
            "the {what} {}, and the prior N(0, {}²) pulls the intercept to within about {} of 0",
            number(mean),
            number(s),
            number(ALLOWED * s)
        ));
    }
    if sd > ALLOWED * s {
        out.push(format!(
            "the response has standard deviation {}, and the prior N(0, {}²) pulls slopes to within about {} of 0",
            number(sd),
            number(s),
            number(ALLOWED * s)
        ));
    }
    let t = keys.noise_scale.unwrap_or(1.0);
    if !logistic && keys.noise.is_none() && sd > ALLOWED * t {
        out.push(format!(
            "the response has standard deviation {}, and the prior of the noise, half-normal of scale {}, pulls it below about {}",
            number(sd),
            number(t),
            number(ALLOWED * t)
        ));
    }
    let remedy = match logistic {
        true => "give a larger prior_scale where that is not meant",
        false => "give a larger prior_scale (and noise_scale), or standardise_response = true, where that is not meant",
    };
    out.iter().map(|sentence| format!("{sentence}; {remedy}")).collect()
}

/// Deviations up to so many ε of a column's largest number say nothing: the numbers themselves are rounded.
const ROUNDING: f64 = 4.0;

/// The column with mean 0 and standard deviation 1 (divisor N).
fn standard(column: &[f64], name: &str) -> Result<Vec<f64>, Reason> {
    let n = column.len() as f64;
    let size = column.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    // in units of a power of two, which rounds nothing and keeps squares in range
    let unit = if size > 0.0 { exp2(log2(size).floor()) } else { 1.0 };
    let mean = column.iter().map(|v| v / unit).sum::<f64>() / n;
    let sd = (column.iter().map(|v| (v / unit - mean) * (v / unit - mean)).sum::<f64>() / n).sqrt();
    if column.iter().all(|v| *v == column[0]) || sd <= ROUNDING * f64::EPSILON * (size / unit) {
        return Err(Reason::new(format!(
            "data: column '{name}' has standard deviation 0, to the rounding of numbers like {:?}, so it does not vary; remove it, or set \
             standardise = false",
            column[0]
        )));
    }
    Ok(column.iter().map(|v| (v / unit - mean) / sd).collect())
}
