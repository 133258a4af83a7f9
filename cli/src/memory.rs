//! How much there is: memory for this process, and space on a disk. What is larger is refused before any of it is asked
//! for, because an allocation that fails ends the process without a word.

use crate::failure::{Failure, Outcome};
use pushforward::error::size;
use std::fs;
use std::path::{Path, PathBuf};

/// Where nothing is known: more than any machine of today has.
const UNKNOWN: u64 = 1 << 46;

/// Bytes of memory that this process can still be given: the least of what Linux says is available, what the control
/// groups around the process leave (those of a container or a batch system), and its own limit (`ulimit -v`). Elsewhere
/// a number that no machine of today reaches.
pub fn available() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let group = read("/proc/self/cgroup");
    let groups =
        groups(&group).into_iter().filter_map(|folder| left_in(&|name| fs::read_to_string(folder.join(name)).ok()));
    let own = own_limit(&read("/proc/self/limits"), &read("/proc/self/status"));
    let machine = kib(&read("/proc/meminfo"), "MemAvailable:");
    groups.chain(own).chain(machine).min().unwrap_or(UNKNOWN)
}

/// Refuses what needs more than [`available`]; `what` begins the sentence, `remedy` ends it.
pub fn enough(needed: u128, what: &str, remedy: &str) -> Outcome<()> {
    let limit = available();
    if needed <= u128::from(limit) {
        return Ok(());
    }
    Err(Failure::input(format!(
        "{what} needs {} of memory, but {} are free; {remedy}",
        size(needed),
        size(limit.into())
    )))
}

/// Refuses a search for the scale of a density in `d` dimensions: its particles, their covariance and its factor.
pub fn enough_for_search(d: usize) -> Outcome<()> {
    let d = d as u128;
    let what = format!("the search for the scale in {d} dimensions");
    enough(8 * (3 * 2048 * d + 2 * d * d), &what, "give a density of fewer dimensions")
}

/// Refuses an output of `needed` bytes for which there is no space where `path` stands.
pub fn enough_space(needed: u128, path: &Path) -> Outcome<()> {
    let Some(free) = space(path).filter(|free| needed > u128::from(*free)) else { return Ok(()) };
    let (shown, needed, free) = (path.display(), size(needed), size(free.into()));
    Err(Failure::Machine(format!(
        "{shown} needs {needed}, but {free} are free there; ask for less or choose another place with -o"
    )))
}

/// Bytes of free space where the file `path` stands, or will; None where that is not known, or the bytes do not stay.
fn space(path: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        if fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return None;
        }
        let found = rustix::fs::statvfs(std::path::absolute(path).ok()?.parent()?).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// The number after `key` in a file of lines `key number kB`, in bytes.
fn kib(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(1024 * rest.trim().trim_end_matches(" kB").parse::<u64>().ok()?)
}

/// The folders of the control groups around a process whose /proc/self/cgroup is `text`, in both versions.
fn groups(text: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let root = match controllers {
            "" => Path::new("/sys/fs/cgroup"),
            _ if controllers.split(',').any(|c| c == "memory") => Path::new("/sys/fs/cgroup/memory"),
            _ => continue,
        };
        // inside a container the path may be that of the machine outside; its own group is then the root
        out.extend(Path::new(path.trim_start_matches('/')).ancestors().map(|group| root.join(group)));
    }
    out
}

/// Bytes that a control group leaves: its limit without what is in use and cannot be given back.
fn left_in(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let (limit, used) = match number("memory.max") {
        Some(limit) => (limit, number("memory.current")?),
        None => (number("memory.limit_in_bytes")?, number("memory.usage_in_bytes")?),
    };
    let stat = read("memory.stat").unwrap_or_default();
    let word = |key: &str| stat.lines().find_map(|line| line.strip_prefix(key)?.trim().parse::<u64>().ok());
    let cached = word("total_inactive_file ").or(word("inactive_file ")).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

/// Bytes that a limit on the address space leaves.
fn own_limit(limits: &str, status: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(kib(status, "VmSize:").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what is read from the files of Linux, as they are there.
    #[test]
    fn files_of_linux() {
        assert_eq!(kib("MemTotal:  9 kB\nMemAvailable:   1234 kB\n", "MemAvailable:"), Some(1234 * 1024));
        let found = groups("0::/user.slice/run.scope\n4:memory:/a\n3:cpu,cpuacct:/b\n");
        let expected = [
            "/sys/fs/cgroup/user.slice/run.scope",
            "/sys/fs/cgroup/user.slice",
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/memory/a",
            "/sys/fs/cgroup/memory",
        ];
        assert_eq!(found, expected.map(PathBuf::from));
        let group = |files: &'static [(&str, &str)]| {
            left_in(&|name| files.iter().find(|(n, _)| *n == name).map(|(_, text)| text.to_string()))
        };
        let two =
            [("memory.max", "1000\n"), ("memory.current", "700\n"), ("memory.stat", "anon 1\ninactive_file 200\n")];
        assert_eq!(group(Box::leak(Box::new(two))), Some(500));
        let one = [("memory.limit_in_bytes", "1000\n"), ("memory.usage_in_bytes", "1100\n")];
        assert_eq!(group(Box::leak(Box::new(one))), Some(0));
        assert_eq!(group(&[("memory.max", "max\n"), ("memory.current", "700\n")]), None);
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax address space         4096000     unlimited    bytes\n";
        assert_eq!(own_limit(limits, "VmSize:\t1000 kB\n"), Some(4_096_000 - 1_024_000));
        assert_eq!(own_limit("Max address space         unlimited    unlimited    bytes\n", ""), None);
        assert!(available() > 0);
    }

    /// Checks that what no machine has is refused, and a byte is not.
    #[test]
    fn what_is_not_there_is_refused() {
        assert!(enough(u128::MAX, "this", "do").is_err() && enough(1, "this", "do").is_ok());
    }
}
