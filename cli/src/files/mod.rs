//! Files: written whole or not at all, read with bounded memory and without trust.

pub mod arviz;
pub mod atomic;
pub mod csv;
mod csv_layout;
pub mod json;
pub mod npy;
pub mod npz;
pub mod safetensors;
mod safetensors_header;
pub mod samples;
pub mod weights;

use crate::failure::{Failure, Outcome};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest target's file that is read, and longest configuration, which may hold a whole target.
pub const MAX_TARGET: u64 = 64 << 20;

/// State of [`fnv1a_from`] before the first byte.
pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits. Each step is a bijection of the state, so a single changed byte always changes the sum.
/// Source: <http://www.isthe.com/chongo/tech/comp/fnv/>.
pub(crate) fn fnv1a_from(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV-1a of a whole file's bytes.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    fnv1a_from(FNV_START, bytes)
}

/// Opens a file to be read. A named pipe is refused, since perhaps nobody ever writes to it; that of a shell's `<(...)` is read.
pub fn open(path: &Path) -> Outcome<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let is_pipe = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
        if is_pipe && !(path.starts_with("/dev") || path.starts_with("/proc")) {
            let shown = path.display();
            return Err(Failure::input(format!("{shown} is a named pipe; copy what it gives to a file first")));
        }
    }
    File::open(path).map_err(|e| Failure::unreadable(path, &e))
}

/// All bytes of a file of at most `most`, whatever its announced length is: a device has none, a sparse file more than
/// there is room for.
pub fn read_bytes(path: &Path, most: u64) -> Outcome<Vec<u8>> {
    let fail = |e: std::io::Error| Failure::unreadable(path, &e);
    let file = open(path)?;
    let length = file.metadata().map_err(fail)?.len();
    let mut bytes = Vec::new();
    if length <= most {
        file.take(most + 1).read_to_end(&mut bytes).map_err(fail)?;
    }
    if length.max(bytes.len() as u64) > most {
        let shown = path.display();
        return Err(Failure::input(format!("{shown} has more than {most} bytes, the most that are read")));
    }
    Ok(bytes)
}

/// The whole text of a file of at most `most` bytes, without the mark with which some programs begin a file in UTF-8.
pub fn read_text(path: &Path, most: u64) -> Outcome<String> {
    text_of(read_bytes(path, most)?, path)
}

/// The bytes of `path` as a text, without that mark.
pub(crate) fn text_of(bytes: Vec<u8>, path: &Path) -> Outcome<String> {
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::input(format!("{}: byte {at} is not text; this must be a file in UTF-8", path.display()))
    })?;
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Ok(rest.to_owned()),
        None => Ok(text),
    }
}
