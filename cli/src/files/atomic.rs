//! Files that appear whole or not at all: write to a temporary sibling, fsync, rename.

use crate::failure::{Failure, Outcome};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file under construction. Dropped without [`AtomicFile::commit`], it leaves nothing behind.
pub struct AtomicFile {
    target: PathBuf,
    temporary: PathBuf,
    /// `None` once committed.
    writer: Option<BufWriter<File>>,
}

/// `.NAME.tag-PID` beside `path`: same file system, so that a rename is atomic.
pub(crate) fn sibling(path: &Path, tag: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!(".{name}.{tag}-{}", std::process::id()))
}

/// Whether `name` is one that [`AtomicFile`] gives to a file under construction.
pub(crate) fn is_temporary(name: &str) -> bool {
    let digits = |tail: &str| !tail.is_empty() && tail.bytes().all(|b| b.is_ascii_digit());
    name.starts_with('.') && name.rsplit_once(".tmp-").is_some_and(|(_, tail)| digits(tail))
}

/// Makes the names inside `folder` durable. Only Unix can sync a folder; elsewhere the rename is left to the system.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

impl AtomicFile {
    /// Starts a file that will be `path`.
    pub fn create(path: &Path) -> Outcome<Self> {
        if path.is_dir() {
            return Err(Failure::input(format!("{} is a folder; give the name of a file", path.display())));
        }
        let temporary = sibling(path, "tmp");
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary);
        let file = file.map_err(|e| Failure::io("write", path, &e))?;
        Ok(Self { target: path.to_owned(), temporary, writer: Some(BufWriter::with_capacity(1 << 20, file)) })
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        let writer = self.writer.as_mut().expect("the file is not committed yet");
        writer.write_all(bytes).map_err(|e| Failure::io("write", &self.target, &e))
    }

    /// Makes the file durable and gives it its name, replacing what was there.
    pub fn commit(mut self) -> Outcome<()> {
        let writer = self.writer.take().expect("the file is not committed yet");
        let finish = || -> io::Result<()> {
            writer.into_inner().map_err(|e| e.into_error())?.sync_all()?;
            std::fs::rename(&self.temporary, &self.target)?;
            sync_folder(self.target.parent().unwrap_or(Path::new(".")))
        };
        finish().map_err(|e| {
            let _ = std::fs::remove_file(&self.temporary);
            Failure::io("write", &self.target, &e)
        })
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(writer.into_parts());
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Writes a whole file at once, atomically.
pub fn write_file(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let mut file = AtomicFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}
