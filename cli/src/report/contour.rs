//! Regions of highest density of a field on a grid, by marching squares.

use crate::record::Field;
use pushforward::num::exp;
use std::fmt::Write;

/// The level c of log p~ such that {log p~ ≥ c} holds the share `mass` of the probability inside the box.
pub fn mass_level(field: &Field, mass: f64) -> f64 {
    let mut values: Vec<f64> = field.log_p.as_slice().iter().copied().filter(|v| v.is_finite()).collect();
    values.sort_by(|a, b| b.total_cmp(a));
    let Some(&top) = values.first() else { return f64::NAN };
    let total: f64 = values.iter().map(|v| exp(v - top)).sum();
    let mut sum = 0.0;
    for v in &values {
        sum += exp(v - top);
        if sum >= mass * total {
            return *v;
        }
    }
    values[values.len() - 1]
}

/// SVG path data of the region {log p~ ≥ level} (filled cells) and of its border (segments), in pixels by `place`.
pub fn region(field: &Field, level: f64, place: &dyn Fn(f64, f64) -> (f64, f64)) -> (String, String) {
    let (rows, cols) = field.log_p.shape();
    let (mut fill, mut border) = (String::new(), String::new());
    let at = |u: f64, v: f64| {
        let x = field.x.0 + (field.x.1 - field.x.0) * u / (cols - 1) as f64;
        let y = field.y.0 + (field.y.1 - field.y.0) * v / (rows - 1) as f64;
        place(x, y)
    };
    for i in 0..rows - 1 {
        let mut j = 0;
        while j < cols - 1 {
            let run = (j..cols - 1).take_while(|&k| corners(field, i, k).iter().all(|c| c.2 >= level)).count();
            if run > 0 {
                let ((x0, y0), (x1, y1)) = (at(j as f64, i as f64), at((j + run) as f64, (i + 1) as f64));
                let _ = write!(fill, "M{x0:.1} {y0:.1}H{x1:.1}V{y1:.1}H{x0:.1}Z");
                j += run;
                continue;
            }
            cell(&corners(field, i, j), level, &at, &mut fill, &mut border);
            j += 1;
        }
    }
    (fill, border)
}

/// The corners of cell (i, j) in order round it: column, row, log p~.
fn corners(field: &Field, i: usize, j: usize) -> [(f64, f64, f64); 4] {
    [(0, 0), (0, 1), (1, 1), (1, 0)].map(|(di, dj)| ((j + dj) as f64, (i + di) as f64, field.log_p[(i + di, j + dj)]))
}

/// The part of one cell above the level: a walk round the corners that adds a point where an edge crosses the level.
fn cell(
    corners: &[(f64, f64, f64); 4],
    level: f64,
    at: &dyn Fn(f64, f64) -> (f64, f64),
    fill: &mut String,
    border: &mut String,
) {
    let mut polygon: Vec<((f64, f64), bool)> = Vec::with_capacity(8);
    for k in 0..4 {
        let (a, b) = (corners[k], corners[(k + 1) % 4]);
        if a.2 >= level {
            polygon.push((at(a.0, a.1), false));
        }
        if (a.2 >= level) != (b.2 >= level) {
            // Linear in log p~; an end at -inf puts the crossing at the other end.
            let t = ((level - a.2) / (b.2 - a.2)).clamp(0.0, 1.0);
            let t = if t.is_finite() { t } else { f64::from(a.2 >= level) };
            polygon.push((at(a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1)), true));
        }
    }
    for (k, &((x, y), _)) in polygon.iter().enumerate() {
        let _ = write!(fill, "{}{x:.1} {y:.1}", if k == 0 { "M" } else { "L" });
    }
    if !polygon.is_empty() {
        fill.push('Z');
    }
    for k in 0..polygon.len() {
        // Two crossings in a row are where the walk leaves the region and comes back: a piece of the border.
        if let ((a, true), (b, true)) = (polygon[k], polygon[(k + 1) % polygon.len()])
            && polygon.len() > 2
        {
            let _ = write!(border, "M{:.1} {:.1}L{:.1} {:.1}", a.0, a.1, b.0, b.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::linalg::Matrix;

    fn gaussian(n: usize) -> Field {
        let at = |k: usize| -5.0 + 10.0 * k as f64 / (n - 1) as f64;
        let log_p = Matrix::from_fn(n, n, |i, j| -0.5 * (at(i) * at(i) + at(j) * at(j)));
        Field { x: (-5.0, 5.0), y: (-5.0, 5.0), log_p }
    }

    /// Checks that the level of mass m of a standard normal in the plane is log(1 - m), as P(½|x|² ≤ t) = 1 - e^{-t}. The level is that
    /// of one grid point, so its error is at most the change of ½r² over half a cell's diagonal, r·step/√2 with r = √(-2 log(1-m)),
    /// plus the counting error of the grid, below one more.
    #[test]
    fn mass_levels_of_a_gaussian() {
        let field = gaussian(201);
        for m in [0.5, 0.9, 0.99] {
            let exact = f64::ln(1.0 - m);
            let bound = 2.0 * (-2.0 * exact).sqrt() * 0.05 / 2f64.sqrt();
            assert!((mass_level(&field, m) - exact).abs() < bound, "{m}");
        }
    }

    /// Checks that every end of a border segment lies on the circle of the level, to the interpolation error step²/8 · max|∂²log p| / |∇ log p|
    /// and the rounding of coordinates to a tenth.
    #[test]
    fn border_is_the_level_set() {
        let field = gaussian(101);
        let (fill, border) = region(&field, -2.0, &|x, y| (1e4 * x, 1e4 * y));
        assert!(fill.starts_with('M') && fill.ends_with('Z'));
        let numbers: Vec<f64> =
            border.split(['M', 'L', ' ']).filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect();
        assert!(numbers.len() > 4 * 40);
        for p in numbers.chunks(2) {
            let r = p[0].hypot(p[1]) / 1e4;
            assert!((r - 2.0).abs() < 0.1 * 0.1 / 8.0 / 2.0 + 1e-4, "{r}");
        }
    }
}
