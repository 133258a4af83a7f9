//! Fingerprints of files: what a run was made from, and whether a file is still that.
//!
//! A configuration that names a file under a key holds its fingerprint under `KEY_checksum`, in its own table. The
//! fingerprint is FNV-1a with 64 bits: it finds every change of a byte and misses another file by chance once in 2⁶⁴,
//! but it hides nothing from somebody who wants to forge one.

use crate::failure::{Failure, Outcome};
use crate::files::{FNV_START, fnv1a_from};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The end of the key of a fingerprint.
const ENDING: &str = "_checksum";

/// In the digits that files have.
pub fn text(sum: u64) -> String {
    format!("{sum:016x}")
}

/// That of a regular file, whose bytes are read in parts; a device would never end.
pub fn of_file(path: &Path) -> Outcome<String> {
    let fail = |e: std::io::Error| Failure::unreadable(path, &e);
    if !std::fs::metadata(path).map_err(fail)?.is_file() {
        return Err(Failure::input(format!("{} is not a regular file; copy it to one", path.display())));
    }
    let mut file = File::open(path).map_err(fail)?;
    let (mut sum, mut part) = (FNV_START, vec![0; 1 << 16]);
    loop {
        match file.read(&mut part).map_err(fail)? {
            0 => return Ok(text(sum)),
            n => sum = fnv1a_from(sum, &part[..n]),
        }
    }
}

/// What is wrong where a file that is named under `key` has the fingerprint `found` and the configuration expects another.
pub fn difference(key: &str, path: &Path, expected: Option<&str>, found: &str) -> Option<String> {
    let expected = expected.filter(|expected| *expected != found)?;
    let shown = path.display();
    Some(format!("{key}: {shown} has changed since the run ({key}{ENDING} {found}, not {expected})"))
}

/// What to do about it.
pub const REMEDY: &str = "restore it, or start a new run";

/// A sentence for each file that a run's configuration names, at the top or in its target, that is there and is not the
/// one that the run had.
pub fn changed(config: &toml::Table) -> Vec<String> {
    let target = config.get("target").and_then(toml::Value::as_table);
    // one file, or a list of files beside a list of fingerprints
    let texts = |value: &toml::Value| match value {
        toml::Value::Array(all) => all.iter().filter_map(toml::Value::as_str).map(str::to_owned).collect(),
        value => value.as_str().map(str::to_owned).into_iter().collect::<Vec<_>>(),
    };
    let one = |table: &toml::Table, (key, expected): (&String, &toml::Value)| {
        let key = key.strip_suffix(ENDING)?;
        let paths = texts(table.get(key)?).into_iter().map(PathBuf::from);
        paths
            .zip(texts(expected))
            .find_map(|(path, expected)| difference(key, &path, Some(&expected), &of_file(&path).ok()?))
    };
    std::iter::once(config).chain(target).flat_map(|table| table.iter().filter_map(move |e| one(table, e))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the fingerprints of the author's table (<http://www.isthe.com/chongo/tech/comp/fnv/>), also of a file
    /// that is read in parts, and that no device is read.
    #[test]
    fn published_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for (bytes, sum) in
            [(&b""[..], "cbf29ce484222325"), (b"a", "af63dc4c8601ec8c"), (b"foobar", "85944171f73967e8")]
        {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(of_file(&path).unwrap(), sum);
        }
        let long: Vec<u8> = (0..200_000u32).map(|k| (k % 251) as u8).collect();
        std::fs::write(&path, &long).unwrap();
        assert_eq!(of_file(&path).unwrap(), text(crate::files::fnv1a(&long)));
        assert!(of_file(Path::new("/dev/zero")).is_err());
    }
}
