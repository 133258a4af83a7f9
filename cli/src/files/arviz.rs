//! Samples in the form that ArviZ opens: JSON of its `from_dict` schema, read by `arviz.from_json` (0.x) or
//! `arviz.from_dict(json.load(f))` (1.x, which has no attributes there).
//!
//! Numbers that are not finite are written as Python writes and reads them, `-Infinity` and `NaN`, so that every list
//! is one of numbers.

use crate::failure::Outcome;
use crate::files::atomic::AtomicFile;
use crate::files::json::number;
use pushforward::linalg::Matrix;
use serde_json::{Value, json};

/// Numbers that are turned into text at a time.
const PART: usize = 1 << 12;

/// Writes `{"posterior": {name: [chain][draw]}, "sample_stats": {"lp": [chain][draw]}, "attrs": …}` with one chain, because the draws are
/// independent. `lp` is log p~ of each draw.   samples: n×d, names: d, lp: n.
pub fn write(mut file: AtomicFile, samples: &Matrix, names: &[String], lp: &[f64], attributes: Value) -> Outcome<()> {
    file.write(b"{\"posterior\":{")?;
    for (j, name) in names.iter().enumerate() {
        let comma = if j > 0 { "," } else { "" };
        file.write(format!("{comma}{}:", json!(name)).as_bytes())?;
        let column: Vec<f64> = samples.iter_rows().map(|row| row[j]).collect();
        chain(&mut file, &column)?;
    }
    file.write(b"},\"sample_stats\":{\"lp\":")?;
    chain(&mut file, lp)?;
    file.write(format!("}},\"attrs\":{attributes}}}").as_bytes())?;
    file.commit()
}

/// The draws of one chain, `[[x, …]]`.
fn chain(file: &mut AtomicFile, draws: &[f64]) -> Outcome<()> {
    file.write(b"[[")?;
    for (k, part) in draws.chunks(PART).enumerate() {
        let text: Vec<String> = part.iter().map(|x| number(*x)).collect();
        file.write(format!("{}{}", if k > 0 { "," } else { "" }, text.join(",")).as_bytes())?;
    }
    file.write(b"]]")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the whole text, names that JSON must escape and numbers that are none among it.
    #[test]
    fn numbers_that_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let x = Matrix::from_rows(&[[1.0, -1e300], [f64::NAN, 5e-324]]);
        let names = ["a\"b".to_string(), "c".to_string()];
        let file = AtomicFile::create(&path).unwrap();
        write(file, &x, &names, &[f64::NEG_INFINITY, f64::INFINITY], json!({ "seed": 3, "none": null })).unwrap();
        let expected = r#"{"posterior":{"a\"b":[[1.0,NaN]],"c":[[-1e300,5e-324]]},"sample_stats":{"lp":[[-Infinity,Infinity]]},"attrs":{"seed":3,"none":null}}"#;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
}
