//! Models in files: samples and densities.

use crate::convert::{matrix, raise, to_array};
use crate::pool::shared;
use crate::target::trusting;
use pushforward::linalg::Matrix;
use pushforward_cli::failure::{Failure, Outcome};
use pushforward_cli::model;
use pushforward_cli::opened::Opened;
use pushforward_cli::target::coordinates::Coordinates;
use pyo3::prelude::*;
use pyo3::types::PyByteArray;
use std::path::PathBuf;

/// What a run learnt, in the coordinates of its target.
#[pyclass(frozen, module = "pushforward._core")]
pub struct Model {
    model: model::Model,
    coordinates: Coordinates,
}

#[pymethods]
impl Model {
    /// The model of the run in the folder `path`.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf, trust: bool) -> PyResult<Self> {
        let opened = py.detach(|| {
            shared().install(|| {
                trusting(trust, || {
                    let opened = Opened::open(&path, false)?;
                    let coordinates = opened.coordinates()?;
                    Ok(Self { coordinates, model: opened.model })
                })
            })
        });
        opened.map_err(|failure: Failure| raise(py, failure))
    }

    /// Coordinates of a sample.
    #[getter]
    fn dim(&self) -> usize {
        self.coordinates.dim()
    }

    /// Names of the coordinates.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.coordinates.names()
    }

    /// Number of trained numbers.
    #[getter]
    fn size(&self) -> usize {
        self.model.size()
    }

    /// In a word.
    #[getter]
    fn kind(&self) -> &'static str {
        match &self.model {
            model::Model::F32(_) | model::Model::F64(_) => "generator",
            model::Model::Flow(_) => "flow",
            model::Model::Particles(..) => "particles",
        }
    }

    /// n samples under `seed`, those of 'pushforward sample', row after row.
    fn sample<'py>(&self, py: Python<'py>, n: u64, seed: u64) -> PyResult<Bound<'py, PyByteArray>> {
        let drawn = py.detach(|| shared().install(|| self.draw(n, seed)));
        Ok(to_array(py, &drawn.map_err(|failure| raise(py, failure))?))
    }

    /// log q at n points, row after row; for a target with a support that of the unconstrained coordinates.
    fn log_density<'py>(&self, py: Python<'py>, points: &[u8], n: usize) -> PyResult<Bound<'py, PyByteArray>> {
        let points = matrix(points, n, self.coordinates.dim())?;
        let values = py.detach(|| shared().install(|| self.evaluate(points)));
        Ok(to_array(py, &values.map_err(|failure| raise(py, failure))?))
    }
}

impl Model {
    fn draw(&self, n: u64, seed: u64) -> Outcome<Vec<f64>> {
        let model = &self.model;
        if let Some(most) = model.most_samples().filter(|most| n > *most) {
            return Err(Failure::input(format!(
                "n = {n}; the run holds {most} particles and can draw no more: ask for at most {most}, or train a generator along the same velocity"
            )));
        }
        let block = model.block_rows();
        model.fits_memory(block)?;
        pushforward_cli::memory::enough(
            24 * u128::from(n) * self.dim() as u128,
            "the samples",
            "ask for fewer at a time, under other seeds",
        )?;
        let mut out = Vec::with_capacity((n as usize) * self.dim());
        for (number, start) in (0..n).step_by(block as usize).enumerate() {
            let rows = (n - start).min(block) as usize;
            out.extend(self.coordinates.constrain(model.sample(rows, seed, number as u64))?.as_slice());
        }
        Ok(out)
    }

    fn evaluate(&self, points: Matrix) -> Outcome<Vec<f64>> {
        let Some(density) = self.model.density() else {
            let kind = self.kind();
            return Err(Failure::input(format!(
                "this model is a {kind}, whose density is not known; train with method=\"flow\""
            )));
        };
        self.model.fits_memory(points.rows() as u64)?;
        Ok(density.log_density(&self.coordinates.free(points)?))
    }
}
