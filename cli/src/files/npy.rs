//! NumPy's `.npy` files (format 1.0; reader also 2.0 and 3.0): little-endian, row-major, one to three dimensions.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>. Both directions stream, in blocks of rows.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::memory;
use pushforward::linalg::Matrix;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header that is read; NumPy itself stops at 10,000 bytes by default.
const MAX_HEADER: usize = 65_536;

/// Numbers that are converted at a time.
const BUFFER: usize = 1 << 16;

/// Number format of the file's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// `<f4`
    F32,
    /// `<f8`
    F64,
}

impl Dtype {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Dtype::F32 => 4,
            Dtype::F64 => 8,
        }
    }

    fn descr(self) -> &'static str {
        match self {
            Dtype::F32 => "<f4",
            Dtype::F64 => "<f8",
        }
    }
}

/// The preamble of a rows×cols file: magic, version 1.0, header length, header padded to a multiple of 64 bytes.
pub(crate) fn preamble(rows: u64, cols: usize, dtype: Dtype) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({rows}, {cols}), }}", dtype.descr()).into_bytes();
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.resize(header.len() + unpadded.next_multiple_of(64) - unpadded, b' ');
    header.push(b'\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header);
    out
}

/// Writes a rows×cols file block by block; the file appears at [`NpyWriter::finish`], whole.
pub struct NpyWriter {
    file: AtomicFile,
    dtype: Dtype,
    cols: usize,
    left: u64,
    bytes: Vec<u8>,
}

impl NpyWriter {
    /// Starts a rows×cols file.
    pub fn create(path: &Path, rows: u64, cols: usize, dtype: Dtype) -> Outcome<Self> {
        Self::over(AtomicFile::create(path)?, rows, cols, dtype)
    }

    /// The same over a file that was started.
    pub fn over(mut file: AtomicFile, rows: u64, cols: usize, dtype: Dtype) -> Outcome<Self> {
        file.write(&preamble(rows, cols, dtype))?;
        Ok(Self { file, dtype, cols, left: rows, bytes: Vec::new() })
    }

    /// Adds the rows of `block` (k×cols).
    pub fn push(&mut self, block: &Matrix) -> Outcome<()> {
        assert!(
            block.cols() == self.cols && block.rows() as u64 <= self.left,
            "block does not fit the announced shape"
        );
        self.left -= block.rows() as u64;
        self.bytes.clear();
        match self.dtype {
            Dtype::F32 => block.as_slice().iter().for_each(|&x| self.bytes.extend((x as f32).to_le_bytes())),
            Dtype::F64 => block.as_slice().iter().for_each(|&x| self.bytes.extend(x.to_le_bytes())),
        }
        self.file.write(&self.bytes)
    }

    /// Makes the file durable and visible. All announced rows must have come.
    pub fn finish(self) -> Outcome<()> {
        assert!(self.left == 0, "{} announced rows are missing", self.left);
        self.file.commit()
    }
}

/// Reads a file in blocks of rows; memory is bounded by the block (and by the file's length).
#[derive(Debug)]
pub struct NpyReader<R = File> {
    file: BufReader<R>,
    path: PathBuf,
    dtype: Dtype,
    rows: u64,
    cols: usize,
    next: u64,
    /// The first so many columns must be finite.
    finite: usize,
}

impl NpyReader {
    /// Opens `path` and checks that its length is the one that its header announces.
    pub fn open(path: &Path) -> Outcome<Self> {
        let bad = |why: &str| Failure::input(format!("{}: {why}", path.display()));
        let file = crate::files::open(path)?;
        let meta = file.metadata().map_err(|e| Failure::unreadable(path, &e))?;
        if !meta.is_file() {
            return Err(bad("this is not a regular file; give a .npy file"));
        }
        Self::of_part(file, path, meta.len())
    }
}

impl<R: Read> NpyReader<R> {
    /// Reads the array that begins where `file` stands and has `length` bytes; `path` is for messages.
    pub(crate) fn of_part(file: R, path: &Path, length: u64) -> Outcome<Self> {
        let bad = |why: &str| Failure::input(format!("{}: {why}", path.display()));
        let mut file = BufReader::with_capacity(1 << 20, file);
        let (header, offset) = read_header(&mut file).map_err(|why| bad(&why))?;
        let Header { dtype, rows, cols } = parse_header(&header).map_err(|why| bad(&why))?;
        let announced = rows.checked_mul(cols as u64).and_then(|n| n.checked_mul(dtype.size() as u64));
        let held = length.saturating_sub(offset);
        if announced != Some(held) {
            let want = announced.map_or("more than 2^64".to_owned(), |n| n.to_string());
            return Err(bad(&format!(
                "the header announces {rows}×{cols} numbers ({want} bytes) but {held} bytes follow; write the file again"
            )));
        }
        Ok(Self { file, path: path.to_owned(), dtype, rows, cols, next: 0, finite: cols })
    }

    /// Only the first `columns` must be finite: what is generated from them may be anything.
    pub fn finite_in(self, columns: usize) -> Self {
        Self { finite: columns, ..self }
    }

    /// (rows, columns); a one-dimensional array of length n is n×1, one of n×k×d is n×kd.
    pub fn shape(&self) -> (u64, usize) {
        (self.rows, self.cols)
    }

    /// The next rows, at most `max_rows` (at least one); `None` after the last. Numbers that are not finite are refused.
    pub fn read_block(&mut self, max_rows: usize) -> Outcome<Option<Matrix>> {
        let rows = (self.rows - self.next).min(max_rows.max(1) as u64) as usize;
        if rows == 0 {
            return Ok(None);
        }
        let numbers = rows as u128 * self.cols as u128;
        let what = || format!("{}: an array of {rows}×{}", self.path.display(), self.cols);
        memory::enough(8 * numbers, &what(), "give fewer rows")?;
        let mut data = Vec::with_capacity(rows * self.cols);
        let mut bytes = vec![0; (rows * self.cols).min(BUFFER) * self.dtype.size()];
        while data.len() < rows * self.cols {
            let part = &mut bytes[..(rows * self.cols - data.len()).min(BUFFER) * self.dtype.size()];
            self.file.read_exact(part).map_err(|e| Failure::unreadable(&self.path, &e))?;
            match self.dtype {
                Dtype::F32 => data.extend(part.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b)))),
                Dtype::F64 => data.extend(part.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b))),
            }
        }
        let is_bad = |(k, x): (usize, &f64)| (k % self.cols < self.finite && !x.is_finite()).then_some(k);
        if let Some(k) = data.iter().enumerate().find_map(is_bad) {
            return Err(Failure::input(format!(
                "{}: row {}, column {} is {}; remove such rows first",
                self.path.display(),
                self.next + (k / self.cols) as u64 + 1,
                k % self.cols + 1,
                data[k]
            )));
        }
        self.next += rows as u64;
        Ok(Some(Matrix::from_vec(rows, self.cols, data)))
    }
}

struct Header {
    dtype: Dtype,
    rows: u64,
    cols: usize,
}

/// The header's text and the offset of the data.
fn read_header(file: &mut impl Read) -> Result<(String, u64), String> {
    let cut = |_| "the file ends inside its header; this is not a whole .npy file".to_owned();
    let mut start = [0; 8];
    file.read_exact(&mut start).map_err(cut)?;
    if &start[..6] != MAGIC {
        return Err("the file does not start with the mark of a .npy file; save it with numpy.save".into());
    }
    let (length, width) = match start[6] {
        1 => {
            let mut b = [0; 2];
            file.read_exact(&mut b).map_err(cut)?;
            (usize::from(u16::from_le_bytes(b)), 2)
        }
        2 | 3 => {
            let mut b = [0; 4];
            file.read_exact(&mut b).map_err(cut)?;
            (u32::from_le_bytes(b) as usize, 4)
        }
        v => return Err(format!("version {v} of the .npy format is unknown; versions 1 to 3 are read")),
    };
    if length > MAX_HEADER {
        return Err(format!("the header announces {length} bytes, more than the {MAX_HEADER} that are read"));
    }
    let mut header = vec![0; length];
    file.read_exact(&mut header).map_err(cut)?;
    let text = String::from_utf8(header).map_err(|_| "the header is not text".to_owned())?;
    Ok((text, (8 + width + length) as u64))
}

/// The value after `'key':` in the header's Python dictionary.
fn field<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let start = header.find(&format!("'{key}'")).ok_or(format!("the header has no '{key}'"))?;
    let rest = header[start + key.len() + 2..].trim_start();
    rest.strip_prefix(':').map(str::trim_start).ok_or(format!("the header has no value of '{key}'"))
}

fn parse_header(header: &str) -> Result<Header, String> {
    let descr = field(header, "descr")?;
    let dtype = match descr.get(..5) {
        Some("'<f8'") => Dtype::F64,
        Some("'<f4'") => Dtype::F32,
        _ => {
            let found = descr.split([',', '}']).next().unwrap_or_default();
            return Err(format!(
                "the numbers are of type {found}, but '<f8' or '<f4' is needed; convert with x.astype('<f8')"
            ));
        }
    };
    if !field(header, "fortran_order")?.starts_with("False") {
        return Err("the array is stored by columns; convert with numpy.ascontiguousarray".into());
    }
    let shape = field(header, "shape")?;
    let inside = shape.strip_prefix('(').and_then(|s| s.split_once(')')).map(|(inside, _)| inside);
    let inside = inside.ok_or("the header's shape is not a tuple")?;
    let sizes: Result<Vec<u64>, String> = inside
        .split(',')
        .map(str::trim)
        .filter(|s| !s.is_empty())
        .map(|s| s.parse().map_err(|_| format!("the header's shape contains '{s}'")))
        .collect();
    let cols = |d: u64| usize::try_from(d).map_err(|_| format!("{d} columns are too many"));
    let (rows, cols) = match sizes?[..] {
        [n] => (n, 1),
        [n, d] if d > 0 => (n, cols(d)?),
        // n configurations of k particles: particle by particle in a row
        [n, k, d] if k > 0 && d > 0 => (n, cols(k.saturating_mul(d))?),
        [_, _] | [_, _, _] => return Err("the array has no columns".into()),
        ref other => return Err(format!("the array has {} dimensions; one row a sample, n×d, is needed", other.len())),
    };
    Ok(Header { dtype, rows, cols })
}

#[cfg(test)]
#[path = "npy_tests.rs"]
mod tests;
