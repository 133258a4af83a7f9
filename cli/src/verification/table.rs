//! Evidence as aligned text.

use crate::style::count;
use crate::verification::{Tally, refusals, shown, status, word};
use pushforward::verify::{Comparison, Evidence, Mutant, Verdict};

/// Instances of each theorem that are shown where all hold.
const SHOWN: usize = 4;

/// Reasons for refusals that are shown of each theorem.
const REFUSALS: usize = 5;

/// Grouped by theorem, with a line of sums at the end.
pub fn table(evidence: &[Evidence]) -> String {
    let width = evidence.iter().flat_map(|e| shown(e, SHOWN)).map(|c| c.instance.chars().count()).max().unwrap_or(0);
    let width = width.clamp(20, 64);
    let mut text: String = evidence.iter().map(|e| group(e, width)).collect();
    text += &format!("{}\n", Tally::of(evidence).sentence(evidence.len()));
    text
}

fn group(e: &Evidence, width: usize) -> String {
    let mut text = format!("{}  {}: {}\n", e.id, e.title, status(e).word());
    let rows = shown(e, SHOWN);
    if !rows.is_empty() {
        text += &format!(
            "  {:<width$}  {:>12} {:>12} {:>9} {:>5}  {:<15} verdict\n",
            "instance", "left", "right", "rel. err.", "order", "observed"
        );
    }
    rows.iter().for_each(|c| text += &row(c, width));
    let decisions = e.comparisons.iter().filter(|c| c.verdict == Verdict::Holds && c.is_decision()).count();
    let rest = e.count(&Verdict::Holds) - decisions - rows.iter().filter(|c| c.verdict == Verdict::Holds).count();
    if rest > 0 {
        text += &format!("  … and {} more that hold, farther from their limits\n", count(rest));
    }
    if decisions > 0 {
        text += &format!("  {} questions of yes or no, all answered as the theorem says\n", count(decisions));
    }
    let refused = refusals(e);
    refused.iter().take(REFUSALS).for_each(|reason| text += &format!("  refused  {reason}\n"));
    if refused.len() > REFUSALS {
        text += &format!("  … and {} more reasons to refuse, all in --json\n", refused.len() - REFUSALS);
    }
    e.mutants.iter().for_each(|m| text += &variant(m));
    for missed in e.hypotheses.iter().filter(|h| h.is_tried() && !h.is_caught()) {
        text += &format!("  counter-example without '{}': NOT CAUGHT\n", missed.hypothesis.what);
    }
    text + "\n"
}

fn row(c: &Comparison, width: usize) -> String {
    let (left, right) = (scientific(c.left, 5), scientific(c.right, 5));
    let expected = c.expected_order.map_or("–".into(), |p| p.to_string());
    format!(
        "  {:<width$}  {left:>12} {right:>12} {:>9} {expected:>5}  {:<15} {}\n",
        clipped(&c.instance, width),
        scientific(c.relative_error, 1),
        observed(c),
        word(&c.verdict)
    )
}

/// "2.001 ± 0.003", a z-score, "exact" where every step is right to rounding, or a dash.
pub fn observed(c: &Comparison) -> String {
    match (c.observed_order, c.z, c.expected_order) {
        (Some(o), _, _) => format!("{:.3} ± {:.3}", o.order, o.order_error),
        (None, Some(z), _) => format!("z = {z:.2}"),
        (None, None, Some(_)) if c.verdict == Verdict::Holds => "exact".into(),
        (None, None, Some(_)) => "not seen".into(),
        (None, None, None) => "–".into(),
    }
}

fn variant(m: &Mutant) -> String {
    let missed = if m.all_caught() { "" } else { "  NOT CAUGHT" };
    let true_here = match m.true_here() {
        0 => String::new(),
        n => format!(", true here on {}", count(n)),
    };
    format!("  false variant: {}: caught on {} of {}{true_here}{missed}\n", m.what, count(m.caught()), count(m.tried()))
}

fn scientific(x: f64, digits: usize) -> String {
    if x == 0.0 || !x.is_finite() { x.to_string() } else { format!("{x:.digits$e}") }
}

fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}
