//! Which signal came, for work that stops by itself; [`crate::interrupt`] takes it.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The number of the signal that came; 0 before.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Whether work that asks [`requested`] is under way.
static PATIENT: AtomicBool = AtomicBool::new(false);

/// Numbers of the signals, the same on every Unix.
pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGTERM: i32 = 15;

/// Takes note of a signal. Whether it ends the process: the first does not where work is under way that asks [`requested`].
pub(crate) fn came(signal: i32) -> bool {
    let first = SIGNAL.swap(signal, Ordering::SeqCst) == 0;
    !(first && PATIENT.load(Ordering::SeqCst))
}

/// From now on the first signal only asks: the work looks at [`requested`].
pub fn watch() {
    PATIENT.store(true, Ordering::SeqCst);
}

/// Whether a signal came; long loops ask this at every step.
pub fn requested() -> bool {
    SIGNAL.load(Ordering::SeqCst) != 0
}

/// What came, in a word.
pub fn name() -> &'static str {
    match SIGNAL.load(Ordering::SeqCst) {
        SIGTERM => "SIGTERM",
        SIGHUP => "SIGHUP",
        _ => "Ctrl-C",
    }
}

/// 128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
pub fn exit_code() -> u8 {
    match SIGNAL.load(Ordering::SeqCst) {
        SIGTERM => 143,
        SIGHUP => 129,
        _ => 130,
    }
}
