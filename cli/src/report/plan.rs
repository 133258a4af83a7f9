//! The picture of a plan between two sets of points in the plane: who is sent where, and how much.

use crate::report::axis::Axis;
use crate::report::panels::padded_range;
use crate::report::picture::picture;
use crate::report::plot::Plot;
use crate::style::{INK, MODEL, TARGET, count, escape, number};
use pushforward::linalg::Matrix;

/// Width of the file, and its height at least and at most: both axes have the same unit in between.
const WIDTH: f64 = 760.0;
const HEIGHTS: (f64, f64) = (360.0, 1200.0);
/// Height of the line below the diagram.
const NOTE: f64 = 40.0;
/// Points of either side, and lines, that are drawn at most.
const POINTS: usize = 2000;
const LINES: usize = 3000;
/// Width of the heaviest line, and of the thinnest that is drawn.
const WIDEST: f64 = 4.0;
const THINNEST: f64 = 0.05;

/// One side of a plan.
pub struct Side<'a> {
    /// What the legend calls it.
    pub name: &'a str,
    /// n×2.
    pub points: &'a Matrix,
    /// n, of any sum.
    pub weights: &'a [f64],
}

/// What the file shows.
pub struct Plan<'a> {
    /// Above the diagram.
    pub title: &'a str,
    /// From where.
    pub first: Side<'a>,
    /// To where.
    pub second: Side<'a>,
    /// Names of the two columns.
    pub names: [&'a str; 2],
}

/// Rows spread evenly over n, at most `most`.
fn spread(n: usize, most: usize) -> Vec<usize> {
    let shown = n.min(most);
    (0..shown).map(|k| k * n / shown).collect()
}

impl Plan<'_> {
    /// The file; `row` gives (j, P_ij) for all j with mass.
    pub fn svg(&self, row: impl Fn(usize) -> Vec<(usize, f64)>) -> String {
        let (x, y) = (&self.first, &self.second);
        let axis = |j: usize| {
            let column = |m: &Matrix| m.iter_rows().map(|r| r[j]).collect::<Vec<_>>();
            let (low, high) = padded_range(&[column(x.points), column(y.points)].concat(), 0.0, 0.06);
            Axis::linear(&format!("{}, in units of the samples", self.names[j]), low, high, 6)
        };
        let (horizontal, vertical) = (axis(0), axis(1));
        let height = Plot::equal_height(WIDTH, &horizontal, &vertical).clamp(HEIGHTS.0, HEIGHTS.1);
        let mut plot = Plot::new(self.title, (WIDTH, height), horizontal, vertical);
        let rows = spread(x.points.rows(), POINTS);
        let mut lines: Vec<(usize, usize, f64)> =
            rows.iter().flat_map(|&i| row(i).into_iter().map(move |(j, mass)| (i, j, mass))).collect();
        let all: f64 = lines.iter().map(|l| l.2).sum();
        // heaviest first; of equal ones the first
        lines.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        lines.truncate(LINES);
        let most = lines.first().map_or(0.0, |l| l.2);
        lines.retain(|l| l.2 >= THINNEST / WIDEST * most);
        let drawn: f64 = lines.iter().map(|l| l.2).sum();
        // the heaviest on top
        for (i, j, mass) in lines.iter().rev() {
            let (a, b) = (x.points.row(*i), y.points.row(*j));
            let width = WIDEST * mass / most;
            plot.line(
                &[(a[0], a[1]), (b[0], b[1])],
                &format!(
                    "stroke=\"{INK}\" stroke-opacity=\"0.35\" stroke-width=\"{width:.2}\" stroke-linecap=\"round\""
                ),
            );
        }
        dots(&mut plot, y, MODEL, true);
        dots(&mut plot, x, TARGET, false);
        plot.legend(&format!("<circle cx=\"8\" r=\"3.5\" fill=\"{TARGET}\"/>"), x.name);
        plot.legend(&format!("<rect x=\"5\" y=\"-3\" width=\"6\" height=\"6\" fill=\"{MODEL}\"/>"), y.name);
        let bar = format!("<path d=\"M-8 0h20\" stroke=\"{INK}\" stroke-opacity=\"0.5\" stroke-width=\"{WIDEST}\"/>");
        plot.legend(&bar, &format!("mass {} (width ∝ mass)", number(most, 2)));
        let share =
            |shown: usize, n: usize| if shown < n { format!("{} of {}", count(shown), count(n)) } else { count(n) };
        let note = format!(
            "{} lines, {} % of the mass of the points drawn ({} and {})",
            count(lines.len()),
            number(100.0 * drawn / all, 3),
            share(rows.len(), x.points.rows()),
            share(y.points.rows().min(POINTS), y.points.rows())
        );
        let panel = plot.finish("plan")
            + &format!("<text class=\"tick\" x=\"13\" y=\"{:.0}\">{}</text>\n", height + NOTE - 8.0, escape(&note));
        picture(&[panel], 1, (WIDTH, height + NOTE))
    }
}

/// Round or square dots whose area follows the weight.
fn dots(plot: &mut Plot, side: &Side, colour: &str, square: bool) {
    let rows = spread(side.points.rows(), POINTS);
    let mean = side.weights.iter().sum::<f64>() / side.weights.len() as f64;
    let base = if rows.len() > 300 { 1.6 } else { 3.0 };
    for i in rows {
        let (px, py) = plot.place(side.points[(i, 0)], side.points[(i, 1)]);
        let r = base * (side.weights[i] / mean).sqrt().min(4.0);
        plot.raw(&if square {
            format!("<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\" fill-opacity=\"0.8\"/>", px - r, py - r, 2.0 * r, 2.0 * r)
        } else {
            format!("<circle cx=\"{px:.1}\" cy=\"{py:.1}\" r=\"{r:.1}\" fill=\"{colour}\" fill-opacity=\"0.8\"/>")
        });
    }
}
