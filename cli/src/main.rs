//! The `pushforward` command.
#![forbid(unsafe_code)]

use clap::Parser;
use clap::error::ErrorKind;
use pushforward_cli::commands::Cli;
use pushforward_cli::failure::Failure;
use pushforward_cli::interrupt;
use pushforward_cli::target::stan::at_work;
use pushforward_cli::terminal::say;
use std::process::ExitCode;

/// Exit codes: [`pushforward_cli::failure::ExitCode`], and those of signals.
fn main() -> ExitCode {
    interrupt::install();
    at_work(true);
    // the command has the machine to itself
    pushforward::run::spin(true);
    let outcome = match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(e) if !e.use_stderr() || e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
        Err(e) => Err(usage(&e)),
    };
    at_work(false);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(format_args!("error: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The first paragraphs of clap's message, without the usage that follows them: one sentence like every other error.
fn usage(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let end = ["Usage:", "For more information"].iter().filter_map(|word| text.find(word)).min().unwrap_or(text.len());
    let sentence = text[..end].trim().trim_start_matches("error: ").replace("\n\n  tip:", ";");
    Failure::input(format!("{sentence}; see 'pushforward --help'"))
}
