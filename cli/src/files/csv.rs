//! Comma-separated values: a line `x1,x2,…`, then one row a line with as many digits as give back the same f64.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::csv_layout::{Layout, cells, layout, number};
use pushforward::linalg::Matrix;
use std::collections::VecDeque;
use std::fmt::Write as _;
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
        Self::over(AtomicFile::create(path)?, names)
    }

    /// The same over a file that was started.
    pub fn over(mut file: AtomicFile, names: &[String]) -> Outcome<Self> {
        let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
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

/// Reads rows in blocks, as pandas, R, spreadsheets and CmdStan write them: cells between commas, semicolons, tabs or
/// blanks, with quotation marks or without; a header or none; row names, comments (#), blank lines, the columns of Stan
/// whose names end in two underscores, and the mark at the beginning of a file in UTF-8 are left out.
pub struct CsvReader {
    file: Box<dyn BufRead>,
    path: PathBuf,
    line: u64,
    layout: Option<Layout>,
    /// Most digits that a number had.
    digits: i32,
    /// Whether decimals so far had a comma, where one can stand for the point.
    comma: Option<bool>,
    /// The first rows, which the layout was found from: number and text.
    waiting: VecDeque<(u64, String)>,
}

impl CsvReader {
    /// Opens `path`.
    pub fn open(path: &Path) -> Outcome<Self> {
        let file = crate::files::open(path)?;
        Ok(Self::of(BufReader::with_capacity(1 << 20, file), path))
    }

    /// Reads `file`; `path` is for messages.
    pub fn of(file: impl BufRead + 'static, path: &Path) -> Self {
        let file = Box::new(file);
        Self { file, path: path.to_owned(), line: 0, layout: None, digits: 0, comma: None, waiting: VecDeque::new() }
    }

    /// The next rows, at most `max_rows` (at least one); `None` after the last.
    pub fn read_block(&mut self, max_rows: usize) -> Outcome<Option<Matrix>> {
        if self.layout.is_none() && !self.begin()? {
            return Ok(None);
        }
        let (mut data, mut rows) = (Vec::new(), 0);
        while rows < max_rows.max(1) {
            let Some((at, line)) = self.next_row()? else { break };
            self.line = at;
            let layout = self.layout.as_ref().expect("the table was begun");
            let cells = cells(&line, layout.separator).map_err(|why| self.bad(&why))?;
            if cells.iter().all(|c| c.text.is_empty()) {
                // a spreadsheet's empty row
                continue;
            }
            if cells.len() != layout.width {
                return Err(self.bad(&format!("{} columns, but the rows before have {}", cells.len(), layout.width)));
            }
            for &j in &layout.columns {
                let cell = &cells[j].text;
                let x = number(cell, layout.separator);
                let x = x.ok_or_else(|| self.bad(&not_a_number(cell)))?;
                if !x.is_finite() {
                    return Err(self.bad(&format!("{x} is not finite; remove such rows first")));
                }
                let comma = cell.contains(',');
                if comma || cell.contains('.') {
                    if self.comma.is_some_and(|before| before != comma) {
                        return Err(self.bad(&format!(
                            "'{}', but decimals before it are written the other way; write all of them with points",
                            clip(cell)
                        )));
                    }
                    self.comma = Some(comma);
                }
                self.digits = self.digits.max(digits(cell));
                data.push(x);
            }
            rows += 1;
        }
        let cols = self.layout.as_ref().map_or(0, |l| l.columns.len());
        Ok((rows > 0).then(|| Matrix::from_vec(rows, cols, data)))
    }

    /// The names of the columns, where the file has them and its first block was read.
    pub fn names(&self) -> Option<&[String]> {
        self.layout.as_ref().and_then(|l| l.names.as_deref())
    }

    /// What was guessed about the file and could be meant otherwise.
    pub fn note(&self) -> Option<String> {
        let note = self.layout.as_ref().and_then(|l| l.note.as_ref());
        note.map(|note| format!("{}: {note}", self.path.display()))
    }

    /// To which part of their size the numbers so far were rounded: half a unit of the last of as many digits as the
    /// longest has, at least four, because shorter ones alone are simple numbers and not rounded.
    pub fn rounding(&self) -> f64 {
        (0.5 * 10f64.powi(1 - self.digits.max(4))).max(0.5 * f64::EPSILON)
    }

    /// Finds the layout from the first two rows; false where there is none.
    fn begin(&mut self) -> Outcome<bool> {
        let mut first = self.next_line()?;
        if first.as_ref().is_some_and(|(_, line)| line.trim_end().len() == 5 && line.starts_with("sep=")) {
            first = self.next_line()?;
        }
        let Some(first) = first else { return Ok(false) };
        let second = self.next_line()?;
        let found = layout(&first.1, second.as_ref().map(|(_, line)| line.as_str()));
        self.line = first.0;
        let layout = found.map_err(|why| self.bad(&why))?;
        if layout.columns.is_empty() {
            return Err(self.bad("no column holds samples"));
        }
        if layout.names.is_none() {
            self.waiting.push_back(first);
        }
        self.waiting.extend(second);
        self.layout = Some(layout);
        Ok(true)
    }

    fn bad(&self, why: &str) -> Failure {
        Failure::input(format!("{}, line {}: {why}", self.path.display(), self.line))
    }

    fn next_row(&mut self) -> Outcome<Option<(u64, String)>> {
        match self.waiting.pop_front() {
            Some(row) => Ok(Some(row)),
            None => self.next_line(),
        }
    }

    /// Number and text of the next line that is neither blank nor a comment.
    fn next_line(&mut self) -> Outcome<Option<(u64, String)>> {
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
            if self.line == 1 && (bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff])) {
                return Err(self.bad("this is UTF-16; save the table as CSV in UTF-8"));
            }
            let line = String::from_utf8(bytes).map_err(|_| self.bad("this is not text in UTF-8"))?;
            let line = if self.line == 1 { line.trim_start_matches('\u{feff}').to_owned() } else { line };
            let trimmed = line.trim();
            if trimmed.contains('\r') {
                return Err(
                    self.bad("lines end in a single carriage return; save the table with the line ends of today")
                );
            }
            if !trimmed.is_empty() && !trimmed.starts_with('#') {
                return Ok(Some((self.line, line)));
            }
        }
    }
}

/// Digits of a number from the first that is not 0.
fn digits(cell: &str) -> i32 {
    let mantissa = cell.split(['e', 'E']).next().unwrap_or_default().bytes();
    mantissa.filter(u8::is_ascii_digit).skip_while(|b| *b == b'0').count().min(40) as i32
}

/// A name as a cell: in quotation marks where it holds a separator, a quotation mark or a line's end.
fn quoted(name: &str) -> String {
    let plain = !name.contains([',', ';', '\t', '"', '\n', '\r', '#', ' ']) && !name.is_empty();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// What is wrong with a cell that holds no number.
fn not_a_number(cell: &str) -> String {
    match cell {
        "" => "'' is not a number, the cell is empty; fill it, or remove its row or column".into(),
        cell => format!("'{}' is not a number; write one like 1.5 or 2e-3, or remove its row or column", clip(cell)),
    }
}

/// At most 40 characters of a cell, for a message.
fn clip(cell: &str) -> String {
    cell.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the text gives back the same bits, with the extremes of f64 among them.
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

    /// Checks what is read from what other programs write: names (`-` for none) and rows.
    #[test]
    fn files_of_other_programs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let two: &[&[f64]] = &[&[1.5, 0.0], &[2.5, 1.0]];
        let three: &[&[f64]] = &[&[1.0], &[2.0], &[3.0]];
        for (text, names, rows) in [
            // a mark of UTF-8 and no header (NumPy, spreadsheets)
            ("\u{feff}1\n2\n3\n", "-", three),
            ("\u{feff}x\n1\n2\n3\n", "x", three),
            ("\u{feff}\u{feff}1\n2\n3\n", "-", three),
            ("\u{feff}\"x\"\r\n1\r\n2\r\n3\r\n", "x", three),
            ("1\n2\n3", "-", three),
            ("1\r\n2\r\n3\r\n\r\n\r\n", "-", three),
            ("\n\n1\n\n2\n   \n3\n", "-", three),
            // quotation marks around names, around all cells, and around all but the numbers
            ("\"a\",\"y\"\n1.5,0\n2.5,1\n", "a|y", two),
            ("\"a\",\"y\"\n\"1.5\",\"0\"\n\"2.5\",\"1\"\n", "a|y", two),
            ("\"1.5\",\"0\"\n\"2.5\",\"1\"\n", "-", two),
            ("\"a, b\",\"the \"\"y\"\"\"\n1.5,0\n2.5,1\n", "a, b|the \"y\"", two),
            // pandas: to_csv(), to_csv(index=False), of an array without names with and without index
            (",a,y\n0,1.5,0\n1,2.5,1\n", "a|y", two),
            ("a,y\n1.5,0\n2.5,1\n", "a|y", two),
            (",0,1\n0,1.5,0.0\n1,2.5,1.0\n", "0|1", two),
            ("0,1\n1.5,0.0\n2.5,1.0\n", "0|1", two),
            ("id,2010\n1.5,0\n2.5,1\n", "id|2010", two),
            // R: write.csv, write.csv(row.names = FALSE), write.table, write.csv2
            ("\"\",\"a\",\"y\"\n\"1\",1.5,0\n\"2\",2.5,1\n", "a|y", two),
            ("\"1\",\"2\"\n1.5,0\n2.5,1\n", "1|2", two),
            ("\"a\" \"y\"\n\"1\" 1.5 0\n\"2\" 2.5 1\n", "a|y", two),
            ("a y\n1 1.5 0\n2 2.5 1\n", "a|y", two),
            ("\"\";\"a\";\"y\"\n\"1\";1,5;0\n\"2\";2,5;1\n", "a|y", two),
            // spreadsheets: semicolons and decimal commas, tabs, the line sep=, rows of separators
            ("a;y\r\n1,5;0\r\n2,5;1\r\n", "a|y", two),
            ("sep=;\r\na;y\r\n1.5;0\r\n2.5;1\r\n;\r\n", "a|y", two),
            ("a\ty\n1.5\t0\n2.5\t1\n", "a|y", two),
            ("1,5\t0\n2,5\t1\n", "-", two),
            // NumPy's savetxt, with a header and without
            ("# a y\n1.500000000000000000e+00 0.000000000000000000e+00\n2.5e+00 1.0e+00\n", "-", two),
            ("  1.5   0.0  \n  2.5   1.0\n", "-", two),
            // CmdStan: comments before, between and behind, the sampler's own columns
            (
                "# stan_version_major = 2\nlp__,accept_stat__,mu,sigma.1\n# Adaptation terminated\n-1,0.9,1.5,0\n-2,1,2.5,1\n# \n# Elapsed\n",
                "mu|sigma.1",
                two,
            ),
            ("x1,x2\n0,1\n2,3\n", "x1|x2", &[&[0.0, 1.0], &[2.0, 3.0]]),
            ("0,1\n2,3\n", "-", &[&[0.0, 1.0], &[2.0, 3.0]]),
            ("+1.5,0.\n25e-1,1\n", "-", two),
            ("1stFloor,y\n1.5,0\n2.5,1\n", "1stFloor|y", two),
            ("(Intercept),.draw\n1.5,0\n2.5,1\n", "(Intercept)|.draw", two),
            ("2019,2020\n1.5,0.5\n", "-", &[&[2019.0, 2020.0], &[1.5, 0.5]]),
            ("2019,2020\n3,4\n", "-", &[&[2019.0, 2020.0], &[3.0, 4.0]]),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut r = CsvReader::open(&path).unwrap();
            let read = r.read_block(100).unwrap_or_else(|e| panic!("{text:?}: {e}")).unwrap();
            assert_eq!(read, Matrix::from_rows(rows), "{text:?}");
            assert_eq!(r.names().map_or("-".into(), |n| n.join("|")), names, "{text:?}");
            let guessed = ["0,1\n", "2019", "a y\n1 "].iter().any(|start| text.starts_with(start));
            assert_eq!(r.note().is_some(), guessed, "{text:?}");
            assert!(r.read_block(1).unwrap().is_none());
        }
    }

    /// Checks that names with separators in them are read as they were written.
    #[test]
    fn names_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        let names = ["a,b", "c \"d\"", "#e", "plain", ";"].map(String::from);
        let mut w = CsvWriter::with_names(&path, &names).unwrap();
        w.push(&Matrix::from_rows(&[[1.0, 2.0, 3.0, 4.0, 5.0]])).unwrap();
        w.finish().unwrap();
        let mut r = CsvReader::open(&path).unwrap();
        r.read_block(1).unwrap();
        assert_eq!(r.names().unwrap(), names);
    }

    /// Checks that bad rows are refused with the line's number.
    #[test]
    fn bad_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        for (text, word) in [
            ("x1,x2\n1,2\n3\n", "line 3: 1 columns"),
            ("1,2\n1,oops\n", "line 2: 'oops'"),
            ("1,nan\n", "line 1: NaN"),
            ("x\n1e999\n", "line 2: inf"),
            ("0.5,oops\n1,2\n", "line 1: 'oops'"),
            ("0.5,NA\n1,2\n", "line 1: 'NA'"),
            ("x,y\n1,\n", "line 2: '' is not"),
            // numbers of another form in the first line are no header
            ("0x10,2\n3,4\n", "line 1: '0x10'"),
            ("1D3,2\n3,4\n", "line 1: '1D3'"),
            ("1 000,5;2\n3;4\n", "line 1: '1 000,5'"),
            ("\"1,000.5\",2\n3,4\n", "line 1: '1,000.5'"),
            ("\u{2212}1,2\n3,4\n", "line 1: '\u{2212}1'"),
            ("1,2 # a note\n3,4\n", "line 1: '2 # a note'"),
            ("(1.5),2\n3,4\n5,6\n", "line 1: '(1.5)'"),
            ("$2,\u{200b}3\n3,4\n5,6\n", "line 1: '$2'"),
            ("true,false\n1,0\n0,1\n", "line 1: 'true'"),
            // a point may divide thousands where a comma divides decimals
            ("1.234;2,5\n3;4\n", "line 1: '2,5', but decimals"),
            ("a\tb\n1,5\t2\n3\t4.5\n", "line 3: '4.5', but decimals"),
            ("a,b\n1,2,3\n", "names 2 columns but its rows have 3"),
            ("0\n0.5\n", "line 1: '0' may be the name"),
            ("1.5\r2.5\r", "carriage return"),
            ("\"a\n1\n", "not closed"),
            ("\"1\"2,3\n1,2\n", "follows a closing"),
            ("lp__,energy__\n1,2\n", "no column"),
            ("x1,x2\n# a comment\n\n1,2\n3,oops\n", "line 5: 'oops'"),
        ] {
            std::fs::write(&path, text).unwrap();
            let mut r = CsvReader::open(&path).unwrap();
            let answer = r.read_block(100).unwrap_err().to_string();
            assert!(answer.contains(word), "{answer}");
        }
    }
}
