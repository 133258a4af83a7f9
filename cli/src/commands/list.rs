//! `pushforward list`: names, formulas, constants, sources.

use crate::commands::print;
use crate::failure::Outcome;
use pushforward::density::{Dimensions, all_densities};
use pushforward::divergence::{all_divergences, by_name};

/// Arguments of `list`.
#[derive(clap::Args)]
pub struct Arguments {
    /// What to list; everything by default
    #[arg(value_enum)]
    what: Option<What>,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq)]
enum What {
    Targets,
    Divergences,
}

/// Prints the lists.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let mut text = String::new();
    if arguments.what != Some(What::Divergences) {
        text += &targets();
    }
    if arguments.what != Some(What::Targets) {
        text += &divergences();
    }
    print(&text)
}

/// A name and the lines about it, indented.
fn entry(name: &str, lines: &[(&str, &str)]) -> String {
    let lines = lines.iter().filter(|(_, words)| !words.is_empty());
    lines.fold(format!("{name}\n"), |text, (key, words)| text + &format!("    {key:<12}{words}\n")) + "\n"
}

fn targets() -> String {
    let one = |e: &pushforward::density::Entry| {
        let (name, dim) = match e.dimensions {
            Dimensions::Fixed(d) => (e.name.to_owned(), d.to_string()),
            Dimensions::From { words, .. } => {
                (format!("{}-D", e.name), format!("D, {words}; such as {}", e.names().join(", ")))
            }
        };
        entry(&name, &[("dimension", &dim), ("log p~(x)", e.formula), ("constants", e.constants), ("source", e.source)])
    };
    let list: String = all_densities().iter().map(one).collect();
    format!("TARGETS (or the path of a TOML file)\n\n{list}")
}

fn divergences() -> String {
    let one = |d: &std::sync::Arc<dyn pushforward::divergence::Divergence>| {
        entry(
            d.name(),
            &[
                ("divergence", &d.formula()),
                ("weight w(r)", &d.weight_formula()),
                ("elasticity", &d.elasticity_formula()),
            ],
        )
    };
    let surrogate = by_name("lv-surrogate").into_iter();
    let list: String = all_divergences().into_iter().chain(surrogate).map(|d| one(&d)).collect();
    format!(
        "DIVERGENCES (q is the model, p the target, r = p/q, w(r) = r² f''(r); alpha takes any number after its colon)\n\n{list}"
    )
}
