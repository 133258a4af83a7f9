//! Weights in the safetensors layout: eight bytes of header length, a JSON header, the numbers.
//!
//! Layout: <https://github.com/huggingface/safetensors#format>. `__metadata__` carries our format version, the library's version,
//! whatever the caller adds (the configuration as JSON) and a checksum over *all* bytes of the file except its own digits.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::safetensors_header::{Entry, Header, Sizes};
use crate::files::{FNV_START, fnv1a_from};
use crate::memory;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

/// Version of what we put into the file; a reader refuses later ones.
pub const FORMAT_VERSION: u32 = 3;

/// Longest header that is read.
const MAX_HEADER: u64 = 4 << 20;

/// Bytes that are read or written at a time; a multiple of every number's size.
const BUFFER: usize = 1 << 16;

/// The checksum's digits before it is known.
const NO_CHECKSUM: &str = "0000000000000000";

/// The numbers of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// Single precision.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Numbers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Numbers::F32(v) => v.len(),
            Numbers::F64(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A named array of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Row-major numbers; as many as the product of `shape`.
    pub numbers: Numbers,
}

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Words by key, as in `__metadata__`.
pub type Metadata = BTreeMap<String, String>;

impl Tensor {
    fn dtype(&self) -> (&'static str, usize) {
        match &self.numbers {
            Numbers::F32(v) => ("F32", 4 * v.len()),
            Numbers::F64(v) => ("F64", 8 * v.len()),
        }
    }

    /// Gives the bytes of the numbers, part by part.
    fn bytes<E>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut part = Vec::with_capacity(BUFFER);
        match &self.numbers {
            Numbers::F32(v) => v.chunks(BUFFER / 4).try_for_each(|numbers| {
                part.clear();
                numbers.iter().for_each(|x| part.extend(x.to_le_bytes()));
                take(&part)
            }),
            Numbers::F64(v) => v.chunks(BUFFER / 8).try_for_each(|numbers| {
                part.clear();
                numbers.iter().for_each(|x| part.extend(x.to_le_bytes()));
                take(&part)
            }),
        }
    }
}

/// Where the checksum's sixteen digits stand in the header.
fn checksum_digits(header: &str) -> Option<Range<usize>> {
    let key = "\"checksum\":\"";
    let start = header.find(key)? + key.len();
    let end = start + NO_CHECKSUM.len();
    (header.get(start..end).is_some() && header[end..].starts_with('"')).then_some(start..end)
}

/// Sum of all that stands before the numbers, the checksum's digits counted as zeros.
fn header_sum(header: &str, digits: Range<usize>) -> u64 {
    let length = (header.len() as u64).to_le_bytes();
    let parts = [&length, &header.as_bytes()[..digits.start], NO_CHECKSUM.as_bytes(), &header.as_bytes()[digits.end..]];
    parts.iter().fold(FNV_START, |h, part| fnv1a_from(h, part))
}

/// Writes `tensors` to `path`, whole or not at all.
pub fn write(path: &Path, tensors: &Tensors, metadata: &Metadata) -> Outcome<()> {
    prepare(path, tensors, metadata)?.commit()
}

/// A file that will be `path` when it is committed.
pub fn prepare(path: &Path, tensors: &Tensors, metadata: &Metadata) -> Outcome<AtomicFile> {
    let mut first = Map::new();
    first.insert("checksum".into(), json!(NO_CHECKSUM));
    first.insert("format_version".into(), json!(FORMAT_VERSION.to_string()));
    first.insert("pushforward_version".into(), json!(env!("CARGO_PKG_VERSION")));
    first.extend(metadata.iter().map(|(k, v)| (k.clone(), json!(v))));
    let mut header = Map::new();
    header.insert("__metadata__".into(), Value::Object(first));
    let mut end = 0;
    for (name, tensor) in tensors {
        let (dtype, size) = tensor.dtype();
        header
            .insert(name.clone(), json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": [end, end + size] }));
        end += size;
    }
    let mut header = Value::Object(header).to_string();
    // The data starts at a multiple of eight bytes, for readers that map the file into memory.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    if header.len() as u64 > MAX_HEADER {
        let (shown, size) = (path.display(), header.len());
        return Err(Failure::input(format!(
            "{shown} would need a header of {size} bytes, more than {MAX_HEADER}; give a shorter target"
        )));
    }
    let digits = checksum_digits(&header).expect("the header was built with a checksum");
    let mut sum = header_sum(&header, digits.clone());
    for tensor in tensors.values() {
        let Ok(()) = tensor.bytes(|part| -> Result<(), std::convert::Infallible> {
            sum = fnv1a_from(sum, part);
            Ok(())
        });
    }
    header.replace_range(digits, &format!("{sum:016x}"));
    let mut file = AtomicFile::create(path)?;
    file.write(&(header.len() as u64).to_le_bytes())?;
    file.write(header.as_bytes())?;
    tensors.values().try_for_each(|tensor| tensor.bytes(|part| file.write(part)))?;
    Ok(file)
}

/// Reads a file of ours back. Memory stays below the file's length and 16 MiB: the numbers go straight where they belong.
pub fn read(path: &Path) -> Outcome<(Tensors, Metadata)> {
    let file = crate::files::open(path)?;
    let found = file.metadata().map_err(|e| Failure::unreadable(path, &e))?;
    if !found.is_file() {
        return Err(Failure::input(format!("{} is not a regular file; give one that 'train' wrote", path.display())));
    }
    let length = found.len();
    memory::enough(length.into(), &format!("{}", path.display()), "the file is damaged or not ours")?;
    parse(file, length)
        .map_err(|why| Failure::input(format!("{}: {why}; the file is damaged or not ours", path.display())))
}

/// Reads the numbers twice: first for the checksum; only what passed it is interpreted.
fn parse(mut file: impl Read + Seek, length: u64) -> Result<(Tensors, Metadata), String> {
    let mut word = [0; 8];
    file.read_exact(&mut word).map_err(cut)?;
    let size = u64::from_le_bytes(word);
    if size > MAX_HEADER || size > length.saturating_sub(8) {
        return Err(format!("the header announces {size} bytes in a file of {length}"));
    }
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header).map_err(cut)?;
    let header = String::from_utf8(header).map_err(|_| "the header is not text".to_owned())?;
    let held = length - 8 - size;
    let digits = checksum_digits(&header).ok_or("the header has no checksum")?;
    let mut sum = header_sum(&header, digits.clone());
    parts(&mut file, held, |part| sum = fnv1a_from(sum, part))?;
    let sum = format!("{sum:016x}");
    if header[digits.clone()] != sum {
        return Err(format!("the checksum is {sum} but the header says {}", &header[digits]));
    }
    let Header { mut metadata, entries } = Header::parse(&header)?;
    drop(header);
    match metadata.get("format_version").and_then(|v| v.parse::<u32>().ok()) {
        Some(v) if v <= FORMAT_VERSION => {}
        v => return Err(format!("format version {v:?} is not one of 1 to {FORMAT_VERSION}; use a newer pushforward")),
    }
    metadata.remove("checksum");
    file.seek(SeekFrom::Start(8 + size)).map_err(cut)?;
    Ok((tensors(&mut file, held, entries)?, metadata))
}

fn cut(e: std::io::Error) -> String {
    format!("the file ends too early ({e})")
}

/// Reads `length` bytes, part by part.
fn parts(file: &mut impl Read, length: u64, mut take: impl FnMut(&[u8])) -> Result<(), String> {
    let mut buffer = vec![0; length.min(BUFFER as u64) as usize];
    let mut left = length;
    while left > 0 {
        let part = &mut buffer[..left.min(BUFFER as u64) as usize];
        file.read_exact(part).map_err(cut)?;
        take(part);
        left -= part.len() as u64;
    }
    Ok(())
}

/// The tensors in the order of their bytes, which must follow each other without gap or overlap and fill the file.
fn tensors(file: &mut impl Read, held: u64, mut entries: Vec<(String, Entry)>) -> Result<Tensors, String> {
    entries.sort_by_key(|(_, e)| e.data_offsets);
    let (mut out, mut at) = (Tensors::new(), 0);
    for (name, Entry { dtype, shape, data_offsets: [start, end] }) in entries {
        let bad = |why: String| Err(format!("tensor '{name}': {why}"));
        if start > end || end > held {
            return bad(format!("bytes {start} to {end} lie outside the file"));
        }
        if start != at {
            return bad(format!("it starts at byte {start}, not {at}: the tensors overlap or leave bytes unused"));
        }
        at = end;
        let width = match dtype.as_str() {
            "F32" => 4,
            "F64" => 8,
            _ => return bad(format!("number type {dtype:?} is not F32 or F64")),
        };
        let Sizes(shape) = shape;
        if shape.iter().try_fold(width, |n: u64, &s| n.checked_mul(s as u64)) != Some(end - start) {
            return bad(format!("shape {shape:?} does not fit {} bytes", end - start));
        }
        let count = ((end - start) / width) as usize;
        let numbers = if width == 4 {
            let mut v = Vec::with_capacity(count);
            parts(file, end - start, |part| v.extend(part.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))))?;
            Numbers::F32(v)
        } else {
            let mut v = Vec::with_capacity(count);
            parts(file, end - start, |part| v.extend(part.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b))))?;
            Numbers::F64(v)
        };
        out.insert(name, Tensor { shape, numbers });
    }
    if at != held { Err("the tensors leave bytes unused".into()) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn sample() -> (Tensors, Metadata) {
        let tensors = Tensors::from([
            (
                "layer.0.weight".into(),
                Tensor { shape: vec![2, 3], numbers: Numbers::F32(vec![1.0, -2.5, 3e-9, 0.0, 1e9, 7.0]) },
            ),
            ("scale".into(), Tensor { shape: vec![], numbers: Numbers::F64(vec![1.0 / 3.0]) }),
            ("empty".into(), Tensor { shape: vec![0, 4], numbers: Numbers::F64(vec![]) }),
        ]);
        (tensors, Metadata::from([("config".into(), r#"{"target":"gmm9","text":"\"checksum\":\"x"}"#.into())]))
    }

    /// Checks that tensors and metadata come back bit for bit.
    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let (tensors, metadata) = sample();
        write(&path, &tensors, &metadata).unwrap();
        let (t, m) = read(&path).unwrap();
        assert_eq!(t, tensors);
        assert_eq!(m["config"], metadata["config"]);
        assert_eq!(m["format_version"], "3");
    }

    /// Checks that every single flipped bit and every truncation of the file is refused (FNV-1a's steps are bijections, so this holds
    /// for any content), and so is a byte too many.
    #[test]
    fn every_flip_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let (tensors, metadata) = sample();
        write(&path, &tensors, &metadata).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(parse(Cursor::new(&whole), whole.len() as u64).is_ok());
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(Cursor::new(&bytes), bytes.len() as u64).is_err(), "bit {bit}");
        }
        for cut in 0..whole.len() {
            assert!(parse(Cursor::new(&whole[..cut]), cut as u64).is_err(), "cut at {cut}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(parse(Cursor::new(&longer), longer.len() as u64).is_err());
    }

    /// Checks that hostile headers with a *correct* checksum are refused too: overlap, gaps, overflow of sizes, huge lengths.
    #[test]
    fn hostile_headers() {
        let file = |tensors: &str, data: &[u8]| {
            let mut header =
                format!(r#"{{"__metadata__":{{"checksum":"{NO_CHECKSUM}","format_version":"1"}}{tensors}}}"#);
            let digits = checksum_digits(&header).unwrap();
            let sum = fnv1a_from(header_sum(&header, digits.clone()), data);
            header.replace_range(digits, &format!("{sum:016x}"));
            let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
            parse(Cursor::new(&bytes), bytes.len() as u64).map(|(t, _)| t.len())
        };
        let one = |name: &str, dtype: &str, shape: &str, at: &str| {
            format!(r#","{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{at}}}"#)
        };
        assert_eq!(file(&one("a", "F64", "[1]", "[0,8]"), &[0; 8]), Ok(1));
        let twice = one("a", "F64", "[1]", "[0,8]") + &one("b", "F64", "[1]", "[0,8]");
        for (tensors, data, word) in [
            (twice, &[0; 8][..], "overlap"),
            (one("a", "F64", "[1]", "[0,8]"), &[0; 16], "unused"),
            (one("a", "F64", "[1]", "[8,0]"), &[0; 8], "outside"),
            (one("a", "F64", "[1]", "[0,99]"), &[0; 8], "outside"),
            (one("a", "F64", "[4294967296,4294967296,2]", "[0,8]"), &[0; 8], "does not fit"),
            (one("a", "F64", "[-1]", "[0,8]"), &[0; 8], "-1"),
            (one("a", "I8", "[8]", "[0,8]"), &[0; 8], "I8"),
            (one("a", "F64", "1", "[0,8]"), &[0; 8], "sizes"),
            (",\"a\":7".into(), &[0; 8], "tensor"),
            (one("a", "F64", "[1]", "[0,8]") + &one("a", "F64", "[1]", "[0,8]"), &[0; 8], "twice"),
            (one("a", "F64", "[1,1,1,1,1,1,1,1,1]", "[0,8]"), &[0; 8], "at most 8"),
            (",\"__metadata__\":{}".into(), &[0; 8], "twice"),
        ] {
            let answer = file(&tensors, data);
            assert!(answer.as_ref().is_err_and(|e| e.contains(word)), "{tensors}: {answer:?}");
        }
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend([0; 64]);
        assert!(parse(Cursor::new(&bytes), 72).unwrap_err().contains("18446744073709551615"));
        assert!(parse(Cursor::new([b'{'; 8]), 8).is_err());
    }
}
