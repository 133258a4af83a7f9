//! `[symmetry]`: maps that a target says leave it as it is.

use crate::target::Reason;
use pushforward::density::{Density, Group, Symmetric};
use pushforward::linalg::Matrix;
use serde::Deserialize;
use std::sync::Arc;

/// The keys of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// J, a row after another: exp(tJ) turns.
    turn: Option<Vec<Vec<f64>>>,
    /// g_k, orthogonal; the identity alone where left out.
    elements: Option<Vec<Vec<Vec<f64>>>>,
}

/// The density with the symmetries that the table says.
pub(crate) fn told(density: Arc<dyn Density>, keys: &Keys) -> Result<Arc<dyn Density>, Reason> {
    let d = density.dim();
    let matrix = |name: &str, rows: &Vec<Vec<f64>>| {
        let square = rows.len() == d && rows.iter().all(|r| r.len() == d);
        square.then(|| Matrix::from_vec(d, d, rows.concat())).ok_or_else(|| {
            Reason::new(format!(
                "[symmetry] {name} is no matrix of {d} rows and columns, which the target's dimension asks for"
            ))
        })
    };
    let turn = keys.turn.as_ref().map(|rows| matrix("turn", rows)).transpose()?;
    let elements = match &keys.elements {
        None => vec![Matrix::identity(d)],
        Some(all) => all.iter().map(|rows| matrix("an entry of elements", rows)).collect::<Result<_, _>>()?,
    };
    let say = |e: pushforward::Error| Reason::new(format!("[symmetry]: {e}"));
    let group = Group::new(elements, turn).map_err(say)?;
    Ok(Arc::new(Symmetric::new(density, group).map_err(say)?))
}
