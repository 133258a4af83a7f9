//! One configuration out of a file, flags and `--set key=value`.

use super::{Config, KEYS};
use crate::failure::{Failure, Outcome};
use crate::files::read_text;
use std::path::Path;

/// The divergence of a flow by default: it weighs most what q misses. docs/flows.md has the measurements.
const FLOW_DIVERGENCE: &str = "forward-kl";

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
    // what each method is best trained by where nothing is said
    if table.get("method").and_then(toml::Value::as_str) == Some("flow") && !table.contains_key("divergence") {
        table.insert("divergence".into(), toml::Value::String(FLOW_DIVERGENCE.into()));
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

/// Longest configuration that is read; it may hold a whole target.
const MAX_FILE: u64 = 64 << 20;

fn read(path: &Path) -> Outcome<toml::Table> {
    let text = read_text(path, MAX_FILE)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;

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

    /// Proves that each method has its own default divergence and that a given one wins.
    #[test]
    fn each_method_has_its_divergence() {
        for (settings, divergence) in [
            (&["method=kde"][..], "reverse-kl"),
            (&["method=flow"], "forward-kl"),
            (&["method=flow", "divergence=jeffreys"], "jeffreys"),
        ] {
            let config = merge(None, toml::toml! { target = "gmm9" }, &strings(settings)).unwrap();
            assert_eq!(config.divergence, divergence, "{settings:?}");
        }
    }
}
