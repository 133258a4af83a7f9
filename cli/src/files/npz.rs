//! NumPy's `.npz` files: `.npy` arrays in a ZIP archive, of any size (ZIP64), read stored or compressed, written stored.
//!
//! Both directions stream, so that an archive can go to a pipe. An array's checksum is verified before its numbers are
//! read, and what an archive announces is held against what its bytes can hold and against the memory that is free.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::npy::{Dtype, NpyReader, preamble};
use crate::memory;
use pushforward::linalg::Matrix;
use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Most bytes of an archive that are read before its arrays are known: the directory of some thousand arrays.
const MAX_DIRECTORY: u64 = 1 << 20;

/// Least size at which an array needs the fields of ZIP64, with the length of its header.
const LARGE: u128 = (1 << 32) - (1 << 17);

/// Bytes that a byte of deflate can stand for at most: 258 in two bits, <https://zlib.net/zlib_tech.html>.
const MOST_DEFLATED: u128 = 1_032;

/// Writes arrays one after the other, each block by block; the file appears at [`NpzWriter::finish`], whole.
pub struct NpzWriter<W: Write = Sink> {
    zip: ZipWriter<StreamWriter<W>>,
    path: PathBuf,
    failed: Rc<Cell<Option<Failure>>>,
    left: u64,
}

/// The file under an archive. It fails once and takes what follows without a word, because an archive that is dropped
/// writes its directory and complains where it cannot.
pub struct Sink {
    file: AtomicFile,
    failed: Rc<Cell<Option<Failure>>>,
    is_lost: bool,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(failure) = (!self.is_lost).then(|| self.file.write(bytes).err()).flatten() {
            self.is_lost = true;
            self.failed.set(Some(failure));
            return Err(io::Error::other("the file cannot be written"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NpzWriter {
    /// Starts an archive.
    pub fn create(path: &Path) -> Outcome<Self> {
        Ok(Self::over(AtomicFile::create(path)?, path))
    }

    /// The same over a file that was started; `path` is for messages.
    pub fn over(file: AtomicFile, path: &Path) -> Self {
        let failed = Rc::new(Cell::new(None));
        let sink = Sink { file, failed: Rc::clone(&failed), is_lost: false };
        Self { zip: ZipWriter::new_stream(sink), path: path.to_owned(), failed, left: 0 }
    }

    /// Writes the directory, makes the file durable and visible.
    pub fn finish(self) -> Outcome<()> {
        assert!(self.left == 0, "{} announced rows are missing", self.left);
        let Self { zip, path, failed, .. } = self;
        let sink = zip.finish().map_err(|e| failure(&failed, &path, e.into()))?;
        sink.into_inner().file.commit()
    }
}

/// What the file said when it failed, or what the archive says.
fn failure(failed: &Cell<Option<Failure>>, path: &Path, error: io::Error) -> Failure {
    failed.take().unwrap_or_else(|| Failure::io("write", path, &error))
}

impl<W: Write> NpzWriter<W> {
    /// Begins the rows×cols array `name`; the one before must be complete.
    pub fn array(&mut self, name: &str, rows: u64, cols: usize) -> Outcome<()> {
        assert!(self.left == 0, "{} announced rows are missing", self.left);
        let is_large = 8 * u128::from(rows) * cols as u128 >= LARGE;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default())
            .large_file(is_large);
        let begun = self.zip.start_file(format!("{name}.npy"), options).map_err(io::Error::from);
        let begun = begun.and_then(|()| self.zip.write_all(&preamble(rows, cols, Dtype::F64)));
        self.left = rows;
        begun.map_err(|e| failure(&self.failed, &self.path, e))
    }

    /// Adds rows to the array.
    pub fn push(&mut self, block: &Matrix) -> Outcome<()> {
        assert!(block.rows() as u64 <= self.left, "block does not fit the announced shape");
        self.left -= block.rows() as u64;
        let bytes: Vec<u8> = block.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect();
        self.zip.write_all(&bytes).map_err(|e| failure(&self.failed, &self.path, e))
    }
}

/// A file of which only so many bytes can be read.
struct Metered<'a, R> {
    file: R,
    left: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(bytes)?;
        let left =
            self.left.get().checked_sub(n as u64).ok_or_else(|| io::Error::other("the directory is too long"))?;
        self.left.set(left);
        Ok(n)
    }
}

impl<R: Seek> Seek for Metered<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The array of an archive that holds the samples: `samples`, or the only one.
pub fn read(path: &Path) -> Outcome<Option<Matrix>> {
    let file = crate::files::open(path)?;
    let found = file.metadata().map_err(|e| Failure::unreadable(path, &e))?;
    if !found.is_file() {
        return Err(Failure::input(format!("{} is not a regular file; give a .npz file", path.display())));
    }
    memory::enough(found.len().into(), &path.display().to_string(), "give fewer samples")?;
    read_from(file, path)
}

fn read_from(file: impl Read + Seek, path: &Path) -> Outcome<Option<Matrix>> {
    let bad = |why: &str| Failure::input(format!("{}: {why}", path.display()));
    let left = Cell::new(MAX_DIRECTORY);
    let mut archive = ZipArchive::new(Metered { file, left: &left })
        .map_err(|_| bad("this is no whole .npz archive; save it with numpy.savez"))?;
    left.set(u64::MAX);
    let names: Vec<String> = archive.file_names().map(String::from).collect();
    let chosen = match names.iter().position(|name| name == "samples.npy") {
        Some(array) => array,
        None if names.len() == 1 => 0,
        None => {
            return Err(bad(&format!(
                "it holds {} arrays ({}) and none is called samples; name one so",
                names.len(),
                names.join(", ")
            )));
        }
    };
    let name = &names[chosen];
    let unusable = |e: &dyn std::fmt::Display| bad(&format!("the entry {name}: {e}; write the file again"));
    let entry = archive.by_index(chosen).map_err(|e| unusable(&e))?;
    let (size, packed) = (entry.size(), entry.compressed_size());
    if u128::from(size) > MOST_DEFLATED * u128::from(packed) {
        return Err(unusable(&format!("{packed} bytes cannot hold the {size} that it announces")));
    }
    memory::enough(size.into(), &format!("{}: the array {name}", path.display()), "give fewer samples")?;
    // the checksum is that of all bytes, and compared behind the last one
    let held = io::copy(&mut BufReader::with_capacity(1 << 16, entry).take(size + 1), &mut io::sink());
    if held.map_err(|e| unusable(&e))? != size {
        return Err(unusable(&format!("it does not have the {size} bytes that it announces")));
    }
    let entry = archive.by_index(chosen).map_err(|e| unusable(&e))?;
    NpyReader::of_part(entry, path, size)?.read_block(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

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

    /// Checks that samples come back with the same bits, and that two archives of one content are the same bytes.
    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let (path, x) = written(folder.path());
        assert_eq!(read(&path).unwrap().unwrap(), x);
        let first = std::fs::read(&path).unwrap();
        assert!(std::fs::read(written(folder.path()).0).unwrap() == first);
    }

    /// The bytes of `numpy.savez_compressed(file, samples=[[0.5, -1], [2, 3.25], [1e300, -7]])`, NumPy 2.
    const COMPRESSED: &str = "504b03042d000000080000002100d258e3b7ffffffffffffffff0b00140073616d706c65732e6e707901001000b0000000000000006200\
        0000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9366a1aea3a09e965f54529498179f5f94920a12774bcc294e058a17672416a402f91ac63a0a469a3a0ab5\
        0a64032e063078600fa13fec87d00c0e108acb614e294387cd13f33a085fe60000504b01022d032d000000080000002100d258e3b762000000b00000000b00000000000000000\
        0000080010000000073616d706c65732e6e7079504b05060000000001000100390000009f0000000000";

    /// Checks that compressed archives are read, and that none of their flipped bits changes a number.
    #[test]
    fn compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let byte = |k: usize| u8::from_str_radix(&COMPRESSED[2 * k..2 * k + 2], 16).unwrap();
        let bytes: Vec<u8> = (0..COMPRESSED.len() / 2).map(byte).collect();
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).map(Option::unwrap)
        };
        let x = Matrix::from_rows(&[[0.5, -1.0], [2.0, 3.25], [1e300, -7.0]]);
        assert_eq!(read(&bytes).unwrap(), x);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_ok_and(|y| y == x) || read(&bad).is_err(), "bit {bit}");
        }
    }

    /// Checks that an archive that announces more than its bytes can hold is refused with both numbers, as is one that
    /// holds another number of bytes than it announces.
    #[test]
    fn bombs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let write = |announced: Option<u32>| {
            let mut zip = ZipWriter::new(std::fs::File::create(&path).unwrap());
            zip.start_file("samples.npy", SimpleFileOptions::default().compression_method(CompressionMethod::Deflated))
                .unwrap();
            zip.write_all(&preamble(1 << 16, 2, Dtype::F64)).unwrap();
            zip.write_all(&[0; 1 << 20]).unwrap();
            zip.finish().unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            let directory = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
            let announced = announced.into_iter().flat_map(u32::to_le_bytes);
            announced.enumerate().for_each(|(k, byte)| bytes[directory + 24 + k] = byte);
            std::fs::write(&path, bytes).unwrap();
            read(&path).map(|x| x.unwrap().rows()).map_err(|e| e.to_string())
        };
        assert_eq!(write(None), Ok(1 << 16));
        for (announced, word) in
            [(1 << 30, "cannot hold the 1073741824"), (1 << 19, "524288"), ((1 << 20) + 129, "1048705")]
        {
            let answer = write(Some(announced));
            assert!(answer.as_ref().is_err_and(|e| e.contains(word) && e.contains("samples.npy")), "{answer:?}");
        }
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
            read(&path).map(Option::unwrap)
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

    /// Bytes in memory, zeros left out.
    #[derive(Default)]
    struct Sparse {
        parts: BTreeMap<u64, Vec<u8>>,
        length: u64,
        at: u64,
    }

    impl Write for Sparse {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.iter().any(|b| *b != 0) {
                self.parts.insert(self.length, bytes.to_vec());
            }
            self.length += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Sparse {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            let next = self.parts.range(self.at + 1..).next().map_or(self.length, |(start, _)| *start);
            let n = bytes.len().min(next.saturating_sub(self.at) as usize);
            bytes[..n].fill(0);
            if let Some((start, part)) = self.parts.range(..=self.at).next_back() {
                let part = &part[(part.len()).min((self.at - start) as usize)..];
                let k = n.min(part.len());
                bytes[..k].copy_from_slice(&part[..k]);
            }
            self.at += n as u64;
            Ok(n)
        }
    }

    impl Seek for Sparse {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.at = match to {
                SeekFrom::Start(at) => at,
                SeekFrom::End(by) => self.length.saturating_add_signed(by),
                SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            };
            Ok(self.at)
        }
    }

    /// Checks that an array of more than 4 GiB and one that begins behind 4 GiB are found again, with their sizes.
    #[test]
    fn more_than_4_gib() {
        let path = Path::new("x.npz");
        let zip = ZipWriter::new_stream(Sparse::default());
        let mut w = NpzWriter { zip, path: path.to_owned(), failed: Rc::new(Cell::new(None)), left: 0 };
        let (block, blocks) = (vec![0; 1 << 24], 257);
        w.array("log_density", blocks << 21, 1).unwrap();
        (0..blocks).for_each(|_| w.zip.write_all(&block).unwrap());
        w.left = 0;
        let x = Matrix::from_rows(&[[0.1, 2.0], [3.0, -4.5]]);
        w.array("samples", 2, 2).unwrap();
        w.push(&x).unwrap();
        let mut file = w.zip.finish().unwrap().into_inner();
        assert!(file.length > 1 << 32 && file.parts.values().map(Vec::len).sum::<usize>() < 10_000);
        let mut archive = ZipArchive::new(&mut file).unwrap();
        assert_eq!(archive.by_index(0).unwrap().size(), (blocks << 24) + 128);
        assert!(archive.by_index(1).unwrap().header_start() > 1 << 32);
        assert_eq!(read_from(file, path).unwrap().unwrap(), x);
    }
}
