//! `kind = "logistic-regression"` and `kind = "linear-regression"`: posteriors of coefficients given a table of data.

use crate::files::csv::CsvReader;
use crate::files::{fnv1a, read_bytes};
use crate::fingerprint;
use crate::target::{Described, Reason, unchanged};
use pushforward::density::{Chart, Density, LinearRegression, LogisticRegression, Support};
use pushforward::linalg::Matrix;
use serde::Deserialize;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest table that is read, in bytes.
const MAX_DATA: u64 = 256 << 20;

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

/// The posterior that `text` describes; the data are looked for beside `base`.
pub(crate) fn describe(text: &str, base: &Path, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let keys: Keys = toml::from_str(text)
        .map_err(|e| Reason::of_keys(text, &e, "regression", "data, the path of a .csv file", KEYS))?;
    let logistic = keys.kind == "logistic-regression";
    if logistic && (keys.noise.is_some() || keys.noise_scale.is_some()) {
        return Err(Reason::new("a logistic-regression has no noise; remove noise and noise_scale"));
    }
    if logistic && keys.standardise_response {
        return Err(Reason::new("the response of a logistic-regression is 0 or 1; remove standardise_response"));
    }
    if keys.noise.is_some() && keys.noise_scale.is_some() {
        return Err(Reason::new("both noise (known) and noise_scale (of its prior) are given; remove one"));
    }
    let path = base.join(&keys.data);
    let table = read(&path, note)?;
    unchanged("data", &path, keys.data_checksum.as_deref(), &table.checksum)?;
    let (design, response, names) = split(&table, &keys, &path)?;
    narrow_priors(&response, &keys, logistic).into_iter().for_each(note);
    let (n, d) = design.shape();
    let words = |e: pushforward::Error| Reason::new(format!("{}: {e}", path.display()));
    let noise_scale = keys.noise_scale.unwrap_or(1.0);
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
    let mut described = Described::new(density, formula, constants);
    described.source = keys.source;
    described.replace("data", std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned());
    described.replace("data_checksum", table.checksum);
    described.on(chart)
}

/// `d` coefficients on the line, then a positive noise.
pub(crate) fn noise_chart(d: usize) -> Chart {
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
    let names = names.unwrap_or_else(|| (1..=rows.cols()).map(|j| format!("column {j}")).collect());
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
        names.push("the intercept".to_string());
    }
    for j in (0..width).filter(|&j| j != target) {
        let column: Vec<f64> = table.rows.iter_rows().map(|row| row[j]).collect();
        columns.push(if keys.standardise { standard(&column, &table.names[j])? } else { column });
        names.push(table.names[j].clone());
    }
    if columns.is_empty() {
        return Err(Reason::new(format!("data: {} has no column beside the response", path.display())));
    }
    let response: Vec<f64> = table.rows.iter_rows().map(|row| row[target]).collect();
    let logistic = keys.kind == "logistic-regression";
    if let Some(row) = response.iter().position(|y| logistic && *y != 0.0 && *y != 1.0) {
        return Err(Reason::new(format!(
            "data: row {} of the response '{}' is {}; a logistic-regression needs 0 or 1 (name the column by response = \"…\")",
            row + 1,
            table.names[target],
            response[row]
        )));
    }
    let response = if keys.standardise_response { standard(&response, &table.names[target])? } else { response };
    Ok((Matrix::from_fn(n, columns.len(), |i, j| columns[j][i]), response, names))
}

/// A prior allows this many of its standard deviations, more or less.
const ALLOWED: f64 = 3.0;

/// What priors do that are narrow beside the response: with standardised columns the intercept that the data ask for is the
/// mean of the response, and no slope by itself is larger than its standard deviation.
fn narrow_priors(response: &[f64], keys: &Keys, logistic: bool) -> Vec<String> {
    let (n, s) = (response.len() as f64, keys.prior_scale);
    let mean = response.iter().sum::<f64>() / n;
    let sd = (response.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n).sqrt();
    let (mean, sd) = if logistic { ((mean / (1.0 - mean)).ln(), 0.0) } else { (mean, sd) };
    let number = |x: f64| crate::report::number(x, 3);
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
    let unit = if size > 0.0 { size.log2().floor().exp2() } else { 1.0 };
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
