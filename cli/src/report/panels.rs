//! The diagrams of the report, one function each. Blue and crosses are the target, vermilion and dots the model, everywhere.

use crate::record::{DivergenceCard, Field, ModeMass};
use crate::report::axis::Axis;
use crate::report::contour::{mass_level, region};
use crate::report::plot::Plot;
use crate::style::{INK, MODEL, TARGET, count, superscript};
use pushforward::linalg::Matrix;

/// At most this many samples are drawn in one diagram; more hide each other and make the file heavy.
const DRAWN: usize = 2_500;

/// Sample of a dot in a legend.
pub(crate) const DOT: &str = "<circle cx=\"3\" r=\"3\" fill=\"#D55E00\"/>";

/// The widths of the three shares of mass that contours enclose, widest first, with the opacity of their filling.
const SHARES: [(f64, f64); 3] = [(0.99, 0.13), (0.9, 0.17), (0.5, 0.22)];

/// log p~ as filled regions that hold 99, 90 and 50% of the mass.
pub(crate) fn draw_field(plot: &mut Plot, field: &Field) {
    for (share, opacity) in SHARES {
        let level = mass_level(field, share);
        if level.is_nan() {
            return;
        }
        let (fill, border) = region(field, level, &|x, y| plot.place(x, y));
        plot.raw(&format!("<path d=\"{fill}\" fill=\"{TARGET}\" fill-opacity=\"{opacity}\"/>"));
        plot.raw(&format!("<path d=\"{border}\" stroke=\"{TARGET}\" stroke-opacity=\"0.75\" fill=\"none\"/>"));
    }
}

/// Pairs of coordinates of the first rows of `samples`.
fn pairs(samples: &Matrix, a: usize, b: usize) -> Vec<(f64, f64)> {
    samples.iter_rows().take(DRAWN).map(|row| (row[a], row[b])).collect()
}

/// Samples over the target in the plane. The number of samples outside the diagram is written into it.
pub fn plane(id: &str, title: &str, width: f64, field: &Field, samples: &Matrix) -> String {
    let (x, y) = (Axis::linear("x₁", field.x.0, field.x.1, 6), Axis::linear("x₂", field.y.0, field.y.1, 6));
    let height = Plot::equal_height(width, &x, &y).clamp(0.7 * width, 1.35 * width);
    let mut plot = Plot::new(title, (width, height), x, y).without_grid();
    draw_field(&mut plot, field);
    let outside = plot.dots(&pairs(samples, 0, 1), 2.2, MODEL, 0.65);
    note_outside(&mut plot, outside, samples.rows().min(DRAWN), field.x.0, field.y.1);
    plot.finish(id)
}

/// Writes how many samples a diagram leaves out, at its upper left corner.
fn note_outside(plot: &mut Plot, outside: usize, of: usize, x: f64, y: f64) {
    if outside > 0 {
        let (px, py) = plot.place(x, y);
        let text = format!("{} of {} outside", count(outside), count(of));
        plot.raw(&format!("<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>", px + 6.0, py + 15.0));
    }
}

/// Coordinates a and b, by their labels, of the model's samples (dots) over exact ones (crosses).
pub fn marginal_pair(
    id: &str,
    width: f64,
    (a, b): (usize, usize),
    label: &dyn Fn(usize) -> String,
    samples: &Matrix,
    exact: Option<&Matrix>,
) -> String {
    let frame = exact.unwrap_or(samples);
    let (x, y) = (column_range_at(frame, a, 0.002, 0.08), column_range_at(frame, b, 0.002, 0.08));
    let axis = |j: usize, (low, high): (f64, f64)| Axis::linear(&label(j), low, high, 5);
    let title = format!("{} against {}", label(b), label(a));
    let mut plot = Plot::new(&title, (width, 0.95 * width), axis(a, x), axis(b, y)).without_grid();
    if let Some(exact) = exact {
        plot.crosses(&pairs(exact, a, b), 4.0, TARGET, 0.55);
    }
    let outside = plot.dots(&pairs(samples, a, b), 2.2, MODEL, 0.6);
    note_outside(&mut plot, outside, samples.rows().min(DRAWN), x.0, y.1);
    plot.finish(id)
}

/// 1 → "₁".
pub fn subscript(n: usize) -> String {
    n.to_string().chars().map(|c| char::from_u32(0x2080 + c.to_digit(10).unwrap_or(0)).unwrap_or(c)).collect()
}

/// [`padded_range`] of a column.
pub fn column_range_at(x: &Matrix, j: usize, tail: f64, margin: f64) -> (f64, f64) {
    let column: Vec<f64> = x.iter_rows().map(|r| r[j]).collect();
    padded_range(&column, tail, margin)
}

/// The range between the quantiles `tail` and 1 - `tail`, widened by the share `margin` on each side.
pub fn padded_range(values: &[f64], tail: f64, margin: f64) -> (f64, f64) {
    let mut v: Vec<f64> = values.iter().copied().filter(|x| x.is_finite()).collect();
    v.sort_by(f64::total_cmp);
    if v.is_empty() {
        return (0.0, 1.0);
    }
    let skip = (tail * v.len() as f64) as usize;
    let (low, high) = (v[skip], v[v.len() - 1 - skip]);
    let pad = margin * (high - low);
    (low - pad, high + pad)
}

/// Histogram counts as the corners of a staircase, in densities; values outside [low, high] are left out but still count as mass.
fn staircase(values: &[f64], low: f64, high: f64, bins: usize) -> Vec<(f64, f64)> {
    let mut counts = vec![0usize; bins];
    let width = (high - low) / bins as f64;
    for v in values {
        let k = ((v - low) / width).floor();
        if (0.0..bins as f64).contains(&k) {
            counts[k as usize] += 1;
        }
    }
    let scale = 1.0 / (values.len().max(1) as f64 * width);
    let corner = |k: usize| {
        let y = counts[k] as f64 * scale;
        [(low + k as f64 * width, y), (low + (k + 1) as f64 * width, y)]
    };
    (0..bins).flat_map(corner).collect()
}

/// Distribution of a number over the model's samples (line) and exact ones (filled).
pub fn histogram(id: &str, title: &str, label: &str, size: (f64, f64), model: &[f64], exact: &[f64]) -> String {
    let frame = if exact.is_empty() { model } else { exact };
    let (low, high) = padded_range(frame, 0.001, 0.1);
    let high = if high > low { high } else { low + 1.0 };
    let (m, e) = (staircase(model, low, high, 60), staircase(exact, low, high, 60));
    let top = m.iter().chain(&e).map(|p| p.1).fold(0.0, f64::max);
    let top = if top > 0.0 { top } else { 1.0 };
    let y = Axis::linear("probability density", 0.0, 1.08 * top, 4);
    let mut plot = Plot::new(title, size, Axis::linear(label, low, high, 6), y);
    if !exact.is_empty() {
        plot.area(&e, &format!("fill=\"{TARGET}\" fill-opacity=\"0.28\" stroke=\"{TARGET}\" stroke-dasharray=\"4 2\""));
        plot.legend(&format!("<rect y=\"-5\" width=\"14\" height=\"9\" x=\"-6\" fill=\"{TARGET}\" fill-opacity=\"0.28\" stroke=\"{TARGET}\" stroke-dasharray=\"4 2\"/>"), "exact");
    }
    plot.line(&m, &format!("stroke=\"{MODEL}\" stroke-width=\"1.8\""));
    plot.legend(&format!("<path d=\"M-6 0h14\" stroke=\"{MODEL}\" stroke-width=\"2\"/>"), "model");
    let beyond = model.iter().filter(|v| !(low..=high).contains(*v)).count();
    note_outside(&mut plot, beyond, model.len(), low, 1.08 * top);
    plot.finish(id)
}

/// Mass of each mode: the truth as a bar across, the model as a dot with the 95% interval of its counting error.
pub fn mode_masses(id: &str, width: f64, modes: &[ModeMass], n: usize) -> String {
    let top = modes.iter().flat_map(|m| [m.truth, m.model]).fold(0.0, f64::max);
    let last = modes.len() as f64;
    let mut x = Axis::linear("mode", 0.4, last + 0.6, 20);
    x.ticks.retain(|(t, _)| *t >= 1.0 && t.fract() == 0.0);
    x.ticks.iter_mut().for_each(|(t, text)| *text = format!("{t:.0}"));
    let y = Axis::linear("share of the samples", 0.0, 1.2 * top.max(1e-12), 5);
    let mut plot = Plot::new("Share of each mode", (width, 270.0), x, y);
    for (k, m) in modes.iter().enumerate() {
        let k = k as f64 + 1.0;
        // Normal approximation of the binomial; enough for an error bar at thousands of samples.
        let half = 1.96 * (m.model * (1.0 - m.model) / n.max(1) as f64).sqrt();
        plot.line(
            &[(k, (m.model - half).max(0.0)), (k, m.model + half)],
            &format!("stroke=\"{MODEL}\" stroke-width=\"1.4\""),
        );
        plot.line(&[(k - 0.36, m.truth), (k + 0.36, m.truth)], &format!("stroke=\"{TARGET}\" stroke-width=\"2.6\""));
        let (px, py) = plot.place(k, m.model);
        plot.raw(&format!(
            "<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"3.2\" fill=\"{MODEL}\" stroke=\"#fff\" stroke-width=\"0.8\"/>"
        ));
    }
    plot.legend(&format!("<path d=\"M-6 0h14\" stroke=\"{TARGET}\" stroke-width=\"2.6\"/>"), "truth");
    plot.legend(DOT, "model, with 95% counting error");
    plot.finish(id)
}

/// One training curve: block means as a line over the band of block minima and maxima.
pub struct Curve<'a> {
    /// Above the diagram.
    pub title: &'a str,
    /// Along the y axis.
    pub label: &'a str,
    /// Colour of line and band.
    pub colour: &'a str,
    /// SVG dash pattern, so that curves differ without colour.
    pub dash: &'a str,
    /// Logarithmic y axis (where all values are positive).
    pub log: bool,
    /// A level to compare with, such as the mean over exact samples.
    pub reference: Option<(f64, &'a str)>,
}

/// Draws a curve against the training step.
pub fn curve(id: &str, size: (f64, f64), spec: &Curve, points: &[(f64, f64)]) -> String {
    let blocks: Vec<[(f64, f64); 3]> = points.chunks(points.len().div_ceil(160).max(1)).map(block).collect();
    let reference = spec.reference.map(|r| r.0);
    let values: Vec<f64> = points.iter().map(|p| p.1).chain(reference).collect();
    let log = spec.log && values.iter().all(|v| *v > 0.0) && !values.is_empty();
    let y = if log {
        let (low, high) = values.iter().fold((f64::MAX, 0f64), |(a, b), v| (a.min(*v), b.max(*v)));
        Axis::log(spec.label, low / 1.15, high * 1.15)
    } else {
        // The first steps of a run may be orders of magnitude away; 2% of the values may leave the diagram.
        let (low, high) = padded_range(&values, 0.02, 0.12);
        let low = reference.map_or(low, |r| low.min(r - 0.08 * (high - low).abs()));
        let high = reference.map_or(high, |r| high.max(r + 0.08 * (high - low).abs()));
        Axis::linear(spec.label, low, high, 5)
    };
    let x = Axis::linear("step", 0.0, points.last().map_or(1.0, |p| p.0), 4);
    let mut plot = Plot::new(spec.title, size, x, y);
    let band: Vec<(f64, f64)> = blocks.iter().map(|b| b[1]).chain(blocks.iter().rev().map(|b| b[2])).collect();
    plot.line(&band, &format!("style=\"fill:{0};fill-opacity:0.18\" stroke=\"none\"", spec.colour));
    let means: Vec<(f64, f64)> = blocks.iter().map(|b| b[0]).collect();
    plot.line(&means, &format!("stroke=\"{}\" stroke-width=\"1.8\" stroke-dasharray=\"{}\"", spec.colour, spec.dash));
    if let Some((level, words)) = spec.reference {
        plot.line(
            &[(-1e9, level), (1e9, level)],
            &format!("stroke=\"{INK}\" stroke-width=\"1.2\" stroke-dasharray=\"2 3\""),
        );
        plot.legend(
            &format!("<path d=\"M-8 0h18\" stroke=\"{INK}\" stroke-width=\"1.2\" stroke-dasharray=\"2 3\"/>"),
            words,
        );
    }
    plot.finish(id)
}

/// Mean, least and greatest of a block, each at the block's middle.
fn block(points: &[(f64, f64)]) -> [(f64, f64); 3] {
    let n = points.len() as f64;
    let x = points.iter().map(|p| p.0).sum::<f64>() / n;
    let mean = points.iter().map(|p| p.1).sum::<f64>() / n;
    let low = points.iter().map(|p| p.1).fold(f64::MAX, f64::min);
    let high = points.iter().map(|p| p.1).fold(f64::MIN, f64::max);
    [(x, mean), (x, low), (x, high)]
}

/// The weight w of the divergence against the log-ratio, both in powers of ten.
pub fn weight(id: &str, size: (f64, f64), card: &DivergenceCard) -> String {
    let ten = std::f64::consts::LN_10;
    let points: Vec<(f64, f64)> = card.log_weight.iter().map(|(l, w)| (l / ten, w / ten)).collect();
    let xs: Vec<f64> = points.iter().map(|p| p.0).collect();
    let (low, high) = padded_range(&points.iter().map(|p| p.1).collect::<Vec<_>>(), 0.0, 0.12);
    let (low, high) = if high - low < 2.0 { ((low + high) / 2.0 - 1.0, (low + high) / 2.0 + 1.0) } else { (low, high) };
    let mut x = Axis::linear("r = p/q", xs.first().copied().unwrap_or(-1.0), xs.last().copied().unwrap_or(1.0), 5);
    let mut y = Axis::linear("w(r)", low, high, 5);
    for axis in [&mut x, &mut y] {
        axis.ticks.retain(|(t, _)| (t - t.round()).abs() < 1e-9);
        axis.ticks.iter_mut().for_each(|(t, text)| *text = power_of_ten(t.round() as i32));
    }
    let mut plot = Plot::new("Weight of the drift", size, x, y);
    plot.line(&[(0.0, low), (0.0, high)], &format!("stroke=\"{INK}\" stroke-dasharray=\"2 3\""));
    plot.line(&points, &format!("stroke=\"{MODEL}\" stroke-width=\"2\""));
    plot.finish(id)
}

fn power_of_ten(n: i32) -> String {
    match n {
        0 => "1".into(),
        1 => "10".into(),
        _ => format!("10{}", superscript(n)),
    }
}
