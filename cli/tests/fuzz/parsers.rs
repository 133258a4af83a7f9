//! The parsers of the command, each with good inputs to start from.

use pushforward::density::Affine;
use pushforward::linalg::Matrix;
use pushforward::model::flow::{Architecture, CouplingKind, Flow};
use pushforward::model::{Generator, Latent};
use pushforward_cli::checkpoint::{Checkpoint, NEWEST};
use pushforward_cli::files::csv::CsvReader;
use pushforward_cli::files::npy::{Dtype, NpyReader, NpyWriter};
use pushforward_cli::files::npz::{self, NpzWriter};
use pushforward_cli::files::safetensors;
use pushforward_cli::model::{self, Model};
use pushforward_cli::training::{Job, Unwatched, train};
use pushforward_cli::{config, results, target};
use std::fs;
use std::path::Path;

/// A parser and what to feed it.
pub struct Parser {
    /// Its name.
    pub name: &'static str,
    /// Good inputs.
    pub seeds: Vec<Vec<u8>>,
    /// Words that mean something to it.
    pub words: &'static [&'static str],
    /// Bytes of memory that a byte of input may take.
    pub share: usize,
    /// Parses; whether the input was accepted.
    pub parse: fn(&[u8], &Path) -> bool,
}

/// All of them.
pub fn parsers() -> Vec<Parser> {
    let (model, checkpoint) = (small_model(), small_checkpoint("kde"));
    let binary = vec![model.clone(), checkpoint.clone(), small_flow(), small_checkpoint("flow")];
    vec![
        Parser { name: "target", seeds: targets(), words: TARGET_WORDS, share: 400, parse: parse_target },
        Parser { name: "formula", seeds: formulas(), words: FORMULA_WORDS, share: 400_000, parse: parse_formula },
        Parser { name: "config", seeds: configs(), words: CONFIG_WORDS, share: 400, parse: parse_config },
        Parser { name: "set", seeds: settings(), words: CONFIG_WORDS, share: 4_000, parse: parse_setting },
        Parser { name: "csv", seeds: tables(), words: &["x1,x2\n", "1e308,2\n"], share: 64, parse: parse_csv },
        Parser {
            name: "data",
            seeds: data(),
            words: &["x1,x2,y\n", "1,2,0\n", "1,2,1\n"],
            share: 128,
            parse: parse_data,
        },
        Parser { name: "npy", seeds: arrays(), words: NPY_WORDS, share: 2, parse: parse_npy },
        Parser { name: "npz", seeds: archives(), words: NPY_WORDS, share: 2, parse: parse_npz },
        Parser { name: "safetensors", seeds: binary.clone(), words: TENSOR_WORDS, share: 1, parse: parse_tensors },
        Parser { name: "model", seeds: vec![model, small_flow()], words: TENSOR_WORDS, share: 8, parse: parse_model },
        Parser {
            name: "checkpoint",
            seeds: vec![checkpoint, binary[3].clone()],
            words: TENSOR_WORDS,
            share: 4,
            parse: parse_checkpoint,
        },
    ]
}

const TARGET_WORDS: &[&str] = &[
    "kind = \"gaussian-mixture\"\n",
    "weights",
    "means",
    "covariances",
    "std = 1\n",
    "std = [1, 2]\n",
    "weights = [1, 1]\n",
    "[[1.0, 0.0], [0.0, 1.0]]",
];
const FORMULA_WORDS: &[&str] = &[
    "x1",
    "x[1:2]",
    "x[dim]",
    "sum(i, 1, dim, x[i])",
    "sum(i, 1, 1000000000, i)",
    "sum(j, 1, 3, sum(i, 1, j, x1))",
    "vector(i, 1, 2, x[i])",
    "logsumexp(x)",
    "normal_lpdf(x, 0, 1)",
    "dot(A, x)",
    "a = x1; ",
    "exp(",
    "-(",
    "^2",
    "/0",
    "\"positive\"",
    "\"simplex\"",
    "[0, 1]",
    "dim = 3\n",
];
const CONFIG_WORDS: &[&str] = &[
    "target",
    "steps",
    "hidden = [0]",
    "hidden = [9999999999]",
    "precision",
    "\"f64\"",
    "centre",
    "scale",
    "draws",
    "codes",
    "[target]\n",
    "anneal",
];
const NPY_WORDS: &[&str] = &[
    "'descr': '<f4'",
    "'descr': '>f8'",
    "'shape': (1099511627776, 8)",
    "'shape': (0, 1)",
    "'shape': ()",
    "(2, 0)",
    "'fortran_order': True",
    "\x02\x00",
    "\x03\x00",
];
const TENSOR_WORDS: &[&str] = &[
    "\"F64\"",
    "\"F32\"",
    "\"shape\":[1099511627776,8]",
    "\"data_offsets\":[0,8]",
    "\"__metadata__\"",
    "\"hidden\":\"[9999999,9999999]\"",
    "nan",
];

fn folder_of(path: &str, ending: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap().map(|e| e.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == ending)).collect();
    paths.sort();
    // very long ones would make every execution slow
    paths.iter().map(|p| fs::read(p).unwrap()).filter(|bytes| bytes.len() < 4_000).collect()
}

fn targets() -> Vec<Vec<u8>> {
    let mut seeds = folder_of("../examples/targets", "toml");
    seeds.push(b"kind = \"gaussian-mixture\"\nweights = [1]\nmeans = [[0]]\nstd = 1\n".to_vec());
    seeds
}

/// Targets by a formula alone: those that are shipped, and one with every kind of constant, index and support.
fn formulas() -> Vec<Vec<u8>> {
    let mut seeds = targets();
    seeds.retain(|text| text.windows(9).any(|w| w == b"\"formula\""));
    let all = "kind = \"formula\"\ndim = 4\nlog_density = \"\"\"\nm = vector(i, 1, 2, x[i]*b[i]);\n\
        -0.5*dot(m, dot(A, m)) + sum(i, 1, dim - 1, -abs(x[i+1] - x[i])^1.5) + logsumexp([x1, 2]) - max(x3, 0)/c\n\"\"\"\n\
        [constants]\nc = 2\nb = [1, 2]\nA = [[2, 0.5], [0.5, 1]]\n[support]\nx3 = \"positive\"\nx4 = [0, 1]\n";
    seeds.push(all.into());
    seeds
}

/// Most numbers that a formula is evaluated over: beyond that it is only compiled.
const EVALUATED: usize = 50;

fn parse_formula(bytes: &[u8], _: &Path) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(target) = target::of_text("t", "t.toml", Path::new("/nonexistent"), text, &mut |_| ()) else { return false };
    let d = target.density.dim();
    if d <= EVALUATED {
        let x = Matrix::from_fn(2, d, |i, j| i as f64 - 0.3 * j as f64);
        target.density.evaluate_into(&x, &mut [0.0; 2], &mut Matrix::zeros(2, d));
    }
    true
}

fn parse_target(bytes: &[u8], _: &Path) -> bool {
    std::str::from_utf8(bytes)
        .is_ok_and(|text| target::of_text("t", "t.toml", Path::new("/nonexistent"), text, &mut |_| ()).is_ok())
}

const CONFIG: &str = "format = 2\ntarget = \"gmm9\"\nmethod = \"kde\"\nthreads = 2\n[run]\nsteps = 20\nseed = 7\nprecision = \"f64\"\n\
    [search]\ncentre = [0.0, 1.0]\nscale = 2.0\n[model]\nkind = \"generator\"\nbatch = 64\ncodes = 8\nhidden = [8, 8]\nlearning_rate = 1e-3\n\
    reaction = 0.1\n[velocity]\nkind = \"drift\"\ndivergence = \"le-cam\"\nclip = 3.0\ndraws = 4\n[estimator]\nkind = \"kde\"\nsample = 128\n\
    bandwidth_start = 1.0\nbandwidth_end = 0.1\nanneal = 0.5\nneighbours = 9.0\n";

fn configs() -> Vec<Vec<u8>> {
    let own =
        b"format = 2\n[run]\nsteps = 10\n[target]\nkind = \"gaussian-mixture\"\nweights = [1, 2]\nmeans = [[0, 0], [1, 1]]\nstd = 1\n";
    vec![CONFIG.into(), own.to_vec()]
}

fn parse_config(bytes: &[u8], folder: &Path) -> bool {
    let path = folder.join("c.toml");
    fs::write(&path, bytes).unwrap();
    let Ok(config) = config::merge(Some(&path), toml::Table::new(), &[]) else { return false };
    let gmm9 = target::load("gmm9", &mut |_| ()).unwrap();
    config.method(&gmm9).is_ok_and(|method| !config.text(&method, None).is_empty())
}

fn settings() -> Vec<Vec<u8>> {
    CONFIG.lines().filter(|line| line.contains(" = ")).map(|line| line.replace(" = ", "=").into_bytes()).collect()
}

fn parse_setting(bytes: &[u8], _: &Path) -> bool {
    let flags = toml::toml! { target = "gmm9" };
    std::str::from_utf8(bytes).is_ok_and(|text| config::merge(None, flags, &[text.to_string()]).is_ok())
}

fn tables() -> Vec<Vec<u8>> {
    vec![b"x1,x2\n0,1\n1.5e3,-2\n\n3,4\n".to_vec(), b"1\n2\n3\n".to_vec(), b"1,2,3,4,5\r\n6,7,8,9,10\r\n".to_vec()]
}

fn parse_csv(bytes: &[u8], folder: &Path) -> bool {
    let path = folder.join("x.csv");
    fs::write(&path, bytes).unwrap();
    CsvReader::open(&path).and_then(|mut r| r.read_block(usize::MAX)).is_ok()
}

fn arrays() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let write = |rows: usize, cols: usize, dtype: Dtype| {
        let mut w = NpyWriter::create(&path, rows as u64, cols, dtype).unwrap();
        w.push(&Matrix::from_fn(rows, cols, |i, j| (i * cols + j) as f64)).unwrap();
        w.finish().unwrap();
        fs::read(&path).unwrap()
    };
    vec![write(3, 2, Dtype::F64), write(4, 1, Dtype::F32), write(0, 3, Dtype::F64)]
}

fn parse_npy(bytes: &[u8], folder: &Path) -> bool {
    let path = folder.join("x.npy");
    fs::write(&path, bytes).unwrap();
    NpyReader::open(&path).and_then(|mut r| r.read_block(usize::MAX)).is_ok()
}

/// Small tables for a regression.
fn data() -> Vec<Vec<u8>> {
    vec![b"x1,x2,y\n0.5,1,0\n1.5e3,-2,1\n3,4,1\n2,2,0\n".to_vec(), b"1,0\n2,1\n3,0\n".to_vec()]
}

fn parse_data(bytes: &[u8], folder: &Path) -> bool {
    fs::write(folder.join("d.csv"), bytes).unwrap();
    let read = |kind: &str| {
        let text = format!("kind = \"{kind}-regression\"\ndata = \"d.csv\"\n");
        target::of_text("t", "t.toml", folder, &text, &mut |_| ())
    };
    let found = [read("logistic"), read("linear")];
    let finite = |t: &target::Target| t.density.log_density(&Matrix::zeros(1, t.density.dim())).len() == 1;
    found.iter().filter_map(|t| t.as_ref().ok()).filter(|t| t.density.dim() < 1_000 && finite(t)).count() > 0
}

fn archives() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let write = |names: &[&str], rows: usize| {
        let mut w = NpzWriter::create(&path).unwrap();
        for name in names {
            w.array(name, rows as u64, 2).unwrap();
            w.push(&Matrix::from_fn(rows, 2, |i, j| (i * 2 + j) as f64)).unwrap();
        }
        w.finish().unwrap();
        fs::read(&path).unwrap()
    };
    vec![write(&["samples", "log_density"], 3), write(&["x"], 1), write(&["samples"], 0)]
}

fn parse_npz(bytes: &[u8], folder: &Path) -> bool {
    let path = folder.join("x.npz");
    fs::write(&path, bytes).unwrap();
    npz::read(&path).is_ok()
}

/// A flow of a few numbers as its file.
fn small_flow() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let coupling = CouplingKind::Spline { bins: 2, reach: 3.0 };
    let architecture = Architecture { coupling, couplings: 2, hidden: vec![2], components: 2, given: 0 };
    let flow: Flow<f64> = Flow::new(Affine::new(vec![0.0, 1.0], 2.0).unwrap(), architecture, 1);
    model::save(&path, &Model::Flow(Box::new(flow)), "{}").unwrap();
    fs::read(&path).unwrap()
}

/// A model of a few numbers as its file.
fn small_model() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.safetensors");
    let latent = Latent::Codes { logits: vec![0.0, 1.0] };
    let generator: Generator<f32> = Generator::new(Affine::new(vec![0.0, 1.0], 2.0).unwrap(), latent, &[3], 1);
    model::save(&path, &Model::F32(generator), "{}").unwrap();
    fs::read(&path).unwrap()
}

/// A checkpoint of a small training by `method` as its file.
pub fn small_checkpoint(method: &str) -> Vec<u8> {
    let mut flags = toml::toml! {
        target = "gmm9"
        steps = 2
        batch = 4
        hidden = [2]
        centre = [0.0, 0.0]
        scale = 5.0
    };
    flags.insert("method".into(), method.into());
    let more: &[(&str, i64)] =
        if method == "kde" { &[("sample", 8), ("codes", 2)] } else { &[("couplings", 2), ("components", 2)] };
    flags.extend(more.iter().map(|(key, value)| (key.to_string(), toml::Value::Integer(*value))));
    let config = config::merge(None, flags, &[]).unwrap();
    let target = target::load("gmm9", &mut |_| ()).unwrap();
    let job = Job::new(target, config).unwrap();
    let (mut run, _) = train(&job, None, &mut Unwatched).unwrap();
    run.frames.iter_mut().for_each(|f| f.samples = f.samples.slice_rows(0..2));
    let folder = tempfile::tempdir().unwrap();
    run.checkpoint(&results::config_json(&job)).write(folder.path()).unwrap();
    fs::read(folder.path().join(NEWEST)).unwrap()
}

/// FNV-1a over a file of the safetensors layout with its digits counted as zeros, written out from the definition; the file with this
/// checksum, so that damage comes past the door. Files without a readable header stay as they are.
pub fn repaired(bytes: &[u8]) -> Vec<u8> {
    let key = b"\"checksum\":\"";
    let mut out = bytes.to_vec();
    let Some(at) = bytes.windows(key.len()).position(|w| w == key).map(|at| at + key.len()) else { return out };
    if bytes.len() < at + 16 || at < 8 {
        return out;
    }
    // the length in front is that of the header where it is JSON still; numbers behind it may have braces too
    let mut values = serde_json::Deserializer::from_slice(&bytes[8..]).into_iter::<serde_json::Value>();
    let whole = values.next().is_some_and(|value| value.is_ok());
    if let Some(end) = whole.then(|| 8 + values.byte_offset()) {
        let padded = 8 + (end - 8).next_multiple_of(8);
        if padded <= bytes.len() && bytes[end..padded].iter().all(|b| *b == b' ') {
            out[..8].copy_from_slice(&(padded as u64 - 8).to_le_bytes());
        } else {
            out[..8].copy_from_slice(&(end as u64 - 8).to_le_bytes());
        }
    }
    out[at..at + 16].fill(b'0');
    let sum = out.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    out[at..at + 16].copy_from_slice(format!("{sum:016x}").as_bytes());
    out
}

/// Writes the input, with its checksum repaired in two cases of three, and reads it.
fn as_file(bytes: &[u8], path: &Path) {
    let repair = bytes.iter().map(|&b| usize::from(b)).sum::<usize>() % 3 > 0;
    fs::write(path, if repair { repaired(bytes) } else { bytes.to_vec() }).unwrap();
}

fn parse_tensors(bytes: &[u8], folder: &Path) -> bool {
    let path = folder.join("t.safetensors");
    as_file(bytes, &path);
    safetensors::read(&path).is_ok()
}

fn parse_model(bytes: &[u8], folder: &Path) -> bool {
    let path = folder.join("m.safetensors");
    as_file(bytes, &path);
    model::load(&path).is_ok_and(|m| m.sample(2, 0, 0).cols() == m.dim())
}

fn parse_checkpoint(bytes: &[u8], folder: &Path) -> bool {
    as_file(bytes, &folder.join(NEWEST));
    let checkpoint = Checkpoint::read(folder, &mut |_| ());
    checkpoint.is_ok_and(|c| c.is_some_and(|c| c.saved.state().is_ok()))
}
