//! log p~ on a grid, for the diagrams of the plane.

use crate::record::Field;
use crate::report::panels::column_range_at;
use pushforward::density::Density;
use pushforward::linalg::Matrix;

/// Points along each side of the grid: cells of three pixels in a third of the page.
const SIDE: usize = 160;

impl Field {
    /// log p~ over a box that holds the bulk of `points` (exact samples, or the model's): all but the outermost 1% on each side of
    /// each coordinate, and a sixth more. Values that are NaN or +∞ are drawn as no mass. None where d ≠ 2 or nothing is known of p~.
    pub fn around(density: &dyn Density, points: &Matrix) -> Option<Self> {
        if density.dim() != 2 || points.rows() == 0 || !density.is_known() {
            return None;
        }
        let (x, y) = (column_range_at(points, 0, 0.01, 1.0 / 6.0), column_range_at(points, 1, 0.01, 1.0 / 6.0));
        Some(Self { x, y, log_p: Matrix::zeros(0, 0) }.of(density))
    }

    /// Another density over the same box.
    pub fn of(&self, density: &dyn Density) -> Self {
        let (x, y) = (self.x, self.y);
        let at = |(low, high): (f64, f64), k: usize| low + (high - low) * k as f64 / (SIDE - 1) as f64;
        let grid = Matrix::from_fn(SIDE * SIDE, 2, |i, j| if j == 0 { at(x, i % SIDE) } else { at(y, i / SIDE) });
        let values = density.log_density(&grid);
        let clean = values.into_iter().map(|v| if v.is_nan() || v == f64::INFINITY { f64::NEG_INFINITY } else { v });
        Self { x, y, log_p: Matrix::from_vec(SIDE, SIDE, clean.collect()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pushforward::density::by_name;

    /// Checks that the box of a known mixture holds its mass (the Riemann sum of p over it is within 2% of 1: at most 4% of mass
    /// lies outside the quantiles before a sixth is added) and that rows of the grid are the second coordinate.
    #[test]
    fn grid_of_a_mixture() {
        let p = by_name("gmm9u").unwrap();
        let field = Field::around(&*p, &p.sample(4000, 1).unwrap()).unwrap();
        let cell = (field.x.1 - field.x.0) * (field.y.1 - field.y.0) / ((SIDE - 1) * (SIDE - 1)) as f64;
        let mass: f64 = field.log_p.as_slice().iter().map(|l| l.exp() * cell).sum();
        assert!((mass - 1.0).abs() < 0.02, "{mass}");
        let corner = p.log_density(&Matrix::from_rows(&[[field.x.1, field.y.0]]))[0];
        assert!((field.log_p[(0, SIDE - 1)] - corner).abs() <= 1e-9 * corner.abs());
    }
}
