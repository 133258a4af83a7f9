//! One configuration out of a file, flags and `--set key=value`.

use super::{Config, FORMAT, Given, SECTIONS};
use crate::failure::{Failure, Outcome};
use crate::files::{MAX_TARGET, read_text};
use pushforward::Error;
use pushforward::density::Affine;
use pushforward::estimate::all_estimators;
use pushforward::linalg::Matrix;
use pushforward::model::all_models;
use pushforward::run::{DEFAULT, RunSettings};
use pushforward::settings::Section;
use pushforward::velocity::all_velocities;
use std::path::Path;

/// Keys outside the sections.
const TOP: [&str; 10] =
    ["format", "method", "name", "threads", "start", "start_checksum", "target", "centre", "scale", "factor"];

/// Merges the three sources. `flags` holds the given flags only, under their keys; `settings` are texts `key=value` with a TOML value, where
/// a bare word is a string. A key is `section.key`, or the key alone where one section of the method has it.
pub fn merge(file: Option<&Path>, flags: toml::Table, settings: &[String]) -> Outcome<Config> {
    let mut builder = Builder::default();
    if let Some(path) = file {
        builder.file(path)?;
    }
    for (key, value) in flags {
        builder.put(&key, value, "the command line")?;
    }
    for setting in settings {
        let (key, value) = assignment(setting)?;
        builder.put(&key, value, &format!("--set {setting}"))?;
    }
    builder.build()
}

/// The configuration of a table of settings by their keys, for messages from `place`.
pub fn of_table(table: toml::Table, place: &str) -> Outcome<Config> {
    let mut builder = Builder::default();
    table.into_iter().try_for_each(|(key, value)| builder.put(&key, value, place))?;
    builder.build()
}

#[derive(Default)]
struct Builder {
    target: Option<toml::Value>,
    name: Option<String>,
    method: Option<String>,
    kinds: [Option<String>; 3],
    threads: Option<usize>,
    centre: Option<Vec<f64>>,
    scale: Option<f64>,
    factor: Option<Matrix>,
    start: Option<String>,
    start_checksum: Option<String>,
    given: Vec<Given>,
}

impl Builder {
    /// Everything in a file.
    fn file(&mut self, path: &Path) -> Outcome<()> {
        let place = path.display().to_string();
        let table = read(path)?;
        let settings = setting_names();
        let old = |key: &String| !TOP.contains(&key.as_str()) && settings.contains(&key.as_str());
        match table.get("format") {
            Some(toml::Value::Integer(FORMAT)) => {}
            None if !table.keys().any(old) => {}
            found => {
                let version = found.map_or_else(|| "1".into(), ToString::to_string);
                return Err(Failure::input(format!(
                    "{place} has the format {version} of another version of this program, not {FORMAT}; settings stand in the sections \
                     [run], [search], [model], [velocity] and [estimator]: see 'pushforward list settings', or start the run again"
                )));
            }
        }
        for (key, value) in table {
            match value {
                toml::Value::Table(section) if SECTIONS.contains(&key.as_str()) => {
                    for (name, value) in section {
                        self.put(&format!("{key}.{name}"), value, &place)?;
                    }
                }
                value if TOP.contains(&key.as_str()) => self.put(&key, value, &place)?,
                _ => {
                    let known: Vec<&str> =
                        TOP.iter().chain(&SECTIONS).copied().chain(settings.iter().copied()).collect();
                    return Err(Failure::input(format!("{place}: {}", Error::unknown_name("key", &key, &known))));
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, key: &str, value: toml::Value, place: &str) -> Outcome<()> {
        let bad = |expected: &str| Failure::input(format!("{place}: {key} = {value}; give {expected}"));
        let word = || value.as_str().map(str::to_owned).ok_or_else(|| bad("a word in quotes"));
        let number = |v: &toml::Value| v.as_float().or(v.as_integer().map(|x| x as f64)).filter(|x| x.is_finite());
        match key {
            "format" => {}
            "target" => self.target = Some(value),
            "name" => self.name = Some(word()?),
            "method" => self.method = Some(word()?),
            "start" => self.start = Some(word()?),
            "start_checksum" => self.start_checksum = Some(word()?),
            "threads" => {
                let threads = value.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
                self.threads = Some(threads.ok_or_else(|| bad("a whole number, at least 1, or leave it out"))?);
            }
            "centre" | "search.centre" => {
                let list = value.as_array().and_then(|a| a.iter().map(number).collect::<Option<Vec<f64>>>());
                self.centre = Some(list.filter(|l| !l.is_empty()).ok_or_else(|| bad("a list of numbers"))?);
            }
            "scale" | "search.scale" => {
                self.scale = Some(number(&value).filter(|s| *s > 0.0).ok_or_else(|| bad("a positive number"))?);
            }
            "factor" | "search.factor" => {
                let row =
                    |v: &toml::Value| v.as_array().and_then(|a| a.iter().map(number).collect::<Option<Vec<f64>>>());
                let rows = value.as_array().and_then(|a| a.iter().map(row).collect::<Option<Vec<Vec<f64>>>>());
                let square = rows.filter(|rows| !rows.is_empty() && rows.iter().all(|r| r.len() == rows.len()));
                let rows = square.ok_or_else(|| bad("the rows of a lower triangular matrix"))?;
                self.factor = Some(Matrix::from_rows(&rows));
            }
            "model.kind" => self.kinds[0] = Some(word()?),
            "velocity.kind" => self.kinds[1] = Some(word()?),
            "estimator.kind" => self.kinds[2] = Some(word()?),
            _ if key.starts_with("search.") => {
                return Err(Failure::input(format!(
                    "{place}: {}",
                    Error::unknown_name("key", key, &["search.centre", "search.scale", "search.factor"])
                )));
            }
            _ => self.given.push(Given { key: key.into(), value, place: place.into() }),
        }
        Ok(())
    }

    fn build(self) -> Outcome<Config> {
        let Some(target) = self.target else {
            return Err(Failure::input("no target is given; name one, such as 'pushforward train gmm40'"));
        };
        let frame = match (self.centre, self.scale, self.factor) {
            (Some(centre), Some(scale), None) => Some(Affine::new(centre, scale)?),
            (Some(centre), None, Some(factor)) => Some(Affine::from_parts(centre, factor)?),
            (None, None, None) => None,
            (_, Some(_), Some(_)) => {
                return Err(Failure::input("both a scale and a factor are given; give one of them"));
            }
            _ => return Err(Failure::input("only one of centre and scale is given; give both or neither")),
        };
        let method = self.method.unwrap_or_else(|| DEFAULT.into());
        let Builder { name, kinds, threads, start, start_checksum, given, .. } = self;
        Ok(Config { target, name, method, kinds, threads, frame, start, start_checksum, given })
    }
}

/// The settings of all parts of all methods.
fn setting_names() -> Vec<&'static str> {
    let mut names: Vec<&str> = RunSettings::default().keys().iter().map(|k| k.name).collect();
    names.extend(all_models().iter().flat_map(|m| m.keys().iter().map(|k| k.name)));
    names.extend(all_velocities().iter().flat_map(|v| v.keys().iter().map(|k| k.name)));
    names.extend(all_estimators().iter().flat_map(|e| e.keys().iter().map(|k| k.name)));
    names.sort_unstable();
    names.dedup();
    names
}

/// The table of a configuration file.
pub fn read(path: &Path) -> Outcome<toml::Table> {
    let text = read_text(path, MAX_TARGET)?;
    toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |s| text[..s.start].matches('\n').count() + 1);
        Failure::input(format!("{}, line {line}: {}", path.display(), e.message()))
    })
}

/// `key=value`, the value read as TOML and, where that fails, as a bare word.
fn assignment(text: &str) -> Outcome<(String, toml::Value)> {
    let (key, value) = text
        .split_once('=')
        .map(|(k, v)| (k.trim(), v.trim()))
        .filter(|(k, v)| !k.is_empty() && !v.is_empty())
        .ok_or_else(|| Failure::input(format!("--set {text}: write key=value, such as --set steps=2000")))?;
    let parsed: Result<toml::Table, _> = toml::from_str(&format!("value = {value}"));
    let value = parsed.ok().and_then(|mut t| t.remove("value")).unwrap_or_else(|| toml::Value::String(value.into()));
    Ok((key.into(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target;
    use pushforward::settings::Value;

    fn strings(settings: &[&str]) -> Vec<String> {
        settings.iter().map(|s| s.to_string()).collect()
    }

    fn load(name: &str) -> target::Target {
        target::load(name, &mut |_| ()).unwrap()
    }

    /// Checks the order of precedence, and that a written configuration reads back to the same method for every preset.
    #[test]
    fn later_sources_win() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        let text = "format = 2\ntarget = \"gmm9\"\n[run]\nsteps = 10\nseed = 30\n[model]\nbatch = 20\n";
        std::fs::write(&path, text).unwrap();
        let flags = toml::toml! { batch = 21
        seed = 31 };
        let settings = strings(&["seed=32", "divergence=le-cam", "run.precision = \"f64\""]);
        let config = merge(Some(&path), flags, &settings).unwrap();
        let method = config.method(&load("gmm9")).unwrap();
        assert_eq!((method.run.steps, method.run.seed, method.run.precision.as_str()), (10, 32, "f64"));
        assert_eq!(method.model.get("batch"), Some(Value::Whole(21)));
        assert_eq!(method.velocity.get("divergence"), Some(Value::Text("le-cam".into())));
        for preset in pushforward::run::PRESETS {
            let name = format!("method={}", preset.name);
            let config =
                merge(None, toml::toml! { target = "banana" }, &[name, "centre=[1.0, 2.0]".into(), "scale=3".into()]);
            let config = config.unwrap();
            let method = config.method(&load("banana")).unwrap();
            let text = config.text(&method, None);
            std::fs::write(&path, &text).unwrap();
            let again = merge(Some(&path), toml::Table::new(), &[]).unwrap();
            assert_eq!(again.text(&again.method(&load("banana")).unwrap(), None), text, "{}", preset.name);
        }
    }

    /// Checks that each mistake is answered with the key, the value and near names or the keys that there are.
    #[test]
    fn mistakes() {
        let flags = || toml::toml! { target = "gmm9" };
        for (setting, word) in [
            ("step=3", "has no setting 'step'; it has run.steps"),
            ("steps", "key=value"),
            ("steps=-3", "steps = -3"),
            ("steps=0", "steps = 0"),
            ("steps=many", "many"),
            ("precision=f16", "f16"),
            ("seed=1.5", "1.5"),
            ("couplings=3", "the method 'generator' has no setting 'couplings'"),
            ("method=kd", "kde"),
            ("velocity.kind=stain", "stein"),
            ("scale=1", "only one of centre and scale"),
            ("threads=0", "threads = 0"),
        ] {
            let config = merge(None, flags(), &strings(&[setting]));
            let answer = config.and_then(|c| c.method(&load("gmm9")).map(drop)).unwrap_err().to_string();
            assert!(answer.contains(word), "{setting}: {answer}");
        }
        assert!(merge(None, toml::Table::new(), &[]).is_err());
    }

    /// Checks that flows by each objective on a formula stop early by default and on a built-in target do not, that what is given wins, and that
    /// many steps have more patience.
    #[test]
    fn flows_of_formulas_stop_early() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.toml");
        std::fs::write(&path, "kind = \"formula\"\ndim = 2\nlog_density = \"-x1^2 - x2^2\"\n").unwrap();
        let path = path.to_str().unwrap();
        for (target, more, patience) in [
            (path, None, 100),
            (path, Some("patience=0"), 0),
            (path, Some("steps=20000"), 1000),
            ("banana", None, 0),
            ("banana", Some("patience=40"), 40),
        ] {
            for method in ["method=flow", "method=flow-lv", "model.kind=flow"] {
                let settings: Vec<&str> = [method].into_iter().chain(more).collect();
                let flags = [("target".to_owned(), target.into())].into_iter().collect();
                let method = merge(None, flags, &strings(&settings)).unwrap().method(&load(target)).unwrap();
                assert_eq!(method.model.get("patience"), Some(Value::Whole(patience)), "{settings:?} on {target}");
            }
        }
    }

    /// Checks that a precision that nothing would run in is refused, and that one in which estimates of q run is taken.
    #[test]
    fn precision_is_what_runs() {
        for (method, taken) in [("ula", false), ("svgd", false), ("particles", true), ("flow", true)] {
            let flags = toml::toml! { target = "gmm9" };
            let settings = strings(&[&format!("method={method}"), "precision=f32"]);
            let method = merge(None, flags, &settings).unwrap().method(&load("gmm9"));
            match method {
                Ok(method) => assert!(taken && method.run.precision == "f32", "{}", method.name),
                Err(answer) => assert!(!taken && answer.to_string().contains("in f64"), "{answer}"),
            }
        }
    }

    /// Checks that a file of the older format is refused by its version, and that an unknown key of a file is named.
    #[test]
    fn older_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for (text, word) in [
            ("target = \"gmm9\"\nsteps = 10\n", "format 1"),
            ("format = 3\ntarget = \"gmm9\"\n", "format 3"),
            ("format = 2\ntarget = \"gmm9\"\n[modle]\nbatch = 3\n", "modle"),
        ] {
            std::fs::write(&path, text).unwrap();
            let answer = merge(Some(&path), toml::Table::new(), &[]).unwrap_err().to_string();
            assert!(answer.contains(word), "{answer}");
        }
    }
}
