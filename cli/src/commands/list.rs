//! `pushforward list`: names, formulas, constants, sources, and the machine.

use crate::config;
use crate::failure::Outcome;
use crate::target;
use crate::terminal::{note, print};
use pushforward::density::{Dimensions, all_densities};
use pushforward::divergence::{Divergence, all_divergences, by_name};
use pushforward::estimate::{EstimatorSettings, all_estimators};
use pushforward::model::{ModelSettings, all_models};
use pushforward::num::{ISA, InstructionSet, check_isa, instruction_set, instruction_sets, ln, strict};
use pushforward::run::{PRESETS, Preset, refused_pairs};
use pushforward::settings::{Rule, Value};
use pushforward::velocity::{VelocitySettings, all_velocities};
use std::sync::Arc;

/// Arguments of `list`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to list; all but settings by default
    #[arg(value_enum)]
    what: Option<What>,
    /// For 'settings': a name from 'list methods' [default: generator]; for 'divergences': one alone, or a formula such as 'w(r) = r^0.7'
    name: Option<String>,
    /// For 'settings': the target whose defaults are shown
    #[arg(long, default_value = "gmm9")]
    target: String,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq)]
enum What {
    Targets,
    Divergences,
    Methods,
    Velocities,
    Models,
    Estimators,
    Settings,
    Machine,
}

/// Prints the lists.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let text = match arguments.what {
        Some(What::Targets) => targets(),
        Some(What::Divergences) => match &arguments.name {
            Some(name) => one_divergence(name)?,
            None => divergences(),
        },
        Some(What::Methods) => methods(),
        Some(What::Velocities) => velocities(),
        Some(What::Models) => models(),
        Some(What::Estimators) => estimators(),
        Some(What::Settings) => {
            settings(arguments.name.as_deref().unwrap_or(pushforward::run::DEFAULT), &arguments.target)?
        }
        Some(What::Machine) => machine(),
        None => [targets(), divergences(), methods(), velocities(), models(), estimators(), machine()].concat(),
    };
    print(&text)
}

/// A name and the lines about it, indented.
fn entry(name: &str, lines: &[(&str, &str)]) -> String {
    let lines = lines.iter().filter(|(_, words)| !words.is_empty());
    lines.fold(format!("{name}\n"), |text, (key, words)| text + &format!("    {key:<12}{words}\n")) + "\n"
}

fn targets() -> String {
    let one = |e: &pushforward::density::Entry| {
        let (name, dim) = match e.dimensions {
            Dimensions::Fixed(d) => (e.name.to_owned(), d.to_string()),
            Dimensions::From { words, .. } => {
                (format!("{}-D", e.name), format!("D, {words}; such as {}", e.names().join(", ")))
            }
        };
        entry(&name, &[("dimension", &dim), ("log p~(x)", e.formula), ("constants", e.constants), ("source", e.source)])
    };
    let list: String = all_densities().iter().map(one).collect();
    format!("TARGETS (or the path of a TOML file)\n\n{list}")
}

fn divergence(d: &dyn Divergence) -> String {
    let lines =
        [("divergence", d.formula()), ("weight w(r)", d.weight_formula()), ("elasticity", d.elasticity_formula())];
    entry(d.name(), &lines.each_ref().map(|(key, words)| (*key, words.as_str())))
}

/// One divergence, with its figures at five levels.
fn one_divergence(name: &str) -> Outcome<String> {
    let d = by_name(name)?;
    let mut text = divergence(&*d) + "           r            f(r)            w(r)   elasticity\n";
    for k in -2..=2 {
        let r = 10f64.powi(k);
        let l = ln(r);
        let figure =
            |x: f64| if x == 0.0 || (1e-4..1e6).contains(&x.abs()) { format!("{x:.6}") } else { format!("{x:.6e}") };
        // 0 has no sign
        let [f, w, e] = [d.f(l), d.weight(l), (1e6 * d.elasticity(l)).round() / 1e6].map(|x| figure(x + 0.0));
        text += &format!("{r:>12}{f:>16}{w:>16}{e:>13}\n");
    }
    Ok(text)
}

fn divergences() -> String {
    let one = |d: &Arc<dyn Divergence>| divergence(&**d);
    let surrogate = by_name("lv-surrogate").into_iter();
    let list: String = all_divergences().into_iter().chain(surrogate).map(|d| one(&d)).collect();
    format!(
        "DIVERGENCES (q is the model, p the target, r = p/q, w(r) = r² f''(r); alpha takes any number after its colon;\n'f(u) = ...' and 'w(r) = ...' are your own: numbers, + - * / ^, log, exp, sqrt)\n\n{list}"
    )
}

fn methods() -> String {
    let one = |p: &Preset| {
        let [model, velocity, estimator] = p.parts;
        entry(
            p.name,
            &[("what", p.summary), ("parts", &format!("model {model}, velocity {velocity}, estimator {estimator}"))],
        )
    };
    let list: String = PRESETS.iter().map(one).collect();
    format!("METHODS (of 'train --method' and 'compare --methods'; each part can be replaced)\n\n{list}")
}

fn velocities() -> String {
    let refused = refused_pairs();
    let models: Vec<&str> = all_models().iter().map(|m| m.name()).collect();
    let one = |v: &dyn VelocitySettings| {
        let fits = |model: &&&str| !refused.contains(&(v.name(), **model));
        let with: Vec<&str> = models.iter().filter(fits).copied().collect();
        let lines =
            [("what", v.summary()), ("formula", v.formula()), ("models", &with.join(", ")), ("source", v.source())];
        entry(v.name(), &lines)
    };
    let list: String = all_velocities().iter().map(|v| one(&**v)).collect();
    format!("VELOCITIES (of 'particles --velocity' and 'train --velocity')\n\n{list}")
}

fn models() -> String {
    let refused = refused_pairs();
    let velocities = all_velocities();
    let one = |m: &dyn ModelSettings| {
        let follows = velocities.iter().map(|v| v.name()).filter(|v| !refused.contains(&(*v, m.name())));
        let lines = [("what", m.summary()), ("velocities", &follows.collect::<Vec<_>>().join(", "))];
        entry(m.name(), &lines)
    };
    let list: String = all_models().iter().map(|m| one(&**m)).collect();
    format!("MODELS (of 'train --model'; 'particles' moves particles)\n\n{list}")
}

fn estimators() -> String {
    let one = |e: &dyn EstimatorSettings| {
        let gives = if e.gives_density() { "score and log density of q" } else { "score of q" };
        entry(e.name(), &[("what", e.summary()), ("gives", gives)])
    };
    let list: String = all_estimators().iter().map(|e| one(&**e)).collect();
    format!("ESTIMATORS (of 'train --estimator' and 'particles --estimator': how q is known)\n\n{list}")
}

/// The settings of a method with the defaults that `train` would have on a target: also where the target changes the method's parts.
fn settings(method: &str, target: &str) -> Outcome<String> {
    let target = target::load(target, &mut note)?;
    let mut flags = toml::Table::from_iter([("target".to_owned(), target.definition.clone())]);
    flags.insert("method".into(), method.into());
    let method = config::merge(None, flags, &[])?.method(&target)?;
    let [model, velocity, estimator] = [method.model.name(), method.velocity.name(), method.estimator.name()];
    let estimator = if method.velocity.uses_estimator() { format!(", estimator {estimator}") } else { String::new() };
    let mut text = format!(
        "SETTINGS of the method '{}' on {}: model {model}, velocity {velocity}{estimator}\n",
        method.name, target.name
    );
    for section in method.sections() {
        text += &format!("\n[{}]\n", section.part());
        for key in section.keys() {
            let value = section.get(key.name).unwrap_or(Value::Auto);
            let range = if key.rule == Rule::Any { String::new() } else { format!(", {}", key.rule) };
            text += &format!("{} = {value}\n    {} ({}{range})\n", key.name, key.meaning, key.kind);
        }
    }
    Ok(text)
}

/// What this process computes with, and what its bits depend on.
fn machine() -> String {
    let features = features();
    let found =
        if features.is_empty() { "none of those that have kernels of their own".into() } else { features.join(", ") };
    let sets = ["strict"]
        .into_iter()
        .chain(instruction_sets().into_iter().map(InstructionSet::name))
        .collect::<Vec<_>>()
        .join(", ");
    let in_use = match check_isa() {
        Ok(()) if strict() => "strict".into(),
        Ok(()) => instruction_set().name().to_owned(),
        Err(e) => format!("none; {e}"),
    };
    let products = match instruction_set() {
        _ if strict() => "plain loops",
        InstructionSet::Avx2 | InstructionSet::Avx512 if pushforward::linalg::OWN_KERNELS => "as in the table",
        _ => "matrixmultiply",
    };
    let bits = match instruction_set() {
        _ if strict() => "on the seed",
        InstructionSet::Portable => {
            "on the seed and on what matrixmultiply finds in the processor, not on the number of threads"
        }
        _ => "on the seed and on fused multiply-add: avx2 and avx512 agree; not on the number of threads",
    };
    let text = entry(
        std::env::consts::ARCH,
        &[
            ("features", &found),
            ("sets", &sets),
            ("in use", &in_use),
            ("products", products),
            ("threads", &rayon::current_num_threads().to_string()),
            ("bits depend", bits),
        ],
    );
    let table = pushforward::linalg::strategies().replace('\n', "\n  ");
    format!(
        "MACHINE (choose a set with {ISA})\n\n{text}\n  How A B is computed in f32, A: m×k, B: k×n:\n\n  {}\n",
        table.trim_end()
    )
}

/// The processor's features that kernels ask for.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! found {
            ($($name:tt)*) => { [$(($name, is_x86_feature_detected!($name))),*] };
        }
        let all = found!("avx2" "fma" "avx512f" "avx512dq" "avx512vl" "avx512bw");
        all.into_iter().filter(|(_, found)| *found).map(|(name, _)| name).collect()
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::Job;

    /// Checks that the config.toml that `train` writes holds what `list settings` shows, key by key in both directions, for every method on a
    /// mixture, in two dimensions without modes, and in ten, where the default method learns a score.
    #[test]
    fn listed_settings_are_those_of_a_run() {
        for preset in PRESETS {
            for name in ["gmm9", "banana", "funnel-10"] {
                let mut listed = std::collections::BTreeMap::new();
                let mut part = String::new();
                for line in settings(preset.name, name).unwrap().lines().skip(1) {
                    if let Some(section) = line.strip_prefix('[') {
                        part = section.trim_end_matches(']').to_owned();
                    } else if let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with(' ')) {
                        listed.insert(format!("{part}.{key}"), value.to_owned());
                    }
                }
                let flags = [("target", name), ("method", preset.name)];
                let flags = flags.map(|(key, word)| (key.to_owned(), word.into())).into_iter().collect();
                let job = Job::new(target::load(name, &mut |_| ()).unwrap(), config::merge(None, flags, &[]).unwrap());
                let job = job.unwrap();
                let written: toml::Table = toml::from_str(&job.config.text(&job.method, None)).unwrap();
                for (section, table) in &written {
                    let Some(table) = table.as_table() else { continue };
                    for (key, value) in table.iter().filter(|(key, _)| *key != "kind") {
                        let value = config::to_value(value).unwrap().to_string();
                        let key = format!("{section}.{key}");
                        assert_eq!(listed.remove(&key), Some(value), "{} on {name}: {key}", preset.name);
                    }
                }
                let auto = Value::Auto.to_string();
                assert!(listed.values().all(|v| *v == auto), "{} on {name}: {listed:?} not written", preset.name);
            }
        }
    }
}
