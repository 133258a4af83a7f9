//! The lessons of `examples/` run, end with asserts on what they printed, and stay short enough to be read.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A lesson has fewer lines than this.
const LINES: usize = 60;

/// Numbers and file names without `.rs` of the lessons, in order: those examples whose names begin with two digits.
fn lessons() -> Vec<(usize, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut lessons: Vec<(usize, String)> =
        names.filter_map(|n| Some((n.get(..2)?.parse().ok()?, n.strip_suffix(".rs")?.to_string()))).collect();
    lessons.sort();
    lessons
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).with_extension("rs")
}

/// `target/<profile>/examples/<name>`, beside the folder `deps` of this test's own executable.
fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Checks that lessons are numbered from 1 without gaps, are short, open with what one learns and how to run them, assert something,
/// and can end with "lesson … holds" only by the last statement.
#[test]
fn lessons_have_the_form() {
    for (i, (number, name)) in lessons().into_iter().enumerate() {
        assert_eq!(number, i + 1, "examples/{name}.rs: lessons count from 01 without gaps");
        let text = fs::read_to_string(source(&name)).unwrap();
        let lines = text.lines().count();
        assert!(lines < LINES, "examples/{name}.rs has {lines} lines, not fewer than {LINES}");
        assert!(text.starts_with(&format!("//! Lesson {number}: ")), "examples/{name}.rs: first line");
        assert!(
            text.contains(&format!("//! Run: `cargo run --release --example {name}`\n")),
            "examples/{name}.rs: how to run"
        );
        assert!(text.contains("    assert"), "examples/{name}.rs asserts nothing");
        let end = format!("    println!(\"lesson {number} holds\");\n    Ok(())\n}}\n");
        assert!(text.ends_with(&end), "examples/{name}.rs must end with\n{end}");
    }
}

/// Checks that every lesson runs to its last line, so that all of its asserts hold. `cargo test` has compiled the examples; after
/// `cargo test --test lessons`, which does not, a missing or outdated program is refused with the remedy.
#[test]
fn lessons_run() {
    let lessons = lessons();
    assert!(lessons.len() >= 18, "{lessons:?}");
    for (number, name) in lessons {
        let program = binary(&name);
        let written = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
        let fresh = written(&program).is_some_and(|built| written(&source(&name)).unwrap() <= built);
        assert!(fresh, "{} is not up to date: run `cargo build --examples` in the same profile", program.display());
        let output = Command::new(&program).output().unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{name}: {}\n{printed}\n{errors}", output.status);
        assert_eq!(printed.lines().last(), Some(format!("lesson {number} holds").as_str()), "{name}:\n{printed}");
    }
}
