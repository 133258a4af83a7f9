//! Gauss–Legendre quadrature.

use super::elementary::cos;

/// The n-point Gauss–Legendre rule on [-1, 1]: ∫ g ≈ Σ_i w_i g(x_i), exact for polynomials of degree below 2n.
#[derive(Debug, Clone)]
pub struct GaussLegendre {
    nodes: Vec<f64>,
    weights: Vec<f64>,
}

impl GaussLegendre {
    /// Nodes are the roots of the Legendre polynomial Pₙ, by Newton's method from their asymptotic places
    /// cos(π(i + ¾)/(n + ½)); weights are 2/((1 - x²) Pₙ'(x)²) (Abramowitz and Stegun, section 25.4). n is at least 1.
    pub fn new(n: usize) -> Self {
        assert!(n >= 1, "GaussLegendre: needs at least one node");
        let (nodes, weights) = (0..n)
            .map(|i| {
                let mut x = cos(std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5));
                for _ in 0..8 {
                    let (p, dp) = legendre(n, x);
                    x -= p / dp;
                }
                let (_, dp) = legendre(n, x);
                (x, 2.0 / ((1.0 - x * x) * dp * dp))
            })
            .unzip();
        Self { nodes, weights }
    }

    /// The nodes on [a, b] with their weights: ∫_a^b g ≈ Σ w g(x) over (x, w).
    pub fn points(&self, a: f64, b: f64) -> impl Iterator<Item = (f64, f64)> + '_ {
        let (middle, half) = (0.5 * (a + b), 0.5 * (b - a));
        self.nodes.iter().zip(&self.weights).map(move |(x, w)| (middle + half * x, half * w))
    }

    /// ∫_a^b g, by the rule on each of `panels` equal parts. b may lie below a.
    pub fn integrate(&self, a: f64, b: f64, panels: usize, mut g: impl FnMut(f64) -> f64) -> f64 {
        let half = 0.5 * (b - a) / panels as f64;
        let mut sum = 0.0;
        for panel in 0..panels {
            let centre = a + half * (2 * panel + 1) as f64;
            sum += self.nodes.iter().zip(&self.weights).map(|(x, w)| w * g(centre + half * x)).sum::<f64>();
        }
        half * sum
    }
}

/// (Pₙ(x), Pₙ'(x)) by the three-term recurrence k Pₖ = (2k-1) x Pₖ₋₁ - (k-1) Pₖ₋₂.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut before, mut p) = (1.0, x);
    for k in 2..=n {
        let k = k as f64;
        (before, p) = (p, ((2.0 * k - 1.0) * x * p - (k - 1.0) * before) / k);
    }
    (p, n as f64 * (x * p - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the degree of exactness 2n - 1, and that degree 2n is not integrated exactly.
    #[test]
    fn exact_below_degree_2n() {
        for n in 1..=16 {
            let rule = GaussLegendre::new(n);
            let error = |k: i32| (rule.integrate(0.0, 1.0, 1, |x| x.powi(k)) - 1.0 / f64::from(k + 1)).abs();
            for k in 0..2 * n as i32 {
                // n terms, each with the weight's few ulps; all below 1
                assert!(error(k) <= 8.0 * n as f64 * f64::EPSILON, "n = {n}, degree {k}: {:e}", error(k));
            }
            // the error at degree 2n is (n!)⁴/((2n+1)((2n)!)²), about 4⁻²ⁿ: above rounding up to n = 10
            assert!(n > 10 || error(2 * n as i32) > 1e-13, "n = {n}");
        }
    }
}
