//! Targets: named ones, descriptions, and functions of Python.

use crate::convert::{raise, to_table};
use crate::host::{Function, Host, Watched};
use crate::pool::shared;
use pushforward::density::Density;
use pushforward_cli::failure::Outcome;
use pushforward_cli::target::{self, function};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What is to be sampled from.
#[pyclass(frozen, module = "pushforward._core")]
pub struct Target {
    /// Without its function, where it is one of Python.
    described: target::Target,
    /// The adapter of `_density.py` around the function.
    function: Option<Py<PyAny>>,
}

/// Runs `work` where Stan libraries that a description names may be opened, if `trust` says so.
pub fn trusting<T>(trust: bool, work: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    target::trust_libraries(trust);
    let out = work();
    target::trust_libraries(false);
    out
}

/// Loads a target outside of Python's lock; its notes become warnings.
fn load(
    py: Python<'_>,
    load: impl FnOnce(&mut dyn FnMut(String)) -> Outcome<target::Target> + Send,
) -> PyResult<Target> {
    let (loaded, notes) = py.detach(|| {
        let mut notes = Vec::new();
        let loaded = shared().install(|| load(&mut |sentence| notes.push(sentence)));
        (loaded, notes)
    });
    warn(py, notes)?;
    Ok(Target { described: loaded.map_err(|failure| raise(py, failure))?, function: None })
}

/// Warns of each note.
pub fn warn(py: Python<'_>, notes: Vec<String>) -> PyResult<()> {
    let warn = py.import("warnings")?.getattr("warn")?;
    notes.into_iter().try_for_each(|note| warn.call1((note,)).map(drop))
}

#[pymethods]
impl Target {
    /// A name from 'pushforward list targets', or the path of a target file.
    #[staticmethod]
    fn named(py: Python<'_>, name: String, trust: bool) -> PyResult<Self> {
        let definition = toml::Value::String(name);
        load(py, move |note| trusting(trust, || target::of_definition(&definition, None, note)))
    }

    /// What a dictionary with the keys of a target file describes.
    #[staticmethod]
    fn described(py: Python<'_>, name: String, keys: &Bound<'_, PyDict>, trust: bool) -> PyResult<Self> {
        let text = toml::to_string(&to_table(keys)?).expect("a table of values can be written");
        load(py, move |note| trusting(trust, || target::of_text(&name, &name, Path::new(""), &text, note)))
    }

    /// A function of Python; `keys` has `dim` or `parameters`.
    #[staticmethod]
    fn function(py: Python<'_>, name: &str, keys: &Bound<'_, PyDict>, function: Py<PyAny>) -> PyResult<Self> {
        let mut definition = toml::Table::new();
        definition.insert("kind".into(), function::KIND.into());
        definition.extend(to_table(keys)?);
        let nobody = |dim| Arc::new(Function { dim, host: Arc::default() }) as Arc<dyn Density>;
        let described = function::target(name, definition, nobody).map_err(|failure| raise(py, failure))?;
        Ok(Self { described, function: Some(function) })
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        &self.described.name
    }

    /// Names of the coordinates of its samples.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.described.coordinates.names()
    }

    /// Its formula.
    #[getter]
    fn formula(&self) -> &str {
        &self.described.formula
    }

    /// Whether it is a function of Python.
    #[getter]
    fn is_function(&self) -> bool {
        self.function.is_some()
    }
}

impl Target {
    /// The target of a configuration; one of a function asks `host`, where somebody `has_function`.
    pub fn of_run(
        has_function: bool,
        definition: &toml::Value,
        name: Option<&str>,
        host: &Arc<Host>,
        note: &mut dyn FnMut(String),
    ) -> Outcome<target::Target> {
        let name = name.unwrap_or("function");
        match definition {
            toml::Value::Table(table) if table.get("kind").and_then(toml::Value::as_str) == Some(function::KIND) => {
                if has_function {
                    return function::target(name, table.clone(), |dim| asking(dim, host));
                }
                target::of_definition(definition, Some(name), note)
            }
            _ => target::of_definition(definition, Some(name), note).map(|t| watched(t, host)),
        }
    }

    /// The same target with densities that ask, or obey, `host`.
    pub fn hosted(&self, host: &Arc<Host>) -> Outcome<target::Target> {
        match (&self.function, &self.described.definition) {
            (Some(_), toml::Value::Table(table)) => {
                function::target(&self.described.name, table.clone(), |dim| asking(dim, host))
            }
            _ => Ok(watched(self.described.clone(), host)),
        }
    }

    /// The adapter of its function.
    pub fn adapter(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.function.as_ref().map(|f| f.clone_ref(py))
    }
}

fn asking(dim: usize, host: &Arc<Host>) -> Arc<dyn Density> {
    Arc::new(Function { dim, host: Arc::clone(host) })
}

fn watched(target: target::Target, host: &Arc<Host>) -> target::Target {
    let one = |inner| Arc::new(Watched { inner, host: Arc::clone(host) }) as Arc<dyn Density>;
    let others = target.others.into_iter().map(one).collect();
    target::Target { density: one(target.density), others, ..target }
}
