//! Ctrl-C: the first asks long work to stop and save, the second ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Watches for Ctrl-C from now on. Where the system refuses a handler, Ctrl-C keeps its usual effect.
pub fn watch() {
    let _ = ctrlc::set_handler(|| {
        if REQUESTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
}

/// Whether Ctrl-C was pressed; long loops ask this at every step.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::SeqCst)
}
