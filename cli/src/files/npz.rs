//! NumPy's `.npz` files: `.npy` arrays in a ZIP archive, stored without compression.
//!
//! Format: PKWARE APPNOTE 6.3.10, sections 4.3.7 (local header), 4.3.9 (data descriptor), 4.3.12 (central directory), 4.3.16 (end). Both
//! directions stream; archives of 4 GiB and more would need ZIP64 and are refused. The reader takes arrays that NumPy's `savez` stored.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::npy::{Dtype, NpyReader, preamble};
use crate::memory::size;
use pushforward::linalg::Matrix;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
/// Bit 3: size and checksum follow the data.
const STREAMED: u16 = 8;
/// Longest central directory that is read: some hundred arrays.
const MAX_DIRECTORY: u64 = 1 << 16;

/// Most bytes before the directory.
const MAX_ARCHIVE: u64 = u32::MAX as u64 - MAX_DIRECTORY;

/// CRC-32 of ISO 3309, continued from `crc` (0 at the start), eight bits at a time by table.
fn crc32(crc: u32, bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut n = 0;
        while n < 256 {
            let (mut c, mut k) = (n as u32, 0);
            while k < 8 {
                c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
                k += 1;
            }
            table[n] = c;
            n += 1;
        }
        table
    };
    !bytes.iter().fold(!crc, |c, b| TABLE[((c ^ u32::from(*b)) & 255) as usize] ^ (c >> 8))
}

/// Writes arrays one after the other, each block by block; the file appears at [`NpzWriter::finish`], whole.
pub struct NpzWriter {
    file: AtomicFile,
    path: PathBuf,
    /// Bytes so far.
    at: u64,
    /// Name, checksum, size and place of each array.
    entries: Vec<(String, u32, u64, u64)>,
    left: u64,
}

impl NpzWriter {
    /// Starts an archive.
    pub fn create(path: &Path) -> Outcome<Self> {
        Ok(Self::over(AtomicFile::create(path)?, path))
    }

    /// The same over a file that was started; `path` is for messages.
    pub fn over(file: AtomicFile, path: &Path) -> Self {
        Self { file, path: path.to_owned(), at: 0, entries: Vec::new(), left: 0 }
    }

    /// Refuses an array of `bytes` that no archive holds.
    pub fn can_hold(bytes: u128, path: &Path) -> Outcome<()> {
        if bytes <= u128::from(MAX_ARCHIVE) {
            return Ok(());
        }
        Err(Failure::input(format!(
            "{} would have {}, more than the 4 GiB that the .npz format holds here; write .npy",
            path.display(),
            size(bytes)
        )))
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.at += bytes.len() as u64;
        Self::can_hold(self.at.into(), &self.path)?;
        self.file.write(bytes)
    }

    /// Begins the rows×cols array `name`; the one before must be complete.
    pub fn array(&mut self, name: &str, rows: u64, cols: usize) -> Outcome<()> {
        self.close()?;
        let name = format!("{name}.npy");
        self.entries.push((name.clone(), 0, 0, self.at));
        let mut header = LOCAL.to_le_bytes().to_vec();
        // version 2.0, streamed, stored, 1980-01-01 00:00; checksum and sizes 0 for now
        [20, STREAMED, 0, 0, 0x21].iter().for_each(|v: &u16| header.extend(v.to_le_bytes()));
        header.extend([0; 12]);
        [name.len() as u16, 0].iter().for_each(|v| header.extend(v.to_le_bytes()));
        header.extend(name.bytes());
        self.write(&header)?;
        self.left = rows;
        self.data(&preamble(rows, cols, Dtype::F64))
    }

    fn data(&mut self, bytes: &[u8]) -> Outcome<()> {
        let entry = self.entries.last_mut().expect("an array was begun");
        (entry.1, entry.2) = (crc32(entry.1, bytes), entry.2 + bytes.len() as u64);
        self.write(bytes)
    }

    /// Adds rows to the array.
    pub fn push(&mut self, block: &Matrix) -> Outcome<()> {
        assert!(block.rows() as u64 <= self.left, "block does not fit the announced shape");
        self.left -= block.rows() as u64;
        let bytes: Vec<u8> = block.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect();
        self.data(&bytes)
    }

    /// The descriptor behind the last array.
    fn close(&mut self) -> Outcome<()> {
        assert!(self.left == 0, "{} announced rows are missing", self.left);
        let Some((_, crc, size, _)) = self.entries.last() else { return Ok(()) };
        let numbers = [DESCRIPTOR, *crc, *size as u32, *size as u32];
        let descriptor: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.write(&descriptor)
    }

    /// Writes the directory, makes the file durable and visible.
    pub fn finish(mut self) -> Outcome<()> {
        self.close()?;
        let start = self.at;
        for (name, crc, size, place) in self.entries.clone() {
            let mut header = CENTRAL.to_le_bytes().to_vec();
            [20u16, 20, STREAMED, 0, 0, 0x21].iter().for_each(|v| header.extend(v.to_le_bytes()));
            [crc, size as u32, size as u32].iter().for_each(|v| header.extend(v.to_le_bytes()));
            [name.len() as u16, 0, 0, 0, 0].iter().for_each(|v| header.extend(v.to_le_bytes()));
            [0, place as u32].iter().for_each(|v| header.extend(v.to_le_bytes()));
            header.extend(name.bytes());
            self.write(&header)?;
        }
        let (size, count) = ((self.at - start) as u32, self.entries.len() as u16);
        let mut end = END.to_le_bytes().to_vec();
        [0, 0, count, count].iter().for_each(|v| end.extend(v.to_le_bytes()));
        [size, start as u32].iter().for_each(|v| end.extend(v.to_le_bytes()));
        end.extend([0, 0]);
        self.write(&end)?;
        self.file.commit()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Opens the array of an archive that holds the samples: `samples`, or the only one. The checksum is verified first.
pub fn open_samples(path: &Path) -> Outcome<NpyReader> {
    let bad = |why: &str| Failure::input(format!("{}: {why}", path.display()));
    let fail = |e: std::io::Error| Failure::unreadable(path, &e);
    let mut file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    let tail = length.min(MAX_DIRECTORY);
    let mut bytes = vec![0; tail as usize];
    file.seek(SeekFrom::Start(length - tail)).map_err(fail)?;
    file.read_exact(&mut bytes).map_err(fail)?;
    let arrays =
        directory(&bytes, length).ok_or_else(|| bad("this is no whole .npz archive; save it with numpy.savez"))?;
    let names: Vec<&str> = arrays.iter().map(|a| a.name.as_str()).collect();
    let chosen = match arrays.iter().find(|a| a.name == "samples.npy") {
        Some(array) => array,
        None if arrays.len() == 1 => &arrays[0],
        None => {
            return Err(bad(&format!(
                "it holds {} arrays ({}) and none is called samples; name one so",
                names.len(),
                names.join(", ")
            )));
        }
    };
    if chosen.method != 0 {
        return Err(bad(&format!("{} is compressed; save it with numpy.savez, not savez_compressed", chosen.name)));
    }
    let mut local = [0; 30];
    file.seek(SeekFrom::Start(chosen.place)).map_err(fail)?;
    let whole = file.read_exact(&mut local).is_ok() && u32_at(&local, 0) == Some(LOCAL);
    let names = u64::from(u16_at(&local, 26).unwrap_or(0)) + u64::from(u16_at(&local, 28).unwrap_or(0));
    let start = chosen.place + 30 + names;
    if !whole || start.checked_add(chosen.size).is_none_or(|end| end > length) {
        return Err(bad(&format!("the entry {} is damaged; write the file again", chosen.name)));
    }
    file.seek(SeekFrom::Start(start)).map_err(fail)?;
    let (mut crc, mut left, mut block) = (0, chosen.size, vec![0; 1 << 16]);
    while left > 0 {
        let n = left.min(block.len() as u64) as usize;
        file.read_exact(&mut block[..n]).map_err(fail)?;
        (crc, left) = (crc32(crc, &block[..n]), left - n as u64);
    }
    if crc != chosen.crc {
        return Err(bad(&format!("the checksum of {} does not fit its bytes; write the file again", chosen.name)));
    }
    file.seek(SeekFrom::Start(start)).map_err(fail)?;
    NpyReader::of_part(file, path, chosen.size)
}

/// An entry of the central directory.
struct Entry {
    name: String,
    method: u16,
    crc: u32,
    size: u64,
    place: u64,
}

/// The entries of an archive of `length` bytes that ends with `tail`.
fn directory(tail: &[u8], length: u64) -> Option<Vec<Entry>> {
    let end = (0..=tail.len().checked_sub(22)?).rev().find(|&k| u32_at(tail, k) == Some(END))?;
    let (count, start) = (u16_at(tail, end + 10)?, u64::from(u32_at(tail, end + 16)?));
    let mut at = usize::try_from(start.checked_sub(length - tail.len() as u64)?).ok()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        if u32_at(tail, at)? != CENTRAL {
            return None;
        }
        let long = |k: usize| Some(usize::from(u16_at(tail, at + k)?));
        let name = tail.get(at + 46..at + 46 + long(28)?)?;
        entries.push(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            method: u16_at(tail, at + 10)?,
            crc: u32_at(tail, at + 16)?,
            size: u64::from(u32_at(tail, at + 24)?),
            place: u64::from(u32_at(tail, at + 42)?),
        });
        at += 46 + long(28)? + long(30)? + long(32)?;
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path) -> (PathBuf, Matrix) {
        let path = folder.join("x.npz");
        let x = Matrix::from_fn(1000, 3, |i, j| (i as f64 + 0.1) / (j as f64 + 3.0));
        let mut w = NpzWriter::create(&path).unwrap();
        w.array("log_density", 2, 1).unwrap();
        w.push(&Matrix::from_rows(&[[1.0], [2.0]])).unwrap();
        w.array("samples", 1000, 3).unwrap();
        w.push(&x.slice_rows(0..10)).unwrap();
        w.push(&x.slice_rows(10..1000)).unwrap();
        w.finish().unwrap();
        (path, x)
    }

    /// Checks the checksum by its published check value, and that samples come back with the same bits.
    #[test]
    fn round_trip() {
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0xcbf4_3926);
        let folder = tempfile::tempdir().unwrap();
        let (path, x) = written(folder.path());
        assert_eq!(open_samples(&path).unwrap().read_block(usize::MAX).unwrap().unwrap(), x);
    }

    /// Checks that every truncation, and every bit flip in samples, descriptors or directory, is an error or leaves the samples' bits as they
    /// were (a flip in a date); never a panic.
    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (path, x) = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            open_samples(&path).and_then(|mut r| r.read_block(usize::MAX)).map(Option::unwrap)
        };
        for k in (0..bytes.len()).step_by(97).chain(bytes.len() - 200..bytes.len()) {
            assert!(read(&bytes[..k]).is_err(), "cut at {k}");
        }
        for k in (0..bytes.len()).step_by(53).chain(bytes.len() - 250..bytes.len()) {
            let mut bad = bytes.clone();
            bad[k] ^= 1 << (k % 8);
            assert!(read(&bad).is_ok_and(|y| y == x) || read(&bad).is_err(), "flip at {k}");
        }
    }
}
