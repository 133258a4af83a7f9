//! The page of `pushforward verify --report`: for each theorem its slopes and its table, then the curves of the regional laws.

use crate::report::axis::Axis;
use crate::report::curves;
use crate::report::figures;
use crate::report::formulas::paragraphs;
use crate::report::ledger::{Theorem, graph, ledger};
use crate::report::page::{document, drawn};
use crate::report::plot::Plot;
use crate::style::{GREEN, INK, MODEL, TARGET, count, escape, number};
use crate::verification::table::observed;
use crate::verification::{Request, Status, Tally, refusals, shown, sides, status, without, word};
use pushforward::num::powf;
use pushforward::verify::{Comparison, Evidence, Verdict, Without};
use std::fmt::Write;

/// Pixels of a diagram beside words.
const SIZE: (f64, f64) = (510.0, 340.0);

/// Most grey lines behind the highlighted one.
const BEHIND: usize = 80;

/// The whole page: no scripts, nothing fetched.
pub fn html(request: &Request, evidence: &[Evidence]) -> String {
    let tally = Tally::of(evidence);
    let pair =
        request.pair.as_ref().map_or("random pairs of Gaussian mixtures".into(), |(p, q)| format!("p = {p}, q = {q}"));
    let part = format!("verify · budget {}, seed {}", request.size(), request.budget.seed);
    let lead = format!("{}; {pair}.", tally.sentence(evidence.len()));
    let mut s = String::from(
        "<section><h2>How to read the slopes</h2><p>The left side of a theorem is a difference quotient of the functional itself, without the \
         theorem; the right side is the theorem’s formula through the code that ships. Their distance must fall with the step at the \
         expected order until rounding takes over, on the left of each diagram. A false variant of the statement levels off instead.</p>\
         <p>Beside each hypothesis of a theorem stands an instance without it: the two sides of the statement, which should agree, or stand in the \
         order that it claims, and do not.</p></section>\n",
    );
    s.push_str(&graph(evidence));
    let pages = ledger();
    evidence.iter().for_each(|e| theorem(&mut s, e, pages.iter().find(|t| t.id == e.id), evidence));
    curves::section(&mut s, request, evidence);
    document("Theorems", &part, "Theorems, each by two computations", &lead, &drawn(s))
}

/// One card: statement, assumptions, each with its counter-example, both sides, false variants, where it stands.
fn theorem(s: &mut String, e: &Evidence, page: Option<&Theorem>, run: &[Evidence]) {
    let (held, all) = (count(e.count(&Verdict::Holds)), count(e.comparisons.len()));
    let verdict = match status(e) {
        Status::Holds if held == all => format!("<b>holds</b> on all of {all} instances"),
        Status::Holds => format!("<b>holds</b> on {held} of {all} instances, all that meet the assumptions"),
        status => format!("<b>{}</b>: holds on {held} of {all} instances", status.word()),
    };
    let _ = writeln!(s, "<section id=\"{}\"><h2>{} {}</h2><p>{verdict}.</p>", e.id, e.id, escape(e.title));
    if let Some(page) = page {
        words(s, page);
    }
    hypotheses(s, e, run);
    let _ = write!(s, "<details><summary>Figure</summary>\n{}</details>\n", figures::panel(e.id));
    s.push_str("<div class=\"row\">");
    s.push_str(&slopes(e).unwrap_or_default());
    s.push_str("<div class=\"words\">");
    variants(s, e);
    s.push_str("</div></div>\n");
    table(s, e);
    s.push_str("</section>\n");
}

/// What the page of a theorem says: statement and assumptions to open, status, code, test.
fn words(s: &mut String, page: &Theorem) {
    let code = page.code().join(", ");
    let _ = writeln!(
        s,
        "<details><summary>Statement</summary>\n{}</details>\n<details><summary>Assumptions</summary>\n{}</details>\n<p class=\"why\">Proof: {}, \
         <code>{}</code>. Test: <code>{}</code>.{}</p>",
        paragraphs(&page.part("Statement")),
        paragraphs(&page.part("Assumptions")),
        escape(&page.status),
        escape(&page.page),
        escape(&page.test),
        if code.is_empty() { code } else { format!(" Code: <code>{}</code>.", escape(&code)) }
    );
}

/// Each hypothesis beside the counter-example to the theorem without it: its two sides, which should agree and do not.
fn hypotheses(s: &mut String, e: &Evidence, run: &[Evidence]) {
    s.push_str(
        "<table><thead><tr><th>hypothesis</th><th>without it</th><th class=\"n\">left</th><th class=\"n\">right</th>\
         <th class=\"n\">difference</th><th class=\"n\">allowed</th></tr></thead><tbody>\n",
    );
    for h in &e.hypotheses {
        let found = h.counter_example(run);
        let words = escape(&without(h, found));
        let words = match h.hypothesis.without {
            Without::Elsewhere(claim, _) if found.is_some() => format!("<a href=\"#{claim}\">{claim}</a>: {words}"),
            _ => words,
        };
        let _ = match found.map(sides) {
            Some([left, right, difference, allowed]) => writeln!(
                s,
                "<tr><td>{}</td><td class=\"why\">{words}</td><td class=\"n\">{left}</td><td class=\"n\">{right}</td>\
                 <td class=\"n\">{difference}</td><td class=\"n\">{allowed}</td></tr>",
                escape(h.hypothesis.what)
            ),
            None => writeln!(
                s,
                "<tr><td>{}</td><td class=\"why\" colspan=\"5\">{words}</td></tr>",
                escape(h.hypothesis.what)
            ),
        };
    }
    s.push_str("</tbody></table>\n");
}

fn variants(s: &mut String, e: &Evidence) {
    if !e.mutants.is_empty() {
        s.push_str("<table><thead><tr><th>false variant</th><th class=\"n\">caught</th></tr></thead><tbody>\n");
        for m in &e.mutants {
            let mark = if m.all_caught() { "" } else { " not all" };
            let _ = writeln!(
                s,
                "<tr><td>{}</td><td class=\"n\">{} of {}{mark}</td></tr>",
                escape(m.what),
                count(m.caught()),
                count(m.tried())
            );
        }
        s.push_str("</tbody></table>\n");
    }
    let refused = refusals(e);
    if !refused.is_empty() {
        s.push_str("<p>Refused, because an assumption is not met:</p><ul class=\"why\">");
        refused.iter().take(20).for_each(|reason| s.push_str(&format!("<li>{}</li>", escape(reason))));
        s.push_str("</ul>\n");
    }
}

fn table(s: &mut String, e: &Evidence) {
    let decisions = e.comparisons.iter().filter(|c| c.verdict == Verdict::Holds && c.is_decision()).count();
    if decisions > 0 {
        let _ = writeln!(s, "<p>{} questions of yes or no, all answered as the theorem says.</p>", count(decisions));
    }
    let rows = shown(e, 6);
    if rows.is_empty() {
        return;
    }
    s.push_str(
        "<table><thead><tr><th>nearest to their limits</th><th class=\"n\">left</th><th class=\"n\">right</th><th class=\"n\">relative error</th>\
         <th class=\"n\">order</th><th class=\"n\">observed</th><th>verdict</th></tr></thead><tbody>\n",
    );
    for c in rows {
        let _ = writeln!(
            s,
            "<tr><td class=\"why\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escape(&c.instance),
            number(c.left, 6),
            number(c.right, 6),
            number(c.relative_error, 2),
            c.expected_order.map_or("–".into(), |p| number(p, 2)),
            observed(c),
            word(&c.verdict)
        );
    }
    s.push_str("</tbody></table>\n");
}

/// (step, error) where both can stand on logarithmic axes.
fn points(c: &Comparison) -> Vec<(f64, f64)> {
    c.steps
        .iter()
        .copied()
        .zip(c.errors.iter().copied())
        .filter(|(h, e)| *h > 0.0 && *e > 0.0 && e.is_finite())
        .collect()
}

/// How far the observed order is from the expected one.
fn deviation(c: &Comparison) -> Option<f64> {
    Some((c.observed_order?.order - c.expected_order?).abs())
}

/// Error against step: all instances in grey, the one whose order is farthest from the expected one with its fit, and a false variant.
fn slopes(e: &Evidence) -> Option<String> {
    let worst = e
        .comparisons
        .iter()
        .filter(|c| deviation(c).is_some())
        .max_by(|a, b| deviation(a).unwrap_or(0.0).total_cmp(&deviation(b).unwrap_or(0.0)))?;
    let ladders: Vec<Vec<(f64, f64)>> =
        e.comparisons.iter().map(points).filter(|p| !p.is_empty()).take(BEHIND).collect();
    let wrong = e.mutants.iter().find_map(|m| Some((m.what, m.comparisons.iter().find(|c| c.steps.len() > 3)?)));
    let wrong_points = wrong.map(|(_, c)| points(c)).unwrap_or_default();
    let all: Vec<(f64, f64)> = ladders.iter().flatten().chain(&wrong_points).copied().chain(points(worst)).collect();
    let range = |f: fn(&(f64, f64)) -> f64| {
        all.iter().map(f).fold((f64::INFINITY, 0.0f64), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x, y) = (range(|p| p.0), range(|p| p.1));
    let axes =
        (Axis::log("step", 0.8 * x.0, 1.25 * x.1), Axis::log("relative error", y.0.max(1e-17) / 3.0, 10.0 * y.1));
    let mut plot = Plot::new("Error against step", SIZE, axes.0, axes.1);
    ladders.iter().for_each(|p| plot.line(p, "stroke=\"#999\" stroke-opacity=\"0.35\" stroke-width=\"1\""));
    if wrong.is_some() {
        plot.line(&wrong_points, &format!("stroke=\"{MODEL}\" stroke-width=\"2\" stroke-dasharray=\"2 3\""));
    }
    fit(&mut plot, worst);
    plot.dots(&points(worst), 6.0, TARGET, 1.0);
    let stroke = |colour: &str, dash: &str| {
        format!("<path d=\"M-9 0h20\" stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"/>")
    };
    plot.legend(&stroke(TARGET, ""), "fit");
    plot.legend(&stroke(GREEN, "7 4"), "expected");
    if wrong.is_some() {
        plot.legend(&stroke(MODEL, "2 3"), "false variant");
    }
    let mut out = format!("<div>{}", plot.finish(&format!("slopes-{}", e.id)));
    let order = observed(worst);
    let _ = write!(
        out,
        "<p class=\"caption\" style=\"max-width:{:.0}px\">Blue: {}, the order farthest from the expected {}: {order}. Grey: {} of the others.",
        SIZE.0,
        escape(&worst.instance),
        number(worst.expected_order.unwrap_or(f64::NAN), 2),
        ladders.len()
    );
    if let Some((what, c)) = wrong {
        let _ = write!(out, " Vermilion: {}, {}.", escape(what), escape(&c.instance));
    }
    out.push_str("</p></div>\n");
    Some(out)
}

/// The fitted line over all steps, and the expected slope through the point where the fit crosses its middle, a little above.
fn fit(plot: &mut Plot, c: &Comparison) {
    let (Some(o), Some(expected)) = (c.observed_order, c.expected_order) else { return };
    let (Some(&large), Some(&small)) = (c.steps.first(), c.steps.last()) else { return };
    let fitted = |h: f64| o.constant / c.scale * powf(h, o.order);
    let middle = (large * small).sqrt();
    let slope = |h: f64| 4.0 * fitted(middle) * powf(h / middle, expected);
    plot.line(&[(large, fitted(large)), (small, fitted(small))], &format!("stroke=\"{TARGET}\" stroke-width=\"2\""));
    plot.line(
        &[(large, slope(large)), (small, slope(small))],
        &format!("stroke=\"{GREEN}\" stroke-width=\"2\" stroke-dasharray=\"7 4\""),
    );
    let (px, py) = plot.place(middle, slope(middle));
    let text = format!("slope {}", number(expected, 2));
    plot.raw(&format!(
        "<text class=\"note\" fill=\"{INK}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
        px - 8.0,
        py - 6.0
    ));
}
