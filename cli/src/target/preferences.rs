//! `kind = "preferences"`: the geometric mixtures of several targets, at every weight of the simplex.

use crate::target::coordinates::{Coordinates, Named};
use crate::target::{Described, Reason, Target, is_path, of_definition};
use pushforward::density::{Chart, Corner, Density, Domain, Preferences, Support};
use pushforward::search::preferences;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// The word in a target file.
pub(crate) const KIND: &str = "preferences";

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(rename = "kind")]
    _kind: String,
    /// Names, paths of target files, or their content.
    of: Vec<toml::Value>,
    /// Of each search the K weights, log Z, K means and K² covariances of log p~_k, as config.toml holds them.
    nodes: Option<Vec<Vec<f64>>>,
}

const KEYS: &[&str] = &["kind", "of", "nodes"];

/// Most targets: a search each and one for each pair.
const MOST: usize = 10;

/// The family that `text` describes; files are looked for beside `base`.
pub(crate) fn describe(text: &str, base: &Path, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let keys: Keys = toml::from_str(text)
        .map_err(|e| Reason::of_keys(text, &e, "target of preferences", "of, a list of targets", KEYS))?;
    let k = keys.of.len();
    if !(2..=MOST).contains(&k) {
        return Err(Reason::new(format!("of has {k} targets; give 2 to {MOST}")));
    }
    let of = |value: &toml::Value| match value {
        toml::Value::String(path) if is_path(path) => base.join(path).to_string_lossy().into_owned().into(),
        other => other.clone(),
    };
    let of = toml::Value::Array(keys.of.iter().map(of).collect());
    let target = of_definition(&of, None, note).map_err(|e| Reason::new(format!("of: {e}")))?;
    refuse(&target)?;
    let parts: Vec<Arc<dyn Density>> = [&[Arc::clone(&target.density)][..], &target.others].concat();
    let family = match keys.nodes {
        Some(nodes) => {
            let nodes = nodes.iter().map(|row| corner(row, k)).collect::<Result<_, _>>()?;
            Preferences::new(parts, nodes)
        }
        None => preferences(&parts, 0),
    };
    let family = family.map_err(|e| Reason::new(format!("the mixtures p1^w1 p2^w2 ... of {}: {e}", target.name)))?;
    let row = |n: &Corner| [&n.weights[..], &[n.log_z], &n.means, &n.covariance].concat();
    let numbers = |row: Vec<f64>| toml::Value::Array(row.into_iter().map(toml::Value::Float).collect());
    let nodes: Vec<toml::Value> = family.nodes().iter().map(|n| numbers(row(n))).collect();
    let formula = format!("sum_k w_k log p~_k(x) - log Z(w) at (w, x), k = 1 to {k}; log p~_k: {}", target.formula);
    let (chart, coordinates) = beside_weights(k, &target.coordinates)?;
    let constants = target.constants.clone();
    let described = Described::new(Arc::new(family) as Arc<dyn Density>, formula, constants).on(Some(chart))?;
    let mut described = Described { coordinates, ..described };
    described.replace("of", target.definition);
    described.replace("nodes", nodes);
    Ok(described)
}

/// What a row of config.toml says of K targets.
fn corner(row: &[f64], k: usize) -> Result<Corner, Reason> {
    let expected = k + 1 + k + k * k;
    if row.len() != expected {
        let found = row.len();
        return Err(Reason::new(format!("a row of nodes has {found} numbers, not {expected}; leave the key out")));
    }
    let ((weights, rest), log_z) = (row.split_at(k), row[k]);
    let (means, covariance) = rest[1..].split_at(k);
    Ok(Corner { weights: weights.to_vec(), log_z, means: means.to_vec(), covariance: covariance.to_vec() })
}

/// The coordinates of a family in `free_dim` dimensions that config.toml defines, without its density.
pub(crate) fn coordinates(definition: &toml::Value, free_dim: usize) -> Result<Coordinates, Reason> {
    let of = definition.get("of").and_then(toml::Value::as_array).filter(|of| of.len() >= 2);
    let Some((of, d)) = of.and_then(|of| Some((of, (free_dim + 1).checked_sub(of.len())?))) else {
        return Err(Reason::new("a target of preferences needs of, a list; take the config.toml of the run"));
    };
    let inner = super::coordinates_of(&of[0], d).map_err(|e| Reason::new(e.to_string()))?;
    beside_weights(of.len(), &inner).map(|(_, coordinates)| coordinates)
}

/// K weights and the free coordinates of a target: their chart, and with names.
fn beside_weights(k: usize, inner: &Coordinates) -> Result<(Chart, Coordinates), Reason> {
    let blocks = [vec![Support::Simplex(k)], vec![Support::Real; inner.free_dim()]].concat();
    let chart = Chart::new(blocks).map_err(|e| Reason::new(e.to_string()))?;
    let names = (1..=k).map(|k| format!("weight_{k}")).chain(inner.names()).collect();
    let named = Named::new(chart.clone(), names, None);
    Ok((chart, Coordinates::Named(Arc::new(named))))
}

/// Refuses what has no mixtures here; supports and dimensions were asked about before.
fn refuse(target: &Target) -> Result<(), Reason> {
    let name = &target.name;
    let why = if target.samples.is_some() {
        format!("one of {name} is known by samples alone, and their density has no powers")
    } else if target.domain != Domain::Euclidean {
        format!("{name} lives on a torus")
    } else if target.density.conditions() > 0 {
        format!("one of {name} has conditions already")
    } else {
        return Ok(());
    };
    Err(Reason::new(format!("of: {why}; give densities on all of R^d")))
}
