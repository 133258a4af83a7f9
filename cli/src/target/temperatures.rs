//! `kind = "temperatures"`: a density at every temperature of a range.

use crate::target::coordinates::{Coordinates, Named};
use crate::target::{Described, Reason, Target, is_path, of_definition};
use pushforward::density::{Chart, Density, Domain, Node, Support, Temperatures};
use pushforward::search::temperatures;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// The word in a target file.
pub(crate) const KIND: &str = "temperatures";

/// The keys of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    #[serde(rename = "kind")]
    _kind: String,
    /// A name, the path of a target file, or its content.
    of: toml::Value,
    /// The least β; the largest is 1.
    from: f64,
    /// β, log Z(β) and E_β[log p~] of the searches, as config.toml holds them.
    nodes: Option<Vec<[f64; 3]>>,
}

const KEYS: &[&str] = &["kind", "of", "from", "nodes"];

/// By how much the range of β is wider than the one that is asked for, so that its ends are inside.
const MARGIN: f64 = 1.1;

/// The family that `text` describes; files are looked for beside `base`.
pub(crate) fn describe(text: &str, base: &Path, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let keys: Keys = toml::from_str(text).map_err(|e| {
        Reason::of_keys(text, &e, "target of temperatures", "of, a target, and from, the least beta", KEYS)
    })?;
    let from = keys.from;
    if !(from > 0.0 && from < 1.0) {
        return Err(Reason::new(format!("from = {from}; give the least beta, between 0 and 1")));
    }
    let of = match &keys.of {
        toml::Value::String(path) if is_path(path) => base.join(path).to_string_lossy().into_owned().into(),
        other => other.clone(),
    };
    let target = of_definition(&of, None, note).map_err(|e| Reason::new(format!("of: {e}")))?;
    refuse(&target)?;
    let nodes: Option<Vec<Node>> = keys.nodes.map(|nodes| {
        nodes.into_iter().map(|[beta, log_z, mean_log_density]| Node { beta, log_z, mean_log_density }).collect()
    });
    let family = match nodes {
        Some(nodes) => Temperatures::new(Arc::clone(&target.density), nodes),
        None => temperatures(&target.density, from / MARGIN, MARGIN, 0),
    };
    let family = family.map_err(|e| Reason::new(format!("the powers p~^beta, {from} <= beta <= 1: {e}")))?;
    let (low, high) = family.range();
    let nodes = family.nodes().iter().map(|n| [n.beta, n.log_z, n.mean_log_density].map(toml::Value::Float).to_vec());
    let nodes: Vec<toml::Value> = nodes.map(toml::Value::Array).collect();
    let formula = format!("beta log p~(x) - log Z(beta) - log beta at (beta, x); log p~(x) = {}", target.formula);
    let constants = format!("{from} <= beta <= 1, and a tenth beyond; {}", target.constants);
    let (chart, coordinates) = beside_beta(low, high, &target.coordinates)?;
    let described = Described::new(Arc::new(family) as Arc<dyn Density>, formula, constants).on(Some(chart))?;
    let mut described = Described { coordinates, ..described };
    described.replace("of", target.definition);
    described.replace("nodes", nodes);
    Ok(described)
}

/// The coordinates of a family in `free_dim` dimensions that config.toml defines, without its density.
pub(crate) fn coordinates(definition: &toml::Value, free_dim: usize) -> Result<Coordinates, Reason> {
    let ends = definition.get("nodes").and_then(toml::Value::as_array).and_then(|nodes| {
        let beta = |node: &toml::Value| node.as_array()?.first()?.as_float();
        Some((beta(nodes.first()?)?, beta(nodes.last()?)?))
    });
    let of = definition.get("of").zip(free_dim.checked_sub(1));
    let Some(((low, high), (of, d))) = ends.zip(of) else {
        return Err(Reason::new("a target of temperatures needs of and nodes; take the config.toml of the run"));
    };
    let inner = super::coordinates_of(of, d).map_err(|e| Reason::new(e.to_string()))?;
    beside_beta(low, high, &inner).map(|(_, coordinates)| coordinates)
}

/// beta in its range and the free coordinates of one temperature: their chart, and with names.
fn beside_beta(low: f64, high: f64, inner: &Coordinates) -> Result<(Chart, Coordinates), Reason> {
    let blocks = [vec![Support::Interval { low, high }], vec![Support::Real; inner.free_dim()]].concat();
    let chart = Chart::new(blocks).map_err(|e| Reason::new(e.to_string()))?;
    let names = [vec!["beta".to_string()], inner.names()].concat();
    let named = Named::new(chart.clone(), names, None);
    Ok((chart, Coordinates::Named(Arc::new(named))))
}

/// Refuses what has no powers here.
fn refuse(target: &Target) -> Result<(), Reason> {
    let name = &target.name;
    let why = if target.samples.is_some() {
        format!("{name} is known by samples alone, and their density has no powers")
    } else if !target.others.is_empty() {
        format!("{name} are several targets")
    } else if target.coordinates.differ() {
        format!("{name} has a support or coordinates of its own; write the power into its formula")
    } else if target.domain != Domain::Euclidean {
        format!("{name} lives on a torus")
    } else if target.density.conditions() > 0 {
        format!("{name} has conditions already")
    } else {
        return Ok(());
    };
    Err(Reason::new(format!("of: {why}; give one density on all of R^d")))
}
