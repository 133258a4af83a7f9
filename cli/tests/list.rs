//! `pushforward list` and the command line itself.

mod common;

use common::pushforward;
use std::path::Path;

/// Checks that every registered target, divergence, method and velocity is listed with its formula or meaning, that the settings of every
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
    assert_eq!(all, targets + &divergences + &methods + &velocities);
}

/// Proves that a mistyped command line is answered in one line with exit code 2, and that help and version are no failures.
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
