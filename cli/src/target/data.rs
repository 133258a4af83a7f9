//! Files of data whose names a formula can use: JSON objects, tables with named columns, arrays of NumPy.

use crate::files::csv::CsvReader;
use crate::files::npy::NpyReader;
use crate::files::{fnv1a, read_bytes};
use crate::fingerprint;
use crate::target::formula::value::Value;
use crate::target::{Reason, absolute, unchanged};
use pushforward::linalg::Matrix;
use std::io::Cursor;
use std::path::{Path, PathBuf};

/// Longest file that is read, in bytes.
pub(super) const MAX_DATA: u64 = 256 << 20;

/// The key `data` of a formula: one file or several.
#[derive(serde::Deserialize, Clone)]
#[serde(untagged, expecting = "data must be the path of a .json, .csv or .npy file, or a list of such paths")]
pub(crate) enum Files {
    One(PathBuf),
    Several(Vec<PathBuf>),
}

/// The key `data_checksum` beside it.
#[derive(serde::Deserialize, Clone)]
#[serde(untagged)]
pub(crate) enum Prints {
    One(String),
    Several(Vec<String>),
}

/// What was read: names with values, and the two keys with absolute paths and fingerprints for a run's configuration.
pub(crate) struct Data {
    pub constants: Vec<(String, Value)>,
    pub files: toml::Value,
    pub prints: toml::Value,
}

/// Reads the files, which are looked for beside `base`.
pub(crate) fn read(
    files: &Files,
    prints: Option<&Prints>,
    base: &Path,
    note: &mut dyn FnMut(String),
) -> Result<Data, Reason> {
    let paths = match files {
        Files::One(path) => vec![base.join(path)],
        Files::Several(paths) => paths.iter().map(|path| base.join(path)).collect(),
    };
    let expected = match prints {
        None => vec![],
        Some(Prints::One(print)) => vec![print.as_str()],
        Some(Prints::Several(prints)) => prints.iter().map(String::as_str).collect(),
    };
    let (mut constants, mut found) = (Vec::new(), Vec::new());
    for (k, path) in paths.iter().enumerate() {
        let bytes = read_bytes(path, MAX_DATA).map_err(|e| Reason::new(format!("data: {e}")))?;
        let print = fingerprint::text(fnv1a(&bytes));
        unchanged("data", path, expected.get(k).copied(), &print)?;
        constants.extend(names_of(path, bytes, note)?);
        found.push(print);
    }
    let paths = paths.iter().map(|path| absolute(path)).collect::<Result<Vec<String>, Reason>>()?;
    let value = |list: Vec<String>| match (files, &list[..]) {
        (Files::One(_), [one]) => toml::Value::from(one.clone()),
        _ => toml::Value::from(list),
    };
    Ok(Data { constants, files: value(paths), prints: value(found) })
}

/// The names of one file with their values.
fn names_of(path: &Path, bytes: Vec<u8>, note: &mut dyn FnMut(String)) -> Result<Vec<(String, Value)>, Reason> {
    let shown = path.display();
    let bad = |why: &str| Reason::new(format!("data: {shown}: {why}"));
    let stem = || name(&path.file_stem().unwrap_or_default().to_string_lossy());
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "json" => {
            let text = String::from_utf8(bytes).map_err(|_| bad("this is not text in UTF-8; save it as such"))?;
            let json = crate::files::json::parse(&text).map_err(|e| bad(&format!("{e}; give a JSON object")))?;
            let object = json.as_object().ok_or_else(|| bad("this is no JSON object; write { \"y\": [1, 2, 3] }"))?;
            let mut all = Vec::new();
            for (key, value) in object {
                match of_json(value) {
                    Ok(value) => all.push((name(key), value)),
                    Err(why) if why.is_empty() => {}
                    Err(why) => return Err(bad(&format!("'{key}' {why}"))),
                }
            }
            Ok(all)
        }
        "npy" => {
            let mut reader = NpyReader::open(path).map_err(|e| Reason::new(format!("data: {e}")))?;
            let rows = reader.read_block(usize::MAX).map_err(|e| Reason::new(format!("data: {e}")))?;
            let rows = rows.ok_or_else(|| bad("the array is empty"))?;
            Ok(vec![(stem(), of_matrix(rows))])
        }
        "csv" | "tsv" | "txt" => {
            let mut reader = CsvReader::of(Cursor::new(bytes), path);
            let rows = reader.read_block(usize::MAX).map_err(|e| Reason::new(format!("data: {e}")))?;
            let rows = rows.ok_or_else(|| bad("the table holds no rows"))?;
            reader.note().into_iter().for_each(note);
            let Some(names) = reader.names() else { return Ok(vec![(stem(), of_matrix(rows))]) };
            let column = |j: usize| Value::vector(rows.iter_rows().map(|row| row[j]).collect());
            Ok(names.iter().enumerate().map(|(j, key)| (name(key), column(j))).collect())
        }
        other => Err(bad(&format!("the ending '{other}' is none of .json, .csv and .npy"))),
    }
}

/// A vector for one column, else a matrix.
fn of_matrix(rows: Matrix) -> Value {
    match rows.shape() {
        (n, 1) => Value::vector(rows.into_vec()[..n].to_vec()),
        (n, _) => Value::matrix(n, rows.into_vec()),
    }
}

/// A number, a list or a list of lists; an empty reason for what is left out, such as text.
fn of_json(value: &serde_json::Value) -> Result<Value, String> {
    let number = |v: &serde_json::Value| match v {
        serde_json::Value::Bool(b) => Ok(f64::from(u8::from(*b))),
        v => crate::files::json::as_real(v)
            .filter(|x| x.is_finite())
            .ok_or_else(|| format!("holds {v}; give finite numbers")),
    };
    let serde_json::Value::Array(list) = value else {
        return if value.is_string() || value.is_object() {
            Err(String::new())
        } else {
            number(value).map(Value::number)
        };
    };
    if list.is_empty() || list.iter().any(|v| v.is_string() || v.is_object()) {
        return Err(String::new());
    }
    if !list.iter().any(serde_json::Value::is_array) {
        return list.iter().map(number).collect::<Result<_, _>>().map(Value::vector);
    }
    let (mut entries, mut width) = (Vec::new(), None);
    for row in list {
        let row = row.as_array().ok_or_else(|| format!("has {row} among its rows"))?;
        if row.is_empty() || *width.get_or_insert(row.len()) != row.len() {
            return Err(format!(
                "has rows of {} and {} numbers; give a rectangular table",
                width.unwrap_or(0),
                row.len()
            ));
        }
        for v in row {
            entries.push(number(v)?);
        }
    }
    Ok(Value::matrix(list.len(), entries))
}

/// A name that a formula can use: every other character is an underscore.
fn name(key: &str) -> String {
    let plain: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) || plain.is_empty() { format!("_{plain}") } else { plain }
}
