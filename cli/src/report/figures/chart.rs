//! Curves in one diagram with their key beside it.

use crate::report::axis::Axis;
use crate::report::plot::Plot;
use crate::style::{escape, series};
use std::fmt::Write;

/// Pixels of a figure: the diagram, and its key beside it.
pub const SIZE: (f64, f64) = (900.0, 380.0);
/// Pixels of the diagram alone.
pub const DIAGRAM: (f64, f64) = (620.0, SIZE.1);

pub type Points = Vec<(f64, f64)>;

/// A diagram of curves.
pub struct Chart {
    title: String,
    x: (String, f64, f64),
    y: String,
    range: Option<(f64, f64)>,
    log: (bool, bool),
    /// Words of the key, SVG style, points.
    curves: Vec<(String, String, Points)>,
    dots: Vec<(&'static str, Points)>,
}

impl Chart {
    /// An empty diagram over x in [low, high]; the range of y is that of the curves unless it is set.
    pub fn new(title: &str, (x, low, high): (&str, f64, f64), y: &str) -> Self {
        let x = (x.into(), low, high);
        Self { title: title.into(), x, y: y.into(), range: None, log: (false, false), curves: vec![], dots: vec![] }
    }

    pub fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    pub fn log_x(mut self) -> Self {
        self.log.0 = true;
        self
    }

    pub fn log_y(mut self) -> Self {
        self.log.1 = true;
        self
    }

    /// The next colour and dash.
    pub fn curve(self, words: &str, points: Points) -> Self {
        let style = series(self.curves.len());
        self.styled(words, &style, points)
    }

    /// A curve with SVG attributes of its own; without words it is not in the key.
    pub fn styled(mut self, words: &str, style: &str, points: Points) -> Self {
        self.curves.push((words.into(), style.into(), points));
        self
    }

    /// Dots of a colour.
    pub fn dots(mut self, colour: &'static str, points: Points) -> Self {
        self.dots.push((colour, points));
        self
    }

    /// A thin line y = value over the whole width.
    pub fn level(self, value: f64) -> Self {
        let (low, high) = (self.x.1, self.x.2);
        self.styled("", "stroke=\"#222\" stroke-opacity=\"0.6\"", vec![(low, value), (high, value)])
    }

    /// f at 241 points between the ends of x.
    pub fn sampled(&self, f: impl Fn(f64) -> f64) -> Points {
        let (low, high) = (self.x.1, self.x.2);
        let at = |k: i32| {
            let part = f64::from(k) / 240.0;
            if self.log.0 { low * pushforward::num::powf(high / low, part) } else { low + (high - low) * part }
        };
        (0..=240).map(at).map(|x| (x, f(x))).collect()
    }

    /// The next curve, from a function of x.
    pub fn function(self, words: &str, f: impl Fn(f64) -> f64) -> Self {
        let points = self.sampled(f);
        self.curve(words, points)
    }

    /// The `<svg>` element; `id` is unique in its page.
    pub fn draw(self, id: &str) -> String {
        let values = || self.curves.iter().flat_map(|c| &c.2).map(|p| p.1).filter(|y| y.is_finite());
        let (low, high) = self.range.unwrap_or_else(|| {
            let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), y| (a.min(y), b.max(y)));
            if self.log.1 { (0.8 * low, 1.25 * high) } else { (low - 0.05 * (high - low), high + 0.07 * (high - low)) }
        });
        let axis = |log: bool, label: &str, low: f64, high: f64| {
            if log { Axis::log(label, low, high) } else { Axis::linear(label, low, high, 7) }
        };
        let x = axis(self.log.0, &self.x.0, self.x.1, self.x.2);
        let mut plot = Plot::new(&self.title, DIAGRAM, x, axis(self.log.1, &self.y, low, high));
        self.curves.iter().for_each(|(_, style, points)| plot.line(points, style));
        for (colour, points) in &self.dots {
            plot.dots(points, 7.0, colour, 1.0);
        }
        let entries =
            self.curves.iter().filter(|c| !c.0.is_empty()).map(|(words, style, _)| (words.clone(), style.clone()));
        beside(&plot.finish(&format!("figure-{id}")), &entries.collect::<Vec<_>>())
    }
}

/// A diagram with a key at its right: words, and SVG attributes of their line.
pub fn beside(diagram: &str, entries: &[(String, String)]) -> String {
    let mut key = String::new();
    for (k, (words, style)) in entries.iter().enumerate() {
        let (x, y) = (DIAGRAM.0 + 4.0, 44.0 + 22.0 * k as f64);
        let _ = writeln!(
            key,
            "<path d=\"M{x:.0} {y:.0}h30\" fill=\"none\" {style}/><text class=\"tick\" x=\"{:.0}\" y=\"{:.0}\">{}</text>",
            x + 38.0,
            y + 4.0,
            escape(words)
        );
    }
    format!("<svg viewBox=\"0 0 {} {}\" width=\"{}\">\n{diagram}{key}</svg>\n", SIZE.0, SIZE.1, SIZE.0)
}
