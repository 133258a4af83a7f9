//! Ctrl-C, SIGTERM and SIGHUP: the first asks long work to stop and save, the second ends the process at once. Where no
//! work is long, the first one does. However it ends, files under construction go.

use crate::files::atomic;
use crate::progress;
use crate::signal::{self, SIGINT};
#[cfg(unix)]
use crate::signal::{SIGHUP, SIGTERM};
use crate::target::stan::at_work;
use crate::terminal::say;

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
fn came(number: i32) {
    if !signal::came(number) {
        return;
    }
    progress::wipe();
    let lost = atomic::remove_unfinished();
    let what = if lost.is_empty() { String::new() } else { format!("; {} was not written", lost.join(", ")) };
    say(format_args!("error: stopped by {}{what}", signal::name()));
    at_work(false);
    std::process::exit(i32::from(signal::exit_code()));
}
