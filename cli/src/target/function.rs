//! `kind = "python"`: a function of another program, which holds it and calls this one as a library.
//!
//! A run's folder says what its points are, `dim` or `[parameters]`, so that its model can be sampled from everywhere; its density is
//! where the function is.

use crate::failure::{Failure, Outcome};
use crate::target::coordinates::{Coordinates, Named};
use crate::target::formula::MAX_DIM;
use crate::target::formula::parameters::Parameters;
use crate::target::{Described, Reason, Target};
use pushforward::density::{Chart, Density};
use std::sync::Arc;

/// The kind, as definitions have it.
pub const KIND: &str = "python";

/// The chart of the points, where they have names, and their coordinates.
fn points(definition: &toml::Table) -> Result<(Option<Chart>, Coordinates), Reason> {
    match (definition.get("parameters"), definition.get("dim").and_then(toml::Value::as_integer)) {
        (Some(toml::Value::Table(table)), None) => {
            let parameters = Parameters::of(table, &[])?;
            if let Some(name) = parameters.bounded() {
                return Err(Reason::new(format!(
                    "parameters: {name} has a formula for an end, which a function does not know; give a number, and map it in the function"
                )));
            }
            let chart = parameters.chart().clone();
            let named = Named::new(chart.clone(), parameters.names(), None);
            Ok(((!chart.is_identity()).then_some(chart), Coordinates::Named(Arc::new(named))))
        }
        (None, Some(dim)) => match usize::try_from(dim) {
            Ok(d) if (1..=MAX_DIM).contains(&d) => Ok((None, Coordinates::Same(d))),
            _ => Err(Reason::new(format!("dim = {dim}; give a number from 1 to {MAX_DIM}"))),
        },
        _ => Err(Reason::new(
            "a function has a dim or a table of parameters, one of them; give its number of coordinates",
        )),
    }
}

/// The coordinates of a definition of this kind.
pub(super) fn coordinates(definition: &toml::Value) -> Result<Coordinates, Reason> {
    points(definition.as_table().unwrap_or(&toml::Table::new())).map(|(_, coordinates)| coordinates)
}

/// The target called `name` of a host's function: `density` makes the density of so many of the user's coordinates, and `definition` has
/// `dim` or `parameters`.
pub fn target(name: &str, definition: toml::Table, density: impl FnOnce(usize) -> Arc<dyn Density>) -> Outcome<Target> {
    let (chart, coordinates) = points(&definition).map_err(|why| Failure::input(why.sentence))?;
    let density = density(coordinates.dim());
    let described = Described::new(density, "a function of the caller", String::new());
    let described = described.on(chart).map_err(|why| Failure::input(why.sentence))?;
    Ok(Target {
        name: name.into(),
        density: described.density,
        others: Vec::new(),
        samples: None,
        domain: described.domain,
        coordinates,
        formula: described.formula,
        constants: described.constants,
        source: "a function of the user".into(),
        definition: toml::Value::Table(definition),
    })
}

/// What a command says that needs the function itself.
pub(super) fn describe() -> Result<Described, Reason> {
    Err(Reason::new(
        "the target is a function of Python, which only Python can call; go on there, with pushforward.resume(RUN, function), or 'sample' its model",
    ))
}
