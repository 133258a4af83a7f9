//! `kind = "samples"`: a law that is known by samples in a file.

use crate::files::samples::{read_names, read_samples};
use crate::files::weights::read_weights;
use crate::fingerprint;
use crate::target::{Described, Reason, absolute};
use pushforward::density::{Empirical, Labels, WeightedSamples};
use pushforward::linalg::Matrix;
use pushforward::rng::{Purpose, stream, uniform};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(rename = "kind")]
    _kind: String,
    data: PathBuf,
    weights: Option<PathBuf>,
    /// The column of classes.
    label: Option<String>,
    #[serde(default = "one")]
    thin: i64,
    #[serde(default = "fifth")]
    held_out: f64,
    data_checksum: Option<String>,
    weights_checksum: Option<String>,
    #[serde(default)]
    source: String,
}

const KEYS: &[&str] =
    &["kind", "data", "weights", "label", "thin", "held_out", "data_checksum", "weights_checksum", "source"];

fn one() -> i64 {
    1
}

fn fifth() -> f64 {
    0.2
}

/// Least samples on either side of the split, and of a class to learn from.
const LEAST: usize = 2;
const CLASS: usize = 10;

/// Classes at most.
const CLASSES: usize = 100;

/// The law that `text` describes; files are looked for beside `base`.
pub(crate) fn describe(text: &str, base: &Path, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let keys: Keys = toml::from_str(text).map_err(|e| {
        Reason::of_keys(text, &e, "target of samples", "data, the path of a .npy, .npz or .csv file", KEYS)
    })?;
    if keys.thin < 1 {
        return Err(Reason::new(format!("thin = {}; give a whole number, at least 1", keys.thin)));
    }
    if !(keys.held_out > 0.0 && keys.held_out < 1.0) {
        return Err(Reason::new(format!("held_out = {}; give a fraction between 0 and 1", keys.held_out)));
    }
    let path = base.join(&keys.data);
    let shown = path.display();
    let points = read_samples(&path).map_err(|e| Reason::new(format!("data: {e}")))?;
    let n = points.rows();
    if let Some(k) = points.as_slice().iter().position(|x| x.is_nan() || x.abs() > 1e150) {
        let (row, column, value) = (k / points.cols(), k % points.cols(), points.as_slice()[k]);
        let error = pushforward::Error::BadSample { row, column, value };
        return Err(Reason::new(format!("data: {shown}: {error}")));
    }
    let weights = keys.weights.as_ref().map(|w| base.join(w));
    let log_weights = weights.as_ref().map(|w| read_weights(w, n)).transpose();
    let log_weights = log_weights.map_err(|e| Reason::new(format!("weights: {e}")))?;
    let print = |key: &str, path: &Path, expected: Option<&str>| {
        let found = fingerprint::of_file(path).map_err(|e| Reason::new(format!("{key}: {e}")))?;
        match fingerprint::difference(key, path, expected, &found) {
            Some(difference) => Err(Reason::new(format!("{difference}; {}", fingerprint::REMEDY))),
            None => Ok(found),
        }
    };
    let checksum = print("data", &path, keys.data_checksum.as_deref())?;
    let of_weights = weights.as_ref().map(|w| print("weights", w, keys.weights_checksum.as_deref())).transpose()?;
    let (points, labels) = match &keys.label {
        None => (points, None),
        Some(label) => labelled(&points, label, &path).map(|(points, labels)| (points, Some(labels)))?,
    };
    let kept: Vec<usize> = (0..n).step_by(keys.thin as usize).collect();
    if keys.thin > 1 {
        note(format!("every {}th of {n} rows is kept, {} in all", keys.thin, kept.len()));
    }
    let (seen, unseen) = split(kept, keys.held_out);
    if seen.len() < LEAST || unseen.len() < LEAST {
        return Err(Reason::new(format!(
            "data: {shown} leaves {} samples to learn from and {} held out; each must be at least {LEAST}",
            seen.len(),
            unseen.len()
        )));
    }
    let part = |rows: &[usize]| WeightedSamples {
        points: points.gather_rows(rows),
        log_weights: log_weights.as_ref().map(|w| rows.iter().map(|&i| w[i]).collect()),
        labels: labels.as_ref().map(|l| l.gather(rows)),
    };
    if let Some(l) = &labels {
        let seen = l.gather(&seen);
        let few = (0..l.names.len()).map(|c| (l.names[c], seen.rows(c).len())).find(|(_, count)| *count < CLASS);
        if let Some((name, count)) = few {
            return Err(Reason::new(format!(
                "label: {count} samples of class {name} are left to learn from; give at least {CLASS} of each class"
            )));
        }
    }
    let held = Empirical::new(&part(&unseen)).map_err(|e| Reason::new(format!("data: {shown}: {e}")))?;
    let held = held.with_training(points.gather_rows(&seen));
    let constants = format!(
        "{} samples of {shown} to learn from, {} held out for metrics{}",
        seen.len(),
        unseen.len(),
        if log_weights.is_some() { "; weighted" } else { "" }
    );
    let constants = match &labels {
        Some(l) => format!("{constants}; {} classes, {}", l.names.len(), words(&l.names)),
        None => constants,
    };
    let mut described = Described::new(Arc::new(held), "known by samples alone", constants);
    described.samples = Some(part(&seen));
    described.source = keys.source;
    described.replace("data_checksum", checksum);
    if let Some(of_weights) = of_weights {
        described.replace("weights_checksum", of_weights);
    }
    if let Some(weights) = weights {
        described.replace("weights", absolute(&weights)?);
    }
    described.replace("data", absolute(&path)?);
    Ok(described)
}

/// The points without the column of classes, and these.
fn labelled(points: &Matrix, label: &str, path: &Path) -> Result<(Matrix, Labels), Reason> {
    let (n, d) = points.shape();
    let names = read_names(path, d).map_err(|e| Reason::new(format!("data: {e}")))?;
    let Some(column) = names.iter().position(|name| name == label) else {
        let (shown, names) = (path.display(), names.join(", "));
        return Err(Reason::new(format!("label = '{label}': {shown} has no such column; it has {names}")));
    };
    if d < 2 {
        return Err(Reason::new(format!("label = '{label}': it is the only column; give samples beside it")));
    }
    let mut classes: Vec<f64> = points.iter_rows().map(|row| row[column]).collect();
    classes.sort_by(f64::total_cmp);
    classes.dedup();
    if classes.len() > CLASSES || classes.len() < 2 {
        return Err(Reason::new(format!(
            "label = '{label}' has {} different numbers; give from 2 to {CLASSES} classes",
            classes.len()
        )));
    }
    let class = |row: &[f64]| classes.iter().position(|c| *c == row[column]).expect("it is one of them");
    let of = points.iter_rows().map(class).collect();
    let rest = Matrix::from_fn(n, d - 1, |i, j| points[(i, if j < column { j } else { j + 1 })]);
    Ok((rest, Labels { of, names: classes }))
}

/// Numbers between commas.
pub(crate) fn words(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ")
}

/// The rows to learn from and those held out, in random order, the same for the same file.
fn split(mut rows: Vec<usize>, held_out: f64) -> (Vec<usize>, Vec<usize>) {
    let mut rng = stream(0, Purpose::Metric, 1 << 60);
    for i in (1..rows.len()).rev() {
        rows.swap(i, ((uniform(&mut rng) * (i + 1) as f64) as usize).min(i));
    }
    let seen = rows.len() - (held_out * rows.len() as f64).round() as usize;
    let unseen = rows.split_off(seen);
    (rows, unseen)
}
