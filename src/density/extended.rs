//! A density on a constrained set, also where samples are rounded to the edge of it.

use crate::Result;
use crate::density::mixture::same_size;
use crate::density::{Chart, Density};
use crate::linalg::Matrix;
use std::sync::Arc;

/// The density of u, x = T(u), by which samples are judged: log p~_U(u); and where T(u) is rounded to the edge of its support, so that
/// [`crate::density::Constrained`] says -inf, log p~_U(u') + ∇log p~_U(u')·(u - u'), u' the coordinates of numbers next to the edge.
///
/// [`Chart::constrain`] writes such samples as the nearest numbers inside, so none of them is outside. The tails of powers of the distance to
/// an edge are straight lines in u, which the tangent continues. The score there is that at u'. Where log p~ or its score is not finite at
/// u' either, nothing is changed.
#[derive(Clone)]
pub struct Extended {
    inner: Arc<dyn Density>,
    chart: Chart,
}

impl Extended {
    /// `inner`, a density of the coordinates u of `chart`. `Error::Dimension` where they do not fit.
    pub fn new(inner: Arc<dyn Density>, chart: Chart) -> Result<Self> {
        same_size("chart", inner.dim(), chart.free_dim())?;
        Ok(Self { inner, chart })
    }

    /// The tangents at the rows of u where log p~ is -inf by rounding.   u: n×m, log_density: n.
    fn extend(&self, u: &Matrix, log_density: &mut [f64], mut score: Option<&mut Matrix>) {
        let rounded = |i: usize| Some((i, self.chart.apart(u.row(i))?));
        let far = (0..u.rows()).filter(|&i| log_density[i] == f64::NEG_INFINITY);
        let (rows, near): (Vec<usize>, Vec<Vec<f64>>) = far.filter_map(rounded).unzip();
        if rows.is_empty() {
            return;
        }
        let near = Matrix::from_rows(&near);
        let (mut value, mut slope) = (vec![0.0; rows.len()], Matrix::zeros(rows.len(), u.cols()));
        self.inner.evaluate_into(&near, &mut value, &mut slope);
        for (k, i) in rows.into_iter().enumerate() {
            let gap = u.row(i).iter().zip(near.row(k));
            let tangent = value[k] + slope.row(k).iter().zip(gap).map(|(s, (u, near))| s * (u - near)).sum::<f64>();
            if tangent.is_finite() {
                log_density[i] = tangent;
                if let Some(score) = &mut score {
                    score.row_mut(i).copy_from_slice(slope.row(k));
                }
            }
        }
    }
}

impl Density for Extended {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn wrapped(&self) -> Option<&dyn Density> {
        Some(&*self.inner)
    }

    fn log_density_into(&self, u: &Matrix, out: &mut [f64]) {
        self.inner.log_density_into(u, out);
        self.extend(u, out, None);
    }

    fn evaluate_into(&self, u: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.inner.evaluate_into(u, log_density, score);
        self.extend(u, log_density, Some(score));
    }
}
