//! One diagram as SVG text: a box, two axes with ticks and labels, marks inside.

use crate::report::axis::Axis;
use crate::style::{GRID, INK, escape};
use std::fmt::Write;

/// Room for a label (26 pixels), the widest tick at 7.2 pixels a character, and a gap.
fn left_margin(y: &Axis) -> f64 {
    34.0 + 7.2 * y.ticks.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0) as f64
}

/// A diagram under construction.
pub struct Plot {
    /// Outer width in pixels.
    width: f64,
    /// Outer height in pixels.
    height: f64,
    x: Axis,
    y: Axis,
    /// What a screen reader says.
    title: String,
    body: String,
    legend: Vec<(String, String)>,
    grid: bool,
    /// Room for the y axis: label, and the widest tick.
    left: f64,
}

const RIGHT: f64 = 20.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;

impl Plot {
    /// An empty diagram; `title` stands above it.
    pub fn new(title: &str, (width, height): (f64, f64), x: Axis, y: Axis) -> Self {
        let (left, title) = (left_margin(&y), title.into());
        Self { width, height, x, y, title, body: String::new(), legend: Vec::new(), grid: true, left }
    }

    /// The height that gives a diagram of this width equal units on both axes.
    pub fn equal_height(width: f64, x: &Axis, y: &Axis) -> f64 {
        (width - left_margin(y) - RIGHT) * (y.high - y.low) / (x.high - x.low) + TOP + BOTTOM
    }

    /// Leaves the grid lines out.
    pub fn without_grid(mut self) -> Self {
        self.grid = false;
        self
    }

    /// Pixels of the point (x, y).
    pub fn place(&self, x: f64, y: f64) -> (f64, f64) {
        let (w, h) = (self.width - self.left - RIGHT, self.height - TOP - BOTTOM);
        let clamp = |v: f64| v.clamp(-1e5, 1e5);
        (clamp(self.left + w * self.x.part(x)), clamp(TOP + h * (1.0 - self.y.part(y))))
    }

    /// Whether the point (x, y) lies inside the box.
    pub fn holds(&self, x: f64, y: f64) -> bool {
        (0.0..=1.0).contains(&self.x.part(x)) && (0.0..=1.0).contains(&self.y.part(y))
    }

    /// Any SVG, cut at the box.
    pub fn raw(&mut self, svg: &str) {
        self.body.push_str(svg);
        self.body.push('\n');
    }

    /// A polyline. `style` is SVG attributes (stroke, stroke-width, stroke-dasharray).
    pub fn line(&mut self, points: &[(f64, f64)], style: &str) {
        let d = self.path(points);
        self.raw(&format!("<path d=\"{d}\" fill=\"none\" {style}/>"));
    }

    /// The area between a polyline and the lower axis.
    pub fn area(&mut self, points: &[(f64, f64)], style: &str) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let closed: Vec<(f64, f64)> = [&[(first.0, self.y.low)], points, &[(last.0, self.y.low)]].concat();
        let d = self.path(&closed);
        self.raw(&format!("<path d=\"{d}Z\" {style}/>"));
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut d = String::new();
        let mut pen_down = false;
        for &(x, y) in points {
            if !(x.is_finite() && y.is_finite()) {
                pen_down = false;
                continue;
            }
            let (px, py) = self.place(x, y);
            let _ = write!(d, "{}{px:.1} {py:.1}", if pen_down { "L" } else { "M" });
            pen_down = true;
        }
        d
    }

    /// Many round dots of one diameter, as one path of lines without length. Returns how many lay outside the box.
    pub fn dots(&mut self, points: &[(f64, f64)], diameter: f64, colour: &str, opacity: f64) -> usize {
        let inside: Vec<_> = points.iter().filter(|p| self.holds(p.0, p.1)).map(|p| self.place(p.0, p.1)).collect();
        let d = inside.iter().fold(String::new(), |d, (x, y)| d + &format!("M{x:.1} {y:.1}h0"));
        self.raw(&format!(
            "<path d=\"{d}\" stroke=\"{colour}\" stroke-opacity=\"{opacity}\" stroke-width=\"{diameter}\" stroke-linecap=\"round\" fill=\"none\"/>"
        ));
        points.len() - inside.len()
    }

    /// Many upright crosses of one size, as one path. Returns how many lay outside the box.
    pub fn crosses(&mut self, points: &[(f64, f64)], size: f64, colour: &str, opacity: f64) -> usize {
        let inside: Vec<_> = points.iter().filter(|p| self.holds(p.0, p.1)).map(|p| self.place(p.0, p.1)).collect();
        let half = size / 2.0;
        let d = inside.iter().fold(String::new(), |d, (x, y)| {
            d + &format!("M{:.1} {y:.1}h{size:.1}M{x:.1} {:.1}v{size:.1}", x - half, y - half)
        });
        self.raw(&format!(
            "<path d=\"{d}\" stroke=\"{colour}\" stroke-opacity=\"{opacity}\" stroke-width=\"1\" fill=\"none\"/>"
        ));
        points.len() - inside.len()
    }

    /// An entry of the legend: a 22×10 sample drawn by `mark` around the origin, then words.
    pub fn legend(&mut self, mark: &str, words: &str) {
        self.legend.push((mark.into(), words.into()));
    }

    /// The diagram as an `<svg>` element.
    pub fn finish(self, id: &str) -> String {
        let (w, h) = (self.width - self.left - RIGHT, self.height - TOP - BOTTOM);
        let left = self.left;
        let mut s = format!(
            "<svg viewBox=\"0 0 {:.0} {:.0}\" width=\"{:.0}\" role=\"img\" aria-label=\"{}\">\n",
            self.width,
            self.height,
            self.width,
            escape(&self.title)
        );
        let _ = writeln!(
            s,
            "<clipPath id=\"{id}\"><rect x=\"{left:.1}\" y=\"{TOP}\" width=\"{w:.1}\" height=\"{h:.1}\"/></clipPath>"
        );
        let _ = writeln!(s, "<text class=\"title\" x=\"{left:.1}\" y=\"18\">{}</text>", escape(&self.title));
        if self.grid {
            self.grid_lines(&mut s);
        }
        let _ = writeln!(s, "<g clip-path=\"url(#{id})\">\n{}</g>", self.body);
        self.frame(&mut s, w, h);
        self.draw_legend(&mut s);
        s.push_str("</svg>\n");
        s
    }

    fn grid_lines(&self, s: &mut String) {
        let left = self.left;
        let (bottom, right) = (self.height - BOTTOM, self.width - RIGHT);
        let verticals =
            self.x.ticks.iter().map(|(t, _)| format!("M{:.1} {TOP}V{bottom:.1}", self.place(*t, self.y.low).0));
        let levels =
            self.y.ticks.iter().map(|(t, _)| format!("M{left:.1} {:.1}H{right:.1}", self.place(self.x.low, *t).1));
        let d: String = verticals.chain(levels).collect();
        let _ = writeln!(s, "<path d=\"{d}\" stroke=\"{GRID}\" fill=\"none\"/>");
    }

    fn frame(&self, s: &mut String, w: f64, h: f64) {
        let (left, bottom) = (self.left, self.height - BOTTOM);
        let _ = writeln!(
            s,
            "<rect x=\"{left:.1}\" y=\"{TOP}\" width=\"{w:.1}\" height=\"{h:.1}\" fill=\"none\" stroke=\"{INK}\" stroke-opacity=\"0.55\"/>"
        );
        for (t, text) in &self.x.ticks {
            let x = self.place(*t, self.y.low).0;
            let _ = writeln!(
                s,
                "<path d=\"M{x:.1} {bottom:.1}v4\" stroke=\"{INK}\"/><text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
                bottom + 17.0
            );
        }
        for (t, text) in &self.y.ticks {
            let y = self.place(self.x.low, *t).1;
            let _ = writeln!(
                s,
                "<path d=\"M{left:.1} {y:.1}h-4\" stroke=\"{INK}\"/><text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                self.left - 7.0,
                y + 4.0
            );
        }
        let (cx, cy) = (self.left + w / 2.0, TOP + h / 2.0);
        let _ = writeln!(
            s,
            "<text class=\"label\" x=\"{cx:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            self.height - 8.0,
            escape(&self.x.label)
        );
        let _ = writeln!(
            s,
            "<text class=\"label\" transform=\"translate(13 {cy:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escape(&self.y.label)
        );
    }

    /// The legend's entries, one beside the other from the right end of the title's line.
    fn draw_legend(&self, s: &mut String) {
        let mut right = self.width - RIGHT;
        for (mark, words) in self.legend.iter().rev() {
            // 6.6 pixels a character is the mean width of 12-pixel sans-serif text, rounded up.
            right -= 6.6 * words.chars().count() as f64;
            let _ = writeln!(s, "<text class=\"tick\" x=\"{right:.1}\" y=\"18\">{}</text>", escape(words));
            right -= 15.0;
            let _ = writeln!(s, "<g transform=\"translate({right:.1} 14)\">{mark}</g>");
            right -= 22.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that degenerate ranges and numbers that are not finite still give a drawing without NaN in it.
    #[test]
    fn degenerate_input_draws() {
        for (low, high) in [(0.0, 0.0), (3.0, 3.0), (f64::NAN, 1.0), (f64::NEG_INFINITY, f64::INFINITY)] {
            let mut plot = Plot::new("t", (300.0, 200.0), Axis::linear("x", low, high, 5), Axis::log("y", low, high));
            plot.line(&[(1.0, f64::NAN), (2.0, 3.0), (f64::INFINITY, 1.0), (4.0, -1.0)], "");
            plot.dots(&[(f64::NAN, 0.0), (0.5, 0.5)], 2.0, "red", 1.0);
            let svg = plot.finish("c");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
