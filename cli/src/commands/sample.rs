//! `pushforward sample`: as many samples as wanted, in constant memory.

use crate::conditions::condition;
use crate::failure::{Failure, Outcome};
use crate::files::samples::{SampleWriter, format_of, read_samples};
use crate::memory;
use crate::model::Model;
use crate::opened::Opened;
use crate::progress::Progress;
use crate::report::{count, number};
use crate::target::coordinates::Coordinates;
use crate::target::words;
use crate::terminal::note;
use pushforward::density::Density;
use pushforward::model::flow::Given;
use pushforward::search::{Polish, PolishReport};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Samples in the pilot that finds the step of a polish, and their block, which no output uses.
const PILOT: usize = 1_000;
const PILOT_BLOCK: u64 = 1 << 40;

/// Arguments of `sample`.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a run
    run: PathBuf,
    /// How many samples
    #[arg(
        short = 'n',
        long = "number",
        required_unless_present = "source",
        default_value_t = 0,
        hide_default_value = true
    )]
    number: u64,
    /// Carry each of these points (.npy, .npz or .csv) in place of drawing: for a generator of train --source
    #[arg(long, value_name = "FILE", conflicts_with_all = ["number", "seed", "polish", "exact"])]
    source: Option<PathBuf>,
    /// Draw from the law given the first coordinates: of a flow on a target with conditions, such as kind = "temperatures" or "preferences"
    #[arg(long, value_name = "NAME=VALUE", conflicts_with_all = ["source", "polish", "exact"])]
    given: Vec<String>,
    /// Draw this class alone, by its number in the label column: for a generator of labelled samples
    #[arg(long, value_name = "K", allow_negative_numbers = true, conflicts_with_all = ["source", "polish", "exact"])]
    label: Option<f64>,
    /// How far beyond its class, away from all others: the mean of the class moves by G times its distance from the mean of all
    #[arg(long, value_name = "G", requires = "label", default_value_t = 0.0, hide_default_value = true)]
    guidance: f64,
    /// Key of the samples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write them: .npy, .npz (f8) or .csv
    #[arg(short, long)]
    output: PathBuf,
    /// Steps of a Markov chain (MALA) that each sample takes after the one-step map; repairs shapes within modes, not masses
    #[arg(long, value_name = "K", default_value_t = 0)]
    polish: u64,
    /// Draw from p itself: the model's density proposes, rejection decides; refused where its weights have no bound
    #[arg(long, conflicts_with = "polish")]
    exact: bool,
}

/// Pairs of chains behind the means that are printed beside exact draws, and the most coordinates that are shown.
const REPEATS: usize = 1_000;
const SHOWN: usize = 12;

/// A polish at work.
struct Polisher {
    density: Arc<dyn Density>,
    polish: Polish,
    steps: u64,
    total: PolishReport,
}

/// Draws and writes.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    format_of(&arguments.output)?;
    if let Some(source) = &arguments.source {
        return carry(arguments, source);
    }
    if arguments.number == 0 {
        return Err(Failure::input("-n 0; ask for at least one sample"));
    }
    let run = Opened::open(&arguments.run, arguments.polish > 0 || arguments.exact)?;
    let model = &run.model;
    if let Some(most) = model.most_samples().filter(|most| arguments.number > *most) {
        return Err(Failure::input(format!(
            "-n {}; the run holds {most} particles and can draw no more: ask for at most {most}, or train a generator along the same velocity",
            arguments.number
        )));
    }
    if arguments.exact {
        return exact(arguments, &run);
    }
    let class = class(arguments, model)?;
    let block = model.block_rows();
    model.fits_memory(block)?;
    let coordinates = run.coordinates()?;
    let given = given(arguments, model, &coordinates)?;
    let mut polisher = (arguments.polish > 0).then(|| Polisher::new(arguments, &run)).transpose()?;
    let mut writer = SampleWriter::output(&arguments.output, arguments.number, &coordinates.names())?;
    coordinates.note().into_iter().for_each(note);
    let mut unfinite = vec![0u64; coordinates.dim()];
    let progress = Progress::new(arguments.number, "samples");
    // a polished sample costs as much as many, so that the bar needs smaller blocks; the samples depend on the block
    // only
    let part = if polisher.is_some() { (block / 16).max(1) } else { block };
    for (number, start) in (0..arguments.number).step_by(block as usize).enumerate() {
        let rows = (arguments.number - start).min(block);
        let drawn = match (&given, class) {
            (Some(given), _) => given.sample(rows as usize, arguments.seed, number as u64).0,
            (None, Some(class)) => model.sample_class(rows as usize, class, arguments.seed, number as u64),
            (None, None) => model.sample(rows as usize, arguments.seed, number as u64),
        };
        for first in (0..rows).step_by(part as usize) {
            let last = (first + part).min(rows);
            let mut samples = drawn.slice_rows(first as usize..last as usize);
            if let Some(polisher) = &mut polisher {
                polisher.run(&mut samples, arguments.seed, (start + first) / part)?;
            }
            let samples = coordinates.constrain(samples)?;
            for row in samples.iter_rows() {
                row.iter().zip(&mut unfinite).for_each(|(v, count)| *count += u64::from(!v.is_finite()));
            }
            if unfinite[..coordinates.parameters()].iter().any(|count| *count > 0) {
                return Err(Failure::input("a sample is not finite; this model or its target's library is damaged"));
            }
            writer.push(&samples)?;
            progress.at(start + last);
        }
    }
    drop(progress);
    writer.finish()?;
    note(format!(
        "{} samples of {} columns written to {}",
        count(arguments.number as usize),
        coordinates.dim(),
        arguments.output.display()
    ));
    for (name, bad) in coordinates.names().iter().zip(unfinite).filter(|(_, bad)| *bad > 0) {
        let of = count(arguments.number as usize);
        note(format!("{name} is not finite in {} of {of} samples: it is generated so", count(bad as usize)));
    }
    polisher.iter().for_each(|p| note(p.report()));
    Ok(())
}

/// The law of `--given`: its names are the model's conditions, its values in the coordinates of samples.
fn given<'a>(arguments: &Arguments, model: &'a Model, coordinates: &Coordinates) -> Outcome<Option<Given<'a, f64>>> {
    if arguments.given.is_empty() {
        return Ok(None);
    }
    let flow = match model {
        Model::Flow(flow) if flow.architecture().is_some_and(|a| a.given > 0) => flow,
        _ => {
            let sentence = "--given: the model of this run has no conditions; train a flow on a target with kind = \"temperatures\" or \"preferences\"";
            return Err(Failure::input(sentence));
        }
    };
    let conditions = flow.architecture().map_or(0, |a| a.given);
    // weights of a simplex are a column more than coordinates
    let columns = conditions + coordinates.parameters() - coordinates.free_dim();
    let names = coordinates.names()[..columns].to_vec();
    let mut values = vec![None; columns];
    for text in &arguments.given {
        let (name, value) =
            text.split_once('=').map_or((text.as_str(), ""), |(name, value)| (name.trim(), value.trim()));
        let place = names.iter().position(|n| n == name);
        let value = value.parse::<f64>().ok().filter(|v| v.is_finite());
        let (Some(place), Some(value)) = (place, value) else {
            let expected: Vec<String> = names.iter().map(|n| format!("{n}=NUMBER")).collect();
            return Err(Failure::input(format!("--given {text}; write --given {}", expected.join(" --given "))));
        };
        if values[place].replace(value).is_some() {
            return Err(Failure::input(format!("--given {text}: {name} is given twice; give it once")));
        }
    }
    let missing = names.iter().zip(&values).find(|(_, v)| v.is_none());
    if let Some((name, _)) = missing {
        return Err(Failure::input(format!("--given: {name} is missing; write --given {name}=NUMBER too")));
    }
    let values: Vec<f64> = values.into_iter().flatten().collect();
    let given = |e: Failure| Failure::input(format!("--given {}: {e}", arguments.given.join(" --given ")));
    let c = condition(coordinates, &model.sample(1, arguments.seed, 0), &values).map_err(given)?;
    flow.given(&c).map(Some).map_err(|e| given(e.into()))
}

/// The class that was asked for, with its guidance.
fn class(arguments: &Arguments, model: &Model) -> Outcome<Option<(usize, f64)>> {
    let Some(label) = arguments.label else { return Ok(None) };
    let shown = arguments.run.display();
    let Some(classes) = model.classes() else {
        return Err(Failure::input(format!(
            "--label {label}: the model of {shown} has no classes; train one on samples whose target names a label column"
        )));
    };
    let Some(class) = classes.names.iter().position(|name| *name == label) else {
        let names = words(&classes.names);
        return Err(Failure::input(format!("--label {label}: {shown} has no such class; it has {names}")));
    };
    let (guidance, most) = (arguments.guidance, classes.guidance);
    if !(0.0..=most).contains(&guidance) {
        return Err(Failure::input(format!(
            "--guidance {guidance}: {shown} learnt guidance from 0 to {most}; ask for one in this range, or train with --set guidance={}",
            if guidance > 0.0 { guidance } else { 1.0 }
        )));
    }
    Ok(Some((class, guidance)))
}

/// Carries the points of a file, row by row.
fn carry(arguments: &Arguments, source: &Path) -> Outcome<()> {
    let run = Opened::open(&arguments.run, false)?;
    let (model, x) = (&run.model, read_samples(source)?);
    let (n, d) = x.shape();
    if d != model.dim() {
        let (shown, wanted) = (source.display(), model.dim());
        return Err(Failure::input(format!(
            "{shown} has {d} columns, and the run's model {wanted}; give points of that size"
        )));
    }
    model.fits_memory(n as u64)?;
    let y = model.carry(&x).ok_or_else(|| {
        let shown = arguments.run.display();
        Failure::input(format!(
            "--source: the model of {shown} starts at noise; train one with --source FILE, or give -n"
        ))
    })?;
    let coordinates = run.coordinates()?;
    let mut writer = SampleWriter::output(&arguments.output, n as u64, &coordinates.names())?;
    writer.push(&coordinates.constrain(y)?)?;
    writer.finish()?;
    note(format!("{} points of {} carried to {}", count(n), source.display(), arguments.output.display()));
    Ok(())
}

/// Draws from p itself, and what they cost.
fn exact(arguments: &Arguments, run: &Opened) -> Outcome<()> {
    let (model, target, n) = (&run.model, run.target()?, arguments.number);
    target.known("--exact")?;
    let density = &target.judged();
    // the draws as they grow, and a copy in the units of the target
    memory::enough(
        24 * u128::from(n) * model.dim() as u128,
        "exact draws",
        "ask for fewer at a time, under other seeds",
    )?;
    model.fits_memory(model.block_rows())?;
    let mut exact = match model {
        Model::F32(g) => g.exact(density, arguments.seed)?,
        Model::F64(g) => g.exact(density, arguments.seed)?,
        Model::Flow(f) => f.exact(density, arguments.seed)?,
        Model::Particles(..) => {
            return Err(Failure::input(
                "--exact needs a model with a density; a run of particles has none: train a flow or a generator",
            ));
        }
    };
    let coordinates = run.coordinates()?;
    let mut writer = SampleWriter::output(&arguments.output, n, &coordinates.names())?;
    let progress = Progress::new(n, "exact draws");
    let (drawn, report) = exact.draw(n as usize, &mut |k| progress.at(k as u64))?;
    drop(progress);
    let unbiased = exact.unbiased(REPEATS)?;
    writer.push(&coordinates.constrain(drawn)?)?;
    writer.finish()?;
    coordinates.note().into_iter().for_each(note);
    note(format!(
        "{} exact draws of p, {} proposals each (and {} that found the bound); the largest weight p/q is {} times the mean, the bound {}{}",
        count(n as usize),
        number(report.proposals as f64 / n as f64, 3),
        count(report.pilot as usize),
        number(report.largest, 3),
        number(report.bound, 3),
        if report.raised > 0 { format!(", raised {} times on the way", report.raised) } else { String::new() }
    ));
    note(format!("written to {}", arguments.output.display()));
    let means = unbiased.means(&coordinates.constrain(unbiased.points.clone())?);
    let shown = coordinates.names().into_iter().zip(&means).take(SHOWN);
    let shown = shown.map(|(name, e)| format!("{name} {} ± {}", number(e.value, 4), number(e.standard_error, 2)));
    note(format!(
        "means without bias, from {} pairs of coupled chains (they met after {} steps, 99 % within {}; {} evaluations of log p~): {}{}",
        count(REPEATS),
        number(unbiased.meeting.0, 3),
        unbiased.meeting.1,
        count(unbiased.evaluations as usize),
        shown.collect::<Vec<_>>().join(", "),
        if means.len() > SHOWN { ", ..." } else { "" }
    ));
    if let Some(missed) = run.missed_region() {
        return Err(Failure::NotToBeTrusted(format!("the draws are exact where the model proposes, but {missed}")));
    }
    note("they are exact where the model proposes; a mode that it never proposes is not in them, and nothing here can see it".into());
    Ok(())
}

impl Polisher {
    /// With the step found on samples of the model that are not written.
    fn new(arguments: &Arguments, run: &Opened) -> Outcome<Self> {
        let target = run.target()?;
        let pilot = run.model.sample(PILOT, arguments.seed, PILOT_BLOCK);
        target.known("--polish")?;
        let density = target.judged();
        let polish = Polish::tune(&*density, &pilot, arguments.seed)?;
        Ok(Self { density, polish, steps: arguments.polish, total: PolishReport::default() })
    }

    fn run(&mut self, samples: &mut pushforward::linalg::Matrix, seed: u64, block: u64) -> Outcome<()> {
        let report = self.polish.run(&*self.density, samples, self.steps, (seed, block))?;
        self.total = self.total.join(report);
        Ok(())
    }

    /// What the polish did, in a sentence.
    fn report(&self) -> String {
        let t = &self.total;
        format!(
            "polished {} samples by {} MALA steps of size {} (found on a pilot of {PILOT}, acceptance {} there); acceptance {}; mean log p \
             from {} to {}; masses of far modes are as the model left them",
            count(t.samples),
            count(self.steps as usize),
            number(self.polish.step, 3),
            number(self.polish.pilot_acceptance, 3),
            number(t.acceptance, 3),
            number(t.log_density_before, 5),
            number(t.log_density_after, 5)
        )
    }
}
