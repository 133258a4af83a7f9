//! What a training is at one step, as plain numbers and words by name.

use crate::density::Affine;
use crate::error::{Error, Result};
use crate::linalg::Matrix;
use crate::nn::{AdamState, Parameters};
use crate::num::Real;
use crate::run::train::Faults;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a training is at one step: with the target and the settings enough to go on with the same bits.
///
/// Random streams are keyed by (seed, purpose, step), so the step stands for all of them. A file format is the caller's affair.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State<T: Real> {
    /// Whole numbers.
    pub counters: BTreeMap<String, u64>,
    /// Matrices in the network's precision.
    pub matrices: BTreeMap<String, Matrix<T>>,
    /// Matrices that are in double precision whatever the network's is.
    pub doubles: BTreeMap<String, Matrix>,
    /// Words.
    pub words: BTreeMap<String, String>,
}

impl<T: Real> State<T> {
    /// The whole number `name`; `Error::State` where there is none.
    pub fn counter(&self, name: &str) -> Result<u64> {
        self.counters.get(name).copied().ok_or_else(|| missing(name))
    }

    /// The finite matrix `name` in the network's precision, of a given shape; else `Error::State`.
    pub fn matrix(&self, name: &str, shape: (usize, usize)) -> Result<&Matrix<T>> {
        let m = self.matrices.get(name).ok_or_else(|| missing(name))?;
        checked(name, m, shape)
    }

    /// The finite matrix `name` in double precision, of a given shape; else `Error::State`.
    pub fn double(&self, name: &str, shape: (usize, usize)) -> Result<&Matrix> {
        let m = self.doubles.get(name).ok_or_else(|| missing(name))?;
        checked(name, m, shape)
    }

    /// Adds the matrices of a model and Adam's running means of each.
    pub fn put_parameters(&mut self, names: &[String], parameters: &Parameters<T>, adam: &AdamState<T>) {
        self.counters.insert("adam.step".into(), adam.step);
        for (k, name) in names.iter().enumerate() {
            self.matrices.insert(format!("parameter.{name}"), Matrix::clone(&parameters[k]));
            self.matrices.insert(format!("mean.{name}"), adam.mean[k].clone());
            self.matrices.insert(format!("mean_square.{name}"), adam.mean_square[k].clone());
        }
    }

    /// What [`State::put_parameters`] added, of the names and shapes of `like`.
    pub fn parameters(&self, names: &[String], like: &Parameters<T>) -> Result<(Parameters<T>, AdamState<T>)> {
        let all = |kind: &str| -> Result<Vec<Matrix<T>>> {
            let each = names.iter().zip(like);
            each.map(|(name, p)| self.matrix(&format!("{kind}.{name}"), p.shape()).cloned()).collect()
        };
        let parameters = all("parameter")?.into_iter().map(|m| Arc::new(m.into())).collect();
        let adam = AdamState { step: self.counter("adam.step")?, mean: all("mean")?, mean_square: all("mean_square")? };
        Ok((parameters, adam))
    }

    /// Adds the units of the model.
    pub fn put_frame(&mut self, frame: &Affine) {
        self.doubles.insert("frame.centre".into(), row(frame.centre()));
        self.doubles.insert("frame.scale".into(), row(&[frame.scale()]));
    }

    /// What [`State::put_frame`] added.
    pub fn frame(&self) -> Result<Affine> {
        let d = self.doubles.get("frame.centre").map_or(0, |m| m.cols());
        let centre = self.double("frame.centre", (1, d))?.row(0).to_vec();
        let scale = self.double("frame.scale", (1, 1))?[(0, 0)];
        let bad = || Error::State { what: format!("the frame has {d} coordinates and scale {scale}") };
        if d == 0 { Err(bad()) } else { Affine::new(centre, scale).map_err(|_| bad()) }
    }

    /// Adds the steps that were left out, and the first reason.
    pub fn put_faults(&mut self, faults: &Faults) {
        self.counters.insert("faults.skipped".into(), faults.skipped);
        match &faults.first {
            Some(Error::NonFinite { what, value, point }) => {
                self.words.insert("faults.what".into(), what.clone());
                self.doubles.insert("faults.value".into(), row(&[*value]));
                self.doubles.insert("faults.point".into(), row(point));
            }
            Some(Error::OutsideSupport { particles }) => {
                self.counters.insert("faults.outside".into(), *particles as u64);
            }
            _ => {}
        }
    }

    /// What [`State::put_faults`] added.
    pub fn faults(&self) -> Result<Faults> {
        let parts = (self.words.get("faults.what"), self.doubles.get("faults.value"), self.doubles.get("faults.point"));
        let first = match parts {
            (Some(what), Some(value), Some(point)) if value.shape() == (1, 1) => {
                let (what, point) = (what.clone(), point.as_slice().to_vec());
                Some(Error::NonFinite { what, value: value[(0, 0)], point })
            }
            _ => self.counter("faults.outside").ok().map(|n| Error::OutsideSupport { particles: n as usize }),
        };
        Ok(Faults { skipped: self.counter("faults.skipped")?, first })
    }
}

fn row(values: &[f64]) -> Matrix {
    Matrix::from_vec(1, values.len(), values.to_vec())
}

fn missing(name: &str) -> Error {
    Error::State { what: format!("there is no {name}") }
}

fn checked<'a, T: Real>(name: &str, m: &'a Matrix<T>, shape: (usize, usize)) -> Result<&'a Matrix<T>> {
    let what = match m.is_finite() {
        true if m.shape() == shape => return Ok(m),
        true => format!("{name} is {}×{}, expected {}×{}", m.rows(), m.cols(), shape.0, shape.1),
        false => format!("{name} holds a number that is not finite"),
    };
    Err(Error::State { what })
}
