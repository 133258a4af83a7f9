//! Independent blocks of coordinates.

use crate::density::Density;
use crate::density::mixture::same_size;
use crate::error::Result;
use crate::linalg::Matrix;
use std::sync::Arc;

/// A block of coordinates with the density of these alone.
pub type Part = (Vec<usize>, Arc<dyn Density>);

/// log p~(x) = Σ_b log p~_b(x_b), x_b the coordinates of block b: independent blocks.
#[derive(Clone)]
pub struct Product {
    parts: Vec<Part>,
    dim: usize,
}

impl Product {
    /// The blocks are a partition of 0, …, d - 1, and each part has its block's dimension; `Error::Dimension` otherwise.
    pub fn new(parts: Vec<Part>) -> Result<Self> {
        let mut all: Vec<usize> = parts.iter().flat_map(|(block, _)| block.iter().copied()).collect();
        all.sort_unstable();
        let placed = all.iter().enumerate().filter(|(k, i)| k == *i).count();
        same_size("coordinates of the blocks", all.len(), placed)?;
        for (block, p) in &parts {
            same_size("block", block.len(), p.dim())?;
        }
        Ok(Self { parts, dim: all.len() })
    }

    fn own(x: &Matrix, block: &[usize]) -> Matrix {
        Matrix::from_fn(x.rows(), block.len(), |i, j| x[(i, block[j])])
    }

    /// The same of a function of each part.
    fn each(&self, of: impl Fn(&Arc<dyn Density>) -> Option<Arc<dyn Density>>) -> Option<Self> {
        let parts = self.parts.iter().map(|(block, p)| Some((block.clone(), of(p)?))).collect::<Option<_>>()?;
        Some(Self { parts, dim: self.dim })
    }
}

impl Density for Product {
    fn dim(&self) -> usize {
        self.dim
    }

    fn wants_whole_batches(&self) -> bool {
        self.parts.iter().any(|(_, p)| p.wants_whole_batches())
    }

    fn log_density_into(&self, x: &Matrix, out: &mut [f64]) {
        out.fill(0.0);
        for (block, p) in &self.parts {
            out.iter_mut().zip(p.log_density(&Self::own(x, block))).for_each(|(o, l)| *o += l);
        }
    }

    fn evaluate_into(&self, x: &Matrix, log_density: &mut [f64], score: &mut Matrix) {
        log_density.fill(0.0);
        for (block, p) in &self.parts {
            let (mut l, mut s) = (vec![0.0; x.rows()], Matrix::zeros(x.rows(), block.len()));
            p.evaluate_into(&Self::own(x, block), &mut l, &mut s);
            for (i, l) in l.into_iter().enumerate() {
                log_density[i] += l;
                block.iter().enumerate().for_each(|(a, &j)| score[(i, j)] = s[(i, a)]);
            }
        }
    }

    fn log_normaliser(&self) -> Option<f64> {
        self.parts.iter().map(|(_, p)| p.log_normaliser()).sum()
    }

    fn sample(&self, n: usize, seed: u64) -> Option<Matrix> {
        let mut x = Matrix::zeros(n, self.dim);
        for (k, (block, p)) in self.parts.iter().enumerate() {
            // parts with one key would move together
            let own = p.sample(n, seed.wrapping_add((k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))?;
            for i in 0..n {
                block.iter().enumerate().for_each(|(a, &j)| x[(i, j)] = own[(i, a)]);
            }
        }
        Some(x)
    }

    fn smoothed(&self, bandwidth: f64) -> Option<Arc<dyn Density>> {
        self.each(|p| p.smoothed(bandwidth)).map(|p| Arc::new(p) as Arc<dyn Density>)
    }
}
