//! Samples in a file, `.npy`, `.npz` or `.csv` by its ending.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::csv::{CsvReader, CsvWriter};
use crate::files::npy::{Dtype, NpyReader, NpyWriter};
use crate::files::npz::{self, NpzWriter};
use crate::memory;
use crate::terminal::note;
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
    Npz(Box<NpzWriter>),
    /// To a `.csv` file.
    Csv(CsvWriter),
}

/// Least bytes of a number in a `.csv` file, such as `0.0,`.
const CSV_NUMBER: u128 = 4;

impl SampleWriter {
    /// Starts a file of `rows` samples in `cols` dimensions.
    pub fn create(path: &Path, rows: u64, cols: usize) -> Outcome<Self> {
        let names: Vec<String> = (1..=cols).map(|j| format!("x{j}")).collect();
        Self::over(AtomicFile::create(path)?, path, rows, &names)
    }

    /// Starts the file that a user names as an output, of `rows` samples with these columns; see
    /// [`AtomicFile::output`]. What no such file or disk holds is refused first.
    pub fn output(path: &Path, rows: u64, names: &[String]) -> Outcome<Self> {
        let numbers = u128::from(rows) * names.len() as u128;
        let bytes = if format_of(path)? == Format::Csv { CSV_NUMBER * numbers } else { 8 * numbers };
        memory::enough_space(bytes, path)?;
        Self::over(AtomicFile::output(path)?, path, rows, names)
    }

    fn over(file: AtomicFile, path: &Path, rows: u64, names: &[String]) -> Outcome<Self> {
        Ok(match format_of(path)? {
            Format::Npy => SampleWriter::Npy(NpyWriter::over(file, rows, names.len(), Dtype::F64)?),
            Format::Npz => {
                let mut writer = NpzWriter::over(file, path);
                writer.array("samples", rows, names.len())?;
                SampleWriter::Npz(Box::new(writer))
            }
            Format::Csv => SampleWriter::Csv(CsvWriter::over(file, names)?),
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
    read_rounded(path).map(|(samples, _)| samples)
}

/// All samples of a run's own `.npy` file, of which the first `parameters` columns are parameters: what is generated from them may be NaN.
pub fn read_own(path: &Path, parameters: usize) -> Outcome<Matrix> {
    let samples = NpyReader::open(path)?.finite_in(parameters).read_block(usize::MAX)?;
    samples.ok_or_else(|| Failure::input(format!("{} holds no samples", path.display())))
}

/// All samples of a file, and to which part of their size its numbers were rounded: 2⁻²⁴ in single precision, also
/// where they were kept in double precision after that, 2⁻⁵³ in double precision, half a digit in text.
pub fn read_rounded(path: &Path) -> Outcome<(Matrix, f64)> {
    let (samples, mut unit) = match format_of(path)? {
        Format::Npy => (NpyReader::open(path)?.read_block(usize::MAX)?, 0.5 * f64::EPSILON),
        Format::Npz => (npz::read(path)?, 0.5 * f64::EPSILON),
        Format::Csv => {
            let mut reader = CsvReader::open(path)?;
            let samples = reader.read_block(usize::MAX)?;
            reader.note().into_iter().for_each(note);
            (samples, reader.rounding())
        }
    };
    let samples = samples.ok_or_else(|| Failure::input(format!("{} holds no samples", path.display())))?;
    if samples.as_slice().iter().all(|x| f64::from(*x as f32) == *x) {
        unit = unit.max(0.5 * f64::from(f32::EPSILON));
    }
    Ok((samples, unit))
}

/// The names of the `cols` columns of a file of samples: its own, or x1, x2, ….
pub fn read_names(path: &Path, cols: usize) -> Outcome<Vec<String>> {
    let mut own = None;
    if format_of(path)? == Format::Csv {
        let mut reader = CsvReader::open(path)?;
        reader.read_block(1)?;
        own = reader.names().map(<[String]>::to_vec);
    }
    Ok(own.unwrap_or_else(|| (1..=cols).map(|j| format!("x{j}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks to what the numbers of a file are said to be rounded.
    #[test]
    fn rounding() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let x = Matrix::from_rows(&[[0.1, 1.0 / 3.0]]);
        for (name, m, unit) in
            [("a.npy", x.clone(), 2f64.powi(-53)), ("b.npy", x.map(|v| f64::from(v as f32)), 2f64.powi(-24))]
        {
            let mut writer = SampleWriter::create(&at(name), 1, 2).unwrap();
            writer.push(&m).unwrap();
            writer.finish().unwrap();
            assert_eq!(read_rounded(&at(name)).unwrap(), (m, unit));
        }
        for (text, unit) in
            [("0.1,0.333333\n", 5e-6), ("x1,x2\n0.1,3.3e-10\n", 5e-4), ("0.1,0.33333333333333331\n", 2f64.powi(-53))]
        {
            std::fs::write(at("c.csv"), text).unwrap();
            let found = read_rounded(&at("c.csv")).unwrap().1;
            assert!((found - unit).abs() < 1e-12 * unit, "{text}: {found}");
        }
    }
}
