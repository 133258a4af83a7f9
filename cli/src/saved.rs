//! States of a run as the tensors and words of a file.

use crate::failure::{Failure, Outcome};
use crate::files::safetensors::{Metadata, Numbers, Tensor, Tensors};
use pushforward::linalg::Matrix;
use pushforward::num::Real;
use pushforward::state::{self, State};

/// Named numbers and words, as a checkpoint holds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// Numbers.
    pub tensors: Tensors,
    /// Words.
    pub metadata: Metadata,
}

impl Saved {
    /// A state as a file takes it: each part under a beginning of its own, `counter.`, `word.` or `tensor.`.
    pub fn of(state: &State) -> Self {
        let counters = state.counters.iter().map(|(name, n)| (format!("counter.{name}"), n.to_string()));
        let words = state.words.iter().map(|(name, word)| (format!("word.{name}"), word.clone()));
        let one = |t: &state::Tensor| match t {
            state::Tensor::F32(m) => tensor(m),
            state::Tensor::F64(m) => tensor(m),
        };
        let tensors = state.tensors.iter().map(|(name, t)| (format!("tensor.{name}"), one(t)));
        Self { tensors: tensors.collect(), metadata: counters.chain(words).collect() }
    }

    /// The state that it holds. What is not part of one is left alone; the run itself says what it misses.
    pub fn state(&self) -> Outcome<State> {
        let mut out = State::default();
        for (key, text) in &self.metadata {
            if let Some(name) = key.strip_prefix("counter.") {
                let n = text.parse().map_err(|_| Failure::input(format!("{key} is '{text}', not a whole number")))?;
                out.counters.insert(name.into(), n);
            } else if let Some(name) = key.strip_prefix("word.") {
                out.words.insert(name.into(), text.clone());
            }
        }
        for (key, t) in &self.tensors {
            if let Some(name) = key.strip_prefix("tensor.") {
                let value = match &t.numbers {
                    Numbers::F32(_) => state::Tensor::F32(matrix(key, t)?),
                    _ => state::Tensor::F64(matrix(key, t)?),
                };
                out.tensors.insert(name.into(), value);
            }
        }
        Ok(out)
    }
}

/// Numbers that a file can hold.
pub trait Packed: Real {
    /// To the file.
    fn pack(values: &[Self]) -> Numbers;
    /// From the file; None where it holds the other precision.
    fn unpack(numbers: &Numbers) -> Option<&[Self]>;
}

impl Packed for f32 {
    fn pack(values: &[f32]) -> Numbers {
        Numbers::F32(values.to_vec())
    }
    fn unpack(numbers: &Numbers) -> Option<&[f32]> {
        if let Numbers::F32(v) = numbers { Some(v) } else { None }
    }
}

impl Packed for f64 {
    fn pack(values: &[f64]) -> Numbers {
        Numbers::F64(values.to_vec())
    }
    fn unpack(numbers: &Numbers) -> Option<&[f64]> {
        if let Numbers::F64(v) = numbers { Some(v) } else { None }
    }
}

/// A matrix as a tensor of its precision.
pub fn tensor<T: Packed>(m: &Matrix<T>) -> Tensor {
    Tensor { shape: vec![m.rows(), m.cols()], numbers: T::pack(m.as_slice()) }
}

/// The matrix that a tensor of its precision holds.
pub fn matrix<T: Packed>(name: &str, t: &Tensor) -> Outcome<Matrix<T>> {
    match (&t.shape[..], T::unpack(&t.numbers)) {
        (&[rows, cols], Some(values)) => Ok(Matrix::from_vec(rows, cols, values.to_vec())),
        (shape, None) => Err(Failure::input(format!("{name} (of shape {shape:?}) has another precision"))),
        (shape, _) => Err(Failure::input(format!("{name} has shape {shape:?}, not that of a matrix"))),
    }
}
