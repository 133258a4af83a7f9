//! Samples in a file, `.npy`, `.npz` or `.csv` by its ending.

use crate::commands::note;
use crate::failure::{Failure, Outcome};
use crate::files::csv::{CsvReader, CsvWriter};
use crate::files::npy::{Dtype, NpyReader, NpyWriter};
use crate::files::npz::{self, NpzWriter};
use pushforward::linalg::Matrix;
use std::path::Path;

/// A file format for samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NumPy's binary arrays, f64.
    Npy,
    /// NumPy's archives, f64, the array `samples`.
    Npz,
    /// Text, one sample a line.
    Csv,
}

/// The format that the ending of `path` asks for.
pub fn format_of(path: &Path) -> Outcome<Format> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("npy") => Ok(Format::Npy),
        Some("npz") => Ok(Format::Npz),
        Some("csv") => Ok(Format::Csv),
        _ => Err(Failure::input(format!(
            "{} ends in neither .npy, .npz nor .csv; give the file such a name",
            path.display()
        ))),
    }
}

/// Writes samples block by block.
pub enum SampleWriter {
    /// To a `.npy` file.
    Npy(NpyWriter),
    /// To a `.npz` file.
    Npz(NpzWriter),
    /// To a `.csv` file.
    Csv(CsvWriter),
}

impl SampleWriter {
    /// Starts a file of `rows` samples in `cols` dimensions.
    pub fn create(path: &Path, rows: u64, cols: usize) -> Outcome<Self> {
        Ok(match format_of(path)? {
            Format::Npy => SampleWriter::Npy(NpyWriter::create(path, rows, cols, Dtype::F64)?),
            Format::Npz => {
                let mut writer = NpzWriter::create(path)?;
                writer.array("samples", rows, cols)?;
                SampleWriter::Npz(writer)
            }
            Format::Csv => SampleWriter::Csv(CsvWriter::create(path, cols)?),
        })
    }

    /// Adds samples.
    pub fn push(&mut self, block: &Matrix) -> Outcome<()> {
        match self {
            SampleWriter::Npy(w) => w.push(block),
            SampleWriter::Npz(w) => w.push(block),
            SampleWriter::Csv(w) => w.push(block),
        }
    }

    /// Makes the file durable and visible.
    pub fn finish(self) -> Outcome<()> {
        match self {
            SampleWriter::Npy(w) => w.finish(),
            SampleWriter::Npz(w) => w.finish(),
            SampleWriter::Csv(w) => w.finish(),
        }
    }
}

/// All samples of a file; at least one.
pub fn read_samples(path: &Path) -> Outcome<Matrix> {
    let samples = match format_of(path)? {
        Format::Npy => NpyReader::open(path)?.read_block(usize::MAX)?,
        Format::Npz => npz::open_samples(path)?.read_block(usize::MAX)?,
        Format::Csv => {
            let mut reader = CsvReader::open(path)?;
            let samples = reader.read_block(usize::MAX)?;
            reader.note().into_iter().for_each(note);
            samples
        }
    };
    samples.ok_or_else(|| Failure::input(format!("{} holds no samples", path.display())))
}
