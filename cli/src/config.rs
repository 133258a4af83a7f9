//! The configuration of a training run: defaults, then a file, then flags, then `--set key=value`; the later one wins.

use crate::failure::{Failure, Outcome};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything that decides what a run computes; what config.toml holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A registry's name, or the content of a target file.
    pub target: toml::Value,
    /// A registry's name.
    #[serde(default = "reverse_kl")]
    pub divergence: String,
    /// Training steps; chosen from the target where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Particles of a step; chosen from the target where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Key of every random number.
    #[serde(default)]
    pub seed: u64,
    /// Precision of the network.
    #[serde(default)]
    pub precision: Precision,
    /// Threads; the results do not depend on it. All cores where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<usize>,
}

/// Precision of the network's numbers; densities are always f64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single.
    #[default]
    F32,
    /// Double.
    F64,
}

/// The keys of [`Config`].
const KEYS: &[&str] = &["target", "divergence", "steps", "batch", "seed", "precision", "threads"];

fn reverse_kl() -> String {
    "reverse-kl".into()
}

/// Merges the three sources. `flags` holds the given flags only; `settings` are texts `key=value` with a TOML value, where a bare word
/// is a string.
pub fn merge(file: Option<&Path>, flags: toml::Table, settings: &[String]) -> Outcome<Config> {
    let mut table = match file {
        Some(path) => read(path)?,
        None => toml::Table::new(),
    };
    table.extend(flags);
    for setting in settings {
        let (key, value) = assignment(setting)?;
        known(&key, "--set")?;
        table.insert(key, value);
    }
    if !table.contains_key("target") {
        return Err(Failure::input("no target is given; name one, such as 'pushforward train gmm40'"));
    }
    let config: Config = table.try_into().map_err(|e: toml::de::Error| {
        // serde puts the key on a line of its own: "invalid type: …\nin `steps`\n".
        Failure::input(format!("configuration: {}; correct the value", e.to_string().trim()))
    })?;
    config.check()?;
    Ok(config)
}

fn known(key: &str, place: &str) -> Outcome<()> {
    if KEYS.contains(&key) {
        return Ok(());
    }
    Err(Failure::input(format!("{place}: {}", pushforward::Error::unknown_name("key", key, KEYS))))
}

fn read(path: &Path) -> Outcome<toml::Table> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::unreadable(path, &e))?;
    let table: toml::Table = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |s| text[..s.start].matches('\n').count() + 1);
        Failure::input(format!("{}, line {line}: {}", path.display(), e.message()))
    })?;
    table.keys().try_for_each(|key| known(key, &path.display().to_string()))?;
    Ok(table)
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

impl Config {
    fn check(&self) -> Outcome<()> {
        let positive = [("steps", self.steps), ("batch", self.batch), ("threads", self.threads)];
        if let Some((key, _)) = positive.iter().find(|(_, v)| *v == Some(0)) {
            return Err(Failure::input(format!(
                "{key} = 0; give at least 1, or leave {key} out for a choice by the program"
            )));
        }
        // TOML's whole numbers end at 2^63 - 1, and config.toml must be able to hold the seed.
        if i64::try_from(self.seed).is_err() {
            return Err(Failure::input(format!("seed = {}; give a number below 2^63", self.seed)));
        }
        Ok(())
    }

    /// The text of config.toml.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration is made of numbers, strings and tables")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(settings: &[&str]) -> Vec<String> {
        settings.iter().map(|s| s.to_string()).collect()
    }

    /// Proves the order of precedence, that a written configuration reads back equal, and that a target's content survives.
    #[test]
    fn later_sources_win() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.toml");
        std::fs::write(
            &path,
            "steps = 10\nbatch = 20\nseed = 30\n[target]\nkind = \"gaussian-mixture\"\nmeans = [[1.5]]\n",
        )
        .unwrap();
        let flags = toml::toml! { batch = 21
        seed = 31 };
        let config =
            merge(Some(&path), flags, &strings(&["seed=32", "divergence=le-cam", "precision = \"f64\""])).unwrap();
        assert_eq!((config.steps, config.batch, config.seed), (Some(10), Some(21), 32));
        assert_eq!((config.divergence.as_str(), config.precision), ("le-cam", Precision::F64));
        std::fs::write(&path, config.to_toml()).unwrap();
        assert_eq!(merge(Some(&path), toml::Table::new(), &[]).unwrap(), config);
    }

    /// Proves that each mistake is answered with the key, the value and near names where there are any.
    #[test]
    fn mistakes() {
        let flags = || toml::toml! { target = "gmm9" };
        for (setting, word) in [
            ("step=3", "steps"),
            ("steps", "key=value"),
            ("steps=-3", "steps"),
            ("steps=0", "steps = 0"),
            ("steps=many", "many"),
            ("precision=f16", "f16"),
            ("seed=1.5", "1.5"),
        ] {
            let answer = merge(None, flags(), &strings(&[setting])).unwrap_err().to_string();
            assert!(answer.contains(word), "{setting}: {answer}");
        }
        assert!(merge(None, toml::Table::new(), &[]).is_err());
    }
}
