//! Samples in the form that ArviZ opens: JSON of its `from_dict` schema, read by `arviz.from_json` (0.x) or
//! `arviz.from_dict(json.load(f))` (1.x, which has no attributes there).

use crate::failure::Outcome;
use crate::files::atomic::AtomicFile;
use pushforward::linalg::Matrix;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Writes `{"posterior": {name: [chain][draw]}, "sample_stats": {"lp": [chain][draw]}, "attrs": …}` with one chain, because the draws are
/// independent. `lp` is log p~ of each draw.   samples: n×d, names: d, lp: n.
pub fn write(path: &Path, samples: &Matrix, names: &[String], lp: &[f64], attributes: Value) -> Outcome<()> {
    let column = |j: usize| json!([samples.iter_rows().map(|row| row[j]).collect::<Vec<f64>>()]);
    let posterior: Map<String, Value> = names.iter().enumerate().map(|(j, name)| (name.clone(), column(j))).collect();
    let all = json!({ "posterior": posterior, "sample_stats": { "lp": [lp] }, "attrs": attributes });
    let mut file = AtomicFile::create(path)?;
    file.write(all.to_string().as_bytes())?;
    file.commit()
}
