//! `pushforward list` and the command line itself.

mod common;

use common::pushforward;
use pushforward::num::instruction_sets;
use std::path::Path;
use std::process::{Command, Output};

/// Checks that every registered target, divergence, method, velocity, model and estimator is listed with its formula or meaning, that the settings of every
/// method are shown with the defaults of a target, and that a list can be asked for alone.
#[test]
fn everything_is_listed() {
    let text = |arguments: &[&str]| String::from_utf8(pushforward(Path::new("."), arguments).stdout).unwrap();
    let (all, targets, divergences) = (text(&["list"]), text(&["list", "targets"]), text(&["list", "divergences"]));
    for entry in pushforward::density::all_densities() {
        assert!(targets.contains(entry.name) && targets.contains(entry.formula), "{}", entry.name);
    }
    for d in pushforward::divergence::all_divergences() {
        assert!(divergences.contains(d.name()) && divergences.contains(&d.weight_formula()), "{}", d.name());
    }
    let (methods, velocities) = (text(&["list", "methods"]), text(&["list", "velocities"]));
    for preset in pushforward::run::PRESETS {
        assert!(methods.contains(preset.name) && methods.contains(preset.summary), "{}", preset.name);
        let settings = text(&["list", "settings", preset.name, "--target", "gmm40"]);
        assert!(settings.contains("[run]\nsteps = ") && settings.contains("[velocity]"), "{settings}");
    }
    for velocity in pushforward::velocity::all_velocities() {
        assert!(velocities.contains(velocity.name()) && velocities.contains(velocity.formula()), "{}", velocity.name());
    }
    let (models, estimators) = (text(&["list", "models"]), text(&["list", "estimators"]));
    for model in pushforward::model::all_models() {
        assert!(models.contains(&format!("\n{}\n", model.name())) && models.contains(model.summary()), "{models}");
    }
    for estimator in pushforward::estimate::all_estimators() {
        let (name, summary) = (estimator.name(), estimator.summary());
        assert!(estimators.contains(&format!("\n{name}\n")) && estimators.contains(summary), "{estimators}");
    }
    let parts = [targets, divergences, methods, velocities, models, estimators, text(&["list", "machine"])];
    assert_eq!(all, parts.concat());
}

/// Checks that a mistyped command line is answered in one line with exit code 2, and that help and version are no failures.
#[test]
fn command_line_mistakes() {
    for arguments in [&["lisst"][..], &["list", "foo"], &["list", "--bar"]] {
        let out = pushforward(Path::new("."), arguments);
        let stderr = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(arguments.last().unwrap()), "{stderr}");
    }
    for arguments in [&["--help"][..], &["--version"], &["list", "--help"]] {
        assert_eq!(pushforward(Path::new("."), arguments).status.code(), Some(0));
    }
    assert_eq!(pushforward(Path::new("."), &[]).status.code(), Some(2));
}

/// `pushforward` with an instruction set asked for.
fn with_isa(value: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pushforward"));
    command.args(arguments).env("PUSHFORWARD_ISA", value).output().unwrap()
}

/// Checks that the list of the machine names each set that it can run and the one in use, and that an unknown set is said in one line with
/// exit code 2 by a command that computes, while the list still shows what to choose.
#[test]
fn sets_are_listed_and_chosen() {
    let listed = |value: &str| String::from_utf8(with_isa(value, &["list", "machine"]).stdout).unwrap();
    let line = |text: &str, key: &str| {
        text.lines().find_map(|l| l.trim().strip_prefix(key)).unwrap_or_else(|| panic!("{text}")).trim().to_owned()
    };
    for name in ["strict"].into_iter().chain(instruction_sets().into_iter().map(|set| set.name())) {
        let text = listed(name);
        assert_eq!(line(&text, "in use"), name);
        assert!(line(&text, "sets").split(", ").any(|set| set == name), "{text}");
    }
    let widest = instruction_sets().last().unwrap().name();
    assert_eq!(line(&listed(""), "in use"), widest);
    let out = with_isa("sse9", &["check", "gmm9"]);
    let stderr = String::from_utf8(out.stderr).unwrap();
    assert_eq!((out.status.code(), stderr.lines().count()), (Some(2), 1), "{stderr}");
    assert!(stderr.contains("sse9") && stderr.contains("avx512") && out.stdout.is_empty(), "{stderr}");
    assert!(line(&listed("sse9"), "in use").contains("sse9"));
}
