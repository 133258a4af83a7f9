//! The keys of a file of `kind = "stan-library"`.

use crate::failure::Failure;
use crate::files::{fnv1a, read_bytes, text_of};
use crate::fingerprint;
use crate::target::coordinates::Coordinates;
use crate::target::stan::StanModel;
use crate::target::{Described, Reason, absolute, unchanged};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(rename = "kind")]
    _kind: String,
    library: PathBuf,
    library_checksum: Option<String>,
    data: Option<Data>,
    data_checksum: Option<String>,
    #[serde(default)]
    seed: u32,
    #[serde(default)]
    source: String,
}

const KEYS: &[&str] = &["kind", "library", "library_checksum", "data", "data_checksum", "seed", "source"];

/// Longest file of data that is read.
const MAX_DATA: u64 = 1 << 30;

/// A JSON file, or the data themselves.
#[derive(Deserialize)]
#[serde(untagged, expecting = "data must be the path of a .json file or a table of values")]
enum Data {
    File(PathBuf),
    Table(toml::Table),
}

/// The target that `text` describes; its files are looked for beside `base`.
pub(crate) fn describe(text: &str, base: &Path) -> Result<Described, Reason> {
    let (model, keys, prints) = open(text, base)?;
    let (dim, names) = (model.free_dim(), model.names().join(", "));
    let words = format!("{dim} unconstrained parameters of {names}; with the Jacobian of Stan's transforms");
    let model = Arc::new(model);
    let mut described =
        Described::new(Arc::clone(&model) as Arc<_>, format!("the Stan model of {}", keys.library.display()), words);
    described.coordinates = Coordinates::Stan(model);
    described.source = keys.source;
    described.replace("library", absolute(&base.join(&keys.library))?);
    if let Some(Data::File(path)) = &keys.data {
        described.replace("data", absolute(&base.join(path))?);
    }
    prints.into_iter().for_each(|(key, print)| described.replace(key, print));
    Ok(described)
}

/// Key and value of a fingerprint.
type Print = (&'static str, String);

/// Opens the library, if it and its data are what the fingerprints say.
fn open(text: &str, base: &Path) -> Result<(StanModel, Keys, Vec<Print>), Reason> {
    let keys: Keys = toml::from_str(text)
        .map_err(|e| Reason::of_keys(text, &e, "stan-library", "library, the path of a shared library", KEYS))?;
    let library = base.join(&keys.library);
    if let Err(e) = std::fs::metadata(&library) {
        return Err(Reason::new(format!("library: cannot read {}: {e}; check the path", library.display())));
    }
    let print = fingerprint::of_file(&library).map_err(|e| Reason::new(format!("library: {e}")))?;
    unchanged("library", &library, keys.library_checksum.as_deref(), &print)?;
    let mut prints = vec![("library_checksum", print)];
    let data = match &keys.data {
        None => None,
        Some(Data::Table(table)) => Some(serde_json::to_string(table).map_err(|e| Reason::new(format!("data: {e}")))?),
        Some(Data::File(path)) => {
            let path = base.join(path);
            if path.extension().is_none_or(|e| e != "json") {
                return Err(Reason::new(format!(
                    "data: {} does not end in .json; give Stan's JSON format",
                    path.display()
                )));
            }
            // the model gets the text that has this fingerprint, not a file that may change in between
            let bad = |e: Failure| Reason::new(format!("data: {e}"));
            let bytes = read_bytes(&path, MAX_DATA).map_err(bad)?;
            let print = fingerprint::text(fnv1a(&bytes));
            unchanged("data", &path, keys.data_checksum.as_deref(), &print)?;
            prints.push(("data_checksum", print));
            Some(text_of(bytes, &path).map_err(bad)?)
        }
    };
    // a path without a folder would be looked for where the system keeps its libraries
    let library = std::path::absolute(&library).unwrap_or(library);
    Ok((StanModel::open(&library, data.as_deref(), keys.seed)?, keys, prints))
}

/// The coordinates of a definition in config.toml.
pub(crate) fn coordinates_of(definition: &toml::Value) -> Result<Coordinates, Reason> {
    let text = toml::to_string(definition).map_err(|e| Reason::new(e.to_string()))?;
    Ok(Coordinates::Stan(Arc::new(open(&text, Path::new(""))?.0)))
}
