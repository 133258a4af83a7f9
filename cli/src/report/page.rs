//! The report's page: one HTML file, no scripts, nothing fetched.

use crate::report::panels::{self, Curve};
use crate::report::paths;
use crate::report::record::{Frame, MetricRow, Record};
use crate::report::style::{GREEN, MODEL, PURPLE, TARGET, count, escape, number};
use pushforward::metric::Judge;
use std::fmt::Write;

const CSS: &str = include_str!("page.css");

/// Width of a diagram that stands alone, of one of two and of one of three, in pixels.
const FULL: f64 = 1040.0;
const HALF: f64 = 510.0;
const THIRD: f64 = 338.0;

/// What no report of this kind can show.
const LIMITS: &str = "Every number here compares samples with what is already known of the target. None of them proves that no mode was \
missed: a mode that neither training nor the exact sampler ever visited leaves no trace in any of them. Diagrams show the first samples of the run only, and for more than two dimensions only \
the first coordinates.";

/// What is missing where the model has no density.
const NO_DENSITY: &str = "The model's density is not known, so these samples cannot be reweighted, and log Z is not estimated; a flow (train \
--method flow) has one.";

/// The beginning of every page: what it is called in the window, the command's `part`, heading and first sentence.
pub(super) fn head(window: &str, part: &str, heading: &str, lead: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} · pushforward</title>\n<style>\n{CSS}</style></head><body><main>\n\
         <header><p class=\"kicker\">pushforward {} · {part}</p><h1>{}</h1>\n<p class=\"lead\">{}</p></header>\n",
        escape(window),
        env!("CARGO_PKG_VERSION"),
        escape(heading),
        escape(lead)
    )
}

/// The whole page.
pub fn html(record: &Record) -> String {
    let title = format!("{} by {}", record.target.name, record.divergence.name);
    let part = if record.particles { "particles" } else { "one-step sampler" };
    let mut s = head(&title, part, &title, &record.outcome);
    tiles(&mut s, record);
    notes(&mut s, record);
    posterior(&mut s, record);
    samples(&mut s, record);
    way(&mut s, record);
    certificate(&mut s, record);
    modes(&mut s, record);
    metrics(&mut s, record);
    tests(&mut s, record);
    energy(&mut s, record);
    training(&mut s, record);
    objective(&mut s, record);
    let _ = writeln!(
        s,
        "<section><h2>What these numbers cannot show</h2><p>{LIMITS} {}</p></section>",
        if record.certificate.is_none() && !record.particles { NO_DENSITY } else { "" }
    );
    let _ = writeln!(
        s,
        "<section><h2>Configuration</h2><p>The run’s <code>config.toml</code>; <code>pushforward train --config</code> with it repeats the run.</p><pre>{}</pre></section>",
        escape(&record.config)
    );
    s.push_str("</main></body></html>\n");
    s
}

fn tiles(s: &mut String, record: &Record) {
    if record.headline.is_empty() {
        return;
    }
    s.push_str("<div class=\"tiles\">");
    for t in &record.headline {
        let (value, label, beside) = (escape(&t.value), escape(&t.label), escape(&t.beside));
        let _ = write!(s, "<div><b>{value}</b><span>{label}</span><small>{beside}</small></div>");
    }
    s.push_str("</div>\n");
}

fn notes(s: &mut String, record: &Record) {
    if record.notes.is_empty() {
        return;
    }
    s.push_str("<ul class=\"notes\">");
    record.notes.iter().for_each(|n| s.push_str(&format!("<li>{}</li>", escape(n))));
    s.push_str("</ul>\n");
}

/// Rows of the posterior that a page shows.
const POSTERIOR_ROWS: usize = 60;

fn posterior(s: &mut String, record: &Record) {
    let Some((_, first)) = record.posterior.first() else { return };
    let weighted = first.len() > 6;
    let titles = ["mean", "sd", "5 %", "50 %", "95 %", "MCSE"].map(|t| format!("<th class=\"n\">{t}</th>")).concat();
    let lead = if weighted { "Raw samples left, reweighted ones right" } else { "Raw samples" };
    let _ = write!(
        s,
        "<section><h2>Posterior</h2><p>{lead}, in the coordinates of the user. {}</p>\n<table><thead><tr><th>name</th>{titles}{}</tr></thead><tbody>\n",
        escape(&record.posterior_use),
        if weighted { titles.clone() } else { String::new() }
    );
    for (name, values) in record.posterior.iter().take(POSTERIOR_ROWS) {
        let cells: String = values.iter().map(|v| format!("<td class=\"n\">{}</td>", number(*v, 4))).collect();
        let _ = writeln!(s, "<tr><td>{}</td>{cells}</tr>", escape(name));
    }
    s.push_str("</tbody></table>");
    if record.posterior.len() > POSTERIOR_ROWS {
        let _ =
            write!(s, "<p class=\"why\">… and {} more in summary.json.</p>", record.posterior.len() - POSTERIOR_ROWS);
    }
    s.push_str("</section>\n");
}

fn samples(s: &mut String, record: &Record) {
    let Some(last) = record.frames.last() else { return };
    s.push_str("<section><h2>Samples</h2>\n");
    if let Some(field) = &record.field {
        let _ = writeln!(
            s,
            "<p class=\"caption\"><i class=\"region\"></i> regions that hold 50, 90 and 99% of the target’s mass <i class=\"dot\"></i> samples of the model</p><div class=\"row\">"
        );
        for (k, frame) in shown(&record.frames).into_iter().enumerate() {
            let title = format!("after {} steps", count(frame.step));
            s.push_str(&panels::plane(&format!("plane{k}"), &title, THIRD, field, &frame.samples));
        }
        s.push_str("</div>\n");
    } else if last.samples.cols() == 1 {
        let column = |m: &pushforward::linalg::Matrix| m.as_slice().to_vec();
        let exact = record.exact.as_ref().map(column).unwrap_or_default();
        s.push_str(&panels::histogram("line", "Distribution of x", "x", (FULL, 300.0), &column(&last.samples), &exact));
    } else {
        let _ = writeln!(
            s,
            "<p class=\"caption\"><i class=\"cross\"></i> exact samples <i class=\"dot\"></i> samples of the model after {} steps; the first coordinates, in pairs</p><div class=\"row\">",
            count(last.step)
        );
        let d = last.samples.cols().min(4);
        for (k, pair) in (0..d).flat_map(|a| (a + 1..d).map(move |b| (a, b))).enumerate() {
            s.push_str(&panels::marginal_pair(&format!("pair{k}"), THIRD, pair, &last.samples, record.exact.as_ref()));
        }
        s.push_str("</div>\n");
    }
    s.push_str("</section>\n");
}

/// At most [`PICTURES`] of the frames, the first and the last among them.
fn shown(frames: &[Frame]) -> Vec<&Frame> {
    let most = PICTURES.min(frames.len());
    let place = |k: usize| if most < 2 { frames.len() - 1 } else { k * (frames.len() - 1) / (most - 1) };
    (0..most).map(|k| &frames[place(k)]).collect()
}

/// Pictures of the samples in a row of the page.
const PICTURES: usize = 6;

/// Trajectories, and mode masses over time.
fn way(s: &mut String, record: &Record) {
    let plane = record.frames.last().is_some_and(|f| f.samples.cols() >= 2);
    if !record.particles || record.frames.len() < 2 || !plane && record.courses.is_empty() {
        return;
    }
    s.push_str("<section><h2>The way of the particles</h2><p>Crosses are starts, dots ends; dotted lines are the target’s masses.</p><div class=\"row\">\n");
    if plane {
        s.push_str(&paths::trajectories("trajectories", HALF, &record.frames));
    }
    if !record.courses.is_empty() {
        s.push_str(&paths::masses("courses", (HALF, 380.0), &record.courses));
    }
    s.push_str("</div></section>\n");
}

fn certificate(s: &mut String, record: &Record) {
    let Some(card) = &record.certificate else { return };
    s.push_str("<section><h2>Certificate</h2><p>The model’s density q is exact, so its samples can be weighted by p̃/q.</p>\n<ul>");
    card.findings.iter().for_each(|f| s.push_str(&format!("<li>{}</li>", escape(f))));
    s.push_str(
        "</ul><table><thead><tr><th>figure</th><th class=\"n\">value</th><th>what it means</th></tr></thead><tbody>\n",
    );
    for (name, value, meaning) in &card.rows {
        let [name, value, meaning] = [name, value, meaning].map(|t| escape(t));
        let _ = writeln!(s, "<tr><td>{name}</td><td class=\"n\">{value}</td><td class=\"why\">{meaning}</td></tr>");
    }
    let _ = writeln!(s, "</tbody></table><p class=\"why\">{}</p><div class=\"row\">", escape(&card.caveat));
    let none = pushforward::linalg::Matrix::zeros(0, 2);
    if let (Some(target), Some(model)) = (&record.field, &card.field) {
        s.push_str(&panels::plane("certificate-target", "Target", THIRD, target, &none));
        s.push_str(&panels::plane("certificate-model", "Learned density", THIRD, model, &none));
    }
    let (weights, exact) = (&card.log_weights, &card.exact_log_weights);
    let label = "log p̃/q − log Z, nats";
    s.push_str(&panels::histogram("certificate-weights", "Log-weights", label, (THIRD, 0.95 * THIRD), weights, exact));
    s.push_str("</div></section>\n");
}

fn modes(s: &mut String, record: &Record) {
    if record.modes.is_empty() {
        return;
    }
    let _ = writeln!(
        s,
        "<section><h2>Mass of the modes</h2><p>Each of {} samples is counted to the mode that most likely made it. A sampler that is right lies within its error bars at about 19 modes of 20.</p>",
        count(record.mode_samples)
    );
    s.push_str(&panels::mode_masses("modes", FULL, &record.modes, record.mode_samples));
    s.push_str("</section>\n");
}

fn metrics(s: &mut String, record: &Record) {
    if record.metrics.is_empty() {
        return;
    }
    s.push_str("<section><h2>Metrics beside their floors</h2><p>The floor is what exact samples of the same number score against other exact samples: no sampler can be expected to do better. ± is its spread from set to set. The comparison is value over floor for distances, value minus floor for levels.</p>\n<table><thead><tr><th>metric</th><th class=\"n\">model</th><th class=\"n\">floor</th><th class=\"n\">comparison</th><th>what it means</th></tr></thead><tbody>\n");
    for m in &record.metrics {
        let floor =
            m.floor.map_or("–".into(), |(mean, spread)| format!("{} ± {}", number(mean, 4), number(spread, 2)));
        let _ = writeln!(
            s,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{floor}</td><td class=\"n\">{}</td><td class=\"why\">{}</td></tr>",
            escape(&m.name),
            number(m.value, 4),
            comparison(m),
            escape(&m.meaning)
        );
    }
    s.push_str("</tbody></table></section>\n");
}

fn tests(s: &mut String, record: &Record) {
    if record.tests.is_empty() {
        return;
    }
    s.push_str("<section><h2>Could these be exact samples?</h2><p>p is the chance that exact samples give a statistic at least as large; a small one says no. With many samples every imperfect sampler is found out, so read p beside the sizes above. The score of the target does not know the masses of far modes, and KSD sees the score alone.</p>\n<table><thead><tr><th>test</th><th class=\"n\">statistic</th><th class=\"n\">p</th><th class=\"n\">samples</th><th>what it asks</th></tr></thead><tbody>\n");
    for t in &record.tests {
        let _ = writeln!(
            s,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"why\">{}</td></tr>",
            escape(&t.name),
            number(t.statistic, 3),
            number(t.p_value, 2),
            count(t.size),
            escape(&t.meaning)
        );
    }
    s.push_str("</tbody></table></section>\n");
}

/// The ratio to the floor (distances), or the difference from it with its sign (levels).
pub fn comparison(m: &MetricRow) -> String {
    match (m.floor, m.judge) {
        (Some((f, _)), Judge::Ratio) if f > 0.0 => format!("{}×", number(m.value / f, 3)),
        (Some((f, _)), Judge::Difference) => {
            let plus = if m.value > f { "+" } else { "" };
            format!("{plus}{}", number(m.value - f, 2))
        }
        _ => "–".into(),
    }
}

fn energy(s: &mut String, record: &Record) {
    if record.energy.is_empty() {
        return;
    }
    s.push_str("<section><h2>Energies</h2><p>The energy of a sample is −log p̃ there, up to the target’s unknown constant. Mass to the right of the exact samples lies where the target has almost none; too little mass on the right means that the modes’ flanks are missed.</p>\n");
    s.push_str(&panels::histogram(
        "energy",
        "Energy of the samples",
        "−log p̃(x), nats",
        (FULL, 290.0),
        &record.energy,
        &record.exact_energy,
    ));
    s.push_str("</section>\n");
}

fn training(s: &mut String, record: &Record) {
    if record.curves.rows.is_empty() {
        return;
    }
    s.push_str(
        "<section><h2>Steps</h2><p>Lines are means over blocks of steps, bands their least and greatest values. ",
    );
    s.push_str("Each title is the name that the code gave which computed the figure.</p><div class=\"row\">\n");
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let exact =
        (!record.exact_energy.is_empty()).then(|| (-mean(&record.exact_energy), "exact samples, without noise"));
    let styles = [(MODEL, ""), (PURPLE, "7 2"), (GREEN, "2 2"), (TARGET, "7 2 2 2")];
    let shown = record.curves.columns.iter().enumerate().filter(|(_, c)| c.key != "time");
    for (k, column) in shown {
        let (colour, dash) = styles[k % styles.len()];
        let log = LOGARITHMIC.contains(&column.key.as_str());
        let reference = exact.filter(|_| column.key == "mean_log_density");
        let spec = Curve { title: &column.label, label: &column.label, colour, dash, log, reference };
        s.push_str(&panels::curve(&format!("curve{k}"), (HALF, 240.0), &spec, &record.curves.points(k)));
    }
    s.push_str("</div></section>\n");
}

/// Figures that are drawn on a logarithmic axis where they are positive.
const LOGARITHMIC: [&str; 4] = ["rms_velocity", "bandwidth", "kernel_length", "log_sd"];

fn objective(s: &mut String, record: &Record) {
    let (t, d) = (&record.target, &record.divergence);
    let plural = if t.dim == 1 { "" } else { "s" };
    let _ = write!(
        s,
        "<section><h2>Target and method</h2><div class=\"row\"><div class=\"words\"><p><b>{}</b>, {} dimension{plural}</p>",
        escape(&t.name),
        t.dim
    );
    let _ = write!(s, "<p class=\"formula\">log p̃(x) = {}</p>", escape(&t.formula));
    for (what, words) in [("Constants", &t.constants), ("Source", &t.source)] {
        if !words.is_empty() {
            let _ = write!(s, "<p class=\"why\">{what}: {}</p>", escape(words));
        }
    }
    for (what, words) in &record.method {
        let _ = write!(s, "<p class=\"why\"><b>{}</b>: {}</p>", escape(what), escape(words));
    }
    let (name, formula) = (escape(&d.name), escape(&d.formula));
    let _ = write!(s, "<p><b>{name}</b>; q is the model, p the target, r = p/q</p><p class=\"formula\">{formula}</p>");
    if !d.weight_formula.is_empty() {
        let _ = write!(
            s,
            "<p class=\"formula\">w(r) = r² f″(r) = {}</p>\
             <p>Particles move along w(r) ∇ log r: the divergence enters training through this weight alone. Its value scales the step where \
             the model has too little mass (r &gt; 1, right) and too much (r &lt; 1, left).</p>",
            escape(&d.weight_formula)
        );
    }
    s.push_str("</div>");
    if !d.log_weight.is_empty() {
        s.push_str(&panels::weight("weight", (HALF, 260.0), d));
    }
    s.push_str("</div></section>\n");
}
