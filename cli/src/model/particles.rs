//! Particles in files.

use super::{Model, search};
use crate::failure::Outcome;
use crate::files::safetensors::{self, Metadata, Tensors};
use crate::saved::{matrix, tensor};
use pushforward::linalg::Matrix;
use pushforward::model::Searched;
use std::path::Path;

/// The tensor that only particles have.
pub const KEY: &str = "particles";

/// Writes particles (n×d, in the units of the target), and the search that they came from.
pub fn save(path: &Path, x: &Matrix, search: Option<&Searched>, config: &str) -> Outcome<()> {
    let mut tensors = Tensors::from([(KEY.into(), tensor(x))]);
    search::put(&mut tensors, search);
    safetensors::write(path, &tensors, &Metadata::from([("config".into(), config.into())]))
}

/// The particles that [`save`] wrote.
pub fn rebuild(tensors: &Tensors) -> Result<Model, String> {
    let x: Matrix = matrix(KEY, &tensors[KEY]).map_err(|e| e.to_string())?;
    if x.rows() == 0 || x.cols() == 0 || !x.is_finite() {
        return Err(format!("the particles are a {}×{} matrix, or not finite", x.rows(), x.cols()));
    }
    let search = search::of(tensors, x.cols())?;
    Ok(Model::Particles(x, search))
}
