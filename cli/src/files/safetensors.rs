//! Weights in the safetensors layout: eight bytes of header length, a JSON header, the numbers.
//!
//! Layout: <https://github.com/huggingface/safetensors#format>. `__metadata__` carries our format version, the library's version,
//! whatever the caller adds (the configuration as JSON) and a checksum over *all* bytes of the file except its own digits.

use crate::failure::{Failure, Outcome};
use crate::files::atomic::AtomicFile;
use crate::files::{FNV_START, fnv1a_from};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Version of what we put into the file; a reader refuses later ones.
pub const FORMAT_VERSION: u32 = 1;

/// Longest header that is read.
const MAX_HEADER: u64 = 4 << 20;

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

    fn bytes(&self) -> Vec<u8> {
        match &self.numbers {
            Numbers::F32(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Numbers::F64(v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

/// Where the checksum's sixteen digits stand in the header.
fn checksum_digits(header: &str) -> Option<std::ops::Range<usize>> {
    let key = "\"checksum\":\"";
    let start = header.find(key)? + key.len();
    let end = start + NO_CHECKSUM.len();
    (header.get(start..end).is_some() && header[end..].starts_with('"')).then_some(start..end)
}

/// Checksum of a file whose checksum digits count as zeros.
fn checksum(header: &str, digits: std::ops::Range<usize>, data: &[u8]) -> String {
    let length = (header.len() as u64).to_le_bytes();
    let parts =
        [&length, &header.as_bytes()[..digits.start], NO_CHECKSUM.as_bytes(), &header.as_bytes()[digits.end..], data];
    format!("{:016x}", parts.iter().fold(FNV_START, |h, part| fnv1a_from(h, part)))
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
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let (dtype, size) = tensor.dtype();
        let offsets = [data.len(), data.len() + size];
        header.insert(name.clone(), json!({ "dtype": dtype, "shape": tensor.shape, "data_offsets": offsets }));
        data.extend(tensor.bytes());
    }
    let mut header = Value::Object(header).to_string();
    // The data starts at a multiple of eight bytes, for readers that map the file into memory.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let digits = checksum_digits(&header).expect("the header was built with a checksum");
    let sum = checksum(&header, digits.clone(), &data);
    header.replace_range(digits, &sum);
    let mut file = AtomicFile::create(path)?;
    file.write(&(header.len() as u64).to_le_bytes())?;
    file.write(header.as_bytes())?;
    file.write(&data)?;
    Ok(file)
}

/// Reads a file of ours back; memory stays below twice the file's length and 16 MiB.
pub fn read(path: &Path) -> Outcome<(Tensors, Metadata)> {
    let file = File::open(path).map_err(|e| Failure::unreadable(path, &e))?;
    let length = file.metadata().map_err(|e| Failure::unreadable(path, &e))?.len();
    parse(file, length)
        .map_err(|why| Failure::input(format!("{}: {why}; the file is damaged or not ours", path.display())))
}

fn parse(mut file: impl Read, length: u64) -> Result<(Tensors, Metadata), String> {
    let cut = |e: std::io::Error| format!("the file ends too early ({e})");
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
    let mut data = Vec::new();
    file.take(held).read_to_end(&mut data).map_err(cut)?;
    if data.len() as u64 != held {
        return Err(format!("{held} bytes of numbers were expected and {} found", data.len()));
    }
    let digits = checksum_digits(&header).ok_or("the header has no checksum")?;
    let sum = checksum(&header, digits.clone(), &data);
    if header[digits.clone()] != sum {
        return Err(format!("the checksum is {sum} but the header says {}", &header[digits]));
    }
    interpret(&header, &data)
}

fn interpret(header: &str, data: &[u8]) -> Result<(Tensors, Metadata), String> {
    let header: BTreeMap<String, Value> =
        serde_json::from_str(header).map_err(|e| format!("the header is not JSON ({e})"))?;
    let (mut tensors, mut metadata, mut spans) = (Tensors::new(), Metadata::new(), Vec::new());
    for (name, entry) in header {
        if name == "__metadata__" {
            metadata = serde_json::from_value(entry).map_err(|e| format!("__metadata__ is not text by key ({e})"))?;
            continue;
        }
        let (tensor, span) = one_tensor(&entry, data).map_err(|why| format!("tensor '{name}': {why}"))?;
        spans.push(span);
        tensors.insert(name, tensor);
    }
    match metadata.get("format_version").and_then(|v| v.parse::<u32>().ok()) {
        Some(v) if v <= FORMAT_VERSION => {}
        v => return Err(format!("format version {v:?} is not one of 1 to {FORMAT_VERSION}; use a newer pushforward")),
    }
    spans.sort_unstable();
    let gapless = spans.iter().try_fold(0, |at, &(start, end)| (start == at).then_some(end));
    if gapless != Some(data.len()) {
        return Err("the tensors overlap or leave bytes unused".into());
    }
    metadata.remove("checksum");
    Ok((tensors, metadata))
}

fn one_tensor(entry: &Value, data: &[u8]) -> Result<(Tensor, (usize, usize)), String> {
    let whole = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok());
    let list = |key: &str| -> Result<Vec<usize>, String> {
        let values = entry.get(key).and_then(Value::as_array).ok_or(format!("no list '{key}'"))?;
        values.iter().map(whole).collect::<Option<_>>().ok_or(format!("'{key}' holds something that is not a size"))
    };
    let shape = list("shape")?;
    let [start, end] = list("data_offsets")?[..] else { return Err("'data_offsets' needs two numbers".into()) };
    let bytes = data.get(start..end).ok_or(format!("bytes {start} to {end} lie outside the file"))?;
    let width = match entry.get("dtype").and_then(Value::as_str) {
        Some("F32") => 4,
        Some("F64") => 8,
        other => return Err(format!("number type {other:?} is not F32 or F64")),
    };
    let wanted = shape.iter().try_fold(width, |n: usize, &s| n.checked_mul(s));
    if wanted != Some(bytes.len()) {
        return Err(format!("shape {shape:?} does not fit {} bytes", bytes.len()));
    }
    let numbers = if width == 4 {
        Numbers::F32(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    } else {
        Numbers::F64(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
    };
    Ok((Tensor { shape, numbers }, (start, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// Proves that tensors and metadata come back bit for bit.
    #[test]
    fn round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let (tensors, metadata) = sample();
        write(&path, &tensors, &metadata).unwrap();
        let (t, m) = read(&path).unwrap();
        assert_eq!(t, tensors);
        assert_eq!(m["config"], metadata["config"]);
        assert_eq!(m["format_version"], "1");
    }

    /// Proves that every single flipped bit and every truncation of the file is refused (FNV-1a's steps are bijections, so this holds
    /// for any content), and so is a byte too many.
    #[test]
    fn every_flip_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let (tensors, metadata) = sample();
        write(&path, &tensors, &metadata).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(parse(&whole[..], whole.len() as u64).is_ok());
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bytes[..], bytes.len() as u64).is_err(), "bit {bit}");
        }
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut], cut as u64).is_err(), "cut at {cut}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(parse(&longer[..], longer.len() as u64).is_err());
    }

    /// Proves that hostile headers with a *correct* checksum are refused too: overlap, gaps, overflow of sizes, huge lengths.
    #[test]
    fn hostile_headers() {
        let file = |tensors: &str, data: &[u8]| {
            let mut header =
                format!(r#"{{"__metadata__":{{"checksum":"{NO_CHECKSUM}","format_version":"1"}}{tensors}}}"#);
            let digits = checksum_digits(&header).unwrap();
            let sum = checksum(&header, digits.clone(), data);
            header.replace_range(digits, &sum);
            let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
            parse(&bytes[..], bytes.len() as u64).map(|(t, _)| t.len())
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
            (one("a", "F64", "[-1]", "[0,8]"), &[0; 8], "not a size"),
            (one("a", "I8", "[8]", "[0,8]"), &[0; 8], "I8"),
            (one("a", "F64", "1", "[0,8]"), &[0; 8], "no list"),
            (",\"a\":7".into(), &[0; 8], "no list"),
        ] {
            let answer = file(&tensors, data);
            assert!(answer.as_ref().is_err_and(|e| e.contains(word)), "{tensors}: {answer:?}");
        }
        let mut bytes = u64::MAX.to_le_bytes().to_vec();
        bytes.extend([0; 64]);
        assert!(parse(&bytes[..], 72).unwrap_err().contains("18446744073709551615"));
        assert!(parse(&[b'{'; 8][..], 8).is_err());
    }
}
