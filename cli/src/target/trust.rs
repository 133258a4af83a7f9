//! Whether the code of a library may run that a run's folder or a configuration names.

use super::{is_path, kind_of};
use crate::failure::{Failure, Outcome};
use crate::files::{MAX_TARGET, read_text};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a library that a configuration names may be opened, which runs its code.
static TRUSTED: AtomicBool = AtomicBool::new(false);

/// Says whether libraries named by configurations may be opened. One that the user's own target file names always is:
/// to name it is to ask for it.
pub fn trust_libraries(trusted: bool) {
    TRUSTED.store(trusted, Ordering::Relaxed);
}

pub(super) fn libraries_are_trusted() -> bool {
    TRUSTED.load(Ordering::Relaxed)
}

/// Refuses a definition that is a Stan library, or names a file that describes one, where libraries are not trusted.
pub fn refuse_untrusted(definition: &toml::Value) -> Outcome<()> {
    match definition {
        toml::Value::String(path) if is_path(path) => {
            refuse_untrusted_text(path, &read_text(Path::new(path), MAX_TARGET)?)
        }
        toml::Value::Table(table) if table.get("kind").and_then(toml::Value::as_str) == Some("stan-library") => {
            refuse_untrusted_text("the configuration's target", "kind = \"stan-library\"")
        }
        _ => Ok(()),
    }
}

pub(super) fn refuse_untrusted_text(place: &str, text: &str) -> Outcome<()> {
    if kind_of(text).is_ok_and(|kind| kind == "stan-library") && !libraries_are_trusted() {
        return Err(Failure::input(format!(
            "{place} is a Stan library, whose code would run; look at what it names as library, and give --trust-library"
        )));
    }
    Ok(())
}
