//! `pushforward sample`: as many samples as wanted, in constant memory.

use crate::failure::{Failure, Outcome};
use crate::files::samples::{SampleWriter, format_of};
use crate::progress::Progress;
use crate::{interrupt, model};
use std::path::PathBuf;

/// Rows that are drawn and written at a time.
const BLOCK: u64 = 1 << 16;

/// Arguments of `sample`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run
    run: PathBuf,
    /// How many samples
    #[arg(short = 'n', long = "number")]
    number: u64,
    /// Key of the samples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write them: .npy (f8) or .csv
    #[arg(short, long)]
    output: PathBuf,
}

/// Draws and writes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    format_of(&arguments.output)?;
    if arguments.number == 0 {
        return Err(Failure::input("-n 0; ask for at least one sample"));
    }
    let model = model::load(&arguments.run.join("model.safetensors"))?;
    let mut writer = SampleWriter::create(&arguments.output, arguments.number, model.dim())?;
    interrupt::watch();
    let progress = Progress::new(arguments.number, "samples");
    for (block, start) in (0..arguments.number).step_by(BLOCK as usize).enumerate() {
        if interrupt::requested() {
            return Err(Failure::Interrupted(format!(
                "stopped by Ctrl-C; {} was not written",
                arguments.output.display()
            )));
        }
        let rows = (arguments.number - start).min(BLOCK);
        writer.push(&model.sample(rows as usize, arguments.seed, block as u64))?;
        progress.at(start + rows);
    }
    writer.finish()
}
