//! Opens the folder of a run, for every command: its configuration, its model, its samples and what it was made from
//! belong together, or the run is refused.

use crate::config::{self, Config};
use crate::failure::{Failure, Outcome};
use crate::files::samples::read_own;
use crate::files::{json, read_text};
use crate::fingerprint;
use crate::model::{self, Model};
use crate::target::coordinates::Coordinates;
use crate::target::{self, Target};
use crate::terminal::note;
use pushforward::linalg::Matrix;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Longest summary.json that is read: some thousand modes.
pub const MAX_SUMMARY: u64 = 16 << 20;

/// The files of a run whose fingerprints summary.json holds, under `files`.
pub const PRINTED: [&str; 3] = ["model.safetensors", "samples.npy", "resampled.npy"];

/// A run whose configuration is that of its model.
pub struct Opened {
    folder: PathBuf,
    /// Its configuration.
    pub config: Config,
    /// config.toml as it is.
    table: toml::Table,
    /// What it learnt.
    pub model: Model,
    /// summary.json, where there is one.
    pub summary: Value,
}

impl Opened {
    /// Opens the run in `folder`, which must have a model. Runs no code of a target's library; where the caller goes on
    /// to the target, a library that is not trusted is refused before anything else.
    pub fn open(folder: &Path, needs_target: bool) -> Outcome<Self> {
        let table = table(folder)?;
        let config = config::merge(Some(&folder.join("config.toml")), toml::Table::new(), &[])?;
        if needs_target {
            target::refuse_untrusted(&config.target)?;
        }
        let (model, carried) = model::load_with_config(&folder.join("model.safetensors"))?;
        agree(folder, &table, &carried, "model.safetensors")?;
        let path = folder.join("summary.json");
        let summary = if path.exists() { read_text(&path, MAX_SUMMARY)? } else { "null".into() };
        let summary = json::parse(&summary)
            .map_err(|e| Failure::input(format!("{}: {e}; this is no summary of a run", path.display())))?;
        let opened = Self { folder: folder.to_owned(), config, table, model, summary };
        opened.same("model.safetensors")?;
        Ok(opened)
    }

    /// Refuses the file `name` of the run where summary.json says another fingerprint. A run that can go on may have been
    /// killed between its files.
    fn same(&self, name: &str) -> Outcome<()> {
        let (path, ended) = (self.folder.join(name), self.summary["ending"] == "complete");
        let expected = self.summary["files"][name].as_str().filter(|_| ended);
        let found = fingerprint::of_file(&path)?;
        if expected.is_none_or(|expected| expected == found) {
            return Ok(());
        }
        let expected = expected.unwrap_or_default();
        Err(Failure::input(format!(
            "{} is not the one of summary.json (fingerprint {found}, not {expected}); take all files from one run",
            path.display()
        )))
    }

    /// Refuses a run of which a file of samples is not the one of summary.json.
    pub fn is_whole(&self) -> Outcome<()> {
        PRINTED.iter().filter(|name| self.summary["files"][**name].is_string()).try_for_each(|name| self.same(name))
    }

    /// The coordinates of its samples, without its data and, where that is not trusted, without its library. Says which
    /// of the files behind the run have changed: nothing that is written depends on them.
    pub fn coordinates(&self) -> Outcome<Coordinates> {
        fingerprint::changed(&self.table)
            .into_iter()
            .for_each(|sentence| note(format!("{sentence}; the model is of the run")));
        target::coordinates_of(&self.config.target, self.model.dim())
    }

    /// Its target, with its data; what has changed since the run is refused.
    pub fn target(&self) -> Outcome<Target> {
        let target = target::of_definition(&self.config.target, self.config.name.as_deref(), &mut note)?;
        let (d, found) = (target.density.dim(), self.model.dim());
        if d == found {
            return Ok(target);
        }
        let place = self.folder.display();
        Err(Failure::input(format!(
            "{place}/model.safetensors has {found} dimensions and the target of config.toml has {d}; take both from one run"
        )))
    }

    /// What its certificate said of a region that the search found and the model misses.
    pub fn missed_region(&self) -> Option<String> {
        missed_region(&self.summary["certificate"])
    }

    /// samples.npy, in the coordinates of `target`.
    pub fn samples(&self, target: &Target) -> Outcome<Matrix> {
        self.samples_of("samples.npy", target)
    }

    /// The file of samples of this name.
    pub fn samples_of(&self, name: &str, target: &Target) -> Outcome<Matrix> {
        self.same(name)?;
        let samples = read_own(&self.folder.join(name), target.coordinates.parameters())?;
        let (found, expected) = (samples.cols(), target.coordinates.dim());
        if found == expected {
            return Ok(samples);
        }
        let shown = self.folder.display();
        Err(Failure::input(format!(
            "{shown}/{name} has {found} columns but the run's target has {expected}; take both from one run"
        )))
    }
}

/// The first finding of a certificate, where that is a missed region. A flow has its search beside it, a generator in a part of its own.
fn missed_region(certificate: &Value) -> Option<String> {
    let searches = [&certificate["search"], &certificate["generator"]["search"]];
    let region = searches.iter().any(|search| search["region"].is_object());
    region.then(|| certificate["findings"][0].as_str().unwrap_or("the model misses a region").to_string())
}

/// config.toml of the run in `folder`.
pub fn table(folder: &Path) -> Outcome<toml::Table> {
    let path = folder.join("config.toml");
    if path.is_file() {
        return config::read(&path);
    }
    let shown = folder.display();
    Err(Failure::input(format!("{shown} is not a run folder (it has no config.toml); give one that 'train' made")))
}

/// Refuses a config.toml that is not the one that `what` (a model, a checkpoint) of the run carries as JSON. The number
/// of threads, on which nothing depends, may differ.
pub fn agree(folder: &Path, config: &toml::Table, carried: &str, what: &str) -> Outcome<()> {
    let mut config = config.clone();
    config.remove("threads");
    let own = serde_json::to_value(&config).unwrap_or_default();
    let carried: Value = serde_json::from_str(carried).unwrap_or_default();
    if own == carried {
        return Ok(());
    }
    let empty = Map::new();
    let map = |v: &Value| v.as_object().unwrap_or(&empty).clone();
    let key = first_difference(&map(&carried), &map(&own));
    Err(Failure::input(format!(
        "{}/config.toml is not the one of {what}: {key} differs; undo the change, or start a new run with --config and --out",
        folder.display()
    )))
}

/// The first key in which two configurations differ; one level into sections.
fn first_difference(old: &Map<String, Value>, new: &Map<String, Value>) -> String {
    let differing = |old: &Map<String, Value>, new: &Map<String, Value>| {
        old.keys().chain(new.keys()).find(|key| old.get(*key) != new.get(*key)).cloned()
    };
    let Some(key) = differing(old, new) else { return "something".into() };
    let inner = |map: &Map<String, Value>| map.get(&key).and_then(Value::as_object).cloned().unwrap_or_default();
    match differing(&inner(old), &inner(new)) {
        Some(name) => format!("'{key}.{name}'"),
        None => format!("'{key}'"),
    }
}

/// The fingerprints of the files of a run that are there, as summary.json has them.
pub fn prints(folder: &Path) -> Outcome<Value> {
    let there = PRINTED.iter().filter(|name| folder.join(name).is_file());
    let all = there.map(|name| Ok((name.to_string(), fingerprint::of_file(&folder.join(name))?.into())));
    all.collect::<Outcome<Map<String, Value>>>().map(Value::Object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Checks that the region of a flow is said and that of a generator, and none where the certificate has none.
    #[test]
    fn region_of_each_model() {
        let search = |region: Value| json!({ "region": region });
        for region in [Value::Null, json!({ "centre": [1.0], "spread": [0.5] })] {
            let said = region.is_object().then(|| "8 particles".to_string());
            let findings = json!(["8 particles", "another"]);
            let flow = json!({ "generator": null, "search": search(region.clone()), "findings": findings });
            let generator = json!({ "generator": { "search": search(region) }, "search": null, "findings": findings });
            assert_eq!(missed_region(&flow), said);
            assert_eq!(missed_region(&generator), said);
        }
        assert_eq!(missed_region(&Value::Null), None);
    }
}
