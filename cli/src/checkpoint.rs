//! Checkpoints: what a run is at one step, in a file with a checksum; the last good one is kept beside the newest.
//!
//! The file has the layout of model.safetensors. Its tensors are the state of the training (`matrix.…`, `double.…`), the curves so far
//! (`run.rows`) and the pictures so far (`run.picture.STEP`); its words are the counters, the wall time and the configuration.

use crate::failure::{Failure, Outcome};
use crate::files::safetensors;
use crate::report::{Frame, StepRow};
use crate::saved::{Saved, matrix, tensor};
use crate::training::Run;
use pushforward::linalg::Matrix;
use pushforward::num::{Shell, shell, strict};
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
const VERSION: &str = "1";

/// Columns of `run.rows`.
const COLUMNS: usize = 7;

/// What a run was when it stopped.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The state of the training.
    pub saved: Saved,
    /// The curves so far.
    pub steps: Vec<StepRow>,
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
    match shell() {
        _ if strict() => "strict",
        Shell::Portable => "portable",
        Shell::Avx2 | Shell::Avx512 => "fused",
    }
}

impl Checkpoint {
    /// That of a run as it is.
    pub fn of(run: &Run, config: &str) -> Self {
        let (steps, frames) = (run.steps.clone(), run.frames.clone());
        let arithmetic = arithmetic().into();
        Self { saved: run.saved.clone(), steps, frames, seconds: run.seconds, config: config.into(), arithmetic }
    }

    /// Writes the newest checkpoint of `folder`; the one that was the newest becomes the previous one. At every moment one of the two
    /// is whole.
    pub fn write(&self, folder: &Path) -> Outcome<()> {
        let (mut tensors, mut metadata) = (self.saved.tensors.clone(), self.saved.metadata.clone());
        tensors.insert("run.rows".into(), tensor(&pack(&self.steps)));
        for frame in &self.frames {
            tensors.insert(format!("run.picture.{}", frame.step), tensor(&frame.samples));
        }
        let seconds = self.seconds.to_string();
        let words = [
            ("checkpoint_version", VERSION),
            ("config", &self.config),
            ("seconds", &seconds),
            ("arithmetic", &self.arithmetic),
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
        let seconds = seconds.parse().map_err(|_| bad(format!("its wall time is '{seconds}'")))?;
        let rows = tensors.remove("run.rows").ok_or_else(|| bad("it has no 'run.rows'".into()))?;
        let steps = unpack(&matrix("run.rows", &rows)?).ok_or_else(|| bad("its curves are no curves".into()))?;
        let mut frames = Vec::new();
        for (name, t) in tensors.iter().filter(|(name, _)| name.starts_with("run.picture.")) {
            let step = name["run.picture.".len()..].parse().map_err(|_| bad(format!("'{name}' names no step")))?;
            frames.push(Frame { step, samples: matrix(name, t)? });
        }
        frames.sort_by_key(|f| f.step);
        tensors.retain(|name, _| !name.starts_with("run."));
        Ok(Self { saved: Saved { tensors, metadata }, steps, frames, seconds, config, arithmetic })
    }
}

/// The curves as numbers, one row a step.
fn pack(steps: &[StepRow]) -> Matrix {
    let row = |r: &StepRow| {
        let (step, skipped) = (r.step as f64, f64::from(u8::from(r.skipped)));
        [step, r.objective, r.rms_drift, r.bandwidth, r.mean_log_p, r.effective_samples, skipped]
    };
    Matrix::from_vec(steps.len(), COLUMNS, steps.iter().flat_map(row).collect())
}

fn unpack(rows: &Matrix) -> Option<Vec<StepRow>> {
    let step = |r: &[f64]| StepRow {
        step: r[0] as usize,
        objective: r[1],
        rms_drift: r[2],
        bandwidth: r[3],
        mean_log_p: r[4],
        effective_samples: r[5],
        skipped: r[6] != 0.0,
    };
    (rows.cols() == COLUMNS).then(|| rows.iter_rows().map(step).collect())
}
