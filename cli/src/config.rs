//! The configuration of a training run: defaults, then a file, then flags, then `--set key=value`; the later one wins.

use crate::failure::{Failure, Outcome};
use crate::files::read_text;
use pushforward::density::Density;
use pushforward::divergence::Divergence;
use pushforward::sampler::flow::{CouplingKind, FlowSettings, Objective, Reference};
use pushforward::sampler::{Frame, Settings};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Everything that decides what a run computes; what config.toml holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A registry's name, or the content of a target file.
    pub target: toml::Value,
    /// Short name of a target that is given by its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the sampler is trained.
    #[serde(default)]
    pub method: Training,
    /// A registry's name.
    #[serde(default = "reverse_kl")]
    pub divergence: String,
    /// Kind of a flow's couplings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Couplings>,
    /// Reference of the log-variance divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lv_reference: Option<String>,
    /// Number of a flow's couplings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub couplings: Option<usize>,
    /// Components of a flow's base; chosen by the likelihood of held-out particles of the search where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<usize>,
    /// Inverse temperature at the start of a flow's training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temper: Option<f64>,
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
    /// Independent particles behind the density estimate of a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<usize>,
    /// Codes of the latent; 0 for a plain Gaussian latent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codes: Option<usize>,
    /// Widths of the hidden layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden: Option<Vec<usize>>,
    /// Adam's rate at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Bandwidth at the start, in units of the scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_start: Option<f64>,
    /// Bandwidth at the end, in units of the scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_end: Option<f64>,
    /// Fraction of the steps over which the bandwidth falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anneal: Option<f64>,
    /// Effective neighbours that the density estimate must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<f64>,
    /// Largest |log r| that enters a weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Draws behind a smoothed target without closed form; even.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draws: Option<usize>,
    /// Rate of the reaction on the code probabilities (T15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction: Option<f64>,
    /// Centre of the target; found where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre: Option<Vec<f64>>,
    /// Overall scale of the target; found where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
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

/// How a sampler is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Training {
    /// A generator, by the smoothed drift on a density estimate.
    #[default]
    Kde,
    /// A normalizing flow, by the drift with its exact density.
    Flow,
    /// A normalizing flow, by the log-variance divergence.
    FlowLv,
}

/// Kinds of couplings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Couplings {
    /// Affine.
    Realnvp,
    /// Rational-quadratic splines.
    Spline,
}

/// The keys of [`Config`].
const KEYS: &[&str] = &[
    "target",
    "name",
    "method",
    "divergence",
    "flow",
    "lv_reference",
    "couplings",
    "components",
    "temper",
    "steps",
    "batch",
    "seed",
    "precision",
    "threads",
    "reference",
    "codes",
    "hidden",
    "learning_rate",
    "bandwidth_start",
    "bandwidth_end",
    "anneal",
    "neighbours",
    "clip",
    "draws",
    "reaction",
    "centre",
    "scale",
];

/// The divergence of a flow by default: it weighs most what q misses. docs/flows.md has the measurements.
const FLOW_DIVERGENCE: &str = "forward-kl";

fn reverse_kl() -> String {
    "reverse-kl".into()
}

/// Bins of a spline coupling and its interval in units of the frame.
const BINS: usize = 8;
const REACH: f64 = 4.0;

/// The part of a flow's settings that generators have too.
fn shared(f: FlowSettings) -> Settings {
    let FlowSettings { steps, batch, hidden, learning_rate, anneal, clip, reaction, .. } = f;
    Settings { steps, batch, hidden, learning_rate, anneal, clip, reaction, ..Settings::default() }
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

    /// What the trainer is told: its own choice wherever nothing was given.
    pub fn settings(&self, target: &dyn Density) -> Outcome<Settings> {
        let d = match self.method {
            Training::Kde => Settings::for_target(target),
            Training::Flow | Training::FlowLv => shared(FlowSettings::for_target(target)),
        };
        let frame = match (&self.centre, self.scale) {
            (Some(centre), Some(scale)) => Some(Frame { centre: centre.clone(), scale }),
            (None, None) => None,
            _ => return Err(Failure::input("only one of centre and scale is given; give both or neither")),
        };
        let settings = Settings {
            steps: self.steps.map_or(d.steps, |s| s as u64),
            batch: self.batch.unwrap_or(d.batch),
            reference: self.reference.unwrap_or(d.reference),
            codes: self.codes.unwrap_or(d.codes),
            hidden: self.hidden.clone().unwrap_or(d.hidden),
            learning_rate: self.learning_rate.unwrap_or(d.learning_rate),
            bandwidth_start: self.bandwidth_start.unwrap_or(d.bandwidth_start),
            bandwidth_end: self.bandwidth_end.unwrap_or(d.bandwidth_end),
            anneal: self.anneal.unwrap_or(d.anneal),
            neighbours: self.neighbours.unwrap_or(d.neighbours),
            clip: self.clip.unwrap_or(d.clip),
            draws: self.draws.unwrap_or(d.draws),
            reaction: self.reaction.unwrap_or(d.reaction),
            frame,
            seed: self.seed,
        };
        settings.check()?;
        if self.method != Training::Kde {
            self.flow_settings(target, &settings).check()?;
            self.objective(None)?;
        }
        Ok(settings)
    }

    /// What the trainer of a flow is told; `s` are this configuration's [`Config::settings`].
    pub fn flow_settings(&self, target: &dyn Density, s: &Settings) -> FlowSettings {
        let d = FlowSettings::for_target(target);
        FlowSettings {
            steps: s.steps,
            batch: s.batch,
            coupling: match self.flow {
                None => d.coupling,
                Some(Couplings::Realnvp) => CouplingKind::Affine,
                Some(Couplings::Spline) => CouplingKind::Spline { bins: BINS, reach: REACH },
            },
            couplings: self.couplings.unwrap_or(d.couplings),
            hidden: s.hidden.clone(),
            components: self.components.or(d.components),
            learning_rate: s.learning_rate,
            temper: self.temper.unwrap_or(d.temper),
            anneal: s.anneal,
            clip: s.clip,
            reaction: s.reaction,
            frame: s.frame.clone(),
            seed: s.seed,
        }
    }

    /// What a flow is trained by: the log-variance divergence with its reference, or the drift of `divergence`.
    pub fn objective(&self, divergence: Option<Arc<dyn Divergence>>) -> Outcome<Objective> {
        Ok(match (self.method, divergence) {
            (Training::FlowLv, _) => Objective::LogVariance(Reference::by_name(self.reference_name())?),
            (_, Some(divergence)) => Objective::Drift(divergence),
            (_, None) => Objective::Drift(pushforward::divergence::by_name(&self.divergence)?),
        })
    }

    /// The reference of the log-variance divergence, by name.
    pub fn reference_name(&self) -> &str {
        self.lv_reference.as_deref().unwrap_or("replay")
    }

    /// What is trained by, in a word or two for names of folders and reports.
    pub fn objective_name(&self) -> String {
        match self.method {
            Training::Kde => self.divergence.clone(),
            Training::Flow => format!("flow-{}", self.divergence),
            Training::FlowLv => format!("flow-lv-{}", self.reference_name().replace(':', "-")),
        }
    }

    /// This configuration with every choice of the trainer written out, so that it repeats the run even if defaults change.
    pub fn resolved(&self, s: &Settings) -> Self {
        if self.method != Training::Kde {
            return self.resolved_flow(s);
        }
        Self {
            steps: Some(s.steps as usize),
            batch: Some(s.batch),
            reference: Some(s.reference),
            codes: Some(s.codes),
            hidden: Some(s.hidden.clone()),
            learning_rate: Some(s.learning_rate),
            bandwidth_start: Some(s.bandwidth_start),
            bandwidth_end: Some(s.bandwidth_end),
            anneal: Some(s.anneal),
            neighbours: Some(s.neighbours),
            clip: Some(s.clip),
            draws: Some(s.draws),
            reaction: Some(s.reaction),
            centre: s.frame.as_ref().map(|f| f.centre.clone()),
            scale: s.frame.as_ref().map(|f| f.scale),
            ..self.clone()
        }
    }

    /// The same for a flow.
    fn resolved_flow(&self, s: &Settings) -> Self {
        Self {
            steps: Some(s.steps as usize),
            batch: Some(s.batch),
            hidden: Some(s.hidden.clone()),
            learning_rate: Some(s.learning_rate),
            anneal: Some(s.anneal),
            clip: Some(s.clip),
            reaction: Some(s.reaction),
            lv_reference: (self.method == Training::FlowLv).then(|| self.reference_name().into()),
            centre: s.frame.as_ref().map(|f| f.centre.clone()),
            scale: s.frame.as_ref().map(|f| f.scale),
            ..self.clone()
        }
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
