//! Run folders: made whole in one rename, locked while a process trains in them, and kept from the first checkpoint on.
//!
//! A name is claimed by renaming a folder under construction to it, which the system does for one process only: it
//! refuses where a folder with something in it stands. What `--force` replaces is moved to a random name first, which
//! the new folder remembers in its file `.replaces`: it goes when the new run is complete and comes back where nothing
//! was learnt. It may itself have replaced one; nothing of the chain goes before that.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::{self, TRIES, hold, parent, sibling, sibling_of, siblings, sync_folder, write_file};
use crate::files::{MAX_TARGET, read_text};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `runs/TARGET-DIVERGENCE-seedS`; of a formula, what can stand in a name.
pub fn default_path(target: &str, divergence: &str, seed: u64) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-.:".contains(c) { c } else { ' ' };
    let words: String = divergence.chars().map(plain).collect();
    let mut words = words.split_whitespace().collect::<Vec<_>>().join("-");
    words.truncate(40);
    Path::new("runs").join(format!("{}-{words}-seed{seed}", crate::target::short_name(target)))
}

/// The file whose lock says that a process trains here. The system lets the lock go when the process ends, however it ends.
const LOCK: &str = ".lock";

/// The file that holds the name of the folder that this one replaces.
const REPLACES: &str = ".replaces";

/// What a run, a comparison, or a command without `--output` on a run, writes into its folder.
const OWN: [&str; 14] = [
    "comparison.json",
    "config.toml",
    "metrics.jsonl",
    "model.safetensors",
    "pictures.safetensors",
    "report.html",
    "resampled.npy",
    "samples.npy",
    "summary.json",
    "samples.npz",
    "samples.csv",
    "samples.arviz.json",
    LOCK,
    REPLACES,
];

/// A run folder that this process trains in.
pub struct RunFolder {
    /// Absolute: a library of a target may change the working folder.
    path: PathBuf,
    /// As it was given.
    shown: PathBuf,
    /// Whether the folder goes when this value goes: it was made here and nothing has been learnt yet.
    empty: bool,
    /// Whether the folder around it was made here too.
    new_parent: bool,
    /// Held for as long as this value lives.
    _lock: File,
}

/// What became of a folder under construction.
enum Made {
    Folder(RunFolder),
    /// Another process took it for a left-over.
    Lost,
}

impl RunFolder {
    /// Makes the folder `path` with this config.toml in it. An existing one is refused without `force`; with it, it is moved aside
    /// until [`RunFolder::finish`].
    pub fn create(path: &Path, force: bool, config: &str) -> Outcome<Self> {
        // A path such as `runs/..` has no name of its own that could be renamed.
        if path.file_name().is_none() {
            let place = path.display();
            return Err(Failure::input(format!("{place} is not a name for a new folder; choose another --out")));
        }
        clear(path);
        refuse_existing(path, force)?;
        let fail = |e: io::Error| Failure::io("create", path, &e);
        let new_parent = !parent(path).exists();
        fs::create_dir_all(parent(path)).map_err(fail)?;
        for _ in 0..TRIES {
            let building = sibling(path, "partial");
            match fs::create_dir(&building) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                made => made.map_err(fail)?,
            }
            match Self::make(&building, path, force, config) {
                Ok(Made::Folder(mut made)) => {
                    made.new_parent = new_parent;
                    return Ok(made);
                }
                Ok(Made::Lost) => {}
                Err(failure) => {
                    discard(&building, path);
                    return Err(failure);
                }
            }
        }
        Err(fail(io::Error::other("no temporary name beside it is free")))
    }

    /// Fills the folder `building` and gives it its name.
    fn make(building: &Path, path: &Path, force: bool, config: &str) -> Outcome<Made> {
        let fail = |e: io::Error| Failure::io("create", path, &e);
        let lock = match take_lock(building) {
            Ok(Some(lock)) => lock,
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail(e)),
            _ => return Ok(Made::Lost),
        };
        write_file(&building.join("config.toml"), config.as_bytes())?;
        if !hold(&lock, &building.join(LOCK)) {
            return Ok(Made::Lost);
        }
        // between the two renames nobody else takes the name
        let _names = hold_names(path);
        // the lock of what is replaced is held until it has moved: nobody trains there, and nobody else moves it
        let mut old = None;
        if force && path.join("config.toml").is_file() {
            let held = take_lock(path).map_err(fail)?.ok_or_else(|| is_busy(path))?;
            let aside = sibling(path, "replaced");
            let name = aside.file_name().unwrap_or_default().to_string_lossy().into_owned();
            write_file(&building.join(REPLACES), name.as_bytes())?;
            fs::rename(path, &aside).map_err(fail)?;
            old = Some((aside, held));
        }
        if let Err(e) = fs::rename(building, path) {
            if let Some((aside, _)) = &old {
                let _ = fs::rename(aside, path);
            }
            return Err(if path.symlink_metadata().is_ok() { exists_already(path) } else { fail(e) });
        }
        sync_folder(parent(path)).map_err(fail)?;
        Ok(Made::Folder(Self {
            path: absolute(path),
            shown: path.to_owned(),
            empty: true,
            new_parent: false,
            _lock: lock,
        }))
    }

    /// Opens the folder of a run that stopped, to go on with it; clears what a killed process left half-written.
    pub fn open(path: &Path) -> Outcome<Self> {
        let place = path.display();
        if path.file_name().is_none() {
            return Err(Failure::input(format!("{place} does not end in a name; give the run folder by its name")));
        }
        clear(path);
        if !path.join("config.toml").is_file() {
            return Err(Failure::input(format!("{place} is not a run folder (it has no config.toml)")));
        }
        let lock = take_lock(path).map_err(|e| Failure::io("write", &path.join(LOCK), &e))?;
        let lock = lock.ok_or_else(|| is_busy(path))?;
        for entry in fs::read_dir(path).map_err(|e| Failure::unreadable(path, &e))?.flatten() {
            if sibling_of(&entry.file_name().to_string_lossy(), "tmp").is_some() {
                atomic::remove_left_over(&entry.path());
            }
        }
        Ok(Self { path: absolute(path), shown: path.to_owned(), empty: false, new_parent: false, _lock: lock })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder as the user named it, for messages.
    pub fn shown(&self) -> &Path {
        &self.shown
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
        if !std::mem::take(&mut self.empty) {
            return;
        }
        // by the name of a folder under construction: where this process dies now, the next one ends the work
        let aside = sibling(&self.path, "partial");
        if fs::rename(&self.path, &aside).is_ok() {
            discard(&aside, &self.path);
            if self.new_parent {
                // kept where another run is in it
                let _ = fs::remove_dir(parent(&self.path));
            }
        }
    }

    /// The run is complete: the files named in `leftovers`, the replaced run and the lock's file go.
    pub fn finish(&mut self, leftovers: &[&str]) -> Outcome<()> {
        self.keep();
        let remove = |name: &str| match fs::remove_file(self.file(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Failure::io("remove", &self.file(name), &e)),
            _ => Ok(()),
        };
        leftovers.iter().try_for_each(|name| remove(name))?;
        // the oldest first, so that a process that dies here leaves a chain without gaps
        let mut chain = vec![self.path.clone()];
        while let Some(next) = replaced_by(&chain[chain.len() - 1], &self.path).filter(|next| !chain.contains(next)) {
            chain.push(next);
        }
        for old in chain[1..].iter().rev() {
            // somebody may have gone on with it under that name
            if let Some(_held) = patiently(|| take_lock(old)) {
                fs::remove_dir_all(old).map_err(|e| Failure::io("remove the old run, now", old, &e))?;
            }
        }
        remove(REPLACES)?;
        remove(LOCK)?;
        sync_folder(&self.path).map_err(|e| Failure::io("write", &self.path, &e))
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        self.abandon();
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Takes the lock of a folder; None where another process has it.
fn take_lock(folder: &Path) -> io::Result<Option<File>> {
    let path = folder.join(LOCK);
    for _ in 0..TRIES {
        if path.symlink_metadata().is_ok_and(|m| !m.is_file()) {
            return Err(io::Error::other("the lock is no file"));
        }
        let file = File::options().write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => return Ok(None),
            // who held it may have removed it, or moved the folder away, before this process came to hold it
            _ if hold(&file, &path) => return Ok(Some(file)),
            _ => {}
        }
    }
    Ok(None)
}

/// The lock under which folders beside `path` get their names, where the file system has one for folders.
fn hold_names(path: &Path) -> Option<File> {
    let folder = File::open(parent(path)).ok()?;
    patiently(|| match folder.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(e)) => Err(e),
        Ok(()) => folder.try_clone().map(Some),
    })
}

/// A lock, for which it waits for up to a second: others hold it for a moment only.
fn patiently(lock: impl Fn() -> io::Result<Option<File>>) -> Option<File> {
    for _ in 0..200 {
        match lock() {
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            other => return other.ok().flatten(),
        }
    }
    None
}

fn is_busy(folder: &Path) -> Failure {
    Failure::input(format!("{} is being trained by another process; wait for it or stop it", folder.display()))
}

/// The folder beside `path` that `folder` says it replaces, if it is there and a run.
fn replaced_by(folder: &Path, path: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(folder.join(REPLACES)).ok()?;
    let own = path.file_name()?.to_string_lossy();
    let place = parent(path).join(&text);
    (sibling_of(&text, "replaced") == Some(&*own) && place.join("config.toml").is_file()).then_some(place)
}

/// Gives the run that the unfinished folder `building` replaced its name back, and removes the folder.
fn discard(building: &Path, path: &Path) {
    let _names = hold_names(path);
    if let Some(old) = replaced_by(building, path)
        && path.symlink_metadata().is_err()
        && fs::rename(&old, path).is_ok()
    {
        let _ = fs::remove_file(path.join(LOCK));
        let _ = sync_folder(parent(path));
    }
    // where that could not be done, it still says where the run is
    if replaced_by(building, path).is_none() {
        let _ = fs::remove_dir_all(building);
    }
}

/// Ends what processes began that are gone: removes folders under construction beside `path`, and moves back what they
/// had moved aside.
fn clear(path: &Path) {
    for building in siblings(path, "partial") {
        if building.symlink_metadata().is_ok_and(|m| m.is_dir())
            && let Ok(Some(_held)) = take_lock(&building)
        {
            discard(&building, path);
        }
    }
}

fn exists_already(path: &Path) -> Failure {
    let shown = path.display();
    let unfinished = path.join(crate::checkpoint::NEWEST).is_file();
    let remedy = if unfinished { format!("continue it with --resume {shown}, ") } else { String::new() };
    Failure::input(format!("{shown} exists already; {remedy}give another --out, or --force to replace it"))
}

/// Only a folder that is a run's or is empty may be replaced, and only with `force`.
fn refuse_existing(path: &Path, force: bool) -> Outcome<()> {
    // another process may replace it between two looks: what is no run stays none
    let mut why = String::new();
    for _ in 0..TRIES {
        match path.symlink_metadata() {
            Err(_) => return Ok(()),
            Ok(_) if !force => return Err(exists_already(path)),
            Ok(found) => match foreign(path, &found) {
                None => return Ok(()),
                Some(found) => why = found,
            },
        }
    }
    Err(Failure::input(format!("{} {why}, so --force will not replace it; choose another --out", path.display())))
}

/// Why a folder is not a run's alone; None where it is, or is empty.
fn foreign(path: &Path, found: &fs::Metadata) -> Option<String> {
    if found.is_symlink() {
        return Some("is a link".into());
    }
    if !found.is_dir() {
        return Some("is a file, not a run folder".into());
    }
    let Ok(entries) = fs::read_dir(path) else { return Some("cannot be read".into()) };
    let mut names: Vec<String> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    if names.is_empty() {
        return None;
    }
    if !names.iter().any(|name| name == "config.toml") {
        return Some("is not a run folder (it has no config.toml)".into());
    }
    let own = |table: toml::Table| table.is_empty() || table.contains_key("method") || table.contains_key("methods");
    let text = read_text(&path.join("config.toml"), MAX_TARGET).unwrap_or_default();
    // one that cannot be read is a run's that was damaged, perhaps
    if text.parse().is_ok_and(|table| !own(table)) {
        return Some("has a config.toml that is not a run's (it names no method)".into());
    }
    let is_own = |name: &&String| {
        let name = name.as_str();
        OWN.contains(&name) || crate::checkpoint::FILES.contains(&name) || sibling_of(name, "tmp").is_some()
    };
    let other = names.iter().find(|name| !is_own(name))?;
    Some(format!("holds '{}', which no run writes", other))
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

    /// Checks that a run is replaced only with force and only by a complete one, that nothing is lost when the new one
    /// stops before or after it is kept, also where that one is replaced in turn, or its process dies between the two
    /// renames, and that nothing else is left beside it.
    #[test]
    fn nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (runs, path) = (folder.path().join("runs"), folder.path().join("runs/a"));
        let text = |path: &Path| fs::read_to_string(path.join("config.toml")).unwrap();
        // what waits for the end of the run in `path`, the newest first
        let waiting = || {
            let mut all: Vec<String> = siblings(&path, "replaced").iter().map(|path| text(path)).collect();
            all.sort();
            all.join(" ")
        };
        run(&path, false, "first").unwrap();
        // a folder of the user's, whatever it is called
        fs::create_dir(runs.join(".a.old")).unwrap();
        fs::write(runs.join(".a.old/config.toml"), "theirs").unwrap();
        assert!(matches!(run(&path, false, "second"), Err(Failure::Input(_))));
        assert_eq!(text(&path), "first");
        // nothing was learnt: the old one comes back
        drop(RunFolder::create(&path, true, "third").unwrap());
        assert_eq!((text(&path).as_str(), names(&runs).len(), names(&path)), ("first", 2, vec!["config.toml".into()]));
        // something was learnt, then it stopped; the first one waits until a complete one replaces it
        for (config, before) in [("fourth", "first"), ("fifth", "first fourth")] {
            let mut kept = RunFolder::create(&path, true, config).unwrap();
            kept.keep();
            drop(kept);
            assert_eq!((text(&path).as_str(), waiting().as_str()), (config, before));
        }
        // nothing was learnt: the fifth comes back, and what it replaces still waits
        drop(RunFolder::create(&path, true, "sixth").unwrap());
        assert_eq!((text(&path).as_str(), waiting().as_str()), ("fifth", "first fourth"));
        let mut again = RunFolder::open(&path).unwrap();
        fs::write(again.file("leftover"), "").unwrap();
        again.finish(&["leftover", "missing"]).unwrap();
        drop(again);
        assert_eq!((text(&path).as_str(), waiting().as_str(), names(&runs).len()), ("fifth", "", 2));
        assert_eq!(names(&path), ["config.toml"]);
        // killed between the two renames: whichever command comes next puts the old one back
        for next in [|path: &Path| run(path, false, "seventh"), |path: &Path| RunFolder::open(path).map(|_| ())] {
            let mut dying = RunFolder::create(&path, true, "dying").unwrap();
            dying.keep();
            drop(dying);
            fs::rename(&path, runs.join(".a.partial-0123456789abcdef")).unwrap();
            let _ = next(&path);
            assert_eq!((text(&path).as_str(), waiting().as_str(), names(&runs).len()), ("fifth", "", 2));
        }
        assert_eq!(text(&runs.join(".a.old")), "theirs");
    }

    /// Checks that a folder that says it replaces what is not its own removes nothing.
    #[test]
    fn hostile_chains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let at = |name: &str| folder.path().join(name);
        for name in ["precious", ".b.replaced-0123456789abcdef"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("config.toml"), "").unwrap();
        }
        run(&path, false, "").unwrap();
        for text in [
            "precious",
            "../precious",
            ".b.replaced-0123456789abcdef",
            "a",
            ".",
            "",
            ".a.replaced-0123456789abcdef/../precious",
        ] {
            let mut open = RunFolder::open(&path).unwrap();
            fs::write(open.file(REPLACES), text).unwrap();
            open.finish(&[]).unwrap();
            assert_eq!(names(folder.path()).len(), 3, "{text}");
        }
    }

    /// Checks that of threads that claim one name together one gets it, whole, and the others are refused; with force
    /// each in its turn, and what is left is the last one, alone.
    #[test]
    fn one_claims_a_name() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = folder.path().join(format!("run{round}"));
            let claim = |k: usize, force: bool| {
                let mut made = RunFolder::create(&path, force, &k.to_string())?;
                assert_eq!(fs::read_to_string(path.join("config.toml")).unwrap(), k.to_string());
                made.finish(&[])
            };
            for force in [false, true] {
                let won: Vec<bool> = std::thread::scope(|scope| {
                    let all: Vec<_> = (0..4).map(|k| scope.spawn(move || claim(k, force))).collect();
                    all.into_iter()
                        .map(|thread| match thread.join().unwrap() {
                            Ok(()) => true,
                            Err(Failure::Input(why)) => {
                                assert!(why.contains("exists already") || why.contains("another process"), "{why}");
                                false
                            }
                            Err(e) => panic!("{e}"),
                        })
                        .collect()
                });
                let winners = won.iter().filter(|w| **w).count();
                assert!(if force { winners >= 1 } else { winners == 1 }, "round {round}: {won:?}");
                assert_eq!(names(&path), ["config.toml"], "round {round}");
            }
            // one that was taken for a left-over while it was made leaves one: the next command clears it away
            clear(&path);
            assert_eq!(names(folder.path()).len(), round + 1, "{:?}", names(folder.path()));
        }
    }

    /// Checks that a folder has one process at a time, and that what killed processes left beside and inside it goes.
    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let digits = "0123456789abcdef";
        for stale in [".a.partial-", "a.partial-", ".b.partial-"].map(|name| format!("{name}{digits}")) {
            fs::create_dir(folder.path().join(stale)).unwrap();
        }
        let mut first = RunFolder::create(&path, false, "").unwrap();
        first.keep();
        assert_eq!(names(folder.path()).len(), 3);
        assert!(!folder.path().join(format!(".a.partial-{digits}")).exists());
        for answer in [RunFolder::open(&path), RunFolder::create(&path, true, "")] {
            assert!(answer.map(|_| ()).unwrap_err().to_string().contains("another process"));
        }
        let torn = format!(".x.tmp-{digits}");
        fs::write(first.file(&torn), "torn").unwrap();
        fs::write(first.file(".x.tmp-mine"), "notes").unwrap();
        drop(first);
        let again = RunFolder::open(&path).unwrap();
        assert!(!again.file(&torn).exists() && again.file(".x.tmp-mine").exists());
    }

    /// Checks that `--force` does not remove a folder that is no run.
    #[test]
    fn force_spares_other_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
        let answer = RunFolder::create(folder.path(), true, "").map(|_| ()).unwrap_err().to_string();
        assert!(answer.contains("not a run folder"), "{answer}");
        assert_eq!(names(folder.path()), ["thesis.tex"]);
    }
}
