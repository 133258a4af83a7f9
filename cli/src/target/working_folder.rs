//! The working folder of the command, which the code of a target's library may leave.

use std::path::PathBuf;
use std::sync::OnceLock;

/// The working folder before the first library was opened.
static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();

/// Goes back to the working folder of the command, where a library's code has left it.
pub(super) fn stay() {
    if let Some(Some(folder)) = FOLDER.get()
        && std::env::current_dir().ok().as_ref() != Some(folder)
    {
        let _ = std::env::set_current_dir(folder);
    }
}

/// Remembers the working folder; the first call counts.
pub(super) fn remember() {
    FOLDER.get_or_init(|| std::env::current_dir().ok());
}
