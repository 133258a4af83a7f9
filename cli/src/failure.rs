//! How the command fails: one sentence and an exit code.

use std::fmt;
use std::path::Path;

/// How the command ends, as a number for scripts. A signal has a number of its own: 128 and that of the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// What was asked is done.
    Done = 0,
    /// It could not be done: the machine refused, the model diverged, the target was not finite too often, or a check failed.
    Failed = 1,
    /// The input has no answer.
    BadInput = 2,
    /// The run ended and its files are written, but its samples are not samples of the target.
    NotToBeTrusted = 3,
}

/// What `--help` says about them.
pub const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed (disk, a target that is not finite, training that diverged, a check that \
    does not hold); 2 bad input; 3 the run ended, but its samples are not to be trusted; 130 Ctrl-C, 143 SIGTERM, 129 SIGHUP";

/// Why the command stopped. The sentence names the place, the value and the remedy.
#[derive(Debug)]
pub enum Failure {
    /// The user's input has no answer: exit code 2.
    Input(String),
    /// The same with a place in a file: its line, and marks below what is meant.
    Source {
        /// The sentence.
        sentence: String,
        /// The line and the marks.
        excerpt: String,
    },
    /// The machine refused (disk full, no permission, broken file system): exit code 1.
    Machine(String),
    /// The work failed: the model diverged, or the target was not finite too often: exit code 1.
    Failed(String),
    /// A run ended, and its samples are not to be trusted: exit code 3.
    NotToBeTrusted(String),
    /// A theorem or a target failed its check, or a false variant passed it: exit code 1.
    Refuted(String),
    /// Ctrl-C or a signal: exit code 130, or that of the signal.
    Interrupted(String),
}

/// Result with [`Failure`].
pub type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// Bad input, in one sentence.
    pub fn input(sentence: impl Into<String>) -> Self {
        Failure::Input(sentence.into())
    }

    /// An input/output error while doing `verb` ("write", "read", …) to `path`.
    pub fn io(verb: &str, path: &Path, error: &std::io::Error) -> Self {
        let remedy = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                "; free some space or choose another place with --out or -o"
            }
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                "; choose a folder that you may write to"
            }
            _ => "",
        };
        Failure::Machine(format!("cannot {verb} {}: {error}{remedy}", path.display()))
    }

    /// A file that the user named and that cannot be opened: that is bad input.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Failure::Input(format!("cannot read {}: {error}; check the path", path.display()))
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Input(_) | Failure::Source { .. } => ExitCode::BadInput as u8,
            Failure::Machine(_) | Failure::Failed(_) | Failure::Refuted(_) => ExitCode::Failed as u8,
            Failure::NotToBeTrusted(_) => ExitCode::NotToBeTrusted as u8,
            Failure::Interrupted(_) => crate::signal::exit_code(),
        }
    }
}

impl fmt::Display for Failure {
    /// One line, whatever the parts were, and the excerpt of a file where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sentence, excerpt) = match self {
            Failure::Input(s)
            | Failure::Machine(s)
            | Failure::Failed(s)
            | Failure::NotToBeTrusted(s)
            | Failure::Refuted(s)
            | Failure::Interrupted(s) => (s, ""),
            Failure::Source { sentence, excerpt } => (sentence, excerpt.as_str()),
        };
        let words: Vec<&str> = sentence.split_whitespace().collect();
        f.write_str(&words.join(" "))?;
        if excerpt.is_empty() { Ok(()) } else { write!(f, "\n{excerpt}") }
    }
}

impl From<pushforward::Error> for Failure {
    fn from(error: pushforward::Error) -> Self {
        use pushforward::Error::{Diverged, Panicked, TooManyFaults};
        match error {
            Diverged { .. } | Panicked { .. } | TooManyFaults { .. } => Failure::Failed(error.to_string()),
            _ => Failure::Input(error.to_string()),
        }
    }
}
