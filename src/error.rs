//! The one error type of the library: input that has no answer, with the numbers that explain why.
//!
//! Not converging is not an error here; it is an answer with a report. Shapes that disagree are a programmer's
//! mistake and panic with both shapes.

use std::fmt;

/// Why an input has no answer. Every variant carries the place and the value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// A matrix that should be symmetric positive definite is not: Cholesky met a non-positive pivot.
    NotPositiveDefinite {
        /// What the matrix was, such as "covariance of component 3".
        what: String,
        /// Row of the pivot, from 0.
        pivot: usize,
        /// The pivot's value.
        value: f64,
    },
    /// Two sizes that must agree do not.
    Dimension {
        /// What was being sized.
        what: String,
        /// The size that was needed.
        expected: usize,
        /// The size that was given.
        found: usize,
    },
    /// A parameter lies outside its range.
    Parameter {
        /// The parameter's name.
        name: String,
        /// Its value.
        value: f64,
        /// The allowed range, in words.
        expected: &'static str,
    },
    /// A density, score or function of the user returned NaN or +inf.
    NonFinite {
        /// Which quantity, such as "log-density" or "score coordinate 1".
        what: String,
        /// What came back.
        value: f64,
        /// The point at which it was evaluated.
        point: Vec<f64>,
    },
    /// A name that is not in a registry.
    UnknownName {
        /// The kind of thing that was looked up, such as "target".
        kind: &'static str,
        /// The name as given.
        name: String,
        /// Known names that are close to it (all of them where none is close).
        near: Vec<String>,
    },
    /// A method was asked of an object that cannot do it.
    Unsupported {
        /// What was asked, and of what.
        what: String,
        /// What to do instead.
        remedy: &'static str,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotPositiveDefinite { what, pivot, value } => write!(
                f,
                "{what} is not positive definite: pivot {pivot} is {value:e}; give a symmetric matrix with positive eigenvalues"
            ),
            Error::Dimension { what, expected, found } => {
                write!(f, "{what} has size {found}, expected {expected}")
            }
            Error::Parameter { name, value, expected } => {
                write!(f, "{name} = {value} is out of range: expected {expected}")
            }
            Error::NonFinite { what, value, point } => {
                write!(
                    f,
                    "{what} is {value} at x = {point:?}; a density must be finite there, or -inf outside its support"
                )
            }
            Error::UnknownName { kind, name, near } => {
                write!(f, "unknown {kind} '{name}'; did you mean {}?", near.join(", "))
            }
            Error::Unsupported { what, remedy } => write!(f, "{what}; {remedy}"),
        }
    }
}

impl std::error::Error for Error {}

/// Result with the library's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;
