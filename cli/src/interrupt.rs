//! Ctrl-C, SIGTERM and SIGHUP: the first asks long work to stop and save, the second ends the process at once. Where no
//! work is long, the first one does. However it ends, files under construction go.

use crate::failure::say;
use crate::files::atomic;
use crate::progress;
use crate::target::stan::at_work;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The number of the signal that came; 0 before.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Whether work that asks [`requested`] is under way.
static PATIENT: AtomicBool = AtomicBool::new(false);

/// Numbers of the signals, the same on every Unix.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

/// Takes signals from now on; `main` calls this first. Where the system refuses, signals keep their usual effect.
pub fn install() {
    #[cfg(unix)]
    {
        let mut wanted = vec![SIGINT, SIGTERM];
        if hangup_matters() {
            wanted.push(SIGHUP);
        }
        let Ok(mut signals) = signal_hook::iterator::Signals::new(wanted) else { return };
        let _ = std::thread::Builder::new().name("signals".into()).spawn(move || signals.forever().for_each(came));
    }
    #[cfg(not(unix))]
    let _ = ctrlc::set_handler(|| came(SIGINT));
}

/// Whether the process should end with its terminal: not where `nohup` started it. Where that cannot be known, the
/// system decides.
#[cfg(unix)]
fn hangup_matters() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 0)
}

/// A signal came.
fn came(signal: i32) {
    let first = SIGNAL.swap(signal, Ordering::SeqCst) == 0;
    if first && PATIENT.load(Ordering::SeqCst) {
        return;
    }
    progress::wipe();
    let lost = atomic::remove_unfinished();
    let what = if lost.is_empty() { String::new() } else { format!("; {} was not written", lost.join(", ")) };
    say(format_args!("error: stopped by {}{what}", name()));
    at_work(false);
    std::process::exit(i32::from(exit_code()));
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
