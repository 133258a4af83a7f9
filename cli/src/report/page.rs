//! The report's page: one HTML file, no scripts, nothing fetched.

use crate::curves::Column;
use crate::record::{Frame, MetricRow, Record};
use crate::report::panels::{self, Curve};
use crate::report::paths;
use crate::style::{GREEN, MODEL, PURPLE, TARGET, count, number};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use pushforward::linalg::Matrix;
use pushforward::metric::Judge;

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

/// A page: what it is called in the window, the command's `part`, heading and first sentence, and what follows.
pub(super) fn document(window: &str, part: &str, heading: &str, lead: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE) "\n"
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (window) " · pushforward" }
                style { (PreEscaped(CSS)) }
            }
            body { main { "\n"
                header {
                    p.kicker { "pushforward " (env!("CARGO_PKG_VERSION")) " · " (part) }
                    h1 { (heading) }
                    p.lead { (lead) }
                }
                "\n" (body)
            } }
        }
        "\n"
    };
    page.into_string()
}

/// An SVG, or a part of one.
pub(super) fn drawn(svg: String) -> Markup {
    PreEscaped(svg)
}

/// The whole page.
pub fn html(record: &Record) -> String {
    let title = format!("{}: {} by {}", record.target.name, record.model, record.divergence.name);
    let part = if record.particles { "particles" } else { "one-step sampler" };
    let at = &record.conditions;
    let no_density = record.certificate.is_none() && !record.particles;
    let body = html! {
        (tiles(record)) "\n" (notes(record)) "\n" (posterior(record)) "\n" (chosen(record)) "\n" (samples(record)) "\n" (way(record)) "\n"
        (certificate(record)) "\n" (figures(at.title, at.lead, at.columns, &at.rows)) "\n" (modes(record)) "\n" (metrics(record)) "\n" (tests(record)) "\n" (energy(record)) "\n"
        (training(record)) "\n" (objective(record)) "\n"
        section { h2 { "What these numbers cannot show" } p { (LIMITS) @if no_density { " " (NO_DENSITY) } } } "\n"
        section {
            h2 { "Configuration" }
            p { "The run’s " code { "config.toml" } "; " code { "pushforward train --config" } " with it repeats the run." }
            pre { (record.config) }
        }
        "\n"
    };
    document(&title, part, &title, &record.outcome, &body)
}

fn tiles(record: &Record) -> Markup {
    html! {
        @if !record.headline.is_empty() {
            div.tiles {
                @for t in &record.headline { div { b { (t.value) } span { (t.label) } small { (t.beside) } } }
            }
        }
    }
}

fn notes(record: &Record) -> Markup {
    html! { @if !record.notes.is_empty() { ul.notes { @for note in &record.notes { li { (note) } } } } }
}

/// Rows of the posterior that a page shows.
const POSTERIOR_ROWS: usize = 60;

/// Figures of a quantity, and of the reweighted one behind them.
const POSTERIOR_FIGURES: [&str; 6] = ["mean", "sd", "5 %", "50 %", "95 %", "MCSE"];

fn posterior(record: &Record) -> Markup {
    let figures = record.posterior.first().map_or(0, |(_, values)| values.len());
    let lead = if figures > 6 { "Raw samples left, reweighted ones right" } else { "Raw samples" };
    let titles = POSTERIOR_FIGURES.iter().cycle().take(figures);
    let more = record.posterior.len().saturating_sub(POSTERIOR_ROWS);
    html! {
        @if figures > 0 {
            section {
                h2 { "Posterior" }
                p { (lead) ", in the coordinates of the user. " (record.posterior_use) }
                table {
                    thead { tr { th { "name" } @for title in titles { th.n { (title) } } } }
                    tbody {
                        @for (name, values) in record.posterior.iter().take(POSTERIOR_ROWS) {
                            tr { td { (name) } @for v in values { td.n { (number(*v, 4)) } } } "\n"
                        }
                    }
                }
                @if more > 0 { p.why { "… and " (more) " more in summary.json." } }
            }
        }
    }
}

/// Most parameters whose pairs are drawn.
const PAIRED: usize = 6;

/// Marginals and pairs of the parameters that were asked for.
fn chosen(record: &Record) -> Markup {
    let Some((names, x)) = &record.chosen else { return html! {} };
    let column = |j: usize| x.iter_rows().map(|row| row[j]).collect::<Vec<f64>>();
    let size = (THIRD, 0.7 * THIRD);
    let one = |j: usize| panels::histogram(&format!("chosen{j}"), &names[j], &names[j], size, &column(j), &[]);
    let paired = names.len().min(PAIRED);
    let pairs = (0..paired).flat_map(|a| (a + 1..paired).map(move |b| (a, b)));
    let two = |(a, b)| panels::marginal_pair(&format!("chosen{a}-{b}"), THIRD, (a, b), &|j| names[j].clone(), x, None);
    html! {
        section {
            h2 { "Chosen parameters" }
            p.caption { "in the coordinates of the user, from the file of samples that is to be used" }
            div.row { @for j in 0..names.len() { (drawn(one(j))) } }
            div.row { @for pair in pairs { (drawn(two(pair))) } }
        }
    }
}

fn samples(record: &Record) -> Markup {
    let Some(last) = record.frames.last() else { return html! {} };
    let d = last.samples.cols().min(4);
    let pictures: Vec<String> = if let Some(field) = &record.field {
        let one = |(k, frame): (usize, &Frame)| {
            let title = format!("after {} steps", count(frame.step));
            panels::plane(&format!("plane{k}"), &title, THIRD, field, &frame.samples)
        };
        shown(&record.frames).into_iter().enumerate().map(one).collect()
    } else if d == 1 {
        let column = |m: &Matrix| m.as_slice().to_vec();
        let exact = record.exact.as_ref().map(column).unwrap_or_default();
        vec![panels::histogram("line", "Distribution of x", "x", (FULL, 300.0), &column(&last.samples), &exact)]
    } else {
        let pairs = (0..d).flat_map(|a| (a + 1..d).map(move |b| (a, b))).enumerate();
        let (label, exact) = (|j: usize| format!("x{}", panels::subscript(j + 1)), record.exact.as_ref());
        let one = |(k, pair)| panels::marginal_pair(&format!("pair{k}"), THIRD, pair, &label, &last.samples, exact);
        pairs.map(one).collect()
    };
    html! {
        section {
            h2 { "Samples" }
            @if record.field.is_some() {
                p.caption {
                    i.region {} " regions that hold 50, 90 and 99% of the target’s mass " i.dot {} " samples of the model"
                }
            } @else if d > 1 {
                p.caption {
                    @if record.exact.is_some() { i.cross {} " exact samples " }
                    i.dot {} " samples of the model after " (count(last.step))
                    " steps; the first coordinates, in pairs"
                }
            }
            div.row { @for picture in pictures { (drawn(picture)) } }
        }
    }
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
fn way(record: &Record) -> Markup {
    let plane = record.frames.last().is_some_and(|f| f.samples.cols() >= 2);
    let is_there = record.particles && record.frames.len() >= 2 && (plane || !record.courses.is_empty());
    html! {
        @if is_there {
            section {
                h2 { "The way of the particles" }
                p { "Crosses are starts, dots ends; dotted lines are the target’s masses." }
                div.row {
                    @if plane { (drawn(paths::trajectories("trajectories", HALF, &record.frames))) }
                    @if !record.courses.is_empty() { (drawn(paths::masses("courses", (HALF, 380.0), &record.courses))) }
                }
            }
        }
    }
}

fn certificate(record: &Record) -> Markup {
    let Some(card) = &record.certificate else { return html! {} };
    let none = Matrix::zeros(0, 2);
    let (weights, exact) = (&card.log_weights, &card.exact_log_weights);
    let label = "log p̃/q − log Z, nats";
    html! {
        section {
            h2 { "Certificate" }
            p { "The model’s density q is exact, so its samples can be weighted by p̃/q." }
            ul { @for finding in &card.findings { li { (finding) } } }
            table {
                thead { tr { th { "figure" } th.n { "value" } th { "what it means" } } }
                tbody {
                    @for (name, value, meaning) in &card.rows {
                        tr { td { (name) } td.n { (value) } td.why { (meaning) } } "\n"
                    }
                }
            }
            p.why { (card.caveat) }
            div.row {
                @if let (Some(target), Some(model)) = (&record.field, &card.field) {
                    (drawn(panels::plane("certificate-target", "Target", THIRD, target, &none)))
                    (drawn(panels::plane("certificate-model", "Learned density", THIRD, model, &none)))
                }
                (drawn(panels::histogram("certificate-weights", "Log-weights", label, (THIRD, 0.95 * THIRD), weights, exact)))
            }
        }
    }
}

fn modes(record: &Record) -> Markup {
    html! {
        @if !record.modes.is_empty() {
            section {
                h2 { "Mass of the modes" }
                p {
                    "Each of " (count(record.mode_samples)) " samples is counted to the mode that most likely made it. A sampler \
                     that is right lies within its error bars at about 19 modes of 20."
                }
                (drawn(panels::mode_masses("modes", FULL, &record.modes, record.mode_samples)))
            }
        }
    }
}

fn metrics(record: &Record) -> Markup {
    let floor = |m: &MetricRow| {
        m.floor.map_or("–".into(), |(mean, spread)| format!("{} ± {}", number(mean, 4), number(spread, 2)))
    };
    let lead = "The floor is what exact samples of the same number score against other exact samples: no sampler can be \
                expected to do better. ± is its spread from set to set. The comparison is value over floor for distances, \
                value minus floor for levels.";
    let rows =
        record.metrics.iter().map(|m| [m.name.clone(), number(m.value, 4), floor(m), comparison(m), m.meaning.clone()]);
    figures(
        "Metrics beside their floors",
        lead,
        ["metric", "model", "floor", "comparison", "what it means"],
        &rows.collect::<Vec<_>>(),
    )
}

fn tests(record: &Record) -> Markup {
    let lead = "p is the chance that exact samples give a statistic at least as large; a small one says no. With many samples \
                every imperfect sampler is found out, so read p beside the sizes above. The score of the target does not know \
                the masses of far modes, and KSD sees the score alone.";
    let rows = record
        .tests
        .iter()
        .map(|t| [t.name.clone(), number(t.statistic, 3), number(t.p_value, 2), count(t.size), t.meaning.clone()]);
    figures(
        "Could these be exact samples?",
        lead,
        ["test", "statistic", "p", "samples", "what it asks"],
        &rows.collect::<Vec<_>>(),
    )
}

/// A section with a table: a name, three numbers and a meaning in each row. Nothing without rows.
fn figures(title: &str, lead: &str, [name, one, two, three, meaning]: [&str; 5], rows: &[[String; 5]]) -> Markup {
    html! {
        @if !rows.is_empty() {
            section {
                h2 { (title) }
                p { (lead) }
                table {
                    thead {
                        tr { th { (name) } th.n { (one) } th.n { (two) } th.n { (three) } th { (meaning) } }
                    }
                    tbody {
                        @for [name, one, two, three, meaning] in rows {
                            tr { td { (name) } td.n { (one) } td.n { (two) } td.n { (three) } td.why { (meaning) } }
                            "\n"
                        }
                    }
                }
            }
        }
    }
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

fn energy(record: &Record) -> Markup {
    let (size, label) = ((FULL, 290.0), "−log p̃(x), nats");
    html! {
        @if !record.energy.is_empty() {
            section {
                h2 { "Energies" }
                p {
                    "The energy of a sample is −log p̃ there, up to the target’s unknown constant. Mass to the right of the exact \
                     samples lies where the target has almost none; too little mass on the right means that the modes’ flanks are \
                     missed."
                }
                (drawn(panels::histogram("energy", "Energy of the samples", label, size, &record.energy, &record.exact_energy)))
            }
        }
    }
}

fn training(record: &Record) -> Markup {
    if record.curves.rows.is_empty() {
        return html! {};
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let exact =
        (!record.exact_energy.is_empty()).then(|| (-mean(&record.exact_energy), "exact samples, without noise"));
    let styles = [(MODEL, ""), (PURPLE, "7 2"), (GREEN, "2 2"), (TARGET, "7 2 2 2")];
    let shown = record.curves.columns.iter().enumerate().filter(|(_, c)| c.key != "time");
    let curve = |(k, column): (usize, &Column)| {
        let (colour, dash) = styles[k % styles.len()];
        let log = LOGARITHMIC.contains(&column.key.as_str());
        let reference = exact.filter(|_| column.key == "mean_log_density");
        let spec = Curve { title: &column.label, label: &column.label, colour, dash, log, reference };
        drawn(panels::curve(&format!("curve{k}"), (HALF, 240.0), &spec, &record.curves.points(k)))
    };
    html! {
        section {
            h2 { "Steps" }
            p {
                "Lines are means over blocks of steps, bands their least and greatest values. Each title is the name that the code \
                 gave which computed the figure."
            }
            div.row { @for column in shown { (curve(column)) } }
        }
    }
}

/// Figures that are drawn on a logarithmic axis where they are positive.
const LOGARITHMIC: [&str; 4] = ["rms_velocity", "bandwidth", "kernel_length", "log_sd"];

fn objective(record: &Record) -> Markup {
    let (t, d) = (&record.target, &record.divergence);
    html! {
        section {
            h2 { "Target and method" }
            div.row {
                div.words {
                    p { b { (t.name) } ", " (t.dim) " dimension" @if t.dim != 1 { "s" } }
                    p.formula { "log p̃(x) = " (t.formula) }
                    @for (what, words) in [("Constants", &t.constants), ("Source", &t.source)] {
                        @if !words.is_empty() { p.why { (what) ": " (words) } }
                    }
                    @for (what, words) in &record.method { p.why { b { (what) } ": " (words) } }
                    p { b { (d.name) } "; q is the model, p the target, r = p/q" }
                    p.formula { (d.formula) }
                    @if !d.weight_formula.is_empty() {
                        p.formula { "w(r) = r² f″(r) = " (d.weight_formula) }
                        p {
                            "Particles move along w(r) ∇ log r: the divergence enters training through this weight alone. Its value \
                             scales the step where the model has too little mass (r > 1, right) and too much (r < 1, left)."
                        }
                    }
                }
                @if !d.log_weight.is_empty() { (drawn(panels::weight("weight", (HALF, 260.0), d))) }
            }
        }
    }
}
