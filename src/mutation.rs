//! Planted faults: one-line edits of shipped code that a theorem or a named test must notice.
//!
//! `mutant!("id", false, true)` is exactly the expression `true`. In a build with `--cfg mutations`, which no release has, it is the
//! expression `false` while the environment variable [`SWITCH`] says its id; one binary then holds every fault, and `tests/mutations.rs`
//! runs through them. The table of what kills each is `docs/mutations.md`.

/// See the module.
#[cfg(not(mutations))]
macro_rules! mutant {
    ($id:literal, $false:expr, $true:expr) => {
        $true
    };
}

/// See the module.
#[cfg(mutations)]
macro_rules! mutant {
    ($id:literal, $false:expr, $true:expr) => {{
        static PLANTED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        if *PLANTED.get_or_init(|| std::env::var(crate::mutation::SWITCH).is_ok_and(|id| id == $id)) {
            $false
        } else {
            $true
        }
    }};
}

/// Which fault is planted: none where it is not set.
#[cfg(mutations)]
pub(crate) const SWITCH: &str = "PUSHFORWARD_MUTANT";
