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
    /// A setting of another type, or outside its range.
    Setting {
        /// Its name.
        key: String,
        /// Its value, as it was written.
        value: String,
        /// What it may be, in words.
        expected: String,
    },
    /// A velocity and a model that cannot go together.
    Mismatch {
        /// What does not fit, by both names.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// A velocity returned numbers or shapes that nobody can follow.
    BadVelocity {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
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
    /// No particle of a step lies where the target has mass, so nothing says which way to move.
    OutsideSupport {
        /// How many particles there were.
        particles: usize,
    },
    /// A density of the user panicked.
    Panicked {
        /// What was being computed, such as "the density".
        what: String,
        /// What it said.
        message: String,
    },
    /// A computation that would need more memory than it may use.
    TooLarge {
        /// What would need it.
        what: String,
        /// Bytes that it would need, at least.
        needed: f64,
        /// Bytes that it may use.
        limit: f64,
    },
    /// A sample that is to be judged is not finite, or so large that its square is not.
    BadSample {
        /// Its row, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The entry.
        value: f64,
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
    /// A generator's own output became infinite or NaN.
    Diverged {
        /// The step, from 0.
        step: u64,
    },
    /// Too many steps had to be left out because the target returned something that is not finite.
    TooManyFaults {
        /// Steps left out.
        skipped: u64,
        /// Steps tried.
        steps: u64,
        /// The first reason.
        first: Box<Error>,
    },
    /// A saved state of a training that does not fit: another run's, or damaged.
    State {
        /// What is missing or wrong.
        what: String,
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
            Error::Setting { key, value, expected } => {
                write!(f, "{key} = {value} is out of range: expected {expected}")
            }
            Error::Mismatch { what, remedy } => write!(f, "{what}; {remedy}"),
            Error::BadVelocity { name, what } => {
                write!(f, "the velocity '{name}' returned {what}; repair its code")
            }
            Error::NonFinite { what, value, point } => {
                write!(
                    f,
                    "{what} is {value} at x = {point:?}; a density must be finite there, or -inf outside its support"
                )
            }
            Error::OutsideSupport { particles } => {
                write!(
                    f,
                    "log p~ is -inf at all {particles} particles; give the target's centre and scale, or raise bandwidth_start"
                )
            }
            Error::Panicked { what, message } => write!(f, "{what} panicked: {message}; repair its code"),
            Error::TooLarge { what, needed, limit } => {
                let (needed, limit) = (size(*needed as u128), size(*limit as u128));
                write!(f, "{what} needs at least {needed} of memory, and {limit} are free; make it smaller")
            }
            Error::BadSample { row, column, value } => {
                write!(
                    f,
                    "row {row}, column {column} of the samples is {value:?}; remove or repair that row (rows count from 0)"
                )
            }
            Error::UnknownName { kind, name, near } => {
                write!(f, "unknown {kind} '{name}'; did you mean {}?", near.join(", "))
            }
            Error::Diverged { step } => {
                write!(
                    f,
                    "the model's output is not finite at step {step}; lower learning_rate, or for a generator raise bandwidth_end"
                )
            }
            Error::TooManyFaults { skipped, steps, first } => {
                write!(
                    f,
                    "{skipped} of {steps} steps were left out because the target is not finite; the first reason: {first}"
                )
            }
            Error::State { what } => {
                write!(
                    f,
                    "the saved state does not fit this training: {what}; resume with the target and settings of its run"
                )
            }
            Error::Unsupported { what, remedy } => write!(f, "{what}; {remedy}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// The error for a `name` that is not among `known`, with the known names near it (all of them where none is near).
    ///
    /// Near: one contains the other, or the edit distance is at most a third of the longer name; nearest first.
    pub fn unknown_name(kind: &'static str, name: &str, known: &[&str]) -> Error {
        let given = name.to_lowercase();
        let mut near: Vec<(usize, &str)> = known
            .iter()
            .map(|&k| (edit_distance(&given, &k.to_lowercase()), k))
            .filter(|&(distance, k)| {
                let lower = k.to_lowercase();
                let contained = given.len() > 1 && (lower.contains(&given) || given.contains(&lower));
                contained || 3 * distance <= given.chars().count().max(k.chars().count())
            })
            .collect();
        near.sort();
        let near = if near.is_empty() { known.to_vec() } else { near.into_iter().map(|(_, k)| k).collect() };
        Error::UnknownName { kind, name: name.into(), near: near.into_iter().map(String::from).collect() }
    }
}

/// Fewest insertions, deletions and replacements of a character that turn `a` into `b` (Levenshtein, row by row).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Result with the library's [`enum@Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// A number of bytes in words of its own magnitude: "1.5 GB" for 1.5·10⁹.
pub fn size(bytes: u128) -> String {
    let units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let power = (1..units.len()).take_while(|k| bytes >= 1000u128.pow(*k as u32)).count();
    match power {
        0 => format!("{bytes} bytes"),
        _ => format!("{:.1} {}", bytes as f64 / 1e3f64.powi(power as i32), units[power]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that a slip of the pen and a part of a name find their names, and that nonsense lists all of them.
    #[test]
    fn near_names() {
        let near = |name: &str| match Error::unknown_name("target", name, &["gmm9", "gmm40", "banana"]) {
            Error::UnknownName { near, .. } => near,
            other => panic!("{other}"),
        };
        assert_eq!(near("bannana"), ["banana"]);
        assert_eq!(near("GMM"), ["gmm9", "gmm40"]);
        assert_eq!(near("xyzzy"), ["gmm9", "gmm40", "banana"]);
        assert!(Error::unknown_name("theorem", "T16", &["T06", "T02"]).to_string().ends_with("did you mean T06?"));
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
