//! `pushforward storyboard`: a file of scenes as a picture that moves.

use crate::failure::Outcome;
use crate::files::atomic::AtomicFile;
use crate::lab::Storyboard;
use crate::target;
use crate::terminal::{note, print};
use std::path::PathBuf;

/// Arguments of `storyboard`.
#[derive(clap::Args)]
pub struct Arguments {
    /// A TOML file of scenes, such as examples/storyboards/reaction.toml
    scenes: PathBuf,
    /// The SVG to write
    #[arg(short, long)]
    output: PathBuf,
}

/// Does the runs of all scenes, and writes the picture.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let board = Storyboard::read(&arguments.scenes)?;
    let picture = board.draw(&target::load("gmm9", &mut note)?)?;
    let mut file = AtomicFile::output(&arguments.output)?;
    file.write(picture.as_bytes())?;
    file.commit()?;
    print(&format!("{} written\n", arguments.output.display()))
}
