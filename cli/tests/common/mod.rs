//! Running the real binary.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `pushforward` with `arguments` in `folder`.
pub fn pushforward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pushforward"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}
