//! Files that appear whole or not at all: write to a temporary sibling, fsync, rename.
//!
//! Temporary names are random, made by this process alone (never opened where one is, never through a link), and locked
//! while they are written, so that what a killed process left is told from what another one writes; the next file of
//! the same name clears it.

use crate::failure::{Failure, Outcome};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often a random name is tried that is taken or was cleared away.
pub(crate) const TRIES: usize = 16;

/// Links to links that are followed to the file behind an output.
const MOST_LINKS: usize = 40;

/// Bytes that are written at a time.
const BUFFER: usize = 1 << 20;

/// Temporary names in use.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn unfinished() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file under construction, for a process that is about to end; the names that they would have had.
pub(crate) fn remove_unfinished() -> Vec<String> {
    let name = |path: &PathBuf| {
        let _ = fs::remove_file(path);
        let temporary = path.file_name()?.to_str()?;
        sibling_of(temporary, "tmp").map(String::from)
    };
    unfinished().iter().filter_map(name).collect()
}

/// A file under construction. Dropped without [`AtomicFile::commit`], it leaves nothing behind.
pub struct AtomicFile {
    target: PathBuf,
    /// None where the bytes go straight to a pipe or a device.
    temporary: Option<PathBuf>,
    /// `None` once committed.
    writer: Option<BufWriter<File>>,
}

/// `.NAME.tag-RANDOM` beside `path`, sixteen hexadecimal digits: same file system, so that a rename is atomic.
pub(crate) fn sibling(path: &Path, tag: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // the keys of the hasher come from the system's random numbers
    let random = RandomState::new().build_hasher().finish();
    path.with_file_name(format!(".{name}.{tag}-{random:016x}"))
}

/// The NAME of a sibling `.NAME.tag-RANDOM`.
pub(crate) fn sibling_of<'a>(sibling: &'a str, tag: &str) -> Option<&'a str> {
    let (name, random) = sibling.strip_prefix('.')?.rsplit_once(&format!(".{tag}-"))?;
    let is_random = random.len() == 16 && random.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_random.then_some(name)
}

/// The siblings of `path` with this tag, whosever they are.
pub(crate) fn siblings(path: &Path, tag: &str) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let entries = fs::read_dir(parent(path)).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_name().to_str().is_some_and(|n| sibling_of(n, tag) == Some(name)))
        .map(|e| e.path())
        .collect()
}

/// The folder in which `path` stands.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names inside `folder` durable. Only Unix can sync a folder; elsewhere the rename is left to the system.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Whether `path` is still the name of `file`, and no link.
#[cfg(unix)]
fn is_named(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |m: &fs::Metadata| (m.dev(), m.ino());
    matches!((file.metadata(), path.symlink_metadata()), (Ok(a), Ok(b)) if place(&a) == place(&b))
}

/// Whether `path` is a file; a system that lets no open file be removed or renamed needs no more.
#[cfg(not(unix))]
fn is_named(_: &File, path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|m| m.is_file())
}

/// Whether this process holds `file` alone, and `path` is its name. Some file systems have no locks; there `path` has
/// to do.
pub(crate) fn hold(file: &File, path: &Path) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) && is_named(file, path)
}

/// Removes a temporary file whose process is gone.
pub(crate) fn remove_left_over(path: &Path) {
    let is_file = path.symlink_metadata().is_ok_and(|m| m.is_file());
    if let Ok(file) = File::open(path)
        && is_file
        && file.try_lock().is_ok()
        && is_named(&file, path)
    {
        let _ = fs::remove_file(path);
    }
}

/// The file behind a name: where links lead, also to a file that is not there yet.
fn behind(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(next) => path = parent(&path).join(next),
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Whether a path, or a link on the way from it, is one of the system's names of an open file: /dev/stdout, /proc/self/fd/1.
fn leads_to_a_stream(path: &Path) -> bool {
    let mut place = path.to_owned();
    for _ in 0..TRIES {
        if place.starts_with("/dev") || place.starts_with("/proc") {
            return true;
        }
        match fs::read_link(&place) {
            Ok(next) => place = parent(&place).join(next),
            Err(_) => return false,
        }
    }
    false
}

impl AtomicFile {
    /// Starts a file that will be `path`, whatever has that name now.
    pub fn create(path: &Path) -> Outcome<Self> {
        if path.is_dir() {
            return Err(Failure::input(format!("{} is a folder; give the name of a file", path.display())));
        }
        siblings(path, "tmp").iter().for_each(|path| remove_left_over(path));
        let fail = |e: &io::Error| Failure::io("write", path, e);
        for _ in 0..TRIES {
            // an absolute place: a library of a target may change the working folder before the file is whole
            let temporary = sibling(&std::path::absolute(path).map_err(|e| fail(&e))?, "tmp");
            let mut registered = unfinished();
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(fail(&e)),
                Ok(file) if hold(&file, &temporary) => {
                    registered.insert(temporary.clone());
                    return Ok(Self::over(file, path, Some(temporary)));
                }
                // another process took it for a left-over
                Ok(_) => {}
            }
        }
        Err(fail(&io::Error::other("no temporary name beside it is free")))
    }

    /// Starts the file that a user names as an output: a link means the file behind it, a pipe or a device takes the
    /// bytes as they come, and a file that is replaced keeps its mode.
    pub fn output(path: &Path) -> Outcome<Self> {
        let fail = |e: &io::Error| Failure::io("write", path, e);
        let Ok(found) = fs::metadata(path) else {
            return Self::create(&behind(path).map_err(|e| fail(&e))?);
        };
        if found.is_dir() {
            return Err(Failure::input(format!("{} is a folder; give the name of a file", path.display())));
        }
        if !found.is_file() || leads_to_a_stream(path) {
            // what a shell's >> has written stays
            let stream = OpenOptions::new().append(true).open(path).map_err(|e| fail(&e))?;
            return Ok(Self::over(stream, path, None));
        }
        if found.permissions().readonly() {
            let refused = io::Error::from(io::ErrorKind::PermissionDenied);
            return Err(fail(&refused));
        }
        let this = Self::create(&fs::canonicalize(path).map_err(|e| fail(&e))?)?;
        if let Some(writer) = &this.writer {
            writer.get_ref().set_permissions(found.permissions()).map_err(|e| fail(&e))?;
        }
        Ok(this)
    }

    fn over(file: File, path: &Path, temporary: Option<PathBuf>) -> Self {
        Self { target: path.to_owned(), temporary, writer: Some(BufWriter::with_capacity(BUFFER, file)) }
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
            let file = writer.into_inner().map_err(|e| e.into_error())?;
            let Some(temporary) = &self.temporary else { return Ok(()) };
            file.sync_all()?;
            fs::rename(temporary, temporary.with_file_name(self.target.file_name().unwrap_or_default()))?;
            sync_folder(parent(temporary))
        };
        finish().map_err(|e| Failure::io("write", &self.target, &e))
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            drop(writer.into_parts());
        }
        if let Some(temporary) = &self.temporary {
            // where it was committed, there is no such file any more
            let _ = fs::remove_file(temporary);
            unfinished().remove(temporary);
        }
    }
}

/// Writes a whole file at once, atomically.
pub fn write_file(path: &Path, bytes: &[u8]) -> Outcome<()> {
    let mut file = AtomicFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Checks that what a killed process left of a file is cleared by the next one of that name, and nothing else: not
    /// what is being written, not what only looks like it, not the file behind a link.
    #[test]
    fn left_overs_go() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let others =
            [".a.tmp-12", ".a.tmp-0123456789ABCDEF", ".b.tmp-0123456789abcdef", "a.tmp-0123456789abcdef", "precious"];
        others.iter().for_each(|name| fs::write(at(name), "").unwrap());
        fs::write(at(".a.tmp-0123456789abcdef"), "torn").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at("precious"), at(".a.tmp-1123456789abcdef")).unwrap();
        let mut first = AtomicFile::create(&at("a")).unwrap();
        first.write(b"first").unwrap();
        assert!(!at(".a.tmp-0123456789abcdef").exists());
        let second = AtomicFile::create(&at("a")).unwrap();
        assert_eq!(siblings(&at("a"), "tmp").len(), 2 + usize::from(cfg!(unix)));
        drop(second);
        first.commit().unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), b"first");
        assert!(others.iter().all(|name| at(name).exists()));
        assert_eq!(names(folder.path()).len(), others.len() + 1 + usize::from(cfg!(unix)));
        assert!(unfinished().iter().all(|path| !path.starts_with(folder.path())));
    }

    /// Checks that a file that is created takes the place of a link, and an output goes to the file behind it, which
    /// may be missing; that the mode of a file stays; and that one without permission to write is refused.
    #[test]
    #[cfg(unix)]
    fn links_and_modes() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("far")).unwrap();
        fs::write(at("far/file"), "old").unwrap();
        fs::set_permissions(at("far/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("far/file", at("link")).unwrap();
        symlink("link", at("twice")).unwrap();
        symlink("far/new", at("dangling")).unwrap();
        symlink("round", at("round")).unwrap();
        let write = |name: &str, text: &str| {
            let mut file = AtomicFile::output(&at(name))?;
            file.write(text.as_bytes())?;
            file.commit()
        };
        for (name, behind) in [("twice", "far/file"), ("link", "far/file"), ("dangling", "far/new")] {
            write(name, name).unwrap();
            assert_eq!(fs::read_to_string(at(behind)).unwrap(), name);
            assert!(at(name).symlink_metadata().unwrap().is_symlink());
        }
        assert_eq!(fs::metadata(at("far/file")).unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(write("round", "").is_err() && write("far", "").is_err());
        fs::set_permissions(at("far/file"), fs::Permissions::from_mode(0o440)).unwrap();
        assert!(write("link", "x").unwrap_err().to_string().contains("denied"));
        write_file(&at("link"), b"here").unwrap();
        assert!(at("link").symlink_metadata().unwrap().is_file());
        assert_eq!(fs::read_to_string(at("far/file")).unwrap(), "link");
        assert_eq!(names(&at("far")), ["file", "new"]);
    }
}
