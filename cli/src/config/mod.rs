//! The configuration of a run: the defaults of a method, then a file, then flags, then `--set key=value`; the later one wins.
//!
//! A configuration is a target, a method by name and what was given for its settings, in sections. The settings themselves, their defaults,
//! ranges and meanings come from the library's [`Section`]s.

mod merge;
mod value;

pub use merge::{merge, of_table, read};
pub use value::{to_toml, to_value};

use crate::failure::{Failure, Outcome};
use crate::memory;
use crate::target::Target;
use pushforward::density::Affine;
use pushforward::run::{DEFAULT, Method, PRESETS};
use pushforward::settings::Section;
use pushforward::velocity::velocity_by_name;

/// Dimensions up to which q is estimated from neighbours where nothing is said: docs/scores.md has what was measured.
pub const MANY: usize = 8;

/// Least patience of a flow on a density that the user wrote: docs/posteriors.md has what was measured.
const PATIENCE: u64 = 100;

/// Adam's rate where a generator starts at a mixture fitted to samples.
const LEARNING_RATE: f64 = 2e-4;

/// Version of config.toml.
pub const FORMAT: i64 = 2;

/// The sections of a configuration that hold settings of a method, in the order of the file.
pub const SECTIONS: [&str; 5] = ["run", "search", "model", "velocity", "estimator"];

/// What was given; the rest is the method's own choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// A registry's name, or the content of a target file.
    pub target: toml::Value,
    /// Short name of a target that is given by its content.
    pub name: Option<String>,
    /// A preset's name.
    pub method: String,
    /// Model, velocity and estimator, where another than the preset's was asked for.
    pub kinds: [Option<String>; 3],
    /// Threads; the results do not depend on it. All cores where absent.
    pub threads: Option<usize>,
    /// Centre and scale (or factor) of the target; found where absent.
    pub frame: Option<Affine>,
    /// A file of points at which particles start, or that a generator carries.
    pub start: Option<String>,
    /// Fingerprint of that file.
    pub start_checksum: Option<String>,
    /// Settings, in the order in which they were given.
    pub given: Vec<Given>,
}

/// A setting that was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// `section.key`, or the key alone.
    pub key: String,
    /// Its value.
    pub value: toml::Value,
    /// Where it was given, for messages.
    pub place: String,
}

impl Config {
    /// The method with these settings on `target`.
    pub fn method(&self, target: &Target) -> Outcome<Method> {
        let law = target.law();
        let preset = PRESETS.iter().find(|p| p.name == self.method);
        let mut kinds = self.kinds.clone();
        // the drift follows a density; where there are samples alone the default is what follows samples
        if target.samples.is_some() && preset.is_some_and(|p| p.parts[1] == "drift") {
            kinds[1].get_or_insert_with(|| "sinkhorn".into());
        }
        // its own density by centres runs out of neighbours, as a kernel estimate does
        let many = law.densities.len() == 1 && law.dim() > MANY && self.method == DEFAULT;
        if many && kinds.iter().all(Option::is_none) {
            kinds[2] = Some("score".into());
        }
        // it starts at a mixture fitted to them, near which steps of batches are noise for the most part
        let near = target.samples.is_some() && self.start.is_none();
        let in_own = |e| target.coordinates.in_own(e);
        // the defaults of particles come from a search
        if target.samples.is_none() && target.density.mixture().is_none() && self.frame.is_none() {
            memory::enough_for_search(law.dim())?;
        }
        let mut method = match preset {
            Some(preset) if kinds.iter().any(Option::is_some) => {
                let kind = |k: usize| kinds[k].as_deref().unwrap_or(preset.parts[k]);
                // a flow knows its own density, particles have none
                let own = velocity_by_name(kind(1))?.estimator();
                let estimator = match (&kinds[2], kind(0)) {
                    (None, "flow") => "exact",
                    (None, _) if own != "kde" => own,
                    // it adds noise, which an exact density does not have
                    (None, _) if kind(1) == "diffusive" && preset.parts[2] == "exact" => {
                        if law.dim() > MANY {
                            "score"
                        } else {
                            "kde"
                        }
                    }
                    (None, "particles") if preset.parts[2] == "exact" => "kde",
                    _ => kind(2),
                };
                match [kind(0), kind(1), estimator] {
                    parts if parts == preset.parts => Method::preset(&self.method, &law).map_err(in_own)?,
                    ["generator", "drift", "score"] if self.method == DEFAULT => {
                        Method::preset("score", &law).map_err(in_own)?
                    }
                    [model, velocity, estimator] => Method::of(model, velocity, estimator, &law).map_err(in_own)?,
                }
            }
            _ => Method::preset(&self.method, &law).map_err(in_own)?,
        };
        if let Some(frame) = &self.frame {
            if frame.dim() != law.dim() {
                let (found, d) = (frame.dim(), law.dim());
                return Err(Failure::input(format!(
                    "search.centre has {found} numbers, and the target has dimension {d}"
                )));
            }
            method.frame = Some(frame.clone());
        }
        if near && method.model.name() == "generator" {
            method.set("learning_rate", LEARNING_RATE)?;
        }
        for given in &self.given {
            let said = |e: pushforward::Error| Failure::input(format!("{}: {e}", given.place));
            let value = to_value(&given.value).ok_or_else(|| {
                Failure::input(format!(
                    "{}: {} = {}; give a number, a word or a list",
                    given.place, given.key, given.value
                ))
            })?;
            method.set(&given.key, &value).map_err(said)?;
        }
        let is_given = self.given.iter().any(|given| matches!(given.key.as_str(), "patience" | "model.patience"));
        if method.model.name() == "flow" && target.is_written() && !is_given {
            // not shorter than the twentieth of the steps over which the rate rises: until then there is little to see
            method.set("model.patience", PATIENCE.max(method.run.steps / 20))?;
        }
        // TOML's whole numbers end at 2^63 - 1, and config.toml must be able to hold the seed.
        if i64::try_from(method.run.seed).is_err() {
            return Err(Failure::input(format!("seed = {}; give a number below 2^63", method.run.seed)));
        }
        method.check()?;
        Ok(method)
    }

    /// The text of config.toml: this configuration with every choice of `method` written out, so that it repeats the run even if defaults
    /// change; `frame` is what was given or found.
    pub fn text(&self, method: &Method, frame: Option<&Affine>) -> String {
        toml::to_string(&self.table(method, frame)).expect("a configuration is made of numbers, words and tables")
    }

    /// The same without what results do not depend on, as checkpoints and models carry it.
    pub fn json(&self, method: &Method, frame: Option<&Affine>) -> String {
        let mut table = self.table(method, frame);
        table.remove("threads");
        serde_json::to_string(&table).expect("a configuration is JSON")
    }

    fn table(&self, method: &Method, frame: Option<&Affine>) -> toml::Table {
        let mut out = toml::Table::new();
        let word = |w: &str| toml::Value::String(w.into());
        out.insert("format".into(), toml::Value::Integer(FORMAT));
        out.insert("method".into(), word(&self.method));
        if let Some(name) = &self.name {
            out.insert("name".into(), word(name));
        }
        if let Some(threads) = self.threads {
            out.insert("threads".into(), toml::Value::Integer(threads as i64));
        }
        if let Some(start) = &self.start {
            out.insert("start".into(), word(start));
        }
        if let Some(checksum) = &self.start_checksum {
            out.insert("start_checksum".into(), word(checksum));
        }
        out.insert("target".into(), self.target.clone());
        if let Some(frame) = frame.or(self.frame.as_ref()) {
            let list = |v: &[f64]| toml::Value::Array(v.iter().map(|&x| toml::Value::Float(x)).collect());
            let mut search = toml::Table::new();
            search.insert("centre".into(), list(frame.centre()));
            match frame.one_scale() {
                Some(scale) => search.insert("scale".into(), toml::Value::Float(scale)),
                None => {
                    search.insert("factor".into(), toml::Value::Array(frame.parts().1.iter_rows().map(list).collect()))
                }
            };
            out.insert("search".into(), toml::Value::Table(search));
        }
        let kinds = [
            ("model", method.model.name()),
            ("velocity", method.velocity.name()),
            ("estimator", method.estimator.name()),
        ];
        for section in method.sections() {
            let mut table = toml::Table::new();
            if let Some((_, kind)) = kinds.iter().find(|(part, _)| *part == section.part()) {
                table.insert("kind".into(), word(kind));
            }
            table.extend(values(section));
            out.insert(section.part().into(), toml::Value::Table(table));
        }
        out
    }
}

/// The settings of a section; those that the program chooses later are left out.
pub fn values(section: &dyn Section) -> Vec<(String, toml::Value)> {
    let value = |name: &str| section.get(name).as_ref().and_then(to_toml);
    section.keys().iter().filter_map(|key| Some((key.name.to_owned(), value(key.name)?))).collect()
}
