//! metrics.jsonl, both ways: a line with the names of the figures, then a line for each logged step.

use crate::curves::{Column, Curves, Row};
use crate::failure::{Failure, Outcome};
use crate::files::{json, read_text};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Version of the file.
const VERSION: u32 = 2;

/// Longest file that is read: ten times the rows that a run writes.
const MAX_FILE: u64 = 64 << 20;

/// The file's text; a figure that a step does not have is absent from its line, an infinite one is `Infinity`.
pub fn text(curves: &Curves) -> String {
    let names: Map<String, Value> = curves.columns.iter().map(|c| (c.key.clone(), json!(c.label))).collect();
    let head = json!({ "version": VERSION, "figures": names });
    let line = |r: &Row| {
        let mut line = json!({ "step": r.step, "skipped": r.skipped });
        for (column, value) in curves.columns.iter().zip(&r.values).filter(|(_, v)| !v.is_nan()) {
            line[&column.key] = json::real(*value);
        }
        json::line(&line)
    };
    std::iter::once(format!("{head}\n")).chain(curves.rows.iter().map(line)).collect()
}

/// The curves as they come back from the file: a step has a number for every column, NaN where it has none.
pub fn written(curves: &Curves) -> Curves {
    let width = curves.columns.len();
    let known = |r: &Row, k: usize| r.values.get(k).copied().unwrap_or(f64::NAN);
    let row = |r: &Row| Row { values: (0..width).map(|k| known(r, k)).collect(), ..r.clone() };
    Curves { columns: curves.columns.clone(), rows: curves.rows.iter().map(row).collect() }
}

/// The curves of a file.
pub fn read(path: &Path) -> Outcome<Curves> {
    let text = read_text(path, MAX_FILE)?;
    let bad = |k: usize, why: String| Failure::input(format!("{}, line {}: {why}", path.display(), k + 1));
    let mut out = Curves::default();
    for (k, line) in text.lines().enumerate() {
        let v: Value = json::parse(line).map_err(|e| bad(k, format!("it is not JSON ({e})")))?;
        if k == 0 {
            out.columns = columns(&v).map_err(|why| bad(k, why))?;
        } else {
            out.rows.push(row(&v, &out.columns).map_err(|why| bad(k, why))?);
        }
    }
    Ok(out)
}

fn columns(v: &Value) -> Result<Vec<Column>, String> {
    if v["version"] != VERSION {
        return Err(format!("it has version {}, not {VERSION}", v["version"]));
    }
    let names = v["figures"].as_object().ok_or_else(|| format!("its figures are {}", v["figures"]))?;
    let column = |(key, label): (&String, &Value)| {
        let label = label.as_str().ok_or_else(|| format!("the name of {key} is {label}"))?;
        Ok(Column { key: key.clone(), label: label.into() })
    };
    names.iter().map(column).collect()
}

fn row(v: &Value, columns: &[Column]) -> Result<Row, String> {
    let number = |key: &str| match v.get(key) {
        None | Some(Value::Null) => Ok(f64::NAN),
        Some(value) => json::as_real(value).ok_or_else(|| format!("its {key} is {value}")),
    };
    Ok(Row {
        step: v["step"].as_u64().ok_or_else(|| format!("its step is {}", v["step"]))? as usize,
        skipped: v["skipped"].as_bool().ok_or_else(|| format!("its skipped is {}", v["skipped"]))?,
        values: columns.iter().map(|c| number(&c.key)).collect::<Result<_, String>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that curves come back from the file as they are said to, infinite figures among them, and that a figure that
    /// a step does not have is absent from its line.
    #[test]
    fn infinite_figures_come_back() {
        let column = |key: &str| Column { key: key.into(), label: key.to_uppercase() };
        let row = |step, values: &[f64]| Row { step, skipped: false, values: values.to_vec() };
        let rows = vec![row(1, &[0.1]), row(2, &[f64::NEG_INFINITY, f64::INFINITY]), row(3, &[f64::NAN, 2.0])];
        let curves = Curves { columns: vec![column("a"), column("b")], rows };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, text(&curves)).unwrap();
        let back = read(&path).unwrap();
        // NaN is not equal to itself
        assert_eq!(format!("{back:?}"), format!("{:?}", written(&curves)));
        let lines: Vec<String> = text(&curves).lines().skip(1).map(String::from).collect();
        assert_eq!(lines[1], r#"{"step":2,"skipped":false,"a":-Infinity,"b":Infinity}"#);
        assert_eq!(lines[2], r#"{"step":3,"skipped":false,"b":2.0}"#);
    }
}
