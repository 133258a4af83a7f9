//! Forgetting curves: error at unseen tasks of past clusters, stage after stage.

use crate::report::axis::Axis;
use crate::report::page::{document, drawn};
use crate::report::picture::picture;
use crate::report::plot::Plot;
use crate::style::{INK, escape, number, series};
use maud::html;
use pushforward::continual::{Course, Curve};
use pushforward::num::Summary;
use std::fmt::Write;

/// Width and height of a panel.
const SIZE: (f64, f64) = (430.0, 330.0);

/// The diagrams as one SVG file: a panel for each cluster that has a past, and the key.
pub fn svg(course: &Course) -> String {
    let stages = course.curves[0].errors.len();
    let clusters = stages.saturating_sub(1).max(1);
    let mut panels: Vec<String> = (0..clusters).map(|k| panel(course, k, stages)).collect();
    panels.push(names(course));
    picture(&panels, panels.len().min(3), SIZE)
}

fn panel(course: &Course, k: usize, stages: usize) -> String {
    let all: Vec<Summary> = course.curves.iter().flat_map(|c| (k..stages).map(move |s| c.at(s, k))).collect();
    let low = all.iter().map(|e| e.mean).fold(f64::INFINITY, f64::min);
    let high = all.iter().map(|e| e.mean + e.standard_error()).fold(0.0, f64::max);
    let mut x = Axis::linear("stage", 0.7, stages as f64 + 0.3, 4);
    x.ticks = (1..=stages).map(|s| (s as f64, s.to_string())).collect();
    let y = Axis::log("mean square error", 0.8 * low, 1.3 * high);
    let mut plot = Plot::new(&format!("Unseen tasks of cluster {}", k + 1), SIZE, x, y);
    for (j, curve) in course.curves.iter().enumerate() {
        let at = |s: usize| (s as f64 + 1.0, curve.at(s, k));
        let line: Vec<(f64, f64)> = (k..stages).map(at).map(|(s, e)| (s, e.mean)).collect();
        plot.line(&line, &series(j));
        for (s, e) in (k..stages).map(at) {
            let half = e.standard_error();
            plot.line(
                &[(s, (e.mean - half).max(1e-300)), (s, e.mean + half)],
                &format!("stroke=\"{INK}\" stroke-opacity=\"0.6\""),
            );
        }
    }
    plot.finish(&format!("cluster{k}"))
}

/// A line of each style with the learner's name.
fn names(course: &Course) -> String {
    let mut s = String::from("<text class=\"title\" x=\"40\" y=\"18\">Learners, error at the end</text>\n");
    for (j, curve) in course.curves.iter().enumerate() {
        let y = 50.0 + 28.0 * j as f64;
        let past = Summary::of(&curve.past());
        let _ = writeln!(
            s,
            "<path d=\"M40 {y:.0}h44\" fill=\"none\" {}/><text class=\"tick\" x=\"94\" y=\"{:.0}\">{}: {} ± {}</text>",
            series(j),
            y + 4.0,
            escape(&curve.name),
            number(past.mean, 4),
            number(past.standard_error(), 2)
        );
    }
    s
}

/// Rows of the table: name, past, forgetting, clusters.
pub fn row(curve: &Curve) -> [String; 4] {
    let with = |e: &Summary| format!("{} ± {}", number(e.mean, 4), number(e.standard_error(), 2));
    let clusters: Option<Vec<String>> = curve.clusters.iter().map(|c| c.map(|n| n.to_string())).collect();
    [
        curve.name.clone(),
        with(&Summary::of(&curve.past())),
        with(&Summary::of(&curve.forgetting())),
        clusters.map_or_else(|| "–".into(), |c| c.join(" ")),
    ]
}

/// The whole page; `oracle` is what the sum over partitions says, in lines.
pub fn html(name: &str, course: Option<&Course>, oracle: &[String]) -> String {
    let lead = "Tasks arrive cluster after cluster. Every learner is judged on unseen tasks of all past clusters, from a few observations of each.";
    let body = html! {
        @if let Some(course) = course {
            section {
                h2 { "Forgetting" }
                (drawn(svg(course)))
                p.caption {
                    "Mean over streams, with its standard error. The floor knows each cluster’s mean and which cluster a task is from."
                }
                table {
                    thead {
                        tr {
                            th { "learner" }
                            th.n { "error at past clusters" }
                            th.n { "risen by" }
                            th.n { "clusters found, by stream" }
                        }
                    }
                    tbody {
                        @for [name, past, risen, clusters] in course.curves.iter().map(row) {
                            tr { td { (name) } td.n { (past) } td.n { (risen) } td.n { (clusters) } }
                        }
                    }
                }
            }
        }
        @if !oracle.is_empty() { section { h2 { "The exact sum over partitions" } pre { (oracle.join("\n")) } } }
    };
    document("Continual Bayes", &format!("continual · {name}"), "What is remembered", lead, &body)
}
