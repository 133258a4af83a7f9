//! The way of particles: trajectories in the plane, and mode masses over time.

use crate::record::{Frame, ModeCourse};
use crate::report::axis::Axis;
use crate::report::panels::{padded_range, subscript};
use crate::report::plot::Plot;
use crate::style::{INK, MODEL, series};

/// Particles whose way is drawn.
const DRAWN: usize = 60;

/// Lines from where particles started (crosses) to where they are (dots), in the first two coordinates.
pub fn trajectories(id: &str, width: f64, frames: &[Frame]) -> String {
    let n = frames.iter().map(|f| f.samples.rows()).min().unwrap_or(0).min(DRAWN);
    let column = |j: usize| -> Vec<f64> {
        frames.iter().flat_map(|f| (0..n).map(move |i| f.samples[(i, j)])).filter(|v| v.is_finite()).collect()
    };
    let axis = |j: usize| {
        let (low, high) = padded_range(&column(j), 0.0, 0.06);
        Axis::linear(&format!("x{}", subscript(j + 1)), low, high, 5)
    };
    let (x, y) = (axis(0), axis(1));
    let height = Plot::equal_height(width, &x, &y).clamp(0.5 * width, 1.4 * width);
    let mut plot = Plot::new(&format!("Trajectories of {n} particles"), (width, height), x, y);
    let at = |f: &Frame, i: usize| (f.samples[(i, 0)], f.samples[(i, 1)]);
    let finite = |p: &(f64, f64)| p.0.is_finite() && p.1.is_finite();
    for i in 0..n {
        let line: Vec<(f64, f64)> = frames.iter().map(|f| at(f, i)).filter(finite).collect();
        plot.line(&line, &format!("stroke=\"{MODEL}\" stroke-width=\"0.9\" stroke-opacity=\"0.6\""));
    }
    let ends =
        |f: Option<&Frame>| f.map_or(Vec::new(), |f| (0..n).map(|i| at(f, i)).filter(finite).collect::<Vec<_>>());
    plot.crosses(&ends(frames.first()), 5.0, INK, 0.8);
    plot.dots(&ends(frames.last()), 4.0, MODEL, 1.0);
    plot.finish(id)
}

/// The share of particles in each mode against the step, the truth as a dotted line.
pub fn masses(id: &str, size: (f64, f64), courses: &[ModeCourse]) -> String {
    let last = courses.iter().flat_map(|c| &c.points).map(|p| p.0).fold(1.0, f64::max);
    let most = courses.iter().flat_map(|c| c.points.iter().map(|p| p.1).chain([c.truth])).fold(0.0, f64::max);
    let (x, y) = (Axis::linear("step", 0.0, last, 5), Axis::linear("share of the particles", 0.0, 1.1 * most, 4));
    let mut plot = Plot::new("Mass of the modes over time", size, x, y);
    for (k, course) in courses.iter().enumerate() {
        plot.line(&course.points, &series(k));
        let truth = [(0.0, course.truth), (last, course.truth)];
        plot.line(&truth, &format!("stroke=\"{INK}\" stroke-width=\"0.8\" stroke-dasharray=\"1 4\""));
    }
    plot.finish(id)
}
