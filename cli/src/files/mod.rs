//! Files: written whole or not at all, read with bounded memory and without trust.

pub mod arviz;
pub mod atomic;
pub mod csv;
pub mod npy;
pub mod npz;
pub mod safetensors;
mod safetensors_header;
pub mod samples;

use crate::failure::{Failure, Outcome};
use std::fs::File;
use std::io::Read;
use std::path::Path;

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

/// The whole text of a file of at most `most` bytes, whatever its announced length is (a device has none).
pub fn read_text(path: &Path, most: u64) -> Outcome<String> {
    let fail = |e: std::io::Error| Failure::unreadable(path, &e);
    let mut bytes = Vec::new();
    File::open(path).map_err(fail)?.take(most + 1).read_to_end(&mut bytes).map_err(fail)?;
    let shown = path.display();
    if bytes.len() as u64 > most {
        return Err(Failure::input(format!("{shown} has more than {most} bytes, the most that are read")));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Failure::input(format!("{shown}: byte {at} is not text; this must be a file in UTF-8"))
    })
}
