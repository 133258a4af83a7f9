//! Comma-separated values: a line `x1,x2,…`, then one row a line with as many digits as give back the same f64.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use pushforward::linalg::Matrix;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line that is read, so that memory stays bounded whatever the file is.
const MAX_LINE: u64 = 1 << 20;

/// Writes rows block by block; the file appears at [`CsvWriter::finish`], whole.
pub struct CsvWriter {
    file: AtomicFile,
    text: String,
}

impl CsvWriter {
    /// Starts a file with `cols` columns x1, x2, ….
    pub fn create(path: &Path, cols: usize) -> Outcome<Self> {
        Self::with_names(path, &(1..=cols).map(|j| format!("x{j}")).collect::<Vec<_>>())
    }

    /// Starts a file with these columns.
    pub fn with_names(path: &Path, names: &[String]) -> Outcome<Self> {
        let mut file = AtomicFile::create(path)?;
        file.write(format!("{}\n", names.join(",")).as_bytes())?;
        Ok(Self { file, text: String::new() })
    }

    /// Adds the rows of `block`.
    pub fn push(&mut self, block: &Matrix) -> Outcome<()> {
        self.text.clear();
        for row in block.iter_rows() {
            for (j, x) in row.iter().enumerate() {
                let comma = if j > 0 { "," } else { "" };
                write!(self.text, "{comma}{x:?}").expect("writing to a string cannot fail");
            }
            self.text.push('\n');
        }
        self.file.write(self.text.as_bytes())
    }

    /// Makes the file durable and visible.
    pub fn finish(self) -> Outcome<()> {
        self.file.commit()
    }
}

/// Reads rows in blocks. A first line that holds no number is a header and skipped; empty lines are skipped.
#[derive(Debug)]
pub struct CsvReader {
    file: BufReader<File>,
    path: PathBuf,
    line: u64,
    cols: Option<usize>,
    names: Option<Vec<String>>,
}

impl CsvReader {
    /// Opens `path`.
    pub fn open(path: &Path) -> Outcome<Self> {
        let file = File::open(path).map_err(|e| Failure::unreadable(path, &e))?;
        Ok(Self {
            file: BufReader::with_capacity(1 << 20, file),
            path: path.to_owned(),
            line: 0,
            cols: None,
            names: None,
        })
    }

    /// The next rows, at most `max_rows` (at least one); `None` after the last.
    pub fn read_block(&mut self, max_rows: usize) -> Outcome<Option<Matrix>> {
        let (mut data, mut rows) = (Vec::new(), 0);
        while rows < max_rows.max(1) {
            let Some(line) = self.next_line()? else { break };
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            if self.cols.is_none() && self.line == 1 && cells.iter().all(|c| c.parse::<f64>().is_err()) {
                self.names = Some(cells.into_iter().map(String::from).collect());
                continue;
            }
            let cols = *self.cols.get_or_insert(cells.len());
            if cells.len() != cols {
                return Err(self.bad(&format!("{} columns, but the rows before have {cols}", cells.len())));
            }
            for cell in cells {
                let x: f64 = cell.parse().map_err(|_| self.bad(&format!("'{}' is not a number", clip(cell))))?;
                if !x.is_finite() {
                    return Err(self.bad(&format!("{x} is not finite; remove such rows first")));
                }
                data.push(x);
            }
            rows += 1;
        }
        Ok((rows > 0).then(|| Matrix::from_vec(rows, self.cols.unwrap_or(0), data)))
    }

    /// The names of the columns, where the file has them and its first block was read.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn bad(&self, why: &str) -> Failure {
        Failure::input(format!("{}, line {}: {why}", self.path.display(), self.line))
    }

    /// The next line that is not blank.
    fn next_line(&mut self) -> Outcome<Option<String>> {
        loop {
            let mut bytes = Vec::new();
            let read = (&mut self.file).take(MAX_LINE).read_until(b'\n', &mut bytes);
            let n = read.map_err(|e| Failure::unreadable(&self.path, &e))?;
            if n == 0 {
                return Ok(None);
            }
            self.line += 1;
            if n as u64 == MAX_LINE && bytes.last() != Some(&b'\n') {
                return Err(self.bad(&format!("the line is longer than {MAX_LINE} bytes")));
            }
            let line = String::from_utf8(bytes).map_err(|_| self.bad("this is not text"))?;
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

/// At most 40 characters of a cell, for a message.
fn clip(cell: &str) -> String {
    cell.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves that the text gives back the same bits, with the extremes of f64 among them.
    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let x = Matrix::from_rows(&[[0.1, -1e300], [f64::MIN_POSITIVE, 5e-324], [1.0 / 3.0, -0.0]]);
        let mut w = CsvWriter::create(&path, 2).unwrap();
        w.push(&x).unwrap();
        w.finish().unwrap();
        let mut r = CsvReader::open(&path).unwrap();
        let (a, b) = (r.read_block(2).unwrap().unwrap(), r.read_block(2).unwrap().unwrap());
        let back: Vec<u64> = a.as_slice().iter().chain(b.as_slice()).map(|x| x.to_bits()).collect();
        assert_eq!(back, x.as_slice().iter().map(|x| x.to_bits()).collect::<Vec<_>>());
        assert!(r.read_block(2).unwrap().is_none());
    }

    /// Proves that bad rows are refused with the line's number.
    #[test]
    fn bad_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        for (text, word) in [
            ("x1,x2\n1,2\n3\n", "line 3: 1 columns"),
            ("1,2\n1,oops\n", "line 2: 'oops'"),
            ("1,nan\n", "line 1: NaN"),
            ("x\n1e999\n", "line 2: inf"),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut r = CsvReader::open(&path).unwrap();
            let answer = r.read_block(100).unwrap_err().to_string();
            assert!(answer.contains(word), "{answer}");
        }
    }
}
