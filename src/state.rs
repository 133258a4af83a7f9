//! State: what changes from step to step, in named numbers, so that a run can stop and go on with the same bits.

use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::nn::{AdamState, Parameters};
use crate::num::Real;
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What changes from step to step: saved, and taken on again.
pub trait Stateful {
    /// Adds all that changes from step to step. Nothing to save by default.
    fn save(&self, _to: &mut State) {}

    /// All that [`Stateful::save`] adds.
    fn state(&self) -> State {
        let mut out = State::default();
        self.save(&mut out);
        out
    }

    /// Takes on what [`Stateful::save`] of an object of the same shape added; unchanged where it does not fit (`Error::State`).
    fn restore(&mut self, _from: &State) -> Result<()> {
        Ok(())
    }
}

/// A matrix in its own precision.
#[derive(Debug, Clone, PartialEq)]
pub enum Tensor {
    /// Single.
    F32(Matrix<f32>),
    /// Double.
    F64(Matrix),
}

/// Named numbers: with the target and the settings of a run enough to go on with the same bits.
///
/// Random streams are keyed by (seed, purpose, step), so the step stands for all of them. A file format is the caller's affair.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Whole numbers.
    pub counters: BTreeMap<String, u64>,
    /// Matrices.
    pub tensors: BTreeMap<String, Tensor>,
    /// Words.
    pub words: BTreeMap<String, String>,
}

impl Tensor {
    /// In the precision of `m`.
    pub fn of<T: Real>(m: &Matrix<T>) -> Self {
        match (m as &dyn Any).downcast_ref::<Matrix<f32>>() {
            Some(single) => Tensor::F32(single.clone()),
            None => Tensor::F64(m.cast()),
        }
    }

    /// The matrix, where it has precision T.
    pub fn get<T: Real>(&self) -> Option<&Matrix<T>> {
        match self {
            Tensor::F32(m) => (m as &dyn Any).downcast_ref(),
            Tensor::F64(m) => (m as &dyn Any).downcast_ref(),
        }
    }

    /// (rows, columns).
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Tensor::F32(m) => m.shape(),
            Tensor::F64(m) => m.shape(),
        }
    }
}

impl State {
    /// Adds a matrix.
    pub fn put<T: Real>(&mut self, name: &str, m: &Matrix<T>) {
        self.tensors.insert(name.into(), Tensor::of(m));
    }

    /// Adds numbers in double precision.
    pub fn put_row(&mut self, name: &str, values: &[f64]) {
        self.put(name, &Matrix::from_vec(1, values.len(), values.to_vec()));
    }

    /// Adds all of `part` under names that start with `name` and a dot.
    pub fn put_part(&mut self, name: &str, part: &dyn Stateful) {
        let inner = part.state();
        let under = |key: String| format!("{name}.{key}");
        self.counters.extend(inner.counters.into_iter().map(|(k, v)| (under(k), v)));
        self.tensors.extend(inner.tensors.into_iter().map(|(k, v)| (under(k), v)));
        self.words.extend(inner.words.into_iter().map(|(k, v)| (under(k), v)));
    }

    /// What [`State::put_part`] added under `name`.
    pub fn part(&self, name: &str) -> State {
        let start = format!("{name}.");
        let inside = |key: &str| key.strip_prefix(&start).map(String::from);
        State {
            counters: self.counters.iter().filter_map(|(k, v)| Some((inside(k)?, *v))).collect(),
            tensors: self.tensors.iter().filter_map(|(k, v)| Some((inside(k)?, v.clone()))).collect(),
            words: self.words.iter().filter_map(|(k, v)| Some((inside(k)?, v.clone()))).collect(),
        }
    }

    /// The whole number `name`; `Error::State` where there is none.
    pub fn counter(&self, name: &str) -> Result<u64> {
        self.counters.get(name).copied().ok_or_else(|| missing(name))
    }

    /// The finite matrix `name` in precision T, of a given shape; else `Error::State`.
    pub fn matrix<T: Real>(&self, name: &str, shape: (usize, usize)) -> Result<&Matrix<T>> {
        let m = self.any_shape(name)?;
        if m.shape() == shape {
            return Ok(m);
        }
        let what = format!("{name} is {}×{}, expected {}×{}", m.rows(), m.cols(), shape.0, shape.1);
        Err(Error::State { what })
    }

    /// The finite matrix `name` in precision T, of any shape; else `Error::State`.
    pub fn any_shape<T: Real>(&self, name: &str) -> Result<&Matrix<T>> {
        let tensor = self.tensors.get(name).ok_or_else(|| missing(name))?;
        let m = tensor.get::<T>().ok_or_else(|| Error::State { what: format!("{name} has another precision") })?;
        if m.is_finite() {
            return Ok(m);
        }
        Err(Error::State { what: format!("{name} holds a number that is not finite") })
    }

    /// Adds the matrices of a network and Adam's running means of each.
    pub fn put_parameters<T: Real>(&mut self, names: &[String], parameters: &Parameters<T>, adam: &AdamState<T>) {
        self.counters.insert("adam.step".into(), adam.step);
        for (k, name) in names.iter().enumerate() {
            self.put::<T>(&format!("parameter.{name}"), &parameters[k]);
            self.put(&format!("mean.{name}"), &adam.mean[k]);
            self.put(&format!("mean_square.{name}"), &adam.mean_square[k]);
        }
    }

    /// What [`State::put_parameters`] added, of the names and shapes of `like`.
    pub fn parameters<T: Real>(&self, names: &[String], like: &Parameters<T>) -> Result<(Parameters<T>, AdamState<T>)> {
        let all = |kind: &str| -> Result<Vec<Matrix<T>>> {
            let each = names.iter().zip(like);
            each.map(|(name, p)| self.matrix(&format!("{kind}.{name}"), p.shape()).cloned()).collect()
        };
        let parameters = all("parameter")?.into_iter().map(|m| Arc::new(m.into())).collect();
        let adam = AdamState { step: self.counter("adam.step")?, mean: all("mean")?, mean_square: all("mean_square")? };
        Ok((parameters, adam))
    }
}

fn missing(name: &str) -> Error {
    Error::State { what: format!("there is no {name}") }
}
