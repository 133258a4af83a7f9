//! The program of README.md is the one below, and prints what stands there.

use std::fs;
use std::path::Path;

#[rustfmt::skip]
mod program {
use pushforward::{density::{Target, TapeDensity}, run::Method};

pub fn main() -> pushforward::Result<Vec<f64>> {
    let banana = TapeDensity::new(2, |x| { // log p~, n×2 → n×1; the score comes from the tape
        let (a, b) = (x.column(0), x.column(1));
        (a.square() + (b - a.square()).square() * 4.0) * -0.5
    });
    let target = Target::of(std::sync::Arc::new(banana));
    let mut run = Method::preset("flow", &target)?.start(&target, None)?;
    run.finish()?; // 1,000 steps
    Ok(run.sample(100_000, 1, 0).column_means())
}
}

/// Checks that the README's program is this file's, and that its means are those of the comment there. Their bits depend on fused
/// multiply-add: without, they are within 0.1 of the exact 0 and 1, as everywhere (deviations 1 and 1.5; the flow itself errs by hundredths).
#[test]
fn readme_prints_what_it_says() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let own = include_str!("readme.rs");
    let program = readme.split("```rust,no_run\n").nth(1).unwrap().split("```").next().unwrap();
    let (frame, lines): (Vec<&str>, Vec<&str>) = program.lines().partition(|line| !own.contains(line));
    assert_eq!(lines.iter().filter(|line| !line.is_empty()).count(), 9, "{lines:?}");
    let [start, print, end] = frame[..] else { panic!("{frame:?}") };
    assert!(start.starts_with("fn main()") && print.contains("run.sample(100_000, 1, 0).column_means()"), "{frame:?}");
    assert_eq!(end.trim(), "Ok(())");
    let means = program::main().unwrap();
    assert!(means[0].abs() < 0.1 && (means[1] - 1.0).abs() < 0.1, "{means:?}");
    let fused = pushforward::num::instruction_set() != pushforward::num::InstructionSet::Portable;
    let shown = format!("// {means:.2?}; exact 0 and 1");
    assert!(!fused || print.ends_with(&shown), "{print} should end with {shown}");
}
