//! A target: a name of the registry, or the path of a TOML file that says what it is by `kind`.

mod mixture;

use crate::failure::{Failure, Outcome};
use pushforward::density::{self, Density, Entry};
use std::path::Path;
use std::sync::Arc;

/// Longest target file that is read.
const MAX_FILE: u64 = 64 << 20;

/// The kinds that a target file can have; each has a parser in a file of its own.
const KINDS: &[&str] = &["gaussian-mixture"];

/// A target, ready to be sampled from.
#[derive(Clone)]
pub struct Target {
    /// The registry's name, or the file's name without its ending.
    pub name: String,
    /// The density.
    pub density: Arc<dyn Density>,
    /// Formula of log p~ in plain characters.
    pub formula: String,
    /// The constants in it.
    pub constants: String,
    /// Where they come from.
    pub source: String,
    /// What config.toml says about it: the name, or the file's whole content.
    pub definition: toml::Value,
}

/// What the parser of one kind of target file makes of it.
pub(crate) struct Described {
    pub density: Arc<dyn Density>,
    pub formula: &'static str,
    pub constants: String,
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

/// The target that TARGET means: a name of the registry or a file. Notes, such as weights that had to be normalised, go to `note`.
pub fn load(target: &str, note: &mut dyn FnMut(String)) -> Outcome<Target> {
    if is_path(target) {
        return read_file(Path::new(target), note);
    }
    let density = density::by_name(target).map_err(|e| {
        let hint = if Path::new(target).is_file() { " (a file must end in .toml)" } else { "" };
        Failure::input(format!(
            "{e}{hint}; 'pushforward list targets' shows all, and a TOML file may stand instead of a name"
        ))
    })?;
    let is_ours = |e: &Entry| target == e.name || target.strip_prefix(e.name).is_some_and(|rest| rest.starts_with('-'));
    let entry = density::all_densities().into_iter().find(is_ours);
    let words = |f: fn(&Entry) -> &'static str| entry.as_ref().map_or("", f).to_owned();
    Ok(Target {
        name: target.into(),
        density,
        formula: words(|e| e.formula),
        constants: words(|e| e.constants),
        source: words(|e| e.source),
        definition: toml::Value::String(target.into()),
    })
}

/// Reads a target file.
fn read_file(path: &Path, note: &mut dyn FnMut(String)) -> Outcome<Target> {
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
    of_text(&short_name(&path.to_string_lossy()), &path.display().to_string(), &text, note)
}

/// The target called `name` that `text` describes; `place` is where the text stands, for messages.
pub fn of_text(name: &str, place: &str, text: &str, note: &mut dyn FnMut(String)) -> Outcome<Target> {
    let described =
        parse(text, &mut |sentence| note(format!("{place}: {sentence}"))).map_err(|Reason { line, sentence }| {
            let line = line.map_or(String::new(), |n| format!(", line {n}"));
            Failure::input(format!("{place}{line}: {sentence}"))
        })?;
    let table: toml::Table = toml::from_str(text).expect("the text was parsed above");
    Ok(Target {
        name: name.into(),
        density: described.density,
        formula: described.formula.into(),
        constants: described.constants,
        source: format!("the user's file {place}"),
        definition: toml::Value::Table(table),
    })
}

/// The target that `text` describes.
fn parse(text: &str, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
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
        "gaussian-mixture" => mixture::describe(text, note),
        _ => Err(Reason::new(format!("kind = {}", pushforward::Error::unknown_name("kind of target", &kind, KINDS)))),
    }
}
