//! Checkpoints: what a run is at one step, in a file with a checksum; the last good one is kept beside the newest.
//!
//! The file has the layout of model.safetensors. Its tensors are the state of the run (`tensor.…`), the curves so far
//! (`run.rows`, named by `figures`) and the pictures so far (`run.picture.STEP`); its words are the counters, the wall time and the configuration.

use crate::curves::{Column, Curves, Row};
use crate::failure::{Failure, Outcome};
use crate::files::safetensors;
use crate::record::Frame;
use crate::saved::{Saved, matrix, tensor};
use pushforward::linalg::Matrix;
use pushforward::num::{InstructionSet, instruction_set, strict};
use std::path::Path;

/// The newest checkpoint of a run folder.
pub const NEWEST: &str = "checkpoint.safetensors";

/// The one before it.
pub const PREVIOUS: &str = "checkpoint.previous.safetensors";

/// A newest checkpoint that was found damaged.
const DAMAGED: &str = "checkpoint.damaged.safetensors";

/// All files of checkpoints.
pub const FILES: &[&str] = &[NEWEST, PREVIOUS, DAMAGED];

/// Version of a checkpoint's content; another is refused.
const VERSION: &str = "4";

/// What a run was when it stopped.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The state of the training.
    pub saved: Saved,
    /// The curves so far.
    pub curves: Curves,
    /// The pictures so far.
    pub frames: Vec<Frame>,
    /// Wall time so far.
    pub seconds: f64,
    /// The configuration that it belongs to, as JSON.
    pub config: String,
    /// How its kernels rounded, in a word; see [`arithmetic`].
    pub arithmetic: String,
}

/// How kernels round here: "fused" with AVX2 or AVX-512 (the same bits), "portable" without, "strict" where that is asked for.
pub fn arithmetic() -> &'static str {
    match instruction_set() {
        _ if strict() => "strict",
        InstructionSet::Portable => "portable",
        InstructionSet::Avx2 | InstructionSet::Avx512 => "fused",
    }
}

impl Checkpoint {
    /// Writes the newest checkpoint of `folder`; the one that was the newest becomes the previous one. At every moment one of the two
    /// is whole.
    pub fn write(&self, folder: &Path) -> Outcome<()> {
        let (mut tensors, mut metadata) = (self.saved.tensors.clone(), self.saved.metadata.clone());
        tensors.insert("run.rows".into(), tensor(&pack(&self.curves)));
        for frame in &self.frames {
            tensors.insert(format!("run.picture.{}", frame.step), tensor(&frame.samples));
        }
        let seconds = self.seconds.to_string();
        let words = [
            ("checkpoint_version", VERSION),
            ("config", &self.config),
            ("seconds", &seconds),
            ("arithmetic", &self.arithmetic),
            ("figures", &figures(&self.curves)),
        ];
        metadata.extend(words.map(|(key, word)| (key.to_owned(), word.to_owned())));
        let file = safetensors::prepare(&folder.join(NEWEST), &tensors, &metadata)?;
        match std::fs::rename(folder.join(NEWEST), folder.join(PREVIOUS)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::io("rename the last checkpoint in", folder, &e))
            }
            _ => file.commit(),
        }
    }

    /// The newest checkpoint of `folder` that is whole; None where there is none at all. What is damaged is told to `note` and moved
    /// out of the way, so that it never takes the place of the previous one.
    pub fn read(folder: &Path, note: &mut dyn FnMut(String)) -> Outcome<Option<Self>> {
        Self::find(folder, note, &|path| drop(std::fs::rename(path, folder.join(DAMAGED))))
    }

    /// The same, and nothing in the folder changes.
    pub fn peek(folder: &Path, note: &mut dyn FnMut(String)) -> Outcome<Option<Self>> {
        Self::find(folder, note, &|_| ())
    }

    fn find(folder: &Path, note: &mut dyn FnMut(String), damaged: &dyn Fn(&Path)) -> Outcome<Option<Self>> {
        let mut found = false;
        for name in [NEWEST, PREVIOUS] {
            let path = folder.join(name);
            if path.symlink_metadata().is_err() {
                continue;
            }
            match Self::read_file(&path) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(failure) => note(format!("{failure}; it was left out")),
            }
            damaged(&path);
            found = true;
        }
        if !found {
            return Ok(None);
        }
        let place = folder.display();
        let remedy = format!("start again with --config {place}/config.toml --out NEW");
        Err(Failure::input(format!("{place} holds no checkpoint that is whole; {remedy}")))
    }

    fn read_file(path: &Path) -> Outcome<Self> {
        let (mut tensors, mut metadata) = safetensors::read(path)?;
        let bad = |why: String| Failure::input(format!("{}: {why}; this is no checkpoint", path.display()));
        let mut word = |key: &str| metadata.remove(key).ok_or_else(|| bad(format!("it has no '{key}'")));
        let version = word("checkpoint_version")?;
        if version != VERSION {
            return Err(bad(format!("it has version {version}, not {VERSION}")));
        }
        let (config, seconds, arithmetic) = (word("config")?, word("seconds")?, word("arithmetic")?);
        let figures = word("figures")?;
        let seconds = seconds.parse().map_err(|_| bad(format!("its wall time is '{seconds}'")))?;
        let rows = tensors.remove("run.rows").ok_or_else(|| bad("it has no 'run.rows'".into()))?;
        let curves =
            unpack(&figures, &matrix("run.rows", &rows)?).ok_or_else(|| bad("its curves are no curves".into()))?;
        let mut frames = Vec::new();
        for (name, t) in tensors.iter().filter(|(name, _)| name.starts_with("run.picture.")) {
            let step = name["run.picture.".len()..].parse().map_err(|_| bad(format!("'{name}' names no step")))?;
            frames.push(Frame { step, samples: matrix(name, t)? });
        }
        frames.sort_by_key(|f| f.step);
        tensors.retain(|name, _| !name.starts_with("run."));
        Ok(Self { saved: Saved { tensors, metadata }, curves, frames, seconds, config, arithmetic })
    }
}

/// The names of the curves, as JSON.
fn figures(curves: &Curves) -> String {
    let names: Vec<[&str; 2]> = curves.columns.iter().map(|c| [c.key.as_str(), c.label.as_str()]).collect();
    serde_json::to_string(&names).expect("words are JSON")
}

/// The curves as numbers, one row a step: the step, whether it was left out, and its figures.
fn pack(curves: &Curves) -> Matrix {
    let width = curves.columns.len();
    let row = |r: &Row| {
        let figures = (0..width).map(|k| r.values.get(k).copied().unwrap_or(f64::NAN));
        [r.step as f64, f64::from(u8::from(r.skipped))].into_iter().chain(figures).collect::<Vec<f64>>()
    };
    Matrix::from_vec(curves.rows.len(), 2 + width, curves.rows.iter().flat_map(row).collect())
}

fn unpack(figures: &str, rows: &Matrix) -> Option<Curves> {
    let names: Vec<[String; 2]> = serde_json::from_str(figures).ok()?;
    let columns: Vec<Column> = names.into_iter().map(|[key, label]| Column { key, label }).collect();
    let row = |r: &[f64]| Row { step: r[0] as usize, skipped: r[1] != 0.0, values: r[2..].to_vec() };
    (rows.cols() == 2 + columns.len()).then(|| Curves { rows: rows.iter_rows().map(row).collect(), columns })
}
