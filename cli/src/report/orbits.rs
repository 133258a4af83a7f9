//! The picture of symmetries: orbits of the found group, and the eigenvalues among which it was found.

use crate::record::Field;
use crate::report::axis::Axis;
use crate::report::panels::{column_range_at, draw_field, subscript};
use crate::report::picture::picture;
use crate::report::plot::Plot;
use crate::style::{INK, MODEL, TARGET};
use pushforward::linalg::Matrix;
use pushforward::symmetry::{AffineField, Found};

/// Width and height of a panel.
const SIZE: (f64, f64) = (520.0, 520.0);
/// Orbits, and points along each.
const ORBITS: usize = 14;
const STEPS: usize = 240;
/// Times along a direction that is no symmetry, in units of its size.
const SHORT: f64 = 0.6;
/// Eigenvalues at or below this are drawn there: they are rounding.
const FLOOR: f64 = 1e-20;

/// What the file shows.
pub struct Orbits<'a> {
    /// The target's name.
    pub name: &'a str,
    /// What was found.
    pub found: &'a Found,
    /// Points of the target, n×d.
    pub points: &'a Matrix,
    /// log p~ over the points, in the plane.
    pub field: Option<&'a Field>,
}

impl Orbits<'_> {
    /// The file.
    pub fn svg(&self) -> String {
        picture(&[self.plane(), self.spectrum()], 2, SIZE)
    }

    /// Orbits of the first field of the basis; of the least broken direction, dashed, where there is none.
    fn plane(&self) -> String {
        let d = self.points.cols();
        let kept = !self.found.basis.is_empty();
        let Some(v) = self.found.basis.first().or(self.found.nearest.as_ref()) else { return String::new() };
        let (a, b) = self.coordinates(v);
        let axis = |j: usize| {
            let (low, high) = column_range_at(self.points, j, 0.01, 0.2);
            Axis::linear(&format!("x{}", subscript(j + 1)), low, high, 6)
        };
        let (x, y) = match self.field {
            Some(f) => (Axis::linear("x₁", f.x.0, f.x.1, 6), Axis::linear("x₂", f.y.0, f.y.1, 6)),
            None => (axis(a), axis(b)),
        };
        let of = if self.found.basis.len() > 1 { " of field 1" } else { "" };
        let title = if kept { format!("{}: orbits{of}", self.name) } else { format!("{}: no symmetry", self.name) };
        let mut plot = Plot::new(&title, SIZE, x, y).without_grid();
        match self.field {
            Some(field) => draw_field(&mut plot, field),
            None => {
                let all: Vec<(f64, f64)> = self.points.iter_rows().take(1500).map(|r| (r[a], r[b])).collect();
                plot.crosses(&all, 4.0, TARGET, 0.4);
            }
        }
        // in the units of the frame a field of size ω turns by 2π in the time 2π/ω, or in a few such where it turns many planes
        let size = self.size(v);
        let reach = if kept { std::f64::consts::PI * (d as f64).sqrt() / size } else { SHORT / size };
        let starts = self.points.slice_rows(0..ORBITS.min(self.points.rows()));
        let path: Vec<Matrix> =
            (0..=STEPS).map(|k| v.flow(reach * (2.0 * k as f64 / STEPS as f64 - 1.0), &starts)).collect();
        let dash = if kept { "" } else { " stroke-dasharray=\"5 4\"" };
        for i in 0..starts.rows() {
            let line: Vec<(f64, f64)> = path.iter().map(|x| (x[(i, a)], x[(i, b)])).collect();
            plot.line(&line, &format!("stroke=\"{MODEL}\" stroke-width=\"1.4\"{dash}"));
        }
        let ends: Vec<(f64, f64)> = starts.iter_rows().map(|r| (r[a], r[b])).collect();
        plot.dots(&ends, 5.0, INK, 0.9);
        let mark = format!("<path d=\"M-11 0h22\" stroke=\"{MODEL}\" stroke-width=\"1.4\"{dash}/>");
        plot.legend(&mark, if kept { "orbit" } else { "least broken direction" });
        plot.finish("orbits")
    }

    /// The two coordinates that the field moves most into each other, in units of their spreads.
    fn coordinates(&self, v: &AffineField) -> (usize, usize) {
        let d = v.dim();
        let (_, factor) = self.found.frame.parts();
        let spread = |j: usize| factor.row(j).iter().map(|l| l * l).sum::<f64>().sqrt();
        let entry = |&(i, j): &(usize, usize)| v.matrix[(i, j)].abs() * spread(j) / spread(i);
        let pairs = (0..d).flat_map(|i| (0..d).filter(move |j| *j != i).map(move |j| (i, j)));
        let (i, j) = pairs.max_by(|a, b| entry(a).total_cmp(&entry(b))).unwrap_or((0, 0));
        (i.min(j), i.max(j))
    }

    /// |L⁻¹ A L| in the frame: √2 ω for a rotation of one plane with frequency ω.
    fn size(&self, v: &AffineField) -> f64 {
        let (centre, factor) = self.found.frame.parts();
        // the field at the corners of the frame
        let corners = Matrix::from_fn(v.dim(), v.dim(), |i, j| centre[j] + factor[(j, i)]);
        let at_centre = v.at(&Matrix::from_vec(1, v.dim(), centre.to_vec()));
        let mut moved = v.at(&corners);
        for row in moved.as_mut_slice().chunks_exact_mut(v.dim()) {
            row.iter_mut().zip(at_centre.row(0).iter().zip(centre)).for_each(|(m, (a, c))| *m += c - a);
        }
        let moved = self.found.frame.standardise(&moved);
        moved.as_slice().iter().map(|v| v * v).sum::<f64>().sqrt().max(f64::MIN_POSITIVE)
    }

    /// Eigenvalues against their number, those of the symmetries as dots.
    fn spectrum(&self) -> String {
        let values = &self.found.eigenvalues;
        let count = self.found.basis.len();
        let most = values.iter().copied().fold(1e-12, f64::max);
        let label = "mean square of the residual, relative";
        let mut x = Axis::linear("direction", 0.5, values.len() as f64 + 0.5, 8);
        let every = values.len().div_ceil(10).max(1);
        x.ticks = (1..=values.len()).step_by(every).map(|k| (k as f64, k.to_string())).collect();
        let mut plot = Plot::new("Eigenvalues", SIZE, x, Axis::log(label, FLOOR / 3.0, 10.0 * most));
        let at: Vec<(f64, f64)> = values.iter().enumerate().map(|(k, v)| (k as f64 + 1.0, v.max(FLOOR))).collect();
        plot.dots(&at[..count], 8.0, MODEL, 0.9);
        plot.crosses(&at[count..], 9.0, TARGET, 0.9);
        if let Some((gap, error)) = self.found.gap {
            let ends = [gap - 2.0 * error, gap + 2.0 * error].map(|v| (count as f64 + 1.0, v.max(FLOOR)));
            plot.line(&ends, &format!("stroke=\"{INK}\" stroke-width=\"3\" stroke-opacity=\"0.5\""));
        }
        plot.legend("<circle cx=\"3\" r=\"4\" fill=\"#D55E00\"/>", "symmetry");
        plot.legend(&format!("<path d=\"M-4 0h9M0.5 -4.5v9\" stroke=\"{TARGET}\"/>"), "none");
        plot.finish("spectrum")
    }
}
