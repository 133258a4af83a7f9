//! A target: a name of the registry, or the path of a TOML file that says what it is by `kind`.

mod mixture;

pub use mixture::Mixture;

use crate::failure::{Failure, Outcome};
use std::path::Path;

/// Longest target file that is read.
const MAX_FILE: u64 = 64 << 20;

/// The kinds that a target file can have; each has a parser in a file of its own.
const KINDS: &[&str] = &["gaussian-mixture"];

/// What a target file describes.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetFile {
    /// `kind = "gaussian-mixture"`
    Mixture(Mixture),
}

/// A reason inside a target file: a line (from 1) where it is known, and a sentence.
#[derive(Debug, PartialEq)]
pub(crate) struct Reason {
    pub line: Option<usize>,
    pub sentence: String,
}

impl Reason {
    /// A reason about values, whose key is named in the sentence.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { line: None, sentence: sentence.into() }
    }

    /// A reason found by the TOML reader.
    pub(crate) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().and_then(|s| text.get(..s.start)).map(|before| before.matches('\n').count() + 1);
        Self { line, sentence: error.message().to_owned() }
    }
}

/// Whether TARGET means a file: it ends in `.toml` or names a folder on the way.
pub fn is_path(target: &str) -> bool {
    target.ends_with(".toml") || target.contains(['/', '\\'])
}

/// A short name for run folders and titles: the registry's name, or the file's name without its ending.
pub fn short_name(target: &str) -> String {
    if is_path(target) {
        Path::new(target).file_stem().map_or_else(|| target.into(), |s| s.to_string_lossy().into_owned())
    } else {
        target.into()
    }
}

/// Reads a target file. Notes, such as weights that had to be normalised, go to `note`.
pub fn read_file(path: &Path, note: &mut dyn FnMut(String)) -> Outcome<TargetFile> {
    let length = std::fs::metadata(path).map_err(|e| Failure::unreadable(path, &e))?.len();
    if length > MAX_FILE {
        return Err(Failure::input(format!(
            "{} has {length} bytes, more than the {MAX_FILE} that are read",
            path.display()
        )));
    }
    let bytes = std::fs::read(path).map_err(|e| Failure::unreadable(path, &e))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::input(format!("{}: byte {at} is not text; a target is a TOML file in UTF-8", path.display()))
    })?;
    parse(&text, &mut |sentence| note(format!("{}: {sentence}", path.display()))).map_err(
        |Reason { line, sentence }| {
            let line = line.map_or(String::new(), |n| format!(", line {n}"));
            Failure::input(format!("{}{line}: {sentence}", path.display()))
        },
    )
}

/// The target that `text` describes.
pub(crate) fn parse(text: &str, note: &mut dyn FnMut(String)) -> Result<TargetFile, Reason> {
    #[derive(serde::Deserialize)]
    struct Kind {
        kind: String,
    }
    let Kind { kind } = toml::from_str(text).map_err(|e| {
        let mut reason = Reason::of_toml(text, &e);
        if reason.sentence.starts_with("missing field") {
            reason = Reason::new(format!("the key 'kind' is missing; add kind = \"{}\"", KINDS.join("\" or \"")));
        }
        reason
    })?;
    match kind.as_str() {
        "gaussian-mixture" => Mixture::parse(text, note).map(TargetFile::Mixture),
        _ => Err(Reason::new(format!("kind = {}", pushforward::Error::unknown_name("kind of target", &kind, KINDS)))),
    }
}
