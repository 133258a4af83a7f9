//! Run folders: made whole in one rename, locked while a process trains in them, and kept from the first checkpoint on.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::{is_temporary, sibling, sync_folder, write_file};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

/// `runs/TARGET-DIVERGENCE-seedS`
pub fn default_path(target: &str, divergence: &str, seed: u64) -> PathBuf {
    Path::new("runs").join(format!("{}-{divergence}-seed{seed}", crate::target::short_name(target)))
}

/// The file whose lock says that a process trains here. The system lets the lock go when the process ends, however it ends.
const LOCK: &str = ".lock";

/// A run folder that this process trains in.
pub struct RunFolder {
    path: PathBuf,
    /// Where the run that `--force` replaces waits until this one is complete.
    replaced: PathBuf,
    /// Whether the folder goes when this value goes: it was made here and nothing has been learnt yet.
    empty: bool,
    _lock: File,
}

impl RunFolder {
    /// Makes the folder `path` with this config.toml in it. An existing one is refused without `force`; with it, it is moved aside
    /// until [`RunFolder::finish`].
    pub fn create(path: &Path, force: bool, config: &str) -> Outcome<Self> {
        // A path such as `runs/..` has no name of its own that could be renamed.
        let Some(name) = path.file_name() else {
            let place = path.display();
            return Err(Failure::input(format!("{place} is not a name for a new folder; choose another --out")));
        };
        let fail = |e: std::io::Error| Failure::io("create", path, &e);
        let replaced = path.with_file_name(format!(".{}.old", name.to_string_lossy()));
        if !path.exists() && replaced.exists() {
            fs::rename(&replaced, path).map_err(fail)?;
        }
        refuse_existing(path, force)?;
        remove_stale(path);
        let building = sibling(path, "partial");
        fs::create_dir_all(&building).map_err(fail)?;
        let made = Self::fill(&building, config).and_then(|lock| {
            // The old run is away only between these two renames, and the next run moves it back if this process dies there.
            move_aside(path, &replaced).and_then(|()| fs::rename(&building, path)).map_err(fail)?;
            Ok(Self { path: path.to_owned(), replaced, empty: true, _lock: lock })
        });
        if made.is_err() {
            let _ = fs::remove_dir_all(&building);
        }
        sync_folder(path.parent().unwrap_or(Path::new("."))).map_err(fail)?;
        made
    }

    fn fill(building: &Path, config: &str) -> Outcome<File> {
        let lock = lock(building)?;
        write_file(&building.join("config.toml"), config.as_bytes())?;
        Ok(lock)
    }

    /// Opens the folder of a run that stopped, to go on with it; clears what a killed process left half-written.
    pub fn open(path: &Path) -> Outcome<Self> {
        let place = path.display();
        if !path.join("config.toml").is_file() {
            return Err(Failure::input(format!("{place} is not a run folder (it has no config.toml)")));
        }
        let Some(name) = path.file_name() else {
            return Err(Failure::input(format!("{place} does not end in a name; give the run folder by its name")));
        };
        let lock = lock(path)?;
        for entry in fs::read_dir(path).map_err(|e| Failure::unreadable(path, &e))?.flatten() {
            if is_temporary(&entry.file_name().to_string_lossy()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let replaced = path.with_file_name(format!(".{}.old", name.to_string_lossy()));
        Ok(Self { path: path.to_owned(), replaced, empty: false, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where to write the file `name` of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the file `name`, durably.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Outcome<()> {
        write_file(&self.file(name), bytes)
    }

    /// From now on the folder stays, whatever happens: there is something in it to go on from.
    pub fn keep(&mut self) {
        self.empty = false;
    }

    /// Removes the folder if nothing was learnt yet, and moves the replaced run back.
    pub fn abandon(&mut self) {
        if std::mem::take(&mut self.empty) {
            let _ = fs::remove_dir_all(&self.path);
            let _ = fs::rename(&self.replaced, &self.path);
        }
    }

    /// The run is complete: the files named in `leftovers`, the lock and the replaced run go.
    pub fn finish(&mut self, leftovers: &[&str]) -> Outcome<()> {
        self.keep();
        for name in leftovers.iter().chain([&LOCK]) {
            match fs::remove_file(self.file(name)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Failure::io("remove", &self.file(name), &e));
                }
                _ => {}
            }
        }
        if self.replaced.exists() {
            let remove = fs::remove_dir_all(&self.replaced);
            remove.map_err(|e| Failure::io("remove the old run, now", &self.replaced, &e))?;
        }
        sync_folder(&self.path).map_err(|e| Failure::io("write", &self.path, &e))
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Takes the lock of a folder.
fn lock(folder: &Path) -> Outcome<File> {
    let path = folder.join(LOCK);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| Failure::io("write", &path, &e))?;
    // Some file systems have no locks; there the user is the only guard.
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) { Err(is_busy(folder)) } else { Ok(file) }
}

/// Whether another process holds the lock of a folder.
fn busy(folder: &Path) -> bool {
    File::open(folder.join(LOCK)).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn is_busy(folder: &Path) -> Failure {
    Failure::input(format!("{} is being trained by another process; wait for it or stop it", folder.display()))
}

/// Moves the run at `path`, if any, to `replaced`. An older one that waits there was not replaced by a complete run, so it stays and
/// the incomplete one goes.
fn move_aside(path: &Path, replaced: &Path) -> std::io::Result<()> {
    match (path.exists(), replaced.exists()) {
        (false, _) => Ok(()),
        (true, false) => fs::rename(path, replaced),
        (true, true) => fs::remove_dir_all(path),
    }
}

/// Removes folders under construction beside `path` whose process is gone.
fn remove_stale(path: &Path) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let stale = entry.file_name().to_string_lossy().starts_with(&format!(".{name}.partial-"));
        // The lock is free when the process that held it is gone.
        if stale && !busy(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Only a folder that is a run (it has a config.toml) or is empty may be replaced, and only with `force`.
fn refuse_existing(path: &Path, force: bool) -> Outcome<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let shown = path.display();
    if !force {
        let unfinished = path.join(crate::checkpoint::NEWEST).is_file();
        let remedy = if unfinished { format!("continue it with --resume {shown}, ") } else { String::new() };
        return Err(Failure::input(format!(
            "{shown} exists already; {remedy}give another --out, or --force to replace it"
        )));
    }
    let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if empty || path.join("config.toml").is_file() {
        // Not under the feet of a process that trains there.
        return if busy(path) { Err(is_busy(path)) } else { Ok(()) };
    }
    Err(Failure::input(format!("{shown} is not a run folder (it has no config.toml), so --force will not replace it")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &Path, force: bool, text: &str) -> Outcome<()> {
        RunFolder::create(path, force, text)?.finish(&["leftover"])
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Proves that a run is replaced only with force and only by a complete one, that nothing is lost when the new one stops before or
    /// after it is kept, or its process dies between the two renames, and that nothing else is left beside it.
    #[test]
    fn nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (runs, path) = (folder.path().join("runs"), folder.path().join("runs/a"));
        let text = |path: &Path| fs::read_to_string(path.join("config.toml")).unwrap();
        run(&path, false, "first").unwrap();
        assert!(matches!(run(&path, false, "second"), Err(Failure::Input(_))));
        assert_eq!(text(&path), "first");
        // nothing was learnt: the old one comes back
        drop(RunFolder::create(&path, true, "third").unwrap());
        assert_eq!((text(&path).as_str(), names(&runs)), ("first", vec!["a".to_string()]));
        // something was learnt, then it stopped; the first one waits until a complete one replaces it
        for _ in 0..2 {
            let mut kept = RunFolder::create(&path, true, "fourth").unwrap();
            kept.keep();
            drop(kept);
            assert_eq!((text(&path), text(&runs.join(".a.old"))), ("fourth".into(), "first".into()));
        }
        let mut again = RunFolder::open(&path).unwrap();
        fs::write(again.file("leftover"), "").unwrap();
        again.finish(&["leftover", "missing"]).unwrap();
        drop(again);
        assert_eq!((text(&path).as_str(), names(&runs)), ("fourth", vec!["a".to_string()]));
        assert_eq!(names(&path), ["config.toml"]);
        // killed between the two renames
        fs::rename(&path, runs.join(".a.old")).unwrap();
        assert!(run(&path, false, "fifth").is_err());
        assert_eq!((text(&path).as_str(), names(&runs)), ("fourth", vec!["a".to_string()]));
    }

    /// Proves that a folder has one process at a time, and that what killed processes left beside and inside it goes.
    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for stale in [".a.partial-1", "a.partial-1", ".b.partial-1"] {
            fs::create_dir(folder.path().join(stale)).unwrap();
        }
        let mut first = RunFolder::create(&path, false, "").unwrap();
        first.keep();
        assert!(!folder.path().join(".a.partial-1").exists() && folder.path().join("a.partial-1").exists());
        for answer in [RunFolder::open(&path), RunFolder::create(&path, true, "")] {
            assert!(answer.map(|_| ()).unwrap_err().to_string().contains("another process"));
        }
        fs::write(first.file(".x.tmp-12"), "torn").unwrap();
        fs::write(first.file(".x.tmp-mine"), "notes").unwrap();
        drop(first);
        let again = RunFolder::open(&path).unwrap();
        assert!(!again.file(".x.tmp-12").exists() && again.file(".x.tmp-mine").exists());
    }

    /// Proves that `--force` does not remove a folder that is no run.
    #[test]
    fn force_spares_other_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
        let answer = RunFolder::create(folder.path(), true, "").map(|_| ()).unwrap_err().to_string();
        assert!(answer.contains("not a run folder"), "{answer}");
        assert_eq!(names(folder.path()), ["thesis.tex"]);
    }
}
