//! The cards of all theorems as one page of `theory/`, for the documentation: what `verify --report` shows, without formulas and plots.

use crate::report::ledger::ledger;
use crate::style::count;
use crate::verification::{Tally, sides, without};
use pushforward::verify::{Evidence, Verdict, Without};
use std::fmt::Write;

/// The whole page, Markdown.
pub fn markdown(evidence: &[Evidence]) -> String {
    let mut s = format!(
        "# Cards\n\nWhat `pushforward verify` finds for each theorem, and what happens without each of its hypotheses:\nthe two sides of the \
         statement where it is not met, which should agree, or stand in the order that\nit claims, and do not. Statements are on the pages, plots \
         on the page of `verify --report DIR`.\nWritten by `cargo test --release -p pushforward-cli --test book -- --ignored` with the quick \
         budget.\n\n{}.\n",
        Tally::of(evidence).sentence(evidence.len())
    );
    let pages = ledger();
    for e in evidence {
        let Some(page) = pages.iter().find(|p| p.id == e.id) else { continue };
        let link = page.page.trim_start_matches("theory/");
        let _ = write!(
            s,
            "\n## [T{}]({link}) {}\n\n{}; proof: {}. Test: `{}`.{}\n\n| hypothesis | without it | left | right | difference | allowed |\n\
             |---|---|---|---|---|---|\n",
            page.number,
            plain(e.title),
            found(e),
            page.status,
            page.test,
            code(&page.code())
        );
        for h in &e.hypotheses {
            let example = h.counter_example(evidence);
            let claim = if let Without::Elsewhere(claim, _) = h.hypothesis.without { claim } else { "" };
            let claim =
                if claim.is_empty() { String::new() } else { format!("T{}: ", claim.trim_start_matches(['T', '0'])) };
            let [left, right, difference, allowed] = example.map_or_else(Default::default, sides);
            let words = plain(&format!("{claim}{}", without(h, example)));
            let _ =
                writeln!(s, "| {} | {words} | {left} | {right} | {difference} | {allowed} |", plain(h.hypothesis.what));
        }
    }
    s
}

/// Instances that hold, the order farthest from the expected one, false variants caught.
fn found(e: &Evidence) -> String {
    let slope = e
        .comparisons
        .iter()
        .filter(|c| c.verdict == Verdict::Holds)
        .filter_map(|c| Some((c.observed_order?, c.expected_order?)))
        .max_by(|(a, p), (b, q)| (a.order - p).abs().total_cmp(&(b.order - q).abs()));
    let slope = slope.map_or(String::new(), |(o, expected)| {
        format!("; the slope farthest from {expected} is {:.3} ± {:.3}", o.order, o.order_error)
    });
    let held = e.count(&Verdict::Holds);
    format!(
        "Holds on {} instances{slope}; {} of {} false ones are caught",
        count(held),
        count(e.caught()),
        count(e.tried())
    )
}

/// The items that the page names.
fn code(items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!(" Code: `{}`.", items.join("`, `")) }
}

/// Text that is no markup.
fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if "|*_[]<`".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}
