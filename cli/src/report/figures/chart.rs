//! Curves in one diagram with their key inside.

use crate::report::axis::Axis;
use crate::report::plot::{Corner, Plot};
use crate::report::style::series;

/// Pixels of a figure.
pub const SIZE: (f64, f64) = (640.0, 380.0);

pub type Points = Vec<(f64, f64)>;

/// A diagram of curves.
pub struct Chart {
    title: String,
    x: (String, f64, f64),
    y: String,
    range: Option<(f64, f64)>,
    log: (bool, bool),
    corner: Corner,
    /// Words of the key, SVG style, points.
    curves: Vec<(String, String, Points)>,
    dots: Vec<(&'static str, Points)>,
}

impl Chart {
    /// An empty diagram over x in [low, high]; the range of y is that of the curves unless it is set.
    pub fn new(title: &str, (x, low, high): (&str, f64, f64), y: &str) -> Self {
        let (log, corner) = ((false, false), Corner::TopLeft);
        let x = (x.into(), low, high);
        Self { title: title.into(), x, y: y.into(), range: None, log, corner, curves: vec![], dots: vec![] }
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

    /// Where the key stands.
    pub fn key(mut self, corner: Corner) -> Self {
        self.corner = corner;
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
        let mut plot = Plot::new(&self.title, SIZE, x, axis(self.log.1, &self.y, low, high));
        self.curves.iter().for_each(|(_, style, points)| plot.line(points, style));
        for (colour, points) in &self.dots {
            plot.dots(points, 7.0, colour, 1.0);
        }
        let entries = self.curves.iter().filter(|c| !c.0.is_empty()).map(|(words, style, _)| (style, words));
        plot.key(self.corner, &entries.collect::<Vec<_>>());
        plot.finish(&format!("figure-{id}"))
    }
}
