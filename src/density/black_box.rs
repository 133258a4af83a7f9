//! A density of which only values are known.

use crate::density::Density;
use crate::linalg::Matrix;
use std::sync::Arc;

/// log p~ and ∇ log p~ of another density, and nothing else of it: no mixture, no closed form of its blur, no exact samples, no normaliser.
///
/// What a method does with it is what it does with a formula; beside the density itself it shows what closed forms are worth.
#[derive(Clone)]
pub struct BlackBox(pub Arc<dyn Density>);

impl Density for BlackBox {
    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn wants_whole_batches(&self) -> bool {
        self.0.wants_whole_batches()
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        self.0.log_density_into(x, out);
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        self.0.evaluate_into(x, log_density, score);
    }
}
