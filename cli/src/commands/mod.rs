//! The subcommands, one file each.

mod check;
mod compare;
mod continual;
mod distance;
mod evaluate;
mod export;
mod lab;
mod list;
mod logpdf;
mod particles;
mod report;
mod sample;
mod storyboard;
mod summary;
mod symmetry;
mod train;
mod verify;

use crate::failure::{EXIT_CODES, Outcome};
use crate::target;
use clap::{Parser, Subcommand};
use pushforward::num::check_isa;

/// One-step samplers for densities known only up to a constant.
#[derive(Parser)]
#[command(name = "pushforward", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Run the code of the Stan library that a run's config.toml names; without it no command on a run does
    #[arg(long, global = true)]
    trust_library: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Train a one-step sampler of a target and write a run folder
    #[command(after_help = EXIT_CODES)]
    Train(Box<train::Arguments>),
    /// Move particles of a target along a velocity and write a run folder
    #[command(after_help = EXIT_CODES)]
    Particles(Box<particles::Arguments>),
    /// Draw samples from a trained run into a file
    Sample(sample::Arguments),
    /// Evaluate the exact log-density of a trained flow at points from a file
    Logpdf(logpdf::Arguments),
    /// Score samples from a file against a target, each metric beside what exact samples reach
    Evaluate(evaluate::Arguments),
    /// Measure how far two files of samples are from each other, beside what two samples of one law give
    Distance(distance::Arguments),
    /// Look whether a target is fit to be sampled: scale, finiteness, score against differences
    Check(check::Arguments),
    /// Find the linear and affine symmetries of a target from its score: dimension, basis, gap, a picture of the orbits
    Symmetry(symmetry::Arguments),
    /// Train several methods and divergences on one target and set them side by side
    Compare(compare::Arguments),
    /// Learn from a stream of tasks with clusters, beside exact answers: what is remembered, and what is forgotten
    Continual(continual::Arguments),
    /// Show the posterior of a run or a file of samples: means, deviations, quantiles, errors
    Summary(summary::Arguments),
    /// Write the samples of a run in the formats of other tools
    Export(export::Arguments),
    /// Make the report of a run again from its folder, also of one that stopped or is still training
    Report(report::Arguments),
    /// Show particles and the curves that must agree in a browser, on this machine alone
    Lab(lab::Arguments),
    /// Draw the runs of a file of scenes as a picture that moves
    Storyboard(storyboard::Arguments),
    /// Show what is known by name: formulas, constants, sources
    List(list::Arguments),
    /// Check the theorems of theory/, each by two independent computations
    Verify(Box<verify::Arguments>),
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> Outcome<()> {
        target::trust_libraries(self.trust_library);
        // the list says what there is to choose
        if !matches!(self.command, Command::List(_)) {
            check_isa()?;
        }
        match self.command {
            Command::Train(arguments) => train::run(&arguments),
            Command::Particles(arguments) => particles::run(&arguments),
            Command::Sample(arguments) => sample::run(&arguments),
            Command::Logpdf(arguments) => logpdf::run(&arguments),
            Command::Evaluate(arguments) => evaluate::run(&arguments),
            Command::Distance(arguments) => distance::run(&arguments),
            Command::Check(arguments) => check::run(&arguments),
            Command::Symmetry(arguments) => symmetry::run(&arguments),
            Command::Compare(arguments) => compare::run(&arguments),
            Command::Continual(arguments) => continual::run(&arguments),
            Command::Summary(arguments) => summary::run(&arguments),
            Command::Export(arguments) => export::run(&arguments),
            Command::Report(arguments) => report::run(&arguments),
            Command::Lab(arguments) => lab::run(&arguments),
            Command::Storyboard(arguments) => storyboard::run(&arguments),
            Command::List(arguments) => list::run(&arguments),
            Command::Verify(arguments) => verify::run(&arguments),
        }
    }
}
