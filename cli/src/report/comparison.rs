//! The page of `pushforward compare`: one table, coverage during training, and the final figures side by side.

use crate::comparison::table::{failures, floor, shown};
use crate::comparison::{Cell, Column, Comparison, Part, Plan, Ruler, Settled};
use crate::report::axis::Axis;
use crate::report::page::{document, drawn};
use crate::report::plot::Plot;
use crate::style::{INK, TARGET, count, escape, key, series, series_colour};
use maud::{Markup, html};

/// Width of a diagram that stands alone, and of one of two.
const FULL: f64 = 1040.0;
const HALF: f64 = 510.0;

/// What a comparison cannot show.
const LIMITS: &str = "Few seeds give a rough spread: differences smaller than it say nothing. Every figure compares samples with what is already known of \
the target, and none proves that no mode was missed. A run uses the same settings for every divergence; a divergence that does badly here may do better with \
other settings. Times depend on what else the machine did.";

/// The whole page: no scripts, nothing fetched. `command` repeats the comparison.
pub fn html(plan: &Plan, comparison: &Comparison, ruler: &Ruler, command: &str) -> String {
    let title = format!("{}: {} side by side", plan.target.name, heading(comparison).replace(", ", "s and ") + "s");
    let failed = failures(comparison);
    let body = html! {
        @if !failed.is_empty() { ul.notes { @for why in failed { li { (why) } } } }
        (final_table(comparison, ruler))
        (transient(plan, comparison, ruler))
        (final_figures(comparison, ruler))
        section { h2 { "What these numbers cannot show" } p { (LIMITS) } }
        section { h2 { "Repeat it" } pre { (command) } }
    };
    document(&title, "compare", &title, &lead(plan, comparison), &body)
}

fn lead(plan: &Plan, comparison: &Comparison) -> String {
    let trials: usize = comparison.cells.iter().map(|c| c.trials.len()).sum();
    let steps = comparison.cells.iter().flat_map(|c| &c.trials).map(|t| t.steps).max().unwrap_or(0);
    let early = if comparison.interrupted { "; stopped by Ctrl-C" } else { "" };
    let d = plan.target.density.dim();
    let budget = plan.budget.map_or(String::new(), |n| {
        format!(" Each run may ask for {} evaluations of log p~ or its score, and every method knows the target by these alone.", count(n as usize))
    });
    let seeds = if plan.seeds == 1 { "seed 0".into() } else { format!("seeds 0 to {}", plan.seeds - 1) };
    format!(
        "{trials} trainings of up to {} steps in {d} dimension{}, {seeds}{early}.{budget}",
        count(steps as usize),
        if d == 1 { "" } else { "s" }
    )
}

fn one_method(comparison: &Comparison) -> bool {
    comparison.cells.iter().all(|c| c.method == comparison.cells[0].method)
}

/// What tells the cells apart: "divergence" where there is one method, "method" where none has a divergence to name, else "method, divergence".
fn heading(comparison: &Comparison) -> &'static str {
    match (one_method(comparison), comparison.cells.iter().all(|c| c.divergence == "–")) {
        (_, true) => "method",
        (true, false) => "divergence",
        (false, false) => "method, divergence",
    }
}

fn name(cell: &Cell, comparison: &Comparison) -> String {
    match heading(comparison) {
        "method" => cell.method.clone(),
        "divergence" => cell.divergence.clone(),
        _ => format!("{}, {}", cell.method, cell.divergence),
    }
}

fn final_table(comparison: &Comparison, ruler: &Ruler) -> Markup {
    let settled = ruler.settled();
    html! {
        section {
            h2 { "At the end" }
            p {
                "Mean ± standard deviation over seeds, " (count(ruler.final_size())) " samples a run. The floor is what exact \
                 samples of the same number score, ± its spread from set to set."
            }
            @for part in comparison.parts(settled.as_ref()) {
                @if part.columns.iter().all(|c| c.certificate) { h3 { "Certificates of the models with a density" } }
                (table(comparison, &part, settled.as_ref()))
            }
        }
    }
}

fn table(comparison: &Comparison, part: &Part, settled: Option<&Settled>) -> Markup {
    let figure = |cell: &Cell, c: &Column| {
        cell.spread(c.key, settled).map_or("–".into(), |v| {
            let all = v.count == cell.trials.len();
            let note = if all { String::new() } else { format!(" ({} of {})", v.count, cell.trials.len()) };
            shown(&v.times(c.factor)) + &note
        })
    };
    let has_floor = part.columns.iter().any(|c| comparison.floors.contains_key(c.key));
    html! {
        div.wide {
            table.tight {
                thead {
                    tr {
                        th { (heading(comparison)) }
                        @for c in &part.columns { th.n { (c.title) } }
                    }
                }
                tbody {
                    @for cell in &part.cells {
                        tr { td { (name(cell, comparison)) } @for c in &part.columns { td.n { (figure(cell, c)) } } }
                    }
                    @if has_floor {
                        tr {
                            td { b { "floor" } ": exact samples" }
                            @for c in &part.columns { td.n { (floor(comparison, c)) } }
                        }
                    }
                }
            }
        }
        p.why { @for c in &part.columns { b { (c.title) } ": " (c.meaning) ". " } }
    }
}

fn transient(plan: &Plan, comparison: &Comparison, ruler: &Ruler) -> Markup {
    let names = names(comparison);
    let by_calls = plan.budget.is_some();
    let panels = ruler.transient_names();
    let size = if panels.len() == 1 { (FULL, 380.0) } else { (HALF, 360.0) };
    let panel = |j: usize| {
        let (key, title, from_zero) = panels[j];
        let look = Look { id: format!("transient-{key}"), title, size, from_zero };
        drawn(curves(comparison, j, &look, ruler.transient_floors()[j], by_calls))
    };
    html! {
        section {
            h2 { "During training" }
            p {
                "In theory all divergences share the limit and differ on the way (T2); here this is tested on real runs. "
                (count(ruler.transient_size())) " samples at each of about 40 moments: lines are means over seeds, bands their least \
                 and greatest values. A generator's bandwidth falls during training, so its early figures are those of a law that is \
                 still blurred; flows start at the particles of a search."
            }
            (drawn(key(names.iter().enumerate().map(|(k, n)| (series(k), n.as_str())))))
            div.row { @for j in 0..panels.len() { (panel(j)) } }
        }
    }
}

fn names(comparison: &Comparison) -> Vec<String> {
    comparison.cells.iter().map(|c| name(c, comparison)).collect()
}

/// (step or evaluations, [least, mean, greatest]) of figure j over the trials of a cell, at the moments that all of them have.
fn band(cell: &Cell, j: usize, by_calls: bool) -> Vec<(f64, [f64; 3])> {
    let shortest = cell.trials.iter().map(|t| t.transient.len()).min().unwrap_or(0);
    (0..shortest)
        .map(|i| {
            let values: Vec<f64> = cell.trials.iter().map(|t| t.transient[i].figures[j]).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let point = &cell.trials[0].transient[i];
            ((if by_calls { point.calls } else { point.step }) as f64, [least, mean, greatest])
        })
        .collect()
}

/// How a diagram of curves looks.
struct Look<'a> {
    id: String,
    title: &'a str,
    size: (f64, f64),
    from_zero: bool,
}

fn curves(comparison: &Comparison, j: usize, look: &Look, floor: Option<(f64, f64)>, by_calls: bool) -> String {
    let bands: Vec<_> = comparison.cells.iter().map(|c| band(c, j, by_calls)).collect();
    let values = || bands.iter().flatten().flat_map(|b| b.1).chain(floor.map(|f| f.0)).filter(|v| v.is_finite());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    // a share of 0 lies below every logarithmic axis
    let least = values().filter(|v| *v > 0.0).fold(f64::INFINITY, f64::min);
    let last = bands.iter().flatten().map(|b| b.0).fold(1.0, f64::max);
    // distances and shares fall by orders of magnitude, counts and levels do not
    let title = look.title;
    let vertical = if look.from_zero {
        Axis::linear(title, 0.0, 1.06 * high.max(1e-3), 6)
    } else if low >= 0.0 && high > 8.0 * least {
        Axis::log(title, 0.8 * least, 1.25 * high)
    } else {
        let pad = 0.06 * (high - low).max(1e-9 * high.abs());
        Axis::linear(title, if low >= 0.0 { (low - pad).max(0.0) } else { low - pad }, high + pad, 6)
    };
    let mut plot = Plot::new(
        title,
        look.size,
        Axis::linear(if by_calls { "evaluations of the target" } else { "training step" }, 0.0, last, 6),
        vertical,
    );
    for (k, band) in bands.iter().enumerate() {
        let below = band.iter().map(|b| (b.0, b.1[0]));
        let outline: Vec<(f64, f64)> = below.chain(band.iter().rev().map(|b| (b.0, b.1[2]))).collect();
        plot.line(&outline, &format!("style=\"fill:{};fill-opacity:0.1\"", series_colour(k)));
    }
    for (k, band) in bands.iter().enumerate() {
        plot.line(&band.iter().map(|b| (b.0, b.1[1])).collect::<Vec<_>>(), &series(k));
    }
    if let Some((mean, _)) = floor {
        let style = format!("stroke=\"{INK}\" stroke-width=\"1.2\" stroke-dasharray=\"2 3\"");
        plot.line(&[(-1e9, mean), (1e9, mean)], &style);
        plot.legend(&format!("<path d=\"M-8 0h18\" {style}/>"), "exact samples");
    }
    plot.finish(&look.id)
}

fn final_figures(comparison: &Comparison, ruler: &Ruler) -> Markup {
    html! {
        section {
            h2 { "At the end, run by run" }
            p { "A dot is a run. The blue band is what exact samples score, mean ± spread." }
            div.row {
                @for column in comparison.columns(ruler.settled().as_ref()) { (drawn(strip(comparison, column, ruler))) }
            }
        }
    }
}

/// One figure of every run, a line of dots for each cell.
fn strip(comparison: &Comparison, column: &Column, ruler: &Ruler) -> String {
    let (n, settled) = (comparison.cells.len() as f64, ruler.settled());
    let rows: Vec<Vec<f64>> = comparison
        .cells
        .iter()
        .map(|c| {
            c.trials.iter().filter_map(|t| t.figure(column.key, settled.as_ref())).map(|v| column.factor * v).collect()
        })
        .collect();
    let floor = comparison.floors.get(column.key).map(|f| (column.factor * f.0, column.factor * f.1));
    let ends = floor.iter().flat_map(|f| [f.0 - f.1, f.0 + f.1]);
    let all: Vec<f64> = rows.iter().flatten().copied().chain(ends).filter(|v| v.is_finite()).collect();
    let (low, high) = all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
    let low = if column.key == "modes_covered" { 0.0 } else { low };
    let pad = 0.05 * (high - low).max(1e-3 * high.abs());
    let mut y = Axis::linear("", -0.6, n - 0.4, 1);
    y.ticks = names(comparison).into_iter().enumerate().map(|(k, name)| (n - 1.0 - k as f64, escape(&name))).collect();
    let horizontal = if low > 0.0 && high > 20.0 * low {
        Axis::log(column.title, 0.8 * low, 1.25 * high)
    } else {
        Axis::linear(column.title, low - pad, high + pad, 5)
    };
    let mut plot = Plot::new(column.title, (HALF, 84.0 + 24.0 * n), horizontal, y);
    if let Some((mean, spread)) = floor {
        let ((x0, top), (x1, bottom)) = (plot.place(mean - spread, n), plot.place(mean + spread, -1.0));
        plot.raw(&format!(
            "<rect x=\"{x0:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{TARGET}\" fill-opacity=\"0.18\"/>",
            (x1 - x0).max(1.5),
            bottom - top
        ));
    }
    for (k, values) in rows.iter().enumerate() {
        let points: Vec<(f64, f64)> = values.iter().map(|v| (*v, n - 1.0 - k as f64)).collect();
        plot.dots(&points, 8.0, series_colour(k), 0.75);
    }
    plot.finish(&format!("final-{}", column.key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::{Point, Trial, method};
    use crate::report::tests::{assert_balanced, assert_drawable};
    use pushforward::density::Counts;

    /// A comparison on `target` with trials that differ, fail, or hold numbers that are not finite.
    fn page(target: &str) -> String {
        let target = crate::target::load(target, &mut |_| ()).unwrap();
        let ruler = Ruler::new(&target);
        let figures = |v: f64| vec![v; ruler.transient_names().len()];
        let trial = |seed: u64, failure: Option<&str>| Trial {
            seed,
            steps: 100,
            seconds: 1.5 + seed as f64,
            counts: Counts::default(),
            failure: failure.map(String::from),
            virial: Some(1.0),
            metrics: vec![("sliced_w2", 0.1 + 0.02 * seed as f64), ("mean_log_density", f64::NAN)],
            transient: (0..=10)
                .map(|k| Point {
                    step: 10 * k,
                    calls: 640 * k,
                    figures: figures(if k == 0 { f64::NAN } else { 1.0 / k as f64 }),
                })
                .collect(),
        };
        let divergence = |k: usize| if k == 0 { "a<b".to_string() } else { format!("divergence {k}") };
        let cells = (0..9)
            .map(|k| Cell {
                method: "kde".into(),
                divergence: divergence(k),
                trials: vec![trial(0, None), trial(1, (k == 3).then_some("it broke & fell"))],
            })
            .collect();
        let floors = [("sliced_w2", (0.09, 0.01))].into();
        let comparison = Comparison { cells, floors, interrupted: true };
        let plan = Plan {
            methods: vec![method("kde", &target).unwrap()],
            target,
            divergences: Vec::new(),
            references: Vec::new(),
            seeds: 2,
            steps: None,
            budget: None,
            settings: Vec::new(),
        };
        html(&plan, &comparison, &ruler, "pushforward compare x")
    }

    /// Checks that the page is balanced, fetches nothing, draws only numbers, names every cell and failure, for a target with modes, one
    /// with an exact sampler only and one without.
    #[test]
    fn page_is_whole() {
        for target in ["ring8", "banana"] {
            let page = page(target);
            assert_balanced(&page);
            assert_drawable(&page);
            assert!(!page.contains("<script") && !page.contains("http") && !page.contains("a<b"));
            for word in
                ["a&lt;b", "divergence 8", "it broke &amp; fell", "stopped by Ctrl-C", "During training", "floor"]
            {
                assert!(page.contains(word), "{target}: {word}");
            }
        }
    }
}
