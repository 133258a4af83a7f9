use crate::linalg::Matrix;
use crate::num::sum;
use crate::verify::pair::{NODES_OF_LINE, NODES_OF_PLANE};

/// The trapezoidal rule on a box of the line or the plane, for smooth integrands that vanish at its edges.
///
/// Σ_i g(x_i)·cell. For an integrand analytic in a strip of half-width a the error is of size e^(-2πa/h) at spacing h
/// (Trefethen and Weideman 2014, theorem 5.1); doubling h takes its square root, which [`Grid::resolution`] measures.
#[derive(Debug, Clone)]
pub struct Grid {
    /// n×d, the last coordinate fastest.
    pub nodes: Matrix,
    /// Product of the spacings.
    pub cell: f64,
    /// Nodes along each axis.
    shape: Vec<usize>,
}

/// Most nodes of a grid that depends on more than the widths of an admitted pair, on the line and in the plane: four times what it needs.
const MOST: [f64; 2] = [4.0 * NODES_OF_LINE, 4.0 * NODES_OF_PLANE];

impl Grid {
    /// [`Grid::covering`], or why not: what is nearly infinite reaches far, and would take hours or all memory. The bound is on nodes and not on
    /// time, so that the answer is the same on every machine.
    pub fn affordable(ends: &[(f64, f64)], spacing: f64) -> Result<Self, String> {
        let nodes: f64 = ends.iter().map(|(a, b)| (b - a) / spacing + 1.0).product();
        let most = MOST[ends.len() - 1];
        if nodes <= most {
            return Ok(Self::covering(ends, spacing));
        }
        let width = ends.iter().map(|(a, b)| b - a).fold(0.0, f64::max);
        Err(format!("its integrals reach over {width:.1e}: {nodes:.1e} nodes, more than {most:.1e}"))
    }

    /// Nodes of at most this spacing over the box Π [low_j, high_j], ends included. d = 1 or 2.
    pub fn covering(ends: &[(f64, f64)], spacing: f64) -> Self {
        assert!((1..=2).contains(&ends.len()), "Grid: {} dimensions, only 1 and 2 are covered", ends.len());
        let shape: Vec<usize> = ends.iter().map(|(a, b)| ((b - a) / spacing).ceil() as usize + 1).collect();
        let step = |j: usize| (ends[j].1 - ends[j].0) / (shape[j] - 1) as f64;
        let node = |j: usize, i: usize| ends[j].0 + i as f64 * step(j);
        let nodes = match shape[..] {
            [n] => Matrix::from_fn(n, 1, |i, _| node(0, i)),
            [n, m] => Matrix::from_fn(n * m, 2, |i, j| node(j, if j == 0 { i / m } else { i % m })),
            _ => unreachable!("one or two axes"),
        };
        Self { nodes, cell: (0..ends.len()).map(step).product(), shape }
    }

    /// ∫ g, from g at the nodes.
    pub fn integrate(&self, g: impl Fn(usize) -> f64) -> f64 {
        self.integrate_with_size(g).0
    }

    /// (∫ g, ∫ |g|).
    pub fn integrate_with_size(&self, g: impl Fn(usize) -> f64) -> (f64, f64) {
        let values: Vec<f64> = (0..self.nodes.rows()).map(g).collect();
        (self.cell * sum(&values), self.cell * values.iter().map(|v| v.abs()).sum::<f64>())
    }

    /// (∫ g, the size of its terms for a [`super::Ladder`]): ∫ |g|, and for integrands that depend on a rounded l by ∂g/∂l = `slope`
    /// what these roundings, independent from node to node, add up to: cell·√Σ(slope · size of the terms of l)².
    pub fn integrate_with_noise(&self, g: impl Fn(usize) -> f64, slope: impl Fn(usize) -> f64) -> (f64, f64) {
        let (value, size) = self.integrate_with_size(g);
        (value, size + self.noise(slope))
    }

    /// The second part of that size alone, which hardly depends on the step: once for a whole ladder.
    pub fn noise(&self, slope: impl Fn(usize) -> f64) -> f64 {
        let square: f64 = (0..self.nodes.rows()).map(|i| slope(i).powi(2)).sum();
        self.cell * square.sqrt()
    }

    /// What the ends of a line's box cut off, at most: the larger |g| at an end times the length, over ∫ |g|.
    pub fn cut(&self, g: impl Fn(usize) -> f64) -> f64 {
        let length = self.cell * (self.nodes.rows() - 1) as f64;
        let ends = g(0).abs().max(g(self.nodes.rows() - 1).abs());
        if ends == 0.0 { 0.0 } else { ends * length / self.integrate_with_size(g).1 }
    }

    /// |∫ g - the same on every other node|: about the square root of the error of ∫ g relative to size one.
    pub fn resolution(&self, g: impl Fn(usize) -> f64) -> f64 {
        let fast = *self.shape.last().unwrap_or(&1);
        let even = |i: &usize| (self.shape.len() == 1 || (i / fast).is_multiple_of(2)) && (i % fast).is_multiple_of(2);
        let coarse: f64 = (0..self.nodes.rows()).filter(even).map(&g).sum();
        (self.integrate(&g) - coarse * self.cell * f64::from(1u8 << self.shape.len())).abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the rule on a Gaussian in one and two dimensions to rounding, and that halving the nodes squares the error.
    #[test]
    fn gaussians() {
        for d in 1..=2usize {
            let gauss = |x: &[f64]| x.iter().map(|v| (-0.5 * v * v).exp()).product::<f64>();
            let exact = std::f64::consts::TAU.sqrt().powi(d as i32);
            let fine = Grid::covering(&vec![(-9.0, 9.0); d], 0.5);
            let value = fine.integrate(|i| gauss(fine.nodes.row(i)));
            assert!((value / exact - 1.0).abs() < 1e-14, "{value} {exact}");
            // at h = 1.5 the error is 2 e^(-2π²/h²) = 3.1e-4 for each axis; every other node of h = 0.75 is that rule
            let coarse = Grid::covering(&vec![(-9.0, 9.0); d], 0.75);
            let resolution = coarse.resolution(|i| gauss(coarse.nodes.row(i))) / exact;
            assert!((resolution / (3.1e-4 * d as f64) - 1.0).abs() < 0.02, "{resolution}");
        }
    }
}
