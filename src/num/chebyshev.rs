//! Smooth functions of one variable as a table: Chebyshev interpolation in panels of length 1.

use super::elementary::cos;

/// Points of a panel. The error is ρ^-16 where the nearest singularity lies on the ellipse ρ; at a distance of π from the panel ρ = 12.6.
const NODES: usize = 16;

/// A function on [low, low + panels], by its interpolants of degree 15 on each unit.
#[derive(Debug, Clone, Default)]
pub struct Chebyshev {
    low: f64,
    coefficients: Vec<[f64; NODES]>,
}

impl Chebyshev {
    /// The points at which [`Chebyshev::new`] wants values: low + k + ½ - ½ cos(π(j+½)/16), j running first.
    pub fn nodes(low: f64, panels: usize) -> Vec<f64> {
        let node = |i: usize| {
            let angle = std::f64::consts::PI * ((i % NODES) as f64 + 0.5) / NODES as f64;
            low + (i / NODES) as f64 + 0.5 - 0.5 * cos(angle)
        };
        (0..panels * NODES).map(node).collect()
    }

    /// From the values at the nodes.
    pub fn new(low: f64, values: &[f64]) -> Self {
        assert!(values.len().is_multiple_of(NODES), "Chebyshev::new: {} values", values.len());
        Self { low, coefficients: values.chunks_exact(NODES).map(transform).collect() }
    }

    /// The value at x, which is taken into the interval: Clenshaw's sum.
    pub fn at(&self, x: f64) -> f64 {
        let last = self.coefficients.len() - 1;
        let from = (x - self.low).clamp(0.0, last as f64 + 1.0);
        let panel = (from as usize).min(last);
        let t = 2.0 * (from - panel as f64) - 1.0;
        let c = &self.coefficients[panel];
        let (mut b1, mut b2) = (0.0, 0.0);
        for c in c[1..].iter().rev() {
            (b1, b2) = (2.0 * t * b1 - b2 + c, b1);
        }
        t * b1 - b2 + c[0]
    }
}

/// Coefficients of the interpolant in Chebyshev polynomials.
fn transform(values: &[f64]) -> [f64; NODES] {
    let n = NODES as f64;
    std::array::from_fn(|j| {
        // T_j at -cos θ is cos j(π - θ)
        let term = |(k, v): (usize, &f64)| v * cos(j as f64 * std::f64::consts::PI * (1.0 - (k as f64 + 0.5) / n));
        values.iter().enumerate().map(term).sum::<f64>() * if j == 0 { 1.0 } else { 2.0 } / n
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that a polynomial of degree 15 is exact, log(1 + e^x) right to 1e-14, and that points outside get the value at the end.
    #[test]
    fn interpolation() {
        for (f, bound) in [
            (&(|x: f64| 0.5 * (x / 3.0).powi(15) - x) as &dyn Fn(f64) -> f64, 1e-14),
            (&|x: f64| x.exp().ln_1p(), 1e-14),
        ] {
            let values: Vec<f64> = Chebyshev::nodes(-3.0, 6).into_iter().map(f).collect();
            let table = Chebyshev::new(-3.0, &values);
            let worst = (0..=600).map(|i| 0.01 * f64::from(i) - 3.0).map(|x| (table.at(x) - f(x)).abs());
            assert!(worst.fold(0.0, f64::max) < bound);
            assert_eq!(table.at(9.0), table.at(3.0));
        }
    }
}
