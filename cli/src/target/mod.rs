//! A target: a name of the registry, or the path of a TOML file that says what it is by `kind`.

pub mod coordinates;
pub(crate) mod data;
pub mod formula;
pub mod function;
mod glm;
mod mixture;
mod preferences;
mod regression;
mod samples;
pub(crate) mod source;
pub mod stan;
mod stan_keys;
pub(crate) mod support;
mod symmetry;
mod temperatures;
mod trust;
mod working_folder;

pub(crate) use samples::words;
pub use trust::{refuse_untrusted, trust_libraries};

use crate::failure::{Failure, Outcome};
use crate::files::{MAX_TARGET, read_text};
use crate::fingerprint;
use crate::memory;
use coordinates::Coordinates;
use pushforward::density::{self, Chart, Constrained, Density, Domain, Entry, Extended, WeightedSamples};
use source::Excerpt;
use std::path::Path;
use std::sync::Arc;
use trust::{libraries_are_trusted, refuse_untrusted_text};

/// Bytes of memory that a byte of it takes: a list of one-digit numbers, read three times.
const MEMORY_SHARE: u128 = 120;

/// The kinds that a target file can have; each has a parser in a file of its own.
const KINDS: &[&str] = &[
    "gaussian-mixture",
    "formula",
    "logistic-regression",
    "linear-regression",
    "probit-regression",
    "poisson-regression",
    "negative-binomial-regression",
    "student-t-regression",
    "samples",
    temperatures::KIND,
    preferences::KIND,
    "stan-library",
];

/// A target, ready to be sampled from.
#[derive(Clone)]
pub struct Target {
    /// The registry's name, or the file's name without its ending.
    pub name: String,
    /// The density; of unconstrained coordinates where the target has a support. The first one of several; where the target is known by
    /// samples alone, the law of those that were held out.
    pub density: Arc<dyn Density>,
    /// The other densities of several targets.
    pub others: Vec<Arc<dyn Density>>,
    /// The samples to learn from, where the target is known by samples alone.
    pub samples: Option<WeightedSamples>,
    /// Where its points live: all of R^d, or a torus.
    pub domain: Domain,
    /// The coordinates in which samples are written.
    pub coordinates: Coordinates,
    /// Formula of log p~ in plain characters.
    pub formula: String,
    /// The constants in it.
    pub constants: String,
    /// Where they come from.
    pub source: String,
    /// What config.toml says about it: the name, or the file's whole content.
    pub definition: toml::Value,
}

impl Target {
    /// What a run leads to.
    pub fn law(&self) -> pushforward::density::Target {
        if let Some(samples) = &self.samples {
            return pushforward::density::Target::of_samples(samples.clone());
        }
        let one = pushforward::density::Target::of(Arc::clone(&self.density));
        let densities = one.densities.into_iter().chain(self.others.iter().cloned()).collect();
        pushforward::density::Target { densities, domain: self.domain.clone(), ..one }
    }

    /// Its density as samples are judged by it: none of those that are rounded to the edge of their support is outside.
    pub fn judged(&self) -> Arc<dyn Density> {
        let density = Arc::clone(&self.density);
        let extend = |chart: &Chart| Extended::new(Arc::clone(&density), chart.clone()).ok();
        self.coordinates
            .chart()
            .and_then(extend)
            .map_or_else(|| Arc::clone(&density), |p| Arc::new(p) as Arc<dyn Density>)
    }

    /// Whether its density is one that the user wrote: a formula, a Stan model, a function of Python.
    pub fn is_written(&self) -> bool {
        matches!(
            self.definition.get("kind").and_then(toml::Value::as_str),
            Some("formula" | "stan-library" | function::KIND)
        )
    }

    /// Its density; a failure in the name of `what` where it is known by samples alone.
    pub fn known(&self, what: &str) -> Outcome<&dyn Density> {
        if self.samples.is_none() {
            return Ok(&*self.density);
        }
        let name = &self.name;
        Err(Failure::input(format!(
            "{what} asks for a density, and {name} is known by samples alone; give a target with a density"
        )))
    }
}

/// The coordinates of the samples of a target whose density has `free_dim` coordinates, from its definition in config.toml and without its
/// data; for a Stan library that is not trusted its unconstrained parameters.
pub fn coordinates_of(definition: &toml::Value, free_dim: usize) -> Outcome<Coordinates> {
    let at = |why: Reason| why.at("the configuration's target");
    let support = definition.get("support").and_then(toml::Value::as_table);
    let named = definition.as_table().filter(|t| t.contains_key("parameters") || t.contains_key("generated"));
    let dim = definition.get("dim").and_then(toml::Value::as_integer).and_then(|d| usize::try_from(d).ok());
    let coordinates = match (definition.get("kind").and_then(toml::Value::as_str), support, dim) {
        (Some("stan-library"), ..) if !libraries_are_trusted() => Coordinates::Free(free_dim),
        (Some(function::KIND), ..) => function::coordinates(definition).map_err(at)?,
        (Some(temperatures::KIND), ..) => temperatures::coordinates(definition, free_dim).map_err(at)?,
        (Some(preferences::KIND), ..) => preferences::coordinates(definition, free_dim).map_err(at)?,
        (Some("stan-library"), ..) => stan_keys::coordinates_of(definition).map_err(at)?,
        (Some("formula"), ..) if named.is_some() => match named.and_then(formula::coordinates_without_data) {
            Some(coordinates) => coordinates,
            None => of_definition(definition, None, &mut |_| {})?.coordinates,
        },
        (Some("formula"), Some(support), Some(dim)) if dim <= formula::MAX_DIM => {
            Coordinates::Chart(support::chart(support, dim).map_err(at)?)
        }
        (Some(kind), ..) if regression::is_kind(kind) => match regression::names(definition) {
            Some(names) => regression::coordinates(kind, names, definition.get("noise").is_some())?,
            None => of_definition(definition, None, &mut |_| {})?.coordinates,
        },
        _ => match definition.as_str().and_then(|name| density::by_name(name).ok()) {
            Some(density) => Coordinates::of(&*density),
            None => Coordinates::Same(free_dim),
        },
    };
    if coordinates.free_dim() == free_dim {
        return Ok(coordinates);
    }
    Err(Failure::input("the model and config.toml belong to different targets; take both from one run"))
}

/// What the parser of one kind of target file makes of it.
pub(crate) struct Described {
    pub density: Arc<dyn Density>,
    /// The samples to learn from, where nothing else is known.
    pub samples: Option<WeightedSamples>,
    pub domain: Domain,
    pub coordinates: Coordinates,
    pub formula: String,
    pub constants: String,
    /// Where the density comes from; the file where this is empty.
    pub source: String,
    /// Keys that config.toml says otherwise than the file, such as an absolute path.
    pub replaced: Vec<(&'static str, toml::Value)>,
}

impl Described {
    pub(crate) fn new(density: Arc<dyn Density>, formula: impl Into<String>, constants: String) -> Self {
        let coordinates = Coordinates::Same(density.dim());
        let (source, replaced) = (String::new(), Vec::new());
        let (domain, formula) = (Domain::Euclidean, formula.into());
        Self { density, samples: None, domain, coordinates, formula, constants, source, replaced }
    }

    /// Lets config.toml say `key = value`.
    pub(crate) fn replace(&mut self, key: &'static str, value: impl Into<toml::Value>) {
        self.replaced.push((key, value.into()));
    }

    /// The same in the coordinates of a chart, where one is given.
    pub(crate) fn on(self, chart: Option<Chart>) -> Result<Self, Reason> {
        let Some(chart) = chart else { return Ok(self) };
        let density = Constrained::new(self.density, chart.clone()).map_err(|e| Reason::new(e.to_string()))?;
        Ok(Self { density: Arc::new(density), coordinates: Coordinates::Chart(chart), ..self })
    }
}

/// A reason inside a target file: line and column (from 1) where they are known, a sentence, and the line itself where that helps.
#[derive(Debug, PartialEq)]
pub(crate) struct Reason {
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub sentence: String,
    pub excerpt: Option<Excerpt>,
}

impl Reason {
    /// A reason about values, whose key is named in the sentence.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self { line: None, column: None, sentence: sentence.into(), excerpt: None }
    }

    /// A reason found by the TOML reader.
    pub(crate) fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().and_then(|s| text.get(..s.start)).map(|before| before.matches('\n').count() + 1);
        Self { line, ..Self::new(error.message()) }
    }

    /// The same, where a missing or unknown key is put in our words: what a target of this `kind` needs, and which `keys` it can have.
    pub(crate) fn of_keys(text: &str, error: &toml::de::Error, kind: &str, needs: &str, keys: &[&str]) -> Self {
        let mut reason = Self::of_toml(text, error);
        if let Some(key) = reason.sentence.strip_prefix("missing field ") {
            return Self::new(format!("the key {} is missing; a {kind} needs {needs}", key.replace('`', "'")));
        }
        if let Some(rest) = reason.sentence.strip_prefix("unknown field `") {
            let name = rest.split('`').next().unwrap_or_default();
            reason.sentence = pushforward::Error::unknown_name("key", name, keys).to_string();
        }
        reason
    }

    /// The failure to read the target at `place`.
    fn at(self, place: &str) -> Failure {
        let line = self.line.map_or(String::new(), |n| format!(", line {n}"));
        let column = self.column.map_or(String::new(), |n| format!(", column {n}"));
        let sentence = format!("{place}{line}{column}: {}", self.sentence);
        match self.excerpt {
            Some(excerpt) => Failure::Source { sentence, excerpt: excerpt.show() },
            None => Failure::input(sentence),
        }
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
        coordinates: Coordinates::of(&*density),
        density,
        others: Vec::new(),
        samples: None,
        domain: Domain::Euclidean,
        formula: words(|e| e.formula),
        constants: words(|e| e.constants),
        source: words(|e| e.source),
        definition: toml::Value::String(target.into()),
    })
}

/// Reads a target file.
fn read_file(path: &Path, note: &mut dyn FnMut(String)) -> Outcome<Target> {
    let text = read_text(path, MAX_TARGET)?;
    let base = path.parent().unwrap_or(Path::new(""));
    described(&short_name(&path.to_string_lossy()), &path.display().to_string(), base, &text, note)
}

/// The target that a configuration names or contains; a table is called `name`. A Stan library is opened only where that was
/// [trusted](trust_libraries), whether the configuration contains it or names a file that does.
pub fn of_definition(definition: &toml::Value, name: Option<&str>, note: &mut dyn FnMut(String)) -> Outcome<Target> {
    match definition {
        toml::Value::String(path) if is_path(path) => {
            let path = Path::new(path);
            let text = read_text(path, MAX_TARGET)?;
            let base = path.parent().unwrap_or(Path::new(""));
            of_text(&short_name(&path.to_string_lossy()), &path.display().to_string(), base, &text, note)
        }
        toml::Value::String(name) => load(name, note),
        toml::Value::Table(table) => {
            let text = toml::to_string(table).expect("a table that was read can be written");
            of_text(name.unwrap_or("target"), "the configuration's target", Path::new(""), &text, note)
        }
        toml::Value::Array(all) => {
            let all = together(all, |one| of_definition(one, None, note))?;
            Ok(Target { name: name.map_or(all.name.clone(), str::to_owned), ..all })
        }
        other => Err(Failure::input(format!("target = {other}; give a name, a path or a table"))),
    }
}

/// Several targets in one, for methods that follow several densities; their names stand together.
pub fn together(all: &[toml::Value], mut one: impl FnMut(&toml::Value) -> Outcome<Target>) -> Outcome<Target> {
    let all = all.iter().map(&mut one).collect::<Outcome<Vec<Target>>>()?;
    let names: Vec<&str> = all.iter().map(|t| t.name.as_str()).collect();
    let name = names.join("+");
    let join = |word: fn(&Target) -> &str| all.iter().map(word).collect::<Vec<_>>().join("; ");
    let (formula, constants) = (join(|t| &t.formula), join(|t| &t.constants));
    let Some(first) = all.first() else {
        return Err(Failure::input("target = []; give at least one"));
    };
    let d = first.density.dim();
    if let Some(other) = all.iter().find(|t| t.density.dim() != d) {
        return Err(Failure::input(format!(
            "the targets {} and {} have dimensions {d} and {}; give targets of one dimension",
            first.name,
            other.name,
            other.density.dim()
        )));
    }
    if let Some(other) = all.iter().find(|t| t.domain != first.domain) {
        return Err(Failure::input(format!(
            "the targets {} and {} live on different spaces; give targets of one period, or none with one",
            first.name, other.name
        )));
    }
    if let Some(bounded) = all.iter().find(|t| t.coordinates.differ()) {
        return Err(Failure::input(format!(
            "the target {} has a support or positions of its own, and several targets share their coordinates; give targets on all of R^{d}",
            bounded.name
        )));
    }
    let definition = toml::Value::Array(all.iter().map(|t| t.definition.clone()).collect());
    let others = all[1..].iter().map(|t| Arc::clone(&t.density)).collect();
    Ok(Target { name, formula, constants, definition, others, ..first.clone() })
}

/// The target called `name` that `text` describes, for a configuration; `place` is where the text stands, for messages, and `base` the folder
/// from which its files are looked for.
pub fn of_text(name: &str, place: &str, base: &Path, text: &str, note: &mut dyn FnMut(String)) -> Outcome<Target> {
    refuse_untrusted_text(place, text)?;
    described(name, place, base, text, note)
}

fn described(name: &str, place: &str, base: &Path, text: &str, note: &mut dyn FnMut(String)) -> Outcome<Target> {
    let needed = MEMORY_SHARE * text.len() as u128;
    memory::enough(needed, place, "put large data into a .csv file beside it")?;
    let described =
        parse(text, base, &mut |sentence| note(format!("{place}: {sentence}"))).map_err(|why| why.at(place))?;
    // a table takes fewer numbers than the reader of a kind: whole ones end at 2^63 - 1
    let mut table: toml::Table = toml::from_str(text).map_err(|e| Reason::of_toml(text, &e).at(place))?;
    for (key, value) in described.replaced {
        table.insert(key.into(), value);
    }
    let source = if described.source.is_empty() { "a file of the user".to_string() } else { described.source };
    Ok(Target {
        name: name.into(),
        density: described.density,
        others: Vec::new(),
        samples: described.samples,
        domain: described.domain,
        coordinates: described.coordinates,
        formula: described.formula,
        constants: described.constants,
        source,
        definition: toml::Value::Table(table),
    })
}

/// Refuses the file under `key` where it has another fingerprint than the target says.
fn unchanged(key: &str, path: &Path, expected: Option<&str>, found: &str) -> Result<(), Reason> {
    let changed = fingerprint::difference(key, path, expected, found);
    changed.map_or(Ok(()), |sentence| Err(Reason::new(format!("{sentence}; {}", fingerprint::REMEDY))))
}

/// The kind of the target that `text` describes.
fn kind_of(text: &str) -> Result<String, Reason> {
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
    Ok(kind)
}

/// The target that `text` describes.
fn parse(text: &str, base: &Path, note: &mut dyn FnMut(String)) -> Result<Described, Reason> {
    let kind = kind_of(text)?;
    match kind.as_str() {
        "gaussian-mixture" => mixture::describe(text, note),
        "formula" => formula::describe(text, base, note),
        "samples" => samples::describe(text, base, note),
        temperatures::KIND => temperatures::describe(text, base, note),
        preferences::KIND => preferences::describe(text, base, note),
        "stan-library" => stan_keys::describe(text, base),
        function::KIND => function::describe(),
        _ if regression::is_kind(&kind) => regression::describe(text, base, note),
        _ => Err(Reason::new(format!("kind = {}", pushforward::Error::unknown_name("kind of target", &kind, KINDS)))),
    }
}

/// The absolute place of a file behind a target, as a run's configuration holds it, which is a text.
fn absolute(path: &Path) -> Result<String, Reason> {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.into_os_string().into_string().map_err(|path| {
        let shown = path.display();
        Reason::new(format!(
            "{shown} is not a name in UTF-8, so a run could not find it again; rename the folder or file"
        ))
    })
}
