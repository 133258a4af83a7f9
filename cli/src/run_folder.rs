//! Run folders: built in a hidden sibling, made durable, then given their name in one rename.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::{sibling, sync_folder, write_file};
use std::fs;
use std::path::{Path, PathBuf};

/// `runs/TARGET-DIVERGENCE-seedS`
pub fn default_path(target: &str, divergence: &str, seed: u64) -> PathBuf {
    Path::new("runs").join(format!("{}-{divergence}-seed{seed}", crate::target::short_name(target)))
}

/// A run folder under construction. Dropped without [`RunFolder::commit`], it leaves nothing behind and what was there stays.
pub struct RunFolder {
    target: PathBuf,
    building: PathBuf,
    force: bool,
    committed: bool,
}

impl RunFolder {
    /// Starts the folder that will be `path`. An existing one is refused without `force`; with it, it stays until
    /// [`RunFolder::commit`] replaces it.
    pub fn create(path: &Path, force: bool) -> Outcome<Self> {
        // A path such as `runs/..` has no name of its own that could be renamed.
        let Some(_) = path.file_name() else {
            return Err(Failure::input(format!(
                "{} is not a name for a new folder; choose another --out",
                path.display()
            )));
        };
        refuse_existing(path, force)?;
        let building = sibling(path, "partial");
        fs::create_dir_all(&building).map_err(|e| Failure::io("create", path, &e))?;
        Ok(Self { target: path.to_owned(), building, force, committed: false })
    }

    /// Where to write the file `name` of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.building.join(name)
    }

    /// Writes the file `name`, durably.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Outcome<()> {
        write_file(&self.file(name), bytes)
    }

    /// Gives the folder its name. With `force` the old folder is moved aside first and removed last, so that one of the two is
    /// whole at every moment.
    pub fn commit(mut self) -> Outcome<PathBuf> {
        let fail = |e: std::io::Error| Failure::io("create", &self.target, &e);
        sync_folder(&self.building).map_err(fail)?;
        refuse_existing(&self.target, self.force)?;
        let old = sibling(&self.target, "old");
        let replaced = self.target.exists();
        if replaced {
            fs::rename(&self.target, &old).map_err(fail)?;
        }
        if let Err(e) = fs::rename(&self.building, &self.target) {
            if replaced {
                let _ = fs::rename(&old, &self.target);
            }
            return Err(fail(e));
        }
        self.committed = true;
        sync_folder(self.target.parent().unwrap_or(Path::new("."))).map_err(fail)?;
        if replaced {
            fs::remove_dir_all(&old).map_err(|e| Failure::io("remove the old run, now", &old, &e))?;
        }
        Ok(self.target.clone())
    }
}

/// Only a folder that is a run (it has a config.toml) or is empty may be replaced, and only with `force`.
fn refuse_existing(path: &Path, force: bool) -> Outcome<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    let shown = path.display();
    if !force {
        return Err(Failure::input(format!("{shown} exists already; give another --out, or --force to replace it")));
    }
    let empty = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    if empty || path.join("config.toml").is_file() {
        return Ok(());
    }
    Err(Failure::input(format!("{shown} is not a run folder (it has no config.toml), so --force will not replace it")))
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_dir_all(&self.building);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &Path, force: bool, text: &str) -> Outcome<PathBuf> {
        let folder = RunFolder::create(path, force)?;
        folder.write("config.toml", text.as_bytes())?;
        folder.commit()
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Proves that a run is replaced only with force, that a failed replacement loses nothing, and that nothing else is left beside it.
    #[test]
    fn nothing_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs/a");
        let text = || fs::read_to_string(path.join("config.toml")).unwrap();
        run(&path, false, "first").unwrap();
        assert!(matches!(run(&path, false, "second"), Err(Failure::Input(_))));
        assert_eq!(text(), "first");
        let unfinished = RunFolder::create(&path, true).unwrap();
        unfinished.write("config.toml", b"third").unwrap();
        drop(unfinished);
        assert_eq!(text(), "first");
        run(&path, true, "fourth").unwrap();
        assert_eq!(text(), "fourth");
        assert_eq!(names(&folder.path().join("runs")), ["a"]);
    }

    /// Proves that `--force` does not remove a folder that is no run.
    #[test]
    fn force_spares_other_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
        let answer = RunFolder::create(folder.path(), true).map(|_| ()).unwrap_err().to_string();
        assert!(answer.contains("not a run folder"), "{answer}");
        assert_eq!(names(folder.path()), ["thesis.tex"]);
    }
}
