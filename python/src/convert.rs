//! Between Python's values and ours.

use pushforward::linalg::Matrix;
use pushforward_cli::failure::Failure;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// Numbers as bytes, which NumPy reads.
pub fn to_bytes<'py>(py: Python<'py>, numbers: &[f64]) -> Bound<'py, PyBytes> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_ne_bytes()).collect();
    PyBytes::new(py, &bytes)
}

/// The same as an array of bytes that NumPy can also write to.
pub fn to_array<'py>(py: Python<'py>, numbers: &[f64]) -> Bound<'py, PyByteArray> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_ne_bytes()).collect();
    PyByteArray::new(py, &bytes)
}

/// Numbers of bytes that NumPy wrote.
pub fn doubles(bytes: &[u8]) -> PyResult<Vec<f64>> {
    let (numbers, rest) = bytes.as_chunks();
    if rest.is_empty() {
        return Ok(numbers.iter().map(|&b| f64::from_ne_bytes(b)).collect());
    }
    Err(PyValueError::new_err(format!("{} bytes are no array of float64", bytes.len())))
}

/// A matrix of bytes that NumPy wrote.
pub fn matrix(bytes: &[u8], rows: usize, cols: usize) -> PyResult<Matrix> {
    let numbers = doubles(bytes)?;
    if Some(numbers.len()) == rows.checked_mul(cols) {
        return Ok(Matrix::from_vec(rows, cols, numbers));
    }
    Err(PyValueError::new_err(format!("{} numbers are no {rows}×{cols} array", numbers.len())))
}

/// A failure as the exception of its kind, with the sentence of the command.
pub fn raise(py: Python<'_>, failure: Failure) -> PyErr {
    let name = match &failure {
        Failure::Input(_) | Failure::Source { .. } => "InputError",
        Failure::Interrupted(_) => "Interrupted",
        _ => "RunError",
    };
    let made = py.import("pushforward._errors").and_then(|m| m.getattr(name)?.call1((failure.to_string(),)));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// A value of Python as one of a configuration: a number, a word, a truth value, a list or a dictionary.
pub fn to_toml(value: &Bound<'_, PyAny>) -> PyResult<toml::Value> {
    if let Ok(yes) = value.cast::<PyBool>() {
        return Ok(toml::Value::Boolean(yes.is_true()));
    }
    if let Ok(word) = value.cast::<PyString>() {
        return Ok(toml::Value::String(word.to_string()));
    }
    if value.cast::<PyInt>().is_ok() {
        let whole = value.extract::<i64>().map_err(|_| {
            PyValueError::new_err(format!("{value} is too large; give a whole number between -2^63 and 2^63 - 1"))
        })?;
        return Ok(toml::Value::Integer(whole));
    }
    if value.cast::<PyFloat>().is_ok() {
        return Ok(toml::Value::Float(value.extract()?));
    }
    if let Ok(table) = value.cast::<PyDict>() {
        return to_table(table).map(toml::Value::Table);
    }
    if value.cast::<PyList>().is_ok() || value.cast::<PyTuple>().is_ok() {
        return value.try_iter()?.map(|v| to_toml(&v?)).collect::<PyResult<Vec<_>>>().map(toml::Value::Array);
    }
    let kind = value.get_type().name()?;
    Err(PyValueError::new_err(format!("{value} is a {kind}; give a number, a word, a list or a dictionary")))
}

/// A dictionary as a table, in its order.
pub fn to_table(dictionary: &Bound<'_, PyDict>) -> PyResult<toml::Table> {
    dictionary.iter().map(|(key, value)| Ok((key.str()?.to_string(), to_toml(&value)?))).collect()
}
